"""What a sender may still do about a message that was accepted: ask for it, take it back, or change it while it waits.

The table decides every race: a message is taken back or rewritten only where each of its parts is still queued and has never been
sent without an answer, in the transaction that does it. A claim that comes later finds nothing to claim; one that came first wins.
What is taken back ends as message_state DELETED, its hold is released, and its receipt is due like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from billing import amending
from gateway.domain.failure import Kind, Refused, StoreUnavailable
from gateway.domain.fairness import URGENT
from gateway.domain.message import FINAL, Flight, Message, State, fold
from gateway.domain.target import target_of
from gateway.services import rewriting
from gateway.services.dispatch import Dispatch
from gateway.services.outcome import Ended, Notice, Outcome
from gateway.services.ports import Reader
from gateway.services.reception import Answer, Reception
from gateway.services.rewriting import Change, Rewriting
from gateway.services.submit import Draft, Submission
from gateway.store import messages, options
from gateway.store import recall as rows
from gateway.store.messages import Ending
from gateway.store.recall import Standing
from gateway.store.writer import StoreWriter
from gateway.world import World

CANCELLED, REPLACED = "cancelled", "replaced"
CANCELLED_AT_ONCE_MAX = 1_000
DELETED = 4
# SMPP 3.4 section 5.2.28, for ends of which no carrier and no sender said more.
_MESSAGE_STATES = {State.DELIVERED: 2, State.EXPIRED: 3, State.FAILED: 5}
SCHEDULED, ENROUTE = 0, 1
RELOAD_S = 1.0


class Found(NamedTuple):
    """Where a message is, in SMPP's words; over all its parts, and all destinations of a submit_multi."""

    message_state: int
    final_at: int | None  # UTC µs
    error: str | None


class Rewritten(NamedTuple):
    """What a rewriting came to: why not, and the parts that wait, as they are now."""

    refused: Refused | None
    flights: list[Flight]
    due_at: int | None


