"""The command `bellhop`: finds the command that was asked for, loads only its module, and turns every failure into one line.

A command is a function, and a noun with several verbs a typer app, in a module of its own; COMMANDS says which. Modules load when they
are called, so `bellhop --help` stays quick. The simulators are not known here: they add their commands through an entry-point group.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec
from typing import Any, NamedTuple

import typer

from gateway.errors import BellhopError

ENTRY_POINT_GROUP = "bellhop.commands"
EXIT_INTERNAL = 1
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 130

HELP = """
Carries messages between messengers and phones over SMPP, charges for what was delivered, and proves every charge.

\b
Examples:
  bellhop demo                              everything on this machine, with two phones and a chat page
  bellhop init shop                         write shop/bellhop.toml, every key commented
  bellhop config check -c shop/bellhop.toml
  bellhop run -c shop/bellhop.toml
  bellhop COMMAND --help                    what a command takes, with examples
"""


class Command(NamedTuple):
    """Where a command lives and what the overview says of it."""

    name: str
    module: str
    attribute: str
    summary: str


COMMANDS = (
    Command("init", "gateway.cli_config", "init", "Write a commented bellhop.toml into a folder."),
    Command("config", "gateway.cli_config", "config", "Check the configuration; print its reference."),
    Command("run", "gateway.cli_run", "run", "Run the gateway."),
    Command("link", "gateway.cli_link", "link", "Show, start, stop, drain, add and remove links of a running gateway."),
    Command("reload", "gateway.cli_link", "reload", "Let a running gateway read its configuration again."),
    Command("partner", "gateway.cli_partner", "partner", "Add partners that bind over SMPP or call the HTTP API."),
    Command("account", "gateway.cli_account", "account", "Open accounts of the messenger and top them up."),
    Command("send", "gateway.cli_send", "send", "Send one message, or a CSV of them."),
    Command("cancel", "gateway.cli_recall", "cancel", "Take back a message that waits."),
    Command("trace", "gateway.cli_trace", "trace", "Show the whole life of a message."),
    Command("receipts", "gateway.cli_receipts", "receipts", "List receipts that found no message, and match them again."),
    Command("status", "gateway.cli_trace", "status", "Show links, queues and rates of a running gateway."),
    Command("route", "gateway.cli_route", "route", "Show which link a message takes, and why; check the rules."),
    Command("optout", "gateway.cli_optout", "optout", "Add, remove and list subscribers who want no messages."),
    Command("billing", "gateway.cli_billing", "billing", "Export charge records and check the books."),
)
# What the overview says of commands that come from elsewhere; it must not load them to ask.
PLUGIN_SUMMARIES = {
    "bench": "Measure throughput and latency on this machine.",
    "conform": "Grade another SMSC or ESME against the conformance cases.",
    "demo": "Play everything here: gateway, carrier, phones, messenger.",
    "sim": "Run a simulator: SMSC with phones, or the whole world.",
}


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; whatever happens, no traceback is shown unless BELLHOP_DEBUG is set."""
    try:
        build(arguments)(args=list(arguments), prog_name="bellhop")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  # the last door: a person gets one line, never a traceback
        return _report(error)
    return 0


def build(arguments: Sequence[str]) -> typer.Typer:
    """The app with the asked command mounted for real and all others by name and summary only."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    asked = next((word for word in [*arguments, *_words_to_complete()] if not word.startswith("-")), None)
    for command in COMMANDS:
        if find_spec(command.module) is not None:
            module = importlib.import_module(command.module) if command.name == asked else None
            _mount(app, command.name, command.summary, getattr(module, command.attribute, None))
    for plugin in entry_points(group=ENTRY_POINT_GROUP):
        summary = PLUGIN_SUMMARIES.get(plugin.name, f"Added by {plugin.value.partition(':')[0]}.")
        _mount(app, plugin.name, summary, _load(plugin) if plugin.name == asked else None)
    return app


def _words_to_complete() -> list[str]:
    """What stands on the line so far when the shell asks for completion: bash and the others say it in different variables."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return line.split()[1:] if "_BELLHOP_COMPLETE" in os.environ else []


def _root(show_version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if show_version:
        typer.echo(f"bellhop {version('bellhop')}")
        raise typer.Exit


def _mount(app: typer.Typer, name: str, summary: str, loaded: Any) -> None:
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=name, help=summary)
    elif loaded is not None:
        app.command(name)(loaded)
    else:
        app.command(name, help=summary, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(_absent)


def _absent(context: typer.Context) -> None:
    """Stands for a command in the overview; it is only called when the real one could not be loaded."""
    raise BellhopError([f"the command {context.info_name} is not installed here"])


def _load(plugin: EntryPoint) -> Callable[..., Any] | typer.Typer | None:
    """What a plugin brings, or None when its package is not there (a slim installation has no simulators)."""
    try:
        loaded: Callable[..., Any] | typer.Typer = plugin.load()
    except ModuleNotFoundError as error:
        if error.name is None or not plugin.module.startswith(error.name):
            raise
        return None
    except AttributeError:
        return None
    return loaded


def _report(error: Exception) -> int:
    """One clear line for a person; the traceback only for who asks for it."""
    if os.environ.get("BELLHOP_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, BellhopError):
        for line in error.lines:
            typer.echo(f"error: {line}", err=True)
        return error.exit_code
    if isinstance(error, OSError):
        subject = f"{error.filename}: " if error.filename else ""
        typer.echo(f"error: {subject}{error.strerror or type(error).__name__}", err=True)
        return EXIT_REFUSED
    # The message of an unforeseen error may hold a number or a text, so only its kind is told.
    typer.echo(f"error: internal fault ({type(error).__name__}); BELLHOP_DEBUG=1 shows where", err=True)
    return EXIT_INTERNAL
