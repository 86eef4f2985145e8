"""What a receipt does that says delivered after its message had ended: nothing, or a charge where its carrier's policy says so.

The hold is gone and never comes back. The charge is a new debit with the part as its cause, so it happens once however many receipts
come; a wallet that cannot pay it stays as it is, and the part is in the leak report.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from billing import book, corrections, tariffs
from billing.booking import Booking
from billing.corrections import Correction
from billing.errors import BillingError
from billing.event import RecordType
from billing.schema import charge
from billing.tariff import rate
from gateway.domain.ids import message_of, segment_number
from gateway.domain.message import State
from gateway.domain.verdict import of_message_state
from gateway.store import leaks, receipts

REASON = "late"


def charge_late(conn: Connection, segment_id: int, books: Booking, *, seq: int, now_us: int) -> bool:
    """Charge a part that was delivered late, if its carrier's policy says so; whether it is charged now.

    The charge's id is `seq` with the part's number in its low bits: a settlement, and other parts, may have the same `seq`.
    """
    columns = (
        charge.c.id,
        charge.c.carrier,
        charge.c.currency,
        charge.c.fee_class,
        charge.c.unit_price_minor,
        charge.c.parts,
        charge.c.state,
        charge.c.trace,
        charge.c.tariff_version,
        charge.c.tariff_rule,
    )
    row = conn.execute(select(*columns).where(charge.c.id == message_of(segment_id))).one_or_none()
    if row is None or row.carrier is None:
        return False
    carrier = books.carriers.named(row.carrier)
    price = leaks.late_price(row.state, row.fee_class, row.unit_price_minor, row.parts, is_counted=row.trace is not None)
    if carrier is None or not carrier.charges_late or not price:
        return False
    revenue = book.find_account(conn, f"house:revenue:{row.currency}")
    if revenue is None:
        return False
    id_ = seq | segment_number(segment_id)
    try:
        rule = tariffs.rule_of(conn, row.tariff_version, row.tariff_rule)
        # The charge itself has none any more: what was not captured contains no tax.
        tax = 0 if rule is None else rate.tax_in(price, rule.tax_ppm)
        wanted = Correction(id_, row.id, RecordType.ADJUST, price, leaks.late_cause(segment_id), REASON, revenue, tax)
        return corrections.post(conn, wanted, into=books, now_us=now_us).is_new
    except BillingError:
        return False  # the wallet cannot pay it: absorbed, as the leak report shows


def charge_parts_late(conn: Connection, message_id: int, parts: int, books: Booking, *, seq: int, now_us: int) -> int:
    """Charge the parts of a long message that were delivered late before its other parts had ended: its charge was still held then.

    How many are charged now.
    """
    if not any(carrier.charges_late for carrier in books.carriers):
        return 0
    charged = 0
    told = (receipts.LATE, receipts.CONTRADICTS)
    for row in receipts.of_message(conn, message_id, parts):
        if row.outcome in told and row.segment_id is not None and of_message_state(row.state) is State.DELIVERED:
            charged += charge_late(conn, row.segment_id, books, seq=seq, now_us=now_us)
    return charged
