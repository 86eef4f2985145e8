"""Accepting an MT: a submission becomes a message with its segments and its charge, in one transaction.

The decisions (service, encoding, parts, price, expiry) are pure and made before; the transaction holds the price, drops what the
subscriber opted out of, and writes the rows. A message whose link has room is written as already claimed, so that it can leave
the moment the commit is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from billing import book
from billing.event import BillableEvent, Direction, Payer
from gateway.domain.address import TON_INTERNATIONAL, Address
from gateway.domain.failure import Refused
from gateway.domain.fairness import queue_of
from gateway.domain.message import Flight, Message, State, UnknownOutcome
from gateway.services.catalogue import Catalogue, Service
from gateway.sms import segments as text_segments
from gateway.sms.content import text_of
from gateway.sms.errors import TextError, TooManyParts
from gateway.store import messages
from gateway.store.schema import opt_out

UDHI = 0x40
OCTETS_MAX = 140
SEPTETS_MAX = 160
ENCODING_GSM7, ENCODING_UCS2, ENCODING_AS_GIVEN = 0, 1, 2
_ENCODING_NUMBERS = {"gsm7": ENCODING_GSM7, "ucs2": ENCODING_UCS2}
ENCODING_NAMES = {ENCODING_GSM7: "gsm7", ENCODING_UCS2: "ucs2", ENCODING_AS_GIVEN: "binary"}
_REFERENCES_MAX = 10_000


class Sender(NamedTuple):
    """Who submits, and the wallet that pays."""

    front: int
    wallet: int | None
    partner_id: int | None = None
    im_account: int | None = None
    im_message_id: int | None = None


class Submission(NamedTuple):
    """What a front asks to be sent: a text, or octets with their data_coding."""

    sender: Sender
    source: Address
    destination: Address
    service: str
    text: str | None
    body: bytes = b""
    data_coding: int = 0
    esm_class: int = 0
    protocol_id: int = 0
    priority: int = 0
    registered_delivery: int = 0
    validity_us: int | None = None
    reference: str | None = None
    schedule_at: int | None = None  # UTC µs; not sent before
    user_reference: int | None = None  # given back in receipts
    tlvs: bytes = b""  # vendor TLVs to pass on, as they stand in a PDU
    replaces: bool = False  # replace_if_present_flag


class Draft(NamedTuple):
    """A submission with everything decided, ready to be written."""

    message: Message
    bodies: tuple[bytes, ...]
    event: BillableEvent
    link: str
    is_claimed: bool
    accepted_s: float  # monotonic
    queue: int = 0  # domain.fairness.queue_of: whose turn it takes
    schedule_at: int | None = None

    def flights(self) -> list[Flight]:
        """The segments as they go to the link."""
        message, event = self.message, self.event
        attempts = 1 if self.is_claimed else 0
        return [
            Flight(
                message.id + number,
                message,
                body,
                self.link,
                attempts=attempts,
                wallet=event.wallet,
                held_minor=event.amount_minor,
                accepted_s=self.accepted_s,
                queue=self.queue,
            )
            for number, body in enumerate(self.bodies, 1)
        ]


class Drafting:
    """Makes drafts; keeps the last concatenation reference of recent destinations, so that parts of two messages never mix."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._references: dict[str, int] = {}

    def draft(
        self,
        submission: Submission,
        message_id: int,
        now_us: int,
        now_s: float,
        *,
        link: str,
        reserve: Callable[[str, int, UnknownOutcome], bool],
    ) -> Draft:
        """Decide everything about a submission; `reserve(link, segments, policy)` says whether it may leave at once.

        Raises Refused with the field at fault.
        """
        service = self._service(submission.service)
        encoding, data_coding, esm_class, bodies = self._segments(submission, service)
        validity_us = service.validity_us if submission.validity_us is None else min(submission.validity_us, service.validity_us)
        sender, source, destination = submission.sender, submission.source, submission.destination
        message = Message(
            message_id,
            sender.front,
            sender.partner_id,
            sender.im_account,
            sender.im_message_id,
            service.name,
            source.digits_or_name,
            source.ton,
            source.npi,
            destination.digits_or_name,
            destination.ton,
            destination.npi,
            encoding,
            data_coding,
            esm_class,
            submission.protocol_id,
            submission.priority,
            submission.registered_delivery,
            len(bodies),
            submission.reference,
            now_us,
            now_us + validity_us,
        )
        event = _event(message, service, sender.wallet, link)
        is_claimed = submission.schedule_at is None and reserve(link, len(bodies), service.unknown_outcome)
        queue = queue_of(sender.partner_id, submission.priority)
        return Draft(message, bodies, event, link, is_claimed, now_s, queue, submission.schedule_at)

    def _service(self, name: str) -> Service:
        catalogue = self._catalogue
        service = catalogue.services.get(name or catalogue.default_service)
        if service is None:
            known = ", ".join(catalogue.services)
            raise Refused("unknown_service", f"there is no service {name!r}; known are: {known}", field="service")
        return service

    def _segments(self, submission: Submission, service: Service) -> tuple[int, int, int, tuple[bytes, ...]]:
        text, body = submission.text, submission.body
        if text is None:
            if submission.esm_class & UDHI or len(body) <= (SEPTETS_MAX if submission.data_coding == 0 else OCTETS_MAX):
                return ENCODING_AS_GIVEN, submission.data_coding, submission.esm_class, (body,)
            text = text_of(submission.data_coding, body)
            if text is None:
                return self._octet_segments(submission, service)
        destination = submission.destination.digits_or_name
        try:
            split = text_segments.split(text, reference=self._references.get(destination, 0), parts_max=service.parts_max)
        except TooManyParts as error:
            raise Refused("too_long", f"{error}; nothing was cut or sent", field="text") from None
        except TextError as error:
            raise Refused("bad_text", str(error), field="text") from None
        if split.udhi:
            self._turn_reference(destination)
        esm_class = submission.esm_class | UDHI if split.udhi else submission.esm_class
        return _ENCODING_NUMBERS.get(split.encoding, ENCODING_AS_GIVEN), split.data_coding, esm_class, split.parts

    def _octet_segments(self, submission: Submission, service: Service) -> tuple[int, int, int, tuple[bytes, ...]]:
        destination = submission.destination.digits_or_name
        try:
            split = text_segments.split_octets(submission.body, reference=self._references.get(destination, 0), parts_max=service.parts_max)
        except TooManyParts as error:
            raise Refused("too_long", f"{error}; nothing was cut or sent", field="text") from None
        self._turn_reference(destination)
        return ENCODING_AS_GIVEN, submission.data_coding, submission.esm_class | UDHI, split.parts

    def _turn_reference(self, destination: str) -> None:
        turned = self._references.pop(destination, 0) + 1
        self._references[destination] = turned & 0xFF
        if len(self._references) > _REFERENCES_MAX:
            del self._references[next(iter(self._references))]


