"""What tests of the messenger share: limits that cost little, and an inbox that records as the real one does."""

from __future__ import annotations

from gateway.connectors.embedded import Limits
from gateway.domain.failure import Refused
from gateway.services.ports import ChatAccepted, ChatMessage, Writer
from gateway.store import im
from gateway.world import World

# Eight KiB and one pass is the least that argon2 takes.
CHEAP = {"hash_passes": 1, "hash_memory_kib": 8}
PASSWORD = "correct horse"
PHONE = "+8613912345678"
PRICE_MINOR = 10


def limits(**changes: object) -> Limits:
    """The messenger's limits with cheap hashes and, unless the test says so, no bucket that could run dry."""
    roomy = {"messages_burst": 10_000, "logins_burst": 10_000, "registrations_burst": 10_000, "frames_burst": 10_000}
    return Limits(**{**CHEAP, **roomy, "initial_credit_minor": 1_000, **changes})  # type: ignore[arg-type] # names are checked by Limits


class RecordingInbox:
    """Takes what accounts say to phones as the gateway's own service does: recorded in one transaction, once per client id."""

    def __init__(self, world: World, writer: Writer) -> None:
        self._world = world
        self._writer = writer
        self.taken: list[ChatMessage] = []
        self.refusal: Refused | None = None

    async def send_chat(self, chat: ChatMessage) -> ChatAccepted:
        if self.refusal is not None:
            raise self.refusal
        new_id, now_us = self._world.next_id(), self._world.clock.now_us()
        args = (chat.account, chat.peer, chat.text, chat.client_id, new_id, now_us)
        im_message_id, is_new = await self._writer.run(im.record_outgoing, *args)
        if is_new:
            self.taken.append(chat)
        return ChatAccepted(im_message_id, self._world.next_id(), 1, "gsm7", PRICE_MINOR, "CNY")
