"""The gateway's tables, beside the ledger's on one `metadata`.

A message is written once and never updated: state lives on its segments, and money on its charge. Indexes cover live rows only,
so the cost of a message does not grow with the number of finished ones. Times are UTC microseconds; a segment's id is its
message's id plus its number.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from billing import schema_exports, schema_ledger, schema_periods, schema_reconciliation, schema_subscription, schema_tariff
from billing.schema import Id, metadata

# All tables stand on the ledger's metadata: whoever has this module has them.
BILLING = (schema_exports, schema_ledger, schema_periods, schema_reconciliation, schema_subscription, schema_tariff)

# A command_status has 32 bits without a sign; SQLite keeps it in a column of any integer type.
Status = BigInteger().with_variant(Integer(), "sqlite")
ShortStatus = BigInteger().with_variant(SmallInteger(), "sqlite")

partner = Table(
    "partner",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("name", String(32), nullable=False, unique=True, comment="also its SMPP system_id"),
    Column("smpp_password_hash", String(160), comment="argon2id; none: may not bind"),
    Column("api_key_hash", String(64), unique=True, comment="SHA-256 of a 256-bit random key"),
    Column("wallet", BigInteger, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("policy", Text, nullable=False, server_default=text("'{}'"), comment="what it may do, as JSON: domain.policy"),
)

staff = Table(
    "staff",
    metadata,
    Column("name", String(64), primary_key=True, comment="acts are logged under it"),
    Column("key_hash", String(64), nullable=False, unique=True, comment="SHA-256 of a 256-bit random key"),
    Column("scopes", String(64), nullable=False, comment="read, act, approve; joined by commas"),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

partner_usage = Table(
    "partner_usage",
    metadata,
    Column("partner_id", BigInteger, nullable=False),
    Column("day", Integer, nullable=False, comment="days since 1970, UTC"),
    Column("messages", Integer, nullable=False),
    PrimaryKeyConstraint("partner_id", "day"),
    comment="only of partners with a daily limit",
)

message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("front", SmallInteger, nullable=False, comment="0 smpp, 1 http, 2 im, 3 gateway itself"),
    Column("partner_id", BigInteger),
    Column("im_account", BigInteger),
    Column("im_message_id", BigInteger, comment="the chat message it carries"),
    Column("service", String(32), nullable=False),
    Column("source", String(21), nullable=False),
    Column("source_ton", SmallInteger, nullable=False),
    Column("source_npi", SmallInteger, nullable=False),
    Column("destination", String(21), nullable=False),
    Column("destination_ton", SmallInteger, nullable=False),
    Column("destination_npi", SmallInteger, nullable=False),
    Column("encoding", SmallInteger, nullable=False, comment="0 gsm7, 1 ucs2, 2 as the partner gave it"),
    Column("data_coding", SmallInteger, nullable=False),
    Column("esm_class", SmallInteger, nullable=False),
    Column("protocol_id", SmallInteger, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("registered_delivery", SmallInteger, nullable=False, comment="what the sender asked for"),
    Column("segments", SmallInteger, nullable=False),
    Column("reference", String(64), comment="the sender's own"),
    Column("accepted_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

Index(
    "message_im",
    message.c.im_message_id,
    sqlite_where=message.c.im_message_id.is_not(None),
    postgresql_where=message.c.im_message_id.is_not(None),
)

message_option = Table(
    "message_option",
    metadata,
    Column("message_id", Id, primary_key=True, autoincrement=False),
    Column("schedule_at", BigInteger, comment="not sent before"),
    Column("user_reference", Integer, comment="user_message_reference of the submission, given back in receipts"),
    Column("tlvs", LargeBinary, comment="parameters to pass on, as they stand in a PDU"),
    Column("data_coding", SmallInteger, comment="as the sender gave it, where its parts have another"),
    comment="only of messages that have any of these",
)

segment = Table(
    "segment",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False, comment="message id + number"),
    Column(
        "state",
        SmallInteger,
        nullable=False,
        comment="0 accepted, 1 submitting, 2 submitted, 3 unknown, 10 delivered, 11 failed, 12 expired",
    ),
    Column("link", String(32), nullable=False),
    Column("body", LargeBinary, nullable=False, comment="short_message as it goes out, UDH included"),
    Column("attempts", SmallInteger, nullable=False),
    Column("is_possible_duplicate", Boolean, nullable=False, server_default=text("false")),
    Column("smsc_id", String(65)),
    Column("expires_at", BigInteger, nullable=False),
    Column("retry_at", BigInteger),
    Column("claimed_at", BigInteger),
    Column("submitted_at", BigInteger),
    Column("done_at", BigInteger),
    Column("status", Status, comment="last SMPP command_status"),
    Column("error", String(32), comment="network error of the receipt, or why it ended"),
    Column("queue", BigInteger, nullable=False, server_default=text("0"), comment="whose turn it takes: partner id, 0 our own; +1 urgent"),
    Column("target", BigInteger, comment="hash of service, source and destination, while it can still be replaced"),
    Column("message_state", SmallInteger, comment="SMPP message_state that ended it, where the carrier or the sender said one"),
)
# A segment that waits for its time is in no queue: so a million scheduled ones cost the queues nothing.
_IS_IN_QUEUE = text("state = 0 AND retry_at IS NULL")
Index(
    "segment_queue",
    segment.c.link,
    segment.c.queue,
    segment.c.id,
    segment.c.expires_at,
    sqlite_where=_IS_IN_QUEUE,
    postgresql_where=_IS_IN_QUEUE,
)
_IS_DUE = text("state = 0 AND retry_at IS NOT NULL")
Index("segment_due", segment.c.retry_at, sqlite_where=_IS_DUE, postgresql_where=_IS_DUE)
_IS_REPLACEABLE = text("state = 0 AND target IS NOT NULL")
Index("segment_target", segment.c.queue, segment.c.target, sqlite_where=_IS_REPLACEABLE, postgresql_where=_IS_REPLACEABLE)
Index(
    "segment_in_flight",
    segment.c.state,
    segment.c.smsc_id,
    segment.c.link,
    segment.c.expires_at,
    sqlite_where=text("state IN (1, 2, 3)"),
    postgresql_where=text("state IN (1, 2, 3)"),
)
# For receipts that come after all: few segments end without being delivered.
_IS_UNDELIVERED = text("state IN (11, 12) AND smsc_id IS NOT NULL")
Index("segment_undelivered", segment.c.smsc_id, sqlite_where=_IS_UNDELIVERED, postgresql_where=_IS_UNDELIVERED)

attempt = Table(
    "attempt",
    metadata,
    Column("segment_id", BigInteger, nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("link", String(32), nullable=False),
    Column("claimed_at", BigInteger),
    Column("ended_at", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False, comment="retry or unknown; the last attempt stands on the segment"),
    Column("status", Status),
    PrimaryKeyConstraint("segment_id", "number"),
    comment="only attempts that did not settle their segment",
)

mo_part = Table(
    "mo_part",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("source", String(21), nullable=False),
    Column("destination", String(21), nullable=False),
    Column("reference", Integer, nullable=False),
    Column("is_wide", Boolean, nullable=False),
    Column("total", SmallInteger, nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("link", String(32), nullable=False),
    Column("data_coding", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("mo_id", BigInteger, comment="the message it was joined into; the row stays a while, to know a repeat"),
    Column("shift", Integer, nullable=False, server_default=text("0"), comment="national tables its header named: locking * 256 + single"),
    Column("tlvs", LargeBinary, comment="parameters to pass on, as they stand in a PDU"),
)
Index(
    "mo_part_key",
    mo_part.c.source,
    mo_part.c.destination,
    mo_part.c.reference,
    mo_part.c.is_wide,
    mo_part.c.total,
    mo_part.c.number,
    unique=True,
)
Index("mo_part_age", mo_part.c.received_at)

mo = Table(
    "mo",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("link", String(32), nullable=False),
    Column("source", String(21), nullable=False),
    Column("source_ton", SmallInteger, nullable=False),
    Column("source_npi", SmallInteger, nullable=False),
    Column("destination", String(21), nullable=False),
    Column("destination_ton", SmallInteger, nullable=False),
    Column("destination_npi", SmallInteger, nullable=False),
    Column("data_coding", SmallInteger, nullable=False),
    Column("esm_class", SmallInteger, nullable=False),
    Column("parts", SmallInteger, nullable=False),
    Column("parts_missing", SmallInteger, nullable=False, server_default=text("0")),
    Column("text", Text, comment="none: not text"),
    Column("body", LargeBinary, nullable=False, comment="the bodies of all parts, without UDH"),
    Column("outcome", String(24), nullable=False, comment="im, partner, keyword, or why nobody got it"),
    Column("partner_id", BigInteger),
    Column("im_account", BigInteger),
    Column("fingerprint", BigInteger, nullable=False, comment="of link, addresses and body, to see a repeated deliver_sm"),
    Column("session_id", BigInteger, nullable=False, comment="the connection it came by: only another one repeats it"),
    Column("received_at", BigInteger, nullable=False),
    Column("protocol_id", SmallInteger, nullable=False, server_default=text("0")),
    Column("tlvs", LargeBinary, comment="parameters to pass on, as they stand in a PDU"),
)
Index("mo_fingerprint", mo.c.fingerprint, mo.c.received_at)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("target", String(40), nullable=False, comment="partner:NAME's deliver_sm, or connector:NAME"),
    Column("kind", SmallInteger, nullable=False, comment="1 receipt, 2 MO, 3 chat message, 4 chat status"),
    Column("message_id", BigInteger, nullable=False, comment="the message or MO it tells of"),
    Column("state", SmallInteger, nullable=False, comment="message state a receipt reports"),
    Column("done_at", BigInteger),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("outcome", ShortStatus, comment="0 taken; else the command_status that refused it"),
)
Index("outbox_message", outbox.c.message_id)
Index("outbox_waiting", outbox.c.target, outbox.c.id, sqlite_where=outbox.c.done_at.is_(None), postgresql_where=outbox.c.done_at.is_(None))

parked_receipt = Table(
    "parked_receipt",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("link", String(32), nullable=False),
    Column("smsc_id", String(65), nullable=False),
    Column("state", SmallInteger, nullable=False, comment="SMPP message_state"),
    Column("error", String(16)),
    Column("done_at", BigInteger, comment="when it found its message, or was dismissed"),
    Column("received_at", BigInteger, nullable=False),
    Column("source", String(21), comment="the handset"),
    Column("destination", String(21), comment="our sender address"),
    Column("stat", String(16), comment="as the receipt's text spelt it"),
    Column("excerpt", String(40), comment="beginning of the message's text, where the receipt quotes it"),
    Column("outcome", String(16), comment="adopted, replayed, repeat, late, contradicts or dismissed"),
    Column("segment_id", BigInteger, comment="the segment it was found to mean"),
)
Index(
    "parked_receipt_key",
    parked_receipt.c.smsc_id,
    sqlite_where=parked_receipt.c.done_at.is_(None),
    postgresql_where=parked_receipt.c.done_at.is_(None),
)
Index(
    "parked_receipt_segment",
    parked_receipt.c.segment_id,
    sqlite_where=parked_receipt.c.segment_id.is_not(None),
    postgresql_where=parked_receipt.c.segment_id.is_not(None),
)

link_form = Table(
    "link_form",
    metadata,
    Column("link", String(32), primary_key=True),
    Column("form", String(32), nullable=False, comment="how its receipts write the ids of its responses"),
    Column("confirmed", Integer, nullable=False, comment="receipts that agreed since it was learnt"),
    Column("changed_at", BigInteger, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("partner_id", BigInteger, nullable=False),
    Column("key", String(128), nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("partner_id", "key"),
)

opt_out = Table(
    "opt_out",
    metadata,
    Column("msisdn", String(21), nullable=False),
    Column("short_code", String(21), nullable=False),
    Column("since", BigInteger, nullable=False),
    PrimaryKeyConstraint("msisdn", "short_code"),
)

slot = Table(
    "slot",
    metadata,
    Column("msisdn", String(21), nullable=False),
    Column("short_code", String(21), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("im_account", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("msisdn", "short_code", "slot"),
)
Index("slot_peer", slot.c.msisdn, slot.c.short_code, slot.c.im_account, unique=True)

im_account = Table(
    "im_account",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False, comment="the account number"),
    Column("nick", String(64), nullable=False),
    Column("password_hash", String(160), nullable=False),
    Column("wallet", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

im_friend = Table(
    "im_friend",
    metadata,
    Column("account", BigInteger, nullable=False),
    Column("peer", String(21), nullable=False, comment="an account number, or a phone as +MSISDN"),
    Column("alias", String(64)),
    Column("state", SmallInteger, nullable=False, comment="0 asked, 1 friend, 2 blocked"),
    Column("short_code", String(21), comment="a phone: the code its chat goes over"),
    PrimaryKeyConstraint("account", "peer"),
)

im_message = Table(
    "im_message",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("account", BigInteger, nullable=False, comment="whose history it is in"),
    Column("peer", String(21), nullable=False),
    Column("is_outgoing", Boolean, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="as a message's; an incoming one is delivered"),
    Column("reason", String(64)),
    Column("origin_id", BigInteger, comment="the MO or the sender's own chat message it came from; makes delivery repeatable"),
    Column("client_id", String(64), comment="the sender's id for it; the same twice is one message"),
    Column("at", BigInteger, nullable=False),
)
Index("im_message_history", im_message.c.account, im_message.c.id)
Index(
    "im_message_origin",
    im_message.c.account,
    im_message.c.origin_id,
    unique=True,
    sqlite_where=im_message.c.origin_id.is_not(None),
    postgresql_where=im_message.c.origin_id.is_not(None),
)
Index(
    "im_message_client",
    im_message.c.account,
    im_message.c.client_id,
    unique=True,
    sqlite_where=im_message.c.client_id.is_not(None),
    postgresql_where=im_message.c.client_id.is_not(None),
)

writer_mark = Table(
    "writer_mark",
    metadata,
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("batch", BigInteger, nullable=False, comment="last committed batch: tells after a failed commit whether it happened"),
)
