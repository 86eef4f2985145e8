"""The ledger in SQL: hold, settle, record, and the accounts they move.

Every function runs inside the caller's write transaction and commits nothing. A charge and its hold share the event's id, so the
primary keys forbid a second one. House accounts keep no running balance: they are sums over transfers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select, update

from billing import booking, bulk, ledger
from billing.booking import Booking
from billing.errors import AlreadySettledError, LedgerBrokenError, ReferenceReusedError, SettlementMismatchError, UnknownAccountError
from billing.event import BillableEvent, ChargeState, Record, Settlement, TransferState
from billing.schema import account, charge, transfer

_RECORD_TYPE = 0
_HELD = int(ChargeState.HELD)
_ZERO_RATED = int(ChargeState.ZERO_RATED)
_TRANSFER_STATES = {state: int(transfer_state) for state, transfer_state in ledger.TRANSFER_STATES.items()}
_PENDING = int(TransferState.PENDING)

# Accounts asked for in one SELECT; shorter lists are padded, so that the engine sees few distinct texts.
_ACCOUNT_SIZES = (1, 8, 32, 128)
_REFERENCE_CHARS_MAX = 90
NO_REVENUES: Mapping[str, int] = MappingProxyType({})

_EVENT_COLUMNS = ("id", "event_id", "record_type", "state", *BillableEvent._fields[1:])
_INSERT_CHARGE = bulk.insert_into(charge, *_EVENT_COLUMNS)
_INSERT_SETTLED = bulk.insert_into(
    charge,
    *_EVENT_COLUMNS,
    *("booked_at", "journal_seq", "parts_charged", "delivery_status", "delivery_time", "network_error", "smsc_message_ids"),
    *("carrier", "period", "late"),
)
_INSERT_TRANSFER = bulk.insert_into(transfer, "id", "debit_account", "credit_account", "amount_minor", "currency", "state", "created_at")
_HOLD_WALLET = bulk.update_of(
    account,
    "id",
    operands=("held_minor",),
    sets="held_minor = account.held_minor + v.column2",
    guard="account.posted_minor - account.held_minor + account.limit_minor >= v.column2",
)
# The guard is what makes a settlement happen once; it also holds the caller to what the row says was held, and from whom.
_SETTLE_CHARGE = bulk.update_of(
    charge,
    *("id", "state", "amount_minor", "booked_at", "journal_seq", "parts_charged"),
    *("delivery_status", "delivery_time", "network_error", "smsc_message_ids", "carrier", "period", "late"),
    operands=("link", "amount_minor", "wallet"),
    # The tax of what is captured: its share of that of the hold, half up.
    sets=(
        "link = COALESCE(v.column14, charge.link), tax_minor = CASE WHEN v.column3 = 0 OR charge.tax_minor = 0 THEN 0"
        " ELSE (2 * charge.tax_minor * v.column3 + charge.amount_minor) / (2 * charge.amount_minor) END"
    ),
    guard=(
        "charge.state = 0 AND charge.amount_minor >= v.column3 AND charge.amount_minor = v.column15"
        " AND COALESCE(charge.wallet, 0) = COALESCE(v.column16, 0)"
    ),
)
_SETTLE_TRANSFER = bulk.update_of(
    transfer, "id", "state", "posted_minor", "settled_at", guard="transfer.state = 0 AND transfer.amount_minor >= v.column3"
)
_SETTLE_WALLET = bulk.update_of(
    account,
    "id",
    operands=("posted_minor", "held_minor"),
    sets="posted_minor = account.posted_minor - v.column2, held_minor = account.held_minor - v.column3",
)

# What few charges have: what their rule adds to the columns that every event has.
FACTS = ("tax_minor", "provider", "promotion", "allowance", "trace", "mo_link_id")
_ADD_FACTS = bulk.update_of(charge, "id", *FACTS)

_HELD_COLUMNS = ("amount_minor", "unit_price_minor", "wallet", "currency", "event_at")
_HELD_CHARGE = select(*(charge.c[name] for name in _HELD_COLUMNS)).where(charge.c.state == _HELD)


def hold_many(
    conn: Connection, events: Sequence[BillableEvent], *, revenue: int, now_us: int, revenues: Mapping[str, int] = NO_REVENUES
) -> list[bool]:
    """Write the charges of accepted events and take their price from what the wallets have free, first come first served.

    `revenue` is the account that is paid, `revenues` are those of other currencies.

    False: that wallet (missing, of another currency, or short of credit) can't pay, and nothing is written for the event; a cheaper
    event after it may still fit. An event that was held before raises the engine's IntegrityError: ids are made once.
    """
    asked = {event.wallet for event in events if event.amount_minor and event.wallet is not None}
    free = _free_credit(conn, asked) if asked else {}
    charges: list[bulk.Row] = []
    transfers: list[bulk.Row] = []
    taken: dict[int, int] = {}
    fits: list[bool] = []
    for event in events:
        amount, wallet = event.amount_minor, event.wallet
        assert amount >= 0
        if amount and wallet is not None:
            credit = free.get(wallet)
            if credit is None or credit[1] != event.currency or credit[0] - taken.get(wallet, 0) < amount:
                fits.append(False)
                continue
            taken[wallet] = taken.get(wallet, 0) + amount
            transfers.append((event.id, wallet, revenues.get(event.currency, revenue), amount, event.currency, _PENDING, now_us))
        charges.append(_charge_row(event, _HELD))
        fits.append(True)
    bulk.execute(conn, _INSERT_CHARGE, charges)
    if transfers:
        bulk.execute(conn, _INSERT_TRANSFER, transfers)
        if bulk.execute(conn, _HOLD_WALLET, list(taken.items())) != len(taken):
            raise LedgerBrokenError("a wallet lost credit between reading and holding")
    return fits


def add_facts(conn: Connection, rows: Sequence[bulk.Row]) -> None:
    """Write what few charges have beside their event: rows of (charge, *FACTS)."""
    if rows:
        bulk.execute(conn, _ADD_FACTS, rows)


def amend(conn: Connection, charge_id: int, *, parts: int, quantity: int, amount_minor: int | None = None) -> int | None:
    """Give a charge still held another quantity at the price it was made with, or another amount; the amount it holds now.

    None: its wallet has not the difference free, and nothing was changed. Raises AlreadySettledError for a charge no longer held.
    """
    assert quantity > 0
    known = conn.execute(_HELD_CHARGE.where(charge.c.id == charge_id)).one_or_none()
    if known is None:
        raise AlreadySettledError(charge_id, "settled")
    amount = known.unit_price_minor * quantity if amount_minor is None else amount_minor
    grown = amount - known.amount_minor
    if grown and known.wallet is not None:
        if bulk.execute(conn, _HOLD_WALLET, [(known.wallet, grown)]) != 1:
            return None
        _amend_hold(conn, charge_id, known, amount)
    conn.execute(update(charge).where(charge.c.id == charge_id).values(parts=parts, quantity=quantity, amount_minor=amount))
    return int(amount)


def _amend_hold(conn: Connection, charge_id: int, known: Any, amount: int) -> None:
    """The hold follows its charge; what costs nothing has none."""
    is_held = (transfer.c.id == charge_id) & (transfer.c.state == _PENDING)
    if not known.amount_minor:
        revenue = find_account(conn, f"house:revenue:{known.currency}", known.currency)
        if revenue is None:
            raise UnknownAccountError(f"no house account takes {known.currency}")
        bulk.execute(conn, _INSERT_TRANSFER, [(charge_id, known.wallet, revenue, amount, known.currency, _PENDING, known.event_at)])
        return
    change = update(transfer).where(is_held).values(amount_minor=amount) if amount else delete(transfer).where(is_held)
    if conn.execute(change).rowcount != 1:
        raise LedgerBrokenError("a charge was held and its transfer was not")


def settle_many(
    conn: Connection,
    settlements: Sequence[Settlement],
    *,
    now_us: int,
    into: Booking = booking.DEFAULT,
    standing: booking.Standing | None = None,
) -> list[bool]:
    """Bring held charges to their final state, each exactly once, and into the books of their carriers.

    `standing` is how the books stand, where the caller has read it in this transaction.

    False: the charge was settled before (or does not exist), and nothing moved. A settlement that names another wallet or hold than
    its charge raises SettlementMismatchError: the transaction must not commit.
    """
    if not settlements:
        return []
    _lock_wallets(conn, {settlement.wallet for settlement in settlements if settlement.wallet is not None})
    places = into.place_many(conn, [(settlement.link, settlement.event_at or now_us) for settlement in settlements], now_us, standing)
    rows = [_settled_row(settlement, now_us, place) for settlement, place in zip(settlements, places, strict=True)]
    if bulk.all_or_none(conn, _SETTLE_CHARGE, rows):
        took = [True] * len(rows)
    else:
        took = _settle_one_by_one(conn, settlements, rows)
    _move(conn, [settlement for settlement, effective in zip(settlements, took, strict=True) if effective], now_us)
    return took


def record_many(conn: Connection, records: Sequence[Record], *, now_us: int, into: Booking = booking.DEFAULT) -> None:
    """Write the charges of events that are free and final at once (an MO), zero-rated, in one insert."""
    rows = []
    places = into.place_many(conn, [(event.link, event.event_at) for event, _ in records], now_us)
    for (event, settlement), place in zip(records, places, strict=True):
        assert event.id == settlement.id
        assert event.amount_minor == settlement.amount_minor == settlement.held_minor == 0
        rows.append((*_charge_row(event, _ZERO_RATED), now_us, settlement.journal_seq, settlement.parts_charged, *settlement[7:11], *place))
    bulk.execute(conn, _INSERT_SETTLED, rows)


def _charge_row(event: BillableEvent, state: int) -> bulk.Row:
    # Plain integers: a driver adapts an IntEnum anew for every parameter.
    id_, direction, event_at, service, fee_class, payer, *rest = event
    return (id_, id_, _RECORD_TYPE, state, int(direction), event_at, service, int(fee_class), int(payer), *rest)


def _settled_row(settlement: Settlement, now_us: int, place: booking.Place) -> bulk.Row:
    id_, state, wallet, held, amount, parts, seq, status, time, error, smsc_ids, link, _ = settlement
    ledger.refuse_overcapture(held, amount)
    assert amount == 0 or state is ChargeState.CAPTURED
    final = int(ledger.final_state(state, held))
    return (id_, final, amount, now_us, seq, parts, status, time, error, smsc_ids, *place, link, held, wallet)


def _settle_one_by_one(conn: Connection, settlements: Sequence[Settlement], rows: Sequence[bulk.Row]) -> list[bool]:
    took = [bulk.execute(conn, _SETTLE_CHARGE, [row]) == 1 for row in rows]
    for settlement, effective in zip(settlements, took, strict=True):
        if not effective:
            _refuse_mismatch(conn, settlement)
    return took


def _refuse_mismatch(conn: Connection, settlement: Settlement) -> None:
    """A charge that is still held after its settlement was refused was refused for its content."""
    held = conn.execute(select(charge.c.id).where(charge.c.id == settlement.id, charge.c.state == _HELD)).first()
    if held:
        raise SettlementMismatchError(f"charge {settlement.id} holds another amount or wallet than its settlement says")


def _move(conn: Connection, settlements: Iterable[Settlement], now_us: int) -> None:
    """Settle the holds and the wallets of charges that were just settled."""
    transfers: list[bulk.Row] = []
    moved: dict[int, tuple[int, int]] = {}
    for settlement in settlements:
        wallet, held, amount = settlement.wallet, settlement.held_minor, settlement.amount_minor
        if held and wallet is not None:
            transfers.append((settlement.id, _TRANSFER_STATES[settlement.state], amount, now_us))
            posted_before, held_before = moved.get(wallet, (0, 0))
            moved[wallet] = (posted_before + amount, held_before + held)
    if not transfers:
        return
    if bulk.execute(conn, _SETTLE_TRANSFER, transfers) != len(transfers):
        raise LedgerBrokenError("a charge was held and its transfer was not")
    if bulk.execute(conn, _SETTLE_WALLET, [(wallet, *minors) for wallet, minors in moved.items()]) != len(moved):
        raise LedgerBrokenError("a wallet that paid is gone")


def _free_credit(conn: Connection, wallets: set[int]) -> dict[int, tuple[int, str]]:
    """What each wallet has free, and in which currency; locked where the engine has row locks."""
    found = _accounts(conn, sorted(wallets), "id, posted_minor - held_minor + limit_minor, currency")
    return {id_: (free, currency) for id_, free, currency in found}


def _lock_wallets(conn: Connection, wallets: set[int]) -> None:
    """Take row locks in one order, so that two writers cannot wait for each other; SQLite has one writer anyway."""
    if wallets and conn.dialect.name == "postgresql":
        _accounts(conn, sorted(wallets), "id")


def _accounts(conn: Connection, ids: Sequence[int], columns: str) -> list[Any]:
    postgresql = conn.dialect.name == "postgresql"
    found: list[Any] = []
    for start in range(0, len(ids), _ACCOUNT_SIZES[-1]):
        part = ids[start : start + _ACCOUNT_SIZES[-1]]
        size = next(size for size in _ACCOUNT_SIZES if size >= len(part))
        padded = (*part, *([part[-1]] * (size - len(part))))
        found += bulk.read(conn, _accounts_text(columns, size, postgresql), padded)
    return found


@lru_cache(maxsize=32)
def _accounts_text(columns: str, size: int, postgresql: bool) -> str:
    marks = ", ".join(["%s" if postgresql else "?"] * size)
    lock = " FOR UPDATE" if postgresql else ""
    # No value is in this text: columns are literals of this module, marks are placeholders.
    return f"SELECT {columns} FROM account WHERE is_wallet AND id IN ({marks}) ORDER BY id{lock}"  # noqa: S608 - see above


class Balance(NamedTuple):
    """What a wallet has: came in less captured, promised to holds, and what is left to spend."""

    posted: int
    held: int
    available: int


class House(NamedTuple):
    """Our own accounts in one currency: where captures go, where top-ups come from, and who bears what is given back or lost."""

    revenue: int
    funding: int
    receivable: int  # what carriers collect for us
    goodwill: int
    bad_debt: int


class TopUp(NamedTuple):
    """The transfer that carried a top-up; not new when the reference was used before, with the same content."""

    transfer_id: int
    is_new: bool


def open_account(conn: Connection, account_id: int, party: str, currency: str, is_wallet: bool, now_us: int) -> int:
    """Open an account for a party, or find the one it has; the account's id."""
    row = {"id": account_id, "party": party, "currency": currency, "is_wallet": is_wallet, "created_at": now_us}
    known = _account_of(conn, party, currency)
    if known is None:
        conn.execute(account.insert(), row)
        return account_id
    if bool(known.is_wallet) != is_wallet:
        raise ReferenceReusedError(f"account of {party.partition(':')[0]} exists and is of another kind")
    return int(known.id)


