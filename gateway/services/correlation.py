"""Which segment a receipt means: by the carrier's id, in the form in which its link writes ids, or by addresses and quoted text.

A link's form is learnt from a receipt that can mean one live segment only, to that handset; then its ids are looked up in that form
alone. Who receives many receipts that mean nothing in the learnt form forgets it and learns anew: carriers change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from gateway.domain.message import Flight, State
from gateway.smpp import id_forms
from gateway.smpp.id_forms import AS_IS, FORMS, Form
from gateway.sms.content import text_of
from gateway.store import ended, link_forms, messages
from gateway.store.ended import End
from gateway.store.link_forms import LinkForm

UDHI = 0x40
EXCERPT_CHARACTERS = 20
# So many receipts in a row that mean nothing make a learnt form doubtful: few where little agreed with it, more where much did.
MISSES_MIN, MISSES_MAX = 8, 100
NATIONAL_DIGITS_MIN, CERTAIN_CHARACTERS_MIN = 7, 8
_OF_TEXT = "text: "


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
    text_id: str = ""  # the id in the text, where receipted_message_id says another one
    ended_segment: int = 0  # the segment that an earlier receipt of this id ended
    is_asked: bool = False  # it is the answer to our question about `flight`, whose id is the response's


class Learnt:
    """A link's form, and how sure it is."""

    __slots__ = ("changed_at", "confirmed", "form", "is_of_text", "misses", "name", "saved")

    def __init__(self, name: str, confirmed: int, changed_at: int) -> None:
        self.name = name
        self.is_of_text = name.startswith(_OF_TEXT)
        plain = name.removeprefix(_OF_TEXT)
        self.form: Form | None = None if plain == AS_IS and not self.is_of_text else FORMS[plain]
        self.confirmed = confirmed
        self.saved = confirmed
        self.misses = 0
        self.changed_at = changed_at

    @property
    def is_doubtful(self) -> bool:
        return self.misses > min(MISSES_MAX, MISSES_MIN + self.confirmed)

    def read(self, report: Report) -> str:
        """The id that the response gave, if the form still holds; empty when the receipt has no such id."""
        if self.form is None:
            return report.smsc_id
        return self.form((report.text_id or report.smsc_id) if self.is_of_text else report.smsc_id) or ""


