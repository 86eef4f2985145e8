"""BER files: records in the shape of TS 32.298 inside the file of TS 32.297.

An MO is an SC-SMO record, an MT an SC-SMT, a download an MM1 retrieval; a correction is the record of its charge again. Price, sums and
what is corrected stand in an extension of ours. Sizes stand nowhere, because a charge knows parts and no octets: the SMS records would
count units of 64 octets, the MMS record octets. The header tells lengths that are known at the end, so a file is made in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import asn1tools

from billing import cdr
from billing.cdr import Layout, Page
from billing.errors import ExportError
from billing.formats import envelope
from billing.formats.shape import Head
from billing.formats.ts32298 import EXTENSION_OID, MM_RETRIEVAL, MODULE, SC_SMO, SC_SMT
from billing.manifest import Recount

_ISDN_DIGITS_MAX = 16
_INTERNATIONAL_E164 = 0x91
_UNKNOWN_E164 = 0x81
_RECORD_OCTETS_MAX = 0xFFFF


class BerEncoder:
    """One record for each charge, behind one header."""

    def __init__(self, layout: Layout, head: Head, *, zone: Any, lost: int) -> None:
        assert layout.names == cdr.COLUMNS
        self._layout = layout
        self._head = head
        self._zone = zone
        self._lost = lost
        self._body: list[bytes] = []

    def begin(self) -> bytes:
        """Nothing yet: the header tells the length of all."""
        return b""

    def page(self, page: Page) -> bytes:
        """Nothing yet."""
        self._body.extend(self.records(page))
        return b""

    def records(self, page: Page) -> Sequence[bytes]:
        """Each record with its header."""
        return [self._record(dict(zip(cdr.COLUMNS, row, strict=True))) for row in self._layout.rows(page)]

    def finish(self, recount: Recount, closure: str) -> bytes:
        """The whole file."""
        body = b"".join(self._body)
        opened = envelope.packed_time(self._head.created_us, self._zone)
        header = envelope.file_header(
            body_octets=len(body), opened=opened, records=recount.records, file_seq=self._head.file_seq, closure=closure, lost=self._lost
        )
        return header + body

    def _record(self, cells: Mapping[str, Any]) -> bytes:
        if cells["direction"] == "DL":
            value, specification = ("mMR1RtRecord", self._retrieval(cells)), envelope.TS_MMS
        elif cells["direction"] == "MO":
            value, specification = ("sCSMORecord", _originated(cells)), envelope.TS_SMS
        else:
            value, specification = ("sCSMTRecord", _terminated(cells)), envelope.TS_SMS
        data = _module().encode("ChargeRecord", value)
        if len(data) > _RECORD_OCTETS_MAX:
            raise ExportError(f"charge {cells['charge_id']}: its record is longer than {_RECORD_OCTETS_MAX} octets")
        return envelope.record_header(len(data), specification) + bytes(data)

    def _retrieval(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        number = str(cells["charged_msisdn"] or cells["peer_msisdn"] or "")
        known = _is_isdn(number)
        record = {
            "recordType": MM_RETRIEVAL,
            "recipientMmsRSAddress": {"domainName": self._head.node.encode()},
            "messageID": str(cells["event_id"]).encode(),
            "recipientAddress": {"mMSAgentAddressData": ("mSISDN", isdn(number)) if known else ("shortCode", number.encode())},
            "contentType": str(cells["item_id"] or "").encode(),
            "submissionTime": time_stamp(cells["event_time"]),
            "messageReference": str(cells["cause_key"]).encode(),
            **_tail(cells),
        }
        if cells["delivery_time_utc"] is not None:
            record["recordTimeStamp"] = time_stamp(cells["delivery_time_utc"])
        if cells["provider_id"] is not None:
            record["vaspID"] = str(cells["provider_id"]).encode()
        if cells["service_code"]:
            record["vasID"] = str(cells["service_code"]).encode()
        return record


def isdn(number: str) -> bytes:
    """An international number as an address string: type and plan, then two digits an octet, the first one low."""
    digits = number if len(number) % 2 == 0 else number + "F"
    return bytes((_INTERNATIONAL_E164,)) + bytes.fromhex("".join(digits[place + 1] + digits[place] for place in range(0, len(digits), 2)))


def time_stamp(text: str) -> bytes:
    """An RFC 3339 time as 9 octets: the local time to the second, then the sign of its offset in ASCII, then the offset."""
    local = text[2:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16] + text[17:19]
    offset = "+00:00" if text.endswith("Z") else text[-6:]
    return bytes.fromhex(local) + offset[0].encode() + bytes.fromhex(offset[1:3] + offset[4:6])


def _originated(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "recordType": SC_SMO,
        "sMSNodeAddress": _node(cells),
        "originatorInfo": _party("originator", cells["charged_msisdn"]),
        "recipientInfo": [_party("recipient", cells["peer_msisdn"] or cells["short_code"])],
        "eventtimestamp": time_stamp(cells["event_time"]),
        "messageReference": str(cells["event_id"]).encode(),
        "sMTotalNumber": cells["parts"],
        "sMMessageType": "submission",
        **_tail(cells),
    }


def _terminated(cells: Mapping[str, Any]) -> dict[str, Any]:
    reached = ("charged_msisdn", "peer_msisdn") if cells["payer"] == "DEST" else ("peer_msisdn", "charged_msisdn")
    record = {
        "recordType": SC_SMT,
        "sMSNodeAddress": _node(cells),
        "recipientInfo": _party("recipient", cells[reached[0]] or cells[reached[1]]),
        "originatorInfo": _party("originator", cells["short_code"]),
        "submissionTime": time_stamp(cells["event_time"]),
        "eventtimestamp": time_stamp(cells["delivery_time_utc"] or cells["event_time"]),
        "messageReference": str(cells["event_id"]).encode(),
        "sMTotalNumber": cells["parts"],
        "sMMessageType": "delivery",
        **_tail(cells),
    }
    if cells["delivery_time_utc"] is not None:
        record["sMDischargeTime"] = time_stamp(cells["delivery_time_utc"])
    return record


def _tail(cells: Mapping[str, Any]) -> dict[str, Any]:
    extension = {
        "chargeId": cells["charge_id"],
        "recordType": cells["record_type"],
        "service": cells["service_code"],
        "quantity": cells["quantity"],
        "unitPriceMinor": cells["unit_price_minor"],
        "amountMinor": cells["amount_minor"],
        "taxMinor": cells["tax_minor"],
        "currency": cells["currency"],
        "exponent": cells["exponent"],
        "period": cells["period"] or "",
        "late": bool(cells["late_flag"]),
    }
    if cells["corrects_charge_id"] is not None:
        extension["corrects"] = cells["corrects_charge_id"]
    return {
        "localSequenceNumber": cells["record_seq"],
        "recordExtensions": [{"identifier": EXTENSION_OID, "information": extension}],
    }


def _party(role: str, number: str | None) -> dict[str, Any]:
    if not number:
        return {}
    if _is_isdn(number) and len(number) > _SHORT_DIGITS_MAX:
        return {f"{role}MSISDN": isdn(number)}
    kind = "numericShortCode" if number.isdecimal() else "alphanumericShortCode"
    return {f"{role}OtherAddress": {"sMAddressType": kind, "sMAddressData": number}}


def _node(cells: Mapping[str, Any]) -> bytes:
    """We have no number of our own; the code that the message came from or went to stands for the node."""
    number = str(cells["short_code"] or "")
    return bytes((_UNKNOWN_E164,)) + (isdn(number)[1:] if _is_isdn(number) else b"")


def _is_isdn(number: str) -> bool:
    return 0 < len(number) <= _ISDN_DIGITS_MAX and number.isascii() and number.isdecimal()


# A number without a country code is a short code of somebody.
_SHORT_DIGITS_MAX = 8


@lru_cache(maxsize=1)
def _module() -> Any:
    return asn1tools.compile_string(MODULE, "ber")
