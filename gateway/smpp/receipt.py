"""Delivery receipts: the text form of SMPP 3.4 appendix B, and the fact that text and optional parameters state together.

The text's form is "vendor specific", so the reader is forgiving: any order and case, fields missing, `stat` of any length, dates
in any form. Matching ids across hexadecimal, decimal and zero-padded forms is the business of whoever keeps the sent ids.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Protocol

from gateway.smpp.consts import DataCoding, EsmClass, MessageState, Tag
from gateway.smpp.message_pdus import DataSm, DeliverSm
from gateway.smpp.tlv import get_int, get_text

_KEY = re.compile(r"(?<![A-Za-z0-9])(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat(?:us)?|err(?:or)?|text)[ \t]*:", re.IGNORECASE)
# The form as appendix B prints it, which nearly all have: one match instead of eight. No colon, so no key hides in a value.
_PLAIN = re.compile(
    r"id:([^\s:]*) sub:([^\s:]*) dlvrd:([^\s:]*) submit date:([^\s:]*) done date:([^\s:]*) stat:([^\s:]+) err:([^\s:]*) [Tt]ext:(.*)",
    re.DOTALL,
)
_PADDING = " \t\r\n\0"
_TEXT_CHARACTERS_MAX = 20  # appendix B: the first 20 characters of the message
# Plain integers: arithmetic on flags costs as much as the rest of a receipt.
_TYPE_MASK = int(EsmClass.TYPE_MASK)
_RECEIPT_TYPES = frozenset({int(EsmClass.DELIVERY_RECEIPT), int(EsmClass.INTERMEDIATE_NOTIFICATION)})
_UCS2 = int(DataCoding.UCS2)
_GSM_NETWORK = 3  # section 5.3.2.31
_FIELDS: Final[dict[str, str]] = {
    "submitdate": "submit_date",
    "donedate": "done_date",
    "status": "stat",
    "error": "err",
}

STATES: Final[dict[str, MessageState]] = {
    "DELIVRD": MessageState.DELIVERED,
    "EXPIRED": MessageState.EXPIRED,
    "DELETED": MessageState.DELETED,
    "UNDELIV": MessageState.UNDELIVERABLE,
    "ACCEPTD": MessageState.ACCEPTED,
    "UNKNOWN": MessageState.UNKNOWN,
    "REJECTD": MessageState.REJECTED,
    "ENROUTE": MessageState.ENROUTE,
    "SCHEDLD": MessageState.SCHEDULED,
    "SKIPPED": MessageState.SKIPPED,
}
# COMPAT: spellings outside the specification that receipts in the field carry.
_SPELLINGS: Final[dict[str, MessageState]] = {
    "DELIVERED": MessageState.DELIVERED,
    "DELIVERD": MessageState.DELIVERED,
    "DELIVER": MessageState.DELIVERED,
    "UNDELIVERED": MessageState.UNDELIVERABLE,
    "UNDELIVERABLE": MessageState.UNDELIVERABLE,
    "UNDELIVRD": MessageState.UNDELIVERABLE,
    "UNDELIVD": MessageState.UNDELIVERABLE,
    "FAILED": MessageState.UNDELIVERABLE,
    "ACCEPTED": MessageState.ACCEPTED,
    "ACKED": MessageState.ACCEPTED,
    "REJECTED": MessageState.REJECTED,
    "REJECTE": MessageState.REJECTED,
    "REJECT": MessageState.REJECTED,
    "BUFFERED": MessageState.ENROUTE,
    "BUFFRED": MessageState.ENROUTE,
    "SCHEDULED": MessageState.SCHEDULED,
}
_NUMBERS: Final[dict[int, MessageState]] = {int(state): state for state in MessageState}
_STAT_WORDS: Final[dict[MessageState, str]] = {state: word for word, state in STATES.items()}


class Receipt(NamedTuple):
    """The text form, field by field, as it was written; absent fields are empty. `stat` is in capitals."""

    id: str = ""
    sub: str = ""
    dlvrd: str = ""
    submit_date: str = ""
    done_date: str = ""
    stat: str = ""
    err: str = ""
    text: str = ""


class Report(NamedTuple):
    """The DLR: which message, in which state. `smsc_id` is empty when a receipt names none that can be read."""

    smsc_id: str
    state: MessageState
    error: str
    text_receipt: Receipt | None


def parse(short_message: bytes | str) -> Receipt | None:
    """Read the text form; None when it is not a receipt (no `stat`, or nothing but a `stat`)."""
    text = short_message.decode("latin-1") if isinstance(short_message, bytes) else short_message
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        smsc_id, sub, dlvrd, submitted, done, word, err, content = plain.groups()
        return Receipt(smsc_id, sub, dlvrd, submitted, done, word.upper(), err, content.strip(_PADDING))
    return _parse_odd(text)


def _parse_odd(text: str) -> Receipt | None:
    found: dict[str, str] = {}
    keys = list(_KEY.finditer(text))
    for index, key in enumerate(keys):
        name = _field(key[1])
        if name == "text" and "stat" in found:
            # What the sender wrote may look like fields; nothing behind text: is one.
            found.setdefault(name, text[key.end() :].strip(_PADDING))
            break
        end = keys[index + 1].start() if index + 1 < len(keys) else len(text)
        found.setdefault(name, text[key.end() : end].strip(_PADDING))
    stat = found.get("stat", "").split()
    if not stat or len(found) < 2:
        return None
    return Receipt(**(found | {"stat": stat[0].upper()}))


def _field(key: str) -> str:
    name = key.lower().replace(" ", "").replace("_", "")
    return _FIELDS.get(name, name)


def format(receipt: Receipt) -> bytes:
    """The text of appendix B; the message's text is cut to its first 20 characters."""
    text = (
        f"id:{receipt.id} sub:{receipt.sub} dlvrd:{receipt.dlvrd} submit date:{receipt.submit_date} "
        f"done date:{receipt.done_date} stat:{receipt.stat} err:{receipt.err} text:{receipt.text[:_TEXT_CHARACTERS_MAX]}"
    )
    return text.encode("latin-1", "replace")


