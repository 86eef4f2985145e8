"""Which segment a receipt means: by the carrier's id, by another form of that id, or by its addresses and the text it quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from gateway.domain.message import Flight, State
from gateway.sms.content import text_of
from gateway.store import messages

_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{1,32}", re.ASCII)
_ID_WIDTHS = (1, 8, 9, 10, 16, 19, 20)
UDHI = 0x40
EXCERPT_CHARACTERS = 20


class Report(NamedTuple):
    """A receipt from the carrier; `flight` where the loop still had it in hand."""

    link: str
    smsc_id: str
    message_state: int
    stat: str
    error: str | None
    source: str  # the handset
    destination: str  # our sender address
    at: int
    seq: int
    flight: Flight | None
    excerpt: str = ""  # the beginning of the message's text, where the receipt quotes it


class Correlation:
    """Finds the segments of receipts; belongs to the writer thread."""

    def __init__(self) -> None:
        self._exact: set[str] = set()  # links whose receipts have repeated an id as it was: there no other form is tried

    def segments_of(self, conn: Connection, reports: Sequence[Report]) -> list[Flight | None]:
        """The segment of each receipt: by its id, else by another form of its id, else by its addresses and what it quotes."""
        missing = [(report.link, report.smsc_id) for report in reports if report.flight is None]
        found = messages.find_by_smsc_ids(conn, missing) if missing else {}
        flights = [report.flight or found.get((report.link, report.smsc_id)) for report in reports]
        self._exact.update(report.link for report, flight in zip(reports, flights, strict=True) if flight is not None)
        for place, report in enumerate(reports):
            if flights[place] is None:
                other = None if report.link in self._exact else _in_other_form(conn, report)
                flights[place] = other or _unknown_one(conn, report)
        return flights


def _in_other_form(conn: Connection, report: Report) -> Flight | None:
    """The one live segment to this handset whose id the receipt may mean."""
    handset = report.source.lstrip("+")
    found = messages.find_by_smsc_ids(conn, [(report.link, form) for form in _other_forms(report.smsc_id)])
    meant = [flight for flight in found.values() if flight.message.destination == handset]
    return meant[0] if len(meant) == 1 else None


def _other_forms(smsc_id: str) -> list[str]:
    """COMPAT: SMSCs name a message in hexadecimal in submit_sm_resp and in decimal in its receipt, or the reverse, pad, or change case."""
    forms = {smsc_id.upper(), smsc_id.lower()}
    numbers = [int(smsc_id, 16)] if _HEXADECIMAL.fullmatch(smsc_id) else []
    if numbers and smsc_id.isdigit():
        numbers.append(int(smsc_id))
    for number in numbers:
        for written in (str(number), f"{number:X}", f"{number:x}"):
            forms.update(written.zfill(width) for width in _ID_WIDTHS)
    return sorted(forms - {smsc_id})


def _unknown_one(conn: Connection, report: Report) -> Flight | None:
    """The one segment of unknown outcome between these addresses whose text the receipt quotes, if there is no other.

    The addresses alone prove nothing: the receipt may be another message's, sent again or ended long ago.
    """
    if not report.excerpt:
        return None
    found = messages.find_unanswered(conn, report.link, report.destination, report.source)
    candidates = [(flight, state) for flight, state in found if _quotes(report.excerpt, flight)]
    if len(candidates) != 1 or candidates[0][1] != State.UNKNOWN:
        return None
    return candidates[0][0]


def _quotes(excerpt: str, flight: Flight) -> bool:
    """Whether a receipt's text is the first 20 characters of this segment's (SMPP 3.4 appendix B)."""
    message = flight.message
    text = None if message.esm_class & UDHI else text_of(message.data_coding, flight.body)
    return text is not None and text[:EXCERPT_CHARACTERS].strip() == excerpt
