"""Mandatory parameters as a table: what a field is called, how it is read and written, and the status it fails with.

SMPP 3.4 section 3.1. A field never reads past its own maximum nor past the frame. A C-octet string that starts inside the
frame and has no NUL within its maximum fails with the field's own status; a frame that ends before a field starts is
ESME_RINVCMDLEN.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from gateway.smpp.consts import Status
from gateway.smpp.errors import FieldError, LocalProtocolError

_ID_AND_SEQUENCE = struct.Struct(">4xL4xL")


class Field(Protocol):
    """One mandatory parameter (or a list of them that belongs together)."""

    @property
    def name(self) -> str: ...

    def read(self, frame: bytes, start: int, sm_length_max: int) -> tuple[Any, int]:
        """The value and the position behind it; raises FieldError."""
        ...

    def write(self, value: Any) -> bytes:
        """The octets; raises LocalProtocolError."""
        ...


def fail(frame: bytes, status: int, reason: str) -> NoReturn:
    """Raise the FieldError of this frame."""
    command_id, sequence_number = _ID_AND_SEQUENCE.unpack_from(frame)
    raise FieldError(status, command_id, sequence_number, reason)


class Octet(NamedTuple):
    """An integer of one octet."""

    name: str

    def read(self, frame: bytes, start: int, sm_length_max: int) -> tuple[int, int]:
        if start >= len(frame):
            fail(frame, Status.ESME_RINVCMDLEN, f"body ends before {self.name}")
        return frame[start], start + 1

    def write(self, value: int) -> bytes:
        try:
            return value.to_bytes(1, "big")
        except OverflowError:
            raise LocalProtocolError(f"{self.name} does not fit one octet") from None


class CString(NamedTuple):
    """Text with a NUL behind it, `size_max` octets with the NUL; `fixed` allows only the empty and the full form (times)."""

    name: str
    size_max: int
    status: int
    fixed: bool = False

    def read(self, frame: bytes, start: int, sm_length_max: int) -> tuple[str, int]:
        end = frame.find(b"\0", start, start + self.size_max)
        if end < 0:
            if start >= len(frame):
                fail(frame, Status.ESME_RINVCMDLEN, f"body ends before {self.name}")
            fail(frame, self.status, f"{self.name} has no NUL within {self.size_max} octets")
        if self.fixed and end - start not in (0, self.size_max - 1):
            fail(frame, self.status, f"{self.name} is neither empty nor {self.size_max - 1} characters")
        return frame[start:end].decode("latin-1"), end + 1

    def write(self, value: str) -> bytes:
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError:
            raise LocalProtocolError(f"{self.name} is not Latin-1") from None
        if b"\0" in raw:
            raise LocalProtocolError(f"{self.name} holds a NUL")
        if len(raw) >= self.size_max:
            raise LocalProtocolError(f"{self.name} is longer than {self.size_max - 1} octets")
        if self.fixed and len(raw) not in (0, self.size_max - 1):
            raise LocalProtocolError(f"{self.name} is neither empty nor {self.size_max - 1} characters")
        return raw + b"\0"


class ShortMessage(NamedTuple):
    """sm_length and short_message."""

    name: str = "short_message"

    def read(self, frame: bytes, start: int, sm_length_max: int) -> tuple[bytes, int]:
        if start >= len(frame):
            fail(frame, Status.ESME_RINVCMDLEN, "body ends before sm_length")
        length = frame[start]
        end = start + 1 + length
        if length > sm_length_max:
            fail(frame, Status.ESME_RINVMSGLEN, f"sm_length {length} is over {sm_length_max}")
        if end > len(frame):
            fail(frame, Status.ESME_RINVMSGLEN, "sm_length says more than is there")
        return frame[start + 1 : end], end

    def write(self, value: bytes) -> bytes:
        if len(value) > 254:
            raise LocalProtocolError("short_message is longer than 254 octets")
        return bytes((len(value),)) + value


class SmeAddress(NamedTuple):
    """A destination of submit_multi that is one address."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


