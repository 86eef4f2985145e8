"""A frame taken apart for people: every field with its name, its place in the octets, its value and what the value means. Pure.

Total: octets that are no PDU give as many fields as can be read, and say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.smpp import receipt
from gateway.smpp.consts import HEADER_BYTES, CommandId, DataCoding, EsmClass, MessageState, Npi, Tag, Ton, status_name
from gateway.smpp.errors import FieldError
from gateway.smpp.fields import CString, Field, Octet, ShortMessage
from gateway.smpp.layout import CLASSES, LAYOUTS
from gateway.smpp.pdu import DataSm, DeliverSm, SubmitMulti, SubmitSm, decode
from gateway.smpp.tlv import INTEGER, TEXT, TLV_SPECS
from gateway.sms import segments, udh
from gateway.sms.errors import UdhError

_UDHI = 0x40
_TAGS: Final = {int(tag): tag.name.lower() for tag in Tag}
_NETWORKS: Final = {1: "ANSI-136", 2: "IS-95", 3: "GSM", 4: "reserved"}


def _enum_name(kind: Any, value: int) -> str:
    try:
        return str(kind(value).name)
    except ValueError:
        return "reserved"


def esm_class_text(value: int) -> str:
    """esm_class in words."""
    modes = {0: "default mode", 1: "datagram", 2: "forward", 3: "store and forward"}
    types = {
        0x04: "delivery receipt", 0x08: "delivery acknowledgement", 0x10: "user acknowledgement", 0x18: "conversation abort",
        0x20: "intermediate notification",
    }  # fmt: skip
    words = [modes[value & EsmClass.MODE_MASK]]
    if value & EsmClass.TYPE_MASK:
        words.append(types.get(value & EsmClass.TYPE_MASK, "reserved type"))
    words += ["UDHI"] * bool(value & _UDHI) + ["reply path"] * bool(value & 0x80)
    return ", ".join(words)


def _registered_text(value: int) -> str:
    words = [("no receipt", "receipt", "receipt on failure", "receipt on success")[value & 3]]
    words += ["SME delivery acknowledgement"] * bool(value & 4) + ["SME user acknowledgement"] * bool(value & 8)
    words += ["intermediate notification"] * bool(value & 0x10) + ["reserved bits"] * bool(value & 0xE0)
    return ", ".join(words)


def coding_text(value: int) -> str:
    """data_coding in words."""
    name = _enum_name(DataCoding, value)
    if name != "reserved":
        return name
    if value >> 4 == 0xF:
        return f"{'8-bit data' if value & 4 else 'GSM 7-bit'}, class {value & 3}"
    if value >> 4 == 0x1:
        return f"class {value & 3}, {('GSM 7-bit', '8-bit data', 'UCS2', 'reserved')[value >> 2 & 3]}"
    return "message waiting" if value >> 4 in (0xC, 0xD, 0xE) else "reserved"


def _version_text(value: int) -> str:
    return {0x33: "3.3", 0x34: "3.4", 0x50: "5.0"}.get(value, "3.3 or older" if value < 0x33 else "unknown")


_MEANINGS: Final[dict[str, Callable[[int], str]]] = {
    "source_addr_ton": lambda value: _enum_name(Ton, value),
    "dest_addr_ton": lambda value: _enum_name(Ton, value),
    "addr_ton": lambda value: _enum_name(Ton, value),
    "esme_addr_ton": lambda value: _enum_name(Ton, value),
    "source_addr_npi": lambda value: _enum_name(Npi, value),
    "dest_addr_npi": lambda value: _enum_name(Npi, value),
    "addr_npi": lambda value: _enum_name(Npi, value),
    "esme_addr_npi": lambda value: _enum_name(Npi, value),
    "esm_class": esm_class_text,
    "registered_delivery": _registered_text,
    "data_coding": coding_text,
    "interface_version": _version_text,
    "message_state": lambda value: _enum_name(MessageState, value),
    "sc_interface_version": _version_text,
}


def command_name(command_id: int) -> str:
    """The name of a command_id, hexadecimal when it has none."""
    try:
        return CommandId(command_id).name.lower()
    except ValueError:
        return f"0x{command_id:08X}"


def _part(name: str, start: int, end: int, value: object, means: str = "", kind: str = "body") -> dict[str, Any]:
    return {"name": name, "start": start, "end": end, "value": value, "means": means, "kind": kind}


def fields_of(frame: bytes) -> list[dict[str, Any]]:
    """The fields in the order of the octets; what can't be read is one field of kind "error"."""
    found: list[dict[str, Any]] = []
    if len(frame) < HEADER_BYTES:
        return [_part("octets", 0, len(frame), frame.hex(), "shorter than a header", "error")]
    length, command_id, status, sequence = (int.from_bytes(frame[start : start + 4], "big") for start in range(0, HEADER_BYTES, 4))
    lie = "" if length == len(frame) else f"a lie: the frame has {len(frame)}"
    found.append(_part("command_length", 0, 4, length, lie, "error" if lie else "header"))
    found.append(_part("command_id", 4, 8, f"0x{command_id:08X}", command_name(command_id), "header"))
    found.append(_part("command_status", 8, 12, f"0x{status:08X}", status_name(status), "error" if status else "header"))
    found.append(_part("sequence_number", 12, 16, sequence, "", "header"))
    layout = LAYOUTS.get(CLASSES[command_id]) if command_id in CLASSES else None
    at = HEADER_BYTES
    try:
        for each in layout or ():
            if at >= len(frame) and status:
                break  # an error needs no body
            at = _read(each, frame, at, found)
    except FieldError as error:
        found.append(_part("octets", at, len(frame), frame[at:].hex(), error.reason, "error"))
        return found
    if layout is None and at < len(frame):
        found.append(_part("octets", at, len(frame), frame[at:].hex(), "of an unknown PDU", "error"))
        return found
    _read_tlvs(frame, at, found)
    return found


