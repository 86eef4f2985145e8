"""The embedded messenger's accounts and histories; its rosters are in im_friends.

Each account has its own copy of every message it said or was told, so a history is one range of one index. Whatever may be asked
twice (a client's send, a delivery after a crash) is made unique by an index, and the second time changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from billing import book, bulk, schema
from gateway.domain.failure import Refused
from gateway.domain.message import FINAL, State
from gateway.store.schema import im_account, im_friend, im_message

ACCOUNT_MIN = 10_000  # five digits: shorter extensions of a short code are slots
FRIEND_BLOCKED = 2
REASON_CHARS_MAX = 64


class Account(NamedTuple):
    """One account; the fields are the row's."""

    id: int
    nick: str
    password_hash: str
    wallet: int
    created_at: int


# For its wallet, its first credit, and the house's accounts.
SPARE_IDS = 2 + len(book.House._fields)


class NewAccount(NamedTuple):
    """What it takes to open one; `spare_ids` are for its wallet, its credit, and the house's accounts where missing."""

    nick: str
    password_hash: str
    number_min: int
    currency: str
    credit_minor: int
    spare_ids: tuple[int, ...]  # SPARE_IDS of them
    now_us: int


class ImMessage(NamedTuple):
    """One line of one account's history; the fields are the row's."""

    id: int
    account: int
    peer: str  # an account number, or +MSISDN
    is_outgoing: bool
    text: str
    state: int
    reason: str | None
    origin_id: int | None
    client_id: str | None
    at: int  # UTC µs


class Incoming(NamedTuple):
    """A phone's words to an account."""

    id: int
    account: int
    peer: str  # +MSISDN
    text: str
    origin_id: int
    at: int


class StateChange(NamedTuple):
    """What became of an account's words."""

    im_message_id: int
    state: int
    reason: str


_INSERT = bulk.insert_into(im_message, *ImMessage._fields, on_conflict="ON CONFLICT DO NOTHING")
_INSERT_CONTACT = bulk.insert_into(im_friend, "account", "peer", "state", on_conflict="ON CONFLICT DO NOTHING")


def register(conn: Connection, new: NewAccount) -> Account:
    """Open an account under the next free number, with a wallet of its own and the credit it begins with."""
    assert new.number_min >= ACCOUNT_MIN
    assert new.credit_minor >= 0
    last = conn.execute(select(func.max(im_account.c.id))).scalar()
    number = new.number_min if last is None else max(new.number_min, last + 1)
    wallet_id, credit_id, *house_ids = new.spare_ids
    book.ensure_house(conn, new.currency, new_id=iter(house_ids).__next__, now_us=new.now_us)
    wallet = book.open_account(conn, wallet_id, f"im:{number}", new.currency, True, new.now_us)
    if new.credit_minor:
        book.top_up(conn, wallet, new.credit_minor, f"welcome:{number}", credit_id, new.now_us)
    account = Account(number, new.nick, new.password_hash, wallet, new.now_us)
    conn.execute(im_account.insert(), account._asdict())
    return account


def find_account(conn: Connection, number: int) -> Account | None:
    """The account of a number, if there is one."""
    row = conn.execute(select(im_account).where(im_account.c.id == number)).first()
    return None if row is None else Account(*row)


class Purse(NamedTuple):
    """The wallet of an account in the currency asked for, if it has one."""

    wallet: int | None


def purse_in(conn: Connection, number: int, currency: str) -> Purse | None:
    """What an account has to pay with in a currency; None for an account that does not exist."""
    wallet = schema.account
    is_its = (wallet.c.party == f"im:{number}") & (wallet.c.currency == currency) & wallet.c.is_wallet
    row = conn.execute(select(wallet.c.id).select_from(im_account.outerjoin(wallet, is_its)).where(im_account.c.id == number)).first()
    return None if row is None else Purse(row[0])


def set_password(conn: Connection, number: int, password_hash: str) -> bool:
    """Give an account another password; False when there is no such account."""
    return conn.execute(im_account.update().where(im_account.c.id == number).values(password_hash=password_hash)).rowcount == 1


