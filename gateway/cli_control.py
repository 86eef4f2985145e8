"""How a command tells a running gateway what to do: the operator's token, and one call of /v1/ops."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp

from gateway.cli_http import GatewayClient, base_url, detail_of
from gateway.errors import Refused
from gateway.real_world import RealEntropy
from gateway.settings_file import load

TIMEOUT_S = 30.0
TOKEN_OCTETS = 32


def token_path(config: Path) -> Path:
    """Where the token of a configuration's gateway lies."""
    return Path(load(config, os.environ).settings.web.operator_token_file)


def make_token(path: Path) -> str:
    """The token in the file; made, for its owner's eyes only, where there is none. Raises Refused."""
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return read_token(path)
        with os.fdopen(descriptor, "w") as file:
            token = RealEntropy().token_bytes(TOKEN_OCTETS).hex()
            file.write(token + "\n")
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}; set [web] operator_token_file to a place that can be written") from None
    return token


def read_token(path: Path) -> str:
    """The token in the file; raises Refused."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a token"
        raise Refused(f"cannot read the operator's token {path}: {why}; `bellhop run` makes it when it starts") from None
    if len(token) < TOKEN_OCTETS:
        raise Refused(f"{path} holds no token; remove the file, and `bellhop run` makes a new one when it starts")
    return token


def order(config: Path, method: str, path: str, body: dict[str, Any] | None = None, *, url: str | None = None) -> Any:
    """Tell the gateway of a configuration one thing and return its answer; raises Refused with what it says instead."""
    return asyncio.run(_order(base_url(url, config), read_token(token_path(config)), method, path, body))


async def _order(url: str, token: str, method: str, path: str, body: dict[str, Any] | None) -> Any:
    async with GatewayClient(url, token, timeout_s=TIMEOUT_S, say=lambda _line: None) as client:
        try:
            answer = await client.ask(method, f"/v1/ops{path}", body)
        except aiohttp.ClientConnectorError:
            raise Refused(f"no gateway answers at {url}; is `bellhop run` running?") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused(f"{url} does not answer ({type(error).__name__})") from None
    if answer.status >= 400:
        raise Refused(detail_of(answer) or f"the gateway says {answer.status}")
    return answer.body
