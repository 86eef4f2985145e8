"""What is done about a difference, by whom and why; each item is resolved once, and its money is booked in the same transaction.

`accept_carrier` takes the carrier's figure, `write_off` takes it as our loss, `fix_ours` says that our charge was wrong and gives a wallet
back what it paid, `claim` keeps our figure and lists what the carrier owes. Only a claim can be resolved again, once it is answered. A
correction stands in the day that is open; where there is no charge to correct, or a wallet has paid one that is not to change, a transfer
moves the amount, and the item says in which day it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, update

from billing import audit, book, calendar, corrections
from billing.audit import Act
from billing.book import House
from billing.booking import Booking
from billing.corrections import Correction
from billing.errors import ReconciliationError
from billing.event import RecordType, TransferState
from billing.matching import Class, Tier
from billing.recon_sides import RunState
from billing.runs import Books
from billing.schema import transfer
from billing.schema_reconciliation import recon_item, recon_run

REASON_CHARS_MAX = 64
ITEMS_PER_TRANSACTION = 100


class Resolution(IntEnum):
    """What is done about a difference."""

    ACCEPT_CARRIER = 1
    CLAIM = 2
    WRITE_OFF = 3
    FIX_OURS = 4


class Answer(NamedTuple):
    """A resolution, who made it and why."""

    how: Resolution
    actor: str
    reason: str


class Resolved(NamedTuple):
    """An item that is resolved; not new when it was resolved the same way before."""

    number: int
    booked_minor: int
    currency: str
    is_new: bool


class World(NamedTuple):
    """What booking needs beside the store: where a record stands, ids, and the time."""

    into: Booking
    new_id: Callable[[], int]
    now_us: int


class Claims(NamedTuple):
    """What the carriers are asked for in one currency."""

    carrier: str
    currency: str
    items: int
    claimed_minor: int


def resolve(books: Books, run: int, numbers: Sequence[int], answer: Answer, world: World) -> list[Resolved]:
    """Resolve items of a run, a hundred in a transaction; raises ReconciliationError at the first that can't be, and its hundred stays."""
    if not 0 < len(answer.reason) <= REASON_CHARS_MAX or not answer.reason.isprintable():
        raise ReconciliationError(f"a resolution has a reason of 1 to {REASON_CHARS_MAX} printable characters")
    done: list[Resolved] = []
    for start in range(0, len(numbers), ITEMS_PER_TRANSACTION):
        part = numbers[start : start + ITEMS_PER_TRANSACTION]
        with books.writing() as conn:
            done += _resolve_part(conn, run, part, answer, world)
    return done


def resolve_all(books: Books, run: int, answer: Answer, world: World, kind: Class | None = None) -> list[Resolved]:
    """Resolve every difference of a run, or of one class, that is not resolved."""
    done: list[Resolved] = []
    after = 0
    columns = recon_item.c
    is_kind = columns.kind != int(Class.MATCH) if kind is None else columns.kind == int(kind)
    while True:
        unresolved = (columns.run == run) & is_kind & columns.resolution.is_(None)
        query = select(columns.number).where(unresolved, columns.number > after).order_by(columns.number).limit(ITEMS_PER_TRANSACTION)
        with books.reading() as conn:
            page = list(conn.execute(query).scalars())
        if not page:
            return done
        done += resolve(books, run, page, answer, world)
        after = page[-1]


def claims(conn: Connection, carrier: str = "") -> list[Claims]:
    """What is claimed of each carrier and not answered yet."""
    columns = recon_item.c
    query = (
        select(
            recon_run.c.carrier,
            columns.currency,
            func.count().label("items"),
            func.sum(columns.ours_minor - columns.theirs_minor).label("minor"),
        )
        .join(recon_run, recon_run.c.number == columns.run)
        .where(columns.resolution == int(Resolution.CLAIM))
        .group_by(recon_run.c.carrier, columns.currency)
        .order_by(recon_run.c.carrier, columns.currency)
    )
    query = query.where(recon_run.c.carrier == carrier) if carrier else query
    return [Claims(row.carrier, row.currency, row.items, int(row.minor)) for row in conn.execute(query)]