class Recall:
    """Queries, cancellations and replacements."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        reader: Reader,
        dispatch: Dispatch,
        reception: Reception,
        *,
        outcome: Outcome,
        noticed: Callable[[Notice], None],
        counted: Callable[[str, str], None],
    ) -> None:
        self._outcome = outcome
        self._world = world
        self._writer = writer
        self._reader = reader
        self._dispatch = dispatch
        self._reception = reception
        self._noticed = noticed
        self._counted = counted
        self._turns: WeakValueDictionary[int | str, asyncio.Lock] = WeakValueDictionary()  # by message, and by partner and id asked for
        self._tasks: set[asyncio.Task[None]] = set()
        reception.replacing = self.submit

    async def query(self, partner_id: int, asked: str, source: str) -> Found:
        """Where a message is; raises Refused (`not_found`, `wrong_source`). `source` "" is not compared."""
        return _found(await self._standings(partner_id, asked, source), self._world.clock.now_us())

    # -- taking back ----------------------------------------------------------------------------------------------------

    async def cancel(self, partner_id: int, asked: str, source: str = "", destination: str = "") -> None:
        """Take a message back; raises Refused (`not_found`, `wrong_source`, `too_late`).

        Of a submit_multi, the destinations that still wait are taken back; it is too late when none does. Where part of a long
        message has left, nothing of it is taken back: a phone would show it torn.
        """
        standings = await self._standings(partner_id, asked, source)
        if destination and all(standing.message.destination != destination for standing in standings):
            raise Refused("wrong_source", "the message has another destination")
        ids = [standing.message.id for standing in standings if standing.is_waiting]
        if not ids or not await self._cancel(ids):
            raise self._too_late("cancel")

    async def cancel_all(self, partner_id: int, source: str, destination: str, before: int, service: str = "") -> int:
        """Take back all a partner has waiting from an address to another, of one service or of all; how many, and never none.

        What has a later id than `before` came after the wish, and stays. Raises Refused (`too_late`) when nothing waits.
        """
        services = [service] if service else list(self._reception.catalogue.services)
        targets = [target_of(each, source, destination) for each in services]
        cancelled = 0
        while ids := await self._reader.read(_meant, partner_id, targets, source, destination, before):
            count = await self._cancel(ids)
            cancelled += count
            if count < len(ids) or len(ids) < CANCELLED_AT_ONCE_MAX:
                break
        if not cancelled:
            raise self._too_late("cancel")
        return cancelled

    async def _cancel(self, message_ids: Sequence[int]) -> int:
        wanted = [(message_id, self._world.next_id()) for message_id in message_ids]
        # Once it is written it happened, whoever has stopped waiting for the answer.
        notices = await asyncio.shield(self._writer.run(_take_back, self._outcome, wanted, CANCELLED, self._world.clock.now_us()))
        for notice in notices:
            self._counted("cancel", "done")
            self._noticed(notice)
        return len(notices)

    # -- replacing --------------------------------------------------------------------------------------------------------

    async def replace(self, partner_id: int, asked: str, source: str, change: Change) -> Message:
        """Rewrite a waiting message under its id; raises Refused (`not_found`, `wrong_source`, `too_late`, or for what it would become)."""
        # Reads overtake each other: who asks for the same id waits his turn before the first of them.
        async with self._alone(f"{partner_id} {asked}"):
            standings = await self._standings(partner_id, asked, source)
            if len(standings) > 1:
                raise Refused("too_late", "the messages of a submit_multi are not replaced together")
            return await asyncio.shield(self._replace_one(standings[0].message.id, change))

    async def _replace_one(self, message_id: int, change: Change) -> Message:
        async with self._alone(message_id):
            standing = await self._reader.read(rows.find, message_id)
            now_us = self._world.clock.now_us()
            if standing is None or not standing.is_waiting or standing.message.expires_at <= now_us:
                raise self._too_late("replace")
            kept = (await self._reader.read(options.load, [message_id])).get(message_id)
            rewriting_ = rewriting.decide(standing, kept, change, self._reception, now_us)
            if not self._dispatch.withhold(message_id):
                raise self._too_late("replace")
            try:
                refused, flights, due_at = await self._writer.run(_rewrite, rewriting_)
            except BaseException:
                self._give_back(message_id)
                raise
            self._dispatch.restored(message_id, flights, due_at)
            if refused is not None:
                self._counted("replace", refused.reason)
                raise refused
            self._counted("replace", "done")
            return rewriting_.message

    def _give_back(self, message_id: int) -> None:
        """The store failed under a rewriting: whatever it holds now waits again, once it can be read."""
        task = asyncio.get_running_loop().create_task(self._reload(message_id), name="a message goes back to its queue")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self, message_id: int) -> None:
        while not self._writer.is_healthy:  # noqa: ASYNC110 - only while the store is away
            await asyncio.sleep(RELOAD_S)
        try:
            flights, due_at = await self._reader.read(_waiting, message_id)
        except StoreUnavailable:
            self._give_back(message_id)
        else:
            self._dispatch.restored(message_id, flights, due_at)

    @asynccontextmanager
    async def _alone(self, what: int | str) -> AsyncIterator[None]:
        """One rewriting of a message at a time, in the order in which they came."""
        turn = self._turns.get(what)
        if turn is None:
            turn = self._turns[what] = asyncio.Lock()
        async with turn:
            yield

    # -- replace_if_present -------------------------------------------------------------------------------------------------

    def submit(self, submission: Submission, done: Callable[[Answer], None]) -> None:
        """Accept a message in the place of the newest waiting one of the same service, source and destination, if there is one.

        The new one has an id of its own; the old one ends as DELETED in the same transaction, so that one of them is sent and one is paid.
        """
        try:
            # At once: what comes after it has a later id, and is not what it stands for.
            draft = self._reception.draft(submission)
        except Refused as refused:
            done(refused)
            return
        task = asyncio.get_running_loop().create_task(self._submit(draft, done), name="replace_if_present")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _submit(self, draft: Draft, done: Callable[[Answer], None]) -> None:
        try:
            done(await self._accept_instead(draft))
        except Refused as refused:
            done(refused)

    async def _accept_instead(self, draft: Draft) -> Answer:
        try:
            notices = await self._writer.run(self._take_its_place, draft, self._world.next_id(), self._world.clock.now_us())
        except BaseException:
            self._reception.abandoned(draft)
            raise
        answer = self._reception.committed(draft)
        for notice in notices:
            self._counted("replace_if_present", "done")
            self._noticed(notice)
        return answer

    def _take_its_place(self, conn: Connection, draft: Draft, seq: int, now_us: int) -> list[Notice]:
        message = draft.message
        notices: list[Notice] = []
        if message.partner_id is not None:
            targets = [target_of(message.service, message.source, message.destination)]
            meant = _meant(conn, message.partner_id, targets, message.source, message.destination, message.id)
            notices = _take_back(conn, self._outcome, [(meant[0], seq)], REPLACED, now_us) if meant else []
        self._reception.accept_in(conn, draft)
        return notices

    # -- finding ------------------------------------------------------------------------------------------------------------

    async def _standings(self, partner_id: int, asked: str, source: str) -> list[Standing]:
        standings = await self._reader.read(rows.find_all, partner_id, asked, self._world.clock.now_us())
        if not standings:
            raise Refused("not_found", "there is no such message of yours", field="id")
        if source and any(standing.message.source != source for standing in standings):
            raise Refused("wrong_source", "the message has another source")
        return standings

    def _too_late(self, operation: str) -> Refused:
        self._counted(operation, "too_late")
        return Refused("too_late", "the message is final, or on its way", field="id")


def _found(standings: Sequence[Standing], now_us: int) -> Found:
    parts = [part for standing in standings for part in standing.parts]
    state = fold(part.state for part in parts)
    if state < FINAL:
        is_scheduled = all(part.state == State.ACCEPTED and not part.attempts and (part.retry_at or 0) > now_us for part in parts)
        return Found(SCHEDULED if is_scheduled else ENROUTE, None, None)
    worst = next(part for part in parts if part.state == state)
    known = worst.message_state if worst.message_state is not None else _MESSAGE_STATES[state]
    return Found(known, max(part.done_at or 0 for part in parts), worst.error)


def _meant(conn: Connection, partner_id: int, targets: Sequence[int], source: str, destination: str, before: int) -> list[int]:
    """The waiting messages of a partner between these addresses, newest first, that came before one; the hash alone may be another's."""
    found: list[int] = []
    for message_id in rows.queued_to(conn, (partner_id, partner_id | URGENT), targets, before, CANCELLED_AT_ONCE_MAX):
        standing = rows.find(conn, message_id)
        if standing is not None and standing.is_waiting:
            message = standing.message
            if (message.partner_id, message.source, message.destination) == (partner_id, source, destination):
                found.append(message_id)
    return found


