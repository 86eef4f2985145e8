"""The partners as the running gateway knows them: their policies, and what of their limits they have used.

The store is the truth and is looked at every few seconds; who binds or calls with something newer is learnt at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from gateway.domain import policy as policies
from gateway.domain.admission import Admission, day_of, is_needed
from gateway.domain.failure import Refused
from gateway.domain.message import Front
from gateway.domain.policy import PartnerPolicy
from gateway.services.ports import Reader
from gateway.services.submit import Sender
from gateway.store import partners, usage
from gateway.store.partners import Partner
from gateway.world import World

_log = structlog.get_logger(__name__)


class Account(NamedTuple):
    """A partner and what it may do; `is_open`: whether it may do anything at all."""

    partner: Partner
    policy: PartnerPolicy
    is_open: bool


def sender_of(partner: Partner, front: Front) -> Sender:
    """What a partner's submissions bear, one value for all of them; the wallet it was made with stands first."""
    wallets = sorted(partner.wallets, key=lambda each: each[1] != partner.wallet)
    return Sender(int(front), partner.wallet, partner.id, partner=partner.name, wallets=tuple(wallets))


class Accounts:
    """All partners. `changed` is called with each account that is not what it was, or with None for one that is gone."""

    def __init__(self, world: World, reader: Reader) -> None:
        self._world = world
        self._reader = reader
        self._known: dict[int, Account] = {}
        self.ids: dict[str, int] = {}  # by name
        self.admissions: dict[int | None, Admission] = {}  # only of partners that have limits on messages
        self.metered: set[int] = set()  # partners with a daily limit; read on the writer's thread too
        self.changed: Callable[[int, Account | None], None] = _unheard

    def known(self) -> list[Account]:
        """Every partner, in no order."""
        return list(self._known.values())

    def by_name(self, name: str) -> Account | None:
        """A partner as it is known here."""
        return self._known.get(self.ids.get(name, -1))

    async def refresh(self) -> None:
        """Look at the store; raises StoreUnavailable."""
        day = day_of(self._world.clock.now_us())
        found, used = await self._reader.read(_look, day)
        for partner in found:
            self.learn(partner)
        for partner_id in self._known.keys() - {partner.id for partner in found}:
            self._forget(partner_id)
        for partner_id, messages in used.items():
            admission = self.admissions.get(partner_id)
            if admission is not None:
                admission.learn(day, messages)

    def learn(self, partner: Partner) -> Account:
        """A partner as it was just read."""
        before = self._known.get(partner.id)
        if before is not None and before.partner == partner:
            return before
        account = _account_of(partner, before)
        self._known[partner.id] = account
        self.ids[partner.name] = partner.id
        if before is None or before.policy != account.policy or before.is_open != account.is_open:
            self._limit(account)
        if before is not None:
            self.changed(partner.id, account)
        return account

    def _limit(self, account: Account) -> None:
        partner_id, policy, now_s = account.partner.id, account.policy, self._world.clock.monotonic()
        before = self.admissions.get(partner_id)
        if not account.is_open and account.partner.is_enabled:
            self.admissions[partner_id] = Admission(policy, now_s, is_barred=True)
        elif not is_needed(policy):
            self.admissions.pop(partner_id, None)
        else:
            self.admissions[partner_id] = Admission(policy, now_s) if before is None else before.adopt(policy, now_s)
        (self.metered.add if policy.messages_per_day else self.metered.discard)(partner_id)

    def _forget(self, partner_id: int) -> None:
        gone = self._known.pop(partner_id)
        self.ids.pop(gone.partner.name, None)
        self.admissions.pop(partner_id, None)
        self.metered.discard(partner_id)
        self.changed(partner_id, None)


def _account_of(partner: Partner, before: Account | None) -> Account:
    if before is not None and before.is_open and before.partner.policy == partner.policy:
        return Account(partner, before.policy, partner.is_enabled)
    try:
        return Account(partner, policies.parse(partner.policy), partner.is_enabled)
    except Refused as refused:
        # Written by hand, or by a newer version: nobody knows which limits were meant, so it may do nothing.
        _log.error("the policy of a partner cannot be read; it is kept out", partner=partner.name, key=refused.field, reason=refused.text)
        return Account(partner, policies.DEFAULT, False)


def _look(conn: Connection, day: int) -> tuple[list[Partner], dict[int, int]]:
    return partners.all_partners(conn), usage.of_day(conn, day)


def _unheard(_partner_id: int, _account: Account | None) -> None:
    """For those who listen to no changes."""
