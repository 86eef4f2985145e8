"""The embedded messenger's rosters: who knows whom, who asked, who is blocked.

A row belongs to the account that sees it. Asking writes the asker's row as a friend and the other's as asked; two rows that both
say friend are a friendship. A blocked account is not told: it goes on waiting for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select

from gateway.domain.failure import Refused
from gateway.store.im import FRIEND_BLOCKED
from gateway.store.schema import im_account, im_friend

ASKED, FRIEND, BLOCKED = 0, 1, FRIEND_BLOCKED


class Relation(Enum):
    """How a contact stands to the account whose list it is in."""

    FRIEND = "friend"
    WAITING = "waiting"  # was asked, has not answered
    ASKED = "asked"  # asks us
    BLOCKED = "blocked"


class Contact(NamedTuple):
    """One line of an account's list."""

    peer: str  # an account number, or +MSISDN
    alias: str | None
    nick: str  # the other account's own; empty for a phone
    relation: Relation
    short_code: str | None  # a phone: the code its chat goes over

    @property
    def is_phone(self) -> bool:
        """Whether it is a phone, not an account."""
        return is_phone(self.peer)


Pair = tuple[Contact | None, Contact | None]
Change = Callable[[Connection, int, int], None]


def is_phone(peer: str) -> bool:
    """Whether a peer is a phone, not an account."""
    return peer.startswith("+")


def contacts(conn: Connection, account: int) -> list[Contact]:
    """An account's whole list, by peer."""
    return _seen(conn, account, conn.execute(select(im_friend).where(im_friend.c.account == account).order_by(im_friend.c.peer)).all())


def contact(conn: Connection, account: int, peer: str) -> Contact | None:
    """One contact of an account's list."""
    row = _row(conn, account, peer)
    return None if row is None else _seen(conn, account, [row])[0]


def friends_of(conn: Connection, account: int) -> list[int]:
    """The accounts that are friends with an account, both ways."""
    return [int(known.peer) for known in contacts(conn, account) if not known.is_phone and known.relation is Relation.FRIEND]


def put_phone(conn: Connection, account: int, msisdn: str, alias: str | None, short_code: str | None, *, contacts_max: int) -> Contact:
    """Add a phone to an account's list, or change its alias and code; a blocked one stays blocked."""
    assert is_phone(msisdn)
    if _row(conn, account, msisdn) is None:
        _insert(conn, account, msisdn, FRIEND, contacts_max)
    conn.execute(im_friend.update().where(_key(account, msisdn)).values(alias=alias, short_code=short_code))
    return _known(conn, account, msisdn)


def set_phone_blocked(conn: Connection, account: int, msisdn: str, *, is_blocked: bool, contacts_max: int) -> Contact:
    """Block a phone or let it write again; one not in the list is put there."""
    if _row(conn, account, msisdn) is None:
        _insert(conn, account, msisdn, FRIEND, contacts_max)
    _set(conn, account, msisdn, BLOCKED if is_blocked else FRIEND)
    return _known(conn, account, msisdn)


def remove_phone(conn: Connection, account: int, msisdn: str) -> None:
    """Take a phone off an account's list; the history stays."""
    conn.execute(im_friend.delete().where(_key(account, msisdn)))


def ask(conn: Connection, account: int, peer: int, alias: str | None, *, contacts_max: int) -> Pair:
    """Ask another account to be friends, or accept when it asked first; both lists' new lines (own, other's)."""
    if account == peer:
        raise Refused("yourself", "you cannot add yourself", field="peer")
    if conn.execute(select(im_account.c.id).where(im_account.c.id == peer)).first() is None:
        raise Refused("not_found", "there is no account with this number", field="peer")
    own = _row(conn, account, str(peer))
    if own is None:
        _insert(conn, account, str(peer), FRIEND, contacts_max)
    elif own.state == BLOCKED:
        raise Refused("blocked", "you have blocked this account; unblock it first", field="peer")
    else:
        _set(conn, account, str(peer), FRIEND)
    if alias is not None:
        conn.execute(im_friend.update().where(_key(account, str(peer))).values(alias=alias))
    if _row(conn, peer, str(account)) is None:
        _insert(conn, peer, str(account), ASKED, contacts_max)
    return _both(conn, account, peer)


def change(conn: Connection, account: int, peer: int, action: str) -> Pair:
    """Do one of ACTIONS to the relation of two accounts; both lists' new lines (own, other's)."""
    ACTIONS[action](conn, account, peer)
    return _both(conn, account, peer)


