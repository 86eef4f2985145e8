"""Receipts as partners get them: an outbox row as deliver_sm or data_sm, with the carrier's own state; and what we ask of carriers.

SMPP 3.4 appendix B for the text, sections 5.3.2.31, 35 and 26 for the parameters that say the same. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from gateway.domain.ids import made_at_us
from gateway.domain.message import Front, Message, State
from gateway.domain.policy import PartnerPolicy
from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import MessageState, Tag
from gateway.store.outbox import KIND_INTERMEDIATE, Handover

# "plain" is a deliver_sm without optional parameters.
ReceiptForm = Literal["deliver_sm", "data_sm", "plain"]

VERSION_3_4, VERSION_5_0 = 0x34, 0x50
RECEIPT_ESM_CLASS, INTERMEDIATE_ESM_CLASS = 0x04, 0x20
# registered_delivery towards the carrier, section 5.2.17: a receipt always, for our own books; intermediate states and the handset's
# acknowledgements as the sender asked.
RECEIPT_REQUESTED, PASSED_ON = 0x01, 0x1C
_RECEIPTED_MESSAGE_ID, _MESSAGE_STATE_TAG = int(Tag.RECEIPTED_MESSAGE_ID), int(Tag.MESSAGE_STATE)
_NETWORK_ERROR_CODE, _USER_MESSAGE_REFERENCE, _PAYLOAD = (
    int(Tag.NETWORK_ERROR_CODE),
    int(Tag.USER_MESSAGE_REFERENCE),
    int(Tag.MESSAGE_PAYLOAD),
)
_GSM_NETWORK = 3
# As gateway.smpp.receipt writes it: the network's type before the number where it is not GSM.
_NETWORK_ERROR = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{3,5})")
_WORD = re.compile(r"(?=[^0-9]*[0-9])[0-9A-Za-z]{1,8}", re.ASCII)
_BY_STATE = {State.DELIVERED: MessageState.DELIVERED, State.EXPIRED: MessageState.EXPIRED, State.FAILED: MessageState.UNDELIVERABLE}
# SKIPPED and SCHEDULED are words of SMPP 5.0.
_IN_3_4 = {MessageState.SKIPPED: MessageState.UNDELIVERABLE, MessageState.SCHEDULED: MessageState.ENROUTE}


def written_id(message_id: int, peer_version: int) -> str:
    """A message's id as its partner reads it. SMPP 3.3 has room for eight hexadecimal digits: the microseconds, modulo 71 minutes."""
    return str(message_id) if peer_version >= VERSION_3_4 else f"{made_at_us(message_id) & 0xFFFFFFFF:08X}"


def answered_id(message: Message) -> int:
    """The id its submission was answered with: its own, or that of the submit_multi it was one destination of."""
    return int(message.reference) if message.reference is not None and message.front == Front.SMPP else message.id


def form_of(policy: PartnerPolicy) -> ReceiptForm:
    """How a partner wants its receipts."""
    if policy.receipt_pdu == "data_sm":
        return "data_sm"
    return "deliver_sm" if policy.receipt_tlvs else "plain"


def receipt_pdu(handover: Handover, peer_version: int, form: ReceiptForm = "deliver_sm") -> p.DeliverSm | p.DataSm:
    """A receipt in the form its partner wants; a peer below 3.4 knows neither data_sm nor optional parameters."""
    message = handover.message
    assert message is not None, "a receipt is of a message"
    state, stat = _state_of(handover.message_state, handover.entry.state, peer_version)
    message_id = written_id(answered_id(message), peer_version)
    network, error = _error_of(handover.error)
    delivered = handover.delivered if handover.entry.kind != KIND_INTERMEDIATE else 0
    # Appendix B, with fixed words only: no text of the message goes back, and nothing that could fail to encode.
    text = (
        f"id:{message_id} sub:{min(message.segments, 999):03d} dlvrd:{min(delivered, 999):03d} submit date:{_date(message.accepted_at)} "
        f"done date:{_date(handover.done_at)} stat:{stat} err:{error} text:"
    ).encode()
    esm_class = INTERMEDIATE_ESM_CLASS if handover.entry.kind == KIND_INTERMEDIATE else RECEIPT_ESM_CLASS
    if peer_version < VERSION_3_4 or form == "plain":
        return _deliver_sm(message, esm_class, text, {})
    tlvs: dict[int, bytes] = {_RECEIPTED_MESSAGE_ID: message_id.encode() + b"\0", _MESSAGE_STATE_TAG: bytes((state,))}
    if network is not None:
        tlvs[_NETWORK_ERROR_CODE] = network
    if handover.user_reference is not None:
        tlvs[_USER_MESSAGE_REFERENCE] = handover.user_reference.to_bytes(2, "big")
    if form == "data_sm":
        return _data_sm(message, esm_class, {**tlvs, _PAYLOAD: text})
    return _deliver_sm(message, esm_class, text, tlvs)


@lru_cache(maxsize=256)
def _state_of(said: int | None, state: int, peer_version: int) -> tuple[MessageState, str]:
    """message_state and `stat`: the carrier's word, else that of our own state."""
    if said is None:
        told = _BY_STATE[State(state)]
    else:
        told = MessageState(said)
        told = told if peer_version >= VERSION_5_0 else _IN_3_4.get(told, told)
    return told, receipt.stat_of(told)


@lru_cache(maxsize=1024)
def _error_of(error: str | None) -> tuple[bytes | None, str]:
    """(network_error_code, err): none and 000 where the carrier gave no error that SMPP can carry."""
    number = _NETWORK_ERROR.fullmatch(error) if error else None
    if number is None:
        return None, error if error and _WORD.fullmatch(error) else "000"
    network, code = int(number[1] or _GSM_NETWORK), int(number[2])
    if not code or network > 0xFF or code > 0xFFFF:
        return None, number[2]
    return bytes((network,)) + code.to_bytes(2, "big"), number[2]


def _deliver_sm(message: Message, esm_class: int, text: bytes, tlvs: dict[int, bytes]) -> p.DeliverSm:
    # Positional and in the order of the fields, as in SmppLink: one for every message.
    return p.DeliverSm(
        0,
        0,
        "",
        message.destination_ton,
        message.destination_npi,
        message.destination,
        message.source_ton,
        message.source_npi,
        message.source,
        esm_class,
        0,
        0,
        "",
        "",
        0,
        0,
        0,
        0,
        text,
        tlvs,
    )


def _data_sm(message: Message, esm_class: int, tlvs: dict[int, bytes]) -> p.DataSm:
    return p.DataSm(
        source_addr_ton=message.destination_ton,
        source_addr_npi=message.destination_npi,
        source_addr=message.destination,
        dest_addr_ton=message.source_ton,
        dest_addr_npi=message.source_npi,
        destination_addr=message.source,
        esm_class=esm_class,
        tlvs=tlvs,
    )


def _date(at_us: int) -> str:
    """The receipt's date, appendix B: YYMMDDhhmm, in UTC."""
    return _minute(at_us // 60_000_000)


@lru_cache(maxsize=256)
def _minute(minutes: int) -> str:
    return datetime.fromtimestamp(minutes * 60, UTC).strftime("%y%m%d%H%M")
