"""Mistakes in what people and late receipts do to the books, put into billing on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, select

from billing import approvals, book, corrections, refunds
from billing.booking import Booking, Place
from billing.corrections import Correction, Posted
from billing.event import RecordType
from billing.schema import transfer
from billing.tariff import rate
from billing.tariff.rule import PPM
from gateway.store import leaks


@contextmanager
def tax_of_a_price_rounded_down() -> Iterator[None]:
    """The tax that a price contains loses its fraction."""
    with patch.object(rate, "tax_in", lambda amount, ppm: amount * ppm // (PPM + ppm)):
        yield


@contextmanager
def tax_given_back_rounded_up() -> Iterator[None]:
    """Each part of a refund gives back its own tax, rounded up."""

    def tax(original: Any, _made: list[Any], leg: Any) -> int:
        if leg.record_type is RecordType.GOODWILL or leg.amount_minor > 0 or not original["amount_minor"]:
            return 0
        return int(original["tax_minor"] * leg.amount_minor // original["amount_minor"])

    with patch.object(refunds, "_tax", tax):
        yield


@contextmanager
def refund_twice() -> Iterator[None]:
    """A reference that was used before is as good as a new one."""
    original = corrections.post

    def post(conn: Connection, correction: Correction, *, into: Booking, now_us: int) -> Posted:
        if conn.execute(select(transfer.c.id).where(transfer.c.cause == correction.cause)).first() is not None:
            correction = correction._replace(cause=f"{correction.cause}/{correction.id}")
        return original(conn, correction, into=into, now_us=now_us)

    with patch.object(refunds, "_known", lambda _conn, _wish, _original: None), patch.object(corrections, "post", post):
        yield


@contextmanager
def refund_beyond_the_capture() -> Iterator[None]:
    """What was given back before is forgotten."""

    def remaining(original: Any, _made: list[Any]) -> int:
        return int(original["amount_minor"])

    with patch.object(refunds, "_remaining", remaining):
        yield


@contextmanager
def top_up_twice() -> Iterator[None]:
    """Each request brings money, whatever its reference."""
    original = book.top_up

    def top_up(conn: Connection, wallet: int, minor: int, reference: str, transfer_id: int, now_us: int) -> book.TopUp:
        if conn.execute(select(transfer.c.id).where(transfer.c.cause == f"topup:{reference}")).first() is not None:
            reference = f"{reference}/{transfer_id}"
        return original(conn, wallet, minor, reference, transfer_id, now_us)

    with patch.object(book, "top_up", top_up):
        yield


@contextmanager
def done_before_it_is_approved() -> Iterator[None]:
    """A request for a second person is written down, and its act is done at once."""
    original = approvals.ask

    def ask(conn: Connection, request: approvals.Request, *, limits: Any, new_id: Callable[[], int], now_us: int) -> Any:
        asked, is_new = original(conn, request, limits=limits, new_id=new_id, now_us=now_us)
        if is_new and request.kind == "refund":
            deed = approvals.Deed(request.payload, request.requested_by, "", Booking(), new_id, now_us)
            refunds._execute(conn, deed)
        return asked, is_new

    with patch.object(approvals, "ask", ask):
        yield


@contextmanager
def late_into_the_closed_day() -> Iterator[None]:
    """What is settled after its day was closed stands in that day all the same."""

    def place(self: Booking, carrier: Any, event_at: int, _now_us: int, _closed: dict[str, int]) -> Place:
        return Place(carrier.name, self.carriers.day(carrier.name, event_at), False)

    with patch.object(Booking, "_place", place):
        yield


@contextmanager
def late_price_of_the_whole() -> Iterator[None]:
    """One part that was delivered late is charged as all parts of its message."""
    original = leaks.late_price

    def late_price(state: int, fee_class: int, unit_price_minor: int, parts: int, *, is_counted: bool = False) -> int:
        return original(state, fee_class, unit_price_minor * parts, parts, is_counted=is_counted)

    with patch.object(leaks, "late_price", late_price):
        yield


ALL: dict[str, Callable[[], Any]] = {
    bug.__name__: bug
    for bug in (
        tax_of_a_price_rounded_down,
        tax_given_back_rounded_up,
        refund_twice,
        refund_beyond_the_capture,
        top_up_twice,
        done_before_it_is_approved,
        late_into_the_closed_day,
        late_price_of_the_whole,
    )
}
