"""Octets to PDUs and back: a table for all of them, hand-made paths for the five that carry the traffic.

`decode` is total: any octets give a PDU or a FieldError, never anything else. The fast paths take the good case at full
speed; whatever looks odd to them goes through the table, which finds the right status. A response with an error status may
have a body or none on the way in (SMPP 3.4 section 3.2: none is right); we write none.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from gateway.smpp.consts import HEADER_BYTES, RESPONSE_BIT, SM_LENGTH_MAX, Status
from gateway.smpp.errors import FieldError, LocalProtocolError
from gateway.smpp.fields import fail
from gateway.smpp.layout import CLASSES, LAYOUTS, Fields, Pdu
from gateway.smpp.message_pdus import DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp
from gateway.smpp.session_pdus import EnquireLink, EnquireLinkResp
from gateway.smpp.tlv import EMPTY_TLVS, BadTlvsError, Tlvs
from gateway.smpp.tlv import read as read_tlvs
from gateway.smpp.tlv import write as write_tlvs

# decoder(frame, command_status, sequence_number, sm_length_max) and encoder(pdu, sequence_number)
Decoder = Callable[[bytes, int, int, int], Pdu]
Encoder = Callable[[Any, int], bytes]

_HEADER = struct.Struct(">LLLL")
_pack_header = _HEADER.pack
_unpack_header = _HEADER.unpack_from
_SHORT_MESSAGE_MIN = 33  # header and the smallest body of submit_sm and deliver_sm
_new = tuple.__new__


def decode(frame: bytes, sm_length_max: int = SM_LENGTH_MAX) -> Pdu:
    """Read one whole frame. Raises FieldError, and nothing else, on any bytes."""
    if len(frame) < HEADER_BYTES:
        raise FieldError(Status.ESME_RINVCMDLEN, 0, 0, "frame is shorter than a header")
    length, command_id, status, sequence_number = _unpack_header(frame)
    if length != len(frame):
        fail(frame, Status.ESME_RINVCMDLEN, f"command_length is {length}, the frame has {len(frame)}")
    decoder = DECODERS.get(command_id)
    if decoder is None:
        fail(frame, Status.ESME_RINVCMDID, f"command_id 0x{command_id:08X} is unknown")
    return decoder(frame, status, sequence_number, sm_length_max)


def encode(pdu: Pdu) -> bytes:
    """Write one frame. Raises LocalProtocolError on values that cannot be sent."""
    encoder = ENCODERS.get(type(pdu))
    if encoder is None:
        raise LocalProtocolError(f"{type(pdu).__name__} is no PDU")
    return encoder(pdu, pdu.sequence_number)


def encode_as(pdu: Pdu, sequence_number: int) -> bytes:
    """Write one frame under another sequence number than the PDU's own."""
    return ENCODERS[type(pdu)](pdu, sequence_number)


def _read_tlvs(frame: bytes, start: int) -> Tlvs:
    if start == len(frame):
        return EMPTY_TLVS
    try:
        return read_tlvs(frame, start)
    except BadTlvsError as bad:
        fail(frame, bad.status, bad.reason)


def _decode_by_table(cls: type[Any], fields: Fields, frame: bytes, status: int, sequence_number: int, sm_length_max: int) -> Any:
    if status and len(frame) == HEADER_BYTES and cls.command_id & RESPONSE_BIT:
        return cls(sequence_number, status)
    values: list[Any] = [sequence_number, status]
    start = HEADER_BYTES
    for field in fields:
        value, start = field.read(frame, start, sm_length_max)
        values.append(value)
    values.append(_read_tlvs(frame, start))
    return cls._make(values)


def _encode_by_table(fields: Fields, pdu: Any, sequence_number: int) -> bytes:
    parts: list[bytes] = []
    if not (pdu.command_status and pdu.command_id & RESPONSE_BIT):
        try:
            parts.extend([field.write(value) for field, value in zip(fields, pdu[2:-1], strict=True)])
        except (TypeError, AttributeError, ValueError) as error:
            raise LocalProtocolError(f"{type(pdu).__name__} holds a value of the wrong type") from error
        parts.append(write_tlvs(pdu.tlvs))
    body = b"".join(parts)
    return _header(HEADER_BYTES + len(body), pdu.command_id, pdu.command_status, sequence_number) + body


