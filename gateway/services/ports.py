"""What the services ask of the edges, and the edges of the services: Protocols and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntFlag
from typing import Any, NamedTuple, Protocol, TypeVar

Result = TypeVar("Result")


class Writer(Protocol):
    """The one door to the store for writing: many calls share one commit."""

    async def run(self, fn: Callable[..., Result], *args: Any) -> Result:
        """Run `fn(conn, *args)` in a savepoint of the next transaction; its result after the commit. An exception of `fn` is raised here.

        Raises StoreUnavailable when nothing can be written now.
        """
        ...

    @property
    def is_healthy(self) -> bool: ...


class Reader(Protocol):
    """Reads on connections of their own, which see what is committed."""

    async def read(self, fn: Callable[..., Result], *args: Any) -> Result:
        """Run `fn(conn, *args)` on a read-only connection off the loop."""
        ...


class Ran(NamedTuple):
    """What a command of our own printed, and its exit code."""

    code: int
    out: str
    err: str


class Commands(Protocol):
    """Runs `bellhop …` beside the gateway, in a process of lower priority."""

    async def run(self, arguments: Sequence[str]) -> Ran:
        """Run one command to its end; cancelled, it is stopped. Raises OSError when no process can be had."""
        ...


class Caps(IntFlag):
    """What a connector's network can do; pages and help texts read it, contract tests hold it true."""

    NONE = 0
    STATUS = 1  # shows whether a message to a phone was delivered
    ROSTER = 2
    PRESENCE = 4
    OFFLINE_STORE = 8


class Delivery(NamedTuple):
    """One outbox row for a connector: a phone's words to an account, or what became of an account's words to a phone."""

    outbox_id: int
    kind: int  # store.outbox.KIND_CHAT or KIND_STATUS
    account: int
    peer: str  # +MSISDN
    text: str  # KIND_CHAT
    origin_id: int  # KIND_CHAT: the MO; KIND_STATUS: the chat message
    state: int  # KIND_STATUS: message state
    reason: str  # KIND_STATUS: why it failed
    at: int  # UTC µs


class ChatMessage(NamedTuple):
    """What an account says to a phone."""

    account: int
    peer: str  # +MSISDN, canonical
    text: str
    client_id: str  # the sender's own id; the same twice is one message


class ChatAccepted(NamedTuple):
    """The chat message is on disk, and on its way as SMS."""

    im_message_id: int
    message_id: int
    segments: int
    encoding: str
    price_minor: int
    currency: str


class Inbox(Protocol):
    """What a connector calls when its users say something."""

    async def send_chat(self, chat: ChatMessage) -> ChatAccepted:
        """Accept a chat message to a phone; on disk when it returns. Raises domain.failure.Refused with a text for the user."""
        ...


class Connector(Protocol):
    """One IM network."""

    @property
    def name(self) -> str: ...

    @property
    def caps(self) -> Caps: ...

    async def start(self, inbox: Inbox) -> None: ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[bool]:
        """Hand these to the network, in order; True for each that is safely there.

        May be called again with the same outbox_id after a crash.
        """
        ...

    async def stop(self) -> None: ...

    def is_healthy(self) -> bool: ...
