"""`bellhop billing deliver`, `ack`, `reject` and `export list`: charge files on their way to who awaits them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import typer

from billing import delivery
from billing.cdr import utc_time
from billing.delivery import FolderTarget, Target
from billing.errors import DeliveryError
from billing.files import LocalFiles
from billing.run_files import FileState
from billing.runs import Books
from gateway.cli_books import both_doors
from gateway.cli_staff import ACTOR_OPTION, actor
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION, Opened, reading, writing
from gateway.errors import ConfigError
from gateway.settings_billing import ExportTarget

EXIT_FAILED = 3
_STATES = {state.name.lower(): state.name for state in FileState}


def deliver(
    folder: Path = typer.Option(..., "-o", "--output", metavar="DIR", help="Folder that the files were exported to."),
    profile: str = typer.Option("charge", "--profile", metavar="NAME", help="Files of this profile."),
    carrier: str = typer.Option("", "--carrier", metavar="NAME", help="Only files of this carrier."),
    target: str = typer.Option("", "--target", metavar="NAME", help="Where to, instead of deliver_to of the profile."),
    staff: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Bring every file that is written and not delivered to its target, in the order of numbers; manifests go last.

    A file that can't be brought stays as it is with the reason, those behind it wait, and the exit code is 3. Run it again any time.

    \b
    Examples:
      bellhop billing deliver -o charges --target drop -c shop/bellhop.toml
      bellhop billing deliver -o charges --profile cmcc --json
    """
    with writing(config) as opened, both_doors(opened) as books:
        place = _target(opened, profile, target, config)
        who = actor(staff)
        done: list[dict[str, object]] = []
        stopped: set[str] = set()
        for name in delivery.awaiting(books, profile, carrier):
            # A receiver counts numbers: nothing goes past a file that is missing.
            of_carrier = name.split("_")[2]
            if of_carrier in stopped:
                continue
            fault = _brought(opened, books, place, name, folder, who)
            done.append({"file": name, "target": place.name, "delivered": fault is None, "fault": fault})
            if fault is not None:
                stopped.add(of_carrier)
    if as_json:
        typer.echo(json.dumps({"files": done}))
    for each in () if as_json else done:
        typer.echo(f"{each['file']}  {'delivered to ' + place.name if each['delivered'] else 'not delivered: ' + str(each['fault'])}")
    if not done and not as_json:
        typer.echo("nothing awaits delivery")
    raise typer.Exit(EXIT_FAILED if stopped else 0)


