"""What must hold between messages, their segments, their charges and the outbox at every commit, beside the ledger's own invariants.

Read-only, and safe beside a running gateway when it sees one snapshot. It reads every message: minutes, on a store of many millions.
"""

from __future__ import annotations

from sqlalchemy import Connection

from billing import check as ledger
from billing import check_periods, check_subscriptions
from billing.carriers import Carriers
from billing.check import Invariant, Violation

# Per message: the least and greatest state of its segments, how many there are, and how many were delivered.
_FOLD = """SELECT id - id % 256 AS message_id, COUNT(*) AS parts, MIN(state) AS least, MAX(state) AS most,
    SUM(CASE WHEN state = 10 THEN 1 ELSE 0 END) AS delivered, SUM(CASE WHEN state = 11 THEN 1 ELSE 0 END) AS failed
    FROM segment GROUP BY id - id % 256"""
_CHARGED = f"FROM ({_FOLD}) AS m JOIN charge ON charge.id = m.message_id AND charge.direction = 0"

_CHARGES = (
    Invariant(
        "mt_charge_has_message",
        "every charge of an MT has its message, but for the fees of subscriptions",
        """SELECT charge.id FROM charge LEFT JOIN message ON message.id = charge.event_id
        WHERE charge.direction = 0 AND charge.subscription IS NULL AND message.id IS NULL""",
    ),
    Invariant(
        "mo_charge_has_mo",
        "every charge of an MO has its MO",
        "SELECT charge.id FROM charge LEFT JOIN mo ON mo.id = charge.event_id WHERE charge.direction = 1 AND mo.id IS NULL",
    ),
    Invariant(
        "live_is_held",
        "a message with a part still on its way is held",
        f"SELECT m.message_id {_CHARGED} WHERE m.least < 10 AND charge.state <> 0",
    ),
    Invariant(
        "undelivered_is_released",
        "a message of which nothing was delivered is released or expired",
        f"SELECT m.message_id {_CHARGED} WHERE m.least >= 10 AND m.delivered = 0 AND charge.state NOT IN (11, 12)",
    ),
    Invariant(
        "expired_never_failed",
        "a charge expires only when a part of its message did",
        f"SELECT m.message_id {_CHARGED} WHERE charge.state = 12 AND m.most <> 12",
    ),
    Invariant(
        "parts_charged_were_delivered",
        "charged by the part, as many parts are charged as were delivered",
        f"""SELECT m.message_id {_CHARGED}
        WHERE m.least >= 10 AND charge.fee_class = 2 AND COALESCE(charge.parts_charged, -1) <> m.delivered""",
    ),
    Invariant(
        "amount_is_parts_delivered",
        "charged by the part without counters, the amount is the price of the parts delivered",
        f"""SELECT m.message_id {_CHARGED}
        WHERE m.least >= 10 AND charge.fee_class = 2 AND charge.trace IS NULL
        AND charge.parts = m.parts AND charge.amount_minor <> charge.unit_price_minor * m.delivered""",
    ),
    Invariant(
        "whole_or_nothing",
        "charged by the message, the price is due when all of it was delivered, and nothing otherwise",
        f"""SELECT m.message_id {_CHARGED} WHERE m.least >= 10 AND charge.fee_class = 1 AND charge.trace IS NULL
        AND charge.state <> 14 AND charge.amount_minor <> CASE WHEN m.delivered = m.parts THEN charge.unit_price_minor ELSE 0 END""",
    ),
)

_MESSAGES = (
    Invariant(
        "message_has_its_parts",
        "a message has as many segments as it says",
        # By the key for each message: joined to the fold, SQLite would go through all of it for each.
        """SELECT message.id FROM message WHERE message.segments <>
        (SELECT COUNT(*) FROM segment WHERE segment.id BETWEEN message.id + 1 AND message.id + 255)""",
    ),
    Invariant(
        "segment_has_message",
        "every segment belongs to a message and is numbered within it",
        """SELECT segment.id FROM segment LEFT JOIN message ON message.id = segment.id - segment.id % 256
        WHERE message.id IS NULL OR segment.id % 256 NOT BETWEEN 1 AND message.segments""",
    ),
    Invariant(
        "segment_state_known",
        "a segment is in a state there is",
        "SELECT id FROM segment WHERE state NOT IN (0, 1, 2, 3, 10, 11, 12)",
    ),
    Invariant(
        "final_has_its_time",
        "a segment has ended if and only if it says when",
        "SELECT id FROM segment WHERE (state >= 10) <> (done_at IS NOT NULL)",
    ),
    Invariant(
        "submitted_has_its_id",
        "a submitted segment has the carrier's id and the time it came",
        "SELECT id FROM segment WHERE state = 2 AND (smsc_id IS NULL OR submitted_at IS NULL)",
    ),
    Invariant(
        "sent_was_claimed",
        "what is or was on its way was claimed first",
        "SELECT id FROM segment WHERE state IN (1, 2, 3) AND (claimed_at IS NULL OR attempts < 1)",
    ),
    Invariant(
        "attempt_has_segment",
        "every attempt belongs to a segment",
        "SELECT attempt.segment_id FROM attempt LEFT JOIN segment ON segment.id = attempt.segment_id WHERE segment.id IS NULL",
    ),
)

_OUTBOX = (
    Invariant(
        "told_of_a_message",
        "a receipt or a status in the outbox tells of a message",
        """SELECT outbox.id FROM outbox LEFT JOIN message ON message.id = outbox.message_id
        WHERE outbox.kind IN (1, 4) AND message.id IS NULL""",
    ),
    Invariant(
        "told_of_an_mo",
        "an MO or a chat message in the outbox is there",
        "SELECT outbox.id FROM outbox LEFT JOIN mo ON mo.id = outbox.message_id WHERE outbox.kind IN (2, 3) AND mo.id IS NULL",
    ),
    Invariant(
        "told_the_final_state",
        "a sender is told of an end that came",
        """SELECT outbox.id FROM outbox JOIN segment ON segment.id BETWEEN outbox.message_id + 1 AND outbox.message_id + 255
        WHERE outbox.kind IN (1, 4) AND segment.state < 10""",
    ),
    Invariant(
        "told_once",
        "a sender is told once",
        "SELECT MIN(id) FROM outbox WHERE kind IN (1, 4) GROUP BY target, message_id HAVING COUNT(*) > 1",
    ),
)

INVARIANTS = (*ledger.message_invariants(), *_CHARGES, *_MESSAGES, *_OUTBOX, *check_periods.INVARIANTS, *check_subscriptions.INVARIANTS)


def check(conn: Connection, carriers: Carriers | None = None) -> list[Violation]:
    """For reading: everything that breaks the ledger's invariants or these; an empty list is good news.

    Told the carriers, it looks too whether each charge stands in the right day of its carrier's.
    """
    found = ledger.check(conn, INVARIANTS)
    by_the_clock = None if carriers is None else check_periods.booked_by_the_clock(conn, carriers)
    return found if by_the_clock is None else [*found, by_the_clock]
