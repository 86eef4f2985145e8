"""Who may bind at the SMSC simulator, and what else happens to a bind."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gateway.smpp.consts import Status
from gateway.smpp.pdu import Bind
from simulators.smsc_script import BindRule
from simulators.smsc_session import NO_BIND_RULE, SmscSession

if TYPE_CHECKING:
    from simulators.smsc import Smsc


class Entry:
    """Decides about each bind: credentials, then the limit, then the first bind rule that matches."""

    def __init__(self, smsc: Smsc) -> None:
        self._smsc = smsc
        self._binds_of: Counter[str] = Counter()
        self._turns: Counter[int] = Counter()

    def forget(self) -> None:
        """Count anew for `every` and `times`: the rules have changed."""
        self._turns.clear()

    def decide(self, session: SmscSession, request: Bind) -> None:
        """Let an ESME in or not, at once or after its latency."""
        smsc = self._smsc
        self._binds_of[request.system_id] += 1
        session.label = f"{smsc.config.name}/{request.system_id}/{self._binds_of[request.system_id]}"
        if session.line is not None:
            session.line.label = request.system_id
        rule = self._rule(request.system_id)
        session.obey(rule)
        status = self.status_of(request) or rule.status
        delay_s = 0.0 if rule.latency is None else rule.latency.draw_s(smsc.numbers_of(session))
        smsc.note(session, "bind", command=type(request).__name__, status=int(status), mode=rule.mode)
        if status:
            smsc.counts.binds_refused += 1
        if rule.mode == "silent":
            session.mute()
        elif status:
            smsc.timeline.after(delay_s, session.turn_away, request, status) if delay_s else session.turn_away(request, status)
        else:
            smsc.timeline.after(delay_s, session.let_in, request) if delay_s else session.let_in(request)

    def _rule(self, system_id: str) -> BindRule:
        now_s = self._smsc.scenario_s
        for place, rule in enumerate(self._smsc.config.binds):
            if not rule.is_at(now_s) or (rule.system_id and not fnmatchcase(system_id, rule.system_id)):
                continue
            self._turns[place] += 1
            if (rule.every and self._turns[place] % rule.every) or (rule.times and self._turns[place] > rule.times):
                continue
            return rule
        return NO_BIND_RULE

    def status_of(self, request: Bind) -> int:
        """Whether these credentials may bind now, as a command_status."""
        wanted = self._smsc.config
        if wanted.system_id is not None and request.system_id != wanted.system_id:
            return Status.ESME_RINVSYSID
        if wanted.password is not None and request.password != wanted.password:
            return Status.ESME_RINVPASWD
        if wanted.system_types and request.system_type not in wanted.system_types:
            return Status.ESME_RINVSYSTYP
        if wanted.binds_max and self._bound(request.system_id) >= wanted.binds_max:
            return Status.ESME_RALYBND
        return Status.ESME_ROK

    def _bound(self, system_id: str) -> int:
        return sum(each.is_bound and each.system_id == system_id for each in self._smsc.sessions)
