"""Accepting an MT: a submission becomes a message with its segments and its charge, in one transaction.

The decisions (service, encoding, parts, price, expiry) are pure and made before; the transaction holds the price, drops what the
subscriber opted out of, and writes the rows. A message whose link has room is written as already claimed, so that it can leave
the moment the commit is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from billing import book, bulk
from billing.event import BillableEvent, Direction, Payer
from gateway.domain.address import TON_INTERNATIONAL, Address
from gateway.domain.admission import day_of
from gateway.domain.failure import Refused
from gateway.domain.fairness import URGENT_PRIORITY, queue_of
from gateway.domain.message import Flight, Front, Message, State, UnknownOutcome
from gateway.domain.quiet import Quiet
from gateway.domain.target import target_of
from gateway.services import priced
from gateway.services.catalogue import Catalogue, Service
from gateway.services.parts import Parting
from gateway.services.rating import NO_FACTS, Facts, Rated
from gateway.store import messages, options, usage
from gateway.store.options import Option
from gateway.store.schema import opt_out


class Sender(NamedTuple):
    """Who submits, and the wallet that pays; `wallets` are all it has, as (currency, account), where a price may be in any of them."""

    front: int
    wallet: int | None
    partner_id: int | None = None
    im_account: int | None = None
    im_message_id: int | None = None
    partner: str = ""  # its name, for routing
    wallets: tuple[tuple[str, int], ...] = ()  # the one it was made with first


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
    tlvs: bytes = b""  # to pass on, as they stand in a PDU
    replaces: bool = False  # replace_if_present_flag
    mo_link_id: str = ""  # the MO that asked for it
    replace_typographic: bool | None = None  # to stay in GSM 7-bit; None: as its partner's policy, then the service says


class Pricing:
    """A tariff's price of one draft; the transaction that accepts it writes down what it is in the end."""

    __slots__ = ("asked", "rated")

    def __init__(self, rated: Rated) -> None:
        self.asked = rated
        self.rated = rated


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
    option: Option | None = None  # what few messages have
    pricing: Pricing | None = None  # where a tariff has more to say than its event's own columns

    @property
    def charged(self) -> BillableEvent:
        """The event as it was accepted: its counters may have made it cheaper."""
        return self.event if self.pricing is None else self.pricing.rated.event

    def flights(self) -> list[Flight]:
        """The segments as they go to the link."""
        message, event = self.message, self.charged
        attempts = 1 if self.is_claimed else 0
        tlvs = b"" if self.option is None else self.option.tlvs or b""
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
                tlvs=tlvs,
                queue=self.queue,
            )
            for number, body in enumerate(self.bodies, 1)
        ]


class Drafting:
    """Makes drafts."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._parting = Parting(catalogue)

    def draft(
        self,
        submission: Submission,
        message_id: int,
        now_us: int,
        now_s: float,
        *,
        link: str,
        reserve: Callable[[str, int, UnknownOutcome], bool],
        is_priced: bool = True,
    ) -> Draft:
        """Decide everything about a submission; `reserve(link, segments, policy)` says whether it may leave at once.

        Not priced by a tariff is what has its price already: a message that is written anew.

        Raises Refused with the field at fault.
        """
        service = self.service(submission.service)
        if service.quiet is not None:
            submission = _after_quiet(submission, service.quiet, now_us)
        encoding, data_coding, esm_class, bodies, short_messages = self._parting.parts(submission, service, link)
        validity_us = service.validity_us if submission.validity_us is None else min(submission.validity_us, service.validity_us)
        sender, source, destination = submission.sender, submission.source, submission.destination
        message = Message(
            message_id,
            int(sender.front),  # a driver adapts an IntEnum anew for every row
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
            (submission.schedule_at or now_us) + validity_us,
        )
        event = _event(message, service, sender.wallet, link, short_messages)
        pricing = None
        if is_priced and (self._catalogue.rating.is_used or submission.mo_link_id):
            rated = self._rated(event, submission)
            event = rated.event
            if rated.rule is not None or rated.reason or rated.facts != NO_FACTS:
                pricing = Pricing(rated)
        if sender.wallets and event.currency != sender.wallets[0][0] and event.wallet == sender.wallet:
            event = event._replace(wallet=wallet_for(event, dict(sender.wallets).get(event.currency)))
        is_claimed = submission.schedule_at is None and reserve(link, len(bodies), service.unknown_outcome)
        queue = queue_of(sender.partner_id, submission.priority)
        # A message that leaves at once has no schedule, and no parts that may still be replaced.
        is_plain = is_claimed and submission.user_reference is None and not submission.tlvs
        option = None if is_plain else _option(message_id, submission, None if is_claimed else data_coding)
        return Draft(message, bodies, event, link, is_claimed, now_s, queue, submission.schedule_at, option, pricing)

    def _rated(self, event: BillableEvent, submission: Submission) -> Rated:
        """The price a tariff makes; what the gateway itself answers is no tariff's business."""
        if submission.sender.front == Front.GATEWAY:
            return Rated(event, Facts(mo_link_id=submission.mo_link_id or None))
        number = submission.destination.digits_or_name
        return self._catalogue.rating.rated(event, number, mo_link_id=submission.mo_link_id)

    def service(self, name: str) -> Service:
        """The service of this name, the first for none; raises Refused."""
        catalogue = self._catalogue
        service = catalogue.services.get(name or catalogue.default_service)
        if service is None:
            known = ", ".join(catalogue.services)
            raise Refused("unknown_service", f"there is no service {name!r}; known are: {known}", field="service")
        return service