def _take_back(conn: Connection, outcome: Outcome, wanted: Sequence[tuple[int, int]], why: str, now_us: int) -> list[Notice]:
    """End what still waits of these messages, (id, seq): their notices."""
    ended: list[Ended] = []
    for message_id, seq in wanted:
        standing = rows.find(conn, message_id)
        if standing is not None and standing.is_waiting:
            ended.extend(
                Ended(Ending(flight, State.FAILED, now_us, None, why, None, DELETED), seq)
                for flight in messages.of_message(conn, message_id)
            )
    return [notice for notice in outcome.end_many(conn, ended) if notice is not None]


def _rewrite(conn: Connection, new: Rewriting) -> Rewritten:
    """Write what a waiting message becomes, and hold what it costs now."""
    message_id = new.message.id
    standing = rows.find(conn, message_id)
    refused: Refused | None = None
    if standing is None or not standing.is_waiting:
        refused = Refused("too_late", "the message is final, or on its way", field="id")
    elif new.bodies is not None and amending.amend(conn, message_id, parts=new.parts) is None:
        refused = Refused("no_credit", "the credit does not cover the new text; the message waits as it was", kind=Kind.PERMANENT)
    else:
        rows.rewrite(conn, new.message, new.bodies, new.retry_at, new.option)
    return Rewritten(refused, *_waiting(conn, message_id))


def _waiting(conn: Connection, message_id: int) -> tuple[list[Flight], int | None]:
    """The parts of a message that are queued, and when they are due where that is set."""
    standing = rows.find(conn, message_id)
    due = {part.id: part.retry_at for part in standing.parts if part.state == State.ACCEPTED} if standing is not None else {}
    flights = [flight for flight in messages.of_message(conn, message_id) if flight.segment_id in due]
    return flights, max((at for at in due.values() if at is not None), default=None)