def ack(
    file_name: str = typer.Argument(..., metavar="FILE", help="Name of the file, without its folder."),
    text: str = typer.Option("", "--text", metavar="TEXT", help="What the receiver says, such as the number of his receipt."),
    staff: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Note that the receiver took a delivered file.

    \b
    Example:
      bellhop billing ack mvg01_charge_cmcc_202611_00000042_r00.csv --text "receipt 7781" -c shop/bellhop.toml
    """
    _answered(file_name, FileState.ACKED, text, staff, as_json, config)


def reject(
    file_name: str = typer.Argument(..., metavar="FILE", help="Name of the file, without its folder."),
    reason: str = typer.Option(..., "--reason", metavar="TEXT", help="Why the receiver refused it."),
    staff: str = ACTOR_OPTION,
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Note that the receiver refused a delivered file; a new revision takes its place.

    \b
    Example:
      bellhop billing reject mvg01_charge_cmcc_202611_00000042_r00.csv --reason "line 17: unknown service" -c shop/bellhop.toml
    """
    _answered(file_name, FileState.REJECTED, reason, staff, as_json, config)


def list_files(
    profile: str = typer.Option("", "--profile", metavar="NAME", help="Only files of this profile."),
    carrier: str = typer.Option("", "--carrier", metavar="NAME", help="Only files of this carrier."),
    state: str = typer.Option("", "--state", metavar="STATE", help="Only open, written, delivered, acked or rejected ones."),
    after: int = typer.Option(0, "--after", metavar="N", min=0, help="Only files with numbers beyond this one."),
    rows_max: int = typer.Option(100, "--max", min=1, max=10_000, help="Most files shown."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """List charge files by number: run, records, state, and why the last delivery failed.

    \b
    Examples:
      bellhop billing export list -c shop/bellhop.toml
      bellhop billing export list --carrier cmcc --state written --json
    """
    if state and state not in _STATES:
        raise ConfigError([f"--state: {state[:40]!r} is none of {', '.join(_STATES)}"])
    with reading(config) as opened, opened.engine.begin() as conn:
        wanted = {"profile": profile, "carrier": carrier, "state": _STATES.get(state, "")}
        found = delivery.listed(conn, **wanted, after_seq=after, rows_max=rows_max)
    if as_json:
        # Ids have more digits than a double keeps.
        typer.echo(json.dumps({"files": [{**each._asdict(), "run_id": str(each.run_id)} for each in found]}))
        return
    for each in found:
        when = "" if each.written_at is None else utc_time(each.written_at)[:19] + "Z"
        told = each.fault or each.answer or each.target or ""
        typer.echo(f"{each.file_name}  {each.state.lower():<9}  run {each.run_id}  {each.records or 0:>8} records  {when}  {told}".rstrip())


def _answered(file_name: str, state: FileState, text: str, staff: str, as_json: bool, config: Path) -> None:
    with writing(config) as opened, both_doors(opened) as books:
        is_new = delivery.answer(books, file_name, state, actor=actor(staff), text=text, now_us=opened.clock.now_us())
    told = state.name.lower()
    typer.echo(
        json.dumps({"file": file_name, "state": told, "is_new": is_new}) if as_json else f"{file_name}  {told}{'' if is_new else ' before'}"
    )


def _brought(opened: Opened, books: Books, place: Target, name: str, folder: Path, who: str) -> str | None:
    """Bring one file; the reason when that failed."""
    try:
        asyncio.run(place.bring(delivery.parcel(books, name, str(folder))))
    except DeliveryError as error:
        delivery.mark_failed(books, name, str(error))
        return str(error)
    delivery.mark_delivered(books, name, place.name, actor=who, now_us=opened.clock.now_us())
    return None


def _target(opened: Opened, profile: str, name: str, config: Path) -> Target:
    settings = opened.settings
    wanted = name or next((each.deliver_to for each in settings.export_profiles if each.name == profile), "")
    found = next((each for each in settings.export_targets if each.name == wanted), None)
    if found is None:
        known = ", ".join(each.name for each in settings.export_targets) or "none; add [[export_targets]]"
        raise ConfigError([f"--target: there is no target {wanted!r} for profile {profile}; known are: {known}"])
    if found.kind == "folder":
        return FolderTarget(found.name, str(_beside(config, found.path)), LocalFiles())
    return _sftp(found, config)


def _sftp(found: ExportTarget, config: Path) -> Target:
    # Loaded here: most calls of this command line need no SSH.
    from billing.sftp import Server, SftpTarget

    known_hosts = _beside(config, found.known_hosts_file)
    for path in (known_hosts, *([_beside(config, found.key_file)] if found.key_file else [])):
        if not path.is_file():
            raise ConfigError([f"export_targets.{found.name}: {path} is not there"])
    server = Server(
        host=found.host,
        port=found.port,
        username=found.username,
        known_hosts=str(known_hosts),
        folder=found.path,
        password=found.password.get_secret_value(),
        key_file=str(_beside(config, found.key_file)) if found.key_file else "",
        key_passphrase=found.key_passphrase.get_secret_value(),
        timeout_s=found.timeout_s,
        attempts_max=found.attempts_max,
        backoff_s=found.backoff_s,
    )
    return SftpTarget(found.name, server)


def _beside(config: Path, path: str) -> Path:
    """A path of the configuration: relative ones begin at its folder."""
    return config.parent / path
