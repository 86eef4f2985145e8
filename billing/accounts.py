"""Accounts of parties, one for each currency they deal in: opened, given credit, listed, and told movement by movement.

A party is written KIND:NAME, as partner:acme, im:10001 or sponsor:radio; its credit is how far below zero a wallet may go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from billing import approvals, audit, book, money, names
from billing.approvals import DEFAULT_LIMITS, Deed, Limits
from billing.audit import Act
from billing.errors import LedgerError, NameRefusedError, UnknownAccountError
from billing.event import TransferState
from billing.money import Money
from billing.schema import account, transfer

LIMIT_MINOR_MAX = 10**15
PARTY_CHARS_MAX = 64
KINDS = ("partner", "im", "sponsor")
_PARTY = re.compile(r"(partner|im|sponsor):[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_PENDING, _POSTED = int(TransferState.PENDING), int(TransferState.POSTED)


class Account(NamedTuple):
    """A wallet with what is in it; `free_minor` is what it can still pay, credit included."""

    id: int
    party: str
    currency: str
    posted_minor: int
    held_minor: int
    limit_minor: int

    @property
    def free_minor(self) -> int:
        return self.posted_minor - self.held_minor + self.limit_minor


class Movement(NamedTuple):
    """One transfer as a wallet sees it: signed, below zero went out; a hold is not moved yet."""

    id: int
    at: int
    cause: str  # empty: the charge of the same number
    amount_minor: int
    state: TransferState


class Credited(NamedTuple):
    """A credit limit as it stands; with `approval_id` it waits for a second person, and is what it was."""

    account: Account
    approval_id: int | None


class ClassTotal(NamedTuple):
    """The accounts of one class in one currency: how many, and what they have together."""

    currency: str
    name: str
    accounts: int
    balance_minor: int


class HoldAge(NamedTuple):
    """What is held in one currency, by how long."""

    currency: str
    days: str
    holds: int
    held_minor: int


def checked_party(text: str) -> str:
    """The party itself; raises NameRefusedError for one that is none."""
    if _PARTY.fullmatch(text) is None:
        raise NameRefusedError("party", f"{text[:40]!r} is none; write partner:NAME, im:NUMBER or sponsor:NAME")
    return text


def open_wallet(conn: Connection, party: str, currency: str, *, actor: str, new_id: Callable[[], int], now_us: int) -> tuple[Account, bool]:
    """Open a wallet for a party in a currency, or find the one it has; and whether it is new. A sponsor comes to be by this."""
    checked_party(party)
    money.exponent(currency)
    is_sponsor = party.startswith("sponsor:")
    if not is_sponsor and book.find_account(conn, party) is None:
        raise UnknownAccountError(f"{party} is not known; add it first, and give it a wallet in another currency then")
    known = book.find_account(conn, party, currency)
    if known is not None:
        return one(conn, known), False
    book.ensure_house(conn, currency, new_id=new_id, now_us=now_us)
    id_ = book.open_account(conn, new_id(), party, currency, True, now_us)
    audit.record(conn, Act(actor, "open wallet", f"account:{id_}", {"currency": currency}), now_us=now_us)
    return one(conn, id_), True


def one(conn: Connection, account_id: int) -> Account:
    """A wallet by its number; raises UnknownAccountError."""
    row = conn.execute(select(*_columns()).where(account.c.id == account_id, account.c.is_wallet)).one_or_none()
    if row is None:
        raise UnknownAccountError(f"account {account_id} is no wallet")
    return Account(*row)


def of_party(conn: Connection, party: str, currency: str = "") -> list[Account]:
    """A party's wallets, or that in one currency; the one it opened first stands first. Raises UnknownAccountError for none."""
    query = select(*_columns()).where(account.c.party == checked_party(party), account.c.is_wallet)
    if currency:
        money.exponent(currency)
        query = query.where(account.c.currency == currency)
    found = [Account(*row) for row in conn.execute(query.order_by(account.c.created_at, account.c.id))]
    if not found:
        raise UnknownAccountError(
            f"{party} has no wallet{f' in {currency}' if currency else ''}; `bellhop billing account list` shows them"
        )
    return found


