"""A capture file made by hand: TCP segments of one conversation over IPv4, for a dissector that shares no code with us."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

LINK_RAW = 101
ESME, SMSC = b"\x0a\0\0\1", b"\x0a\0\0\2"
ESME_PORT, SMSC_PORT = 40000, 2775


def write(path: Path, payloads: Iterable[tuple[bool, bytes]]) -> None:
    """Each payload is a segment of its own; True: from the ESME to the SMSC."""
    sequence = {True: 1000, False: 5000}
    with path.open("wb") as file:
        file.write(struct.pack("<LHHlLLL", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, LINK_RAW))
        for number, (is_from_esme, payload) in enumerate(payloads):
            octets = _ip(is_from_esme, _tcp(is_from_esme, sequence, payload))
            sequence[is_from_esme] += len(payload)
            file.write(struct.pack("<LLLL", 1_790_000_000 + number, 0, len(octets), len(octets)) + octets)


def _tcp(is_from_esme: bool, sequence: dict[bool, int], payload: bytes) -> bytes:
    ports = (ESME_PORT, SMSC_PORT) if is_from_esme else (SMSC_PORT, ESME_PORT)
    return struct.pack(">HHLLBBHHH", *ports, sequence[is_from_esme], sequence[not is_from_esme], 0x50, 0x18, 65535, 0, 0) + payload


def _ip(is_from_esme: bool, segment: bytes) -> bytes:
    addresses = ESME + SMSC if is_from_esme else SMSC + ESME
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0) + addresses + segment
