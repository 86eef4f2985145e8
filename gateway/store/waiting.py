"""How many segments wait, for operators: it walks the index of what is queued, so nothing on the hot path asks it."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, text

from gateway.store.schema import segment


def by_link(conn: Connection) -> dict[str, int]:
    """The number of segments that wait for each link, those of links that are gone too."""
    # The state is spelt out: a partial index is used only for its own literal.
    query = select(segment.c.link, func.count()).where(text("segment.state = 0")).group_by(segment.c.link)
    return {row.link: row[1] for row in conn.execute(query)}