def page(conn: Connection, *, kind: str = "", after: tuple[str, str] = ("", ""), rows_max: int = 100) -> list[Account]:
    """Wallets by party and currency; of one kind of party where it is given."""
    party, currency = account.c.party, account.c.currency
    is_behind = or_(party > after[0], and_(party == after[0], currency > after[1]))
    query = select(*_columns()).where(account.c.is_wallet, is_behind)
    if kind:
        query = query.where(party.like(f"{kind}:%"))
    return [Account(*row) for row in conn.execute(query.order_by(party, currency).limit(rows_max))]


def top_up(
    conn: Connection, party: str, amount: Money, reference: str, *, actor: str, new_id: Callable[[], int], now_us: int
) -> tuple[Account, bool]:
    """Bring money into a party's wallet of its currency, once per reference, and open that where it is missing; and whether it came now."""
    known = [each for each in of_party(conn, party) if each.currency == amount.currency]
    wallet = known[0] if known else open_wallet(conn, party, amount.currency, actor=actor, new_id=new_id, now_us=now_us)[0]
    done = book.top_up(conn, wallet.id, amount.amount_minor, reference, new_id(), now_us)
    if done.is_new:
        detail = {"amount_minor": amount.amount_minor, "currency": amount.currency, "transfer": str(done.transfer_id)}
        audit.record(conn, Act(actor, "top up", f"account:{wallet.id}", detail), now_us=now_us)
    return one(conn, wallet.id), done.is_new


def set_limit(
    conn: Connection,
    wallet: int,
    limit_minor: int,
    *,
    actor: str,
    new_id: Callable[[], int],
    now_us: int,
    limits: Limits = DEFAULT_LIMITS,
) -> Credited:
    """Let a wallet go so far below zero. A limit raised by more than one person may grant becomes a request.

    All that one person raised it by counts together, until two people have granted a limit: many small raises are one great one.
    Raises LedgerError for a limit that what is spent already exceeds.
    """
    audit.lock(conn)
    before = one(conn, wallet)
    if not 0 <= limit_minor <= LIMIT_MINOR_MAX:
        raise LedgerError(f"limit: must be 0 to {Money(LIMIT_MINOR_MAX, before.currency)}")
    grown = limit_minor - before.limit_minor
    if grown > 0 and limits.asks(grown + _granted_alone(conn, wallet, actor), before.currency):
        payload = {"wallet": wallet, "from_minor": before.limit_minor, "limit_minor": limit_minor}
        cause = f"credit:{wallet}:{new_id()}"
        waiting = [each for each in approvals.page(conn, rows_max=1_000) if each.kind == "credit" and each.subject == f"account:{wallet}"]
        if waiting:
            raise LedgerError(f"request {waiting[0].id} for this wallet waits for a second person; let it be decided first")
        request = approvals.Request("credit", cause, f"account:{wallet}", payload, grown, before.currency, actor)
        asked, _ = approvals.ask(conn, request, limits=limits, new_id=new_id, now_us=now_us)
        return Credited(before, asked.id)
    _change_limit(conn, before, limit_minor, actor, "", now_us)
    return Credited(one(conn, wallet), None)


@approvals.executes("credit")
def _execute_credit(conn: Connection, deed: Deed) -> dict[str, object]:
    """Raise a limit two people stand for, unless it was changed meanwhile."""
    before = one(conn, deed.payload["wallet"])
    if before.limit_minor != deed.payload["from_minor"]:
        raise LedgerError("limit: was changed since this was asked for; ask again")
    _change_limit(conn, before, deed.payload["limit_minor"], deed.requested_by, deed.approved_by, deed.now_us)
    return {"limit_minor": deed.payload["limit_minor"], "party": before.party}


def movements(conn: Connection, wallet: int, *, before: int | None = None, rows_max: int = 100) -> list[Movement]:
    """What came into a wallet and went out of it, latest first, in pages by transfer number; released and expired holds moved nothing."""
    is_ours = or_(transfer.c.debit_account == wallet, transfer.c.credit_account == wallet)
    query = select(transfer).where(is_ours, transfer.c.state.in_((_PENDING, _POSTED)))
    if before is not None:
        query = query.where(transfer.c.id < before)
    found = []
    for row in conn.execute(query.order_by(transfer.c.id.desc()).limit(rows_max)):
        minor = row.posted_minor if row.state == _POSTED else row.amount_minor
        signed = minor if row.credit_account == wallet else -minor
        at = row.created_at if row.settled_at is None else row.settled_at
        found.append(Movement(row.id, at, row.cause or "", signed, TransferState(row.state)))
    return found


