"""What the simulated world does with money: a gateway dies at the act it was told to die at, and the desk closes what it left half done."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from billing import schema
from gateway.store.engine import open_writing
from simulators import closing, house
from simulators.closing import LAST_DAY, LAST_MONTH, ClosingDesk, Order
from simulators.evidence import Evidence
from simulators.faults import CrashKind, CrashPoint, FaultPlan
from simulators.world import Sim, SimWorld, run

BEFORE, AFTER = CrashKind.BEFORE_COMMIT, CrashKind.AFTER_COMMIT


# Dying where money moves


def write(conn: Connection, number: int, cause: str) -> None:
    row = "INSERT INTO transfer (id, cause, debit_account, credit_account, amount_minor, posted_minor, currency, state, created_at)"
    conn.execute(text(f"{row} VALUES (:id, :cause, 1, 2, 5, 5, 'CNY', 10, 0)"), {"id": number, "cause": cause})


@pytest.mark.parametrize(
    ("kind", "count", "answered", "kept"),
    [
        (BEFORE, 1, ["topup:a"], ["topup:a"]),
        (AFTER, 1, ["topup:a"], ["refund:b", "topup:a"]),
        (BEFORE, 2, ["topup:a", "refund:b", "late:c"], ["late:c", "refund:b", "topup:a"]),
        (AFTER, 2, ["topup:a", "refund:b", "late:c"], ["late:c", "refund:b", "refund:d", "topup:a"]),
    ],
)
def test_a_program_dies_at_the_commit_of_the_act_it_was_told_to_die_at(kind: CrashKind, count: int, answered: list[str], kept: list[str]):
    told: list[str] = []

    async def program(world: SimWorld) -> None:
        engine = open_writing(f"sqlite:///{world.folder}/store.db", synchronous="OFF")
        schema.metadata.create_all(engine)

        def act(number: int, cause: str) -> str:
            with engine.begin() as conn:
                write(conn, number, cause)
            return cause

        def done(cause: str | None, _error: BaseException | None) -> None:
            told.append(cause or "")

        for number, cause in enumerate(("topup:a", "refund:b", "late:c", "refund:d", "topup:e"), 1):
            world.executor.submit(act, (number, cause), done)
        await house.stay()

    async def main(sim: Sim) -> list[str]:
        node = sim.node("gateway")
        node.start(program)
        while node.is_alive:
            await asyncio.sleep(0.1)
        with sqlite3.connect(f"{node.folder}/store.db") as conn:
            return [row[0] for row in conn.execute("SELECT cause FROM transfer ORDER BY cause")]

    point = CrashPoint(kind, count, restart_after_s=None, act="refund")

    assert run(main, 1, plan=FaultPlan(1, crashes=(point,))) == kept
    assert told == answered


# The desk


def at_the_desk(orders: list[Order], at_s: float = 30.0) -> tuple[list[str], list[Any]]:
    """What the desk answers to orders on a store without traffic, and the period's row at the end."""

    async def main(sim: Sim) -> tuple[list[str], list[Any]]:
        house.furnish(sim)
        gateway = sim.node(house.GATEWAY)
        desk = ClosingDesk(sim, Evidence(sim.seed, is_calm=True), house.File(sim), gateway)
        await asyncio.sleep(at_s)
        for order in orders:
            desk.close(order)
        answers = [event.facts["answer"] for event in sim.journal.of_kind("close")]
        with sqlite3.connect(Path(gateway.folder) / "store.db") as conn:
            return answers, conn.execute("SELECT state, sealed_at IS NOT NULL FROM period").fetchall()

    return run(main, 1, start_us=house.START_US)


@pytest.mark.parametrize(
    ("death", "rows"),
    [
        (CrashPoint(BEFORE, 1), []),
        (CrashPoint(AFTER, 1), [(1, 1)]),
        (CrashPoint(BEFORE, 2), [(1, 1)]),
        (CrashPoint(AFTER, 2), [(2, 1)]),
    ],
)
def test_a_close_that_died_half_way_is_finished_by_the_next_order(death: CrashPoint, rows: list[Any]):
    dying = Order(0.0, LAST_DAY, True, death)

    assert at_the_desk([dying]) == (["died"], rows)
    assert at_the_desk([dying, dying._replace(death=None)]) == (["died", "closed"], [(2, 1)])


@pytest.mark.parametrize("period", [LAST_DAY, LAST_MONTH])
def test_a_run_begins_in_the_old_year_which_can_be_closed_after_midnight(period: int):
    order = Order(0.0, period, True)

    assert at_the_desk([order], house.OLD_YEAR_S - 1) == (["refused"], [])
    assert at_the_desk([order], house.OLD_YEAR_S + 1) == (["closed"], [(2, 1)])


def test_orders_are_those_of_the_seed():
    async def main(sim: Sim) -> list[Order]:
        return closing.draw_orders(sim)

    assert run(main, 7) == run(main, 7)
    assert len({tuple(run(main, seed)) for seed in range(10)}) > 5
