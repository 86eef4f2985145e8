"""The command that runs the SMSC simulator, as a process."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.real_world import RealWorld
from gateway.smpp.pdu import BindTransceiver, decode, encode
from simulators.cli_tls import self_made
from simulators.esme import Esme
from simulators.smsc_config import SmscConfig
from simulators.smsc_rules import Rule
from tests.support.smsc import HOST, message

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def start_command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.cli", "smsc", *arguments, cwd=ROOT, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_command_is_ready_serves_and_ends_with_0(number):
    port = free_port()
    process = await start_command("--port", str(port), "--http-port", "0", "--receipt-delay-ms", "0")
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    more = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    world = RealWorld()
    esme = await Esme.connect(world, HOST, port)

    await esme.submit(message())
    await esme.next_delivery()
    process.send_signal(number)
    reason = await esme.wait_over()
    rest = await process.stderr.read()
    await world.close()

    assert line.startswith(f"ready smpp=127.0.0.1:{port} phones=http://127.0.0.1:")
    assert more.startswith("pdus=http://127.0.0.1:")
    assert " seed=" in more
    assert reason.value == "peer unbound"
    assert (await process.wait(), rest) == (0, b"")


@pytest.mark.parametrize("which", ["--port", "--http-port"])
async def test_command_says_in_one_line_that_a_port_is_taken(which):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--http-port" if which == "--port" else "--port"

        process = await start_command(which, str(port), other, "0")
        _, errors = await process.communicate()

    assert process.returncode == 3
    assert errors.decode().splitlines() == [
        f"bellhop sim smsc: 127.0.0.1:{port} is in use by another program; choose another --port or --http-port"
    ]


async def test_default_rules_can_be_extended_by_a_file(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps([{"suffix": "77", "stat": "NONSENSE"}]))

    process = await start_command("--port", "0", "--http-port", "0", "--rules", str(path))
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert "stat: one of DELIVRD" in errors.decode()


def test_load_configuration_has_no_rules():
    assert SmscConfig.for_load().rules == ()
    assert Rule().stat == "DELIVRD"


# Scenarios, TLS, the event log.


async def ready_line(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    assert line.startswith("ready "), line
    line += (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    return dict(word.partition("=")[::2] for word in line.split()[1:])


async def end(process: asyncio.subprocess.Process) -> str:
    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors
    return errors.decode()


async def test_scenario_of_several_smscs_and_a_stream_from_a_file_beside_it(tmp_path):
    (tmp_path / "mo.csv").write_text("at,from,to,text\n0,8613900000001,1069,from a file\n", "utf-8")
    (tmp_path / "two.toml").write_text(
        '[[smsc]]\nname = "one"\nport = 0\n[[smsc.mo]]\nfile = "mo.csv"\n[[smsc]]\nname = "two"\nport = 0\n', "utf-8"
    )
    process = await start_command("--scenario", str(tmp_path / "two.toml"), "--http-port", "0")
    ready = await ready_line(process)
    world = RealWorld()

    one = await Esme.connect(world, HOST, int(ready["one"].rpartition(":")[2]))
    two = await Esme.connect(world, HOST, int(ready["two"].rpartition(":")[2]))
    delivered = await one.next_delivery()
    await end(process)
    await two.wait_over()
    await world.close()

    assert delivered.short_message == b"from a file"
    assert ready["smpp"] == ready["one"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[smsc]]\nport = 'x'\n", "smsc[0].port: expected a whole number"),
        ("[[smsc]]\n[[smsc.mo]]\nfile = 'none.csv'\n", "smsc[0].mo[0].file: "),
        ("[[smsc]]\n[smsc.tls]\nenabled = true\nclient_ca = 'none.pem'\n", "smsc[0].tls.client_ca: "),
    ],
)
async def test_wrong_scenario_is_one_line_and_exit_2(tmp_path, text, said):
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    process = await start_command("--scenario", str(path), "--http-port", "0", "--port", "0")
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert said in errors.decode()


async def test_shipped_scenarios_are_listed_and_an_unknown_one_names_them():
    listing = await start_command("--scenario", "list")
    unknown = await start_command("--scenario", "nothing")

    listed, _ = await listing.communicate()
    _, errors = await unknown.communicate()

    assert listed.decode().splitlines()[-1].startswith("throttling ")
    assert unknown.returncode == 2
    assert "shipped are broken, carriers" in errors.decode()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with (apt-get install openssl)")
async def test_port_speaks_tls_with_a_certificate_made_on_the_spot():
    """F15"""
    process = await start_command("--port", "0", "--http-port", "0", "--tls")
    ready = await ready_line(process)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    reader, writer = await asyncio.open_connection(HOST, int(ready["smpp"].rpartition(":")[2]), ssl=context)
    writer.write(encode(BindTransceiver(system_id="tls")))
    answer = decode(await asyncio.wait_for(reader.read(100), 5))
    writer.close()
    await end(process)

    assert answer.command_status == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with (apt-get install openssl)")
async def test_client_without_a_certificate_of_the_ca_is_not_let_in(tmp_path):
    certificate, key = self_made(tmp_path)
    process = await start_command(
        *("--port", "0", "--http-port", "0", "--certificate", str(certificate), "--key", str(key), "--client-ca", str(certificate))
    )
    ready = await ready_line(process)
    port = int(ready["smpp"].rpartition(":")[2])

    async def bind(context: ssl.SSLContext) -> bytes:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        writer.write(encode(BindTransceiver(system_id="tls")))
        try:
            return await asyncio.wait_for(reader.read(100), 5)
        finally:
            writer.close()

    stranger, known = (ssl.create_default_context(cafile=certificate) for _ in range(2))
    known.load_cert_chain(certificate, key)
    refused = b""
    with suppress(OSError):  # the alert may come as an error, or only the end of the connection
        refused = await bind(stranger)
    answer = decode(await bind(known))
    await end(process)

    assert (refused, answer.command_status) == (b"", 0)


async def test_same_seed_and_requests_give_the_same_hash_of_the_event_log(tmp_path):
    async def play(seed: str) -> tuple[str, list[dict[str, object]]]:
        log = tmp_path / "events.jsonl"
        process = await start_command(*("--port", "0", "--http-port", "0", "--scenario", "errors", "--seed", seed, "--event-log", str(log)))
        ready = await ready_line(process)
        world = RealWorld()
        esme = await Esme.connect(world, HOST, int(ready["smpp"].rpartition(":")[2]))
        for number in range(40):
            await esme.submit(message("8613911112345", b"%d" % number))
        said = await end(process)
        await world.close()
        return said.rpartition("hash=")[2], [json.loads(line) for line in log.read_text("utf-8").splitlines()]

    (first, lines), (again, _), (other, _) = await play("7"), await play("7"), await play("8")

    assert first == again
    assert first != other
    assert [line["kind"] for line in lines[:2]] == ["bind", "submit"]
