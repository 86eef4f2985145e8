"""The commands of the simulators, mounted under `bellhop` through the entry-point group `bellhop.commands`."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import sys
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from simulators import sim_world

if TYPE_CHECKING:
    from simulators.smsc_config import SmscConfig
    from simulators.smsc_rules import Rule

EXIT_USAGE = 2
EXIT_REFUSED = 3

sim = typer.Typer(help="Simulators: what stands around the gateway, on your own machine.", no_args_is_help=True, rich_markup_mode=None)


@sim.callback()
def _sim() -> None:
    """Simulators: what stands around the gateway, on your own machine."""


sim.command("world")(sim_world.world)


@sim.command("smsc")
def smsc_command(
    host: Annotated[str, typer.Option(help="Address both doors listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="SMPP port; 0 picks a free one.")] = 2776,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page of phones and of its API.")] = 8081,
    seed: Annotated[int | None, typer.Option(help="Makes rules with a percentage repeatable.")] = None,
    receipt_delay_ms: Annotated[int, typer.Option(min=0, max=86_400_000, help="From submit_sm to delivery and receipt.")] = 200,
    response_delay_ms: Annotated[int, typer.Option(min=0, max=86_400_000, help="From submit_sm to its response.")] = 0,
    id_form: Annotated[
        str, typer.Option(help="Message ids: dec, hex, mixed (hex in the response, decimal in the receipt) or guid.")
    ] = "dec",
    first_id: Annotated[int | None, typer.Option(min=0, help="First message id; without it ids count from the clock.")] = None,
    system_id: Annotated[str | None, typer.Option(help="Let only this system_id bind; without it anybody may.")] = None,
    password: Annotated[str | None, typer.Option(help="Password that goes with it.")] = None,
    rules: Annotated[Path | None, typer.Option(help="JSON file with a list of rules, put ahead of the numbers above.")] = None,
    magic_numbers: Annotated[bool, typer.Option(help="Give the numbers above their outcomes; switch off for load tests.")] = True,
    log_max: Annotated[int, typer.Option(min=0, help="How many messages are remembered; 0 for load tests.")] = 100_000,
    phones: Annotated[bool, typer.Option(help="Show messages on virtual phones.")] = True,
) -> None:
    """Run an SMSC with virtual phones.

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

    Rules at run time, the JSON API and examples: docs/simulator.md.
    """
    from simulators.smsc_config import SmscConfig
    from simulators.smsc_ids import IdForm
    from simulators.smsc_rules import DEFAULT_RULES

    if id_form not in list(IdForm):
        _fail(f"--id-form: one of {', '.join(IdForm)}", EXIT_USAGE)
    config = SmscConfig(
        host=host,
        port=port,
        system_id=system_id,
        password=password,
        id_form=IdForm(id_form),
        first_id=first_id,
        seed=seed,
        receipt_delay_ms=receipt_delay_ms,
        response_delay_ms=response_delay_ms,
        rules=(*_rules(rules), *(DEFAULT_RULES if magic_numbers else ())),
        log_max=log_max,
        with_phones=phones,
    )
    _run_smsc(config, http_port)


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


def _run_smsc(config: SmscConfig, http_port: int) -> None:
    with suppress(ImportError):
        import uvloop

        uvloop.install()
    try:
        asyncio.run(_serve_smsc(config, http_port))
    except OSError as error:
        _fail(_refusal(error), EXIT_REFUSED)


async def _serve_smsc(config: SmscConfig, http_port: int) -> None:
    from gateway.real_world import RealWorld
    from simulators.smsc import Smsc
    from simulators.smsc_web import SmscWeb

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    world = RealWorld()
    smsc = Smsc(world, config)
    page = SmscWeb(world, smsc, host=config.host, port=http_port)
    try:
        await _open(smsc.start(), config.host, config.port)
        await _open(page.start(), config.host, http_port)
        print(f"ready smpp={config.host}:{smsc.port} phones=http://{config.host}:{page.port}/", file=sys.stderr, flush=True)
        await stopped.wait()
    finally:
        await page.stop()
        await smsc.stop()
        await world.close()


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


def demo(
    folder: Annotated[Path | None, typer.Option(help="Keep everything here for the next time; else a temporary folder.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="HTTP port of the gateway.  [default: 8080]")] = None,
    smpp_port: Annotated[int | None, typer.Option(min=0, max=65535, help="SMPP port of the gateway.  [default: 2775]")] = None,
    smsc_port: Annotated[int | None, typer.Option(min=0, max=65535, help="SMPP port of the SMSC simulator.  [default: 2776]")] = None,
    phones_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the page of phones.  [default: 8081]")] = None,
    once: Annotated[bool, typer.Option("--once", help="Play every flow once on free ports, one line of JSON each, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one line of JSON.")] = False,
) -> None:
    """Play everything here: gateway, SMSC simulator, two phones, two messenger accounts.

    A port of 0 picks a free one. --once exits 0 only if every message arrived, every receipt came back and every charge is in the export.

    \b
    Examples:
      bellhop demo                    until Ctrl-C, in a temporary folder
      bellhop demo --folder shop      keeps its store, and a bellhop.toml for the other commands
      bellhop demo --once             proves the flows
    """
    from simulators.demo import Ports
    from simulators.demo_run import run_demo

    wanted = (port, smpp_port, smsc_port, phones_port)
    defaults = (0, 0, 0, 0) if once else (8080, 2775, 2776, 8081)
    ports = Ports(*(default if given is None else given for given, default in zip(wanted, defaults, strict=True)))
    code = run_demo(folder, ports, is_once=once, is_json=as_json, write=lambda line: print(line, flush=True))
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    sim()
