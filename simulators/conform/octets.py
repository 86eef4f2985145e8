"""Bodies made by hand, so that they can lie."""

from __future__ import annotations

from gateway.smpp.consts import VERSION_3_4


def cstring(text: str | bytes) -> bytes:
    """A C-octet string."""
    return (text.encode("latin-1") if isinstance(text, str) else text) + b"\0"


def tlv(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """An optional parameter; `length` lies when given."""
    return tag.to_bytes(2, "big") + (len(value) if length is None else length).to_bytes(2, "big") + value


def bind_body(system_id: str | bytes, password: str | bytes, *, system_type: str = "", version: int = VERSION_3_4) -> bytes:
    """Of a bind, SMPP 3.4 section 4.1."""
    return cstring(system_id) + cstring(password) + cstring(system_type) + bytes((version, 0, 0)) + cstring("")


def message_body(
    source: str,
    destination: str,
    text: bytes = b"conformance",
    *,
    service_type: str | bytes = "",
    esm_class: int = 0,
    registered: int = 0,
    coding: int = 0,
    sm_length: int | None = None,
    tlvs: bytes = b"",
) -> bytes:
    """Of submit_sm and deliver_sm, section 4.4.1."""
    return b"".join(
        (
            cstring(service_type), b"\0\1", cstring(source), b"\1\1", cstring(destination), bytes((esm_class, 0, 0)),
            b"\0\0", bytes((registered, 0, coding, 0, len(text) if sm_length is None else sm_length)), text, tlvs,
        )
    )  # fmt: skip