def _read(each: Field, frame: bytes, at: int, found: list[dict[str, Any]]) -> int:
    value, end = each.read(frame, at, 255)
    if isinstance(each, ShortMessage):
        found.append(_part("sm_length", at, at + 1, frame[at]))
        found.append(_part("short_message", at + 1, end, value.hex()))
    elif isinstance(each, Octet):
        meaning = _MEANINGS.get(each.name)
        found.append(_part(each.name, at, end, value, meaning(value) if meaning else ""))
    elif isinstance(each, CString):
        is_secret = each.name == "password"
        found.append(_part(each.name, at, end, "•" * len(value) if is_secret else value, "", "secret" if is_secret else "body"))
    else:
        found.append(_part(each.name, at, end, [list(each) for each in value]))
    return end


def _read_tlvs(frame: bytes, at: int, found: list[dict[str, Any]]) -> None:
    while at < len(frame):
        tag, length = int.from_bytes(frame[at : at + 2], "big"), int.from_bytes(frame[at + 2 : at + 4], "big")
        end = at + 4 + length
        if at + 4 > len(frame) or end > len(frame):
            found.append(_part("octets", at, len(frame), frame[at:].hex(), "no TLV, or one that runs past the end", "error"))
            return
        raw = frame[at + 4 : end]
        name = _TAGS.get(tag, "vendor" if 0x1400 <= tag <= 0x3FFF else "unknown")
        found.append(_part(f"{name} (0x{tag:04X})", at, end, *_tlv_value(tag, name, raw), "tlv"))
        at = end


def _tlv_value(tag: int, name: str, raw: bytes) -> tuple[object, str]:
    spec = TLV_SPECS.get(tag)
    if spec is not None and not spec.length_min <= len(raw) <= spec.length_max:
        return raw.hex(), f"{len(raw)} octets, allowed {spec.length_min} to {spec.length_max}"
    if spec is not None and spec.kind is INTEGER:
        value = int.from_bytes(raw, "big")
        meaning = _MEANINGS.get(name)
        return value, meaning(value) if meaning else ""
    if spec is not None and spec.kind is TEXT:
        return raw.split(b"\0", 1)[0].decode("latin-1"), ""
    if tag == Tag.NETWORK_ERROR_CODE:
        return raw.hex(), f"{_NETWORKS.get(raw[0], 'network ' + str(raw[0]))} error {int.from_bytes(raw[1:], 'big')}"
    return raw.hex(), ""


_MESSAGES: Final = (SubmitSm, DeliverSm, DataSm, SubmitMulti)


def content_of(frame: bytes) -> dict[str, Any]:
    """What a message PDU says: its text, its user data header, and the receipt in it; {} for other PDUs."""
    try:
        pdu = decode(frame, 255)
    except FieldError:
        return {}
    if not isinstance(pdu, _MESSAGES):
        return {}
    short_message = b"" if isinstance(pdu, DataSm) else pdu.short_message
    body = short_message or pdu.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
    content = segments.decode(pdu.data_coding, bool(pdu.esm_class & _UDHI), body)
    found: dict[str, Any] = {"text": content.text, "octets": len(body)}
    if content.text is None:
        found["hex"] = content.raw.hex()
    if pdu.esm_class & _UDHI:
        found["udh"] = _header_words(body)
    if isinstance(pdu, DeliverSm | DataSm):
        told = _receipt_of(pdu)
        if told:
            found["receipt"] = told
    return found


def _header_words(body: bytes) -> list[str]:
    try:
        elements, _ = udh.parse(body)
    except UdhError as error:
        return [f"a header that lies: {error}"]
    words = []
    place = udh.concatenation(elements)
    if place is not None:
        words.append(f"part {place.number} of {place.total}, reference {place.reference}{' (16 bits)' if place.wide else ''}")
    ports = udh.ports(elements)
    if ports is not None:
        words.append(f"to port {ports.destination} from port {ports.source}")
    return words or [f"element 0x{element.iei:02X}: {element.data.hex()}" for element in elements]


def _receipt_of(pdu: DeliverSm | DataSm) -> dict[str, str]:
    report = receipt.read(pdu)
    if report is None:
        return {}
    told = {"id": report.smsc_id, "state": report.state.name, "error": report.error}
    if report.text_receipt is not None:
        told |= {name: value for name, value in report.text_receipt._asdict().items() if value}
    return told


def problem_of(frame: bytes) -> str:
    """What is wrong with a frame, "" for a good one."""
    try:
        decode(frame, 255)
    except FieldError as error:
        return error.reason
    return ""
