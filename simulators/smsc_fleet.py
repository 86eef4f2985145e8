"""Several simulated SMSCs in one process, started, changed and stopped together."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gateway.world import World
from simulators import form
from simulators.form import FormError
from simulators.smsc import Smsc
from simulators.smsc_bell import Bell
from simulators.smsc_journal import SmscJournal
from simulators.smsc_rules import DEFAULT_RULES
from simulators.smsc_scenario import Scenario, SmscForm, check_change, config_of, form_of


class Fleet:
    """The SMSCs by name, in the order of the scenario; all share one bell."""

    def __init__(self, smscs: Sequence[Smsc]) -> None:
        assert smscs
        self._smscs = {smsc.config.name: smsc for smsc in smscs}
        # What the API shows and changes; the configuration that runs is made from it.
        self._forms = {smsc.config.name: form_of(smsc.config) for smsc in smscs}
        self.bell = smscs[0].bell

    @classmethod
    def of_scenario(
        cls,
        world: World,
        scenario: Scenario,
        *,
        host: str,
        seed: int,
        journal: SmscJournal | None = None,
        tls: Mapping[str, ssl.SSLContext] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Fleet:
        """The SMSCs of a scenario; `tls` holds the context of each that speaks TLS, `files` the files of MO by their name."""
        bell = Bell()
        contexts = tls or {}
        fleet = cls(
            [
                Smsc(world, config_of(one, host=host, seed=seed), tls=contexts.get(one.name), bell=bell, journal=journal, files=files or {})
                for one in scenario.smsc
            ]
        )
        fleet._forms = {one.name: one for one in scenario.smsc}
        return fleet

    def __iter__(self) -> Iterator[Smsc]:
        return iter(self._smscs.values())

    def __len__(self) -> int:
        return len(self._smscs)

    @property
    def first(self) -> Smsc:
        """The SMSC that is meant when none is named."""
        return next(iter(self._smscs.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._smscs)

    def get(self, name: str) -> Smsc:
        """The SMSC of that name, the first for "". Raises FormError."""
        if not name:
            return self.first
        if name not in self._smscs:
            raise FormError("smsc", f"there is no {name}; there are {', '.join(self._smscs)}")
        return self._smscs[name]

    def form(self, name: str) -> SmscForm:
        """How an SMSC behaves now, rules put in force at run time included."""
        smsc = self.get(name)
        rules = smsc.rules.rules
        has_magic = rules[-len(DEFAULT_RULES) :] == DEFAULT_RULES
        mine = rules[: -len(DEFAULT_RULES)] if has_magic else rules
        return replace(self._forms[smsc.config.name], rule=mine, magic_numbers=has_magic)

    def scenario(self) -> Scenario:
        """How all behave now."""
        return Scenario(seed=self.first.seed, smsc=tuple(self.form(name) for name in self._forms))

    def change(self, name: str, new: SmscForm, where: str = "") -> None:
        """Have one SMSC behave otherwise from now on. Raises FormError, having changed nothing."""
        smsc = self.get(name)
        check_change(self.form(name), new, where)
        smsc.change(config_of(new, host=smsc.config.host, seed=smsc.seed, is_journalled=smsc.config.is_journalled))
        self._forms[smsc.config.name] = new

    def change_all(self, document: object) -> None:
        """Put another scenario in force for the SMSCs it names; the others stay as they are. Raises FormError."""
        wanted = form.read(Scenario, document)
        for place, one in enumerate(wanted.smsc):
            if one.name not in self._smscs:
                raise FormError(f"smsc[{place}].name", f"there is no {one.name}; there are {', '.join(self._smscs)}")
            check_change(self.form(one.name), one, f"smsc[{place}]")
        for one in wanted.smsc:
            self.change(one.name, one)

    async def start(self) -> None:
        """Open every port. Raises OSError, and FormError for a bad file of MO; nothing stays open then."""
        started: list[Smsc] = []
        try:
            for smsc in self:
                await smsc.start()
                started.append(smsc)
        except (OSError, FormError):
            for smsc in started:
                smsc.kill()
            raise

    async def stop(self) -> None:
        """Close every port and unbind everybody."""
        for smsc in self:
            await smsc.stop()
