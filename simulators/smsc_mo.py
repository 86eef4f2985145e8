"""MO streams: lines of a file or a template as the deliver_sm of a phone, whole or in parts of every kind. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from typing import NamedTuple

from gateway.smpp.consts import Tag
from gateway.smpp.pdu import DeliverSm
from gateway.sms import segments, udh
from gateway.sms.errors import TextError, TooManyParts
from gateway.sms.segments import Encoding
from simulators.form import FormError
from simulators.phones import Outgoing
from simulators.smsc_script import LONG_FORMS, MoStream
from simulators.streams import Stream

_UDHI = 0x40
_COLUMNS = ("at", "from", "to", "text", "hex", "dcs", "parts")
LINES_MAX = 1_000_000
_OCTETS_MAX = 60_000


class Mo(NamedTuple):
    """One message of a phone: text in an alphabet, or octets with their data_coding."""

    at_s: float
    source: str
    to: str
    text: str | None
    octets: bytes = b""
    data_coding: int = 0
    encoding: str = "auto"
    parts: str = "udh8"


def parse_csv(text: str, name: str, stream: MoStream | None = None) -> list[Mo]:
    """The lines of a CSV file in order of their time. Raises FormError, which names the line and the column."""
    found: list[Mo] = []
    rows = csv.DictReader(StringIO(text))
    unknown = [column for column in rows.fieldnames or () if column not in _COLUMNS]
    if unknown or not rows.fieldnames:
        raise FormError(name, f"column {unknown[0]!r} is none of {', '.join(_COLUMNS)}" if unknown else "the file is empty")
    for row in rows:
        if len(found) >= LINES_MAX:
            raise FormError(name, f"more than {LINES_MAX} lines")
        found.append(_line(row, f"{name} line {rows.line_num}", stream))
    return sorted(found, key=lambda mo: mo.at_s)


def _line(row: dict[str, str | None], where: str, stream: MoStream | None) -> Mo:
    values = {column: (row.get(column) or "").strip() if column != "text" else row.get(column) or "" for column in _COLUMNS}
    try:
        at_s = float(values["at"] or 0)
    except ValueError:
        at_s = -1.0
    if not 0 <= at_s <= 864_000:
        raise FormError(f"{where}: at", "expected seconds from 0 to 864000")
    for column in ("from", "to"):
        if not 0 < len(values[column]) <= 20:
            raise FormError(f"{where}: {column}", "an address has 1 to 20 characters")
    parts = values["parts"] or (stream.parts if stream is not None else "udh8")
    if parts not in LONG_FORMS:
        raise FormError(f"{where}: parts", f"one of {', '.join(LONG_FORMS)}")
    if bool(values["text"]) == bool(values["hex"]):
        raise FormError(f"{where}: text", "give a text, or octets as hex")
    try:
        data_coding = int(values["dcs"] or ("4" if values["hex"] else "-1"), 0)
        octets = bytes.fromhex(values["hex"])
    except ValueError:
        raise FormError(f"{where}: dcs", "dcs is a number, hex is hexadecimal digits") from None
    if not -1 <= data_coding <= 255:
        raise FormError(f"{where}: dcs", "0 to 255")
    source, to = values["from"].removeprefix("+"), values["to"].removeprefix("+")
    if values["hex"]:
        return Mo(at_s, source, to, None, octets, data_coding, parts=parts)
    encoding = {-1: stream.encoding if stream is not None else "auto", 0: "gsm7", 3: "latin1", 8: "ucs2"}.get(data_coding)
    if encoding is None:
        raise FormError(f"{where}: dcs", "a text has dcs 0, 3 or 8; write others as hex")
    mo = Mo(at_s, source, to, values["text"], encoding=encoding, parts=parts)
    pdus_of(mo, 1, where)
    return mo


def made(stream: MoStream, number: int) -> Mo:
    """The message number `number` (from 1) of a stream with a rate."""
    at_s = stream.from_s + (number - 1) / stream.rate_per_s
    text, source, to = (each.format(n=number) for each in (stream.text, stream.source, stream.to))
    if stream.encoding == "binary":
        return Mo(at_s, source, to, None, bytes.fromhex(text), 4, parts=stream.parts)
    return Mo(at_s, source, to, text, encoding=stream.encoding, parts=stream.parts)


def pdus_of(mo: Mo, reference: int, where: str = "text") -> list[DeliverSm]:
    """The deliver_sm of a message. Raises FormError for a text its alphabet can't write, or too long."""
    encoding = None if mo.encoding in ("auto", "binary") else Encoding(mo.encoding)
    wide = mo.parts != "udh8"
    try:
        if mo.text is None:
            split = segments.split_octets(mo.octets, reference=reference, parts_max=segments.PARTS_MAX, wide=wide)
        else:
            split = segments.split(mo.text, reference=reference, parts_max=segments.PARTS_MAX, wide=wide, encoding=encoding)
    except (TextError, TooManyParts) as error:
        raise FormError(where, str(error)) from None
    data_coding = mo.data_coding if mo.text is None else split.data_coding
    if not split.udhi or mo.parts in ("udh8", "udh16"):
        return [_deliver(mo, data_coding, _UDHI if split.udhi else 0, body) for body in split.parts]
    bodies = [body[1 + body[0] :] for body in split.parts]
    if mo.parts == "payload":
        payload = b"".join(bodies)
        if len(payload) > _OCTETS_MAX:
            raise FormError(where, f"at most {_OCTETS_MAX} octets in message_payload")
        return [_deliver(mo, data_coding, 0, b"", {int(Tag.MESSAGE_PAYLOAD): payload})]
    return [
        _deliver(mo, data_coding, 0, body, _sar(udh.Concatenation(reference & 0xFFFF, len(bodies), number, wide=True)))
        for number, body in enumerate(bodies, 1)
    ]


def _sar(place: udh.Concatenation) -> dict[int, bytes]:
    return {
        int(Tag.SAR_MSG_REF_NUM): place.reference.to_bytes(2, "big"),
        int(Tag.SAR_TOTAL_SEGMENTS): bytes((place.total,)),
        int(Tag.SAR_SEGMENT_SEQNUM): bytes((place.number,)),
    }


def _deliver(mo: Mo, data_coding: int, esm_class: int, body: bytes, tlvs: dict[int, bytes] | None = None) -> DeliverSm:
    return DeliverSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=mo.source,
        dest_addr_npi=1,
        destination_addr=mo.to,
        esm_class=esm_class,
        data_coding=data_coding,
        short_message=body,
        tlvs=tlvs or {},
    )


def disturbed(pdus: Iterable[DeliverSm], stream: MoStream, numbers: Stream) -> list[DeliverSm]:
    """The parts of a message as a bad network brings them: some missing, some twice, in another order."""
    found: list[DeliverSm] = []
    for pdu in pdus:
        if stream.missing_percent and numbers.random() * 100 < stream.missing_percent:
            continue
        found.append(pdu)
        if stream.duplicate_percent and numbers.random() * 100 < stream.duplicate_percent:
            found.append(pdu)
    if stream.shuffle and len(found) > 1:
        before = list(found)
        numbers.shuffle(found)
        if found == before:
            found.reverse()
    return found


def phone_pdus(outgoing: Outgoing) -> list[DeliverSm]:
    """The deliver_sm of each part of what a phone's owner wrote."""
    message, segmented = outgoing
    return [
        DeliverSm(
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=message.phone,
            dest_addr_npi=1,
            destination_addr=message.peer,
            esm_class=0x40 if segmented.udhi else 0,
            data_coding=segmented.data_coding,
            short_message=part,
        )
        for part in segmented.parts
    ]
