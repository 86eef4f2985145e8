"""The embedded messenger itself: what an account can do, and who is told of it.

Every change is on disk before anyone is told, and whoever was not there asks the history later. Events go to plain callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from gateway.connectors.embedded.accounts import Accounts, Session
from gateway.connectors.embedded.events import ContactEvent, ContactGone, Event, MessageEvent, Presence, PresenceEvent, StatusEvent
from gateway.connectors.embedded.limits import Buckets, Limits
from gateway.connectors.embedded.subscribers import Subscribers, Subscription
from gateway.connectors.embedded.text import Peer, check_client_id, check_name, check_text, parse_peer, parse_short_code
from gateway.domain.failure import Kind, Refused
from gateway.domain.message import State
from gateway.services.ports import ChatAccepted, ChatMessage
from gateway.store import im, im_friends
from gateway.store.im_friends import Contact, Relation

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.services.ports import Inbox, Reader, Writer
    from gateway.world import World


class Sent(NamedTuple):
    """A message is on disk, in the sender's history; `accepted` is there when it goes out as SMS."""

    message: im.ImMessage
    accepted: ChatAccepted | None


class ListedContact(NamedTuple):
    """A contact, and whether it is there."""

    contact: Contact
    presence: Presence


class Messenger:
    """Accounts, lists, presence, histories, and the callbacks of open windows."""

    def __init__(self, world: World, writer: Writer, reader: Reader, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.accounts = Accounts(world, writer, reader, self.limits)
        self._world = world
        self._writer = writer
        self._reader = reader
        self._inbox: Inbox | None = None
        self._subscribers = Subscribers(windows_max=self.limits.sockets_per_account_max, polls_max=self.limits.polls_per_account_max)
        self._sends = Buckets(self.limits.messages_per_s, self.limits.messages_burst, self.limits.keys_max)
        self._frames = Buckets(self.limits.frames_per_s, self.limits.frames_burst, self.limits.keys_max)

    # -- the connector's side -----------------------------------------------------------------------------------------

    def open(self, inbox: Inbox) -> None:
        """Let accounts write to phones."""
        self._inbox = inbox

    def close(self) -> None:
        """Stop writing to phones, and ask every window to close."""
        self._inbox = None
        self._subscribers.dismiss_all()

    @property
    def is_healthy(self) -> bool:
        """Whether it is open and what people say can be written down."""
        return self._inbox is not None and self._writer.is_healthy

    @property
    def windows_open(self) -> int:
        """How many windows are open."""
        return self._subscribers.count()

    async def deliver(self, items: Sequence[im.Incoming | im.StateChange], accounts: Sequence[int]) -> None:
        """Write down what came from phones and tell the windows of `accounts`, one for each item."""
        news = await self._writer.run(im.deliver, tuple(items))
        for item, account, is_news in zip(items, accounts, news, strict=True):
            if is_news:
                self._subscribers.tell(account, _event_of(item))

    # -- windows and presence -----------------------------------------------------------------------------------------

    def check_room(self, account: int) -> None:
        """Refused when the account has all the windows open that it may have."""
        self._subscribers.check_room(account, is_window=True)

    async def subscribe(self, session: Session, on_event: Callable[[Event], None], *, is_window: bool) -> Subscription:
        """Tell `on_event` what happens to the session's account; a window also makes it present. Refused when too many are open."""
        subscription = Subscription(session.account, on_event, is_window=is_window, session_key=session.key)
        before = self._subscribers.presence(session.account)
        self._subscribers.add(subscription)
        try:
            await self._tell_presence(session.account, before)
        except BaseException:
            self._subscribers.remove(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Tell it nothing more; its account may become absent by that."""
        before = self._subscribers.presence(subscription.account)
        self._subscribers.remove(subscription)
        self._frames.forget(subscription)
        await self._tell_presence(subscription.account, before)

    async def show(self, subscription: Subscription, presence: Presence) -> None:
        """Show an open window's owner as there or away."""
        before = self._subscribers.presence(subscription.account)
        if subscription.is_window and presence is not Presence.OFFLINE:
            subscription.presence = presence
        await self._tell_presence(subscription.account, before)

    def take_frame(self, subscription: Subscription) -> bool:
        """Whether a window may ask for something now, by its own bucket."""
        return self._frames.take(subscription, self._world.clock.monotonic())

    def log_out(self, session: Session) -> None:
        """End a session and close its windows."""
        self.accounts.close_session(session.key)
        self._subscribers.dismiss(session.key)

    async def _tell_presence(self, account: int, before: Presence) -> None:
        if self._subscribers.presence(account) is before:
            return
        friends = await self._reader.read(im_friends.friends_of, account)
        # Read again, after the wait: whoever tells last tells the truth.
        event = PresenceEvent(str(account), self._subscribers.presence(account))
        for friend in friends:
            self._subscribers.tell(friend, event)

    def _presence_of(self, contact: Contact) -> Presence:
        # Only a friend may know: neither one who waits for an answer nor one who is blocked sees anything.
        if contact.is_phone or contact.relation is not Relation.FRIEND:
            return Presence.OFFLINE
        return self._subscribers.presence(int(contact.peer))

    # -- lists --------------------------------------------------------------------------------------------------------

    async def contacts(self, account: int) -> list[ListedContact]:
        """An account's list, with who is there now."""
        known = await self._reader.read(im_friends.contacts, account)
        return [ListedContact(contact, self._presence_of(contact)) for contact in known]

    async def add_contact(self, account: int, peer: str, *, alias: str | None = None, short_code: str | None = None) -> ListedContact:
        """Put a phone in the list, or ask another account (which accepts, when that one asked first)."""
        if alias is not None:
            check_name(alias, "alias", self.limits.name_chars_max)
        code = parse_short_code(short_code)
        whom = parse_peer(peer, "peer")
        self._take(account)
        own: Contact | None
        if whom.account is None:
            own = await self._writer.run(_put_phone, account, whom.name, alias, code, self.limits.contacts_max)
            self._tell_contact(account, whom.name, own)
        else:
            own, other = await self._writer.run(_ask, account, whom.account, alias, self.limits.contacts_max)
            self._tell_pair(account, whom.account, own, other)
        assert own is not None, "just added"
        return ListedContact(own, self._presence_of(own))

    async def change_contact(self, account: int, peer: str, action: str) -> ListedContact | None:
        """Do one of im_friends.ACTIONS to a contact; None when it is not in the list any more."""
        if action not in im_friends.ACTIONS:
            raise Refused("bad_action", f"must be one of add, {', '.join(im_friends.ACTIONS)}", field="action")
        whom = parse_peer(peer, "peer")
        self._take(account)
        if whom.account is None:
            own = await self._writer.run(_change_phone, account, whom.name, action, self.limits.contacts_max)
            self._tell_contact(account, whom.name, own)
        else:
            own, other = await self._writer.run(im_friends.change, account, whom.account, action)
            self._tell_pair(account, whom.account, own, other)
        return None if own is None else ListedContact(own, self._presence_of(own))

    def _tell_pair(self, account: int, peer: int, own: Contact | None, other: Contact | None) -> None:
        self._tell_contact(account, str(peer), own)
        if other is None or other.relation is not Relation.BLOCKED:
            self._tell_contact(peer, str(account), other)

    def _tell_contact(self, account: int, peer: str, contact: Contact | None) -> None:
        event = ContactGone(peer) if contact is None else ContactEvent(contact, self._presence_of(contact))
        self._subscribers.tell(account, event)

    # -- messages -----------------------------------------------------------------------------------------------------

    async def send(self, account: int, to: str, text: str, client_id: str = "") -> Sent:
        """Say something to an account or a phone; on disk when it returns, and the same client id twice is one message."""
        check_text(text, self.limits.text_chars_max)
        check_client_id(client_id, self.limits.client_id_chars_max)
        whom = parse_peer(to, "to")
        self._take(account)
        contact = await self._reader.read(im_friends.contact, account, whom.name)
        if contact is not None and contact.relation is Relation.BLOCKED:
            raise Refused("blocked", "you have blocked this contact; unblock it first", field="to")
        if whom.account is not None:
            return await self._send_to_account(account, whom.account, text, client_id)
        return await self._send_to_phone(account, whom, text, client_id)

    async def _send_to_account(self, account: int, peer: int, text: str, client_id: str) -> Sent:
        ids = (self._world.next_id(), self._world.next_id())
        own, theirs = await self._writer.run(_exchange, account, peer, text, client_id, ids, self._world.clock.now_us())
        if theirs is not None:
            self._subscribers.tell(account, MessageEvent(own))
            self._subscribers.tell(peer, MessageEvent(theirs))
        return Sent(own, None)

    async def _send_to_phone(self, account: int, whom: Peer, text: str, client_id: str) -> Sent:
        if self._inbox is None:
            raise Refused("unavailable", "messages to phones are not possible at the moment", kind=Kind.TEMPORARY)
        accepted = await self._inbox.send_chat(ChatMessage(account, whom.name, text, client_id))
        message = await self._reader.read(im.message, account, accepted.im_message_id)
        assert message is not None, "the inbox records it before it answers"
        self._subscribers.tell(account, MessageEvent(message))
        return Sent(message, accepted)

    async def find_message(self, account: int, im_message_id: int) -> im.ImMessage:
        """One message of the account's history; Refused when it is not there."""
        message = await self._reader.read(im.message, account, im_message_id)
        if message is None:
            raise Refused("not_found", "there is no such message in your history", field="id")
        return message

    async def history(
        self, account: int, *, limit: int, since: int | None = None, before: int | None = None, peer: str | None = None
    ) -> tuple[list[im.ImMessage], bool]:
        """A page of the account's history, oldest first, and whether there is more in that direction."""
        whom = None if peer is None else parse_peer(peer, "peer").name
        limit = max(1, min(limit, self.limits.history_page_max))
        page = await self._reader.read(_history, account, limit + 1, since, before, whom)
        if len(page) <= limit:
            return page, False
        return (page[:limit] if since is not None else page[-limit:]), True

    def _take(self, account: int) -> None:
        now = self._world.clock.monotonic()
        if not self._sends.take(account, now):
            raise Refused("throttled", "too fast; wait a moment", kind=Kind.THROTTLED)


def _event_of(item: im.Incoming | im.StateChange) -> Event:
    if isinstance(item, im.StateChange):
        return StatusEvent(*item)
    state = State.DELIVERED
    return MessageEvent(im.ImMessage(item.id, item.account, item.peer, False, item.text, state, None, item.origin_id, None, item.at))


# Transaction functions: Writer.run and Reader.read pass positional arguments only.


def _put_phone(conn: Connection, account: int, msisdn: str, alias: str | None, short_code: str | None, contacts_max: int) -> Contact:
    return im_friends.put_phone(conn, account, msisdn, alias, short_code, contacts_max=contacts_max)


def _ask(conn: Connection, account: int, peer: int, alias: str | None, contacts_max: int) -> im_friends.Pair:
    return im_friends.ask(conn, account, peer, alias, contacts_max=contacts_max)


def _change_phone(conn: Connection, account: int, msisdn: str, action: str, contacts_max: int) -> Contact | None:
    if action in {"block", "unblock"}:
        return im_friends.set_phone_blocked(conn, account, msisdn, is_blocked=action == "block", contacts_max=contacts_max)
    if action != "remove":
        raise Refused("bad_action", "a phone can be removed, blocked and unblocked", field="action")
    im_friends.remove_phone(conn, account, msisdn)
    return None


def _exchange(
    conn: Connection, account: int, peer: int, text: str, client_id: str, ids: tuple[int, int], at: int
) -> tuple[im.ImMessage, im.ImMessage | None]:
    """Friendship is looked up where it is relied on: in the transaction that writes the words."""
    contact = im_friends.contact(conn, account, str(peer))
    if contact is None or contact.relation is not Relation.FRIEND:
        raise Refused("not_friends", "this account has not accepted you as a friend", field="to")
    return im.exchange(conn, account, peer, text, client_id, ids, at)


def _history(conn: Connection, account: int, limit: int, since: int | None, before: int | None, peer: str | None) -> list[im.ImMessage]:
    return im.history(conn, account, limit=limit, since=since, before=before, peer=peer)
