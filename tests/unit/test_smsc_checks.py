"""Which submissions the SMSC simulator refuses, and with which status."""

from __future__ import annotations

import pytest

from gateway.smpp.consts import Status, Tag
from gateway.smpp.pdu import SubmitSm
from simulators.smsc_checks import Terms, refusal_of

NOW_US = 1_790_000_000_000_000
GOOD = SubmitSm(source_addr="1069", destination_addr="8613900001234", short_message=b"hi")
TERMS = Terms()
SAR = {Tag.SAR_MSG_REF_NUM: b"\0\1", Tag.SAR_TOTAL_SEGMENTS: b"\2", Tag.SAR_SEGMENT_SEQNUM: b"\1"}


def status_of(terms: Terms = TERMS, version: int = 0x34, **fields: object) -> int:
    return refusal_of(GOOD._replace(**fields), terms, version, NOW_US)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"source_addr": "", "source_addr_ton": 0},
        {"source_addr": "Bellhop", "source_addr_ton": 5},
        {"destination_addr": "+8613900001234"},
        {"short_message": b""},
        {"esm_class": 0x43, "short_message": b"\x05\0\3\1\2\1hi"},
        {"registered_delivery": 0x1F},
        {"service_type": "CMT"},
        {"data_coding": 0xF5},
        {"schedule_delivery_time": "000000010000000R", "validity_period": "000001000000000R"},
        {"short_message": b"", "tlvs": {Tag.MESSAGE_PAYLOAD: b"x" * 1000}},
        {"tlvs": SAR},
        {"tlvs": {0x1403: b"1"}},
    ],
)
def test_good_submission_is_taken(fields):
    assert status_of(**fields) == 0


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"destination_addr": ""}, Status.ESME_RINVDSTADR),
        ({"destination_addr": "nobody"}, Status.ESME_RINVDSTADR),
        ({"source_addr_ton": 7}, Status.ESME_RINVSRCTON),
        ({"source_addr_npi": 2}, Status.ESME_RINVSRCNPI),
        ({"dest_addr_ton": 7}, Status.ESME_RINVDSTTON),
        ({"dest_addr_ton": 5}, Status.ESME_RINVDSTTON),
        ({"dest_addr_npi": 99}, Status.ESME_RINVDSTNPI),
        ({"source_addr_ton": 5, "source_addr": "a name too long"}, Status.ESME_RINVSRCADR),
        ({"esm_class": 0x04}, Status.ESME_RINVESMCLASS),
        ({"esm_class": 0x40, "short_message": b"\x50hi"}, Status.ESME_RINVESMCLASS),
        ({"priority_flag": 4}, Status.ESME_RINVPRTFLG),
        ({"registered_delivery": 0x20}, Status.ESME_RINVREGDLVFLG),
        ({"replace_if_present_flag": 2}, Status.ESME_RINVREPFLAG),
        ({"schedule_delivery_time": "991399000000000+"}, Status.ESME_RINVSCHED),
        ({"validity_period": "soonsoonsoonsoon"}, Status.ESME_RINVEXPIRY),
        ({"schedule_delivery_time": "000001000000000R", "validity_period": "000000010000000R"}, Status.ESME_RINVEXPIRY),
        ({"sm_default_msg_id": 3}, Status.ESME_RINVDFTMSGID),
        ({"service_type": "ZZZ"}, Status.ESME_RINVSERTYP),
        ({"data_coding": 0x8F}, Status.ESME_RSUBMITFAIL),
        ({"tlvs": {Tag.MESSAGE_PAYLOAD: b"x"}}, Status.ESME_ROPTPARNOTALLWD),
        ({"tlvs": {Tag.SAR_MSG_REF_NUM: b"\0\1"}}, Status.ESME_RMISSINGOPTPARAM),
        ({"tlvs": SAR | {Tag.SAR_SEGMENT_SEQNUM: b"\3"}}, Status.ESME_RINVOPTPARAMVAL),
        ({"tlvs": SAR, "esm_class": 0x40, "short_message": b"\x05\0\3\1\2\1hi"}, Status.ESME_RINVOPTPARAMVAL),
    ],
)
def test_bad_field_is_refused_with_its_own_status(fields, status):
    assert status_of(**fields) == status


def test_version_5_0_allows_one_priority_more_and_has_a_status_for_codings():
    assert status_of(version=0x50, priority_flag=4) == 0
    assert status_of(version=0x50, priority_flag=5) == Status.ESME_RINVPRTFLG
    assert status_of(version=0x50, data_coding=0x8F) == Status.ESME_RINVDCS


def test_terms_name_senders_and_services():
    terms = Terms(("1069*",), ("*",))

    assert status_of(terms, service_type="ZZZ") == 0
    assert status_of(terms, source_addr="1070") == Status.ESME_RINVSRCADR
