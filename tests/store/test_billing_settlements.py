"""Settlements come from the records of a closed period, add up, are numbered without a gap, and are approved by a second person."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from billing import audit, corrections, settlement_rules, settlements, statement
from billing.corrections import Correction
from billing.errors import SettlementError
from billing.event import RecordType
from billing.schema import charge
from billing.schema_reconciliation import settlement
from billing.settlements import State, Statement
from billing.waterfall import Reason, adds_up
from gateway.store.engine import open_writing
from gateway.store.schema import metadata
from tests.support.reconciliation import BOOKING, CARRIER, close, fill, ids, open_house

OCTOBER, NOVEMBER = 20261000, 20261100
NOW = 1_793_600_000_000_000  # 2 November 2026
RULES = """\
[[rules]]
carrier = "cmcc-gd"
currency = "CNY"
from = "2026-10"
share = "15/100"
bad_debt_ppm = 20000
imbalance = "0.01"
tax_ppm = 60000

[[rules]]
carrier = "cmcc-gd"
provider = "news-co"
currency = "CNY"
from = "2026-10"
share = "50/100"

[[rules]]
carrier = "cmcc-gd"
provider = "fun-co"
currency = "CNY"
from = "2026-10"
share = "2/3"
floor = "10.00"
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """October with 320 charges, closed, and the rules."""
    engine = open_writing(f"sqlite:///{tmp_path / 'store.db'}", synchronous="OFF")
    metadata.create_all(engine)
    with engine.begin() as conn:
        open_house(conn)
        fill(conn, 320)
        close(conn)
        settlement_rules.add(conn, settlement_rules.parse(RULES), actor="li", now_us=NOW)
    yield engine
    engine.dispose()


def drafted(engine: Engine, period: int = OCTOBER, actor: str = "li", start: int = 1 << 41) -> list[Statement]:
    made = ids(start)
    with engine.begin() as conn:
        return settlements.draft(conn, CARRIER.name, period, actor=actor, new_id=lambda: next(made), now_us=NOW)


def approved(engine: Engine, reference: str, actor: str = "wang") -> Statement:
    with engine.begin() as conn:
        return settlements.approve(conn, reference, actor=actor, now_us=NOW + 1)


def amount_of(made: Statement, reason: Reason) -> int:
    return sum(line.amount_minor for line in made.lines if line.reason is reason)


def test_a_period_gives_a_statement_for_the_carrier_and_for_each_provider(engine: Engine):
    statements = {each.party: each for each in drafted(engine)}

    assert list(statements) == ["carrier", "provider/fun-co", "provider/news-co"]
    assert all(adds_up(each.lines) for each in statements.values())
    with engine.begin() as conn:
        in_period = select(charge.c.amount_minor, charge.c.provider).where(charge.c.period >= 20261001)
        rows = conn.execute(in_period).all()
    assert amount_of(statements["carrier"], Reason.GROSS) == sum(row.amount_minor for row in rows)
    for name in ("fun-co", "news-co"):
        gross = sum(row.amount_minor for row in rows if row.provider == name)
        assert amount_of(statements[f"provider/{name}"], Reason.GROSS) == gross


def test_what_providers_bear_of_the_deductions_is_within_a_unit_of_their_part(engine: Engine):
    carrier, *providers = drafted(engine)

    for each in providers:
        exact = amount_of(carrier, Reason.CARRIER_SHARE) * amount_of(each, Reason.GROSS)
        assert abs(amount_of(each, Reason.CARRIER_SHARE) * amount_of(carrier, Reason.GROSS) - exact) < amount_of(carrier, Reason.GROSS)


def test_drafting_again_gives_the_same_statements(engine: Engine):
    assert drafted(engine) == drafted(engine, actor="wang", start=1 << 42)


def test_an_open_period_is_not_settled(engine: Engine):
    with pytest.raises(SettlementError, match="2026-11 of cmcc-gd is not closed yet"):
        drafted(engine, NOVEMBER)


def test_a_correction_made_later_stands_in_the_next_period(engine: Engine):
    before = drafted(engine)
    with engine.begin() as conn:
        house = open_house(conn)
        first = conn.execute(select(charge).where(charge.c.provider == "news-co", charge.c.period >= 20261001)).mappings().first()
        assert first is not None
        refund = Correction(1 << 45, first["id"], RecordType.REFUND, -first["amount_minor"], "refund:R1", "complaint", house.revenue)
        corrections.post(conn, refund, into=BOOKING, now_us=NOW)

    assert drafted(engine) == before
    with engine.begin() as conn:
        close(conn, 20261201)
    november = {each.party: each for each in drafted(engine, NOVEMBER, start=1 << 43)}
    assert amount_of(november["carrier"], Reason.REFUND) == -first["amount_minor"]
    assert amount_of(november["provider/news-co"], Reason.REFUND) == -first["amount_minor"]
    assert [november[party].number for party in sorted(november)] == [2, 2, 2]
    assert all(adds_up(each.lines) for each in november.values())


