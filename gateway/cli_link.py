"""`bellhop link` and `bellhop reload`: the links of a running gateway, and its configuration read again."""

from __future__ import annotations

import json
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from gateway.cli_control import order
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, secret_from
from gateway.errors import ConfigError, Refused
from gateway.settings_edit import literal, with_entry, without_entry
from gateway.settings_file import load
from gateway.wiring import link_plans

NAME = typer.Argument(..., metavar="NAME", help="Name of the link.")
_COLUMNS = ("link", "state", "binds", "window", "rate", "waiting", "since", "why")

link = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@link.command("list")
def list_links(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show every link: state, binds, window, rate, what waits, and the last failure.

    \b
    Example:
      bellhop link list -c shop/bellhop.toml
    """
    found = order(config, "GET", "/links")
    if as_json:
        typer.echo(json.dumps(found))
        return
    rows = [_cells(row) for row in found["links"]]
    widths = [max(len(cells[column]) for cells in [_COLUMNS, *rows]) for column in range(len(_COLUMNS))]
    for cells in [_COLUMNS, *rows] if rows else []:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    if not rows:
        typer.echo("no links; `bellhop link add` writes one into the configuration")


@link.command()
def show(name: str = NAME, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Show one link with each of its binds.

    \b
    Example:
      bellhop link show carrier
    """
    _tell(order(config, "GET", f"/links/{_word(name)}"), as_json)


@link.command()
def start(name: str = NAME, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Bind and send again; a link that stands off tries at once.

    \b
    Example:
      bellhop link start carrier
    """
    _tell(order(config, "POST", f"/links/{_word(name)}/start"), as_json)


@link.command()
def stop(name: str = NAME, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Take nothing new, wait for the answers still due, unbind. Its messages wait, or go to another link if routing has one.

    \b
    Example:
      bellhop link stop carrier
    """
    _tell(order(config, "POST", f"/links/{_word(name)}/stop"), as_json)


@link.command()
def drain(name: str = NAME, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Take nothing new and let the window empty; the binds stay for receipts. `bellhop link start` ends it.

    \b
    Example:
      bellhop link drain carrier
    """
    _tell(order(config, "POST", f"/links/{_word(name)}/drain"), as_json)


@link.command()
def rate(
    name: str = NAME,
    rate_per_s: float = typer.Argument(..., metavar="N", min=0, help="Most submit_sm per second; 0 sets no limit."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Change the rate now; the file's holds again from the next start or reload on.

    \b
    Example:
      bellhop link rate carrier 50
    """
    _tell(order(config, "POST", f"/links/{_word(name)}/rate", {"rate_per_s": rate_per_s}), as_json)


@link.command()
def add(
    name: str = NAME,
    host: str = typer.Option(..., "--host", help="Address of the SMSC."),
    port: int = typer.Option(2775, "--port", help="Port of the SMSC."),
    system_id: str = typer.Option("", "--system-id", help="Our name at the SMSC."),
    password: str | None = typer.Option(None, "--password", metavar="PASSWORD", help="Our password there; a file keeps it out of sight."),
    password_file: Path | None = typer.Option(None, "--password-file", metavar="FILE", help="Take the password from a file."),
    settings: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Any other key of [[links]]; may be repeated."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Write a [[links]] table into the configuration, and let the running gateway read it.

    \b
    Examples:
      bellhop link add carrier --host smsc.example --system-id bellhop --password-file carrier.secret
      bellhop link add carrier --host smsc.example --set binds=2 --set window=50 --set tls=true
    """
    values: dict[str, object] = {"name": name, "host": host, "port": port, "system_id": system_id}
    secret = secret_from(password, password_file, "--password")
    if secret is not None:
        values["password"] = secret
    for each in settings:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            raise ConfigError([f"--set {each}: must be KEY=VALUE"])
        values[key.strip()] = literal(value)
    _put(config, with_entry(_text(config), "links", values))
    _reload(config, as_json, f'link "{name}" is in {config}')


@link.command()
def remove(name: str = NAME, as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Take a link's table out of the configuration, and let the running gateway drain, unbind and forget it.

    \b
    Example:
      bellhop link remove carrier
    """
    text = _text(config)
    names = [str(each.get("name", "")) for each in tomllib.loads(text).get("links", []) if isinstance(each, dict)]
    if name not in names:
        raise Refused(f'{config} has no link "{name}"; there are {", ".join(names) or "none"}')
    _put(config, without_entry(text, "links", names.index(name)))
    _reload(config, as_json, f'link "{name}" is out of {config}')


def reload(as_json: bool = JSON_OPTION, config: Path = CONFIG_OPTION) -> None:
    """Let the running gateway read its configuration again; a file with a fault changes nothing.

    \b
    Example:
      bellhop reload -c shop/bellhop.toml
    """
    _told_of_reload(order(config, "POST", "/reload"), as_json)


def _reload(config: Path, as_json: bool, done: str) -> None:
    """The file is good and on disk; a gateway that does not run takes it when it starts."""
    try:
        told = order(config, "POST", "/reload")
    except Refused as refused:
        if not refused.lines[0].startswith(("no gateway answers", "cannot read the operator's token")):
            raise
        if as_json:
            typer.echo(json.dumps({"running": False}))
        else:
            typer.echo(f"{done}; no gateway runs, the next one takes it")
        return
    if not as_json:
        typer.echo(done)
    _told_of_reload(told, as_json)


def _told_of_reload(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told))
        return
    for what, names in told["links"].items():
        if names:
            typer.echo(f"{what:<10}{', '.join(names)}")
    if told["needs_restart"]:
        typer.echo(f"restart   needed for changes in [{'], ['.join(told['needs_restart'])}]")
    if not any(told["links"].values()) and not told["needs_restart"]:
        typer.echo("nothing has changed")


def _tell(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(row))
        return
    for column, cell in zip(_COLUMNS, _cells(row), strict=True):
        typer.echo(f"{column:<9} {cell or '-'}")
    typer.echo(f"address   {row['address']}{'  TLS' if row['tls'] else ''}")
    refused = ", ".join(f"{count} x {status}" for status, count in row["refusals"].items()) or "never"
    typer.echo(f"so far    {row['attempts']} attempts, {row['reconnects']} reconnects, {row['violations']} violations, refused {refused}")
    for bind in row["each_bind"]:
        state = "bound" if bind["bound"] else "not bound"
        why = f"  {bind['reason']}" if bind["reason"] else ""
        typer.echo(f"bind {bind['number']:<4} {bind['kind']:<11}  {state}  {bind['in_flight']} in flight{why}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if row["state"] == "removed":
        return (row["name"], "removed", "", "", "", str(row["waiting"]), "", "not in the configuration; its messages wait in the store")
    retry = f" (next try in {row['retry_in_s']:g} s)" if row["retry_in_s"] else ""
    return (
        row["name"],
        row["state"],
        f"{row['binds']}/{row['binds_wanted']}",
        f"{row['window_in_use']}/{row['window']}",
        _rate(row),
        str(row["waiting"]),
        datetime.fromtimestamp(row["since_us"] / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        f"{row['reason']}{retry}",
    )


def _rate(row: dict[str, Any]) -> str:
    pace = row["pace"]
    now, limit = pace["limit_per_s"], pace["rate_per_s"]
    words = f"{now:g}/s" if now else "no limit"
    if now != limit:
        words += f" of {limit:g}/s" if limit else " of no limit"
    reason = pace["reason"] or ("paused" if pace["paused_s"] else "")
    return f"{words}, {reason}" if reason else words


def _word(name: str) -> str:
    """A name goes into an address: what cannot be one is told before it is asked for."""
    if not name or not all(char.isascii() and (char.isalnum() or char in "_.-") for char in name):
        raise ConfigError([f"NAME: {name[:32]!r} is no name of a link"])
    return name


def _text(config: Path) -> str:
    load(config, os.environ)  # a file with a fault is not written to: what is found wrong later would look like ours
    return config.read_text(encoding="utf-8")


def _put(config: Path, text: str) -> None:
    """Write the file whole or not at all, with the mode it has; a text that `load` finds fault with is not put in its place."""
    place = config.resolve()
    draft = place.with_name(f".{place.name}.{os.getpid()}.toml")
    try:
        mode = place.stat().st_mode & 0o777
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        link_plans(load(draft, os.environ).settings)
        draft.chmod(mode)
        draft.replace(place)
    except ConfigError as error:
        raise ConfigError([line.replace(str(draft), str(config)) for line in error.lines]) from None
    except OSError as error:
        raise Refused(f"cannot write {place}: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
