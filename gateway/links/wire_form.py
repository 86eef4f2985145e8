"""From a segment as it is stored to what one link wants on the wire.

Stored is always the same: septets one to an octet, a header with 8-bit or 16-bit references, UTF-16 for the rest. A link that
takes that has no wire form at all, and nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.domain.message import Flight
from gateway.smpp.consts import Tag
from gateway.sms import national, packing, udh
from gateway.sms.coding import ALPHABETS, rewritten
from gateway.sms.errors import TextError, UdhError
from gateway.sms.profile import Method, TextProfile
from gateway.sms.segments import OCTETS_MAX, SEPTETS_MAX

UDHI = 0x40
SHORT_MESSAGE_MAX = 254
_CONCATENATIONS = frozenset({udh.CONCATENATION_8, udh.CONCATENATION_16})
_SHIFTS = frozenset({udh.SINGLE_SHIFT, udh.LOCKING_SHIFT})


class Form(NamedTuple):
    """The fields of a submit_sm that carry the content."""

    esm_class: int
    data_coding: int
    body: bytes
    tlvs: dict[int, bytes]


WireForm = Callable[[Flight], Form]


def wire_form(profile: TextProfile) -> WireForm | None:
    """How segments leave by a link with this profile; None: as they are stored.

    The form raises TextError for a text that this link's alphabet cannot carry and that has no room as UCS-2: such a segment
    was made for another link.
    """
    is_as_stored = profile.method in (Method.UDH8, Method.UDH16) and profile.alphabet == "gsm7" and not profile.is_packed
    return None if is_as_stored else lambda flight: _form(profile, flight)


def _with_payload(form: Form, body_max: int = SHORT_MESSAGE_MAX) -> Form:
    """The same with a body that short_message cannot hold, or that is longer than one message, moved to message_payload."""
    if len(form.body) <= body_max:
        return form
    return form._replace(body=b"", tlvs={**form.tlvs, Tag.MESSAGE_PAYLOAD: form.body})


def as_stored(flight: Flight) -> Form:
    """A segment as it is stored; one that was made to be cut by an SMSC goes in message_payload."""
    message = flight.message
    return _with_payload(Form(message.esm_class, message.data_coding, flight.body, {}), SEPTETS_MAX)


def unpacked(esm_class: int, data_coding: int, body: bytes) -> bytes:
    """What came from a link that packs its septets, as it is stored: one septet an octet, behind its header."""
    if ALPHABETS[data_coding] != "default":
        return body
    offset = 0
    if esm_class & UDHI:
        try:
            offset = udh.parse(body)[1]
        except UdhError:
            return body
    return body[:offset] + packing.unpack(body[offset:], offset)


def _form(profile: TextProfile, flight: Flight) -> Form:
    message, body = flight.message, flight.body
    esm_class, data_coding = message.esm_class, message.data_coding
    elements: udh.Elements = ()
    if esm_class & UDHI:
        try:
            elements, offset = udh.parse(body)
        except UdhError:
            return as_stored(flight)
        body = body[offset:]
    tlvs: dict[int, bytes] = {}
    is_told_anew = ALPHABETS[data_coding] == "default" and profile.alphabet != "gsm7"
    # A header and the SAR parameters exclude each other: parts that need a header for something else keep all of it.
    if profile.method is Method.SAR and all(each.iei in _CONCATENATIONS or (is_told_anew and each.iei in _SHIFTS) for each in elements):
        elements, tlvs = _to_sar(elements)
    if is_told_anew:
        is_part = bool(tlvs) or udh.concatenation(elements) is not None
        elements, data_coding, body = _to_alphabet(profile.alphabet, elements, data_coding, body, is_part)
    header = udh.encode(elements) if elements else b""
    if profile.is_packed and ALPHABETS[data_coding] == "default":
        body = packing.pack(body, len(header))
    esm_class = esm_class | UDHI if elements else esm_class & ~UDHI
    form = Form(esm_class, data_coding, header + body, tlvs)
    if profile.method is not Method.PAYLOAD:
        return _with_payload(form)
    return _with_payload(form, SEPTETS_MAX if ALPHABETS[data_coding] == "default" else OCTETS_MAX)


def _to_sar(elements: udh.Elements) -> tuple[udh.Elements, dict[int, bytes]]:
    """The header without its concatenation, and the same said by parameters (SMPP 3.4 sections 5.3.2.22 to 24)."""
    part = udh.concatenation(elements)
    if part is None:
        return elements, {}
    left = tuple(element for element in elements if element.iei not in _CONCATENATIONS)
    return left, {
        Tag.SAR_MSG_REF_NUM: part.reference.to_bytes(2, "big"),
        Tag.SAR_TOTAL_SEGMENTS: bytes((part.total,)),
        Tag.SAR_SEGMENT_SEQNUM: bytes((part.number,)),
    }


def _to_alphabet(alphabet: str, elements: udh.Elements, data_coding: int, septets: bytes, is_part: bool) -> tuple[udh.Elements, int, bytes]:
    """Septets in the link's own default alphabet; as UCS-2 where that lacks a character and there is room."""
    text = national.decode(septets, national.shift_of(elements))
    if text is None:
        raise TextError("the text names a national table that nobody knows")
    left = tuple(element for element in elements if element.iei not in _SHIFTS)
    try:
        return left, data_coding, text.encode({"utf8": "utf-8", "latin1": "latin-1"}.get(alphabet, alphabet))
    except UnicodeEncodeError:
        octets = text.encode("utf-16-be")
    # Only a part of something longer has no room: a whole message may be as long as the SMSC likes.
    if is_part and (len(udh.encode(left)) if left else 0) + len(octets) > OCTETS_MAX:
        raise TextError(f"a part has no room to be told in UCS-2, which the alphabet {alphabet} of this link would need")
    return left, rewritten(data_coding, is_ucs2=True), octets
