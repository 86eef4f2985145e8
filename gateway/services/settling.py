"""What the end of a message does to its charge: of a long one, when its last segment has ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from billing import counters
from billing.event import BY_PART_CLASSES, ChargeState, Settlement
from billing.schema import charge
from billing.schema_tariff import tariff_use
from gateway.domain.message import FINAL, State, fold
from gateway.domain.verdict import STAT_OF_STATE
from gateway.store import messages
from gateway.store.messages import Ending, Part

_CHARGE_STATES = {State.DELIVERED: ChargeState.CAPTURED, State.FAILED: ChargeState.RELEASED, State.EXPIRED: ChargeState.EXPIRED}
_PRICES = (
    select(charge.c.id, charge.c.unit_price_minor, charge.c.fee_class, tariff_use.c.prices)
    .outerjoin(tariff_use, tariff_use.c.charge_id == charge.c.id)
    .where(charge.c.id.in_(bindparam("ids", expanding=True)))
)


class Whole(NamedTuple):
    """All segments of a long message at their end, and how its price was made."""

    segments: list[Part]
    unit_price_minor: int
    fee_class: int
    counted: str | None = None  # the prices of its units, where a rule counted them

    @property
    def is_per_part(self) -> bool:
        """Whether each part delivered is paid for itself."""
        return self.fee_class in BY_PART_CLASSES

    def price_of(self, delivered: int) -> int:
        """What so many parts cost that are paid for themselves: of counted ones, the first."""
        return self.unit_price_minor * delivered if self.counted is None else sum(counters.prices(self.counted)[:delivered])

    @property
    def state(self) -> State:
        """The message's state."""
        return fold(part.state for part in self.segments)

    @property
    def delivered(self) -> int:
        """How many parts were delivered."""
        return sum(1 for part in self.segments if part.state == State.DELIVERED)

    @property
    def error(self) -> str | None:
        """Why the first part that was not delivered was not."""
        return next((part.error for part in self.segments if part.state != State.DELIVERED and part.error), None)

    @property
    def message_state(self) -> int | None:
        """SMPP's word for the message: that of the first part which ended as the message did."""
        state = self.state
        return next((part.message_state for part in self.segments if part.state == state and part.message_state is not None), None)


def settle_short(ending: Ending, seq: int) -> Settlement:
    """The settlement of a message of one segment."""
    flight, state, done_at, _, error, smsc_id, _ = ending
    is_delivered = state is State.DELIVERED
    return Settlement(
        flight.message.id,
        _CHARGE_STATES[state],
        flight.wallet,
        flight.held_minor,
        flight.held_minor if is_delivered else 0,
        1 if is_delivered else 0,
        seq,
        STAT_OF_STATE[state],
        done_at,
        error,
        smsc_id,
        flight.link,
        flight.message.accepted_at,
    )


def whole_messages(conn: Connection, message_ids: Iterable[int]) -> dict[int, Whole]:
    """Of these long messages, those that are at their end now."""
    found = messages.states_of(conn, sorted(message_ids))
    ended = {message_id: parts for message_id, parts in found.items() if all(part.state >= FINAL for part in parts)}
    prices = {row[0]: row[1:] for row in conn.execute(_PRICES, {"ids": list(ended)})} if ended else {}
    return {message_id: Whole(parts, *prices[message_id]) for message_id, parts in ended.items()}


def settle_long(ending: Ending, seq: int, whole: Whole) -> Settlement:
    """Per part: what was delivered is paid. Per message: all of it must have been."""
    flight, parts, delivered, state = ending.flight, whole.segments, whole.delivered, whole.state
    charged = delivered if whole.is_per_part or delivered == len(parts) else 0
    if charged == len(parts):
        amount = flight.held_minor
    else:
        amount = whole.price_of(delivered) if whole.is_per_part else 0
    ids = ";".join(part.smsc_id for part in parts if part.smsc_id)
    return Settlement(
        flight.message.id,
        ChargeState.CAPTURED if charged else _CHARGE_STATES[state],
        flight.wallet,
        flight.held_minor,
        amount,
        charged,
        seq,
        STAT_OF_STATE[state],
        ending.done_at,
        whole.error,
        ids or None,
        flight.link,
        flight.message.accepted_at,
    )