def record_outgoing(
    conn: Connection, account: int, peer: str, text: str, client_id: str, im_message_id: int, at: int, *, state: State = State.ACCEPTED
) -> tuple[int, bool]:
    """Write down what an account says; its id, and whether it is new. An empty `client_id` is never a repeat.

    Raises Refused when the client id was used before for other words or another peer.
    """
    row = ImMessage(im_message_id, account, peer, True, text, state, None, None, client_id or None, at)
    if bulk.execute(conn, _INSERT, [row]) == 1:
        return im_message_id, True
    known = find_outgoing(conn, account, client_id)
    assert known is not None, "an outgoing message conflicts with nothing but its client id"
    if (known.peer, known.text) != (peer, text):
        raise Refused("client_id_reused", "this client_id belongs to another message", field="client_id")
    return known.id, False


def find_outgoing(conn: Connection, account: int, client_id: str) -> ImMessage | None:
    """What an account said under a client id before."""
    row = conn.execute(select(im_message).where(im_message.c.account == account, im_message.c.client_id == client_id)).first()
    return None if row is None else ImMessage(*row)


def exchange(
    conn: Connection, account: int, peer: int, text: str, client_id: str, ids: tuple[int, int], at: int
) -> tuple[ImMessage, ImMessage | None]:
    """Put one account's words into its own and the other's history at once; the second is None when it was done before."""
    own_id, is_new = record_outgoing(conn, account, str(peer), text, client_id, ids[0], at, state=State.DELIVERED)
    own = message(conn, account, own_id)
    assert own is not None, "just written, or found by its client id"
    if not is_new:
        return own, None
    theirs = ImMessage(ids[1], peer, str(account), False, text, State.DELIVERED, None, own_id, None, at)
    written = bulk.execute(conn, _INSERT, [theirs])
    assert written == 1, "the words are new, so nothing came from them before"
    return own, theirs


def set_state(conn: Connection, im_message_id: int, state: int, reason: str = "") -> bool:
    """Move an outgoing message's state forward; False when it is already as far, or final."""
    forward = (im_message.c.state < state) & (im_message.c.state < FINAL)
    change = im_message.update().where(im_message.c.id == im_message_id, im_message.c.is_outgoing, forward)
    return conn.execute(change.values(state=int(state), reason=reason[:REASON_CHARS_MAX] or None)).rowcount == 1


def deliver(conn: Connection, items: Sequence[Incoming | StateChange]) -> list[bool]:
    """Write, in order, what phones said and what became of words to phones; for each whether it was news."""
    return [set_state(conn, *item) if isinstance(item, StateChange) else record_incoming(conn, item) for item in items]


def record_incoming(conn: Connection, said: Incoming) -> bool:
    """Write down what a phone said; False when it is there already, or the account has blocked the phone."""
    contact = (im_friend.c.account == said.account) & (im_friend.c.peer == said.peer)
    state = conn.execute(select(im_friend.c.state).where(contact)).scalar()
    if state == FRIEND_BLOCKED:
        return False
    if state is None:  # the account can only answer someone it sees in its list
        bulk.execute(conn, _INSERT_CONTACT, [(said.account, said.peer, 1)])
    row = ImMessage(said.id, said.account, said.peer, False, said.text, State.DELIVERED, None, said.origin_id, None, said.at)
    return bulk.execute(conn, _INSERT, [row]) == 1


def message(conn: Connection, account: int, im_message_id: int) -> ImMessage | None:
    """One message of an account's history."""
    row = conn.execute(select(im_message).where(im_message.c.id == im_message_id, im_message.c.account == account)).first()
    return None if row is None else ImMessage(*row)


def history(
    conn: Connection, account: int, *, limit: int, since: int | None = None, before: int | None = None, peer: str | None = None
) -> list[ImMessage]:
    """A page of an account's history, oldest first: what follows `since`, else the latest page, or the latest before `before`."""
    query = select(im_message).where(im_message.c.account == account)
    if peer is not None:
        query = query.where(im_message.c.peer == peer)
    if since is not None:
        query = query.where(im_message.c.id > since).order_by(im_message.c.id)
        return [ImMessage(*row) for row in conn.execute(query.limit(limit))]
    if before is not None:
        query = query.where(im_message.c.id < before)
    rows = conn.execute(query.order_by(im_message.c.id.desc()).limit(limit)).all()
    return [ImMessage(*row) for row in reversed(rows)]
