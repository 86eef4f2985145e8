"""How each link's receipts write the ids of its responses, as far as it was learnt."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from gateway.store.schema import link_form


class LinkForm(NamedTuple):
    """One row; the fields are the row's, in its order."""

    link: str
    form: str
    confirmed: int
    changed_at: int  # UTC µs


def all_forms(conn: Connection) -> list[LinkForm]:
    """For reading: what was learnt, by link."""
    query = select(*(link_form.c[name] for name in LinkForm._fields)).order_by(link_form.c.link)
    return [LinkForm(*row) for row in conn.execute(query)]


def put(conn: Connection, learnt: LinkForm) -> None:
    """Keep what was learnt of a link."""
    values = learnt._asdict()
    changed = conn.execute(update(link_form).where(link_form.c.link == learnt.link).values(**values))
    if changed.rowcount == 0:
        conn.execute(insert(link_form).values(**values))


def forget(conn: Connection, link: str) -> None:
    """A link's receipts are written otherwise now."""
    conn.execute(delete(link_form).where(link_form.c.link == link))
