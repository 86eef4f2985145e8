"""`bellhop cancel`: take back a message that waits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import aiohttp
import typer

from gateway.cli_http import Answer, GatewayClient, base_url, detail_of
from gateway.cli_store import CONFIG_OPTION, JSON_OPTION
from gateway.errors import ConfigError, Refused

EXIT_REFUSED = 1


def cancel(
    message_id: str = typer.Argument(..., metavar="ID", help="The message's id, as `bellhop send` printed it."),
    key: str | None = typer.Option(None, "--key", envvar="BELLHOP_API_KEY", help="The partner's API key; best given by BELLHOP_API_KEY."),
    url: str | None = typer.Option(None, "--url", metavar="URL", help="Where the gateway answers; else the configuration's [web]."),
    as_json: bool = JSON_OPTION,
    config: Path = CONFIG_OPTION,
) -> None:
    """Take back a message that waits: it is not sent and costs nothing; exit code 1 when it is too late.

    \b
    Example:
      bellhop cancel 1782492009258614784 -c shop/bellhop.toml
    """
    if not key:
        raise ConfigError(["an API key is needed: BELLHOP_API_KEY or --key"])
    where = base_url(url, config)
    answer = asyncio.run(_delete(where, key, message_id))
    if as_json:
        typer.echo(json.dumps(answer.body))
    elif answer.status == 200:
        typer.echo(f"cancelled  {answer.body.get('id', message_id)}")
    else:
        typer.echo(f"refused: {detail_of(answer) or f'the gateway answers {answer.status}'}", err=True)
    raise typer.Exit(0 if answer.status == 200 else EXIT_REFUSED)


async def _delete(where: str, key: str, message_id: str) -> Answer:
    async with GatewayClient(where, key, say=lambda line: typer.echo(line, err=True)) as client:
        try:
            return await client.ask("DELETE", f"/v1/messages/{quote(message_id, safe='')}")
        except (aiohttp.ClientError, TimeoutError):
            raise Refused(f"no gateway answers at {where}; is `bellhop run` running?") from None
