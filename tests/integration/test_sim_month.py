"""`bellhop sim month`: books that pass every check, the same ones from the same seed on both engines, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, text

from billing.schema import charge, transfer
from gateway.store.engine import open_reading, open_writing
from tests.support.commands import Shell
from tests.support.engines import store_url

MONTH = "2026-05"
CHARGES = 3_000


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def month(shell: Shell, engine_url: str, tmp_path: Path) -> Callable[..., object]:
    config = configured(tmp_path, engine_url)
    return lambda *arguments: shell("sim", "month", *arguments, "--charges", CHARGES, "--json", "-c", config)


def configured(folder: Path, url: str) -> Path:
    path = folder / "bellhop.toml"
    lines = (
        f'[store]\nurl = "{url}"\n[billing]\ntime_zone = "Asia/Shanghai"\n',
        '[[carriers]]\nname = "unicom"\ntime_zone = "Europe/Berlin"\n',
    )
    path.write_text("".join(lines), "utf-8")
    return path


def digest(url: str) -> str:
    """Of every charge and transfer, but for the ids of accounts, which are made when they are opened."""
    engine = open_reading(url)
    found = hashlib.sha256()
    with engine.begin() as conn:
        for table, skipped in ((charge, ()), (transfer, ("created_at",))):
            columns = [column for column in table.c if column.name not in skipped]
            for row in conn.execute(select(*columns).order_by(table.c.id)):
                found.update(repr(tuple(row)).encode())
    engine.dispose()
    return found.hexdigest()


def test_a_month_passes_every_check(shell: Shell, month, tmp_path: Path, engine_url: str):
    made = month("--month", MONTH).json

    assert shell("billing", "check", "-c", tmp_path / "bellhop.toml").code == 0
    assert (made["charges"], made["month"], made["carrier"]) == (CHARGES, MONTH, "default")
    assert made["refunds"] > 0
    engine = open_reading(engine_url)
    with engine.begin() as conn:
        facts = conn.execute(text("SELECT COUNT(*), SUM(amount_minor), MIN(period), MAX(period) FROM charge")).one()
        kinds = conn.execute(text("SELECT DISTINCT direction, fee_class, payer, state FROM charge")).all()
        misplaced = conn.execute(text("SELECT COUNT(*) FROM charge WHERE booked_at < event_at AND record_type = 0")).scalar()
    engine.dispose()
    assert tuple(facts) == (CHARGES, made["amount_minor"], 20260501, 20260531)
    assert {state for *_, state in kinds} == {10, 11, 12, 13}
    assert {direction for direction, *_ in kinds} == {0, 1, 2}
    assert {fee_class for _, fee_class, *_ in kinds} == {0, 1, 2, 3, 4}
    assert misplaced == 0


def test_the_same_seed_makes_the_same_month_on_both_engines_and_another_seed_another(shell: Shell, tmp_path: Path):
    digests = {}
    for number, (engine_name, seed) in enumerate((("sqlite", 7), ("postgresql", 7), ("sqlite", 8))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with store_url(engine_name, folder) as url:
            made = shell("sim", "month", "--charges", 500, "--month", MONTH, "--seed", seed, "-c", configured(folder, url))
            assert made.code == 0, made.err
            digests[number] = digest(url)

    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_second_month_and_another_carrier_fit_beside_the_first(shell: Shell, month, tmp_path: Path):
    assert month("--month", MONTH).code == 0
    assert month("--month", "2026-07", "--carrier", "unicom").code == 0
    assert json.loads(shell("billing", "check", "--json", "-c", tmp_path / "bellhop.toml").out)["clean"]


def test_without_messages_only_they_are_missed(shell: Shell, month, tmp_path: Path):
    month("--month", MONTH, "--without-messages")

    checked = json.loads(shell("billing", "check", "--json", "-c", tmp_path / "bellhop.toml").out)

    assert {each["invariant"] for each in checked["violations"]} == {"mt_charge_has_message", "mo_charge_has_mo"}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--month", "2026-5"), 2, "neither a day like 2026-11-24 nor a month"),
        (("--month", "2026-05-03"), 2, "2026-05-03 is a day; give a month like 2026-10"),
        (("--month", "2099-01"), 3, "2099-01 is not over yet"),
        (("--month", MONTH, "--carrier", "nobody"), 3, "there is no carrier 'nobody'; the configuration has default, unicom"),
    ],
)
def test_a_month_that_cannot_be_made_is_refused_in_one_line(month, arguments: tuple[str, ...], code: int, told: str):
    outcome = month(*arguments)

    assert outcome.code == code
    assert told in outcome.err


def test_a_month_is_made_once_and_never_into_closed_books(month, engine_url: str):
    month("--month", MONTH)
    engine = open_writing(engine_url)
    with engine.begin() as conn:
        conn.execute(text("UPDATE carrier_books SET closed_until = 20260901 WHERE carrier = 'default'"))
    engine.dispose()

    again, closed = month("--month", MONTH, "--carrier", "unicom"), month("--month", "2026-08")

    assert "the store has charges of 2026-05 already" in again.err
    assert "2026-08 is closed, or begun to be, in the books of default" in closed.err
    assert (again.code, closed.code) == (3, 3)
