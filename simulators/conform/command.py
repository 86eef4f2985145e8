"""`bellhop conform`: grade another SMPP implementation."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import ConfigError
from simulators.conform import report
from simulators.conform.run import Result
from simulators.conform.subject import Account, Subject, Triggers


def conform(
    peer: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The SMSC to grade; or, with --role esme, where we wait for the ESME.")],
    role: Annotated[str, typer.Option(help="What the peer is: smsc or esme.")] = "smsc",
    system_id: Annotated[str, typer.Option(help="Account of the run; with --role esme the name it must bind with.")] = "conform",
    password: Annotated[str, typer.Option(envvar="BELLHOP_CONFORM_PASSWORD", help="Its password.")] = "",
    source: Annotated[str, typer.Option(help="Sender address that the account may use.")] = "10661800",
    destination: Annotated[str, typer.Option(help="A number whose messages are delivered.")] = "8613900001234",
    failing_destination: Annotated[str | None, typer.Option(help="A number whose messages fail.")] = None,
    forbidden_source: Annotated[str | None, typer.Option(help="A sender that the account may not use.")] = None,
    disabled_account: Annotated[str | None, typer.Option(metavar="ID:PASSWORD", help="An account that may not bind.")] = None,
    foreign_account: Annotated[
        str | None, typer.Option(metavar="ID:PASSWORD", help="An account that may bind from elsewhere only.")
    ] = None,
    limited_account: Annotated[str | None, typer.Option(metavar="ID:PASSWORD", help="An account with a bind limit and a rate.")] = None,
    bind_limit: Annotated[int, typer.Option(min=0, help="How many binds the limited account may have.")] = 0,
    rate: Annotated[int, typer.Option(min=0, help="Messages per second the limited account may send.")] = 0,
    poor_account: Annotated[str | None, typer.Option(metavar="ID:PASSWORD", help="An account without credit or quota.")] = None,
    list_name: Annotated[str | None, typer.Option(help="A distribution list that the SMSC knows.")] = None,
    window: Annotated[int, typer.Option(min=0, help="How many submit_sm the ESME may leave unanswered, for F09.")] = 0,
    outbind_port: Annotated[int, typer.Option(min=0, max=65535, help="Where the ESME waits for outbind.")] = 0,
    tls_port: Annotated[int, typer.Option(min=0, max=65535, help="Where a link of the ESME's comes by TLS, for F15.")] = 0,
    bad_certificate: Annotated[Path | None, typer.Option(help="Certificate that it must refuse there, PEM.")] = None,
    bad_key: Annotated[Path | None, typer.Option(help="The certificate's key.")] = None,
    send_command: Annotated[str | None, typer.Option(help="Makes the ESME send; {to} and {text} are filled in.")] = None,
    unbind_command: Annotated[str | None, typer.Option(help="Makes the SMSC unbind us.")] = None,
    outbind_command: Annotated[str | None, typer.Option(help="Makes the SMSC send outbind to 127.0.0.1:{port}.")] = None,
    break_command: Annotated[str | None, typer.Option(help="Takes the store away ({state} is on) and gives it back (off).")] = None,
    phone_command: Annotated[str | None, typer.Option(help="Makes a phone write {text} to --source, for R15 and R16.")] = None,
    alert_command: Annotated[str | None, typer.Option(help="Makes the SMSC send alert_notification.")] = None,
    restart_command: Annotated[str | None, typer.Option(help="Kills the peer and starts it again.")] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, max=600, help="How long an answer may take.")] = 5.0,
    patience_s: Annotated[float, typer.Option(min=0.1, max=3600, help="How long the peer's own timers may take.")] = 65.0,
    quiet_s: Annotated[float, typer.Option(min=0.05, max=60, help="Silence that proves that nothing more comes.")] = 1.0,
    soak_s: Annotated[float, typer.Option(min=0, max=86400, help="How long F17 runs; 0 leaves it out.")] = 0.0,
    only: Annotated[str, typer.Option(help="Cases or letters, with commas: S,H,M24.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all evidence.")] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the statement as Markdown.")] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Show the PDUs of every case, not of failed ones only.")] = False,
) -> None:
    """Play the conformance cases against a peer and print what it passes.

    \b
    Examples:
      bellhop conform 127.0.0.1:2776 --system-id bellhop --password secret8
      bellhop conform smsc.example.net:2775 --only S,H --markdown pics.md
      bellhop conform 127.0.0.1:2777 --role esme --system-id bellhop --send-command 'bellhop send --to {to} --text {text}'

    Exit code 0: nothing failed; 1: something did; 2: wrong options; 3: the peer could not be tested at all.
    """
    host, port = _place(peer)
    subject = Subject(
        host,
        port,
        Account(system_id, password),
        source,
        destination,
        failing_destination,
        forbidden_source,
        _account(disabled_account, "--disabled-account"),
        _account(foreign_account, "--foreign-account"),
        _account(limited_account, "--limited-account"),
        bind_limit,
        rate,
        _account(poor_account, "--poor-account"),
        list_name,
        window,
        outbind_port,
        tls_port,
        (str(bad_certificate), str(bad_key)) if bad_certificate and bad_key and tls_port else None,
        timeout_s,
        patience_s,
        quiet_s,
        soak_s,
        _triggers(send_command, unbind_command, phone_command, alert_command, outbind_command, break_command, restart_command),
    )
    results = asyncio.run(_run(subject, role, only, is_quiet=as_json, with_evidence=evidence))
    if markdown is not None:
        markdown.write_text(report.as_markdown(peer, role, results, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")), encoding="utf-8")
    if as_json:
        json.dump(report.as_json(peer, role, results), sys.stdout, indent=1)
        print()
    else:
        print(report.summary(results))
    raise typer.Exit(report.exit_code(results))


async def _run(subject: Subject, role: str, only: str, *, is_quiet: bool, with_evidence: bool) -> list[Result]:
    from gateway.real_world import RealWorld
    from simulators.conform import run

    known = {"smsc": run.SMSC_CASES, "esme": run.ESME_CASES}
    if role not in known:
        raise ConfigError([f"--role: {role!r} is neither smsc nor esme"])
    wanted = {word.strip().upper() for word in only.split(",") if word.strip()}
    cases = run.chosen(known[role], wanted)
    if not cases:
        raise ConfigError([f"--only: {only!r} names no case of this role; they are {known[role][0].id} to {known[role][-1].id}"])

    def told(result: Result) -> None:
        if is_quiet:
            return
        print(report.row(result), flush=True)
        if with_evidence or result.grade.value == "fail":
            for line in report.evidence_lines(result.evidence):
                print("    " + line)

    world = RealWorld()
    try:
        if role == "smsc":
            return await run.grade_smsc(world, subject, cases, told)
        return await run.grade_esme(world, subject, cases, told, lambda port: _say(f"waiting for the ESME on {subject.host}:{port}"))
    finally:
        await world.close()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _place(peer: str) -> tuple[str, int]:
    host, colon, port = peer.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ConfigError([f"{peer!r} is no HOST:PORT; an example is 127.0.0.1:2775"])
    return host.strip("[]"), int(port)


def _account(given: str | None, option: str) -> Account | None:
    if given is None:
        return None
    system_id, colon, password = given.partition(":")
    if not colon or not system_id:
        raise ConfigError([f"{option}: must look like SYSTEM_ID:PASSWORD"])
    return Account(system_id, password)


def _triggers(
    send: str | None,
    unbind: str | None,
    phone: str | None,
    alert: str | None,
    outbind: str | None,
    broken: str | None,
    restart: str | None,
) -> Triggers:
    async def send_it(to: str, text: str) -> None:
        await _shell(send or "", to=to, text=text)

    async def write_it(text: str) -> None:
        await _shell(phone or "", text=text)

    async def outbind_it(port: int) -> None:
        await _shell(outbind or "", port=str(port))

    async def break_it(is_broken: bool) -> None:
        await _shell(broken or "", state="on" if is_broken else "off")

    return Triggers(
        send_it if send else None,
        _plain(unbind),
        write_it if phone else None,
        _plain(alert),
        outbind_it if outbind else None,
        break_it if broken else None,
        _plain(restart),
    )


def _plain(command: str | None) -> Callable[[], Awaitable[None]] | None:
    async def run_it() -> None:
        await _shell(command or "")

    return run_it if command else None


async def _shell(command: str, **values: str) -> None:
    """Run an operator's command; what it needs comes quoted."""
    import shlex

    for name, value in values.items():
        command = command.replace("{" + name + "}", shlex.quote(value))
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    if process.returncode != 0:
        last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ConfigError([f"the command {command!r} ended with {process.returncode}: {last}"])
