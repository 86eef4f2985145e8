"""The ledger's tables: accounts, transfers, charges, the carriers' books and the audit log.

A charge of kind CHARGE has the id of the event it charges, and the hold that pays for it has that same id: so the primary keys are
what makes a second charge, or a second hold, for one cause impossible, and the hot path carries no further unique index.
Money is integer minor units beside an ISO code; times are UTC microseconds.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, MetaData, SmallInteger, String, Table, Text, text

metadata = MetaData()

# A reason of our own is longer than a carrier's error; SQLite holds no column to its length, so there the type stays as it was made.
_Error = String(32).with_variant(String(16), "sqlite")

# SQLite keeps a table in the order of its INTEGER PRIMARY KEY; spelt BIGINT the key would be a second index, written for each row.
Id = BigInteger().with_variant(Integer(), "sqlite")

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("party", String(64), nullable=False, comment="partner:NAME, im:NUMBER, sponsor:NAME or house:NAME"),
    Column("currency", String(8), nullable=False),
    Column("is_wallet", Boolean, nullable=False, comment="only wallets keep a running balance"),
    Column("posted_minor", BigInteger, nullable=False, server_default=text("0"), comment="what came in less what was captured"),
    Column("held_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", BigInteger, nullable=False),
    Column("limit_minor", BigInteger, nullable=False, server_default=text("0"), comment="credit: how far below zero a wallet may go"),
    CheckConstraint("held_minor >= 0", name="account_held_not_negative"),
    CheckConstraint("limit_minor >= 0", name="account_limit_not_negative"),
    CheckConstraint("NOT is_wallet OR posted_minor - held_minor + limit_minor >= 0", name="account_wallet_within_limit"),
)
Index("account_party", account.c.party, account.c.currency, unique=True)

transfer = Table(
    "transfer",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False, comment="a hold: the id of the event it pays for"),
    Column("cause", String(96), comment="what made it, where the id does not say: topup:REFERENCE, refund:REFERENCE"),
    Column("debit_account", BigInteger, nullable=False),
    Column("credit_account", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("posted_minor", BigInteger, nullable=False, server_default=text("0"), comment="at most amount_minor"),
    Column("currency", String(8), nullable=False),
    Column("state", SmallInteger, nullable=False, comment="0 pending, 10 posted, 11 voided, 12 expired"),
    Column("created_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    CheckConstraint("amount_minor > 0", name="transfer_amount_positive"),
    CheckConstraint("posted_minor >= 0 AND posted_minor <= amount_minor", name="transfer_posted_within_amount"),
)
Index(
    "transfer_cause",
    transfer.c.cause,
    unique=True,
    sqlite_where=transfer.c.cause.is_not(None),
    postgresql_where=transfer.c.cause.is_not(None),
)

charge = Table(
    "charge",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False, comment="of a CHARGE equal to event_id"),
    Column("event_id", BigInteger, nullable=False, comment="the message"),
    Column("record_type", SmallInteger, nullable=False, comment="billing.event.RecordType"),
    Column("state", SmallInteger, nullable=False, comment="0 held, 10 captured, 11 released, 12 expired, 13 zero_rated, 14 suspended"),
    Column("direction", SmallInteger, nullable=False, comment="0 MT, 1 MO, 2 DL"),
    Column("event_at", BigInteger, nullable=False),
    Column("booked_at", BigInteger),
    Column("journal_seq", BigInteger, comment="order of settlement"),
    Column("service", String(32), nullable=False),
    Column("fee_class", SmallInteger, nullable=False, comment="billing.event.FeeClass"),
    Column("payer", SmallInteger, nullable=False, comment="0 DEST, 1 SOURCE, 2 SP, 3 OTHER"),
    Column("wallet", BigInteger, comment="the account that pays; none for a free event"),
    Column("link", String(32)),
    Column("short_code", String(21)),
    Column("charged_msisdn", String(21)),
    Column("peer_msisdn", String(21)),
    Column("im_account", BigInteger),
    Column("parts", SmallInteger, nullable=False),
    Column("parts_charged", SmallInteger),
    Column("quantity", Integer, nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False, comment="held: the most it can become; settled: what it is; corrections are signed"),
    Column("currency", String(8), nullable=False),
    Column("tariff_version", String(32), nullable=False),
    Column("tariff_rule", String(64), nullable=False),
    Column("delivery_status", String(16)),
    Column("delivery_time", BigInteger),
    Column("network_error", _Error),
    Column("smsc_message_ids", Text),
    Column("late", Boolean, nullable=False, server_default=text("false"), comment="booked after the day of its event was closed"),
    Column("carrier", String(32), comment="whose books it is in, once settled"),
    Column("period", Integer, comment="the day of those books as YYYYMMDD, once settled"),
    Column("item", String(64)),
    Column("provider", String(32)),
    Column("mo_link_id", String(32), comment="the MO that asked for it"),
    Column("tax_minor", BigInteger, nullable=False, server_default=text("0"), comment="contained in amount_minor"),
    Column("allowance", String(64)),
    Column("promotion", String(64)),
    Column("subscription", BigInteger),
    Column("cycle", Integer, comment="of the subscription: the month or day it pays for"),
    Column("corrects", BigInteger, comment="the charge this record corrects"),
    Column("reason", String(64), comment="why a person, or a policy, made this record"),
    Column("trace", Text, comment="how its price came about, as JSON, where counters had a part in it; else the tariff tells"),
)
# In the order of the files, so that a month is read without sorting it.
Index(
    "charge_books",
    charge.c.carrier,
    charge.c.journal_seq,
    charge.c.period,
    sqlite_where=charge.c.journal_seq.is_not(None),
    postgresql_where=charge.c.journal_seq.is_not(None),
)
Index(
    "charge_msisdn",
    charge.c.charged_msisdn,
    charge.c.id,
    sqlite_where=charge.c.charged_msisdn.is_not(None),
    postgresql_where=charge.c.charged_msisdn.is_not(None),
)
Index(
    "charge_corrects",
    charge.c.corrects,
    sqlite_where=charge.c.corrects.is_not(None),
    postgresql_where=charge.c.corrects.is_not(None),
)

carrier_books = Table(
    "carrier_books",
    metadata,
    Column("carrier", String(32), primary_key=True),
    Column("closed_until", Integer, nullable=False, comment="the first day that still takes rows; 0: all do"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("act", String(32), nullable=False),
    Column("subject", String(96), nullable=False),
    Column("detail", Text, nullable=False, comment="JSON"),
    Column("previous", String(64), nullable=False, comment="hash of the row before"),
    Column("hash", String(64), nullable=False),
)
Index("audit_log_subject", audit_log.c.subject, audit_log.c.seq)
