"""The messages an SMSC has taken: their ids, their receipts, and a bounded log of them. Pure.

The receipts are written here by hand and not by gateway.smpp.receipt, so that a mistake of the one can't hide in the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from gateway.smpp.consts import EsmClass, MessageState, Tag
from gateway.smpp.pdu import EMPTY_TLVS, DeliverSm, SubmitSm, Tlvs
from gateway.sms import segments, udh
from simulators.smsc_rules import NO_RULE, STATES, Rule

_TEXT_OCTETS_MAX = 20  # SMPP 3.4 appendix B: the first 20 characters of the message
_MINUTE_US = 60_000_000
_GSM_NETWORK = 3  # network_error_code, section 5.3.2.31


class IdForm(StrEnum):
    """How message ids are written. `mixed` is a carrier's quirk: hex in submit_sm_resp, decimal in the receipt."""

    DEC = "dec"
    HEX = "hex"
    MIXED = "mixed"
    GUID = "guid"


class MessageIds:
    """A counter in the form the carrier likes; start it from the clock, so that a restarted SMSC never repeats one."""

    def __init__(self, form: IdForm, first: int) -> None:
        assert first >= 0
        self._form = form
        self._next = first

    def take(self) -> tuple[str, str]:
        """The next id as the response and as the receipt write it."""
        number = self._next
        self._next = number + 1
        if self._form is IdForm.DEC:
            written = str(number)
            return written, written
        if self._form is IdForm.HEX:
            written = f"{number:X}"
            return written, written
        if self._form is IdForm.MIXED:
            return f"{number:X}", str(number)
        digits = f"{number:032x}"
        written = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        return written, written


class Taken:
    """One short message the SMSC took, and what became of it; `state` is ENROUTE until it is final."""

    __slots__ = ("at_us", "done_us", "id", "pdu", "receipt_id", "rule", "state", "system_id")

    def __init__(self, ids: tuple[str, str], at_us: int, system_id: str, pdu: SubmitSm, rule: Rule = NO_RULE) -> None:
        self.id, self.receipt_id = ids
        self.at_us = at_us
        self.system_id = system_id
        self.pdu = pdu
        self.rule = rule
        self.state = MessageState.ENROUTE
        self.done_us = 0

    @property
    def body(self) -> bytes:
        """The octets as they came, header included, from short_message or message_payload."""
        return body_of(self.pdu)

    @property
    def udhi(self) -> bool:
        return bool(self.pdu.esm_class & EsmClass.UDHI)

    def text(self) -> str | None:
        return segments.decode(self.pdu.data_coding, self.udhi, self.body).text


def body_of(pdu: SubmitSm) -> bytes:
    """Section 5.3.2.32: message_payload replaces an empty short_message."""
    return pdu.short_message or pdu.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")


def concatenation_of(pdu: SubmitSm, elements: udh.Elements) -> udh.Concatenation | None:
    """Which part this is, told by the header or by the SAR parameters."""
    found = udh.concatenation(elements)
    if found is not None:
        return found
    reference = pdu.tlvs.get(Tag.SAR_MSG_REF_NUM)
    total = pdu.tlvs.get(Tag.SAR_TOTAL_SEGMENTS)
    number = pdu.tlvs.get(Tag.SAR_SEGMENT_SEQNUM)
    if reference is None or total is None or number is None or not 1 <= number[0] <= total[0]:
        return None
    return udh.Concatenation(int.from_bytes(reference, "big"), total[0], number[0], wide=True)


class Dates:
    """Receipt dates (YYMMDDhhmm, UTC), written once a minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._written = b""

    def written(self, at_us: int) -> bytes:
        minute = at_us // _MINUTE_US
        if minute != self._minute:
            self._minute = minute
            self._written = datetime.fromtimestamp(minute * 60, UTC).strftime("%y%m%d%H%M").encode()
        return self._written


_RECEIPT: Final = b"id:%b sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:%b"


def receipt(taken: Taken, dates: Dates, *, with_tlvs: bool = True) -> DeliverSm:
    """The receipt of a message that is final: text form, and the parameters that say the same."""
    pdu, rule = taken.pdu, taken.rule
    receipt_id = taken.receipt_id.encode()
    text = _RECEIPT % (
        receipt_id,
        b"001" if taken.state == MessageState.DELIVERED else b"000",
        dates.written(taken.at_us),
        dates.written(taken.done_us),
        rule.stat.encode(),
        rule.err.encode(),
        _excerpt(pdu),
    )
    return DeliverSm(
        source_addr_ton=pdu.dest_addr_ton,
        source_addr_npi=pdu.dest_addr_npi,
        source_addr=pdu.destination_addr,
        dest_addr_ton=pdu.source_addr_ton,
        dest_addr_npi=pdu.source_addr_npi,
        destination_addr=pdu.source_addr,
        esm_class=0x04,
        short_message=text,
        tlvs=_receipt_tlvs(taken, receipt_id) if with_tlvs else EMPTY_TLVS,
    )


def _receipt_tlvs(taken: Taken, receipt_id: bytes) -> Tlvs:
    tlvs: dict[int, bytes] = {0x001E: receipt_id + b"\0", 0x0427: bytes((taken.state,))}
    if taken.rule.err != "000" and taken.rule.err.isdigit():
        tlvs[0x0423] = bytes((_GSM_NETWORK,)) + int(taken.rule.err).to_bytes(2, "big")
    if taken.pdu.tlvs and Tag.USER_MESSAGE_REFERENCE in taken.pdu.tlvs:
        tlvs[0x0204] = taken.pdu.tlvs[Tag.USER_MESSAGE_REFERENCE]
    return tlvs


def _excerpt(pdu: SubmitSm) -> bytes:
    """The beginning of a text in the default alphabet; other alphabets would need a coding of their own."""
    return b"" if pdu.data_coding or pdu.esm_class & 0x40 else pdu.short_message[:_TEXT_OCTETS_MAX]


def is_receipt_wanted(registered_delivery: int, state: MessageState) -> bool:
    """Section 5.2.17: 1 always, 2 on failure, 3 on success (5.0)."""
    asked = registered_delivery & 0x03
    if asked in (0, 1):
        return asked == 1
    return (state == MessageState.DELIVERED) == (asked == 3)


def settle(taken: Taken, now_us: int) -> None:
    """Make a message final, as its rule says."""
    assert taken.state == MessageState.ENROUTE
    taken.state = STATES[taken.rule.stat]
    taken.done_us = now_us


class MessageLog:
    """The newest messages, in order of arrival and by id; 0 keeps none."""

    def __init__(self, kept_max: int) -> None:
        self._kept_max = kept_max
        self._order: deque[Taken] = deque()
        self._by_id: dict[str, Taken] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Taken]:
        return iter(self._order)

    def add(self, taken: Taken) -> None:
        if self._kept_max == 0:
            return
        self._order.append(taken)
        self._by_id[taken.id] = taken
        if len(self._order) > self._kept_max:
            self._by_id.pop(self._order.popleft().id, None)

    def get(self, message_id: str) -> Taken | None:
        return self._by_id.get(message_id)

    def clear(self) -> None:
        self._order.clear()
        self._by_id.clear()
