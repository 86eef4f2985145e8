"""The writer's operations on a real store, one call at a time: accept, respond, report, expire, restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import Connection, select

from billing import book, booking
from billing.booking import Booking
from billing.event import BillableEvent, Direction, FeeClass, Payer
from billing.schema import charge
from gateway.domain.message import Flight, Front, Message, State
from gateway.services.correlation import Report
from gateway.services.outcome import Ended, Noted, Notice, Outcome, Replayed, Submitted
from gateway.services.submit import Accepting, Draft
from gateway.store import consistency, outbox, receipts
from gateway.store.link_forms import all_forms
from gateway.store.messages import Ending
from gateway.store.receipts import Parked, Wanted
from gateway.store.schema import parked_receipt, segment
from tests.support.engines import undone

HANDSET, SENDER, LINK = "8613900001234", "10661700", "carrier"
PRICE, CREDIT = 10, 1_000_000
START = 1_767_225_600_000_000


class Desk:
    """One store and one set of operations; time goes on by a millisecond with every call."""

    def __init__(self, conn: Connection, groups: dict[str, Sequence[str]] | None = None, books: Booking = booking.DEFAULT) -> None:
        self.conn = conn
        self.books = books
        self._groups = groups
        self._ids = count(START // 1_000)
        self.rows = Outcome(groups, books)
        house = book.ensure_house(conn, "CNY", new_id=self.next_id, now_us=START)
        self.wallet = book.open_account(conn, self.next_id(), "partner:acme", "CNY", True, START)
        book.top_up(conn, self.wallet, CREDIT, "first", self.next_id(), START)
        self._accepting = Accepting(house.revenue)

    def next_id(self) -> int:
        return next(self._ids) << 8

    @property
    def now(self) -> int:
        return (next(self._ids)) * 1_000

    def restart(self) -> None:
        """Forget what only memory has."""
        self.rows = Outcome(self._groups, self.books)

    def accept(
        self, handset: str = HANDSET, *, link: str = LINK, registered: int = 1, parts: int = 1, body: bytes = b"hello"
    ) -> list[Flight]:
        """A partner's message, claimed."""
        now, id_ = self.now, self.next_id()
        addresses = (SENDER, 0, 1, handset, 1, 1)
        message = Message(
            id_, Front.SMPP, 7, None, None, "chat", *addresses, 0, 0, 0, 0, 0, registered, parts, None, now, now + 86_400_000_000
        )
        money = (parts, parts, PRICE, parts * PRICE, "CNY", "1", "flat")
        event = BillableEvent(
            id_, Direction.MT, now, "chat", FeeClass.PER_PART, Payer.SP, self.wallet, link, SENDER, None, handset, None, *money
        )
        draft = Draft(message, (body,) * parts, event, link, True, 0.0)
        assert self._accepting.accept_many(self.conn, [draft]) == [None]
        return draft.flights()

    def respond(self, flight: Flight, smsc_id: str) -> Notice | None:
        return self.rows.submit_many(self.conn, [Submitted(flight, smsc_id, self.now, self.next_id())])[0]

    def sent(self, smsc_id: str, handset: str = HANDSET, *, link: str = LINK, registered: int = 1) -> Flight:
        """A message that the carrier took."""
        (flight,) = self.accept(handset, link=link, registered=registered)
        self.respond(flight, smsc_id)
        return flight

    def report(self, smsc_id: str, message_state: int = 2, handset: str = HANDSET, **fields: Any) -> Noted:
        return self.rows.report_many(self.conn, [self.receipt(smsc_id, message_state, handset, **fields)])[0]

    def report_together(self, smsc_ids: Sequence[str]) -> list[Noted]:
        """Receipts that come in one batch."""
        return self.rows.report_many(self.conn, [self.receipt(each) for each in smsc_ids])

    def receipt(self, smsc_id: str, message_state: int = 2, handset: str = HANDSET, **fields: Any) -> Report:
        told = {"link": LINK, "stat": "", "error": None, "destination": SENDER, "flight": None, **fields}
        return Report(smsc_id=smsc_id, message_state=message_state, source=handset, at=self.now, seq=self.next_id(), **told)

    def expire(self, flight: Flight) -> None:
        """The sweep's own end."""
        self.rows.end_many(self.conn, [Ended(Ending(flight, State.EXPIRED, self.now, None, "validity period over"), self.next_id())])

    def unknown(self, flight: Flight) -> None:
        self.rows.hold_unknown_many(self.conn, [(flight, self.now)])

    def replay(self) -> list[Replayed]:
        ids = [row.id for row in self.waiting()]
        return self.rows.replay_many(self.conn, ids, self.now, [self.next_id() for _ in ids])

    def state(self, flight: Flight) -> State:
        return State(self.row(flight).state)

    def row(self, flight: Flight) -> Any:
        return self.conn.execute(select(segment).where(segment.c.id == flight.segment_id)).one()

    def charged(self, flight: Flight) -> int | None:
        row = self.conn.execute(select(charge).where(charge.c.id == flight.message.id)).one()
        return row.amount_minor if row.state >= 10 else None

    def waiting(self) -> list[Parked]:
        return receipts.page(self.conn, Wanted(), 0, 1_000)

    def outcomes(self) -> list[str | None]:
        return list(self.conn.scalars(select(parked_receipt.c.outcome).order_by(parked_receipt.c.id)))

    def told(self) -> list[tuple[int, int]]:
        """(kind, state) of what the partner gets, in order."""
        return [(each.kind, each.state) for each in outbox.page(self.conn, outbox.partner_target(7), 0, 1_000)]

    def form(self, link: str = LINK) -> str | None:
        return next((each.form for each in all_forms(self.conn) if each.link == link), None)

    def faults(self) -> list[str]:
        return [f"{each.invariant}: {each.detail}" for each in consistency.check(self.conn)]


@contextmanager
def opened_desk(
    engine_name: str = "sqlite", *, groups: dict[str, Sequence[str]] | None = None, books: Booking = booking.DEFAULT
) -> Iterator[Desk]:
    """A desk on an empty store; what is done there is undone at the end."""
    with undone(engine_name) as conn:
        yield Desk(conn, groups, books)
