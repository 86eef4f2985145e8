"""All sessions of one partner: who of them takes what, and who has to go when its policy changes."""

from __future__ import annotations

from typing import Any

from gateway.domain.knock import Knock, version_name, why_not_from, why_not_so
from gateway.domain.message import Front
from gateway.domain.policy import PartnerPolicy
from gateway.links import smpp_answers as answers
from gateway.links.smpp_receipts import ReceiptForm, form_of
from gateway.links.smpp_transport import SmppTransport
from gateway.services.accounts import Account, sender_of
from gateway.services.deliver import OutboxLane
from gateway.smpp import pdu as p
from gateway.smpp.consts import Status
from gateway.smpp.errors import LocalProtocolError, NotBound, WindowFull
from gateway.store.outbox import Handover
from gateway.store.partners import Partner


class PartnerBinds:
    """The sessions of a partner; the outbox lane's port."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.partner: Partner = account.partner
        self.sender = sender_of(account.partner, Front.SMPP)
        self.is_strict = account.policy.strict
        self.lane: OutboxLane | None = None
        self.sessions: dict[SmppTransport, Knock] = {}  # oldest first
        self.receivers: list[SmppTransport] = []
        self._form: ReceiptForm = form_of(account.policy)
        self._turn = 0

    @property
    def policy(self) -> PartnerPolicy:
        """What it may do."""
        return self.account.policy

    @property
    def is_full(self) -> bool:
        """Whether it may not bind once more."""
        return 0 < self.policy.binds_max <= len(self.sessions)

    @property
    def room(self) -> int:
        receivers = self.receivers
        return receivers[0].session.window_free if len(receivers) == 1 else sum(wire.session.window_free for wire in receivers)

    @property
    def is_there(self) -> bool:
        return bool(self.receivers)

    def join(self, wire: SmppTransport, knock: Knock) -> None:
        """A session bound."""
        self.sessions[wire] = knock
        self._tune(wire)
        if wire.session.can_receive:
            self.receivers.append(wire)
            assert self.lane is not None
            self.lane.pump()

    def leave(self, wire: SmppTransport) -> None:
        """A session is over."""
        self.sessions.pop(wire, None)
        if wire in self.receivers:
            self.receivers.remove(wire)

    def hand_over(self, handover: Handover) -> bool:
        """Send it as deliver_sm on the next receiver that has room."""
        count = len(self.receivers)
        for offset in range(count):
            wire = self.receivers[(self._turn + offset) % count]
            if wire.session.window_free > 0:
                version = wire.session.peer_interface_version
                try:
                    wire.send(answers.deliver_sm(handover, version, self._form), handover)
                except (NotBound, WindowFull):
                    continue
                except LocalProtocolError:
                    # No deliver_sm for this peer can carry it: the row keeps why, and the others need not wait behind it.
                    assert self.lane is not None
                    self.lane.refused(handover, Status.ESME_RINVMSGLEN)
                self._turn += offset + 1
                return True
        return False

    def adopt(self, account: Account) -> None:
        """The account changed: sessions that may not be any more are unbound, the newest of too many first."""
        has_new_password = account.partner.smpp_password_hash != self.partner.smpp_password_hash
        self.account, self.partner = account, account.partner
        self.sender = sender_of(account.partner, Front.SMPP)
        policy = account.policy
        self.is_strict = policy.strict
        self._form = form_of(policy)
        if not account.is_open or has_new_password:
            self.unbind()
            return
        for wire, knock in list(self.sessions.items()):
            if why_not_from(policy, knock) or why_not_so(policy, knock):
                unbind(wire)
            else:
                self._tune(wire)
        if policy.binds_max:
            for wire in list(self.sessions)[policy.binds_max :]:
                unbind(wire)

    def unbind(self) -> int:
        """End all its sessions in good order; how many."""
        wires = list(self.sessions)
        for wire in wires:
            unbind(wire)
        return len(wires)

    def facts(self) -> list[dict[str, Any]]:
        """Its sessions, for people."""
        return [
            {
                "peer": wire.peer,
                "bind": knock.kind,
                "version": version_name(knock.version),
                "tls": knock.is_tls,
                "state": wire.session.state.value,
                "in_flight": wire.session.in_flight,
            }
            for wire, knock in self.sessions.items()
        ]

    def alert(self, alert: p.AlertNotification) -> int:
        """Tell its receivers that a handset is reachable again; how many heard it."""
        heard = 0
        for wire in self.receivers:
            try:
                wire.send(alert)
                heard += 1
            except LocalProtocolError:
                continue
        return heard

    def _tune(self, wire: SmppTransport) -> None:
        if self.policy.window:
            wire.session.resize_peer_window(self.policy.window)


def unbind(wire: SmppTransport) -> None:
    """End a session: by unbind where it is bound, else at once."""
    try:
        wire.send(p.Unbind())
    except LocalProtocolError:
        wire.abort()