def _option(message_id: int, submission: Submission, data_coding: int | None) -> Option | None:
    """The row of what few messages have, None for the others; `data_coding` of the parts, where they may still be replaced."""
    schedule_at, user_reference, tlvs = submission.schedule_at, submission.user_reference, submission.tlvs
    is_other = data_coding is not None and submission.text is None and submission.data_coding != data_coding
    given = submission.data_coding if is_other else None
    if schedule_at is None and user_reference is None and not tlvs and given is None:
        return None
    return Option(message_id, schedule_at, user_reference, tlvs or None, given)


def _after_quiet(submission: Submission, quiet: Quiet, now_us: int) -> Submission:
    """What falls into quiet hours is sent when they are over, unless it is urgent or answers its reader."""
    if submission.priority >= URGENT_PRIORITY or submission.sender.front == Front.GATEWAY:
        return submission
    over_at = quiet.over_at(submission.schedule_at or now_us)
    return submission if over_at is None else submission._replace(schedule_at=over_at)


def _event(message: Message, service: Service, wallet: int | None, link: str, short_messages: int) -> BillableEvent:
    quantity = short_messages if service.is_per_part else 1
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
        short_messages,
        quantity,
        service.unit_price_minor,
        quantity * service.unit_price_minor,
        service.currency,
        service.tariff_version,
        service.tariff_rule,
    )


def wallet_for(event: BillableEvent, found: int | None) -> int | None:
    """The wallet that pays an event: the one found in its currency, or none for what is free; raises Refused (`no_wallet`)."""
    if found is None and event.amount_minor:
        currency = event.currency
        raise Refused(
            "no_wallet", f"the price is in {currency}, and there is no wallet in {currency} to pay it; nothing was sent or charged"
        )
    return found


_SUBMITTING, _ACCEPTED = int(State.SUBMITTING), int(State.ACCEPTED)


class Accepting:
    """The accept operation of the writer."""

    def __init__(self, revenue_account: int, metered: Collection[int] = (), catalogue: Catalogue | None = None) -> None:
        self._revenue = revenue_account
        self._catalogue = catalogue
        self._metered = metered  # partners whose messages are counted by day

    def accept_many(self, conn: Connection, drafts: Sequence[Draft]) -> list[Refused | None]:
        """Write the drafts that may be sent; None for each that is now on disk, else why not: of that one nothing was written."""
        answers: list[Refused | None] = [None] * len(drafts)
        stopped = _opted_out(conn, drafts)
        if stopped:
            for place, draft in enumerate(drafts):
                if (draft.message.destination, draft.message.source) in stopped:
                    answers[place] = Refused("opted_out", "the subscriber has opted out of messages from this sender", field="to")
        open_places = [place for place, answer in enumerate(answers) if answer is None]
        for place, is_held in zip(open_places, self._hold(conn, [drafts[place] for place in open_places]), strict=True):
            if not is_held:
                answers[place] = Refused("no_credit", "the credit does not cover this message; nothing was sent or charged", field="")
        accepted = [draft for draft, answer in zip(drafts, answers, strict=True) if answer is None]
        _insert(conn, accepted)
        if self._metered:
            self._count(conn, accepted)
        return answers

    def _hold(self, conn: Connection, drafts: Sequence[Draft]) -> list[bool]:
        if not drafts:
            return []
        if self._catalogue is None or (not self._catalogue.rating.is_used and all(draft.pricing is None for draft in drafts)):
            events = [draft.event for draft in drafts]
            revenues = book.NO_REVENUES if self._catalogue is None else self._catalogue.revenues
            return book.hold_many(conn, events, revenue=self._revenue, revenues=revenues, now_us=events[0].event_at)
        return priced.hold_all(conn, self._catalogue.rating, drafts, self._revenue, self._catalogue.revenues)

    def _count(self, conn: Connection, accepted: Sequence[Draft]) -> None:
        metered = self._metered
        messages = [draft.message for draft in accepted if draft.message.partner_id in metered]
        usage.add(conn, Counter((each.partner_id, day_of(each.accepted_at)) for each in messages if each.partner_id is not None))


def _insert(conn: Connection, drafts: Sequence[Draft]) -> None:
    claimed: list[tuple[Any, ...]] = []
    queued: list[tuple[Any, ...]] = []
    for draft in drafts:
        message, link, queue = draft.message, draft.link, draft.queue
        message_id, expires_at = message.id, message.expires_at
        if draft.is_claimed:
            for number, body in enumerate(draft.bodies, 1):
                claimed.append((message_id + number, _SUBMITTING, link, body, 1, expires_at, message.accepted_at, queue))
            continue
        # Only an ESME looks for a message by its addresses, and only among those that wait.
        target = target_of(message.service, message.source, message.destination) if message.front == Front.SMPP else None
        for number, body in enumerate(draft.bodies, 1):
            queued.append((message_id + number, _ACCEPTED, link, body, 0, expires_at, None, queue, target, draft.schedule_at))
    messages.insert(conn, [draft.message for draft in drafts], queued, claimed)
    options.insert(conn, [draft.option for draft in drafts if draft.option is not None])


_OPT_OUTS = select(opt_out.c.msisdn, opt_out.c.short_code).where(opt_out.c.msisdn.in_(bindparam("msisdns", expanding=True)))
_ANY_OPT_OUT = "SELECT 1 FROM opt_out LIMIT 1"
_KEYS_A_QUERY = 500


def _opted_out(conn: Connection, drafts: Sequence[Draft]) -> set[tuple[str, str]]:
    """Which (destination, source) of these are stopped: the code opted out of, or any address under it."""
    if not bulk.read(conn, _ANY_OPT_OUT):
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
