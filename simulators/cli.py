"""The commands of the simulators, mounted under `bellhop` through the entry-point group `bellhop.commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulators import cli_carrier_file, cli_month, cli_smsc, sim_world

sim = typer.Typer(help="Simulators: what stands around the gateway, on your own machine.", no_args_is_help=True, rich_markup_mode=None)


@sim.callback()
def _sim() -> None:
    """Simulators: what stands around the gateway, on your own machine."""


sim.command("world")(sim_world.world)
sim.command("smsc")(cli_smsc.smsc)
sim.command("carrier-file")(cli_carrier_file.write_carrier_file)
sim.command("month")(cli_month.month)


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