class Correlation:
    """Finds the segments of receipts; belongs to the writer thread. `groups`: the links that share their receipts, by link."""

    def __init__(self, groups: Mapping[str, Sequence[str]] | None = None) -> None:
        self._groups = dict(groups or {})
        self._learnt: dict[str, Learnt] = {}
        self._is_loaded = False
        self._given: dict[tuple[str, str], str] = {}  # (link, receipt's id): the response's, where it was not found by the learnt form
        self._has_forgotten = False  # while the receipts of a batch are read
        self.changes = 0  # of what was learnt: receipts parked before one may mean something after it

    def links_of(self, link: str) -> Sequence[str]:
        """The links whose messages a link's receipts may mean."""
        return self._groups.get(link, (link,))

    def regroup(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Other links share their receipts now."""
        self._groups = dict(groups)
        self.changes += 1

    def forget(self, conn: Connection, link: str) -> None:
        """Learn a link's form anew, if its name comes again."""
        self._learnt.pop(link, None)
        self._has_forgotten = True
        link_forms.forget(conn, link)

    def load(self, conn: Connection) -> None:
        """Read what earlier runs learnt, once."""
        if self._is_loaded:
            return
        self._is_loaded = True
        for link, form, confirmed, changed_at in link_forms.all_forms(conn):
            if form.removeprefix(_OF_TEXT) in FORMS:
                self._learnt[link] = Learnt(form, confirmed, changed_at)

    def segments_of(self, conn: Connection, reports: Sequence[Report], *, is_again: bool = False) -> list[Flight | None]:
        """The live segment of each receipt, None where there is none or more than one; a receipt that comes again is no new evidence."""
        self.load(conn)
        self._given.clear()
        self._has_forgotten = False
        flights: list[Flight | None] = [None] * len(reports)
        asked: dict[int, str] = {}
        unread: set[int] = set()
        for place, report in enumerate(reports):
            learnt = self._learnt.get(report.link)
            if report.is_asked:
                flights[place] = report.flight
            elif learnt is None:
                unread.add(place)
            elif report.ended_segment:
                continue
            elif learnt.form is None and report.flight is not None:
                flights[place] = report.flight
                learnt.confirmed += 1
                learnt.misses = 0
            elif smsc_id := learnt.read(report):
                asked[place] = smsc_id
        if asked:
            self._look_up(conn, reports, asked, flights)
        for place, report in enumerate(reports):
            if flights[place] is not None or report.ended_segment:
                continue
            learnt = self._learnt.get(report.link)
            if learnt is not None and place in unread:
                # An earlier one of this batch has taught the form.
                flights[place] = report.flight if learnt.form is None else None
                self._look_up(conn, reports, {place: learnt.read(report)}, flights)
            flights[place] = flights[place] or self._search(conn, report, is_again=is_again)
        if self._has_forgotten:
            # What was found by a form that the same batch made doubtful was found all the same.
            for place, smsc_id in asked.items():
                if flights[place] is not None:
                    self._given.setdefault((reports[place].link, reports[place].smsc_id), smsc_id)
        self._save(conn)
        return flights

    def id_of(self, report: Report) -> str:
        """The id as the response gave it, as far as its form is known."""
        given = report.smsc_id if report.is_asked else self._given.get((report.link, report.smsc_id))
        learnt = self._learnt.get(report.link)
        if given is not None or learnt is None:
            return given or report.smsc_id
        return report.smsc_id if learnt.form is None else learnt.read(report) or report.smsc_id

    def meanings(self, report: Report) -> list[str]:
        """The ids of responses that a receipt may mean: one where its link's form is known."""
        learnt = self._learnt.get(report.link)
        if learnt is not None:
            return [each for each in (learnt.read(report),) if each]
        return list(dict.fromkeys(meant for _, meant in _all_meanings(report)))

    def end_of(self, conn: Connection, report: Report) -> End | None:
        """The segment that a receipt without a live one means, as far as that can be known: failed or expired ones only."""
        meant = self.meanings(report)
        return ended.undelivered(conn, self.links_of(report.link), meant, handset_of(report)) if meant else None

    def form_of(self, link: str) -> str | None:
        """The form learnt of a link."""
        learnt = self._learnt.get(link)
        return learnt.name if learnt is not None else None

    def _look_up(self, conn: Connection, reports: Sequence[Report], asked: Mapping[int, str], flights: list[Flight | None]) -> None:
        """Find by the learnt form: all receipts of a batch at once."""
        keys = [(link, smsc_id) for place, smsc_id in asked.items() for link in self.links_of(reports[place].link)]
        found = messages.find_by_smsc_ids(conn, keys)
        for place, smsc_id in asked.items():
            report = reports[place]
            learnt = self._learnt[report.link]
            flight = _only(found[link, smsc_id] for link in self.links_of(report.link) if (link, smsc_id) in found)
            if flight is not None and (learnt.form is None or flight.message.destination == handset_of(report)):
                flights[place] = flight
                learnt.confirmed += 1
                learnt.misses = 0

    def is_of(self, conn: Connection, report: Report, flight: Flight, smsc_id: str) -> bool:
        """Whether a receipt that came early means the segment which a response has named now."""
        learnt = self._learnt.get(report.link)
        if learnt is not None:
            is_strange = learnt.form is not None and flight.message.destination != handset_of(report)
            return learnt.read(report) == smsc_id and not is_strange
        named = report._replace(flight=flight) if (report.link, report.smsc_id) == (flight.link, smsc_id) else report
        found = self._in_any_form(conn, named)
        return found is not None and found.segment_id == flight.segment_id

    def _search(self, conn: Connection, report: Report, *, is_again: bool) -> Flight | None:
        """Where the learnt form says nothing: every form while there is none, then addresses and text."""
        learnt = self._learnt.get(report.link)
        if learnt is not None and not is_again:
            learnt.misses += 1
            if learnt.is_doubtful:
                self.forget(conn, report.link)
                learnt = None
        found = self._in_any_form(conn, report, learnt)
        return found or self._unknown_one(conn, report)

    def _in_any_form(self, conn: Connection, report: Report, learnt: Learnt | None = None) -> Flight | None:
        """The one live segment to this handset whose id the receipt may mean; its form is learnt.

        Where a form is known, those of its kin only: an id as wide as the padding looks like one that is not padded.
        """
        meant = [each for each in _all_meanings(report) if learnt is None or _are_kin(each[0], learnt.name)]
        links = self.links_of(report.link)
        found = messages.find_by_smsc_ids(conn, [(link, each) for _, each in meant for link in links])
        if report.flight is not None:
            found[report.link, report.smsc_id] = report.flight
        handset = handset_of(report)
        flight = _only(flight for flight in found.values() if flight.message.destination == handset)
        if flight is None:
            is_strange = not any(each.message.destination == handset for each in found.values())
            exact = _only(each for (_, given), each in found.items() if given == report.smsc_id) if is_strange else None
            flight = exact if exact is not None and _may_be_of(report, exact) else None
        if flight is not None:
            given = {given for (_, given), each in found.items() if each.segment_id == flight.segment_id}
            self._given[report.link, report.smsc_id] = next(iter(given))
            self._learn(report, next((name, each) for name, each in meant if each in given))
        return flight

    def _learn(self, report: Report, known: tuple[str, str]) -> None:
        name, given = known
        written = report.text_id if name.startswith(_OF_TEXT) else report.smsc_id
        if id_forms.is_telling(written, given):
            learnt = self._learnt[report.link] = Learnt(name, 0, report.at)
            learnt.confirmed = 1
            self.changes += 1

    def _save(self, conn: Connection) -> None:
        """Keep what was learnt: at once, and its count each time that it has doubled."""
        for link, learnt in self._learnt.items():
            if learnt.confirmed >= 2 * learnt.saved and learnt.confirmed:
                learnt.saved = learnt.confirmed
                link_forms.put(conn, LinkForm(link, learnt.name, learnt.confirmed, learnt.changed_at))

    def _unknown_one(self, conn: Connection, report: Report) -> Flight | None:
        """The one segment of unknown outcome between these addresses whose text the receipt quotes, if there is no other.

        The addresses alone prove nothing: the receipt may be another message's, sent again or ended long ago.
        """
        if not report.excerpt:
            return None
        found = [
            each
            for link in self.links_of(report.link)
            for each in messages.find_unanswered(conn, link, report.destination, handset_of(report))
        ]
        candidates = [(flight, state) for flight, state in found if _quotes(report.excerpt, flight)]
        if len(candidates) != 1 or candidates[0][1] != State.UNKNOWN:
            return None
        return candidates[0][0]


def handset_of(report: Report) -> str:
    """The handset as messages name it."""
    return report.source.lstrip("+")


def groups_of(named: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """From (link, name of its receipt group or nothing): per link of a group all its links, the link itself first."""
    pairs = [(link, group) for link, group in named if group]
    return {link: (link, *(other for other, same in pairs if same == group and other != link)) for link, group in pairs}


def _all_meanings(report: Report) -> list[tuple[str, str]]:
    """(form, id of the response) in the order of trust: receipted_message_id before the text."""
    meant = list(id_forms.meanings(report.smsc_id).items())
    if report.text_id:
        meant += [(_OF_TEXT + name, each) for name, each in id_forms.meanings(report.text_id).items()]
    return meant


def _are_kin(one: str, other: str) -> bool:
    is_same_place = one.startswith(_OF_TEXT) == other.startswith(_OF_TEXT)
    return is_same_place and id_forms.are_kin(one.removeprefix(_OF_TEXT), other.removeprefix(_OF_TEXT))


def _only(flights: Iterable[Flight]) -> Flight | None:
    """The one segment among these, None where there are none or two."""
    by_id = {flight.segment_id: flight for flight in flights}
    return next(iter(by_id.values())) if len(by_id) == 1 else None


def _may_be_of(report: Report, flight: Flight) -> bool:
    """Whether a receipt for another handset may be of a segment whose very id it has.

    COMPAT: some SMSCs do not swap the addresses, and some write the handset otherwise or not at all. An id that is long is no chance.
    """
    handset, message = handset_of(report), flight.message
    is_swapped = handset == message.source or not handset
    is_national = len(handset) >= NATIONAL_DIGITS_MIN and message.destination.endswith(handset.lstrip("0"))
    return is_swapped or is_national or len(report.smsc_id) >= CERTAIN_CHARACTERS_MIN


def _quotes(excerpt: str, flight: Flight) -> bool:
    """Whether a receipt's text is the first 20 characters of this segment's (SMPP 3.4 appendix B)."""
    message = flight.message
    text = None if message.esm_class & UDHI else text_of(message.data_coding, flight.body)
    return text is not None and text[:EXCERPT_CHARACTERS].strip() == excerpt
