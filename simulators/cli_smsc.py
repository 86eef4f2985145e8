"""`bellhop sim smsc`: one SMSC from options, or those of a scenario, with their page and API."""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
import signal
import ssl
import sys
from collections.abc import Awaitable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer

if TYPE_CHECKING:
    from simulators.smsc_fleet import Fleet
    from simulators.smsc_rules import Rule
    from simulators.smsc_scenario import Scenario
    from simulators.smsc_web import SmscWeb

EXIT_USAGE = 2
EXIT_REFUSED = 3
_FILE_BYTES_MAX = 64 * 1024 * 1024


class Plan(NamedTuple):
    """What is to run: a scenario, where its files are, and the doors."""

    scenario: Scenario
    folder: Path
    host: str
    http_port: int
    seed: int
    event_log: Path | None


def smsc(
    host: Annotated[str, typer.Option(help="Address all doors listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="SMPP port; 0 picks a free one.  [default: 2776]")] = None,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the pages and of the API.")] = 8081,
    scenario: Annotated[str | None, typer.Option(help="TOML file, or the name of a shipped scenario; `list` prints those.")] = None,
    seed: Annotated[int | None, typer.Option(min=1, help="Where chance comes from: the same seed, the same decisions.")] = None,
    receipt_delay_ms: Annotated[int, typer.Option(min=0, max=86_400_000, help="From submit_sm to delivery and receipt.")] = 200,
    response_delay_ms: Annotated[int, typer.Option(min=0, max=86_400_000, help="From submit_sm to its response.")] = 0,
    id_form: Annotated[str, typer.Option(help="Message ids: dec, hex, 0x, guid, int64, mixed and others.")] = "dec",
    first_id: Annotated[int | None, typer.Option(min=0, help="First message id; without it ids count from the clock.")] = None,
    system_id: Annotated[str | None, typer.Option(help="Let only this system_id bind; without it anybody may.")] = None,
    password: Annotated[str | None, typer.Option(help="Password that goes with it.")] = None,
    binds_max: Annotated[int, typer.Option(min=0, help="How many binds one system_id may have; 0 any.")] = 0,
    rules: Annotated[Path | None, typer.Option(help="JSON file with a list of rules, put ahead of the numbers below.")] = None,
    magic_numbers: Annotated[bool, typer.Option(help="Give the numbers below their outcomes; switch off for load tests.")] = True,
    checks: Annotated[bool, typer.Option(help="Refuse submissions with illegal fields.")] = True,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS; without --certificate one is made.")] = False,
    certificate: Annotated[Path | None, typer.Option(help="PEM file with the certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file with its key.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="PEM file: only clients with a certificate of this CA.")] = None,
    log_max: Annotated[int, typer.Option(min=0, help="How many messages are remembered; 0 for load tests.")] = 100_000,
    pdus_max: Annotated[int, typer.Option(min=0, max=1_000_000, help="How many PDUs the inspector remembers; 0 for load tests.")] = 5_000,
    phones: Annotated[bool, typer.Option(help="Show messages on virtual phones.")] = True,
    event_log: Annotated[
        Path | None, typer.Option(help="Write each decision here as a line of JSON; their hash is printed at the end.")
    ] = None,
) -> None:
    """Run an SMSC with virtual phones and a PDU inspector, or all SMSCs of a scenario.

    The last four digits of the destination pick the outcome:

    \b
      0001  receipt UNDELIV, err 001
      0002  receipt EXPIRED
      0003  receipt REJECTD
      0004  submit_sm_resp ESME_RSUBMITFAIL (0x45)
      0005  submit_sm_resp ESME_RTHROTTLED (0x58) once, then accepted
      0006  delivered, no receipt
      0007  delivered, submit_sm never answered
      0008  the receipt comes before submit_sm_resp
      0009  the receipt comes twice
      other receipt DELIVRD

    A scenario replaces all options but --host, --http-port, --seed and --event-log; --port and --tls change its first SMSC.

    \b
    Examples:
      bellhop sim smsc                                      SMPP on 2776, pages on http://127.0.0.1:8081/
      bellhop sim smsc --scenario throttling --seed 7       0x58 above 50 messages a second
      bellhop sim smsc --scenario carriers.toml             several SMSCs in one process

    Scenario keys, the JSON API and examples: docs/simulator.md.
    """
    from simulators.form import FormError
    from simulators.smsc_ids import IdForm
    from simulators.smsc_scenario import Scenario, SmscForm, shipped
    from simulators.smsc_script import Tls

    if scenario == "list":
        _print_shipped(shipped())
        return
    if id_form not in list(IdForm):
        _fail(f"--id-form: one of {', '.join(IdForm)}", EXIT_USAGE)
    if (certificate is None) != (key is None):
        _fail("--certificate and --key go together", EXIT_USAGE)
    here = Path.cwd()
    secured = Tls(
        tls or certificate is not None or client_ca is not None,
        *("" if path is None else str(here / path) for path in (certificate, key, client_ca)),
    )
    if scenario is not None:
        wanted, folder = _scenario(scenario)
        first = wanted.smsc[0]
        first = replace(first, port=first.port if port is None else port, tls=secured if secured.enabled else first.tls)
        wanted = replace(wanted, smsc=(first, *wanted.smsc[1:]))
    else:
        folder = here
        one = SmscForm(
            port=2776 if port is None else port,
            system_id=system_id or "",
            password=password or "",
            id_form=id_form,
            first_id=first_id or 0,
            receipt_delay_ms=receipt_delay_ms,
            response_delay_ms=response_delay_ms,
            binds_max=binds_max,
            rule=_rules(rules),
            magic_numbers=magic_numbers,
            checks=checks,
            tls=secured,
            log_max=log_max,
            pdus_max=pdus_max,
            phones=phones,
        )
        wanted = Scenario(smsc=(one,))
    plan = Plan(wanted, folder, host, http_port, seed or wanted.seed or secrets.randbits(32) + 1, event_log)
    try:
        _run(plan)
    except FormError as error:
        _fail(str(error), EXIT_USAGE)


def _print_shipped(scenarios: dict[str, str]) -> None:
    from simulators.smsc_scenario import parse

    for name, text in sorted(scenarios.items()):
        print(f"{name:16} {parse(text, name).about}")


def _scenario(name: str) -> tuple[Scenario, Path]:
    """A scenario by file or by name, and the folder its files are in."""
    from simulators.form import FormError
    from simulators.smsc_scenario import parse, shipped

    path = Path(name)
    known = shipped()
    try:
        if name in known and not path.is_file():
            return parse(known[name], name), Path.cwd()
        return parse(path.read_text("utf-8"), str(path)), path.parent
    except FormError as error:
        _fail(f"--scenario: {error}", EXIT_USAGE)
    except UnicodeDecodeError:
        _fail(f"--scenario: {name}: not UTF-8", EXIT_USAGE)
    except OSError as error:
        _fail(f"--scenario: {name}: {error.strerror}; shipped are {', '.join(sorted(known))}", EXIT_USAGE)


def _rules(path: Path | None) -> tuple[Rule, ...]:
    """The rules of a file, which holds one rule or a list of them."""
    from simulators.form import FormError
    from simulators.smsc_rules import parse_rules

    if path is None:
        return ()
    try:
        return parse_rules(json.loads(path.read_bytes()))
    except OSError as error:
        _fail(f"--rules: {path}: {error.strerror}", EXIT_USAGE)
    except FormError as error:
        _fail(f"--rules: {path}: {error}", EXIT_USAGE)
    except ValueError:
        _fail(f"--rules: {path}: not JSON", EXIT_USAGE)


def _files(plan: Plan) -> dict[str, str]:
    """The files of MO the scenario names, by the name it gives them."""
    from simulators.form import FormError

    found: dict[str, str] = {}
    for place, one in enumerate(plan.scenario.smsc):
        for number, stream in enumerate(one.mo):
            if not stream.file:
                continue
            path = plan.folder / stream.file
            where = f"smsc[{place}].mo[{number}].file"
            try:
                if path.stat().st_size > _FILE_BYTES_MAX:
                    raise FormError(where, f"{path} is larger than {_FILE_BYTES_MAX} octets")
                found[stream.file] = path.read_text("utf-8-sig")
            except UnicodeDecodeError:
                raise FormError(where, f"{path} is not UTF-8") from None
            except OSError as error:
                raise FormError(where, f"{path}: {error.strerror}") from None
    return found


def _contexts(plan: Plan) -> dict[str, ssl.SSLContext]:
    from simulators.cli_tls import context_of

    secured = [(place, one) for place, one in enumerate(plan.scenario.smsc) if one.tls.enabled]
    return {one.name: context_of(one.tls, plan.folder, f"smsc[{place}].tls") for place, one in secured}


def _run(plan: Plan) -> None:
    with suppress(ImportError):
        import uvloop

        uvloop.install()
    try:
        asyncio.run(_serve(plan))
    except OSError as error:
        _fail(_refusal(error), EXIT_REFUSED)


async def _serve(plan: Plan) -> None:
    from gateway.real_world import RealWorld
    from simulators.smsc_fleet import Fleet
    from simulators.smsc_journal import SmscJournal
    from simulators.smsc_web import SmscWeb

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    world = RealWorld()
    with ExitStack() as open_files:
        journal: SmscJournal | None = None
        if plan.event_log is not None:
            lines = open_files.enter_context(plan.event_log.open("w", encoding="utf-8"))
            journal = SmscJournal(lambda line: print(line, file=lines))
        fleet = Fleet.of_scenario(
            world, plan.scenario, host=plan.host, seed=plan.seed, journal=journal, tls=_contexts(plan), files=_files(plan)
        )
        page = SmscWeb(world, fleet, host=plan.host, port=plan.http_port)
        try:
            await _open_all(fleet, page, plan)
            _tell_ready(fleet, page, plan)
            await stopped.wait()
        finally:
            await page.stop()
            await fleet.stop()
            await world.close()
        if journal is not None:
            print(f"events={journal.lines} seed={plan.seed} hash={journal.digest()}", file=sys.stderr, flush=True)


async def _open_all(fleet: Fleet, page: SmscWeb, plan: Plan) -> None:
    for one in fleet:
        await _open(one.start(), plan.host, one.config.port)
    await _open(page.start(), plan.host, plan.http_port)


def _tell_ready(fleet: Fleet, page: SmscWeb, plan: Plan) -> None:
    where = f"http://{plan.host}:{page.port}/"
    ports = " ".join(f"{one.config.name}={plan.host}:{one.port}" for one in fleet) if len(fleet) > 1 else ""
    ready = f"ready smpp={plan.host}:{fleet.first.port} phones={where}"
    more = f"pdus={where}pdus seed={plan.seed} {ports}".rstrip()
    print(ready, more, sep="\n", file=sys.stderr, flush=True)


async def _open(opening: Awaitable[None], host: str, port: int) -> None:
    """Await a start(), and let its failure name the address."""
    try:
        await opening
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error


def _refusal(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{error.filename} is in use by another program; choose another --port or --http-port"
    return f"cannot listen on {error.filename}: {error.strerror}"


def _fail(line: str, code: int) -> NoReturn:
    print(f"bellhop sim smsc: {line}", file=sys.stderr)
    raise typer.Exit(code)
