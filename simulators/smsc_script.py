"""What a scenario says about binds and about moments: refusals, silence, events at set times, streams of MO. Forms, pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators.form import FormError, key
from simulators.smsc_chance import Latency, latency_document, read_latency
from simulators.smsc_rule import SECONDS_MAX, read_status

MODES: Final = ("normal", "silent", "mute")
DEEDS: Final = (
    "unbind", "reset", "close", "mute", "down", "enquire-link", "alert", "outbind",
    "long", "short", "unknown-id", "wrong-sequence", "garbage", "truncated",
)  # fmt: skip
LONG_FORMS: Final = ("udh8", "udh16", "sar", "payload")
ENCODINGS: Final = ("auto", "gsm7", "ucs2", "latin1", "binary")


@dataclass(frozen=True, slots=True)
class BindRule:
    """What happens to a bind; the first that matches decides."""

    system_id: str = key("", "meets: binds with a system_id of this shape (`*`, `?`, `[…]`)")
    every: int = key(0, "meets: each Nth bind that matches otherwise", least=0, most=1_000_000)
    times: int = key(0, "meets: so many binds, 0 always", least=0)
    from_s: float = key(0.0, "meets: from this second of the scenario on", least=0, most=SECONDS_MAX)
    for_s: float = key(0.0, "meets: for so many seconds, 0 to the end", least=0, most=SECONDS_MAX)
    status: int = key(0, "refuse with this command_status", read=read_status, shown="a name or a number")
    mode: str = key("normal", "`silent` takes the connection and answers nothing; `mute` answers the bind and then nothing, "
                    "and answers no FIN either", words=MODES)  # fmt: skip
    mute_after: int = key(0, "fall silent after so many PDUs of the ESME, 0 never", least=0)
    unbind_after: int = key(0, "unbind after so many PDUs of the ESME, 0 never", least=0)
    reset_after: int = key(0, "reset the connection after so many PDUs of the ESME, 0 never", least=0)
    answers_enquire_link: bool = key(True, "whether enquire_link is answered")
    latency: Latency | None = key(None, "from the bind to its answer", read=read_latency, write=latency_document, shown="ms, or a latency")

    def is_at(self, now_s: float) -> bool:
        """Whether its window of time is open."""
        return self.from_s <= now_s and (not self.for_s or now_s < self.from_s + self.for_s)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at a set time, once or again and again, to all binds or to some."""

    do: str = key("unbind", "what: end the binds (`unbind`, `reset`, `close`), fall silent (`mute`), close the port (`down`), ask or tell "
                  "(`enquire-link`, `alert`, `outbind`), or send a spoilt PDU", words=DEEDS)  # fmt: skip
    at_s: float = key(0.0, "when, from the start of the scenario", least=0, most=SECONDS_MAX)
    every_s: float = key(0.0, "again after so many seconds, 0 once", least=0, most=SECONDS_MAX)
    times: int = key(0, "with every_s: so often in all, 0 without end", least=0)
    for_s: float = key(0.0, "down and mute: how long, 0 to the end", least=0, most=SECONDS_MAX)
    system_id: str = key("", "to binds with a system_id of this shape; left out, to all")
    source: str = key("8613900001234", "alert: the phone that can be reached again", most=64)
    host: str = key("127.0.0.1", "outbind: where the ESME listens")
    port: int = key(0, "outbind: on which port", least=0, most=65535)
    password: str = key("", "outbind: the password sent along", most=8)

    def check(self, where: str) -> None:
        """Raise FormError when a key is missing."""
        if self.do == "outbind" and not self.port:
            raise FormError(f"{where}.port", "outbind needs the port the ESME listens on")
        if self.every_s and self.every_s < 0.001:
            raise FormError(f"{where}.every_s", "0.001 or more")


@dataclass(frozen=True, slots=True)
class MoStream:
    """Messages from phones: from a file of lines, or made at a rate."""

    file: str = key("", "a CSV file with the columns at, from, to, and text or hex, dcs, parts; relative to the scenario")
    rate_per_s: float = key(0.0, "or so many a second", least=0, most=100_000)
    count: int = key(0, "with a rate: so many in all, 0 without end", least=0)
    from_s: float = key(0.0, "start at this second of the scenario", least=0, most=SECONDS_MAX)
    for_s: float = key(0.0, "stop after so many seconds, 0 never", least=0, most=SECONDS_MAX)
    source: str = key("861390000{n:04}", "the phone; `{n}` is the message's number, `{n:04}` with zeros in front", most=64)
    to: str = key("10690001", "the short code", most=64)
    text: str = key("MO {n}", "the text, or hexadecimal digits when binary", most=20_000)
    encoding: str = key("auto", "the alphabet", words=ENCODINGS)
    parts: str = key("udh8", "how long messages are cut: a header with an 8-bit or 16-bit reference, SAR parameters, or not at all "
                     "(message_payload)", words=LONG_FORMS)  # fmt: skip
    shuffle: bool = key(False, "send the parts of a long message in another order")
    duplicate_percent: float = key(0.0, "how many parts come twice", least=0, most=100)
    missing_percent: float = key(0.0, "how many parts never come", least=0, most=100)

    def check(self, where: str) -> None:
        """Raise FormError when there is nothing to send, or a template is none."""
        if bool(self.file) == bool(self.rate_per_s):
            raise FormError(f"{where}.file", "give a file, or rate_per_s")
        for name in ("source", "to", "text"):
            try:
                getattr(self, name).format(n=1)
            except (KeyError, ValueError, IndexError, AttributeError, TypeError):
                raise FormError(f"{where}.{name}", "only {n} may stand in braces; write {{ for a brace") from None
        if self.encoding == "binary" and self.rate_per_s:
            try:
                bytes.fromhex(self.text.format(n=1))
            except ValueError:
                raise FormError(f"{where}.text", "binary needs hexadecimal digits") from None


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS on the port; a certificate is made when none is given."""

    enabled: bool = key(False, "whether the port speaks TLS")
    certificate: str = key("", "PEM file with the certificate; relative to the scenario")
    private_key: str = key("", "PEM file with its key")
    client_ca: str = key("", "PEM file: only clients with a certificate of this CA may connect")

    def check(self, where: str) -> None:
        """Raise FormError when half is missing."""
        if bool(self.certificate) != bool(self.private_key):
            raise FormError(f"{where}.private_key", "certificate and private_key go together")


def read_texts(value: object, where: str) -> tuple[str, ...]:
    """A list of texts. Raises FormError."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise FormError(where, "expected a list of texts")
    return tuple(value)
