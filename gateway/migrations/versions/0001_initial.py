"""The first schema.

What stands here is history: a later change of a table is a version of its own, and these lines stay as they are.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# SQLite keeps a table in the order of its INTEGER PRIMARY KEY; spelt BIGINT the key would be a second index.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table and index."""
    _ledger()
    _charges()
    _exports()
    _partners()
    _messages()
    _segments()
    _from_phones()
    _handovers()
    _conversations()
    _messenger()
    _writer()


def _where(condition: str) -> dict[str, Any]:
    """A partial index in the words of both engines."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _ledger() -> None:
    """The ledger: who has money, and how it moves."""
    op.create_table(
        "account",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("party", sa.String(64), nullable=False, unique=True, comment="partner:NAME, im:NUMBER or house:NAME"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("is_wallet", sa.Boolean(), nullable=False, comment="only wallets keep a running balance"),
        sa.Column(
            "posted_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="what came in less what was captured"
        ),
        sa.Column("held_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("held_minor >= 0", name="account_held_not_negative"),
        sa.CheckConstraint("NOT is_wallet OR posted_minor - held_minor >= 0", name="account_wallet_not_negative"),
    )
    op.create_table(
        "transfer",
        sa.Column("id", _ID, primary_key=True, autoincrement=False, comment="a hold: the id of the event it pays for"),
        sa.Column("cause", sa.String(96), comment="what made it, where the id does not say: topup:REFERENCE"),
        sa.Column("debit_account", sa.BigInteger(), nullable=False),
        sa.Column("credit_account", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("posted_minor", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment="at most amount_minor"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 pending, 10 posted, 11 voided, 12 expired"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger()),
        sa.CheckConstraint("amount_minor > 0", name="transfer_amount_positive"),
        sa.CheckConstraint("posted_minor >= 0 AND posted_minor <= amount_minor", name="transfer_posted_within_amount"),
    )
    op.create_index("transfer_cause", "transfer", ["cause"], unique=True, **_where("cause IS NOT NULL"))


def _charges() -> None:
    """What is charged, and which file told the carrier."""
    op.create_table(
        "charge",
        sa.Column("id", _ID, primary_key=True, autoincrement=False, comment="kind CHARGE: equal to event_id"),
        sa.Column("event_id", sa.BigInteger(), nullable=False, comment="the message"),
        sa.Column("record_type", sa.SmallInteger(), nullable=False, comment="0 CHARGE"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 held, 10 captured, 11 released, 12 expired, 13 zero_rated"),
        sa.Column("direction", sa.SmallInteger(), nullable=False, comment="0 MT, 1 MO, 2 DL"),
        sa.Column("event_at", sa.BigInteger(), nullable=False),
        sa.Column("booked_at", sa.BigInteger()),
        sa.Column("journal_seq", sa.BigInteger(), comment="order of settlement"),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("fee_class", sa.SmallInteger(), nullable=False, comment="0 FREE, 1 PER_MSG, 2 PER_PART"),
        sa.Column("payer", sa.SmallInteger(), nullable=False, comment="0 DEST, 1 SOURCE, 2 SP, 3 OTHER"),
        sa.Column("wallet", sa.BigInteger(), comment="the account that pays; none for a free event"),
        sa.Column("link", sa.String(32)),
        sa.Column("short_code", sa.String(21)),
        sa.Column("charged_msisdn", sa.String(21)),
        sa.Column("peer_msisdn", sa.String(21)),
        sa.Column("im_account", sa.BigInteger()),
        sa.Column("parts", sa.SmallInteger(), nullable=False),
        sa.Column("parts_charged", sa.SmallInteger()),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False, comment="held: the most it can become; settled: what it is"),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("tariff_version", sa.String(32), nullable=False),
        sa.Column("tariff_rule", sa.String(64), nullable=False),
        sa.Column("delivery_status", sa.String(16)),
        sa.Column("delivery_time", sa.BigInteger()),
        sa.Column("network_error", sa.String(16)),
        sa.Column("smsc_message_ids", sa.Text()),
        sa.Column("late", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.create_index("charge_journal", "charge", ["journal_seq"], **_where("journal_seq IS NOT NULL"))


def _exports() -> None:
    """Export runs and what is in them."""
    op.create_table(
        "export_run",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("file_seq", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("to_us", sa.BigInteger(), nullable=False),
        sa.Column("upto_seq", sa.BigInteger(), nullable=False, comment="last journal_seq the run could see"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="-1 gathering, 0 closed, 1 written"),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.String(160), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("previous_sha256", sa.String(64)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.BigInteger()),
    )
    op.create_index("export_run_number", "export_run", ["profile", "carrier", "file_seq", "revision"], unique=True)
    op.create_table(
        "export_member",
        sa.Column("charge_id", _ID, primary_key=True, autoincrement=False, comment="one charge is in one original file"),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("record_seq", sa.Integer(), nullable=False),
    )
    op.create_index("export_member_run", "export_member", ["run_id", "record_seq"], unique=True)


def _partners() -> None:
    """Partners, and their answers kept for a repeated request."""
    op.create_table(
        "partner",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(32), nullable=False, unique=True, comment="also its SMPP system_id"),
        sa.Column("smpp_password_hash", sa.String(160), comment="argon2id; none: may not bind"),
        sa.Column("api_key_hash", sa.String(64), unique=True, comment="SHA-256 of a 256-bit random key"),
        sa.Column("wallet", sa.BigInteger(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner_id", "key"),
    )


def _messages() -> None:
    """Messages to handsets."""
    op.create_table(
        "message",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("front", sa.SmallInteger(), nullable=False, comment="0 smpp, 1 http, 2 im, 3 gateway itself"),
        sa.Column("partner_id", sa.BigInteger()),
        sa.Column("im_account", sa.BigInteger()),
        sa.Column("im_message_id", sa.BigInteger(), comment="the chat message it carries"),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("source", sa.String(21), nullable=False),
        sa.Column("source_ton", sa.SmallInteger(), nullable=False),
        sa.Column("source_npi", sa.SmallInteger(), nullable=False),
        sa.Column("destination", sa.String(21), nullable=False),
        sa.Column("destination_ton", sa.SmallInteger(), nullable=False),
        sa.Column("destination_npi", sa.SmallInteger(), nullable=False),
        sa.Column("encoding", sa.SmallInteger(), nullable=False, comment="0 gsm7, 1 ucs2, 2 as the partner gave it"),
        sa.Column("data_coding", sa.SmallInteger(), nullable=False),
        sa.Column("esm_class", sa.SmallInteger(), nullable=False),
        sa.Column("protocol_id", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("registered_delivery", sa.SmallInteger(), nullable=False, comment="what the sender asked for"),
        sa.Column("segments", sa.SmallInteger(), nullable=False),
        sa.Column("reference", sa.String(64), comment="the sender's own"),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("message_im", "message", ["im_message_id"], **_where("im_message_id IS NOT NULL"))


def _segments() -> None:
    """Their segments and attempts."""
    op.create_table(
        "segment",
        sa.Column("id", _ID, primary_key=True, autoincrement=False, comment="message id + number"),
        sa.Column(
            "state",
            sa.SmallInteger(),
            nullable=False,
            comment="0 accepted, 1 submitting, 2 submitted, 3 unknown, 10 delivered, 11 failed, 12 expired",
        ),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="short_message as it goes out, UDH included"),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("is_possible_duplicate", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("smsc_id", sa.String(65)),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("retry_at", sa.BigInteger()),
        sa.Column("claimed_at", sa.BigInteger()),
        sa.Column("submitted_at", sa.BigInteger()),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("status", sa.Integer(), comment="last SMPP command_status"),
        sa.Column("error", sa.String(32), comment="network error of the receipt, or why it ended"),
    )
    op.create_index("segment_in_flight", "segment", ["state", "smsc_id", "link", "expires_at"], **_where("state IN (1, 2, 3)"))
    op.create_index("segment_queue", "segment", ["link", "id", "expires_at"], **_where("state = 0"))
    op.create_table(
        "attempt",
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("claimed_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False, comment="retry or unknown; the last attempt stands on the segment"),
        sa.Column("status", sa.Integer()),
        sa.PrimaryKeyConstraint("segment_id", "number"),
        comment="only attempts that did not settle their segment",
    )


def _from_phones() -> None:
    """Messages from handsets and their parts."""
    op.create_table(
        "mo_part",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(21), nullable=False),
        sa.Column("destination", sa.String(21), nullable=False),
        sa.Column("reference", sa.Integer(), nullable=False),
        sa.Column("is_wide", sa.Boolean(), nullable=False),
        sa.Column("total", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("data_coding", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("mo_id", sa.BigInteger(), comment="the message it was joined into; the row stays a while, to know a repeat"),
    )
    op.create_index("mo_part_age", "mo_part", ["received_at"])
    op.create_index("mo_part_key", "mo_part", ["source", "destination", "reference", "is_wide", "total", "number"], unique=True)
    op.create_table(
        "mo",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("source", sa.String(21), nullable=False),
        sa.Column("source_ton", sa.SmallInteger(), nullable=False),
        sa.Column("source_npi", sa.SmallInteger(), nullable=False),
        sa.Column("destination", sa.String(21), nullable=False),
        sa.Column("destination_ton", sa.SmallInteger(), nullable=False),
        sa.Column("destination_npi", sa.SmallInteger(), nullable=False),
        sa.Column("data_coding", sa.SmallInteger(), nullable=False),
        sa.Column("esm_class", sa.SmallInteger(), nullable=False),
        sa.Column("parts", sa.SmallInteger(), nullable=False),
        sa.Column("parts_missing", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("text", sa.Text(), comment="none: not text"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the bodies of all parts, without UDH"),
        sa.Column("outcome", sa.String(24), nullable=False, comment="im, partner, keyword, or why nobody got it"),
        sa.Column("partner_id", sa.BigInteger()),
        sa.Column("im_account", sa.BigInteger()),
        sa.Column("fingerprint", sa.BigInteger(), nullable=False, comment="of link, addresses and body, to see a repeated deliver_sm"),
        sa.Column("session_id", sa.BigInteger(), nullable=False, comment="the connection it came by: only another one repeats it"),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("mo_fingerprint", "mo", ["fingerprint", "received_at"])


def _handovers() -> None:
    """What waits to be handed over, and receipts that wait for their message."""
    op.create_table(
        "outbox",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("target", sa.String(40), nullable=False, comment="partner:NAME's deliver_sm, or connector:NAME"),
        sa.Column("kind", sa.SmallInteger(), nullable=False, comment="1 receipt, 2 MO, 3 chat message, 4 chat status"),
        sa.Column("message_id", sa.BigInteger(), nullable=False, comment="the message or MO it tells of"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="message state a receipt reports"),
        sa.Column("done_at", sa.BigInteger()),
        sa.Column("attempts", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("outcome", sa.SmallInteger(), comment="0 taken; else the command_status that refused it"),
    )
    op.create_index("outbox_message", "outbox", ["message_id"])
    op.create_index("outbox_waiting", "outbox", ["target", "id"], **_where("done_at IS NULL"))
    op.create_table(
        "parked_receipt",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("link", sa.String(32), nullable=False),
        sa.Column("smsc_id", sa.String(65), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="SMPP message_state"),
        sa.Column("error", sa.String(16)),
        sa.Column("done_at", sa.BigInteger(), comment="when it found its message"),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("parked_receipt_key", "parked_receipt", ["smsc_id"], **_where("done_at IS NULL"))


def _conversations() -> None:
    """Who wants nothing any more, and which slot leads back to whom."""
    op.create_table(
        "opt_out",
        sa.Column("msisdn", sa.String(21), nullable=False),
        sa.Column("short_code", sa.String(21), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("msisdn", "short_code"),
    )
    op.create_table(
        "slot",
        sa.Column("msisdn", sa.String(21), nullable=False),
        sa.Column("short_code", sa.String(21), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("im_account", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("msisdn", "short_code", "slot"),
    )
    op.create_index("slot_peer", "slot", ["msisdn", "short_code", "im_account"], unique=True)


def _messenger() -> None:
    """The embedded messenger."""
    op.create_table(
        "im_account",
        sa.Column("id", _ID, primary_key=True, autoincrement=False, comment="the account number"),
        sa.Column("nick", sa.String(64), nullable=False),
        sa.Column("password_hash", sa.String(160), nullable=False),
        sa.Column("wallet", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "im_friend",
        sa.Column("account", sa.BigInteger(), nullable=False),
        sa.Column("peer", sa.String(21), nullable=False, comment="an account number, or a phone as +MSISDN"),
        sa.Column("alias", sa.String(64)),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="0 asked, 1 friend, 2 blocked"),
        sa.Column("short_code", sa.String(21), comment="a phone: the code its chat goes over"),
        sa.PrimaryKeyConstraint("account", "peer"),
    )
    op.create_table(
        "im_message",
        sa.Column("id", _ID, primary_key=True, autoincrement=False),
        sa.Column("account", sa.BigInteger(), nullable=False, comment="whose history it is in"),
        sa.Column("peer", sa.String(21), nullable=False),
        sa.Column("is_outgoing", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="as a message's; an incoming one is delivered"),
        sa.Column("reason", sa.String(64)),
        sa.Column("origin_id", sa.BigInteger(), comment="the MO or the sender's own chat message it came from; makes delivery repeatable"),
        sa.Column("client_id", sa.String(64), comment="the sender's id for it; the same twice is one message"),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("im_message_client", "im_message", ["account", "client_id"], unique=True, **_where("client_id IS NOT NULL"))
    op.create_index("im_message_history", "im_message", ["account", "id"])
    op.create_index("im_message_origin", "im_message", ["account", "origin_id"], unique=True, **_where("origin_id IS NOT NULL"))


def _writer() -> None:
    """What the writer last committed."""
    op.create_table(
        "writer_mark",
        sa.Column("node", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column(
            "batch", sa.BigInteger(), nullable=False, comment="last committed batch: tells after a failed commit whether it happened"
        ),
    )