def item_fields(item: Any) -> dict[str, Any]:
    """A difference as JSON, and what was done about it; ids are strings, because readers of JSON keep numbers in doubles."""
    names = ("msisdn", "service", "currency", "ours_count", "theirs_count", "ours_minor", "theirs_minor", "delta_minor", "line_no")
    return {
        "item": f"{item.run}/{item.number}",
        "class": Class(item.kind).name,
        "tier": Tier(item.tier).name,
        "day": calendar.write(item.day),
        **{name: getattr(item, name) for name in names},
        "charge_id": None if item.charge_id is None else str(item.charge_id),
        "file_id": None if item.file_id is None else str(item.file_id),
        "resolution": None if item.resolution is None else Resolution(item.resolution).name.lower(),
        **{name: getattr(item, name) for name in ("reason", "resolved_by", "booked_minor")},
    }


def open_count(conn: Connection, carrier: str, first: int, after: int) -> int:
    """How many differences of a carrier's days are in review and without an answer."""
    in_review = (recon_run.c.carrier == carrier) & recon_run.c.period.between(first - first % 100, after)
    query = (
        select(func.count())
        .select_from(recon_item)
        .join(recon_run, recon_run.c.number == recon_item.c.run)
        .where(in_review, recon_run.c.state == int(RunState.REVIEW))
        .where(recon_item.c.kind != int(Class.MATCH), recon_item.c.resolution.is_(None))
    )
    return int(conn.execute(query).scalar_one())


def _resolve_part(conn: Connection, run: int, numbers: Sequence[int], answer: Answer, world: World) -> list[Resolved]:
    known = conn.execute(select(recon_run).where(recon_run.c.number == run).with_for_update()).one_or_none()
    if known is None or known.state in (int(RunState.COMPARING), int(RunState.SUPERSEDED)):
        raise ReconciliationError(f"there is no comparison {run}" if known is None else f"comparison {run} does not stand any more")
    done = [_resolve_one(conn, known, number, answer, world) for number in numbers]
    if fresh := [each for each in done if each.is_new]:
        booked: dict[str, int] = {}
        for each in fresh:
            booked[each.currency] = booked.get(each.currency, 0) + each.booked_minor
        detail: dict[str, object] = {"items": [each.number for each in fresh], "reason": answer.reason, "booked_minor": booked}
        audit.record(conn, Act(answer.actor, f"reconcile.{answer.how.name.lower()}", f"recon:{run}", detail), now_us=world.now_us)
        _finish(conn, run)
    return done


def _finish(conn: Connection, run: int) -> None:
    columns = recon_item.c
    unresolved = select(columns.number).where(columns.run == run, columns.kind != int(Class.MATCH), columns.resolution.is_(None)).limit(1)
    if conn.execute(unresolved).first() is None:
        in_review = (recon_run.c.number == run) & (recon_run.c.state == int(RunState.REVIEW))
        conn.execute(update(recon_run).where(in_review).values(state=int(RunState.RESOLVED)))


def _resolve_one(conn: Connection, run: Any, number: int, answer: Answer, world: World) -> Resolved:
    columns = recon_item.c
    item = conn.execute(select(recon_item).where(columns.run == run.number, columns.number == number).with_for_update()).one_or_none()
    if item is None or item.kind == int(Class.MATCH):
        reason = "there is no such item" if item is None else "both sides agree, there is nothing to resolve"
        raise ReconciliationError(f"item {run.number}/{number}: {reason}")
    if item.resolution == int(answer.how):
        return Resolved(number, item.booked_minor, item.currency, False)
    if item.resolution not in (None, int(Resolution.CLAIM)):
        by = f"{Resolution(item.resolution).name.lower()} by {item.resolved_by}"
        raise ReconciliationError(f"item {run.number}/{number}: is already resolved, {by}; a resolution is made once")
    values = _Booking(conn, run, item, answer, world).book()
    resolved = {"resolution": int(answer.how), "reason": answer.reason, "resolved_by": answer.actor, "resolved_at": world.now_us}
    unchanged = columns.resolution.is_(None) if item.resolution is None else columns.resolution == item.resolution
    mine = (columns.run == run.number) & (columns.number == number) & unchanged
    if conn.execute(update(recon_item).where(mine).values(**resolved, **values)).rowcount != 1:
        raise ReconciliationError(f"item {run.number}/{number}: somebody else resolves it; look at it again")
    return Resolved(number, values["booked_minor"], item.currency, True)


