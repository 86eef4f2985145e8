"""What a statement of conformance shows of the wire."""

from __future__ import annotations

import pytest

from gateway.smpp.codec import encode_as
from gateway.smpp.pdu import BindTransceiver, Outbind, SubmitSm
from simulators.conform.report import evidence_lines
from simulators.conform.wire import Line


def shown(octets: bytes) -> str:
    (line,) = evidence_lines([Line(1.0, ">", "a PDU", octets)])
    return line.replace(" ", "")


@pytest.mark.parametrize("pdu", [BindTransceiver(system_id="acme", password="pass1"), Outbind(system_id="acme", password="pass1")])
@pytest.mark.parametrize("lost", [0, 3])
def test_evidence_of_a_bind_has_no_password(pdu, lost):
    frame = encode_as(pdu, 1)
    frame = frame[: len(frame) - lost]

    assert b"acme".hex() in shown(frame)
    assert b"pas".hex() not in shown(frame)


def test_evidence_of_anything_else_is_what_went_over_the_wire():
    frame = encode_as(SubmitSm(source_addr="1066", destination_addr="8613900000001", short_message=b"password"), 1)

    assert frame.hex() in shown(frame)
