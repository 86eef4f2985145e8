"""Mistakes put into the gateway on purpose, one at a time: the auditor must see each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, select

from billing import book
from billing.event import ChargeState, Settlement
from billing.schema import account
from gateway import wiring
from gateway.domain.message import Flight, UnknownOutcome
from gateway.links.smpp_carrier import CarrierSide
from gateway.services import correlation, outcome
from gateway.services.correlation import Report
from gateway.services.outcome import Outcome
from gateway.services.reception import Reception
from gateway.services.returns import Returns
from gateway.store import slots
from gateway.store.schema import slot

Bug = Callable[[], Any]


@contextmanager
def capture_without_receipt() -> Iterator[None]:
    """The charge is captured when the SMSC takes a message, whatever becomes of it."""
    original = Outcome.submit_many

    def submit_many(self: Outcome, conn: Connection, items: Sequence[outcome.Submitted]) -> Any:
        for item in items:
            if item.flight.message.segments == 1 and item.flight.held_minor:
                flight, seq = item.flight, item.seq + 1
                paid = (flight.wallet, flight.held_minor, flight.held_minor, 1, seq)
                settled = Settlement(flight.message.id, ChargeState.CAPTURED, *paid, "ACCEPTD", item.at, None, item.smsc_id, flight.link)
                book.settle_many(conn, [settled], now_us=item.at)
        return original(self, conn, items)

    with patch.object(Outcome, "submit_many", submit_many):
        yield


@contextmanager
def double_capture() -> Iterator[None]:
    """The wallet pays twice for what is captured once."""
    original = book.settle_many

    def settle_many(conn: Connection, settlements: Sequence[Settlement], *, now_us: int, **books: Any) -> list[bool]:
        took = original(conn, settlements, now_us=now_us, **books)
        for settlement, is_new in zip(settlements, took, strict=True):
            if is_new and settlement.amount_minor and settlement.wallet is not None:
                taken = account.c.posted_minor - settlement.amount_minor
                conn.execute(account.update().where(account.c.id == settlement.wallet).values(posted_minor=taken))
        return took

    with patch.object(book, "settle_many", settle_many):
        yield


@contextmanager
def acknowledge_before_commit() -> Iterator[None]:
    """A submission is answered while its commit is still under way."""
    original = Reception.submit

    def submit(self: Reception, submission: Any, done: Callable[[Any], None]) -> None:
        is_told = False

        def once(answer: Any) -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                done(answer)

        draft = self._draft

        def draft_and_answer(each: Any) -> Any:
            made = draft(each)
            event = made.event
            from gateway.services.reception import Accepted

            once(Accepted(made.message.id, made.message.segments, "gsm7", event.amount_minor, event.currency))
            return made

        with patch.object(self, "_draft", draft_and_answer):
            original(self, submission, once)

    with patch.object(Reception, "submit", submit):
        yield


@contextmanager
def lost_early_receipt() -> Iterator[None]:
    """A receipt that comes before its response is acknowledged and forgotten."""

    def park(_self: Outcome, _conn: Connection, _report: Report) -> None:
        return None

    with patch.object(Outcome, "_park", park):
        yield


@contextmanager
def wrong_thread() -> Iterator[None]:
    """A slot is looked up without asking whose phone it is."""

    def account_of(conn: Connection, _msisdn: str, short_code: str, number: int) -> int | None:
        query = select(slot.c.im_account).where(slot.c.short_code == short_code, slot.c.slot == number).order_by(slot.c.im_account.desc())
        found: int | None = conn.execute(query.limit(1)).scalar_one_or_none()
        return found

    with patch.object(slots, "account_of", account_of):
        yield


@contextmanager
def resend_in_hold() -> Iterator[None]:
    """What must not be sent twice is sent again when nobody answered."""
    with patch.dict(wiring._POLICIES, {"hold": UnknownOutcome.RESEND}):
        yield


@contextmanager
def receipt_acknowledged_before_commit() -> Iterator[None]:
    """A receipt is acknowledged as soon as it is read."""
    original = CarrierSide._take_receipt

    def take_receipt(self: CarrierSide, bind: Any, wire: Any, request: Any, *rest: Any) -> None:
        bind.respond(wire, request, 0)

        class Mute:
            link = bind.link

            def respond(self, *_args: Any) -> None:
                return None

        original(self, Mute(), wire, request, *rest)  # type: ignore[arg-type]  # a bind that answers no more

    with patch.object(CarrierSide, "_take_receipt", take_receipt):
        yield


@contextmanager
def receipt_matched_by_addresses() -> Iterator[None]:
    """A receipt that nobody knows is given to the one held segment between its addresses, whatever text it quotes.

    The simulation found this one: a message resent, or ended before a restart, has receipts that nobody knows too.
    """

    def quotes(_excerpt: str, _flight: Flight) -> bool:
        return True

    with patch.object(correlation, "_quotes", quotes):
        yield


@contextmanager
def refused_goes_last() -> Iterator[None]:
    """What is refused for speed goes again by itself a little later, and what was behind it goes on."""

    def in_its_place(self: Returns, _lane: Any, flight: Flight, status: int) -> None:
        self.again(flight, status, 3.0)

    with patch.object(Returns, "_in_its_place", in_its_place):
        yield


ALL: dict[str, Bug] = {
    bug.__name__: bug
    for bug in (
        capture_without_receipt,
        double_capture,
        acknowledge_before_commit,
        lost_early_receipt,
        wrong_thread,
        resend_in_hold,
        receipt_acknowledged_before_commit,
        receipt_matched_by_addresses,
        refused_goes_last,
    )
}
