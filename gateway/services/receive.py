"""Receiving an MO: parts are rows until they are whole; a whole one goes to the chat its address leads to, or to its partner.

Everything is decided inside the writer's transaction, for it depends on rows: which parts there are, whose slot it is, who is
whose friend. The deliver_sm is answered after the commit, whatever the outcome: an MO nobody wants is kept, with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from billing import booking
from billing.booking import Booking
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Settlement
from gateway.domain import conversation, keywords
from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.keywords import Keyword
from gateway.domain.message import Front, UnknownOutcome
from gateway.services import priced
from gateway.services.catalogue import Catalogue, ShortCode
from gateway.services.opt_outs import OptOut
from gateway.services.submit import Accepting, Draft, Drafting, Sender, Submission
from gateway.services.subscribing import Ordering, Spoken
from gateway.services.telling import CONNECTOR
from gateway.smpp.vendor_tlv import merged
from gateway.sms import national, udh
from gateway.sms.coding import ALPHABETS, rewritten
from gateway.sms.content import Content, decode
from gateway.sms.reassembly import Joined, Part, PartKey, fold, is_complete, join
from gateway.sms.segments import write
from gateway.store import im, im_friends, mo, outbox, slots
from gateway.store.mo import Mo
from gateway.store.outbox import Handover
from gateway.store.schema import im_message

UDHI = 0x40
GSM = "gsm7"
REPEAT_US = 120_000_000
REFERENCE_REUSED_US = 600_000_000

REPLY_TEXTS = {
    Keyword.STOP: "You will get no more messages from this number. Send START to come back. / 已退订，回复 开通 恢复。",
    Keyword.START: "Messages from this number are on again. Send STOP to end them. / 已开通，回复 退订 取消。",
    Keyword.HELP: "Reply to a friend's message to answer it. STOP ends all messages. / 直接回复好友短信即可，退订 取消服务。",
}


class Incoming(NamedTuple):
    """One deliver_sm that is no receipt."""

    id: int
    reply_id: int  # for the answer to a keyword, should there be one
    link: str
    session_id: int
    source: Address
    destination: Address
    data_coding: int
    esm_class: int
    body: bytes
    sar: udh.Concatenation | None  # from the SAR parameters
    at: int
    at_s: float
    protocol_id: int = 0
    tlvs: bytes = b""  # to pass on, as they stand in a PDU


class Received(NamedTuple):
    """What a deliver_sm led to."""

    effect: str  # joined, part, repeat
    handover: Handover | None
    reply: Draft | None
    opt_out: OptOut | None = None  # what the subscriber has decided by it


class Receiving:
    """The receive operation of the writer."""

    def __init__(
        self, catalogue: Catalogue, partner_ids: dict[str, int], books: Booking = booking.DEFAULT, ordering: Ordering | None = None
    ) -> None:
        self._books = books
        self._ordering = ordering
        self._catalogue = catalogue
        self._partner_ids = partner_ids  # by name, kept current by the app
        self._accepting = Accepting(catalogue.revenue_account, catalogue=catalogue)
        self._drafting = Drafting(catalogue)

    def receive_many(self, conn: Connection, items: Sequence[Incoming]) -> list[Received]:
        """Record each in order."""
        return [self._receive(conn, item) for item in items]

    def _receive(self, conn: Connection, item: Incoming) -> Received:
        content = decode(item.data_coding, bool(item.esm_class & UDHI), item.body, default=self._alphabet_of(item.link))
        concatenation = item.sar or udh.concatenation(content.elements)
        if concatenation is None or concatenation.total == 1:
            fingerprint = _fingerprint(item)
            if mo.is_repeat(conn, fingerprint, item.session_id, item.at - REPEAT_US):
                return Received("repeat", None, None)
            # Whole as it came: a header that is no concatenation (ports, say) means something to a partner.
            return self._take_whole(conn, item, self._whole(item, content), 1, fingerprint)
        return self._take_part(conn, item, content, concatenation)

    def _take_part(self, conn: Connection, item: Incoming, content: Content, concatenation: udh.Concatenation) -> Received:
        key = PartKey(
            item.source.digits_or_name, item.destination.digits_or_name, concatenation.reference, concatenation.wide, concatenation.total
        )
        part = Part(concatenation.number, content.raw, item.data_coding, item.at, national.shift_of(content.elements))
        known = mo.parts_of(conn, key)
        if known and (known[0].mo_id is not None or item.at - known[0].part.received_at > REFERENCE_REUSED_US):
            if _is_among(part, known) and item.at - known[-1].part.received_at <= REFERENCE_REUSED_US:
                return Received("repeat", None, None)
            if known[0].mo_id is not None:
                mo.forget_parts(conn, key)
                known = []
        if any(stored.part.number == part.number for stored in known):
            return Received("repeat", None, None)
        mo.insert_part(conn, item.id, key, part, item.link, item.tlvs)
        assembly = fold(key.total, [*(stored.part for stored in known), part])
        if not is_complete(assembly):
            return Received("part", None, None)
        joined = join(assembly, default=self._alphabet_of(item.link))
        if item.tlvs or any(stored.tlvs for stored in known):
            item = item._replace(tlvs=_tlvs_of((*known, mo.StoredPart(item.id, part, None, item.link, item.tlvs))))
        received = self._take_whole(conn, item, joined, key.total, _fingerprint(item))
        mo.set_joined(conn, key, item.id)
        return received

    def _alphabet_of(self, link: str) -> str:
        """What data_coding 0 means on a link."""
        profiles = self._catalogue.profiles
        return profiles[link].alphabet if profiles and link in profiles else GSM

    def _whole(self, item: Incoming, content: Content) -> Joined:
        """One deliver_sm that is a message; its octets stay as they came, but for those of an alphabet that is only the link's own."""
        if content.text is None or ALPHABETS[item.data_coding] != "default" or self._alphabet_of(item.link) == GSM:
            return Joined(content.text, item.body, (), item.data_coding)
        anew = write(content.text)
        header = item.body[: len(item.body) - len(content.raw)]
        return Joined(content.text, header + anew.octets, (), rewritten(item.data_coding, is_ucs2=not anew.is_septets))

    def release_partial(self, conn: Connection, key: PartKey, item_id: int, reply_id: int, at: int, at_s: float) -> Received | None:
        """Hand on what there is of a message whose other parts never came."""
        known = mo.parts_of(conn, key)
        if not known or known[0].mo_id is not None:
            return None
        first = known[0]
        item = Incoming(
            item_id,
            reply_id,
            first.link,
            0,
            Address(key.source, 1, 1),
            Address(key.destination, 0, 1),
            first.part.data_coding,
            0,
            first.part.body,
            None,
            at,
            at_s,
            tlvs=_tlvs_of(known),
        )
        joined = join(fold(key.total, [stored.part for stored in known]), default=self._alphabet_of(first.link))
        received = self._take_whole(conn, item, joined, key.total, _fingerprint(item))
        mo.set_joined(conn, key, item_id)
        return received

    def _take_whole(self, conn: Connection, item: Incoming, joined: Joined, parts: int, fingerprint: int) -> Received:
        plan = conversation.find_plan(item.destination.digits_or_name, self._catalogue.plans)
        code = self._catalogue.short_codes[plan.base] if plan is not None else None
        found = _Whereto("unknown_number", None, None, None)
        told = None if code is None or self._ordering is None else self._heard(conn, item, code, joined.text)
        if told is not None:
            found = _Whereto("subscription", None, None, None)
        elif code is not None:
            found = self._whereto(conn, item, code, joined.text)
        row = Mo(
            item.id,
            item.link,
            *item.source,
            *item.destination,
            joined.data_coding,
            item.esm_class,
            parts,
            len(joined.missing),
            _storable(joined.text),
            joined.raw,
            found.outcome,
            found.partner_id,
            found.im_account,
            fingerprint,
            item.session_id,
            item.at,
            item.protocol_id,
            item.tlvs or None,
        )
        mo.insert_mo(conn, row)
        self._charge(conn, row, code)
        reply = None
        if told is not None and code is not None:
            reply = self._reply(conn, item, code, told)
        elif code is not None and found.keyword is not None:
            reply = self._answer(conn, item, code, found.keyword)
        target = _target(found)
        if target is None:
            return Received("joined", None, reply, _opt_out(item, code, found))
        entry = outbox.Entry(item.id, target, outbox.KIND_MO if found.partner_id is not None else outbox.KIND_CHAT, item.id, 0)
        outbox.insert(conn, [entry])
        return Received("joined", Handover(entry, None, row, None, item.at), reply)

    def _whereto(self, conn: Connection, item: Incoming, code: ShortCode, text: str | None) -> _Whereto:
        """Which chat or partner an address under one of our codes leads to."""
        if code.partner:
            partner_id = self._partner_ids.get(code.partner)
            return _Whereto("partner" if partner_id is not None else "unknown_partner", partner_id, None, None)
        address = conversation.parse(item.destination.digits_or_name, code.plan)
        is_thread = address is not None and not isinstance(address, conversation.Base)
        keyword = keywords.classify(text, is_thread) if text is not None else None
        if keyword is not None and keyword is not Keyword.BLOCK:
            return _Whereto("keyword", None, None, keyword)
        account: int | None = None
        if isinstance(address, conversation.Direct):
            account = int(address.account)
        elif isinstance(address, conversation.Slot):
            account = slots.account_of(conn, item.source.digits_or_name, code.number, int(address.number))
        if account is None:
            return _Whereto("base_number" if isinstance(address, conversation.Base) else "unknown_contact", None, None, None)
        peer = f"+{item.source.digits_or_name}"
        if not _accepts(conn, account, peer):
            return _Whereto("not_a_friend", None, None, None)
        if keyword is Keyword.BLOCK:
            slots.stop(conn, item.source.digits_or_name, item.destination.digits_or_name, item.at)
            return _Whereto("keyword", None, None, None, is_blocking=True)
        return _Whereto("im", None, account, None)

    def _heard(self, conn: Connection, item: Incoming, code: ShortCode, text: str | None) -> str | None:
        """What subscriptions answer to a message at the base number, None where it is not about them."""
        if self._ordering is None or text is None or item.destination.digits_or_name != code.number:
            return None
        spoken = _spoken(item, code, text)
        told = self._ordering.hear(conn, spoken)
        if told is None and code.partner and keywords.classify(text, in_thread=False) is Keyword.STOP:
            self._ordering.end_all(conn, spoken)  # the partner hears it too, and has its own list
        return told

    def _answer(self, conn: Connection, item: Incoming, code: ShortCode, keyword: Keyword) -> Draft | None:
        """Confirm a keyword, once, by a free service; STOP is on disk with its confirmation."""
        if keyword is Keyword.START:
            slots.start(conn, item.source.digits_or_name, code.number)
        reply = self._reply(conn, item, code, REPLY_TEXTS[keyword]) if keyword in REPLY_TEXTS else None
        if keyword is Keyword.STOP:
            slots.stop(conn, item.source.digits_or_name, code.number, item.at)
            if self._ordering is not None:
                self._ordering.end_all(conn, _spoken(item, code, keyword))
        return reply

    def _reply(self, conn: Connection, item: Incoming, code: ShortCode, text: str) -> Draft | None:
        """Write the answer to an MO; None where there is no free service to send it by, or its sender wants no messages."""
        free = next((service.name for service in self._catalogue.services.values() if not service.unit_price_minor), None)
        if free is None:
            return None
        sender = Sender(Front.GATEWAY, None)
        submission = Submission(sender, Address(code.number, 0, 1), item.source, free, text, mo_link_id=str(item.id))
        try:
            reply = self._drafting.draft(submission, item.reply_id, item.at, item.at_s, link=item.link, reserve=_never)
        except Refused:
            return None  # too long, say: what it tells of is done all the same
        return reply if self._accepting.accept_many(conn, [reply])[0] is None else None

    def _charge(self, conn: Connection, row: Mo, code: ShortCode | None) -> None:
        """An MO is recorded like anything that could be billed; it costs something only where a rule of the tariff says so."""
        service = self._catalogue.services.get(code.service) if code is not None else None
        event = BillableEvent(
            row.id,
            Direction.MO,
            row.received_at,
            service.name if service is not None else "",
            FeeClass.FREE,
            Payer.OTHER,
            None,
            row.link,
            code.number if code is not None else row.destination,
            row.source,
            row.destination,
            row.im_account,
            row.parts,
            1,
            0,
            0,
            service.currency if service is not None else "CNY",
            service.tariff_version if service is not None else "",
            "mo:free",
        )
        settled = Settlement(row.id, ChargeState.ZERO_RATED, None, 0, 0, 0, row.id, "DELIVRD", row.received_at, None, None, row.link)
        catalogue = self._catalogue
        priced.record_mo(conn, catalogue.rating, event, settled, catalogue.revenue_account, catalogue.revenues, self._books)