class _Booking:
    """The money of one resolution."""

    def __init__(self, conn: Connection, run: Any, item: Any, answer: Answer, world: World) -> None:
        self.conn, self.run, self.item, self.answer, self.world = conn, run, item, answer, world
        self.charge = None if item.charge_id is None else corrections.locked(conn, item.charge_id)

    def book(self) -> dict[str, Any]:
        """Move what the resolution asks for; the columns of the item that tell of it."""
        amount, how = self._difference(), self.answer.how
        if how is Resolution.FIX_OURS and self.charge is None:
            self._refuse("there is no charge of ours to fix")
        if how is Resolution.WRITE_OFF and amount > 0:
            self._refuse("the carrier has more than we have: there is nothing to write off")
        if amount == 0 or how is Resolution.CLAIM:
            return {"booked_minor": 0}
        house = book.ensure_house(self.conn, self.item.currency, new_id=self.world.new_id, now_us=self.world.now_us)
        is_ours_to_change = self.charge is not None and (self.charge["wallet"] is None or how is Resolution.FIX_OURS)
        return self._correct(amount, house) if is_ours_to_change else self._transfer(amount, house)

    def _difference(self) -> int:
        """What brings our charge, as it is corrected by now, to the carrier's figure; a record that another period has is no difference."""
        item = self.item
        if item.kind == int(Class.PERIOD_SHIFT) and (item.line_no is None or not item.ours_count):
            return 0
        if self.charge is None:
            return int(item.theirs_minor - item.ours_minor)
        made = corrections.of_charge(self.conn, item.charge_id)
        net = self.charge["amount_minor"] + sum(row["amount_minor"] for row in made if row["record_type"] != int(RecordType.GOODWILL))
        return int(item.theirs_minor - net)

    def _correct(self, amount: int, house: House) -> dict[str, Any]:
        how = self.answer.how
        record_type = RecordType.ADJUST
        if how is Resolution.WRITE_OFF:
            record_type = RecordType.WRITEOFF
        elif how is Resolution.FIX_OURS and self.item.theirs_minor == 0:
            record_type = RecordType.REVERSAL
        correction = Correction(
            id=self.world.new_id(),
            corrects=self.item.charge_id,
            record_type=record_type,
            amount_minor=amount,
            cause=self._cause(),
            reason=self.answer.reason,
            house=house.bad_debt if how is Resolution.WRITE_OFF else house.revenue,
        )
        posted = corrections.post(self.conn, correction, into=self.world.into, now_us=self.world.now_us)
        return {"booked_minor": amount, "booked_id": posted.charge_id}

    def _transfer(self, amount: int, house: House) -> dict[str, Any]:
        """More from the carrier is revenue it owes us; less is taken from revenue, or is our loss."""
        ours = house.bad_debt if self.answer.how is Resolution.WRITE_OFF else house.revenue
        debit, credit = (house.receivable, ours) if amount > 0 else (ours, house.receivable)
        row = {
            "id": self.world.new_id(),
            "cause": self._cause(),
            "debit_account": debit,
            "credit_account": credit,
            "amount_minor": abs(amount),
            "posted_minor": abs(amount),
            "currency": self.item.currency,
            "state": int(TransferState.POSTED),
            "created_at": self.world.now_us,
            "settled_at": self.world.now_us,
        }
        self.conn.execute(transfer.insert(), row)
        place = self.world.into.place_in(self.conn, self.run.carrier, self.world.now_us, self.world.now_us)
        provider = None if self.charge is None else self.charge["provider"]
        return {"booked_minor": amount, "booked_id": row["id"], "booked_period": place.period, "booked_provider": provider}

    def _cause(self) -> str:
        return f"recon:{self.run.number}/{self.item.number}:{self.answer.how.name.lower()}"

    def _refuse(self, text: str) -> None:
        raise ReconciliationError(f"item {self.run.number}/{self.item.number}: {text}")