def trial_balance(conn: Connection, *, as_of_us: int | None = None) -> list[ClassTotal]:
    """The balance of every class of accounts, by currency, as sums over transfers posted before an instant; each currency adds up to 0.

    Wallets are summed like the house's accounts, and not read from their running balance: so the two can be held against each other.
    """
    is_posted = transfer.c.state == _POSTED
    if as_of_us is not None:
        is_posted = and_(is_posted, transfer.c.settled_at < as_of_us)
    came = select(transfer.c.credit_account.label("id"), transfer.c.posted_minor.label("minor")).where(is_posted)
    went = select(transfer.c.debit_account.label("id"), (-transfer.c.posted_minor).label("minor")).where(is_posted)
    moved = came.union_all(went).subquery()
    by_account = select(moved.c.id, func.sum(moved.c.minor).label("minor")).group_by(moved.c.id).subquery()
    # The class is a column of its own before it is grouped by: PostgreSQL does not see that two texts with parameters are one.
    minor = func.coalesce(by_account.c.minor, 0).label("minor")
    each = select(account.c.currency, _class().label("name"), minor).outerjoin(by_account, by_account.c.id == account.c.id).subquery()
    totals = select(each.c.currency, each.c.name, func.count(), func.sum(each.c.minor)).group_by(each.c.currency, each.c.name)
    found = conn.execute(totals.order_by(each.c.currency, each.c.name))
    return [ClassTotal(currency, name, int(accounts), int(total)) for currency, name, accounts, total in found]


def hold_ages(conn: Connection, *, now_us: int) -> list[HoldAge]:
    """What is held, by currency and age: a hold older than its message's validity waits for something that will not come."""
    found = []
    for days, least, most in (("under 1 day", 0, 1), ("1 to 3 days", 1, 3), ("3 to 7 days", 3, 7), ("over 7 days", 7, None)):
        is_so_old = transfer.c.created_at <= now_us - least * approvals.DAY_US if least else transfer.c.created_at.is_not(None)
        query = select(transfer.c.currency, func.count(), func.sum(transfer.c.amount_minor)).where(transfer.c.state == _PENDING, is_so_old)
        if most is not None:
            query = query.where(transfer.c.created_at > now_us - most * approvals.DAY_US)
        rows = conn.execute(query.group_by(transfer.c.currency).order_by(transfer.c.currency))
        found += [HoldAge(currency, days, int(holds), int(minor)) for currency, holds, minor in rows]
    return found


def _granted_alone(conn: Connection, wallet: int, actor: str) -> int:
    """By how much one person alone has raised a wallet's limit since two people last granted one; what he took back is taken off."""
    granted = 0
    for detail in audit.details(conn, "credit", f"account:{wallet}"):
        if "approved_by" in detail.content:
            granted = 0
        elif detail.actor.casefold() == actor.casefold():
            granted = max(0, granted + int(detail.content["to_minor"]) - int(detail.content["from_minor"]))
    return granted


def _columns() -> list[Any]:
    return [account.c[name] for name in Account._fields]


def _class() -> ColumnElement[str]:
    """The class of an account: its kind of party, or for the house's own its name."""
    party = account.c.party
    whens = [(party.like(f"house:{name}:%"), f"house {name}") for name in book.House._fields]
    whens += [(party.like(f"{kind}:%"), f"wallets {kind}") for kind in KINDS]
    return case(*whens, else_="other")


def _change_limit(conn: Connection, before: Account, limit_minor: int, actor: str, approved_by: str, now_us: int) -> None:
    names.checked(actor, "actor", audit.ACTOR_CHARS_MAX)
    is_enough = (account.c.id == before.id) & (account.c.limit_minor == before.limit_minor)
    is_enough &= account.c.posted_minor - account.c.held_minor + limit_minor >= 0
    if conn.execute(update(account).where(is_enough).values(limit_minor=limit_minor)).rowcount != 1:
        spent = Money(before.held_minor - before.posted_minor, before.currency)
        raise LedgerError(f"limit: {Money(limit_minor, before.currency)} is less than the {spent} that were spent on credit")
    detail: dict[str, object] = {"from_minor": before.limit_minor, "to_minor": limit_minor, "currency": before.currency}
    if approved_by:
        detail["approved_by"] = approved_by
    audit.record(conn, Act(actor, "credit", f"account:{before.id}", detail), now_us=now_us)