class DistributionList(NamedTuple):
    """A destination of submit_multi that is a list kept by the SMSC."""

    dl_name: str = ""


class UnsuccessSme(NamedTuple):
    """One destination of submit_multi that was not accepted, with its own status."""

    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    error_status_code: int = 0


Destination = SmeAddress | DistributionList

_TON: Final = Octet("dest_addr_ton")
_NPI: Final = Octet("dest_addr_npi")
_ADDRESS: Final = CString("destination_addr", 21, Status.ESME_RINVDSTADR)
_LIST_NAME: Final = CString("dl_name", 21, Status.ESME_RINVDLNAME)
_FLAG_ADDRESS = 1
_FLAG_LIST = 2
_DESTINATIONS_MAX = 254


def _read_address(frame: bytes, start: int) -> tuple[int, int, str, int]:
    ton, start = _TON.read(frame, start, 0)
    npi, start = _NPI.read(frame, start, 0)
    address, start = _ADDRESS.read(frame, start, 0)
    return ton, npi, address, start


def _write_address(value: SmeAddress | UnsuccessSme) -> bytes:
    return _TON.write(value.dest_addr_ton) + _NPI.write(value.dest_addr_npi) + _ADDRESS.write(value.destination_addr)


class Destinations(NamedTuple):
    """number_of_dests and dest_address(es) of submit_multi, section 4.5.1."""

    name: str = "dest_address"

    def read(self, frame: bytes, start: int, sm_length_max: int) -> tuple[tuple[Destination, ...], int]:
        count, start = Octet("number_of_dests").read(frame, start, 0)
        if not 0 < count <= _DESTINATIONS_MAX:
            fail(frame, Status.ESME_RINVNUMDESTS, f"number_of_dests is {count}")
        found: list[Destination] = []
        for _ in range(count):
            flag, start = Octet("dest_flag").read(frame, start, 0)
            if flag == _FLAG_ADDRESS:
                ton, npi, address, start = _read_address(frame, start)
                found.append(SmeAddress(ton, npi, address))
            elif flag == _FLAG_LIST:
                name, start = _LIST_NAME.read(frame, start, 0)
                found.append(DistributionList(name))
            else:
                fail(frame, Status.ESME_RINVDESTFLAG, f"dest_flag is {flag}")
        return tuple(found), start

    def write(self, value: tuple[Destination, ...]) -> bytes:
        if not 0 < len(value) <= _DESTINATIONS_MAX:
            raise LocalProtocolError(f"submit_multi to {len(value)} destinations")
        parts = [bytes((len(value),))]
        for destination in value:
            if isinstance(destination, SmeAddress):
                parts.append(b"\x01" + _write_address(destination))
            else:
                parts.append(b"\x02" + _LIST_NAME.write(destination.dl_name))
        return b"".join(parts)


class Unsuccessful(NamedTuple):
    """no_unsuccess and unsuccess_sme(s) of submit_multi_resp, section 4.5.2."""

    name: str = "unsuccess_sme"

    def read(self, frame: bytes, start: int, sm_length_max: int) -> tuple[tuple[UnsuccessSme, ...], int]:
        count, start = Octet("no_unsuccess").read(frame, start, 0)
        found: list[UnsuccessSme] = []
        for _ in range(count):
            ton, npi, address, start = _read_address(frame, start)
            if start + 4 > len(frame):
                fail(frame, Status.ESME_RINVCMDLEN, "body ends before error_status_code")
            found.append(UnsuccessSme(ton, npi, address, int.from_bytes(frame[start : start + 4], "big")))
            start += 4
        return tuple(found), start

    def write(self, value: tuple[UnsuccessSme, ...]) -> bytes:
        if len(value) > 255:
            raise LocalProtocolError("more than 255 unsuccessful destinations")
        parts = [bytes((len(value),))]
        for sme in value:
            try:
                parts.append(_write_address(sme) + sme.error_status_code.to_bytes(4, "big"))
            except OverflowError:
                raise LocalProtocolError("error_status_code does not fit four octets") from None
        return b"".join(parts)
