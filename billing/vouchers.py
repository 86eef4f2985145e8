"""Vouchers: codes that bring their value into a wallet, each once. What is stored is a hash; a code is known only when it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, String, and_, cast, exists, func, literal, not_, select, update

from billing import approvals, audit, book, bulk, money, names
from billing.accounts import one as wallet_of
from billing.accounts import open_wallet
from billing.approvals import DAY_US, DEFAULT_LIMITS, Deed, Limits, Request
from billing.audit import Act
from billing.errors import VoucherError
from billing.schema_ledger import approval, voucher, voucher_batch

VOUCHERS_MAX = 100_000
VALUE_MINOR_MAX = 10**12
BATCH_CHARS_MAX = 32
CODE_OCTETS = 10
CODE_CHARS_MAX = 64
WORTHLESS = "this code brings nothing"
KIND = "vouchers"
_GROUP = 4
# Crockford's: no letter can be taken for another or for a digit.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("OIL", "011", " -")
_INSERT = bulk.insert_into(voucher, "id", "batch_id", "code_hash", "state")
_AT_ONCE = 1_000
# The request that a batch waits for, where it is one.
_asked_for = approval.c.cause == literal(f"{KIND}:") + cast(voucher_batch.c.id, String)


class State(IntEnum):
    """Where a voucher stands; from 10 on it brings nothing any more."""

    LIVE = 0
    REDEEMED = 10
    VOID = 11


class Batch(NamedTuple):
    """What vouchers are made: so many of one value, good until an instant."""

    name: str
    value_minor: int
    currency: str
    vouchers: int
    expires_at: int


class BatchState(NamedTuple):
    """A batch, and what became of its vouchers."""

    id: int
    batch: Batch
    live: int
    redeemed: int
    void: int


class Made(NamedTuple):
    """The codes of a batch; with `approval_id` they bring nothing until a second person has agreed."""

    codes: list[str]
    approval_id: int | None


class Redeemed(NamedTuple):
    """What a code brought; not new when this wallet had redeemed it before."""

    voucher_id: int
    wallet: int
    value_minor: int
    currency: str
    is_new: bool


def make(
    conn: Connection,
    batch: Batch,
    *,
    actor: str,
    random_octets: Callable[[int], bytes],
    new_id: Callable[[], int],
    now_us: int,
    limits: Limits = DEFAULT_LIMITS,
) -> Made:
    """Make the vouchers of a batch; their codes, which nobody can find out again. Raises VoucherError.

    Worth more than one person may give away, together with what was made alone within a day, they bring nothing until another agreed.
    """
    _refuse_unusable(batch, now_us)
    audit.lock(conn)
    if _id_of(conn, batch.name) is not None:
        raise VoucherError(f'there is a batch "{batch.name}" already')
    worth = batch.value_minor * batch.vouchers
    is_asked = limits.asks(worth + _made_alone(conn, batch.currency, now_us - DAY_US), batch.currency)
    batch_id = new_id()
    row = batch._asdict() | {"id": batch_id, "created_by": actor, "created_at": now_us}
    conn.execute(voucher_batch.insert(), row)
    codes = list({code_of(random_octets(CODE_OCTETS)): None for _ in range(batch.vouchers)})
    if len(codes) != batch.vouchers:
        raise VoucherError("two codes came out alike; the source of randomness is broken")
    for start in range(0, len(codes), _AT_ONCE):
        bulk.execute(conn, _INSERT, [(new_id(), batch_id, hash_of(code), int(State.LIVE)) for code in codes[start : start + _AT_ONCE]])
    detail = {"value_minor": batch.value_minor, "currency": batch.currency, "vouchers": batch.vouchers}
    audit.record(conn, Act(actor, "make vouchers", f"vouchers:{batch.name}", detail), now_us=now_us)
    if not is_asked:
        return Made(codes, None)
    subject, payload = f"vouchers:{batch.name}", {"batch": batch.name, "vouchers": batch.vouchers}
    request = Request(KIND, f"{KIND}:{batch_id}", subject, payload, worth, batch.currency, actor)
    return Made(codes, approvals.ask(conn, request, limits=limits, new_id=new_id, now_us=now_us)[0].id)


@approvals.executes(KIND)
def _execute(_conn: Connection, deed: Deed) -> dict[str, object]:
    """That the request is approved is all that its vouchers wait for."""
    return dict(deed.payload)


def _made_alone(conn: Connection, currency: str, since_us: int) -> int:
    """What the vouchers are worth that were made since an instant, and that no second person was asked about."""
    worth = func.coalesce(func.sum(voucher_batch.c.value_minor * voucher_batch.c.vouchers), 0)
    is_recent = (voucher_batch.c.currency == currency) & (voucher_batch.c.created_at > since_us)
    return int(conn.execute(select(worth).where(is_recent, ~exists().where(_asked_for))).scalar_one())


def redeem(conn: Connection, code: str, wallet: int, *, actor: str, new_id: Callable[[], int], now_us: int) -> Redeemed:
    """Bring a voucher's value into a wallet, exactly once; the same wallet's repeat answers the same and brings nothing.

    Raises VoucherError, in words that do not tell a wrong code from one that another used: the door counts them against guessing.
    """
    row = _voucher(conn, code)
    if row is None:
        raise VoucherError(WORTHLESS)
    if row.state == State.REDEEMED and row.wallet == wallet:
        return Redeemed(row.id, wallet, row.value_minor, row.currency, False)
    into = wallet_of(conn, wallet)
    if not _is_live(row, now_us):
        raise VoucherError(WORTHLESS)
    if into.currency != row.currency:
        raise VoucherError(f"this voucher is in {row.currency}, and the wallet in {into.currency}")
    is_live = (voucher.c.id == row.id) & (voucher.c.state == int(State.LIVE))
    transfer_id = new_id()
    ended = {"state": int(State.REDEEMED), "wallet": wallet, "transfer_id": transfer_id, "ended_at": now_us}
    if conn.execute(update(voucher).where(is_live).values(ended)).rowcount != 1:
        raise VoucherError(WORTHLESS)
    book.top_up(conn, wallet, row.value_minor, f"voucher:{row.id}", transfer_id, now_us)
    detail = {"amount_minor": row.value_minor, "currency": row.currency, "voucher": str(row.id)}
    audit.record(conn, Act(actor, "redeem voucher", f"account:{wallet}", detail), now_us=now_us)
    return Redeemed(row.id, wallet, row.value_minor, row.currency, True)


def redeem_for(conn: Connection, code: str, party: str, *, new_id: Callable[[], int], now_us: int) -> Redeemed:
    """Bring a voucher that a party holds into its own wallet of the voucher's currency, which is opened where it is missing.

    Raises VoucherError, in the same words for every code that brings this party nothing.
    """
    row = _voucher(conn, code)
    wallet = None if row is None else book.find_account(conn, party, row.currency)
    if row is None or (wallet is None and not _is_live(row, now_us)):
        raise VoucherError(WORTHLESS)
    if wallet is None:
        wallet = open_wallet(conn, party, row.currency, actor=party, new_id=new_id, now_us=now_us)[0].id
    return redeem(conn, code, wallet, actor=party, new_id=new_id, now_us=now_us)


def void(conn: Connection, batch: str, *, actor: str, now_us: int, code: str = "") -> int:
    """Make a batch's vouchers worthless, or one of them; how many were still live. What was redeemed stays redeemed."""
    batch_id = _known(conn, batch)
    is_live = (voucher.c.batch_id == batch_id) & (voucher.c.state == int(State.LIVE))
    if code:
        is_live &= voucher.c.code_hash == hash_of(code)
    voided = conn.execute(update(voucher).where(is_live).values(state=int(State.VOID), ended_at=now_us)).rowcount
    if code and not voided:
        raise VoucherError(f'this code is no live voucher of batch "{batch}"')
    audit.record(conn, Act(actor, "void vouchers", f"vouchers:{batch}", {"vouchers": voided}), now_us=now_us)
    return voided


