"""What the gateway will not start on: one clear line, exit code 3, and nothing left behind."""

from __future__ import annotations

import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.engine import migrate, open_writing
from tests.support.processes import COMMAND, HOST, Ran, Site, empty_site, ran


def refusal_of(outcome: Ran) -> str:
    """The one line of a refused start."""
    lines = outcome.err.splitlines()
    assert (outcome.code, len(lines)) == (3, 1), outcome.err
    assert lines[0].startswith("error: ")
    return lines[0]


async def try_to_run(site: Site) -> Ran:
    return await ran(*COMMAND, "run", "-c", str(site.config))


async def test_a_second_gateway_on_the_same_store_is_refused(tmp_path: Path):
    async with empty_site(tmp_path) as site:
        first = await site.ready_gateway()

        second = await try_to_run(site)

        assert "another bellhop runs on" in refusal_of(second)
        assert (await site.status_of("/readyz"))[0] == 200
        assert await first.end(signal.SIGTERM) == 0


async def test_the_store_of_a_killed_gateway_can_be_taken_at_once(tmp_path: Path):
    async with empty_site(tmp_path) as site:
        first = await site.ready_gateway()
        await first.end(signal.SIGKILL)

        second = await site.ready_gateway()

        assert await second.end(signal.SIGTERM) == 0
        assert site.noise() == []


@pytest.mark.parametrize("section", ["web", "smpp_server"])
async def test_a_port_in_use_is_named_with_its_section(tmp_path: Path, section: str):
    async with empty_site(tmp_path) as site:
        port = {"web": site.http_port, "smpp_server": site.smpp_port}[section]
        with socket.create_server((HOST, port)):
            refused = await try_to_run(site)

        line = refusal_of(refused)
        assert f"{HOST}:{port}" in line
        assert f"[{section}]" in line
        gateway = await site.ready_gateway()
        assert await gateway.end(signal.SIGTERM) == 0


async def test_a_newer_store_is_left_alone(tmp_path: Path):
    async with empty_site(tmp_path) as site:
        engine = open_writing(f"sqlite:///{site.store}")
        migrate(engine)
        engine.dispose()
        with closing(sqlite3.connect(site.store)) as conn, conn:
            conn.execute("UPDATE alembic_version SET version_num = '9999'")

        refused = await try_to_run(site)

        assert "schema version 9999" in refusal_of(refused)
        with closing(sqlite3.connect(site.store)) as conn:
            assert conn.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


async def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path):
    async with empty_site(tmp_path) as site:
        other = b"this is somebody's diary\n" * 200
        site.store.write_bytes(other)

        refused = await try_to_run(site)

        assert "not a database" in refusal_of(refused)
        assert site.store.read_bytes() == other


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    async with empty_site(tmp_path) as site:
        site.config.write_text(site.config.read_text("utf-8").replace(str(site.store), str(tmp_path / "gone" / "bellhop.db")), "utf-8")

        refused = await try_to_run(site)

        assert str(tmp_path / "gone") in refusal_of(refused)
