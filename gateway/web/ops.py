"""/healthz, /readyz and /metrics: what load balancers, orchestrators and Prometheus ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson
from aiohttp import hdrs, web

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}


class Check(NamedTuple):
    """One thing looked at. What is not required is shown, and does not make us unready."""

    name: str
    is_ok: bool
    detail: str = ""
    is_required: bool = True


class WriterHealth(Protocol):
    """What of the store's writer is looked at."""

    @property
    def is_healthy(self) -> bool: ...

    @property
    def failure(self) -> str: ...


def checks_of(writer: WriterHealth, *, is_started: bool, links: Mapping[str, bool]) -> list[Check]:
    """The gateway's checks.

    A link that is down is the carrier's trouble: messages are accepted and wait. Were it ours, one carrier would empty the whole pool.
    """
    return [
        Check("started", is_started, "" if is_started else "still starting, or already stopping"),
        Check("store", writer.is_healthy, "" if writer.is_healthy else f"cannot be written: {writer.failure}"),
        *(Check(f"link {name}", is_up, "" if is_up else "down; messages wait for it", False) for name, is_up in links.items()),
    ]


def readiness_of(checks: Sequence[Check]) -> dict[str, Any]:
    """The answer of /readyz."""
    return {
        "ready": all(check.is_ok for check in checks if check.is_required),
        "checks": {check.name: {"ok": check.is_ok, "required": check.is_required, "detail": check.detail} for check in checks},
    }


class Ops:
    """The handlers; `metrics` is None where they are switched off."""

    def __init__(self, checks: Callable[[], Sequence[Check]], metrics: Callable[[], bytes] | None) -> None:
        self._checks = checks
        self._metrics = metrics

    async def healthz(self, _request: web.Request) -> web.Response:
        """The loop runs; nothing else is asked."""
        return web.Response(body=b'{"alive":true}', content_type="application/json", headers=_NO_STORE)

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether work may be sent here, and if not, why."""
        readiness = readiness_of(self._checks())
        status = 200 if readiness["ready"] else 503
        return web.Response(body=orjson.dumps(readiness), status=status, content_type="application/json", headers=_NO_STORE)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Every figure, in Prometheus' text format."""
        if self._metrics is None:
            raise web.HTTPNotFound
        return web.Response(body=self._metrics(), headers={hdrs.CONTENT_TYPE: METRICS_TYPE})