class _Whereto(NamedTuple):
    outcome: str
    partner_id: int | None
    im_account: int | None
    keyword: Keyword | None
    is_blocking: bool = False  # the one address it was sent to


def _accepts(conn: Connection, account: int, peer: str) -> bool:
    """Whether an account wants to hear a phone: it is a contact, or the account has written to it; never a blocked one."""
    contact = im_friends.contact(conn, account, peer)
    if contact is not None:
        return contact.relation is im_friends.Relation.FRIEND
    written = select(im_message.c.id).where(im_message.c.account == account, im_message.c.peer == peer, im_message.c.is_outgoing)
    return im.find_account(conn, account) is not None and conn.execute(written.limit(1)).first() is not None


def _opt_out(item: Incoming, code: ShortCode | None, found: _Whereto) -> OptOut | None:
    if found.is_blocking:
        return OptOut(item.source.digits_or_name, item.destination.digits_or_name, True)
    if code is None or found.keyword not in (Keyword.STOP, Keyword.START):
        return None
    return OptOut(item.source.digits_or_name, code.number, found.keyword is Keyword.STOP)


def _spoken(item: Incoming, code: ShortCode, text: str) -> Spoken:
    return Spoken(item.id, item.source.digits_or_name, code.number, item.link, text, item.at)


def _target(found: _Whereto) -> str | None:
    if found.partner_id is not None:
        return outbox.partner_target(found.partner_id)
    return outbox.connector_target(CONNECTOR) if found.im_account is not None else None


def _never(_link: str, _segments: int, _policy: UnknownOutcome) -> bool:
    return False


def _storable(text: str | None) -> str | None:
    """PostgreSQL keeps no U+0000."""
    return text.replace("\0", "\ufffd") if text is not None and "\0" in text else text


def _tlvs_of(parts: Sequence[mo.StoredPart]) -> bytes:
    """What the parts of a message say beside it, the first of them first."""
    return merged(stored.tlvs for stored in sorted(parts, key=lambda stored: stored.part.number))


def _is_among(part: Part, known: Sequence[mo.StoredPart]) -> bool:
    return any(stored.part.number == part.number and stored.part.body == part.body for stored in known)


def _fingerprint(item: Incoming) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for field in (item.link, item.source.digits_or_name, item.destination.digits_or_name, str(item.data_coding), str(item.esm_class)):
        digest.update(field.encode() + b"\0")
    digest.update(item.body)
    return int.from_bytes(digest.digest(), "big") >> 1
