"""`bellhop send --preview`: what would become of a message, in words or as JSON."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import typer

from gateway.cli_http import GatewayClient, detail_of
from gateway.errors import Refused

_UNITS = {"septet": "septets", "utf16_unit": "UTF-16 units", "octet": "octets"}
_FORCING_SHOWN_MAX = 10


async def preview_one(client: GatewayClient, message: dict[str, Any], *, as_json: bool) -> int:
    """Ask for the preview of a message and print it; the exit code."""
    try:
        answer = await client.ask("POST", "/v1/messages/preview", message)
    except (aiohttp.ClientError, TimeoutError):
        raise Refused("no gateway answers; is `bellhop run` running?") from None
    if answer.status != 200:
        problem = detail_of(answer) or f"the gateway answers {answer.status}"
        typer.echo(json.dumps({"error": answer.body or problem}, ensure_ascii=False) if as_json else f"refused: {problem}", err=not as_json)
        return 1
    typer.echo(json.dumps(answer.body, ensure_ascii=False) if as_json else "\n".join(lines_of(answer.body)))
    return 0


def _route(route: dict[str, Any]) -> str:
    rule = f", by rule {route['rule']}" if route["rule"] else ""
    sender = f", from {route['sender']}" if route["sender"] else ""
    return f"{route['link']}{rule}{sender}: {'; '.join(route['why'])}"


def lines_of(preview: dict[str, Any]) -> list[str]:
    """A preview in words."""
    unit = _UNITS.get(preview["unit"], preview["unit"])
    sizes = " + ".join(str(part["used"]) for part in preview["parts"])
    price, route = preview["price"], preview["route"]
    tables = f" ({preview['tables']})" if preview["tables"] else ""
    flash = "" if preview["message_class"] is None else f", class {preview['message_class']}"
    lines = [
        f"encoding  {preview['encoding']}{tables}{flash}",
        f"segments  {preview['segments']}: {sizes} {unit}, {preview['parts'][-1]['left']} left in the last",
        f"price     {price['amount_minor'] / 100:.2f} {price['currency']}",
        f"route     {_route(route)}",
    ]
    for each in preview["forced_by"][:_FORCING_SHOWN_MAX]:
        instead = f", instead {each['suggestion']!r}" if each["suggestion"] is not None else ""
        lines.append(f"forced by {each['character']!r} {each['code_point']} at {each['position']}{instead}")
    more = preview["forced_by_count"] - min(len(preview["forced_by"]), _FORCING_SHOWN_MAX)
    if more > 0:
        lines.append(f"forced by {more} more")
    replacement = preview["replacement"]
    if replacement is not None:
        changes = ", ".join(f"{each['character']!r} by {each['by']!r}" for each in replacement["changes"][:_FORCING_SHOWN_MAX])
        does = "replaced " if replacement["applied"] else "could be replaced (--replace): "
        lines.append(f"{does}{changes}; then {replacement['segments']} segment(s) of {replacement['encoding']}")
    return lines
