"""What must hold in the ledger at every commit, as SQL: each query returns the ids of what breaks it.

Read-only, and safe beside a running gateway when it sees one snapshot. A transfer has one debit and one credit of one amount, so the
books balance by construction; what can break is the agreement of charge, transfer, wallet and file.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from billing import check_ledger
from billing.check_exports import EXPORT_INVARIANTS
from billing.invariant import Invariant, Violation

__all__ = ["INVARIANTS", "SAMPLES", "Invariant", "Violation", "check", "message_invariants"]

SAMPLES = 5


def check(conn: Connection, extra: Sequence[Invariant] = ()) -> list[Violation]:
    """Try every invariant of the ledger, then those of the caller; an empty list is good news."""
    tried = (_try(conn, invariant) for invariant in (*INVARIANTS, *check_ledger.INVARIANTS, *extra))
    return [violation for violation in (*tried, check_ledger.audit_chain(conn)) if violation is not None]


def message_invariants(message: str = "message", segment: str = "segment") -> tuple[Invariant, ...]:
    """Charges against messages, for tables where a segment's id is its message's plus 1 to 255 and state 10 is delivered."""
    fold = (
        f"SELECT id - id % 256 AS message_id, MIN(state) AS least, MAX(state) AS most,"  # noqa: S608 - the caller's table names
        f" SUM(CASE WHEN state = 10 THEN 1 ELSE 0 END) AS delivered FROM {segment} GROUP BY id - id % 256"
    )
    joined = f"FROM ({fold}) AS m LEFT JOIN charge ON charge.id = m.message_id AND charge.direction = 0"
    return (
        Invariant(
            "message_charged_once",
            "every message has a charge",
            f"SELECT {message}.id FROM {message} LEFT JOIN charge ON charge.id = {message}.id WHERE charge.id IS NULL",  # noqa: S608 - as above
        ),
        Invariant(
            "delivered_is_captured",
            "a message delivered whole is captured, zero-rated or suspended",
            f"SELECT m.message_id {joined} WHERE m.least = 10 AND m.most = 10 AND COALESCE(charge.state, 0) NOT IN (10, 13, 14)",
        ),
        Invariant(
            "captured_was_delivered",
            "nothing is captured unless a part was delivered",
            f"SELECT m.message_id {joined} WHERE m.delivered = 0 AND charge.state IN (10, 13)",
        ),
        Invariant(
            "final_is_settled",
            "a message whose parts are all final holds nothing",
            f"SELECT m.message_id {joined} WHERE m.least >= 10 AND charge.state = 0",
        ),
    )


def _try(conn: Connection, invariant: Invariant) -> Violation | None:
    # The queries are literals of this module or of the caller's; no value of a row is in them.
    query = f"SELECT broken.* FROM ({invariant.sql}) AS broken ORDER BY 1"  # noqa: S608 - see above
    count, samples = 0, []
    for row in conn.execute(text(query)):
        count += 1
        if count <= SAMPLES:
            samples.append(str(row[0]))
    return Violation(invariant.name, f"{invariant.rule}; not so: {', '.join(samples)}", count) if count else None


INVARIANTS = (
    Invariant(
        "wallet_posted",
        "a wallet's balance is what came in less what was captured",
        """SELECT account.id FROM account
        LEFT JOIN (SELECT credit_account AS id, SUM(posted_minor) AS minor FROM transfer WHERE state = 10 GROUP BY credit_account) AS came
        ON came.id = account.id
        LEFT JOIN (SELECT debit_account AS id, SUM(posted_minor) AS minor FROM transfer WHERE state = 10 GROUP BY debit_account) AS went
        ON went.id = account.id
        WHERE account.is_wallet AND account.posted_minor <> COALESCE(came.minor, 0) - COALESCE(went.minor, 0)""",
    ),
    Invariant(
        "wallet_held",
        "a wallet holds what its pending transfers say",
        """SELECT account.id FROM account
        LEFT JOIN (SELECT debit_account AS id, SUM(amount_minor) AS minor FROM transfer WHERE state = 0 GROUP BY debit_account) AS pending
        ON pending.id = account.id
        WHERE account.is_wallet AND account.held_minor <> COALESCE(pending.minor, 0)""",
    ),
    Invariant(
        "wallet_not_negative",
        "a wallet never promises more than it has, and its credit",
        "SELECT id FROM account WHERE is_wallet AND (held_minor < 0 OR posted_minor + limit_minor < held_minor)",
    ),
    Invariant(
        "house_has_no_balance",
        "house accounts are sums over transfers",
        "SELECT id FROM account WHERE NOT is_wallet AND (posted_minor <> 0 OR held_minor <> 0)",
    ),
    Invariant(
        "transfer_accounts",
        "a transfer moves between two accounts of its own currency",
        """SELECT transfer.id FROM transfer
        LEFT JOIN account AS debit ON debit.id = transfer.debit_account
        LEFT JOIN account AS credit ON credit.id = transfer.credit_account
        WHERE debit.id IS NULL OR credit.id IS NULL OR debit.id = credit.id
        OR debit.currency <> transfer.currency OR credit.currency <> transfer.currency""",
    ),
    Invariant(
        "transfer_terminal",
        "only posted transfers move value, within their amount; only final ones have a date",
        """SELECT id FROM transfer WHERE state NOT IN (0, 10, 11, 12) OR posted_minor < 0 OR posted_minor > amount_minor
        OR (state <> 10 AND posted_minor <> 0) OR (state = 0 AND settled_at IS NOT NULL) OR (state <> 0 AND settled_at IS NULL)""",
    ),
    Invariant(
        "hold_has_its_charge",
        "a transfer without a cause is the hold of a charge",
        """SELECT transfer.id FROM transfer LEFT JOIN charge ON charge.id = transfer.id
        WHERE transfer.cause IS NULL AND charge.id IS NULL""",
    ),
    Invariant(
        "charge_agrees_with_hold",
        "a charge and its hold are in the same state, of the same wallet, currency and amount",
        """SELECT charge.id FROM charge JOIN transfer ON transfer.id = charge.id
        WHERE charge.record_type = 0 AND (transfer.debit_account <> COALESCE(charge.wallet, 0)
        OR transfer.currency <> charge.currency OR transfer.cause IS NOT NULL
        OR CASE charge.state WHEN 0 THEN transfer.state <> 0 OR transfer.amount_minor <> charge.amount_minor
        WHEN 10 THEN transfer.state <> 10 OR transfer.posted_minor <> charge.amount_minor
        WHEN 11 THEN transfer.state <> 11 OR charge.amount_minor <> 0
        WHEN 12 THEN transfer.state <> 12 OR charge.amount_minor <> 0
        ELSE TRUE END)""",
    ),
    Invariant(
        "charge_has_its_hold",
        "what a wallet pays for was held, unless an allowance or a cap left nothing to pay",
        """SELECT charge.id FROM charge LEFT JOIN transfer ON transfer.id = charge.id
        WHERE transfer.id IS NULL AND charge.wallet IS NOT NULL AND charge.unit_price_minor * charge.quantity > 0
        AND charge.record_type = 0 AND (charge.trace IS NULL OR charge.amount_minor > 0)""",
    ),
    Invariant(
        "charge_within_price",
        "a charge is at most its price times its quantity; zero-rated, released and expired ones are zero",
        """SELECT id FROM charge WHERE record_type = 0 AND (amount_minor < 0 OR amount_minor > unit_price_minor * quantity
        OR (state IN (11, 12, 13, 14) AND amount_minor <> 0))""",
    ),
    Invariant(
        "charge_terminal",
        "a settled charge has its booking, its place in the journal and in a carrier's books, a held one has none of them",
        """SELECT id FROM charge WHERE state NOT IN (0, 10, 11, 12, 13, 14)
        OR (state = 0 AND (booked_at IS NOT NULL OR journal_seq IS NOT NULL OR carrier IS NOT NULL OR period IS NOT NULL))
        OR (state <> 0 AND (booked_at IS NULL OR journal_seq IS NULL OR carrier IS NULL OR period IS NULL))""",
    ),
    Invariant(
        "charge_is_its_event",
        "one event has one charge, under its own id",
        "SELECT id FROM charge WHERE record_type = 0 AND id <> event_id",
    ),
    Invariant(
        "correction_has_its_charge",
        "a correction bears the facts of a charge that is settled, and moves what it says",
        """SELECT charge.id FROM charge LEFT JOIN charge AS original ON original.id = charge.corrects AND original.record_type = 0
        LEFT JOIN transfer ON transfer.id = charge.id
        WHERE charge.record_type <> 0 AND (original.id IS NULL OR original.state = 0 OR original.event_id <> charge.event_id
        OR original.currency <> charge.currency OR COALESCE(original.wallet, 0) <> COALESCE(charge.wallet, 0)
        OR (charge.record_type NOT IN (3, 4)
        AND (transfer.id IS NULL OR transfer.state <> 10 OR transfer.posted_minor <> ABS(charge.amount_minor))))""",
    ),
    Invariant(
        "rerating_moves_its_difference",
        "a reversal and the price in its place move what they differ by",
        """SELECT priced.corrects FROM
        (SELECT corrects, SUM(amount_minor) AS minor FROM charge WHERE record_type IN (3, 4) GROUP BY corrects) AS priced
        LEFT JOIN (SELECT charge.corrects AS corrects,
        SUM(CASE WHEN debit.party LIKE 'house:revenue:%' THEN -transfer.posted_minor ELSE transfer.posted_minor END) AS minor
        FROM charge JOIN transfer ON transfer.id = charge.id JOIN account AS debit ON debit.id = transfer.debit_account
        WHERE charge.record_type IN (3, 4) GROUP BY charge.corrects) AS moved ON moved.corrects = priced.corrects
        WHERE priced.minor <> COALESCE(moved.minor, 0)""",
    ),
    Invariant(
        "journal_in_order",
        "no two charges share a place in the journal",
        "SELECT MIN(id) FROM charge WHERE journal_seq IS NOT NULL GROUP BY journal_seq HAVING COUNT(*) > 1",
    ),
    *EXPORT_INVARIANTS,
)