def _event(message: Message, service: Service, wallet: int | None, link: str) -> BillableEvent:
    quantity = message.segments if service.is_per_part else 1
    is_handset = message.destination_ton == TON_INTERNATIONAL
    return BillableEvent(
        message.id,
        Direction.MT,
        message.accepted_at,
        service.name,
        service.fee_class,  # type: ignore[arg-type]  # stored as the plain integer it is
        Payer.SP if message.partner_id is not None else Payer.SOURCE,
        wallet,
        link,
        message.source,
        None,
        message.destination if is_handset else None,
        message.im_account,
        message.segments,
        quantity,
        service.unit_price_minor,
        quantity * service.unit_price_minor,
        service.currency,
        service.tariff_version,
        service.tariff_rule,
    )


class Accepting:
    """The accept operation of the writer."""

    def __init__(self, revenue_account: int) -> None:
        self._revenue = revenue_account

    def accept_many(self, conn: Connection, drafts: Sequence[Draft]) -> list[Refused | None]:
        """Write the drafts that may be sent; None for each that is now on disk, else why not: of that one nothing was written."""
        answers: list[Refused | None] = [None] * len(drafts)
        stopped = _opted_out(conn, drafts)
        if stopped:
            for place, draft in enumerate(drafts):
                if (draft.message.destination, draft.message.source) in stopped:
                    answers[place] = Refused("opted_out", "the subscriber has opted out of messages from this sender", field="to")
        open_places = [place for place, answer in enumerate(answers) if answer is None]
        events = [drafts[place].event for place in open_places]
        held = book.hold_many(conn, events, revenue=self._revenue, now_us=events[0].event_at) if events else []
        for place, is_held in zip(open_places, held, strict=True):
            if not is_held:
                answers[place] = Refused("no_credit", "the credit does not cover this message; nothing was sent or charged", field="")
        _insert(conn, [draft for draft, answer in zip(drafts, answers, strict=True) if answer is None])
        return answers


def _insert(conn: Connection, drafts: Sequence[Draft]) -> None:
    rows = []
    for draft in drafts:
        message, is_claimed = draft.message, draft.is_claimed
        state = int(State.SUBMITTING if is_claimed else State.ACCEPTED)
        for number, body in enumerate(draft.bodies, 1):
            attempts, claimed_at = (1, message.accepted_at) if is_claimed else (0, None)
            queue, due_at = draft.queue, draft.schedule_at
            rows.append((message.id + number, state, draft.link, body, attempts, message.expires_at, claimed_at, queue, None, due_at))
    messages.insert(conn, [draft.message for draft in drafts], rows)


_OPT_OUTS = select(opt_out.c.msisdn, opt_out.c.short_code).where(opt_out.c.msisdn.in_(bindparam("msisdns", expanding=True)))
_ANY_OPT_OUT = "SELECT 1 FROM opt_out LIMIT 1"
_KEYS_A_QUERY = 500


def _opted_out(conn: Connection, drafts: Sequence[Draft]) -> set[tuple[str, str]]:
    """Which (destination, source) of these are stopped: the code opted out of, or any address under it."""
    if conn.exec_driver_sql(_ANY_OPT_OUT).first() is None:
        return set()
    destinations = sorted({draft.message.destination for draft in drafts})
    stops: dict[str, list[str]] = {}
    for start in range(0, len(destinations), _KEYS_A_QUERY):
        for msisdn, code in conn.execute(_OPT_OUTS, {"msisdns": destinations[start : start + _KEYS_A_QUERY]}):
            stops.setdefault(msisdn, []).append(code)
    return {
        (message.destination, message.source)
        for message in (draft.message for draft in drafts)
        if any(message.source.startswith(code) for code in stops.get(message.destination, ()))
    }