def _accept(conn: Connection, account: int, peer: int) -> None:
    own = _row(conn, account, str(peer))
    if own is None or own.state != ASKED:
        raise Refused("not_found", "this account does not ask you", field="peer")
    _set(conn, account, str(peer), FRIEND)


def _remove(conn: Connection, account: int, peer: int) -> None:
    """Both lines go, so that nobody is left waiting; but a block by the other stays."""
    own = _row(conn, account, str(peer))
    if own is not None and own.state == BLOCKED:
        raise Refused("blocked", "you have blocked this account; unblock it first", field="peer")
    conn.execute(im_friend.delete().where(_key(account, str(peer))))
    conn.execute(im_friend.delete().where(_key(peer, str(account)), im_friend.c.state != BLOCKED))


def _refuse(conn: Connection, account: int, peer: int) -> None:
    own = _row(conn, account, str(peer))
    if own is None or own.state != ASKED:
        raise Refused("not_found", "this account does not ask you", field="peer")
    _remove(conn, account, peer)


def _block(conn: Connection, account: int, peer: int) -> None:
    if _row(conn, account, str(peer)) is None:
        raise Refused("not_found", "this account is not in your list", field="peer")
    _set(conn, account, str(peer), BLOCKED)


def _unblock(conn: Connection, account: int, peer: int) -> None:
    """The other becomes one who asks, if it still wants to: who was blocked before answering never became a friend."""
    own = _row(conn, account, str(peer))
    if own is None or own.state != BLOCKED:
        raise Refused("not_found", "you have not blocked this account", field="peer")
    other = _row(conn, peer, str(account))
    if other is not None and other.state == FRIEND:
        _set(conn, account, str(peer), ASKED)
    else:
        conn.execute(im_friend.delete().where(_key(account, str(peer))))


ACTIONS: dict[str, Change] = {"accept": _accept, "refuse": _refuse, "remove": _remove, "block": _block, "unblock": _unblock}


def _both(conn: Connection, account: int, peer: int) -> Pair:
    return contact(conn, account, str(peer)), contact(conn, peer, str(account))


def _key(account: int, peer: str) -> ColumnElement[bool]:
    return (im_friend.c.account == account) & (im_friend.c.peer == peer)


def _row(conn: Connection, account: int, peer: str) -> Row[tuple[int, str, str | None, int, str | None]] | None:
    return conn.execute(select(im_friend).where(_key(account, peer))).first()


def _known(conn: Connection, account: int, peer: str) -> Contact:
    known = contact(conn, account, peer)
    assert known is not None, "just written"
    return known


def _insert(conn: Connection, account: int, peer: str, state: int, contacts_max: int) -> None:
    count = conn.execute(select(func.count()).select_from(im_friend).where(im_friend.c.account == account)).scalar_one()
    if count >= contacts_max:
        raise Refused("too_many", f"a list holds at most {contacts_max} contacts", field="peer")
    conn.execute(im_friend.insert(), {"account": account, "peer": peer, "state": state})


def _set(conn: Connection, account: int, peer: str, state: int) -> None:
    conn.execute(im_friend.update().where(_key(account, peer)).values(state=state))


def _seen(conn: Connection, account: int, rows: Sequence[Row[tuple[int, str, str | None, int, str | None]]]) -> list[Contact]:
    others = [int(row.peer) for row in rows if not is_phone(row.peer)]
    friend = im_friend.c
    states: dict[int, int] = {}
    nicks: dict[int, str] = {}
    if others:
        reverse = select(friend.account, friend.state).where(friend.account.in_(others), friend.peer == str(account))
        states = {row.account: row.state for row in conn.execute(reverse)}
        nicks = {row.id: row.nick for row in conn.execute(select(im_account.c.id, im_account.c.nick).where(im_account.c.id.in_(others)))}
    seen = []
    for row in rows:
        number = None if is_phone(row.peer) else int(row.peer)
        is_mutual = number is None or states.get(number) == FRIEND
        nick = "" if number is None else nicks.get(number, "")
        seen.append(Contact(row.peer, row.alias, nick, _relation(row.state, is_mutual=is_mutual), row.short_code))
    return seen


def _relation(state: int, *, is_mutual: bool) -> Relation:
    if state == FRIEND:
        return Relation.FRIEND if is_mutual else Relation.WAITING
    return Relation.ASKED if state == ASKED else Relation.BLOCKED
