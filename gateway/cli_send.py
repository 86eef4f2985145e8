"""`bellhop send`: one message, or a CSV of them that is sent once however often the command is stopped and begun again."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import typer

from gateway.cli_http import GatewayClient, base_url, detail_of
from gateway.cli_preview import preview_one
from gateway.cli_send_csv import CsvSending, Orders
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION
from gateway.domain.message import FINAL, STATE_NAMES
from gateway.errors import ConfigError
from gateway.real_world import RealClock, RealEntropy

EXIT_REFUSED = 1
POLL_S_MIN, POLL_S_MAX = 0.1, 2.0
BATCH_ROWS_MAX = 1000
_FINAL_NAMES = frozenset(name for state, name in STATE_NAMES.items() if state >= FINAL)
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


def send(
    to: str | None = typer.Option(None, "--to", metavar="MSISDN", help="Phone number in international form, such as +8613900000001."),
    text: str | None = typer.Option(None, "--text", metavar="TEXT", help="What the phone shows."),
    csv_file: Path | None = typer.Option(None, "--csv", metavar="FILE", help="A CSV with the columns to,text[,from,service,reference]."),
    source: str = typer.Option("", "--from", metavar="SENDER", help="Short code, number or name it comes from; else the first short code."),
    service: str = typer.Option("", "--service", metavar="NAME", help="What it is sold as; else the first service."),
    at: str = typer.Option("", "--at", metavar="WHEN", help="Send it then: RFC 3339, such as 2027-01-31T08:00:00Z, or seconds from now."),
    key: str | None = typer.Option(None, "--key", envvar="BELLHOP_API_KEY", help="The partner's API key; best given by BELLHOP_API_KEY."),
    url: str | None = typer.Option(None, "--url", metavar="URL", help="Where the gateway answers; else the configuration's [web]."),
    wait: float = typer.Option(0.0, "--wait", metavar="SECONDS", help="Wait at most this long for a final state."),
    patience: float = typer.Option(300.0, "--patience", metavar="SECONDS", help="How long to try again when the gateway says: later."),
    batch: int = typer.Option(500, "--batch", metavar="ROWS", help="Rows of the CSV in one request, 1 to 1000."),
    again: str = typer.Option("", "--again", metavar="LABEL", help="Send a CSV that was sent before once more, under this label."),
    preview: bool = typer.Option(False, "--preview", help="Only say what would become of it: encoding, segments, price, route."),
    replace: bool = typer.Option(False, "--replace", help="Replace curly quotes and their like where the text then fits GSM 7-bit."),
    flash: bool = typer.Option(False, "--flash", help="Shown at once and not kept."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Send one message, or every row of a CSV; stopped at any moment, the same command goes on and sends no row twice.

    \b
    Examples:
      bellhop send --to +8613900000001 --text "Your table is ready" --wait 30 -c shop/bellhop.toml
      BELLHOP_API_KEY=bh_... bellhop send --csv people.csv --service notice --url http://gateway:8080
    """
    if key is None or _KEY.fullmatch(key) is None:
        raise ConfigError(["an API key is needed: BELLHOP_API_KEY or --key" if not key else "--key: is no API key"])
    if wait < 0 or patience < 0:
        raise ConfigError(["--wait and --patience: must not be negative"])
    if csv_file is None:
        if not to or not text:
            raise ConfigError(["give --to and --text, or --csv FILE"])
        named = {"to": to, "text": text, "from": source, "service": service}
        message: dict[str, Any] = {name: value for name, value in named.items() if value}
        message |= {name: True for name, is_set in (("replace_typographic", replace), ("flash", flash)) if is_set}
        if at:
            message |= {"delay_s": int(at)} if at.isascii() and at.isdigit() else {"schedule_at": at}
        if preview:
            raise typer.Exit(asyncio.run(_preview(base_url(url, config), key, message, patience_s=patience, as_json=as_json)))
        code = asyncio.run(_send_one(base_url(url, config), key, message, wait_s=wait, patience_s=patience, as_json=as_json))
    else:
        if to or text or wait or at or preview or replace or flash:
            raise ConfigError(["--csv: does not go together with --to, --text, --wait, --at, --preview, --replace or --flash"])
        orders = Orders(csv_file, source, service, _checked_batch(batch), _checked_label(again))
        code = asyncio.run(_send_csv(base_url(url, config), key, orders, patience_s=patience, as_json=as_json))
    raise typer.Exit(code)


