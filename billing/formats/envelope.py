"""The file of TS 32.297: a header of 54 octets, then each record behind a header of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

HEADER_OCTETS = 54
RECORD_HEADER_OCTETS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Release and version octets: release 16 is told as 7 and an extension in files newer than release 9; version 11 of TS 32.298 is 11.
_RELEASE_BEYOND_9 = 7
_RELEASE_EXTENSION = 16 - 10
_VERSION = 11
_BER = 1
TS_SMS, TS_MMS = 15, 10
CLOSURES = {"period": 0, "size": 1, "count": 3, "manual": 4}


def packed_time(at_us: int, zone: tzinfo) -> bytes:
    """Month, day, hour, minute, and the clock's distance from UTC, in four octets."""
    at = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    offset = at.utcoffset() or timedelta()
    minutes = abs(int(offset.total_seconds())) // 60
    sign = 0 if offset < timedelta() else 1
    value = at.month << 28 | at.day << 23 | at.hour << 18 | at.minute << 12 | sign << 11 | (minutes // 60) << 6 | minutes % 60
    return value.to_bytes(4, "big")


def file_header(*, body_octets: int, opened: bytes, records: int, file_seq: int, closure: str, lost: int) -> bytes:
    """The header of a file without filters or private extensions; `lost` is how many records are known to be missing."""
    release = _RELEASE_BEYOND_9 << 5 | _VERSION
    return b"".join(
        (
            (HEADER_OCTETS + body_octets).to_bytes(4, "big"),
            HEADER_OCTETS.to_bytes(4, "big"),
            bytes((release, release)),
            opened,
            opened,
            records.to_bytes(4, "big"),
            file_seq.to_bytes(4, "big"),
            bytes((CLOSURES[closure],)),
            bytes(20),
            bytes((min(lost, 127),)),
            bytes(4),
            bytes((_RELEASE_EXTENSION, _RELEASE_EXTENSION)),
        )
    )


def record_header(octets: int, technical_specification: int) -> bytes:
    """Length, release and version, encoding and the specification it belongs to."""
    release = _RELEASE_BEYOND_9 << 5 | _VERSION
    return octets.to_bytes(2, "big") + bytes((release, _BER << 5 | technical_specification, _RELEASE_EXTENSION))
