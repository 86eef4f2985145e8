"""Message and segment ids: time-ordered 63-bit integers whose low 8 bits number a message's segments.

An id is (µs since 2020) << 13 | node << 8 | segment: 50 bits of time last until 2055, 5 bits tell 32 nodes apart.
"""

from __future__ import annotations

from typing import NewType

MessageId = NewType("MessageId", int)
SegmentId = NewType("SegmentId", int)

EPOCH_US = 1_577_836_800_000_000  # 2020-01-01T00:00:00Z
NODE_MAX = 31
SEGMENT_MAX = 255
ID_MAX = 2**63 - 1

_STAMP_SHIFT = 13
_NODE_SHIFT = 8


class IdMaker:
    """Makes ids that never repeat and never go down, even when the clock does.

    `floor` is the greatest id this node is known to have made before, so that a clock set back over a restart can't repeat one.
    """

    __slots__ = ("_node_bits", "_stamp")

    def __init__(self, node: int = 0, floor: int = 0) -> None:
        if not 0 <= node <= NODE_MAX:
            raise ValueError(f"node must be 0 to {NODE_MAX}, not {node}")
        self._node_bits = node << _NODE_SHIFT
        self._stamp = 0
        self.raise_floor(floor)

    def raise_floor(self, floor: int) -> None:
        """Make every further id greater than `floor`."""
        if not 0 <= floor <= ID_MAX:
            raise ValueError(f"an id is a 63-bit integer, not {floor}")
        self._stamp = max(self._stamp, floor >> _STAMP_SHIFT)

    def next_id(self, now_us: int) -> MessageId:
        """An id of the time `now_us`, or of the next free microsecond after it."""
        stamp = now_us - EPOCH_US
        if stamp <= self._stamp:
            stamp = self._stamp + 1
        made = stamp << _STAMP_SHIFT | self._node_bits
        assert made <= ID_MAX, "63 bits of id are used up"
        self._stamp = stamp
        return MessageId(made)


def segment_of(message_id: int, number: int) -> SegmentId:
    """The id of a message's segment, counted from 1."""
    assert message_id & SEGMENT_MAX == 0, "not a message id"
    if not 1 <= number <= SEGMENT_MAX:
        raise ValueError(f"a message has segments 1 to {SEGMENT_MAX}, not {number}")
    return SegmentId(message_id | number)


def message_of(segment_id: int) -> MessageId:
    """The message that a segment belongs to; a message id gives itself."""
    return MessageId(segment_id & ~SEGMENT_MAX)


def segment_number(segment_id: int) -> int:
    """Which segment of its message this is, counted from 1; 0 for a message id."""
    return segment_id & SEGMENT_MAX


def id_floor(at_us: int) -> int:
    """The least id that can have been made at a UTC time in microseconds or later."""
    return max(0, at_us - EPOCH_US) << _STAMP_SHIFT


def made_at_us(any_id: int) -> int:
    """The UTC time in microseconds that is written in an id."""
    return (any_id >> _STAMP_SHIFT) + EPOCH_US
