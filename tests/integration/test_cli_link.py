"""`bellhop link` and `bellhop reload` beside a gateway and a carrier, each a process of its own."""

from __future__ import annotations

import json
import signal
import stat
from typing import Any

from tests.support.processes import Ran, Site, empty_site, opened_site


def told(ran: Ran) -> Any:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


async def link(site: Site, *arguments: str) -> Any:
    return told(await site.command("link", *arguments, "--json"))


async def states(site: Site) -> dict[str, str]:
    return {row["name"]: row["state"] for row in (await link(site, "list"))["links"]}


async def up(site: Site, gateway: Any, name: str) -> None:
    """Wait for the log line of a bind of this link."""
    await gateway.line(f'"link": "{name}", "bind": 1, "state"')


async def test_links_are_stopped_started_drained_and_paced_by_command(tmp_path):
    """Rows 27, 140 and 151"""
    async with opened_site(tmp_path) as site:
        gateway = await site.ready_gateway()
        await up(site, gateway, "sim")

        assert (await link(site, "drain", "sim"))["state"] == "drained"
        assert (await link(site, "stop", "sim"))["state"] == "stopped"
        accepted, _, answer = await site.post(**{"to": "+8613900000001", "from": "10661700", "text": "hi", "service": "chat"})
        assert (accepted, (await link(site, "show", "sim"))["waiting"]) == (202, 1)
        assert (await link(site, "rate", "sim", "25"))["pace"]["rate_per_s"] == 25
        await link(site, "start", "sim")
        delivered = await site.command("trace", answer["id"])

        assert delivered.code == 0
        assert await states(site) == {"sim": "up"}
        table = await site.command("link", "list")
        header, row = table.out.splitlines()
        assert header.split() == ["link", "state", "binds", "window", "rate", "waiting", "since", "why"]
        assert row.split()[:4] == ["sim", "up", "1/1", "0/100"]
        assert "25/s" in row
        shown = await site.command("link", "show", "sim")
        assert "bind 1" in shown.out
        assert site.noise() == []


async def test_a_link_is_added_to_the_file_and_bound_and_taken_out_again(tmp_path):
    """Row 27"""
    async with opened_site(tmp_path) as site:
        before = site.config.read_text() + "\n# the end\n"
        site.config.write_text(before)
        site.config.chmod(0o600)
        gateway = await site.ready_gateway()

        added = await link(
            site, "add", "second", "--host", "127.0.0.1", "--port", str(site.smsc_port), "--system-id", "bellhop", "--set", "window=5"
        )
        await up(site, gateway, "second")

        assert added["links"]["added"] == ["second"]
        assert await states(site) == {"sim": "up", "second": "up"}
        assert site.config.read_text().startswith(before)
        assert stat.S_IMODE(site.config.stat().st_mode) == 0o600
        removed = await link(site, "remove", "second")
        assert removed["links"]["removed"] == ["second"]
        assert site.config.read_text().strip() == before.strip()
        assert await states(site) == {"sim": "up"}
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


async def test_a_link_with_a_fault_is_not_written(tmp_path):
    async with empty_site(tmp_path) as site:
        before = site.config.read_text()

        wrong_key = await site.command("link", "add", "second", "--host", "h", "--set", "windw=5")
        taken = await site.command("link", "add", "sim", "--host", "h")
        no_file = await site.command("link", "add", "second", "--host", "h", "--set", "tls=true", "--set", "tls_ca_file=none.pem")

        assert [each.code for each in (wrong_key, taken, no_file)] == [2, 2, 2]
        assert 'unknown key links.windw; did you mean "window"?' in wrong_key.err
        assert '"sim" is there twice' in taken.err
        assert "links.second.tls_ca_file: cannot read" in no_file.err
        assert str(site.config) in wrong_key.err
        assert site.config.read_text() == before


async def test_without_a_gateway_the_file_is_written_for_the_next_one(tmp_path):
    async with empty_site(tmp_path) as site:
        added = await site.command("link", "add", "second", "--host", "127.0.0.1")
        removed = await site.command("link", "remove", "sim")
        unknown = await site.command("link", "remove", "sim")

        assert (added.code, removed.code) == (0, 0), added.err + removed.err
        assert "no gateway runs, the next one takes it" in added.out
        assert (unknown.code, "there are second" in unknown.err) == (3, True)
        assert (await site.command("config", "check")).code == 0


async def test_reloading_reads_the_file_and_a_bad_one_changes_nothing(tmp_path):
    """Row 157"""
    async with opened_site(tmp_path) as site:
        gateway = await site.ready_gateway()
        await up(site, gateway, "sim")
        good = site.config.read_text()

        site.config.write_text(good.replace("window = 100", "window = 0"))
        bad = await site.command("reload")
        site.config.write_text(good.replace("window = 100", "window = 50").replace("peer_window = 5000", "peer_window = 6000"))
        taken = await site.command("reload")

        assert bad.code == 2
        assert "links.window" in bad.err
        assert taken.out.splitlines() == ["adjusted  sim", "restart   needed for changes in [smpp_server]"]
        assert (await link(site, "show", "sim"))["window"] == 50
        site.config.write_text(good)
        gateway._process.send_signal(signal.SIGHUP)
        await gateway.line("configuration taken")


async def test_commands_say_when_there_is_no_gateway_or_no_such_link(tmp_path):
    async with opened_site(tmp_path) as site:
        away = await site.command("link", "list")
        await site.ready_gateway()
        unknown = await site.command("link", "stop", "nobody")
        odd = await site.command("link", "stop", "../status")

        assert (away.code, unknown.code, odd.code) == (3, 3, 2)
        assert 'there is no link "nobody"; there are sim' in unknown.err
