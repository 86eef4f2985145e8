"""What senders are told of their messages: which outbox row, if any, an end or an intermediate state makes.

registered_delivery, SMPP 3.4 section 5.2.17: bits 0 and 1 ask for the final receipt (1 always, 2 on failure; 3, of SMPP 5.0, on success),
bit 4 for intermediate states. Bits 2 and 3 ask the handset for acknowledgements, which come back as messages.
"""

from __future__ import annotations

from gateway.domain.message import Front, Message, State
from gateway.store import outbox
from gateway.store.outbox import Entry

RECEIPT_ALWAYS, RECEIPT_ON_FAILURE, RECEIPT_ON_SUCCESS = 1, 2, 3
INTERMEDIATE = 0x10
CONNECTOR = "embedded"


def entry_for(message: Message, state: State, entry_id: int) -> Entry | None:
    """The row for a message's end: to an SMPP partner who asked for a receipt, or to the messenger."""
    if message.front == Front.IM:
        return Entry(entry_id, outbox.connector_target(CONNECTOR), outbox.KIND_STATUS, message.id, int(state))
    if message.front != Front.SMPP or message.partner_id is None:
        return None
    asked = message.registered_delivery & 0x03
    is_delivered = state is State.DELIVERED
    if asked == RECEIPT_ALWAYS or (asked == RECEIPT_ON_FAILURE and not is_delivered) or (asked == RECEIPT_ON_SUCCESS and is_delivered):
        return Entry(entry_id, outbox.partner_target(message.partner_id), outbox.KIND_RECEIPT, message.id, int(state))
    return None


def intermediate_entry_for(message: Message, message_state: int, entry_id: int) -> Entry | None:
    """The row for an intermediate state of SMPP's; only to who asked for those."""
    if not message.registered_delivery & INTERMEDIATE or message.front != Front.SMPP or message.partner_id is None:
        return None
    return Entry(entry_id, outbox.partner_target(message.partner_id), outbox.KIND_INTERMEDIATE, message.id, message_state)
