"""How each simulated carrier behaves, drawn from the seed: how it writes ids and receipts. The gateway is told little."""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.smpp import pdu as p
from gateway.smpp.consts import Tag
from simulators.id_habits import HABITS
from simulators.smsc_chance import Mix
from simulators.smsc_dialects import DIALECTS
from simulators.smsc_rule import STATES, Rule
from simulators.world import Sim

# What a link must be told, or it could not read the receipts.
LINK_DIALECTS = {"untyped": "text", "hex-err": "hex-err"}
_CERTAIN = (("DELIVRD", 80.0), ("DELIVRD+UNDELIV", 10.0), ("ACCEPTD+DELIVRD", 10.0))
_MIXED = (*_CERTAIN, ("UNDELIV", 5.0), ("REJECTD", 2.0), ("EXPIRED", 2.0), ("UNDELIV+DELIVRD", 6.0), ("none", 2.0))
_GAP_MS = 700
_ID = re.compile(r"\bid:([^ ]+)", re.IGNORECASE)
_STAT = re.compile(r"\bstat:([A-Z]+)", re.IGNORECASE)


class Manners(NamedTuple):
    """One carrier's ways."""

    habit: str
    usual: Rule
    is_shuffling: bool

    @property
    def link_dialect(self) -> str:
        """The dialect that the link to it is configured with."""
        return LINK_DIALECTS.get(self.usual.dialect, "standard")


def manners_of(sim: Sim, carrier: str) -> Manners:
    """The manners of a carrier: the same whenever they are asked for."""
    numbers = sim.stream("manners", carrier)
    is_calm = not sim.plan.intensity
    habit = numbers.choice(sorted(HABITS))
    stats = numbers.choice([None, None, Mix(_CERTAIN if is_calm else _MIXED)])
    shuffle = numbers.choice([0, 0, 0, 3])
    if is_calm and shuffle:
        stats = None  # the later of two that contradict each other might come first
    usual = Rule(
        dialect=numbers.choice(sorted(DIALECTS)) if numbers.random() < 0.6 else "plain",
        receipt_bind=numbers.choice(["same", "other"]),
        receipt_shuffle=shuffle,
        stats=stats,
        receipt_gap_ms=_GAP_MS if stats is not None else 0,
    )
    return Manners(habit, usual, bool(shuffle))


class Told(NamedTuple):
    """What a receipt says, read by its plain text and its parameters: an id, and a final stat or "" for one that settles nothing."""

    id: str
    stat: str


def told_by(pdu: p.DeliverSm) -> Told:
    """Read a receipt of ours; the id of anything else is empty."""
    octets = pdu.short_message or pdu.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
    text = octets.decode("utf-16-be" if pdu.data_coding == 8 else "latin-1", "replace")
    in_text = _ID.search(text)
    parameter = pdu.tlvs.get(0x001E, b"").rstrip(b"\0").decode("latin-1")
    state = pdu.tlvs.get(0x0427)
    if state is not None:
        stat = next(name for name, number in STATES.items() if number == state[0])
    else:
        found = _STAT.search(text)
        stat = found[1].upper() if found is not None else ""
    final = next((name for name in ("DELIVRD", "UNDELIV", "EXPIRED", "REJECTD", "DELETED") if stat[:6] == name[:6]), "")
    return Told(parameter or (in_text[1] if in_text is not None else ""), final)
