"""How a command speaks to a running gateway over HTTP: where it is, what it answers, and waiting when it says "later"."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from gateway.errors import ConfigError, Refused
from gateway.real_world import RealClock, RealEntropy
from gateway.settings_file import load

# Asked to come later, or nobody knows what became of it: the same again is right, its Idempotency-Key makes it safe.
LATER = frozenset({408, 429, 500, 502, 503, 504})
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.25, 30.0
RETRY_AFTER_S_MAX = 120.0
ANSWER_OCTETS_MAX = 64 << 20
# What is on every interface is reached on this machine.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class Answer(NamedTuple):
    """A status and the JSON that came with it ({} when none did)."""

    status: int
    body: Any


def base_url(given: str | None, config: Path) -> str:
    """Where the gateway answers: as given, or as the configuration's [web] says."""
    if given is None:
        web = load(config, os.environ).settings.web
        host = _ANYWHERE.get(web.host, web.host)
        return f"http://[{host}]:{web.port}" if ":" in host else f"http://{host}:{web.port}"
    try:
        parts = urlsplit(given)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment and parts.port != 0
    except ValueError:
        is_good, parts = False, urlsplit("")
    if not is_good:
        raise ConfigError(["--url: must look like http://HOST:PORT"])
    if parts.username is not None or parts.password is not None:
        raise ConfigError(["--url: holds a user or a password; a key is given by --key or BELLHOP_API_KEY, never in an address"])
    return given.rstrip("/")


class GatewayClient:
    """A session with one gateway; `say` gets a line whenever it has to wait."""

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout_s: float = 60.0, patience_s: float = 0.0, say: Callable[[str], None]
    ) -> None:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        # Redirects are not followed and no proxy of the environment is asked: the key goes to this address only.
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(timeout_s, sock_connect=5.0))
        self._url = url
        self._patience_s = patience_s
        self._say = say
        self._clock = RealClock()
        self._entropy = RealEntropy()
        self._was_answered = False

    async def __aenter__(self) -> GatewayClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def get(self, path: str) -> Answer:
        """Ask once; raises aiohttp.ClientError or TimeoutError when nobody answers."""
        return (await self._ask("GET", path, None, {}))[0]

    async def ask(self, method: str, path: str, document: Any = None) -> Answer:
        """Ask once, with a JSON body where there is one; raises aiohttp.ClientError or TimeoutError when nobody answers."""
        if document is None:
            return (await self._ask(method, path, None, {}))[0]
        body = json.dumps(document, ensure_ascii=False).encode()
        return (await self._ask(method, path, body, {"Content-Type": "application/json"}))[0]

    async def post(self, path: str, document: Any, idempotency_key: str) -> Answer:
        """Ask until there is an answer that is not "later"; raises Refused when patience ends."""
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": "application/json"}
        body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
        begun, pause_s = self._clock.monotonic(), BACKOFF_S_MIN
        while True:
            retry_after_s: float | None = None
            try:
                answer, retry_after_s = await self._ask("POST", path, body, headers)
                self._was_answered = True
                if answer.status not in LATER:
                    return answer
                reason = f"the gateway says {answer.status}" + (f": {detail}" if (detail := detail_of(answer)) else "")
            except (aiohttp.ClientError, TimeoutError) as error:
                if not self._was_answered and isinstance(error, aiohttp.ClientConnectorError):
                    raise Refused(f"no gateway answers at {self._url}; is `bellhop run` running?") from None
                reason = f"{self._url} does not answer ({_kind(error)})"
            wait_s = retry_after_s if retry_after_s is not None else pause_s * (0.5 + self._entropy.random())
            if self._clock.monotonic() + wait_s - begun > self._patience_s:
                raise Refused(f"{reason}; gave up after {self._patience_s:g} s, the same command goes on from here")
            self._say(f"{reason}; again in {wait_s:.1f} s")
            await asyncio.sleep(wait_s)
            pause_s = min(pause_s * 2, BACKOFF_S_MAX)

    async def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[Answer, float | None]:
        async with self._session.request(method, self._url + path, data=body, headers=headers, allow_redirects=False) as response:
            content = await response.content.read(ANSWER_OCTETS_MAX)
            while not response.content.at_eof() and len(content) < ANSWER_OCTETS_MAX:
                content += await response.content.read(ANSWER_OCTETS_MAX)
            return Answer(response.status, _json(content)), _seconds(response.headers.get("Retry-After"))


def detail_of(answer: Answer) -> str:
    """What a problem says, the field first; "" when the answer is no problem."""
    return detail_in(answer.body)


def detail_in(problem: Any) -> str:
    """What a problem says, the field first."""
    if not isinstance(problem, dict):
        return ""
    detail, field = str(problem.get("detail") or problem.get("title") or ""), str(problem.get("field") or "")
    return f"{field}: {detail}" if field and detail else detail


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return {}


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; the form with a date is left to our own pause."""
    if retry_after is None or not retry_after.strip().isascii() or not retry_after.strip().isdigit():
        return None
    return min(float(retry_after), RETRY_AFTER_S_MAX)


def _kind(error: Exception) -> str:
    return "timed out" if isinstance(error, TimeoutError) else type(error).__name__
