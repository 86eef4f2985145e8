"""Chats over SMS: an account's words to a phone become a chat message and an MT in one transaction.

The sender address of that MT is the reply address: what the subscriber answers to it comes back to this account, and no other.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from sqlalchemy import Connection, select

from billing.event import FeeClass, Payer
from billing.schema import charge
from gateway.domain import conversation
from gateway.domain.address import Address, AddressError, msisdn
from gateway.domain.conversation import AccountNumber, Direct, SlotNumber
from gateway.domain.failure import Refused
from gateway.domain.message import Front
from gateway.services.catalogue import Catalogue, ShortCode
from gateway.services.parts import ENCODING_NAMES
from gateway.services.ports import ChatAccepted, ChatMessage
from gateway.services.reception import Reception
from gateway.services.submit import Draft, Sender, Submission, wallet_for
from gateway.store import im, im_friends, slots
from gateway.store.schema import message
from gateway.store.writer import StoreWriter
from gateway.world import World


class ChatService:
    """The Inbox that connectors call."""

    def __init__(self, world: World, writer: StoreWriter, reception: Reception, catalogue: Catalogue) -> None:
        self._world = world
        self._writer = writer
        self._reception = reception
        self._catalogue = catalogue

    async def send_chat(self, chat: ChatMessage) -> ChatAccepted:
        """Accept a chat message to a phone; on disk when it returns. Raises Refused with a text for the user."""
        # A page that goes away does not stop what may be committed already.
        return await asyncio.shield(self._send_chat(chat))

    async def _send_chat(self, chat: ChatMessage) -> ChatAccepted:
        try:
            destination = msisdn(chat.peer)
        except AddressError as error:
            raise Refused("bad_destination", str(error), field="to") from None
        code = self._catalogue.short_codes.get(self._catalogue.default_short_code)
        if code is None:
            raise Refused("no_short_code", "no short code is configured for chats")
        im_message_id = self._world.next_id()
        # The reply address under the code is found in the transaction; routing goes by the code.
        source = Address(code.number, 0, 1)
        sender = Sender(Front.IM, None, im_account=chat.account, im_message_id=im_message_id)
        submission = Submission(sender, source, destination, code.service, chat.text)
        draft = self._reception.draft(submission)
        try:
            kept = await self._writer.run(self._write, chat, code, draft, im_message_id)
        except BaseException:
            self._reception.abandoned(draft)
            raise
        if kept.draft is None:
            self._reception.abandoned(draft)
        else:
            self._reception.committed(kept.draft)
        return kept.accepted

    def _write(self, conn: Connection, chat: ChatMessage, code: ShortCode, draft: Draft, im_message_id: int) -> _Kept:
        now_us = draft.message.accepted_at
        kept_id, is_new = im.record_outgoing(conn, chat.account, chat.peer, chat.text, chat.client_id, im_message_id, now_us)
        if not is_new:
            return _Kept(_accepted_before(conn, kept_id), None)
        purse = im.purse_in(conn, chat.account, draft.event.currency)
        if purse is None:
            raise Refused("unknown_account", "this account does not exist")
        code = self._code_of(conn, chat, code)
        source = self._reply_address(conn, code, draft.message.destination, chat.account, now_us)
        mine = draft.message._replace(source=source.digits_or_name, source_ton=source.ton, source_npi=source.npi)
        pays = draft.event.payer == Payer.SOURCE and draft.event.fee_class != FeeClass.SP_COLLECTED
        wallet = wallet_for(draft.event, purse.wallet) if pays else draft.event.wallet
        event = draft.event._replace(wallet=wallet, short_code=code.number)
        written = draft._replace(message=mine, event=event)
        self._reception.accept_in(conn, written)
        charged = written.charged
        encoding = ENCODING_NAMES[mine.encoding]
        accepted = ChatAccepted(im_message_id, mine.id, mine.segments, encoding, charged.amount_minor, charged.currency)
        return _Kept(accepted, written)

    def _code_of(self, conn: Connection, chat: ChatMessage, default: ShortCode) -> ShortCode:
        """The code this contact's chat goes over; a code of another service would change the price, so it must be the same."""
        contact = im_friends.contact(conn, chat.account, chat.peer)
        chosen = self._catalogue.short_codes.get(contact.short_code or "") if contact is not None else None
        return chosen if chosen is not None and chosen.service == default.service else default

    def _reply_address(self, conn: Connection, code: ShortCode, subscriber: str, account: int, now_us: int) -> Address:
        try:
            if code.is_slot:
                number = slots.slot_for(conn, subscriber, code.plan, account, now_us)
                if number is None:
                    raise Refused("no_slot", "this phone has no free reply address left under this number")
                digits = conversation.format(conversation.slot(SlotNumber(number)), code.plan)
            else:
                digits = conversation.format(Direct(AccountNumber(account)), code.plan)
        except AddressError as error:
            raise Refused("no_reply_address", str(error)) from None
        return Address(digits, 0, 1)


class _Kept(NamedTuple):
    """The answer, and the draft if it was written now; None: the same client id came before."""

    accepted: ChatAccepted
    draft: Draft | None


def _accepted_before(conn: Connection, im_message_id: int) -> ChatAccepted:
    """The answer given when this chat message was new; its message was accepted in the same transaction."""
    columns = (message.c.id, message.c.segments, message.c.encoding, charge.c.quantity, charge.c.unit_price_minor, charge.c.currency)
    joined = select(*columns).join(charge, charge.c.id == message.c.id)
    row = conn.execute(joined.where(message.c.im_message_id == im_message_id)).one()
    return ChatAccepted(im_message_id, row[0], row[1], ENCODING_NAMES[row[2]], row[3] * row[4], row[5])
