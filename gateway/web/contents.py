"""The members of a message that say more than a text: class, octets with their header, and what may be replaced."""

from __future__ import annotations

from typing import Any

from gateway.domain.failure import Refused
from gateway.services.submit import Submission
from gateway.sms import udh
from gateway.sms.coding import ALPHABETS, of_class
from gateway.sms.errors import UdhError
from gateway.sms.segments import DATA_CODING, OCTETS_MAX, PARTS_MAX, SEPTETS_MAX, Encoding

UDHI = 0x40
BODY_HEX_MAX = 2 * PARTS_MAX * OCTETS_MAX
UDH_HEX_MAX = 2 * OCTETS_MAX
HEX = r"([0-9A-Fa-f]{2})+"
NAMES = frozenset({"replace_typographic", "flash", "class", "body_hex", "udh", "data_coding"})


def with_contents(submission: Submission, message: dict[str, Any]) -> Submission:
    """The submission with what these members say; raises Refused with the one at fault."""
    message_class = _class(message)
    if "body_hex" not in message:
        for name in ("udh", "data_coding"):
            if name in message:
                raise Refused("bad_field", "goes with body_hex; a text says its own", field=name)
        coding = 0 if message_class is None else of_class(message_class)
        return submission._replace(data_coding=coding, replace_typographic=message.get("replace_typographic"))
    for name in ("text", "replace_typographic"):
        if name in message:
            raise Refused("bad_field", "does not go with body_hex", field=name)
    if message_class is not None and "data_coding" in message:
        raise Refused("bad_field", "says a class too; leave one of them out", field="data_coding")
    coding = message.get("data_coding", DATA_CODING[Encoding.BINARY] if message_class is None else of_class(message_class, is_text=False))
    header, body = _header(message), _octets(message, "body_hex")
    octets_max = SEPTETS_MAX if ALPHABETS[coding] == "default" else OCTETS_MAX
    if header and len(header) + len(body) > octets_max:
        raise Refused("too_long", f"with its header it has {len(header) + len(body)} octets, at most {octets_max} fit", field="body_hex")
    return submission._replace(text=None, body=header + body, data_coding=coding, esm_class=UDHI if header else 0)


def _class(message: dict[str, Any]) -> int | None:
    message_class: int | None = message.get("class")
    if not message.get("flash", False):
        return message_class
    if message_class:
        raise Refused("bad_field", f"flash is class 0, not {message_class}; leave one of them out", field="class")
    return 0


def _header(message: dict[str, Any]) -> bytes:
    if "udh" not in message:
        return b""
    header = _octets(message, "udh")
    try:
        _, end = udh.parse(header)
    except UdhError as error:
        raise Refused("bad_field", str(error), field="udh") from None
    if end != len(header):
        raise Refused("bad_field", f"its length octet says {end - 1} octets, {len(header) - 1} follow", field="udh")
    return header


def _octets(message: dict[str, Any], name: str) -> bytes:
    digits: str = message[name]
    try:
        if not digits.isascii() or any(char.isspace() for char in digits):
            raise ValueError
        return bytes.fromhex(digits)
    except ValueError:
        raise Refused("bad_field", "must be pairs of hexadecimal digits", field=name) from None
