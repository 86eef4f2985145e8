"""The embedded messenger as a connector: phones' words and what became of accounts' words, into the histories and windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.connectors.embedded.messenger import Messenger
from gateway.connectors.embedded.text import storable
from gateway.domain.failure import StoreUnavailable
from gateway.services.ports import Caps, Delivery
from gateway.store import im
from gateway.store.outbox import KIND_CHAT, KIND_STATUS

if TYPE_CHECKING:
    from gateway.services.ports import Inbox
    from gateway.world import World


class EmbeddedConnector:
    """Hands deliveries to a messenger, all of one call in one transaction."""

    name = "embedded"
    caps = Caps.STATUS | Caps.ROSTER | Caps.PRESENCE | Caps.OFFLINE_STORE

    def __init__(self, world: World, messenger: Messenger) -> None:
        self._world = world
        self._messenger = messenger

    async def start(self, inbox: Inbox) -> None:
        """Let accounts write to phones."""
        self._messenger.open(inbox)

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Write down and tell; all False when the store cannot take them now. What was delivered before changes nothing."""
        if not deliveries:
            return []
        items = [self._item(delivery) for delivery in deliveries]
        try:
            await self._messenger.deliver(items, [delivery.account for delivery in deliveries])
        except StoreUnavailable:
            return [False] * len(items)
        return [True] * len(items)

    async def stop(self) -> None:
        """Ask every window to close."""
        self._messenger.close()

    def is_healthy(self) -> bool:
        """Whether what people say can be written down."""
        return self._messenger.is_healthy

    def _item(self, delivery: Delivery) -> im.Incoming | im.StateChange:
        if delivery.kind == KIND_STATUS:
            return im.StateChange(delivery.origin_id, delivery.state, delivery.reason)
        assert delivery.kind == KIND_CHAT, f"no connector is given outbox rows of kind {delivery.kind}"
        return im.Incoming(self._world.next_id(), delivery.account, delivery.peer, storable(delivery.text), delivery.origin_id, delivery.at)
