"""Mistakes in what partners and operators may do with messages that wait, put into the gateway on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection

from billing import book
from gateway.domain.admission import Admission
from gateway.domain.failure import Refused
from gateway.domain.fairness import FairQueues
from gateway.domain.message import Flight, State
from gateway.services import recall
from gateway.services.opt_outs import OptOuts
from gateway.services.outcome import Outcome
from gateway.services.queues import Queues
from gateway.services.recall import Recall
from gateway.services.reception import Reception
from gateway.services.returns import Returns
from gateway.services.submit import Submission
from gateway.store.recall import Standing


@contextmanager
def cancel_forgets_the_claimed() -> Iterator[None]:
    """What is claimed for a link counts as waiting, and is taken back while it leaves."""

    def is_waiting(self: Standing) -> bool:
        return all(part.state in (State.ACCEPTED, State.SUBMITTING) for part in self.parts)

    with patch.object(Standing, "is_waiting", property(is_waiting)):
        yield


@contextmanager
def cancel_answered_before_commit() -> Iterator[None]:
    """A cancellation is answered while it is being written."""

    async def cancel(self: Recall, partner_id: int, asked: str, source: str = "", destination: str = "") -> None:
        standings = await self._standings(partner_id, asked, source)
        wanted = [(standing.message.id, self._world.next_id()) for standing in standings if standing.is_waiting]
        if not wanted:
            raise self._too_late("cancel")
        writing = self._writer.run(recall._take_back, self._outcome, wanted, recall.CANCELLED, self._world.clock.now_us())
        self._tasks.add(asyncio.ensure_future(writing))

    with patch.object(Recall, "cancel", cancel):
        yield


@contextmanager
def cancel_keeps_the_hold() -> Iterator[None]:
    """The parts of a cancelled message end, and its credit stays held."""
    original = recall._take_back

    def take_back(conn: Connection, rows: Outcome, wanted: Any, why: str, now_us: int) -> Any:
        with patch.object(book, "settle_many", lambda _conn, settlements, **_now: [True] * len(settlements)):
            return original(conn, rows, wanted, why, now_us)

    with patch.object(recall, "_take_back", take_back):
        yield


@contextmanager
def replace_keeps_the_old_hold() -> Iterator[None]:
    """A new text of more or fewer parts is charged as the old one."""
    with patch.object(book, "amend", lambda _conn, _charge_id, **_new: 0):
        yield


@contextmanager
def replace_leaves_the_old_text_in_memory() -> Iterator[None]:
    """The rows say the new text, and the queue in memory sends the old one."""
    with patch.object(Queues, "withhold", lambda _self, _message_id: True):
        yield


@contextmanager
def replaced_one_goes_too() -> Iterator[None]:
    """replace_if_present accepts the new message and leaves the old one where it is."""
    with patch.object(recall, "_meant", lambda *_asked: []):
        yield


@contextmanager
def throttled_pdu_charged() -> Iterator[None]:
    """What comes too fast is refused, and written and charged all the same."""
    original = Reception._draft_within

    def draft_within(self: Reception, admission: Admission, submission: Submission) -> Any:
        try:
            return original(self, admission, submission)
        except Refused as refused:
            if refused.reason == "throttled":
                draft = self._draft_any(submission)
                self._writer.put(self._dispatch.accept_bulk, draft, lambda _refused, _error: self._dispatch.committed(draft))
            raise

    with patch.object(Reception, "_draft_within", draft_within):
        yield


@contextmanager
def day_begins_with_each_start() -> Iterator[None]:
    """What a partner has used of its day is forgotten when the gateway starts."""
    with patch.object(Admission, "learn", lambda _self, _day, _messages: None):
        yield


@contextmanager
def scheduled_goes_at_once() -> Iterator[None]:
    """What waits for its time waits only for its turn."""

    def wait_until(self: Queues, lane: Any, flight: Flight, _retry_at: int) -> None:
        lane.waiting.put(flight.queue, flight)

    with patch.object(Queues, "wait_until", wait_until):
        yield


@contextmanager
def what_waits_heeds_no_stop() -> Iterator[None]:
    """An opt-out counts for what is accepted later, not for what waits."""
    with patch.object(OptOuts, "is_stopped", lambda _self, _message: False):
        yield


@contextmanager
def last_come_first_served() -> Iterator[None]:
    """Who comes to a queue goes to its head."""
    original = FairQueues.put

    def put(self: FairQueues[Any], key: int, item: Any) -> None:
        original(self, key, item)
        queue = self._queues[key]
        queue.remove(item)
        queue.appendleft(item)

    with patch.object(FairQueues, "put", put):
        yield


@contextmanager
def refused_pdu_captured() -> Iterator[None]:
    """A submit_sm that the carrier refuses as too fast is taken for sent and delivered."""
    original = Returns._in_its_place

    def in_its_place(self: Returns, lane: Any, flight: Flight, status: int) -> None:
        if flight.attempts > 1:
            self.end(flight, State.DELIVERED, "")
        else:
            original(self, lane, flight, status)

    with patch.object(Returns, "_in_its_place", in_its_place):
        yield


ALL: dict[str, Callable[[], Any]] = {
    bug.__name__: bug
    for bug in (
        cancel_forgets_the_claimed,
        cancel_answered_before_commit,
        cancel_keeps_the_hold,
        replace_keeps_the_old_hold,
        replace_leaves_the_old_text_in_memory,
        replaced_one_goes_too,
        throttled_pdu_charged,
        day_begins_with_each_start,
        scheduled_goes_at_once,
        what_waits_heeds_no_stop,
        last_come_first_served,
        refused_pdu_captured,
    )
}
