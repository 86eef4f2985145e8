"""Reconciliation on a real store: a file counts whole or not at all, every planted difference is found, and resolutions book once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select

from billing import audit, book, calendar, carrier_files, corrections, recon, resolutions, statement_profile
from billing.carrier_files import Import
from billing.check import check
from billing.errors import CarrierFileError, ReconciliationError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, RecordType, Settlement
from billing.matching import Class
from billing.recon_sides import RunState
from billing.resolutions import Answer, Resolution, World
from billing.runs import Books
from billing.schema import account, carrier_books, charge, transfer
from billing.schema_reconciliation import carrier_file, carrier_line, recon_item
from gateway.store.engine import open_writing
from gateway.store.schema import metadata
from simulators import carrier_file as simulated
from simulators.carrier_file import Plan
from tests.support.reconciliation import BOOKING, CARRIER, PROFILE, close, fill, ids, open_house, source

OCTOBER = 20261000
NOW = 1_793_600_000_000_000  # 2 November 2026
PLAN = Plan(CARRIER.name, OCTOBER, 20, 7)
WITHOUT_MESSAGE_IDS = PROFILE.replace("[columns.smsc_id]\nat = 2\n", "").replace("[columns.time]", "[match]\nwindow_s = 30\n[columns.time]")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_writing(f"sqlite:///{tmp_path / 'store.db'}", synchronous="OFF")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def books(engine: Engine) -> Books:
    return Books(engine.begin, engine.begin)


@pytest.fixture
def new_id() -> Iterator[int]:
    return ids()


def imported(
    books: Books, content: str | bytes, *, profile: str = PROFILE, file_id: int = 77, period: int = OCTOBER, name: str = "f.csv"
) -> Any:
    wanted = Import(CARRIER, period, statement_profile.parse(profile), "li")
    return carrier_files.import_file(books, source(content, name), wanted, file_id=file_id, now_us=NOW, batch_rows=100)


def small(books: Books, count: int = 32 * 4) -> None:
    """October and the day before it, four charges a day."""
    with books.writing() as conn:
        open_house(conn)
        fill(conn, count)
        close(conn)


def written(books: Books, per_mille: int = 0, profile: str = PROFILE) -> simulated.Written:
    with books.reading() as conn:
        return simulated.write(conn, statement_profile.parse(profile), PLAN._replace(per_mille=per_mille))


def compared(books: Books) -> recon.Run:
    return recon.compare(books, CARRIER, OCTOBER, actor="li", now_us=NOW)[0]


def differences(books: Books, run: int = 1) -> list[Any]:
    with books.reading() as conn:
        return recon.items(conn, run, rows_max=10_000)


def only_difference(books: Books) -> Any:
    (item,) = differences(books)
    return item


def resolve(
    books: Books, how: Resolution, *numbers: int, run: int = 1, actor: str = "li", start: int = 1 << 41
) -> list[resolutions.Resolved]:
    made = ids(start)
    return resolutions.resolve(books, run, numbers, Answer(how, actor, "as agreed"), World(BOOKING, lambda: next(made), NOW))


def balance(conn: Connection, house: str) -> int:
    number = conn.execute(select(account.c.id).where(account.c.party == f"house:{house}:CNY")).scalar_one()
    came = conn.execute(select(func.sum(transfer.c.posted_minor)).where(transfer.c.credit_account == number)).scalar() or 0
    went = conn.execute(select(func.sum(transfer.c.posted_minor)).where(transfer.c.debit_account == number)).scalar() or 0
    return int(came - went)


# -- files ------------------------------------------------------------------------------------------------------------------


def test_a_file_is_kept_line_by_line_as_it_came(books: Books):
    small(books)
    text = written(books).text

    done = imported(books, text)

    with books.reading() as conn:
        assert carrier_files.raw_line(conn, 77, 1) == text.splitlines()[0]
        assert [(each.line_count, each.profile, each.imported_by) for each in carrier_files.usable(conn, CARRIER.name, OCTOBER)] == [
            (done.lines, "cmcc-gd", "li")
        ]


def test_the_same_file_is_refused_the_second_time_under_any_name(books: Books):
    small(books)
    imported(books, written(books).text)

    with pytest.raises(CarrierFileError, match=r"other\.csv: the same file was imported before, as f\.csv for 2026-10 by li"):
        imported(books, written(books).text, file_id=78, name="other.csv")


@pytest.mark.parametrize("damage", ["cut", "trailer", "negative", "formula"])
def test_a_file_that_is_refused_leaves_nothing_behind(books: Books, damage: str):
    small(books, 32 * 40)
    text = written(books).text
    lines = text.splitlines(keepends=True)
    damaged = {
        "cut": text[: len(text) // 2],
        "trailer": text.replace("T|", "T|1", 1),
        "negative": "".join([*lines[:700], lines[700].replace("DELIVRD|", "DELIVRD|-"), *lines[701:]]),
        "formula": "".join([*lines[:700], lines[700].replace("86138", "=6138"), *lines[701:]]),
    }[damage]

    with pytest.raises(CarrierFileError, match=r"f\.csv: line \d+"):
        imported(books, damaged)

    with books.reading() as conn:
        assert conn.execute(select(func.count()).select_from(carrier_file)).scalar_one() == 0
        assert conn.execute(select(func.count()).select_from(carrier_line)).scalar_one() == 0
    with pytest.raises(ReconciliationError, match="no file of cmcc-gd was imported for 2026-10"):
        compared(books)


def test_what_a_crash_left_of_an_import_is_replaced_by_the_next(books: Books):
    small(books)
    text = written(books).text
    imported(books, text)
    with books.writing() as conn:
        conn.execute(carrier_file.update().values(state=0))

    assert imported(books, text, file_id=78).file_id == 78

    with books.reading() as conn:
        assert conn.execute(select(carrier_line.c.file_id).distinct()).scalars().all() == [78]


def test_a_file_read_by_the_wrong_profile_can_be_dropped_and_imported_again(books: Books):
    small(books)
    imported(books, written(books).text)

    carrier_files.drop(books, 77, actor="li", now_us=NOW)

    assert imported(books, written(books).text, file_id=78).file_id == 78
    compared(books)
    with pytest.raises(CarrierFileError, match="file 78 is part of comparison 1 and stays"):
        carrier_files.drop(books, 78, actor="li", now_us=NOW)


# -- comparing --------------------------------------------------------------------------------------------------------------


def test_a_file_that_agrees_is_accepted(books: Books):
    small(books)
    imported(books, written(books).text)

    run = compared(books)

    assert (run.state, run.difference_count, run.ours_count) == (RunState.ACCEPTED, 0, 124)
    assert run.totals[0]["delta_minor"] == 0


def test_an_open_period_is_not_compared(books: Books):
    small(books)
    imported(books, written(books).text)
    with books.writing() as conn:
        conn.execute(carrier_books.update().values(closed_until=20261031))

    with pytest.raises(ReconciliationError, match="2026-10 of cmcc-gd is not closed yet"):
        compared(books)


@pytest.mark.parametrize(
    "profile",
    [PROFILE, WITHOUT_MESSAGE_IDS],
    ids=["by message id", "by number and time"],
)
def test_every_planted_difference_is_found_and_no_other(books: Books, profile: str):
    small(books, 3_200)
    with books.writing() as conn:
        copies = simulated.copy_ours(conn, PLAN) if "smsc_id" in profile else []
    made = written(books, 20, profile)
    imported(books, made.text, profile=profile)

    run = compared(books)

    found = Counter((Class(item.kind).name, item.charge_id, item.delta_minor) for item in differences(books))
    wanted = Counter((each.kind, each.charge_id, each.delta_minor) for each in made.planted)
    assert found == wanted
    assert len({each.kind for each in made.planted}) == (8 if copies else 7)
    assert run.totals[0]["delta_minor"] == sum(each.delta_minor for each in made.planted)
    assert run.totals[0]["theirs_minor"] - run.totals[0]["ours_minor"] == run.totals[0]["delta_minor"]


def test_comparing_again_changes_nothing(books: Books):
    small(books)
    imported(books, written(books, 50).text)
    first = compared(books)
    before = differences(books)

    again, is_new = recon.compare(books, CARRIER, OCTOBER, actor="wang", now_us=NOW + 1)

    assert (again, is_new) == (first, False)
    assert differences(books) == before


def test_a_run_that_a_crash_left_half_way_is_made_anew(books: Books):
    small(books)
    imported(books, written(books, 50).text)
    compared(books)
    before = [item.delta_minor for item in differences(books)]
    with books.writing() as conn:
        conn.exec_driver_sql("UPDATE recon_run SET state = 0")
        conn.exec_driver_sql("DELETE FROM recon_item WHERE number > 50")

    assert compared(books).state is RunState.REVIEW
    assert [item.delta_minor for item in differences(books)] == before


def test_a_second_file_supersedes_a_run_without_resolutions_only(books: Books):
    small(books)
    lines = written(books).text.splitlines(keepends=True)[:-1]
    half = len(lines) // 2
    profile = PROFILE.partition("[trailer]")[0]
    imported(books, "".join(lines[:half]), profile=profile)
    assert compared(books).state is RunState.REVIEW
    imported(books, "".join(lines[half:]), profile=profile, file_id=78)

    assert compared(books).state is RunState.ACCEPTED

    with books.reading() as conn:
        assert [run.state for run in recon.listed(conn)] == [RunState.SUPERSEDED, RunState.ACCEPTED]
    with pytest.raises(ReconciliationError, match="comparison 1 does not stand any more"):
        resolve(books, Resolution.CLAIM, differences(books)[0].number)


def test_a_charge_that_the_next_month_has_is_a_shift_in_both(books: Books):
    small(books)
    with books.writing() as conn:
        close(conn, 20261101)
    text = written(books, 100).text
    imported(books, text)
    shifted = [item.charge_id for item in (compared(books), *differences(books))[1:] if item.kind == int(Class.PERIOD_SHIFT)]
    imported(books, PROFILE_LESS_SEPTEMBER, profile=PROFILE.partition("[trailer]")[0], file_id=78, period=20260930)

    run, _ = recon.compare(books, CARRIER, 20260930, actor="li", now_us=NOW)

    found = {item.charge_id: Class(item.kind) for item in differences(books, run.number)}
    assert shifted
    assert all(found[each] is Class.PERIOD_SHIFT for each in shifted)


PROFILE_LESS_SEPTEMBER = "20260930120000|77|8613700000000|news|DELIVRD|0.10\n"


def test_sums_by_day_service_and_price_are_compared_too(books: Books):
    small(books)
    profile = 'name = "sums"\nkind = "summary"\ncurrency = "CNY"\n[columns.time]\nat = 1\nformat = "%Y-%m-%d"\n'
    for place, name in enumerate(("service", "price", "count", "amount"), 2):
        profile += f"[columns.{name}]\nat = {place}\n"
    with books.reading() as conn:
        sums = conn.exec_driver_sql(
            "SELECT period, service, unit_price_minor, SUM(quantity), SUM(amount_minor) FROM charge"
            " WHERE period >= 20261001 GROUP BY 1, 2, 3"
        ).all()
    lines = [f"{calendar.write(day)},{service},{price},{count},{minor}\n" for day, service, price, count, minor in sums]
    changed = lines[1].rsplit(",", 1)[0] + ",99999\n"
    imported(books, "".join([lines[0], changed, lines[0], *lines[3:]]), profile=profile)

    run = compared(books)

    kinds = Counter(Class(item.kind) for item in differences(books))
    assert kinds == {Class.AMOUNT_DIFF: 1, Class.DUP_CARRIER: 1, Class.OURS_ONLY: 1}
    assert run.item_count == len(lines) + 1


# -- the gate and resolutions -------------------------------------------------------------------------------------------------


def test_few_differences_are_within_the_tolerance_of_the_profile(books: Books):
    small(books)
    lines = written(books).text.splitlines(keepends=True)[:-1]
    profile = PROFILE.partition("[trailer]")[0] + "[tolerance]\ncount_ppm = 10000\namount_ppm = 50000\n"
    imported(books, "".join(lines[1:]), profile=profile)

    run = compared(books)

    assert (run.difference_count, run.is_within, run.state) == (1, True, RunState.REVIEW)
    made = ids(1 << 41)
    answer = Answer(Resolution.ACCEPT_CARRIER, "li", "within tolerance")
    assert len(resolutions.resolve_all(books, 1, answer, World(BOOKING, lambda: next(made), NOW))) == 1
    with books.reading() as conn:
        assert recon.shown(conn, 1).state is RunState.RESOLVED


def with_one_missing(books: Books) -> tuple[Any, int]:
    """The carrier's file lacks one charge of ours; the item, and the charge's amount."""
    small(books)
    lines = written(books).text.splitlines(keepends=True)[:-1]
    imported(books, "".join(lines[5:] + lines[:4]), profile=PROFILE.partition("[trailer]")[0])
    compared(books)
    item = only_difference(books)
    assert Class(item.kind) in (Class.OURS_ONLY, Class.AMOUNT_DIFF)
    return item, -item.delta_minor


def test_a_write_off_is_our_loss_and_stands_in_the_open_day(books: Books):
    item, amount = with_one_missing(books)

    (done,) = resolve(books, Resolution.WRITE_OFF, item.number)

    assert (done.booked_minor, done.is_new) == (-amount, True)
    with books.reading() as conn:
        row = conn.execute(select(charge).where(charge.c.record_type == int(RecordType.WRITEOFF))).mappings().one()
        assert (row["corrects"], row["amount_minor"], row["period"], row["reason"]) == (item.charge_id, -amount, 20261102, "as agreed")
        assert (balance(conn, "bad_debt"), balance(conn, "receivable")) == (-amount, amount)
        assert recon.shown(conn, 1).state is RunState.RESOLVED
        assert [entry.act for entry in audit.entries(conn, subject="recon:1")] == ["reconcile.run", "reconcile.write_off"]
        assert check(conn) == []


def test_a_resolution_is_made_once(books: Books):
    item, _ = with_one_missing(books)
    resolve(books, Resolution.ACCEPT_CARRIER, item.number)

    (again,) = resolve(books, Resolution.ACCEPT_CARRIER, item.number, start=1 << 42)

    assert again.is_new is False
    with pytest.raises(ReconciliationError, match=r"item 1/\d+: is already resolved, accept_carrier by li"):
        resolve(books, Resolution.WRITE_OFF, item.number)
    with books.reading() as conn:
        assert conn.execute(select(func.count()).select_from(charge).where(charge.c.corrects == item.charge_id)).scalar_one() == 1


def test_a_claim_moves_nothing_is_listed_and_can_be_answered(books: Books):
    item, amount = with_one_missing(books)

    (done,) = resolve(books, Resolution.CLAIM, item.number)

    with books.reading() as conn:
        assert (done.booked_minor, resolutions.claims(conn)) == (0, [("cmcc-gd", "CNY", 1, amount)])
    assert resolve(books, Resolution.WRITE_OFF, item.number)[0].booked_minor == -amount
    with books.reading() as conn:
        assert resolutions.claims(conn) == []


def test_what_was_refunded_meanwhile_is_not_given_back_again(books: Books):
    item, amount = with_one_missing(books)
    resolve_refund(books, item.charge_id, amount)

    assert resolve(books, Resolution.ACCEPT_CARRIER, item.number)[0].booked_minor == 0


def resolve_refund(books: Books, charge_id: int, amount: int) -> None:
    with books.writing() as conn:
        house = open_house(conn)
        refund = corrections.Correction(9 << 40, charge_id, RecordType.REFUND, -amount, "refund:R1", "complaint", house.revenue)
        corrections.post(conn, refund, into=BOOKING, now_us=NOW)


def test_a_line_without_a_charge_can_be_accepted_and_books_a_transfer(books: Books):
    small(books)
    lines = written(books).text.splitlines(keepends=True)[:-1]
    extra = "20261005120000|5|8613700000000|news|DELIVRD|0.70\n"
    imported(books, "".join([*lines, extra]), profile=PROFILE.partition("[trailer]")[0])
    compared(books)
    item = only_difference(books)

    with pytest.raises(ReconciliationError, match="there is no charge of ours to fix"):
        resolve(books, Resolution.FIX_OURS, item.number)
    with pytest.raises(ReconciliationError, match="nothing to write off"):
        resolve(books, Resolution.WRITE_OFF, item.number)
    resolve(books, Resolution.ACCEPT_CARRIER, item.number)

    with books.reading() as conn:
        assert (balance(conn, "revenue"), balance(conn, "receivable")) == (70, -70)
        assert conn.execute(select(recon_item.c.booked_period).where(recon_item.c.number == item.number)).scalar_one() == 20261102
        assert check(conn) == []


def paid_from_a_wallet(books: Books) -> int:
    """A charge of 10 on 5 October that a wallet of 100 has paid, and the carrier does not know; its item's number."""
    at = calendar.span_of(20261005, CARRIER.zone).from_us
    names = ("cmcc-1", "10086", None, "8613900000001", 10001, 1, 1, 10, 10, "CNY", "main/1", "rule")
    event = BillableEvent(256, Direction.MT, at, "chat", FeeClass.PER_MSG, Payer.SOURCE, 11, *names)
    with books.writing() as conn:
        house = open_house(conn)
        book.open_account(conn, 11, "im:10001", "CNY", True, 0)
        book.top_up(conn, 11, 100, "R1", 21, 0)
        book.hold_many(conn, [event], revenue=house.revenue, now_us=at)
        settlement = Settlement(256, ChargeState.CAPTURED, 11, 10, 10, 1, 256, "DELIVRD", at, None, "5", "cmcc-1", at)
        book.settle_many(conn, [settlement], now_us=at, into=BOOKING)
        close(conn)
    imported(books, "20261006120000|6|8613700000000|news|DELIVRD|0.70\n", profile=PROFILE.partition("[trailer]")[0])
    compared(books)
    return next(int(item.number) for item in differences(books) if item.charge_id == 256)


