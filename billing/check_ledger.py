"""What must hold of people's acts: corrections within their capture, two people above a limit, vouchers once, and a whole audit log."""

from __future__ import annotations

from sqlalchemy import Connection

from billing import audit, schema_ledger  # noqa: F401 - the tables these queries read are on the metadata
from billing.invariant import Invariant, Violation

INVARIANTS = (
    Invariant(
        "refunds_within_capture",
        "what was given back of a charge is at most what was captured; goodwill is beside it",
        """SELECT original.id FROM charge AS original JOIN charge AS made ON made.corrects = original.id
        WHERE original.record_type = 0 AND made.record_type NOT IN (0, 6)
        GROUP BY original.id, original.amount_minor HAVING original.amount_minor + SUM(made.amount_minor) < 0""",
    ),
    Invariant(
        "approved_by_another",
        "who decides a request is not who made it, and every decided one says who",
        """SELECT id FROM approval WHERE LOWER(COALESCE(decided_by, '')) = LOWER(requested_by)
        OR (state IN (10, 11) AND (decided_by IS NULL OR decided_at IS NULL)) OR (state = 0 AND decided_by IS NOT NULL)
        OR state NOT IN (0, 10, 11, 12)""",
    ),
    Invariant(
        "approved_was_done",
        "a correction whose request was not approved is not booked",
        """SELECT approval.id FROM approval JOIN transfer ON transfer.cause = approval.cause WHERE approval.state <> 10""",
    ),
    Invariant(
        "voucher_is_one_transfer",
        "a voucher is redeemed by one transfer of its value into its wallet, and by nothing before",
        """SELECT voucher.id FROM voucher JOIN voucher_batch ON voucher_batch.id = voucher.batch_id
        LEFT JOIN transfer ON transfer.id = voucher.transfer_id
        WHERE (voucher.state = 10) <> (transfer.id IS NOT NULL) OR voucher.state NOT IN (0, 10, 11)
        OR (voucher.state = 10 AND (transfer.state <> 10 OR transfer.credit_account <> voucher.wallet
        OR transfer.posted_minor <> voucher_batch.value_minor OR transfer.currency <> voucher_batch.currency))""",
    ),
    Invariant(
        "voucher_was_agreed_to",
        "no voucher is redeemed of a batch that a second person was asked about and did not approve",
        """SELECT voucher.id FROM voucher JOIN approval ON approval.cause = 'vouchers:' || CAST(voucher.batch_id AS VARCHAR(20))
        WHERE voucher.state = 10 AND approval.state <> 10""",
    ),
    Invariant(
        "voucher_has_its_batch",
        "a batch has as many vouchers as were made",
        """SELECT voucher_batch.id FROM voucher_batch
        LEFT JOIN (SELECT batch_id, COUNT(*) AS made FROM voucher GROUP BY batch_id) AS counted ON counted.batch_id = voucher_batch.id
        WHERE voucher_batch.vouchers <> COALESCE(counted.made, 0)""",
    ),
    Invariant(
        "charge_in_its_wallets_currency",
        "a charge is in the currency of the wallet that pays it",
        "SELECT charge.id FROM charge JOIN account ON account.id = charge.wallet WHERE charge.currency <> account.currency",
    ),
)


def audit_chain(conn: Connection) -> Violation | None:
    """The audit log followed from its first row to its last; hashes are no business of SQL."""
    broken = audit.broken_at(conn)
    return None if broken is None else Violation("audit_chain", f"each act follows from the one before it; not so: {broken}", 1)
