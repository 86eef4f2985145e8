"""Whose turn it is on a link: the key of a fair queue."""

from __future__ import annotations

URGENT = 1
# SMPP 3.4 section 5.2.14, GSM column: 0 is bulk, 1 normal; what is above may pass the others.
URGENT_PRIORITY = 2


def queue_of(partner_id: int | None, priority: int) -> int:
    """The queue of a message: one per partner (ids have their low 8 bits zero), our own share queue 0; an odd one is urgent."""
    return (partner_id or 0) | (URGENT if priority >= URGENT_PRIORITY else 0)


def is_urgent(queue: int) -> bool:
    """Whether a queue goes before the others."""
    return bool(queue & URGENT)
