"""Taking back and rewriting against everything else that happens to messages: whatever the order, each ends once and is paid once."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, select

from billing import book
from billing.schema import charge
from gateway.domain.address import Address
from gateway.domain.message import FINAL, Flight, Front, State, UnknownOutcome
from gateway.domain.target import target_of
from gateway.services import outcome, recall
from gateway.services.catalogue import Catalogue, Service
from gateway.services.outcome import Ended, Retry
from gateway.services.rewriting import Rewriting
from gateway.services.submit import Accepting, Drafting, Sender, Submission
from gateway.store import consistency, messages
from gateway.store import recall as rows
from gateway.store.messages import Ending
from gateway.store.schema import metadata, segment
from tests.support.engines import kept_engine

WALLET, PARTNER = 11 << 8, 12 << 8
CREDIT = 200
DAY_US = 86_400_000_000
SERVICE = Service("chat", 10, "CNY", True, UnknownOutcome.RESEND, DAY_US, 10, "1", "flat", 2)
SOURCE, DESTINATION = Address("10661700", 0, 1), Address("8613900000001", 1, 1)
TARGET = target_of("chat", SOURCE.digits_or_name, DESTINATION.digits_or_name)


class RecallMachine(RuleBasedStateMachine):
    """Messages of one partner; the model keeps what may have left, and what has ended."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.clock = 1_800_000_000_000_000
        with self.engine.begin() as conn:
            for table in reversed(metadata.sorted_tables):
                conn.execute(table.delete())
            house = book.ensure_house(conn, "CNY", new_id=self.next_id, now_us=1)
            book.open_account(conn, WALLET, "partner:acme", "CNY", True, 1)
            book.top_up(conn, WALLET, CREDIT, "first", self.next_id(), 1)
        catalogue = Catalogue({"chat": SERVICE}, {}, "chat", "10661700", house.revenue, ())
        self.drafting, self.accepting = Drafting(catalogue), Accepting(house.revenue)
        self.ids: list[int] = []
        self.left: set[int] = set()
        self.ended: dict[int, int] = {}

    def next_id(self) -> int:
        self.clock += 1
        return (self.clock - 1_577_836_800_000_000) << 13

    def draft(self, parts: int, message_id: int):
        sender = Sender(Front.SMPP, WALLET, PARTNER)
        submission = Submission(sender, SOURCE, DESTINATION, "chat", "a" * (150 * parts), registered_delivery=1)
        return self.drafting.draft(submission, message_id, self.clock, 0.0, link="sim", reserve=lambda *_: False)

    def drawn(self, data: st.DataObject) -> list[Flight]:
        message_id = data.draw(st.sampled_from(self.ids))
        with self.engine.begin() as conn:
            return messages.of_message(conn, message_id)

    def waits(self, message_id: int) -> bool:
        query = select(segment.c.state, segment.c.is_possible_duplicate).where(segment.c.id.between(message_id + 1, message_id + 255))
        with self.engine.begin() as conn:
            return all(state == State.ACCEPTED and not is_possible_duplicate for state, is_possible_duplicate in conn.execute(query))

    @rule(parts=st.integers(1, 3))
    def submit(self, parts: int) -> None:
        draft = self.draft(parts, self.next_id())
        with self.engine.begin() as conn:
            (refused,) = self.accepting.accept_many(conn, [draft])
        if refused is None:
            self.ids.append(draft.message.id)

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        flights = self.drawn(data)
        flight = data.draw(st.sampled_from(flights))
        flight.attempts += 1
        with self.engine.begin() as conn:
            ((is_mine,),) = outcome.claim_many(conn, [([flight], self.clock)])
        if is_mine:
            assert flight.message.id not in self.ended
            self.left.add(flight.message.id)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), is_unknown=st.booleans())
    def come_back(self, data: st.DataObject, is_unknown: bool) -> None:
        flights = self.drawn(data)
        with self.engine.begin() as conn:
            outcome.retry_many(conn, [Retry(data.draw(st.sampled_from(flights)), None, self.clock, self.clock, is_unknown)])
        if self.waits(flights[0].message.id):
            self.left.discard(flights[0].message.id)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), state=st.sampled_from((State.DELIVERED, State.FAILED, State.EXPIRED)))
    def end(self, data: st.DataObject, state: State) -> None:
        flights = self.drawn(data)
        ending = Ending(data.draw(st.sampled_from(flights)), state, self.clock, None, "000")
        with self.engine.begin() as conn:
            self.note(outcome.Outcome().end_many(conn, [Ended(ending, self.next_id())]))

    def note(self, notices: list) -> None:
        for notice in notices:
            if notice is not None:
                assert notice.message.id not in self.ended
                self.ended[notice.message.id] = int(notice.state)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), twice=st.booleans())
    def take_back(self, data: st.DataObject, twice: bool) -> None:
        message_id = data.draw(st.sampled_from(self.ids))
        may = self.waits(message_id)
        with self.engine.begin() as conn:
            notices = recall._take_back(conn, outcome.Outcome(), [(message_id, self.next_id())] * (1 + twice), recall.CANCELLED, self.clock)
        assert [notice.message.id for notice in notices] == ([message_id] if may else [])
        assert not may or message_id not in self.left
        self.note(list(notices))

    @rule()
    def take_all_back(self) -> None:
        with self.engine.begin() as conn:
            meant = recall._meant(conn, PARTNER, [TARGET], SOURCE.digits_or_name, DESTINATION.digits_or_name, self.next_id())
            notices = recall._take_back(conn, outcome.Outcome(), [(each, self.next_id()) for each in meant], recall.CANCELLED, self.clock)
        assert len(notices) == len(meant)
        self.note(list(notices))
        assert not any(self.waits(message_id) for message_id in self.ids)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), parts=st.integers(1, 8))
    def rewrite(self, data: st.DataObject, parts: int) -> None:
        message_id = data.draw(st.sampled_from(self.ids))
        may = self.waits(message_id)
        with self.engine.begin() as conn:
            standing = rows.find(conn, message_id)
            new = self.draft(parts, message_id)
            message = new.message._replace(accepted_at=standing.message.accepted_at)
            done = recall._rewrite(conn, Rewriting(message, new.bodies, new.event.parts, None, None))
        if not may:
            assert done.refused.reason == "too_late"
        elif done.refused is None:
            assert [flight.body for flight in done.flights] == list(new.bodies)
        else:
            assert done.refused.reason == "no_credit"
        assert all(flight.held_minor == 10 * flight.message.segments for flight in done.flights)

    @invariant()
    def the_books_are_right(self) -> None:
        with self.engine.begin() as conn:
            assert consistency.check(conn) == []
            least = {message_id: min(part.state for part in rows.find(conn, message_id).parts) for message_id in self.ids}
            held = {row.id for row in conn.execute(select(charge.c.id).where(charge.c.state == 0))}
        assert {message_id for message_id, state in least.items() if state >= FINAL} == set(self.ended)
        assert held == set(self.ids) - set(self.ended)


@pytest.mark.parametrize(("engine_name", "examples"), [("sqlite", 80), ("postgresql", 10)])
def test_whatever_the_order_each_message_ends_once_and_is_paid_once(engine_name: str, examples: int):
    engine = kept_engine(engine_name, "machine")
    profile = settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: RecallMachine(engine), settings=profile)
