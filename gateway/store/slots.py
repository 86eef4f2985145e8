"""What a subscriber's phone leads to: slots, one per contact under a short code, and the codes he has stopped."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, delete, insert, select

from gateway.domain import conversation
from gateway.domain.conversation import Plan
from gateway.store.schema import opt_out, slot


def account_of(conn: Connection, msisdn: str, short_code: str, number: int) -> int | None:
    """The account behind a subscriber's slot."""
    query = select(slot.c.im_account).where(slot.c.msisdn == msisdn, slot.c.short_code == short_code, slot.c.slot == number)
    number_of: int | None = conn.execute(query).scalar_one_or_none()
    return number_of


def slot_for(conn: Connection, msisdn: str, plan: Plan, account: int, now_us: int) -> int | None:
    """The subscriber's slot for an account, given out now when there is none; None when all are taken.

    A slot stays with its contact for good: people save it in their phone books.
    """
    mine = slot.c.msisdn == msisdn, slot.c.short_code == plan.base
    known: int | None = conn.execute(select(slot.c.slot).where(*mine, slot.c.im_account == account)).scalar_one_or_none()
    if known is not None:
        return known
    used = set(conn.execute(select(slot.c.slot).where(*mine)).scalars())
    number = conversation.next_slot(plan, used)
    if number is None:
        return None
    conn.execute(insert(slot).values(msisdn=msisdn, short_code=plan.base, slot=int(number), im_account=account, created_at=now_us))
    return int(number)


def stop(conn: Connection, msisdn: str, sender: str, now_us: int) -> None:
    """No more messages to this subscriber from this code, or this one reply address under it."""
    if conn.execute(select(opt_out.c.msisdn).where(opt_out.c.msisdn == msisdn, opt_out.c.short_code == sender)).first() is None:
        conn.execute(insert(opt_out).values(msisdn=msisdn, short_code=sender, since=now_us))


def start(conn: Connection, msisdn: str, sender: str) -> None:
    """The subscriber wants messages from this code again."""
    conn.execute(delete(opt_out).where(opt_out.c.msisdn == msisdn, opt_out.c.short_code.startswith(sender)))


def opt_outs(conn: Connection, msisdn: str = "") -> Iterator[tuple[str, str, int]]:
    """Every (subscriber, code, UTC µs since), or those of one subscriber."""
    query = select(opt_out.c.msisdn, opt_out.c.short_code, opt_out.c.since).order_by(opt_out.c.msisdn, opt_out.c.short_code)
    for row in conn.execute(query.where(opt_out.c.msisdn == msisdn) if msisdn else query):
        yield row[0], row[1], row[2]
