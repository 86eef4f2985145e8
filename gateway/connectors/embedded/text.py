"""What people may type: checks of names, passwords, texts and peers, each Refused with the field at fault."""

from __future__ import annotations

import re
from typing import NamedTuple

from gateway.connectors.embedded.limits import Limits
from gateway.domain import address
from gateway.domain.failure import Refused

# Line breaks and tabs are text; every other control character is refused, for PostgreSQL stores no NUL and a terminal obeys the rest.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CLIENT_ID = re.compile(r"[\x21-\x7e]+")
_ACCOUNT = re.compile(r"[1-9][0-9]{4,17}")


class Peer(NamedTuple):
    """Whom an account means: another account, or a phone."""

    name: str  # an account number, or +MSISDN
    account: int | None


def check_name(name: str, field: str, chars_max: int) -> None:
    """A nick or an alias: one line, not blank."""
    if not name.strip() or len(name) > chars_max:
        raise Refused("bad_name", f"must have 1 to {chars_max} characters", field=field)
    if not name.isprintable() or _SURROGATE.search(name):
        raise Refused("bad_name", "holds a character that cannot be shown", field=field)


def check_password(password: str, limits: Limits) -> None:
    """A password's length; its characters are the owner's business."""
    if not limits.password_chars_min <= len(password) <= limits.password_chars_max:
        raise Refused("bad_password", f"must have {limits.password_chars_min} to {limits.password_chars_max} characters", field="password")
    if _SURROGATE.search(password):
        raise Refused("bad_password", "holds a lone surrogate", field="password")


def check_text(text: str, chars_max: int) -> None:
    """A message's text."""
    if not text.strip():
        raise Refused("empty", "a message needs a text", field="text")
    if len(text) > chars_max:
        raise Refused("too_long", f"{len(text)} characters, at most {chars_max} are allowed", field="text")
    if _CONTROL.search(text) or _SURROGATE.search(text):
        raise Refused("bad_text", "holds a character that is no text", field="text")


def check_client_id(client_id: str, chars_max: int) -> None:
    """A sender's own id: visible ASCII, or nothing."""
    if client_id and (len(client_id) > chars_max or not _CLIENT_ID.fullmatch(client_id)):
        raise Refused("bad_client_id", f"must be at most {chars_max} visible ASCII characters", field="client_id")


def parse_peer(typed: str, field: str) -> Peer:
    """Whom someone typed: digits alone are an account, + or 00 begins a phone number."""
    typed = typed.strip()
    if _ACCOUNT.fullmatch(typed) is not None:
        return Peer(typed, int(typed))
    if not typed.startswith(("+", "00", "\uff0b")):
        raise Refused("bad_address", "must be an account number, or a phone number that begins with +", field=field)
    try:
        return Peer(f"+{address.msisdn(typed).digits_or_name}", None)
    except address.AddressError as error:
        raise Refused("bad_address", str(error), field=field) from None


def parse_short_code(typed: str | None) -> str | None:
    """The short code a phone's chat goes over, if one was named."""
    if not typed:
        return None
    try:
        return address.short_code(typed).digits_or_name
    except address.AddressError as error:
        raise Refused("bad_address", str(error), field="short_code") from None


def storable(text: str) -> str:
    """What a phone said, with the few characters that no store takes replaced; nothing else is changed."""
    return _SURROGATE.sub("\ufffd", text.replace("\x00", "\ufffd"))
