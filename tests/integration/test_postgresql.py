"""`bellhop run` on PostgreSQL: traffic while the server is restarted and crashes, the books at the end, and what is said of its address."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from billing import bulk
from billing.schema import account
from gateway.domain.ids import IdMaker
from gateway.domain.message import State
from gateway.real_world import RealWorld
from gateway.settings import Store
from gateway.store.batch import is_of_the_store
from gateway.store.engine import open_reading
from tests.support.carrier import Carrier
from tests.support.commands import Shell
from tests.support.gateway import furnish, opened_gateway
from tests.support.postgres import PostgresServer, Unavailable, databases, own_server
from tests.support.processes import empty_site, opened_site
from tests.support.wire import raw_smsc
from tests.support.witness import Witness, audit, until

RATE_PER_S = 50
DATABASE = "bellhop"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of this test's own, with an empty database."""
    try:
        with own_server() as server:
            with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
                conn.execute(f"CREATE DATABASE {DATABASE}".encode())
            yield server
    except Unavailable as error:
        pytest.skip(str(error))


async def test_a_restart_and_a_crash_of_the_server_lose_nothing_and_charge_nothing_twice(server: PostgresServer, tmp_path: Path):
    delays = ("--receipt-delay-ms", "300", "--response-delay-ms", "50")
    async with opened_site(tmp_path, *delays, url=server.url(DATABASE)) as site:
        site.expected_error = "the store cannot be written"
        world = RealWorld()
        gateway = await site.ready_gateway()
        witness = Witness(site, RATE_PER_S, world)
        submitting = asyncio.create_task(witness.run())
        await witness.until_acknowledged(50)

        for number in (signal.SIGINT, signal.SIGQUIT):
            first = len(witness.sent)
            await asyncio.to_thread(server.stop, number)
            await site.until_ready(is_ready=False)
            await until(
                lambda first=first: sum(sent.status is not None for sent in witness.sent[first:]) >= 10, 30, "answers while it lasts"
            )
            await asyncio.to_thread(server.start)
            await site.until_ready()
            await witness.until_acknowledged(50)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()

        assert gateway.is_running
        assert len(site.said(site.expected_error)) == 2
        assert {life["state"] for life in findings.lives.values()} == {"delivered"}
        assert max(findings.wire.values()) == 1
        assert witness.esme is not None
        witness.esme.abort()
        await world.close()


async def test_a_killed_gateway_goes_on_where_it_was(server: PostgresServer, tmp_path: Path):
    async with opened_site(tmp_path, "--receipt-delay-ms", "100", url=server.url(DATABASE)) as site:
        world = RealWorld()
        witness = Witness(site, 100, world)
        submitting = asyncio.create_task(witness.run())

        for _ in range(3):
            gateway = await site.ready_gateway()
            await witness.until_acknowledged(20)
            assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL
        await site.ready_gateway()
        await witness.until_acknowledged(20)
        await witness.finish()
        findings = await audit(witness, tmp_path)
        submitting.cancel()

        assert len(findings.lives) >= 60
        assert witness.esme is not None
        witness.esme.abort()
        await world.close()


async def test_a_second_gateway_of_the_same_node_waits_and_is_refused_in_one_line(server: PostgresServer, tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        opened_site(tmp_path / "one", url=server.url(DATABASE)) as one,
        empty_site(tmp_path / "two", url=server.url(DATABASE)) as two,
    ):
        await one.ready_gateway()

        second = await two.start_gateway()
        code = await second.wait()

        assert code == 3
        assert "is locked by another process" in second.lines[-1]
        assert await one.until_ready()