@pytest.mark.parametrize(
    ("how", "left", "at_carrier", "lost"),
    [(Resolution.WRITE_OFF, 90, 10, -10), (Resolution.ACCEPT_CARRIER, 90, 10, 0), (Resolution.FIX_OURS, 100, 0, 0)],
)
def test_only_fixing_our_charge_gives_a_wallet_its_money_back(books: Books, how: Resolution, left: int, at_carrier: int, lost: int):
    number = paid_from_a_wallet(books)

    (done,) = resolve(books, how, number)

    assert done.booked_minor == -10
    with books.reading() as conn:
        assert (book.balance(conn, 11).posted, balance(conn, "receivable"), balance(conn, "bad_debt")) == (left, at_carrier, lost)
        assert check(conn) == []


def test_everything_planted_can_be_resolved_and_the_books_stay_right(books: Books):
    small(books, 640)
    with books.writing() as conn:
        simulated.copy_ours(conn, PLAN)
    imported(books, written(books, 50).text)
    compared(books)
    ways = itertools.cycle((Resolution.ACCEPT_CARRIER, Resolution.CLAIM))

    for place, item in enumerate(differences(books)):
        how = Resolution.FIX_OURS if Class(item.kind) in (Class.DUP_OURS, Class.STATUS_DIFF) else next(ways)
        resolve(books, how, item.number, start=(1 << 41) + place * 10_000)

    with books.reading() as conn:
        assert recon.shown(conn, 1).state is RunState.RESOLVED
        assert check(conn) == []
        assert audit.broken_at(conn) is None
