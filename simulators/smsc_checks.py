"""What an SMSC refuses in a submission whatever its rules say: the fields of SMPP 3.4 section 4.4.1, one table. Pure.

Where the specification leaves room: dest_addr_ton alphanumeric is refused; registered_delivery 3 is taken as 5.0 means it from
every peer; UDH and SAR together are ESME_RINVOPTPARAMVAL; a header that lies is ESME_RINVESMCLASS; an empty message is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from gateway.smpp import validity
from gateway.smpp.consts import Npi, Status, Tag, Ton
from gateway.smpp.errors import TimeError
from gateway.smpp.pdu import SubmitSm
from gateway.sms import udh
from gateway.sms.errors import UdhError
from simulators.smsc_messages import Taken, body_of

SERVICE_TYPES: Final = ("", "CMT", "CPT", "VMN", "VMA", "WAP", "USSD")
_NPIS: Final = frozenset(int(npi) for npi in Npi)
_TYPES: Final = frozenset({0x00, 0x08, 0x10})
_RESERVED_CODINGS: Final = frozenset({0x0B, 0x0C, 0x0F, *range(0x80, 0xC0)})
_SAR: Final = (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)
_UDHI: Final = 0x40
_NAME_CHARACTERS_MAX: Final = 11
_DIGITS_MAX: Final = 20
_VERSION_5_0: Final = 0x50


class Terms(NamedTuple):
    """What this SMSC allows. `senders` are shapes, () for any; `service_types` with `*` allow any."""

    senders: tuple[str, ...] = ()
    service_types: tuple[str, ...] = SERVICE_TYPES


class Case(NamedTuple):
    """One submission before the checks."""

    pdu: SubmitSm
    terms: Terms
    version: int
    now_us: int


def _is_bad_name(case: Case) -> bool:
    return case.pdu.source_addr_ton == Ton.ALPHANUMERIC and not 0 < len(case.pdu.source_addr) <= _NAME_CHARACTERS_MAX


def _is_foreign_sender(case: Case) -> bool:
    senders = case.terms.senders
    return bool(senders) and not any(fnmatchcase(case.pdu.source_addr, shape) for shape in senders)


def _is_bad_destination(case: Case) -> bool:
    digits = case.pdu.destination_addr.removeprefix("+")
    return not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX)


def _is_bad_ton(ton: int) -> bool:
    return ton > Ton.ABBREVIATED


def _is_foreign_service(case: Case) -> bool:
    return case.pdu.service_type not in case.terms.service_types and "*" not in case.terms.service_types


def _sar_count(case: Case) -> int:
    return sum(tag in case.pdu.tlvs for tag in _SAR)


def _is_bad_sar(case: Case) -> bool:
    if _sar_count(case) < len(_SAR):
        return False
    total, number = case.pdu.tlvs[Tag.SAR_TOTAL_SEGMENTS][0], case.pdu.tlvs[Tag.SAR_SEGMENT_SEQNUM][0]
    return not 1 <= number <= total


def _is_lying_header(case: Case) -> bool:
    if not case.pdu.esm_class & _UDHI:
        return False
    try:
        udh.parse(body_of(case.pdu))
    except UdhError:
        return True
    return False


def _is_bad_time(text: str, now_us: int) -> bool:
    try:
        validity.parse(text, now_us)
    except TimeError:
        return True
    return False


def _ends_before_it_starts(case: Case) -> bool:
    pdu = case.pdu
    if not pdu.validity_period or not pdu.schedule_delivery_time:
        return False
    ends, starts = (validity.parse(text, case.now_us) for text in (pdu.validity_period, pdu.schedule_delivery_time))
    return ends is not None and starts is not None and ends <= starts


# In this order; the first that holds is the answer.
_CHECKS: Final[tuple[tuple[Callable[[Case], object], int], ...]] = (
    (_is_foreign_service, Status.ESME_RINVSERTYP),
    (lambda case: _is_bad_ton(case.pdu.source_addr_ton), Status.ESME_RINVSRCTON),
    (lambda case: case.pdu.source_addr_npi not in _NPIS, Status.ESME_RINVSRCNPI),
    (_is_bad_name, Status.ESME_RINVSRCADR),
    (_is_foreign_sender, Status.ESME_RINVSRCADR),
    (lambda case: _is_bad_ton(case.pdu.dest_addr_ton) or case.pdu.dest_addr_ton == Ton.ALPHANUMERIC, Status.ESME_RINVDSTTON),
    (lambda case: case.pdu.dest_addr_npi not in _NPIS, Status.ESME_RINVDSTNPI),
    (_is_bad_destination, Status.ESME_RINVDSTADR),
    (lambda case: case.pdu.esm_class & 0x3C not in _TYPES, Status.ESME_RINVESMCLASS),
    (lambda case: case.pdu.priority_flag > (4 if case.version >= _VERSION_5_0 else 3), Status.ESME_RINVPRTFLG),
    (lambda case: case.pdu.registered_delivery & 0xE0, Status.ESME_RINVREGDLVFLG),
    (lambda case: case.pdu.replace_if_present_flag > 1, Status.ESME_RINVREPFLAG),
    (
        lambda case: case.pdu.data_coding in _RESERVED_CODINGS and case.version >= _VERSION_5_0,
        Status.ESME_RINVDCS,
    ),
    (lambda case: case.pdu.data_coding in _RESERVED_CODINGS, Status.ESME_RSUBMITFAIL),
    (lambda case: case.pdu.sm_default_msg_id, Status.ESME_RINVDFTMSGID),
)
# What can be wrong only where there are optional parameters, a header or times.
_CHECKS_OF_EXTRAS: Final[tuple[tuple[Callable[[Case], object], int], ...]] = (
    (lambda case: case.pdu.short_message and Tag.MESSAGE_PAYLOAD in case.pdu.tlvs, Status.ESME_ROPTPARNOTALLWD),
    (lambda case: 0 < _sar_count(case) < len(_SAR), Status.ESME_RMISSINGOPTPARAM),
    (lambda case: _sar_count(case) and case.pdu.esm_class & _UDHI, Status.ESME_RINVOPTPARAMVAL),
    (_is_bad_sar, Status.ESME_RINVOPTPARAMVAL),
    (_is_lying_header, Status.ESME_RINVESMCLASS),
    (lambda case: _is_bad_time(case.pdu.schedule_delivery_time, case.now_us), Status.ESME_RINVSCHED),
    (lambda case: _is_bad_time(case.pdu.validity_period, case.now_us), Status.ESME_RINVEXPIRY),
    (_ends_before_it_starts, Status.ESME_RINVEXPIRY),
)


def refusal_of(pdu: SubmitSm, terms: Terms, version: int, now_us: int) -> int:
    """The status a submission deserves, 0 when nothing is wrong with it."""
    case = Case(pdu, terms, version, now_us)
    for is_wrong, status in _CHECKS:
        if is_wrong(case):
            return int(status)
    if pdu.tlvs or pdu.esm_class & _UDHI or pdu.schedule_delivery_time or pdu.validity_period:
        return next((int(status) for is_wrong, status in _CHECKS_OF_EXTRAS if is_wrong(case)), 0)
    return 0


def seconds_until(text: str, now_us: int) -> float:
    """How far away a moment of SMPP is; 0 for one that is empty, malformed or gone."""
    if not text:
        return 0.0
    try:
        at_us = validity.parse(text, now_us)
    except TimeError:
        return 0.0
    return max(0.0, (at_us - now_us) / 1_000_000) if at_us is not None else 0.0


def final_after_s(taken: Taken, delay_s: float) -> float:
    """When a message with times of its own is final: not before its schedule, and expired when its validity is over first."""
    pdu, now_us = taken.pdu, taken.at_us
    if pdu.schedule_delivery_time:
        delay_s += seconds_until(pdu.schedule_delivery_time, now_us)
    if not pdu.validity_period:
        return delay_s
    valid_s = seconds_until(pdu.validity_period, now_us)
    if valid_s < delay_s:
        taken.rule, taken.stats = replace(taken.rule, stat="EXPIRED"), ()
    return min(valid_s, delay_s)
