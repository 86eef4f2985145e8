"""BER files, read back with pycrate's modules of TS 32.298 and by the layout of TS 32.297."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrate_asn1dir import CDR

from billing import cdr
from billing.cdr import Layout
from billing.errors import ExportError
from billing.formats import envelope
from billing.formats.ber import BerEncoder, isdn, time_stamp
from billing.formats.shape import Head
from billing.formats.ts32298 import EXTENSION_OID
from billing.manifest import Recount
from tests.support.charges import CHARGE, SHANGHAI, page_of

HEAD = Head(cdr.SCHEMA, "mvg01", "cmcc", "cmcc-gd", "20060501", "Asia/Shanghai", 0, 1, 1_146_412_800_000_000, 42, 0, "a.ber")
SMS, MMS = CDR.SMSChargingDataTypes.SMSRecordType, CDR.MMSChargingDataTypes.MMSRecordType


def encoded(*charges: dict[str, object], lost: int = 0, closure: str = "period") -> bytes:
    layout = Layout(cdr.COLUMNS, SHANGHAI)
    encoder, recount = BerEncoder(layout, HEAD, zone=SHANGHAI, lost=lost), Recount()
    page = page_of(layout, *charges)
    recount.add(page)
    return encoder.begin() + encoder.page(page) + encoder.finish(recount, closure)


def records(data: bytes) -> list[tuple[int, bytes]]:
    """The records behind the header, each with the specification its own header names."""
    at, found = struct.unpack(">I", data[4:8])[0], []
    while at < len(data):
        length, _release, form, _extension = struct.unpack(">HBBB", data[at : at + 5])
        assert form >> 5 == 1
        found.append((form & 31, data[at + 5 : at + 5 + length]))
        at += 5 + length
    assert at == len(data)
    return found


def decoded(record: bytes, module: Any = SMS) -> tuple[str, dict[str, Any]]:
    module.from_ber(record)
    name, value = module.get_val()
    return name, value


def tbcd(data: bytes) -> str:
    return "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in data[1:]).rstrip("f")


def stamp(data: bytes) -> str:
    assert len(data) == 9
    return f"{data[:6].hex()}{chr(data[6])}{data[7:].hex()}"


def test_an_mt_is_an_sc_smt_record():
    ((specification, record),) = records(encoded(CHARGE))

    name, value = decoded(record)

    assert (specification, name, value["recordType"]) == (15, "sCSMTRecord", 94)
    assert tbcd(value["recipientInfo"]["recipientMSISDN"]) == "8613900000000"
    assert value["recipientInfo"]["recipientMSISDN"][0] == 0x91
    assert value["originatorInfo"]["originatorOtherAddress"] == {"sMAddressType": "numericShortCode", "sMAddressData": "10086"}
    assert (stamp(value["submissionTime"]), stamp(value["eventtimestamp"])) == ("060430235959+0800", "060430160000+0000")
    assert (value["messageReference"], value["sMTotalNumber"], value["localSequenceNumber"]) == (b"512", 3, 1)
    assert (value["sMMessageType"], "messageSize" in value) == ("delivery", False)


def test_an_mo_is_an_sc_smo_record():
    ((specification, record),) = records(encoded(CHARGE | {"direction": 1, "peer_msisdn": "10086"}))

    name, value = decoded(record)

    assert (specification, name, value["recordType"], value["sMMessageType"]) == (15, "sCSMORecord", 93, "submission")
    assert tbcd(value["originatorInfo"]["originatorMSISDN"]) == "8613800000000"
    assert value["recipientInfo"] == [{"recipientOtherAddress": {"sMAddressType": "numericShortCode", "sMAddressData": "10086"}}]
    assert stamp(value["eventtimestamp"]) == "060430235959+0800"


def test_a_download_is_an_mm1_retrieval():
    ((specification, record),) = records(encoded(CHARGE | {"direction": 2, "item": "ring/7", "provider": "acme", "payer": 0}))

    name, value = decoded(record, MMS)

    assert (specification, name, value["recordType"]) == (10, "mMR1RtRqRecord", 41)
    assert (value["contentType"], value["vaspID"], value["vasID"]) == (b"ring/7", b"acme", b"chat")
    kind, number = value["recipientAddress"]["mMSAgentAddressData"]
    assert (kind, tbcd(number)) == ("mSISDN", "8613800000000")
    assert value["recipientMmsRSAddress"] == {"domainName": b"mvg01"}


def test_the_price_stands_in_an_extension_that_names_whose_it_is():
    charge = CHARGE | {"id": 768, "record_type": 1, "amount_minor": -(10**12), "corrects": 512, "tax_minor": 3, "late": True}
    ((_specification, record),) = records(encoded(charge))

    _name, value = decoded(record)
    (extension,) = value["recordExtensions"]

    assert ".".join(str(arc) for arc in extension["identifier"]) == EXTENSION_OID
    from billing.formats.ber import _module

    own = _module().decode("ChargeRecord", record)[1]["recordExtensions"][0]["information"]
    assert own == {
        "chargeId": 768, "recordType": "REFUND", "service": "chat", "quantity": 3, "unitPriceMinor": 10, "amountMinor": -(10**12),
        "taxMinor": 3, "currency": "CNY", "exponent": 2, "period": "2006-05-01", "late": True, "corrects": 512,
    }  # fmt: skip


@given(
    st.sampled_from([0, 1, 2]),
    st.integers(0, 2_000_000_000_000_000),
    st.one_of(st.none(), st.text("0123456789", min_size=1, max_size=20), st.text("abcXYZ", min_size=1, max_size=11)),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(1, 2**63 - 1),
)
def test_whatever_a_charge_holds_pycrate_reads_the_same(direction: int, at_us: int, number: str | None, amount: int, id_: int):
    charge = CHARGE | {"direction": direction, "event_at": at_us, "charged_msisdn": number, "amount_minor": amount, "id": id_}

    ((_specification, record),) = records(encoded(charge))

    _name, value = decoded(record, MMS if direction == 2 else SMS)
    assert value["localSequenceNumber"] == 1
    local = cdr.Clock(SHANGHAI).local([at_us])[0]
    found = stamp(value["eventtimestamp" if direction == 1 else "submissionTime"])
    assert found == local[2:19].replace("-", "").replace("T", "").replace(":", "") + local[-6:].replace(":", "")
    if direction == 1 and number is not None:
        sender = value["originatorInfo"]
        is_phone = number.isdecimal() and 8 < len(number) <= 16
        told = tbcd(sender["originatorMSISDN"]) if is_phone else sender["originatorOtherAddress"]["sMAddressData"]
        assert told == number


def test_the_file_header_tells_lengths_numbers_and_why_it_was_closed():
    data = encoded(CHARGE, CHARGE | {"id": 768}, lost=3, closure="count")

    length, header = struct.unpack(">II", data[:8])
    assert (length, header) == (len(data), envelope.HEADER_OCTETS)
    # Release 16: 7, and 6 in the extension octets behind the fixed part.
    assert (data[8] >> 5, data[9] >> 5, data[52:54]) == (7, 7, bytes((6, 6)))
    opened = struct.unpack(">I", data[10:14])[0]
    assert [opened >> 28, opened >> 23 & 31, opened >> 18 & 31, opened >> 12 & 63] == [5, 1, 0, 0]
    assert [opened >> 11 & 1, opened >> 6 & 31, opened & 63] == [1, 8, 0]
    assert struct.unpack(">II", data[18:26]) == (2, 42)
    assert (data[26], data[47], data[48:52]) == (3, 3, bytes(4))
    assert len(records(data)) == 2


def test_a_file_without_records_is_a_header():
    data = encoded()

    assert (len(data), struct.unpack(">I", data[18:22])[0]) == (54, 0)


def test_addresses_and_times_are_packed_as_the_standard_has_it():
    assert isdn("8613800") == bytes.fromhex("91683108f0")
    assert isdn("861380") == bytes.fromhex("91683108")
    assert time_stamp("2006-04-30T23:59:59.000001+08:00") == bytes.fromhex("060430235959") + b"+" + bytes.fromhex("0800")
    assert time_stamp("2006-04-30T23:59:59.000001-03:30") == bytes.fromhex("060430235959") + b"-" + bytes.fromhex("0330")


def test_a_record_too_long_for_its_header_stops_the_file():
    with pytest.raises(ExportError, match="charge 512: its record is longer"):
        encoded(CHARGE | {"direction": 2, "item": "x" * 70_000})
