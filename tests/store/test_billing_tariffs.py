"""A tariff is drafted by one person and approved by another, then never changes; at any instant one version holds, or none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from billing import audit, counters, tariffs
from billing.counters import Counter
from billing.errors import TariffError
from billing.tariff.rate import Used
from billing.tariff.rule import Model, Rule
from billing.tariff.version import FOREVER_US, Version, VersionState

NOW = 1_000_000_000_000
LATER = NOW + 3_600_000_000


@pytest.fixture(autouse=True)
def chained(engine: Engine) -> Iterator[None]:
    yield
    with engine.begin() as conn:
        assert audit.broken_at(conn) is None


def wanted(price: int = 10, from_us: int = LATER, to_us: int = FOREVER_US) -> Version:
    return Version("main", 0, from_us, to_us, (Rule("chat", Model.PER_PART, price, "CNY", service="chat"),))


def drafted(engine: Engine, version: Version, actor: str = "ann") -> tariffs.Kept:
    with engine.begin() as conn:
        return tariffs.draft(conn, version, actor=actor, now_us=NOW)


def approved(engine: Engine, number: int, actor: str = "bob", **asked: bool) -> tariffs.Kept:
    with engine.begin() as conn:
        return tariffs.approve(conn, "main", number, actor=actor, now_us=NOW, **asked)


def test_drafts_are_numbered_and_the_same_draft_again_is_the_same(engine: Engine):
    first, again, other = drafted(engine, wanted()), drafted(engine, wanted()), drafted(engine, wanted(12))

    assert [each.version.name for each in (first, again, other)] == ["main/1", "main/1", "main/2"]
    assert (first.state, first.created_by, first.version.rules) == (VersionState.DRAFT, "ann", wanted().rules)


def test_nobody_approves_his_own_draft(engine: Engine):
    drafted(engine, wanted())

    with pytest.raises(TariffError, match="drafted by ann: another person must approve it"):
        approved(engine, 1, "ann")
    with engine.connect() as conn, pytest.raises(IntegrityError):
        conn.execute(text("UPDATE tariff_version SET state = 1, approved_by = 'ann'"))


def test_what_is_approved_is_decided(engine: Engine):
    drafted(engine, wanted())
    found = approved(engine, 1)

    assert (found.state, found.approved_by) == (VersionState.APPROVED, "bob")
    with pytest.raises(TariffError, match="main/1 is approved already"):
        approved(engine, 1, "eve")


def test_the_next_version_ends_the_one_before(engine: Engine):
    drafted(engine, wanted())
    approved(engine, 1)
    drafted(engine, wanted(12, LATER + 5))
    approved(engine, 2)

    with engine.begin() as conn:
        first, second = tariffs.of_plan(conn, "main", VersionState.APPROVED)
    assert (first.version.to_us, second.version.from_us) == (LATER + 5, LATER + 5)
    assert [each.version.number for each in (first, second) if each.version.holds_at(LATER + 5)] == [2]


def test_an_overlap_is_refused_and_nothing_is_approved(engine: Engine):
    drafted(engine, wanted(10, LATER, LATER + 100))
    approved(engine, 1)
    drafted(engine, wanted(12, LATER + 50))

    with pytest.raises(TariffError, match="main/2 and main/1 overlap"):
        approved(engine, 2)
    with engine.begin() as conn:
        assert [each.version.number for each in tariffs.of_plan(conn, "main", VersionState.APPROVED)] == [1]


def test_a_version_that_holds_at_once_is_refused_unless_that_is_meant(engine: Engine):
    drafted(engine, wanted(10, NOW + 1))

    with pytest.raises(TariffError, match="in less than a minute"):
        approved(engine, 1)
    assert approved(engine, 1, is_now=True).state is VersionState.APPROVED


def test_the_stamp_changes_when_what_holds_changes(engine: Engine):
    def stamp() -> tuple[int, int, int]:
        with engine.begin() as conn:
            return tariffs.stamp(conn, "main")

    drafted(engine, wanted())
    before = stamp()
    approved(engine, 1)
    between = stamp()
    with engine.begin() as conn:
        tariffs.retire(conn, "main", 1, actor="bob", now_us=NOW + 1)

    assert len({before, between, stamp()}) == 3
    with engine.begin() as conn:
        assert tariffs.of_plan(conn, "main", VersionState.APPROVED) == []


COUNTER = Counter("11", "main/chat", 20261124)


def test_a_counter_counts_its_day_and_its_month(engine: Engine):
    with engine.begin() as conn:
        counters.take(conn, COUNTER, 256, (10, 10))
        counters.take(conn, COUNTER._replace(day=20261125), 512, (10,))

        assert counters.read(conn, COUNTER) == Used(2, 3, 20, 30)


@pytest.mark.parametrize(("charged", "captured", "left"), [(None, 20, (2, 20)), (2, 20, (2, 20)), (1, 10, (1, 10)), (0, 0, (0, 0))])
def test_what_was_not_delivered_is_given_back_once(engine: Engine, charged: int | None, captured: int, left: tuple[int, int]):
    with engine.begin() as conn:
        counters.take(conn, COUNTER, 256, (10, 10))
        assert counters.of_charge(conn, 256) is not None

        for _ in range(2):
            counters.settle(conn, [(256, charged, captured)])

        used = counters.read(conn, COUNTER)
        assert (used.units_month, used.amount_month_minor) == left
        assert counters.of_charge(conn, 256) is None