def page(conn: Connection, *, after: int = 0, rows_max: int = 100) -> list[BatchState]:
    """Batches by number, with what became of their vouchers."""
    batches = select(voucher_batch).where(voucher_batch.c.id > after).order_by(voucher_batch.c.id).limit(rows_max)
    found = conn.execute(batches).mappings().all()
    query = select(voucher.c.batch_id, voucher.c.state, func.count()).where(voucher.c.batch_id.in_([row["id"] for row in found]))
    counts = {(row[0], row[1]): row[2] for row in conn.execute(query.group_by(voucher.c.batch_id, voucher.c.state))}
    states = (int(State.LIVE), int(State.REDEEMED), int(State.VOID))
    return [
        BatchState(row["id"], Batch(*(row[name] for name in Batch._fields)), *(int(counts.get((row["id"], state), 0)) for state in states))
        for row in found
    ]


def lines(codes: Iterable[str], batch: Batch) -> Iterator[str]:
    """What is written into the file of a batch: a code and its value a line."""
    yield "code,value,currency\r\n"
    for code in codes:
        yield f"{code},{money.format_minor(batch.value_minor, batch.currency)},{batch.currency}\r\n"


def code_of(octets: bytes) -> str:
    """Write random octets as a code of four groups, begun with a letter, so that no spreadsheet takes it for a number."""
    number = int.from_bytes(octets, "big")
    digits = "".join(_ALPHABET[number >> shift & 31] for shift in range(len(octets) * 8 - 5, -1, -5))
    return "V" + "-".join(digits[start : start + _GROUP] for start in range(0, len(digits), _GROUP))