def test_no_command_shows_the_password_of_a_store_it_cannot_reach(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    shell = Shell(capsys, monkeypatch)
    config = tmp_path / "bellhop.toml"
    config.write_text('[store]\nurl = "postgresql://clerk:hush-hush@127.0.0.1:1/books?sslpassword=hush-too"\n', "utf-8")

    told = [shell("billing", "check", "-c", config), shell("partner", "list", "-c", config), shell("run", "-c", config)]

    for outcome in told:
        assert outcome.code == 3
        assert "postgresql://clerk:***@127.0.0.1:1/books" in outcome.err
        assert "hush" not in outcome.err
        assert len(outcome.err.strip().splitlines()) == 1


def test_a_store_without_tables_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    try:
        name = databases().create()
    except Unavailable as error:
        pytest.skip(str(error))
    config = tmp_path / "bellhop.toml"
    config.write_text(f'[store]\nurl = "{databases().url(name)}"\n', "utf-8")

    outcome = Shell(capsys, monkeypatch)("billing", "check", "-c", config)

    assert outcome.code == 3
    assert "holds no store of this version; `bellhop run` brings it up to date" in outcome.err
    databases().drop(name)


def test_a_reader_sees_one_snapshot_and_changes_nothing(engine_url: str, engine: Engine):
    reading = open_reading(engine_url)
    counted = text("SELECT COUNT(*) FROM carrier_books")
    with reading.begin() as conn:
        before = conn.execute(counted).scalar()
        with engine.begin() as other:
            other.execute(text("INSERT INTO carrier_books VALUES ('cmcc', 0)"))

        after = conn.execute(counted).scalar()

        with pytest.raises(DBAPIError, match=r"read-only|readonly"):
            conn.execute(text("DELETE FROM carrier_books"))
    with reading.begin() as conn:
        assert (before, after, conn.execute(counted).scalar()) == (1, 1, 2)
    reading.dispose()


def test_an_engine_in_trouble_says_nothing_of_the_row(engine: Engine):
    row = {"id": 1, "party": "im:8613812345678", "currency": "CNY", "is_wallet": True, "created_at": 1, "held_minor": -1}

    with pytest.raises(IntegrityError) as by_table, engine.begin() as conn:
        conn.execute(account.insert(), row)
    with pytest.raises(IntegrityError) as in_bulk, engine.begin() as conn:
        bulk.execute(conn, bulk.insert_into(account, *row), [tuple(row.values())])

    for caught in (by_table, in_bulk):
        told = "".join(traceback.format_exception(caught.value))
        assert "account_held_not_negative" in told
        assert "8613812345678" not in told


@pytest.mark.parametrize(
    ("error", "is_failure"),
    [
        (psycopg.errors.DeadlockDetected(), False),
        (psycopg.errors.SerializationFailure(), False),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.DiskFull(), True),
        (psycopg.errors.LockNotAvailable(), True),
    ],
)
def test_transactions_out_of_step_are_no_failure_of_the_store(error: psycopg.Error, is_failure: bool):
    assert is_of_the_store(OperationalError("COMMIT", {}, error)) is is_failure


async def test_what_a_carrier_says_fits_whatever_its_length_and_characters(engine_url: str, engine: Engine, tmp_path: Path):
    with engine.begin() as conn:
        furnish(conn, IdMaker(node=31))
    store = Store(url=engine_url, durability="normal")
    link = {"errors": {"0xFFFFFF01": "final"}}
    async with raw_smsc() as smsc, opened_gateway(tmp_path, carrier_port=smsc.port, more={"store": store}, link=link) as house:
        wire = await smsc.accept_bind()
        await house.until_link()
        carrier = Carrier(house, smsc, wire)
        odd, refused = await carrier.submit(2)

        await wire.answer(refused, status=0xFFFF_FF01)
        await carrier.take(odd, "A1")
        await carrier.report("id:A1 sub:001 dlvrd:000 stat:UNDELIV err:" + "6\0" * 40 + " text:a\0b")
        await carrier.report("id:" + "9" * 80 + " sub:001 dlvrd:001 stat:DELIVRD err:\0 text:long")

        segments = await house.until_states(State.FAILED, State.FAILED)
        assert [len(each.error) <= 32 and "\0" not in each.error for each in segments] == [True, True]
        assert segments[1].status == 0xFFFF_FF01
        assert [each.state for each in await house.charges()] == [11, 11]
        assert len(await house.parked()) == 1
        for each in smsc.wires:
            each.reset()
