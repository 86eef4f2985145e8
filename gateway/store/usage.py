"""How many messages partners with a daily limit have had accepted: counted in the transaction that accepts them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select, text

from gateway.store.schema import partner_usage

_ADD = text(
    "INSERT INTO partner_usage (partner_id, day, messages) VALUES (:partner_id, :day, :messages)"
    " ON CONFLICT (partner_id, day) DO UPDATE SET messages = partner_usage.messages + excluded.messages"
)


def add(conn: Connection, counts: Mapping[tuple[int, int], int]) -> None:
    """Count messages by (partner, day)."""
    for (partner_id, day), messages in counts.items():
        conn.execute(_ADD, {"partner_id": partner_id, "day": day, "messages": messages})


def of_day(conn: Connection, day: int) -> dict[int, int]:
    """For reading: what was counted on a day, by partner."""
    rows = conn.execute(select(partner_usage.c.partner_id, partner_usage.c.messages).where(partner_usage.c.day == day))
    return {row[0]: row[1] for row in rows}