def hash_of(code: str) -> str:
    """What is stored of a code; however it was typed: small letters, without dashes, O for 0."""
    return hashlib.sha256(code.strip().upper().translate(_READ_AS).encode()).hexdigest()


def _refuse_unusable(batch: Batch, now_us: int) -> None:
    names.checked(batch.name, "name", BATCH_CHARS_MAX)
    money.exponent(batch.currency)
    if not 0 < batch.value_minor <= VALUE_MINOR_MAX:
        raise VoucherError("value: must be above zero" if batch.value_minor <= 0 else "value: is more than any voucher has")
    if not 0 < batch.vouchers <= VOUCHERS_MAX:
        raise VoucherError(f"count: must be 1 to {VOUCHERS_MAX}")
    if batch.expires_at <= now_us:
        raise VoucherError("expiry: is over already")


def _voucher(conn: Connection, code: str) -> Any:
    """The voucher of a code with its batch's value; None where there is none, or none that may be redeemed."""
    columns = (voucher.c.id, voucher.c.state, voucher.c.wallet, voucher_batch.c.value_minor, voucher_batch.c.currency)
    query = select(*columns, voucher_batch.c.expires_at).join(voucher_batch, voucher_batch.c.id == voucher.c.batch_id)
    is_waiting = exists().where(and_(_asked_for, approval.c.state != int(approvals.State.APPROVED)))
    return conn.execute(query.where(voucher.c.code_hash == hash_of(code), not_(is_waiting))).one_or_none()


def _is_live(row: Any, now_us: int) -> bool:
    return bool(row.state == State.LIVE and row.expires_at > now_us)


def _id_of(conn: Connection, name: str) -> int | None:
    found = conn.execute(select(voucher_batch.c.id).where(voucher_batch.c.name == name)).scalar()
    return None if found is None else int(found)


def _known(conn: Connection, name: str) -> int:
    found = _id_of(conn, name)
    if found is None:
        raise VoucherError(f'there is no batch "{name}"; `bellhop billing voucher list` shows them')
    return found
