"""The charges of a month as rows, in the order of their events: what partners send, chats, MOs, what the carrier collects, and refunds.

Everything follows from the seed. Each event has a slot of time of its own, so ids and places in the journal need no counter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from billing.carriers import Carriers
from billing.event import ChargeState, Direction, FeeClass, Payer, RecordType, TransferState
from gateway.domain.ids import SEGMENT_MAX, id_floor
from gateway.domain.message import Front
from simulators.streams import stream

CHARGE_COLUMNS = (
    *("id", "event_id", "record_type", "state", "direction", "event_at", "booked_at", "journal_seq", "service", "fee_class", "payer"),
    *("wallet", "link", "short_code", "charged_msisdn", "peer_msisdn", "im_account", "parts", "parts_charged", "quantity"),
    *("unit_price_minor", "amount_minor", "currency", "tariff_version", "tariff_rule", "delivery_status", "delivery_time"),
    *("network_error", "smsc_message_ids", "carrier", "period", "item", "provider", "mo_link_id", "subscription", "cycle"),
    *("corrects", "reason"),
)
TRANSFER_COLUMNS = (
    *("id", "cause", "debit_account", "credit_account", "amount_minor", "posted_minor", "currency", "state", "created_at", "settled_at"),
)
SEGMENT_COLUMNS = (
    *("id", "state", "link", "body", "attempts", "smsc_id", "expires_at", "claimed_at", "submitted_at", "done_at", "status", "error"),
    "message_state",
)
Row = tuple[Any, ...]

TARIFF = "load/1"
DAY_US = 86_400_000_000
# What is booked stands at a microsecond whose rest by this is its event's number: so no two share a place in the journal.
_BOOKING_SLOTS = 1_000_003
_RECENT = 256
_REFUND_ONE_IN = 200
_TEXT = b"What a message says is not what this month is about."
_STATS = {ChargeState.CAPTURED: "DELIVRD", ChargeState.RELEASED: "UNDELIV", ChargeState.EXPIRED: "EXPIRED"}
# Of a segment: its state, SMPP's message_state, its error.
_ENDS = {ChargeState.CAPTURED: (10, 2, "000"), ChargeState.RELEASED: (11, 5, "069"), ChargeState.EXPIRED: (12, 3, "validity period over")}
_PAID_BY_CARRIER, _BY_PARTNER, _BY_CHAT, _BY_NOBODY = range(4)


class Kind(NamedTuple):
    """One kind of event: how many of 1,000 are of it, who pays, and how it ends."""

    share: int
    direction: Direction
    service: str
    fee_class: FeeClass
    payer: Payer
    paid: int
    prices: tuple[int, ...] = (0,)
    state: ChargeState = ChargeState.CAPTURED


_MT, _MO, _DL = Direction.MT, Direction.MO, Direction.DL
_PART, _ITEM = FeeClass.PER_PART, FeeClass.PER_ITEM
KINDS = (
    Kind(400, _MT, "notify", _PART, Payer.SP, _BY_PARTNER, (5, 8)),
    Kind(25, _MT, "notify", _PART, Payer.SP, _BY_PARTNER, (5, 8), ChargeState.RELEASED),
    Kind(15, _MT, "notify", _PART, Payer.SP, _BY_PARTNER, (5, 8), ChargeState.EXPIRED),
    Kind(120, _MT, "alert", FeeClass.PER_MSG, Payer.SP, _BY_PARTNER, (12,)),
    Kind(40, _MT, "welcome", FeeClass.FREE, Payer.SP, _BY_NOBODY),
    Kind(120, _MT, "chat", _PART, Payer.SOURCE, _BY_CHAT, (10,)),
    Kind(10, _MT, "chat", _PART, Payer.SOURCE, _BY_CHAT, (10,), ChargeState.RELEASED),
    Kind(150, _MO, "chat", FeeClass.FREE, Payer.OTHER, _BY_NOBODY),
    Kind(50, _MT, "horoscope", FeeClass.PER_MSG, Payer.DEST, _PAID_BY_CARRIER, (100, 200)),
    Kind(40, _DL, "ringtones", _ITEM, Payer.DEST, _PAID_BY_CARRIER, (200, 300, 500)),
    Kind(30, _DL, "news", FeeClass.MONTHLY, Payer.DEST, _PAID_BY_CARRIER, (500, 800)),
)
_PROVIDERS = {"horoscope": "starlight", "ringtones": "melody", "news": "gazette"}
_ITEMS = 400
_BY_LOT = tuple(kind for kind in KINDS for _ in range(kind.share))
_LOTS = len(_BY_LOT)
# How many parts a message has, by lot: few are long, fewer longer.
_PARTS = (1,) * 52 + (2,) * 8 + (3,) * 3 + (4,)


class Payers(NamedTuple):
    """Accounts that are there before the month begins."""

    partners: tuple[tuple[int, int], ...]  # (partner, wallet)
    chatters: tuple[tuple[int, int], ...]  # (account number, wallet)
    revenue: int
    receivable: int


class Plan(NamedTuple):
    """What month to make."""

    charges: int
    seed: int
    from_us: int
    to_us: int
    before_us: int  # nothing is booked after it
    carrier: str
    links: tuple[str, ...]
    currency: str
    month: int
    with_messages: bool


class Chunk:
    """Rows that belong into one transaction, by table, and what they do to wallets."""

    def __init__(self) -> None:
        self.charges: list[Row] = []
        self.transfers: list[Row] = []
        self.messages: list[Row] = []
        self.segments: list[Row] = []
        self.mos: list[Row] = []
        self.posted: dict[int, int] = {}

    def post(self, wallet: int, minor: int) -> None:
        self.posted[wallet] = self.posted.get(wallet, 0) + minor


class Month:
    """Makes the rows of a plan, chunk by chunk, in flat memory."""

    def __init__(self, plan: Plan, payers: Payers, carriers: Carriers) -> None:
        self._plan = plan
        self._payers = payers
        self._carriers = carriers
        self._gap_us = (plan.to_us - plan.from_us) // plan.charges
        assert self._gap_us >= 4, "too many charges for a month"
        self._bits = stream(plan.seed, "month", plan.month, plan.carrier).getrandbits
        self._recent: deque[Row] = deque(maxlen=_RECENT)  # charges that a refund may be for

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All of the month; a refund is one of the charges."""
        chunk, made = Chunk(), 0
        number = 0
        while made < self._plan.charges:
            self._add_event(chunk, number)
            made += 1
            if made < self._plan.charges and self._recent and self._bits(16) % _REFUND_ONE_IN == 0:
                self._add_refund(chunk, number)
                made += 1
            number += 1
            if len(chunk.charges) >= size:
                yield chunk
                chunk = Chunk()
        if chunk.charges:
            yield chunk

    def _add_event(self, chunk: Chunk, number: int) -> None:
        bits = self._bits(64)
        kind = _BY_LOT[(bits & 0xFFFF) * _LOTS >> 16]
        _, direction, service, fee_class, payer, paid, prices, state = kind
        plan = self._plan
        at = plan.from_us + number * self._gap_us + (bits >> 16 & 0xFFFF) % (self._gap_us - 2)
        booked_at = self._booked_at(number, at, bits, state)
        event_id = id_floor(at)
        phone = f"86138{(bits >> 32) % 100_000_000:08d}"
        parts = _PARTS[bits >> 48 & 63] if direction is not _DL else 1
        quantity = parts if fee_class is _PART else 1
        unit = prices[(bits >> 54) % len(prices)]
        is_captured = state is ChargeState.CAPTURED
        held = unit * quantity
        amount = held if is_captured else 0
        final = ChargeState.ZERO_RATED if is_captured and not held else state
        link = plan.links[(bits >> 58) % len(plan.links)]
        smsc_ids = [f"{event_id >> 13:X}{part:02X}" for part in range(parts)] if direction is _MT else []
        im_account = partner = wallet = None
        short_code = "10661700"
        if paid == _BY_PARTNER:
            partner, wallet = self._payers.partners[(bits >> 40) % len(self._payers.partners)]
            short_code = "10690001"
        elif paid == _BY_CHAT:
            im_account, wallet = self._payers.chatters[(bits >> 40) % len(self._payers.chatters)]
        is_carriers = paid == _PAID_BY_CARRIER
        is_monthly = fee_class is FeeClass.MONTHLY
        row = (
            *(event_id, event_id, 0, int(final), int(direction), at, booked_at, id_floor(booked_at), service, int(fee_class), int(payer)),
            *(wallet, link, short_code, phone if is_carriers or direction is _MO else None),
            *(short_code if direction is _MO else phone, im_account, parts, parts if is_captured else 0, quantity),
            *(unit, amount, plan.currency, TARIFF, f"service:{service}", _STATS[state], booked_at - 100_000),
            *("000" if is_captured else _ENDS[state][2], ";".join(smsc_ids) or None, plan.carrier, self._day(at)),
            *(f"item-{(bits >> 36) % _ITEMS:03d}" if fee_class is _ITEM else None, _PROVIDERS.get(service)),
            *(f"{bits >> 44:05X}" if service == "horoscope" else None, None),  # the carrier's own monthly fee: no subscription of ours
            *(plan.month if is_monthly else None, None, None),
        )
        chunk.charges.append(row)
        if wallet is not None and held:
            done = TransferState.POSTED if is_captured else TransferState.VOIDED if state is ChargeState.RELEASED else TransferState.EXPIRED
            chunk.transfers.append(
                (event_id, None, wallet, self._payers.revenue, held, amount, plan.currency, int(done), at, booked_at)  # as hold and settle
            )
            if amount:
                chunk.post(wallet, -amount)
        if amount and not bits >> 60:
            self._recent.append(row)
        if plan.with_messages and direction is not _DL:
            self._add_message(chunk, row, kind, partner, smsc_ids)

    def _booked_at(self, number: int, at: int, bits: int, state: ChargeState) -> int:
        """Seconds later; for one in fifty hours, and for what expired a day."""
        lot = bits >> 24 & 0xFFFF
        delay = DAY_US if state is ChargeState.EXPIRED else lot * 600_000 if lot % 50 == 0 else 300_000 + lot * 400
        slot = at + delay + (number - at - delay) % _BOOKING_SLOTS
        if slot > self._plan.before_us:
            slot = at + (number - at) % _BOOKING_SLOTS
        return slot

    def _day(self, at: int) -> int:
        return self._carriers.day(self._plan.carrier, at)

    def _add_refund(self, chunk: Chunk, number: int) -> None:
        """Half or all of what an earlier event cost, where it was paid from."""
        original = self._recent.popleft()
        facts = dict(zip(CHARGE_COLUMNS, original, strict=True))
        at = self._plan.from_us + (number + 1) * self._gap_us - 1
        amount = facts["amount_minor"] if self._bits(1) or facts["amount_minor"] == 1 else facts["amount_minor"] // 2
        id_ = id_floor(at) | SEGMENT_MAX
        facts |= {"id": id_, "record_type": int(RecordType.REFUND), "state": int(ChargeState.CAPTURED), "booked_at": at, "journal_seq": id_}
        facts |= {"parts_charged": 0, "quantity": 1, "unit_price_minor": -amount, "amount_minor": -amount, "period": self._day(at)}
        facts |= dict.fromkeys(("delivery_status", "delivery_time", "network_error", "smsc_message_ids"))
        facts |= {"corrects": original[0], "reason": "complaint"}
        chunk.charges.append(tuple(facts.values()))
        wallet = facts["wallet"]
        credit = self._payers.receivable if wallet is None else wallet
        cause = f"refund:load:{original[0]}"
        posted = int(TransferState.POSTED)
        chunk.transfers.append((id_, cause, self._payers.revenue, credit, amount, amount, self._plan.currency, posted, at, at))
        if wallet is not None:
            chunk.post(wallet, amount)

    def _add_message(self, chunk: Chunk, row: Row, kind: Kind, partner: int | None, smsc_ids: list[str]) -> None:
        event_id, at, booked_at, link, short_code, parts = row[0], row[5], row[6], row[12], row[13], row[17]
        if kind.direction is _MO:
            ends = (row[14], 1, 1, short_code, 0, 1)
            chunk.mos.append((event_id, link, *ends, 0, 0, parts, 0, _TEXT.decode(), _TEXT, "im", None, None, event_id, 0, at))
            return
        front = Front.IM if kind.paid == _BY_CHAT else Front.HTTP
        ends = (short_code, 0, 1, row[15], 1, 1)
        chunk.messages.append(
            (event_id, int(front), partner, row[16], None, kind.service, *ends, 0, 0, 0, 0, 0, 1, parts, None, at, at + DAY_US)
        )
        state, message_state, error = _ENDS[kind.state]
        for place, smsc_id in enumerate(smsc_ids, 1):
            times = (at + DAY_US, at, at + 200_000, booked_at)
            chunk.segments.append((event_id + place, state, link, _TEXT, 1, smsc_id, *times, 0, error, message_state))