def state_of(stat: str) -> MessageState:
    """The message_state a `stat` word means; UNKNOWN for words nobody has seen."""
    word = stat.strip().upper()
    if word in STATES:
        return STATES[word]
    if word in _SPELLINGS:
        return _SPELLINGS[word]
    return _state(int(word)) if word.isascii() and word.isdigit() and len(word) < 3 else MessageState.UNKNOWN


def stat_of(state: MessageState) -> str:
    """The `stat` word of a message_state."""
    return _STAT_WORDS[state]


def _state(number: int) -> MessageState:
    return _NUMBERS.get(number, MessageState.UNKNOWN)


class Dialect(Protocol):
    """A carrier's own way of writing receipts; gateway.smpp.dialects has them."""

    @property
    def is_text_trusted(self) -> bool: ...

    def parse(self, text: str) -> Receipt | None: ...

    def state_of(self, stat: str, error: str) -> MessageState: ...

    def error_of(self, error: str) -> str: ...


def read_in(dialect: Dialect, pdu: DeliverSm | DataSm) -> Report | None:
    """The DLR in a deliver_sm or data_sm of a carrier with its own way of writing them, None when it is no receipt."""
    named = get_text(pdu, Tag.RECEIPTED_MESSAGE_ID)
    is_typed = pdu.esm_class & _TYPE_MASK in _RECEIPT_TYPES
    if not is_typed and not named and not dialect.is_text_trusted:
        return None
    receipt = dialect.parse(_text(pdu))
    if not is_typed and not named and receipt is None:
        return None
    error = _error(pdu, receipt)
    state = get_int(pdu, Tag.MESSAGE_STATE)
    told = dialect.state_of(receipt.stat if receipt else "", error) if state is None else _state(state)
    return Report(named or (receipt.id if receipt else ""), told, dialect.error_of(error), receipt)


def read(pdu: DeliverSm | DataSm, *, trust_text: bool = False) -> Report | None:
    """The DLR in a deliver_sm or data_sm, None when it is no receipt; optional parameters win over the text.

    It is a receipt when esm_class or receipted_message_id says so, or, with `trust_text`, when its text reads like one. One
    that says so and cannot be read gives a Report without id: it must not reach a person as a message.
    """
    named = get_text(pdu, Tag.RECEIPTED_MESSAGE_ID)
    is_typed = pdu.esm_class & _TYPE_MASK in _RECEIPT_TYPES
    if not is_typed and not named and not trust_text:
        return None
    receipt = parse(_text(pdu))
    if not is_typed and not named and receipt is None:
        return None
    state = get_int(pdu, Tag.MESSAGE_STATE)
    told = state_of(receipt.stat if receipt else "") if state is None else _state(state)
    return Report(named or (receipt.id if receipt else ""), told, _error(pdu, receipt), receipt)


def _text(pdu: DeliverSm | DataSm) -> str:
    payload = pdu.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
    raw = (pdu.short_message or payload) if isinstance(pdu, DeliverSm) else payload
    # COMPAT: a few SMSCs write the receipt itself in UCS2.
    return raw.decode("utf-16-be" if pdu.data_coding == _UCS2 and b"\0" in raw else "latin-1", "replace")


def _error(pdu: DeliverSm | DataSm, receipt: Receipt | None) -> str:
    """network_error_code's number, with the network's type before it where that is not GSM, or the text's err."""
    code = pdu.tlvs.get(Tag.NETWORK_ERROR_CODE, b"")
    if len(code) == 3:
        number = f"{int.from_bytes(code[1:], 'big'):03d}"
        return number if code[0] in (0, _GSM_NETWORK) else f"{code[0]}:{number}"
    return receipt.err if receipt else ""
