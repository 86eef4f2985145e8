"""Messages that their sender asks about, takes back or rewrites: finding them, and writing what a waiting one becomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, text, update

from gateway.domain.ids import EPOCH_US, id_floor
from gateway.domain.message import MESSAGE_MASK, SEGMENTS_MAX, Message, State
from gateway.store import options
from gateway.store.options import Option
from gateway.store.schema import attempt, message, message_option, segment

# An eight-digit id repeats after 71 minutes; so far back it is looked for.
STAMP_BITS = 32
STAMP_TURNS_MAX = 62
# The messages of one submit_multi have ids made in one go, right after that of their group.
_GROUP_SPAN_US = 2_000_000


class Part(NamedTuple):
    """One segment as it stands; the fields are the row's."""

    id: int
    link: str
    state: int
    attempts: int
    is_possible_duplicate: bool
    retry_at: int | None
    done_at: int | None
    error: str | None
    message_state: int | None


class Standing(NamedTuple):
    """A message and where its segments are."""

    message: Message
    parts: list[Part]

    @property
    def is_waiting(self) -> bool:
        """Whether nothing of it can have left: every part queued, and none of them sent before without an answer."""
        return all(part.state == State.ACCEPTED and not part.is_possible_duplicate for part in self.parts)


_MESSAGE = select(*(message.c[name] for name in Message._fields))
_PARTS = select(*(segment.c[name] for name in Part._fields)).order_by(segment.c.id)


def find(conn: Connection, message_id: int) -> Standing | None:
    """A message as it stands, None when there is no such one."""
    row = conn.execute(_MESSAGE.where(message.c.id == message_id)).one_or_none()
    if row is None:
        return None
    parts = conn.execute(_PARTS.where(segment.c.id.between(message_id + 1, message_id + SEGMENTS_MAX)))
    return Standing(Message(*row), [Part(*part) for part in parts])


def find_all(conn: Connection, partner_id: int, asked: str, now_us: int) -> list[Standing]:
    """The messages of a partner that an id names: one, all of a submit_multi, or none; another partner's is not found."""
    if len(asked) == 8:
        ids = _by_stamp(conn, partner_id, asked, now_us)
    else:
        typed = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 19 else 0
        ids = [typed] if 0 < typed < 2**63 else []
        if ids and conn.execute(select(message.c.id).where(message.c.id == typed)).first() is None:
            ids = _members(conn, typed)
    found = [standing for message_id in ids if (standing := find(conn, message_id)) is not None]
    return [standing for standing in found if standing.message.partner_id == partner_id]


def _by_stamp(conn: Connection, partner_id: int, asked: str, now_us: int) -> list[int]:
    """The newest message whose id was written as these eight hexadecimal digits, as peers before SMPP 3.4 read it."""
    try:
        low = int(asked, 16)
    except ValueError:
        return []
    turn = 1 << STAMP_BITS
    made_at = (now_us >> STAMP_BITS << STAMP_BITS) | low
    for earlier in range(STAMP_TURNS_MAX):
        at = made_at - earlier * turn
        if EPOCH_US <= at <= now_us:
            within = message.c.id.between(id_floor(at), id_floor(at + 1) - 1)
            row = conn.execute(select(message.c.id).where(within, message.c.partner_id == partner_id)).first()
            if row is not None:
                return [row[0]]
    return []


def _members(conn: Connection, group_id: int) -> list[int]:
    within = message.c.id.between(group_id, group_id + (_GROUP_SPAN_US << 13))
    query = select(message.c.id).where(within, message.c.reference == str(group_id)).order_by(message.c.id)
    return [row[0] for row in conn.execute(query)]


_IS_SOUGHT = text("segment.state = 0 AND segment.target IS NOT NULL")


def queued_to(conn: Connection, queues: Collection[int], targets: Collection[int], before: int, limit: int) -> list[int]:
    """The messages that wait in these queues under these hashes and have an id below `before`, newest first."""
    message_id = segment.c.id.op("&")(MESSAGE_MASK).label("message_id")
    query = select(message_id).where(_IS_SOUGHT, segment.c.queue.in_(queues), segment.c.target.in_(targets), segment.c.id < before)
    return [row[0] for row in conn.execute(query.distinct().order_by(message_id.desc()).limit(limit))]


_CHANGING = ("encoding", "data_coding", "esm_class", "registered_delivery", "segments", "expires_at")


def rewrite(conn: Connection, new: Message, bodies: Sequence[bytes] | None, retry_at: int | None, option: Option | None) -> None:
    """Give a waiting message its new content and times under its old id; `bodies` None leaves the parts' octets as they are."""
    conn.execute(update(message).where(message.c.id == new.id).values({name: getattr(new, name) for name in _CHANGING}))
    in_message = segment.c.id.between(new.id + 1, new.id + SEGMENTS_MAX)
    if bodies is not None:
        _rewrite_parts(conn, new, bodies)
    conn.execute(update(segment).where(in_message).values(expires_at=new.expires_at, retry_at=retry_at))
    conn.execute(delete(message_option).where(message_option.c.message_id == new.id))
    if option is not None:
        options.insert(conn, [option])


def _rewrite_parts(conn: Connection, new: Message, bodies: Sequence[bytes]) -> None:
    last = new.id + len(bodies)
    kept = [segment.c[name] for name in ("link", "queue", "target")]
    first = conn.execute(select(*kept).where(segment.c.id == new.id + 1)).one()
    known = {row[0] for row in conn.execute(select(segment.c.id).where(segment.c.id.between(new.id + 1, new.id + SEGMENTS_MAX)))}
    beyond = new.id + SEGMENTS_MAX
    conn.execute(delete(attempt).where(attempt.c.segment_id > last, attempt.c.segment_id <= beyond))
    conn.execute(delete(segment).where(segment.c.id > last, segment.c.id <= beyond))
    rows: list[dict[str, Any]] = []
    for segment_id, body in _numbered(new.id, bodies):
        if segment_id in known:
            conn.execute(update(segment).where(segment.c.id == segment_id).values(body=body))
        else:
            values = {"id": segment_id, "state": 0, "body": body, "attempts": 0, "expires_at": new.expires_at}
            rows.append(values | {"link": first.link, "queue": first.queue, "target": first.target})
    if rows:
        conn.execute(insert(segment), rows)


def _numbered(message_id: int, bodies: Sequence[bytes]) -> Iterable[tuple[int, bytes]]:
    return ((message_id + number, body) for number, body in enumerate(bodies, 1))