def _header(length: int, command_id: int, status: int, sequence_number: int) -> bytes:
    try:
        return _pack_header(length, command_id, status, sequence_number)
    except struct.error:
        raise LocalProtocolError("command_status or sequence_number does not fit four octets") from None


def _table_decoder(cls: type[Pdu]) -> Decoder:
    fields = LAYOUTS[cls]

    def decoder(frame: bytes, status: int, sequence_number: int, sm_length_max: int) -> Pdu:
        pdu: Pdu = _decode_by_table(cls, fields, frame, status, sequence_number, sm_length_max)
        return pdu

    return decoder


def _table_encoder(cls: type[Pdu]) -> Encoder:
    fields = LAYOUTS[cls]

    def encoder(pdu: Any, sequence_number: int) -> bytes:
        return _encode_by_table(fields, pdu, sequence_number)

    return encoder


def _short_message_decoder(cls: type[Any]) -> Decoder:
    """submit_sm and deliver_sm: find the five NULs, slice, build one tuple. Anything odd is left to the table."""
    by_table = _table_decoder(cls)

    def decoder(frame: bytes, status: int, sequence_number: int, sm_length_max: int) -> Pdu:
        size = len(frame)
        find = frame.find
        a = find(0, 16, 22)
        b = find(0, a + 3, a + 24)
        c = find(0, b + 3, b + 24)
        d = c + 4  # schedule_delivery_time
        if a < 0 or b < 0 or c < 0 or size < _SHORT_MESSAGE_MIN or d + 7 > size:
            return by_table(frame, status, sequence_number, sm_length_max)
        schedule = validity = ""
        if frame[d]:
            e = find(0, d, d + 17)
            f = find(0, e + 1, e + 18)
            if e < 0 or f < 0 or e - d not in (0, 16) or f - e not in (1, 17) or f + 6 > size:
                return by_table(frame, status, sequence_number, sm_length_max)
            schedule = frame[d:e].decode("latin-1")
            validity = frame[e + 1 : f].decode("latin-1")
            d = f - 1
        elif frame[d + 1]:
            f = find(0, d + 1, d + 18)
            if f - d != 17 or f + 6 > size:
                return by_table(frame, status, sequence_number, sm_length_max)
            validity = frame[d + 1 : f].decode("latin-1")
            d += 16
        start = d + 7
        end = start + frame[d + 6] if d + 6 < size else size + 1
        if end > size or end - start > sm_length_max:
            return by_table(frame, status, sequence_number, sm_length_max)
        return _new(  # type: ignore[no-any-return]  # tuple.__new__ gives an instance of cls
            cls,
            (
                sequence_number,
                status,
                frame[16:a].decode("latin-1") if a > 16 else "",
                frame[a + 1],
                frame[a + 2],
                frame[a + 3 : b].decode("latin-1"),
                frame[b + 1],
                frame[b + 2],
                frame[b + 3 : c].decode("latin-1"),
                frame[c + 1],
                frame[c + 2],
                frame[c + 3],
                schedule,
                validity,
                frame[d + 2],
                frame[d + 3],
                frame[d + 4],
                frame[d + 5],
                frame[start:end],
                EMPTY_TLVS if end == size else _read_tlvs(frame, end),
            ),
        )

    return decoder


def _message_id_decoder(cls: type[Any], *, body_needed: bool) -> Decoder:
    """submit_sm_resp and deliver_sm_resp.

    COMPAT: some ESMEs answer deliver_sm with a bare header; refusing that would deliver the same message for ever.
    """
    by_table = _table_decoder(cls)

    def decoder(frame: bytes, status: int, sequence_number: int, sm_length_max: int) -> Pdu:
        size = len(frame)
        if size == HEADER_BYTES and not body_needed:
            return _new(cls, (sequence_number, status, "", EMPTY_TLVS))  # type: ignore[no-any-return]  # an instance of cls
        last = size - 1
        if frame.find(0, 16, 81) == last:
            message_id = frame[16:last].decode("latin-1")
            return _new(cls, (sequence_number, status, message_id, EMPTY_TLVS))  # type: ignore[no-any-return]  # an instance of cls
        return by_table(frame, status, sequence_number, sm_length_max)

    return decoder