async def _preview(url: str, key: str, message: dict[str, Any], *, patience_s: float, as_json: bool) -> int:
    async with GatewayClient(url, key, patience_s=patience_s, say=_say) as client:
        return await preview_one(client, message, as_json=as_json)


async def _send_one(url: str, key: str, message: dict[str, Any], *, wait_s: float, patience_s: float, as_json: bool) -> int:
    async with GatewayClient(url, key, patience_s=patience_s, say=_say) as client:
        once = f"one-{RealEntropy().token_bytes(16).hex()}"
        answer = await client.post("/v1/messages", message, once)
        if answer.status != 202 or "id" not in answer.body:
            problem = detail_of(answer) or f"the gateway answers {answer.status}"
            typer.echo(
                json.dumps({"error": answer.body or problem}, ensure_ascii=False) if as_json else f"refused: {problem}", err=not as_json
            )
            return EXIT_REFUSED
        accepted: dict[str, Any] = answer.body
        if not as_json:
            typer.echo(f"accepted  {accepted['id']}  ({accepted.get('segments')} part(s), {accepted.get('encoding')})")
        if not wait_s:
            if as_json:
                typer.echo(json.dumps(accepted))
            return 0
        life = await _wait(client, str(accepted["id"]), wait_s)
        state = str(life.get("state", "accepted"))
        if as_json:
            typer.echo(json.dumps({**accepted, "state": state, "charge": life.get("charge")}))
        else:
            typer.echo(state if state in _FINAL_NAMES else f"{state}; not final after {wait_s:g} s, see: bellhop trace {accepted['id']}")
        return 0 if state == "delivered" else EXIT_REFUSED


async def _wait(client: GatewayClient, message_id: str, wait_s: float) -> dict[str, Any]:
    """The message as it is when it becomes final, or when the time is up."""
    clock = RealClock()
    deadline, pause_s = clock.monotonic() + wait_s, POLL_S_MIN
    life: dict[str, Any] = {}
    while True:
        try:
            answer = await client.get(f"/v1/messages/{message_id}")
        except (aiohttp.ClientError, TimeoutError):
            pass  # it is accepted and safe; a restart of the gateway only delays our knowledge
        else:
            life = answer.body if answer.status == 200 and isinstance(answer.body, dict) else life
        left = deadline - clock.monotonic()
        if life.get("state") in _FINAL_NAMES or left <= 0:
            return life
        await asyncio.sleep(min(pause_s, left))
        pause_s = min(pause_s * 1.5, POLL_S_MAX)


async def _send_csv(url: str, key: str, orders: Orders, *, patience_s: float, as_json: bool) -> int:
    async with GatewayClient(url, key, patience_s=patience_s, say=_say) as client:
        done = await CsvSending(client, orders).run()
    if as_json:
        typer.echo(json.dumps(done._asdict()))
    else:
        before = " (it was sent before, nothing was sent now)" if done.was_sent_before else ""
        typer.echo(f"{done.accepted} of {done.rows} rows accepted, {done.refused} refused{before}")
        if done.rejects_file:
            typer.echo(f"the refused rows with their reasons: {done.rejects_file}")
    return EXIT_REFUSED if done.refused else 0


def _checked_batch(rows: int) -> int:
    if not 1 <= rows <= BATCH_ROWS_MAX:
        raise ConfigError([f"--batch: must be 1 to {BATCH_ROWS_MAX} rows"])
    return rows


def _checked_label(label: str) -> str:
    if label and _LABEL.fullmatch(label) is None:
        raise ConfigError(["--again: 1 to 32 of letters, digits, '_', '.' and '-'"])
    return label


def _say(line: str) -> None:
    typer.echo(line, err=True)
