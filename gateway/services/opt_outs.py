"""Who has asked for no more messages, held in memory: what waits when a STOP comes must not leave any more.

The table is the truth and is asked when a message is accepted; this copy is asked when one is about to be sent.
"""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from sqlalchemy import Connection

from billing.subscriptions import Subscriptions
from gateway.domain.message import Front, Message
from gateway.services.ports import Reader, Writer
from gateway.services.subscription_acts import SubscriptionActs
from gateway.store import slots
from gateway.world import Clock

OPERATOR = "operator"


class OptOut(NamedTuple):
    """A subscriber's decision about a code and all addresses under it; code "" is every sender."""

    msisdn: str
    code: str
    is_stopped: bool


class OptOuts:
    """The codes each subscriber has stopped."""

    def __init__(self, clock: Clock, writer: Writer, reader: Reader, steps: Subscriptions) -> None:
        self._clock = clock
        self._steps = steps
        self._writer = writer
        self._reader = reader
        self._codes: dict[str, tuple[str, ...]] = {}
        self.stopped_late = 0  # segments kept from leaving

    async def load(self) -> None:
        """Read the table."""
        self._codes = await self._reader.read(_by_number)

    def is_stopped(self, message: Message) -> bool:
        """Whether a message that waits must not be sent; the answer to a STOP itself may."""
        if not self._codes:
            return False
        codes = self._codes.get(message.destination)
        if codes is None or message.front == Front.GATEWAY or not message.source.startswith(codes):
            return False
        self.stopped_late += 1
        return True

    def changed(self, opt_out: OptOut) -> None:
        """A decision is on disk."""
        msisdn, code, is_stopped = opt_out
        known = self._codes.get(msisdn, ())
        if is_stopped:
            codes = known if code in known else (*known, code)
        else:
            codes = tuple(each for each in known if not each.startswith(code))
        if codes:
            self._codes[msisdn] = codes
        else:
            self._codes.pop(msisdn, None)

    async def record(self, opt_out: OptOut) -> None:
        """Write a decision an operator was told of, and heed it."""
        await self._writer.run(record, opt_out, self._steps, self._clock.now_us())
        self.changed(opt_out)


def record(conn: Connection, opt_out: OptOut, steps: Subscriptions, now_us: int) -> None:
    """Write a decision an operator was told of; who wants no messages of a code has no subscription under it any more."""
    if opt_out.is_stopped:
        slots.stop(conn, opt_out.msisdn, opt_out.code, now_us)
        SubscriptionActs(steps, OPERATOR, now_us).opt_out(conn, opt_out.msisdn, opt_out.code)
    else:
        slots.start(conn, opt_out.msisdn, opt_out.code)


def _by_number(conn: Connection) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for msisdn, code, _since in slots.opt_outs(conn):
        # Few codes, many numbers: each code is kept once.
        found[msisdn] = (*found.get(msisdn, ()), intern(code))
    return found