def _header_decoder(cls: type[Any]) -> Decoder:
    by_table = _table_decoder(cls)

    def decoder(frame: bytes, status: int, sequence_number: int, sm_length_max: int) -> Pdu:
        if len(frame) == HEADER_BYTES:
            return _new(cls, (sequence_number, status, EMPTY_TLVS))  # type: ignore[no-any-return]  # an instance of cls
        return by_table(frame, status, sequence_number, sm_length_max)

    return decoder


def _short_message_encoder(cls: type[Any]) -> Encoder:
    """submit_sm and deliver_sm: one join. What does not fit goes through the table, which says why."""
    by_table = _table_encoder(cls)
    command_id: int = cls.command_id
    pack = struct.Struct(">LLLL").pack
    join = b"".join

    def encoder(pdu: Any, sequence_number: int) -> bytes:
        (_, status, service, s_ton, s_npi, source, d_ton, d_npi, destination, esm_class, protocol_id, priority,
         schedule, validity, registered, replace, coding, default_id, text, tlvs) = pdu  # fmt: skip
        is_odd = schedule or len(validity) not in (0, 16)
        try:
            # The validity stands elsewhere in the PDU: with the names it is encoded, and looked through for NULs, at once.
            names = f"{service}\0{source}\0{destination}{validity}".encode("latin-1")
            if is_odd or len(service) > 5 or len(source) > 20 or len(destination) > 20 or len(text) > SM_LENGTH_MAX or names.count(0) != 2:
                return by_table(pdu, sequence_number)
            middle = len(service) + 1
            last = middle + len(source) + 1
            end = last + len(destination)
            parts = [
                names[:middle],
                bytes((s_ton, s_npi)),
                names[middle:last],
                bytes((d_ton, d_npi)),
                names[last:end],
                bytes((0, esm_class, protocol_id, priority, 0)),
                names[end:],
                bytes((0, registered, replace, coding, default_id, len(text))),
                text,
            ]
            body = join(parts)
            if tlvs:
                body += write_tlvs(tlvs)
            return pack(HEADER_BYTES + len(body), command_id, status, sequence_number) + body
        except (ValueError, TypeError, struct.error):
            return by_table(pdu, sequence_number)

    return encoder


def _message_id_encoder(cls: type[Any]) -> Encoder:
    by_table = _table_encoder(cls)
    command_id: int = cls.command_id

    def encoder(pdu: Any, sequence_number: int) -> bytes:
        status: int = pdu[1]
        message_id: str = pdu[2]
        tlvs: Tlvs = pdu[3]
        if status or tlvs or len(message_id) > 64 or "\0" in message_id:
            return by_table(pdu, sequence_number)
        try:
            return _pack_header(17 + len(message_id), command_id, 0, sequence_number) + message_id.encode("latin-1") + b"\0"
        except (ValueError, struct.error):
            return by_table(pdu, sequence_number)

    return encoder


DECODERS: Final[dict[int, Decoder]] = {command_id: _table_decoder(cls) for command_id, cls in CLASSES.items()} | {
    SubmitSm.command_id: _short_message_decoder(SubmitSm),
    DeliverSm.command_id: _short_message_decoder(DeliverSm),
    SubmitSmResp.command_id: _message_id_decoder(SubmitSmResp, body_needed=True),
    DeliverSmResp.command_id: _message_id_decoder(DeliverSmResp, body_needed=False),
    EnquireLink.command_id: _header_decoder(EnquireLink),
    EnquireLinkResp.command_id: _header_decoder(EnquireLinkResp),
}
ENCODERS: Final[dict[type[Any], Encoder]] = {cls: _table_encoder(cls) for cls in LAYOUTS} | {
    SubmitSm: _short_message_encoder(SubmitSm),
    DeliverSm: _short_message_encoder(DeliverSm),
    SubmitSmResp: _message_id_encoder(SubmitSmResp),
    DeliverSmResp: _message_id_encoder(DeliverSmResp),
}