def ensure_house(conn: Connection, currency: str, *, new_id: Callable[[], int], now_us: int) -> House:
    """Open the house's accounts in a currency where they are missing."""
    accounts = []
    for name in House._fields:
        party = f"house:{name}:{currency}"
        known = find_account(conn, party, currency)
        accounts.append(open_account(conn, new_id(), party, currency, False, now_us) if known is None else known)
    return House(*accounts)


def find_account(conn: Connection, party: str, currency: str = "") -> int | None:
    """The account of a party in a currency, if it has one; without a currency, the one it opened first."""
    known = _account_of(conn, party, currency)
    return None if known is None else int(known.id)


def revenue_of(conn: Connection, currency: str) -> int:
    """Our account that captures in a currency go to; raises UnknownAccountError where none is open."""
    known = find_account(conn, f"house:revenue:{currency}")
    if known is None:
        raise UnknownAccountError(f"no house account takes revenue in {currency}")
    return known


def top_up(conn: Connection, wallet: int, amount_minor: int, reference: str, transfer_id: int, now_us: int) -> TopUp:
    """Bring money into a wallet, once per reference; a repeat answers with the first transfer and writes nothing."""
    assert amount_minor > 0
    if not 0 < len(reference) <= _REFERENCE_CHARS_MAX:
        raise ReferenceReusedError(f"a reference has 1 to {_REFERENCE_CHARS_MAX} characters")
    currency = _wallet_row(conn, wallet).currency
    funding = find_account(conn, f"house:funding:{currency}")
    if funding is None:
        raise UnknownAccountError(f"no house account funds {currency}")
    row = {
        "id": transfer_id,
        "cause": f"topup:{reference}",
        "debit_account": funding,
        "credit_account": wallet,
        "amount_minor": amount_minor,
        "posted_minor": amount_minor,
        "currency": currency,
        "state": int(TransferState.POSTED),
        "created_at": now_us,
        "settled_at": now_us,
    }
    known = conn.execute(select(transfer).where(transfer.c.cause == row["cause"])).first()
    if known is not None:
        if (known.credit_account, known.amount_minor) != (wallet, amount_minor):
            raise ReferenceReusedError("the same reference topped up another wallet or amount")
        return TopUp(int(known.id), False)
    # Two writers with one reference (PostgreSQL): the second meets the unique index on the cause and its transaction fails.
    conn.execute(transfer.insert(), row)
    conn.execute(account.update().where(account.c.id == wallet).values(posted_minor=account.c.posted_minor + amount_minor))
    return TopUp(transfer_id, True)


def balance(conn: Connection, wallet: int) -> Balance:
    """What a wallet has now."""
    row = _wallet_row(conn, wallet)
    return Balance(row.posted_minor, row.held_minor, row.posted_minor - row.held_minor)


def _account_of(conn: Connection, party: str, currency: str) -> Any:
    query = select(account).where(account.c.party == party)
    if currency:
        query = query.where(account.c.currency == currency)
    return conn.execute(query.order_by(account.c.created_at, account.c.id)).first()


def _wallet_row(conn: Connection, wallet: int) -> Any:
    row = conn.execute(select(account).where(account.c.id == wallet, account.c.is_wallet)).first()
    if row is None:
        raise UnknownAccountError(f"account {wallet} is no wallet")
    return row
