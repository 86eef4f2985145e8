"""Who is graded, and what the run was told about him."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Account:
    """A system_id and its password."""

    system_id: str
    password: str


@dataclass(frozen=True, slots=True)
class Triggers:
    """How the peer is made to do what no peer can be asked over SMPP. None: nobody can, and the case is not tested."""

    send: Callable[[str, str], Awaitable[None]] | None = None  # role esme: have it submit (destination, text)
    unbind: Callable[[], Awaitable[None]] | None = None  # have it unbind us
    phone_writes: Callable[[str], Awaitable[None]] | None = None  # role smsc: have the test number write this text to our source
    alert: Callable[[], Awaitable[None]] | None = None  # role smsc: have it tell us that the test number can be reached again
    outbind: Callable[[int], Awaitable[None]] | None = None  # have it send outbind to this port of ours
    break_store: Callable[[bool], Awaitable[None]] | None = None  # take its disk away, give it back
    restart: Callable[[], Awaitable[None]] | None = None  # kill it without warning and start it again
    state_of: Callable[[str], Awaitable[str]] | None = None  # role esme: what it thinks of the message with this text


@dataclass(frozen=True, slots=True)
class Subject:
    """The peer. What is None or 0 was not said, and the cases that need it are not tested."""

    host: str
    port: int
    account: Account
    source: str = "10661800"
    destination: str = "8613900001234"
    failing_destination: str | None = None  # its receipts say UNDELIV
    forbidden_source: str | None = None
    disabled: Account | None = None
    foreign: Account | None = None  # may bind from other addresses only
    limited: Account | None = None  # has a bind limit and a rate
    bind_limit: int = 0
    rate_per_s: int = 0
    poor: Account | None = None  # has no credit, or no quota left
    list_name: str | None = None  # a distribution list it knows
    window: int = 0  # role esme: how many submit_sm it may leave unanswered
    outbind_port: int = 0  # role esme: where it waits for outbind
    tls_port: int = 0  # role esme: where a second link of its comes by TLS
    bad_certificate: tuple[str, str] | None = None  # what it is shown there, certificate and key: it must refuse it
    timeout_s: float = 5.0  # for an answer
    patience_s: float = 65.0  # for the peer's own timers
    quiet_s: float = 1.0  # silence that proves that nothing more comes
    long_s: float = 0.0  # how long the soak runs
    triggers: Triggers = field(default_factory=Triggers)
