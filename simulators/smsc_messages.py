"""The messages an SMSC has taken: their receipts, and a bounded log of them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

from gateway.smpp.consts import EsmClass, MessageState, Tag
from gateway.smpp.pdu import EMPTY_TLVS, DeliverSm, SubmitSm
from gateway.sms import segments, udh
from simulators.smsc_dialects import DIALECTS, PAYLOAD, Facts
from simulators.smsc_dialects import body_of as receipt_body
from simulators.smsc_rule import ENROUTE, NO_RULE, STATES, Rule

_TEXT_OCTETS_MAX = 20  # SMPP 3.4 appendix B: the first 20 characters of the message
_MINUTE_US = 60_000_000
_GSM_NETWORK = 3  # network_error_code, section 5.3.2.31


class Taken:
    """One short message the SMSC took, and what became of it; `state` is ENROUTE until it is final."""

    __slots__ = ("at_us", "done_us", "id", "is_replaced", "pdu", "receipt_id", "rule", "state", "stats", "system_id")

    def __init__(
        self,
        ids: tuple[str, str],
        at_us: int,
        system_id: str,
        pdu: SubmitSm,
        rule: Rule = NO_RULE,
        stats: tuple[str, ...] = (),
    ) -> None:
        self.id, self.receipt_id = ids
        self.at_us = at_us
        self.system_id = system_id
        self.pdu = pdu
        self.rule = rule
        self.stats = stats
        self.is_replaced = False
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


def receipt(taken: Taken, dates: Dates, stat: str = "") -> DeliverSm:
    """The receipt of a message: as its rule's dialect writes it, about what became of it or about another `stat`."""
    pdu, rule = taken.pdu, taken.rule
    stat = stat or rule.stat
    state = STATES.get(stat, MessageState.ENROUTE)
    err = rule.err if stat == rule.stat else "000"
    receipt_id = taken.receipt_id.encode()
    dialect = DIALECTS[rule.dialect]
    done_us = taken.done_us or taken.at_us
    facts = Facts(
        receipt_id,
        dates.written(taken.at_us),
        dates.written(done_us),
        stat.encode(),
        err.encode(),
        _excerpt(pdu),
        state is MessageState.DELIVERED,
    )
    text = receipt_body(dialect, facts)
    tlvs = _receipt_tlvs(taken, receipt_id, state, err, dialect.tlvs)
    tlvs.update(dialect.vendor)
    if dialect.is_payload:
        tlvs[PAYLOAD] = text
    # Positional and in the order of the fields: one for every message of a load test.
    return DeliverSm(
        0,
        0,
        "",
        pdu.dest_addr_ton,
        pdu.dest_addr_npi,
        pdu.destination_addr,
        pdu.source_addr_ton,
        pdu.source_addr_npi,
        pdu.source_addr,
        0x20 if stat == ENROUTE else dialect.esm_class,
        0,
        0,
        "",
        "",
        0,
        0,
        8 if dialect.is_ucs2 else 0,
        0,
        b"" if dialect.is_payload else text,
        tlvs or EMPTY_TLVS,
    )


def _receipt_tlvs(taken: Taken, receipt_id: bytes, state: MessageState, err: str, wanted: frozenset[str]) -> dict[int, bytes]:
    tlvs: dict[int, bytes] = {}
    if "id" in wanted:
        tlvs[0x001E] = receipt_id + b"\0"
    if "state" in wanted:
        tlvs[0x0427] = bytes((state,))
    if "error" in wanted and err != "000" and err.isdigit():
        tlvs[0x0423] = bytes((_GSM_NETWORK,)) + int(err).to_bytes(2, "big")
    if wanted and taken.pdu.tlvs and Tag.USER_MESSAGE_REFERENCE in taken.pdu.tlvs:
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

    def waiting_like(self, pdu: SubmitSm, system_id: str) -> Taken | None:
        """The newest waiting message of the same ESME, sender, destination and service_type: what replace_if_present means."""
        for taken in reversed(self._order):
            known = taken.pdu
            if (
                taken.state is MessageState.ENROUTE
                and taken.system_id == system_id
                and known.destination_addr == pdu.destination_addr
                and known.source_addr == pdu.source_addr
                and known.service_type == pdu.service_type
            ):
                return taken
        return None

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
