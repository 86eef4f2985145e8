"""Reading the configuration again while the gateway runs: everything is checked before anything changes.

What takes part in it is a hook; the rest of the file counts from the next start, and the answer says which tables those are.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from gateway.domain.failure import Refused
from gateway.errors import ConfigError
from gateway.links.smpp_links import Links
from gateway.settings import Settings
from gateway.wiring import link_plans

_log = structlog.get_logger(__name__)

# Told of the new settings; raises ConfigError, having changed nothing, when it cannot take them.
Hook = Callable[[Settings], Awaitable[None] | None]
# Tables that a reload puts into effect.
RELOADABLE = frozenset({"links", "dialects", "routes", "number_lists", "numbering"})


class Reloading:
    """One gateway's way to take its file again."""

    def __init__(self, settings: Settings, read: Callable[[], Settings] | None, links: Links, hooks: list[Hook]) -> None:
        self.settings = settings
        self._read = read
        self._links = links
        self._hooks = hooks
        self._lock = asyncio.Lock()

    async def run(self) -> dict[str, Any]:
        """Read, check and apply; what changed. Raises Refused with every fault, and then nothing has changed."""
        async with self._lock:
            if self._read is None:
                raise Refused("unavailable", "this gateway was not started from a file")
            try:
                # On the loop: other threads must not see a half of it, and the file is small.
                settings = self._read()
                plans = link_plans(settings)
                for hook in self._hooks:
                    told = hook(settings)
                    if inspect.isawaitable(told):
                        await told
            except ConfigError as error:
                _log.error("the configuration was not taken, nothing has changed", reason="; ".join(error.lines))
                raise Refused("bad_configuration", "; ".join(error.lines)) from None
            before, self.settings = self.settings, settings
            changes = await self._links.apply(plans)
            restart = [
                name for name in Settings.model_fields if name not in RELOADABLE and getattr(before, name) != getattr(settings, name)
            ]
            _log.info("configuration taken", **{f"links_{what}": names for what, names in changes._asdict().items() if names})
            return {"links": changes._asdict(), "needs_restart": restart}
