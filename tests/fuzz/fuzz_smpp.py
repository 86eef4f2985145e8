"""The fuzz target: octets through framer, codec, receipt parser and a whole session of both roles; anything but our errors is a crash.

python tests/fuzz/fuzz_smpp.py -runs=1000000 -max_len=1024

Inputs are mutated PDUs: the mutator decodes, changes and writes anew half of the time, so that most get past the length checks.
"""

from __future__ import annotations

import contextlib
import random
import struct
import sys

import atheris

with atheris.instrument_imports(include=["gateway.smpp", "gateway.sms"]):
    from gateway.smpp import pdu as p
    from gateway.smpp import receipt
    from gateway.smpp.errors import SmppError
    from gateway.smpp.framer import Framer
    from gateway.smpp.layout import LAYOUTS
    from gateway.smpp.session import Limits, Role, Session
    from gateway.sms import udh
    from gateway.sms.content import text_of
    from gateway.sms.errors import UdhError

_LIMITS = Limits(frame_bytes_max=4096)
_SEED_BODIES = [
    b"id:123 sub:001 dlvrd:001 submit date:2611230900 done date:2611230901 stat:DELIVRD err:000 text:hello",
    b"\x05\x00\x03\x4d\x02\x01part",
    "门铃".encode("utf-16-be"),
]


def seeds() -> list[bytes]:
    """One frame of each PDU, to mutate from."""
    many = p.SubmitMulti(1, dest_address=(p.SmeAddress(1, 1, "8613900001234"), p.DistributionList("friends")))
    frames = [p.encode(many), *(p.encode(cls(number)) for number, cls in enumerate(LAYOUTS, 1) if cls is not p.SubmitMulti)]
    for body in _SEED_BODIES:
        frames.append(p.encode(p.SubmitSm(1, 0, source_addr="1066", destination_addr="8613900001234", short_message=body)))
        frames.append(p.encode(p.DeliverSm(1, 0, source_addr="1066", destination_addr="86139", esm_class=4, short_message=body)))
        frames.append(p.encode(p.DataSm(1, 0, source_addr="1066", destination_addr="86139", tlvs={0x0424: body, 0x001E: b"12\0"})))
    return frames


def mutate(data: bytes, size_max: int, seed: int) -> bytes:
    """Change octets, then half of the time make command_length true again; now and then begin anew from a good frame."""
    rng = random.Random(seed)
    if len(data) < 16 or rng.random() < 0.05:
        data = rng.choice(_SEEDS)
    changed = bytearray(atheris.Mutate(data, size_max))
    if len(changed) >= 16 and rng.random() < 0.5:
        changed[:4] = struct.pack(">L", len(changed))
        if rng.random() < 0.5:
            changed[4:8] = rng.choice(_SEEDS)[4:8]
    return bytes(changed[:size_max])


def take(data: bytes) -> None:
    """One input through every reader."""
    with contextlib.suppress(SmppError):
        for frame in Framer(frame_bytes_max=4096).feed(data):
            _take_frame(frame)
    for role in Role:
        session = Session(role, _LIMITS, now=0.0)
        session.receive_data(data, 0.0)
        session.tick(100.0)
        session.data_to_send()


def _take_frame(frame: bytes) -> None:
    pdu = p.decode(frame)
    if isinstance(pdu, p.DeliverSm | p.DataSm):
        receipt.read(pdu)
    if isinstance(pdu, p.SubmitSm | p.DeliverSm):
        text_of(pdu.data_coding, pdu.short_message)
        with contextlib.suppress(UdhError):
            udh.parse(pdu.short_message)
    if not pdu.command_status:
        again = p.decode(p.encode(pdu))
        assert again == pdu, "what was read is not written back the same"


_SEEDS = seeds()


def main() -> None:
    """Run until told to stop."""
    atheris.Setup(sys.argv, take, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