def test_a_statement_is_approved_by_a_second_person_and_locked(engine: Engine):
    reference = drafted(engine)[0].reference

    with pytest.raises(SettlementError, match="was made by li; somebody else approves it"):
        approved(engine, reference, "li")
    with pytest.raises(SettlementError, match="is a draft; it is approved first"), engine.begin() as conn:
        settlements.lock(conn, reference, actor="wang", now_us=NOW)
    assert approved(engine, reference).state is State.APPROVED
    assert approved(engine, reference) == approved(engine, reference)
    with pytest.raises(SettlementError, match="was approved by wang"):
        approved(engine, reference, "zhao")
    with engine.begin() as conn:
        locked = settlements.lock(conn, reference, actor="zhao", now_us=NOW + 2)
        assert (locked.state, locked.approved_by, locked.locked_by) == (State.LOCKED, "wang", "zhao")
        assert [each.act for each in audit.entries(conn, subject=f"settlement:{reference}")] == [
            "settle.draft",
            "settle.approve",
            "settle.lock",
        ]


def test_the_database_itself_refuses_an_approver_who_made_the_draft(engine: Engine):
    drafted(engine)

    with pytest.raises(IntegrityError), engine.begin() as conn:
        conn.execute(settlement.update().values(state=1, approved_by="li"))


def test_an_approved_statement_that_the_books_do_not_bear_out_is_noticed(engine: Engine):
    statements = drafted(engine)
    approved(engine, statements[0].reference)
    with engine.begin() as conn:
        of_provider = "SELECT MAX(id) FROM charge WHERE provider = 'fun-co'"
        conn.exec_driver_sql(f"UPDATE charge SET amount_minor = amount_minor + 1 WHERE id = ({of_provider})")

    with pytest.raises(SettlementError, match="cmcc-gd/carrier/1 was approved and the books say something else now"):
        drafted(engine)
    with pytest.raises(SettlementError, match="is not what books and rules say now; draft it again"):
        approved(engine, statements[1].reference)


def test_a_provider_without_a_rule_stops_the_settlement(engine: Engine):
    with engine.begin() as conn:
        conn.exec_driver_sql("UPDATE charge SET provider = 'new-co' WHERE id = 25600")

    with pytest.raises(SettlementError, match="cmcc-gd/provider/new-co has records or providers in CNY and no rule for 2026-10"):
        drafted(engine)


# -- rules ------------------------------------------------------------------------------------------------------------------


def test_the_latest_rule_that_has_begun_is_effective(engine: Engine):
    later = RULES.partition("\n\n")[0].replace("2026-10", "2026-12").replace("15/100", "30/100")
    with engine.begin() as conn:
        settlement_rules.add(conn, settlement_rules.parse(later), actor="li", now_us=NOW)

        shares = [settlement_rules.effective(conn, CARRIER.name, month)["carrier", "CNY"].terms.share_num for month in (20261100, 20261200)]

    assert shares == [15, 30]


def test_a_rule_is_never_changed(engine: Engine):
    with engine.begin() as conn:
        assert settlement_rules.add(conn, settlement_rules.parse(RULES), actor="li", now_us=NOW) == 0
    with pytest.raises(SettlementError, match="cmcc-gd/carrier has another rule from 2026-10 on"), engine.begin() as conn:
        settlement_rules.add(conn, settlement_rules.parse(RULES.replace("15/100", "16/100")), actor="li", now_us=NOW)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("CNY", "XYZ", "line 1, currency: unknown currency 'XYZ'"),
        ("15/100", "115/100", "line 1, share: '115/100' is no share"),
        ("0.01", "0.001", "line 1, imbalance: CNY has 2 digits"),
        ('"2026-10"', '"2026-10-05"', "line 1, from: is a month"),
        ("60000", "6000000", "line 1, tax_ppm: is 0 to 1000000"),
        ("news-co", "=cmd", "line 10, provider: is a name"),
        ("fun-co", "news-co", "line 17, from: the rule of line 10 begins in the same month"),
        ('floor = "10.00"', 'floor = "10.00"\ncap = "9.00"', "line 17, cap: is below the floor"),
        ('share = "2/3"', "share = 2", "line 17, share: must be text in quotes"),
        ('share = "2/3"', 'imbalance = "1.00"', "line 17, provider: unbalanced traffic"),
        ("[[rules]]", "[[rules]", "at line 1"),
    ],
)
def test_a_bad_rule_is_refused_and_names_line_and_key(old: str, new: str, said: str):
    with pytest.raises(SettlementError, match=r"rules\.toml: ") as refused:
        settlement_rules.parse(RULES.replace(old, new, 1), "rules.toml")

    assert said in str(refused.value)


# -- the page ---------------------------------------------------------------------------------------------------------------


def test_the_page_shows_every_line_and_escapes_what_people_typed(engine: Engine):
    made = drafted(engine, actor="<b>li</b>")[0]

    page = statement.render_html(made, house="bellhop01 & co")

    assert "&lt;b&gt;li&lt;/b&gt;" in page
    assert "bellhop01 &amp; co" in page
    assert page.count('<tr class="total') == 3
    assert "DRAFT" in page
    assert "DRAFT" not in statement.render_html(approved(engine, made.reference), house="x")


def test_the_table_has_the_same_lines_and_no_formula(engine: Engine):
    made = drafted(engine)[0]

    rows = list(csv.DictReader(io.StringIO(statement.render_csv(made), newline="")))

    assert [int(row["amount_minor"]) for row in rows] == [line.amount_minor for line in made.lines]
    assert sum(int(row["amount_minor"]) for row in rows if row["is_total"] == "0") == made.settled_minor
