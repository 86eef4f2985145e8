"""Any messages, any form of ids, any order: a receipt is matched rightly or parked, and money moves once (billing's invariant 6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gateway.domain.message import FINAL, Flight, State
from gateway.domain.verdict import of_message_state
from simulators.id_habits import HABITS
from tests.support.receipts import HANDSET, PRICE, Desk, opened_desk

FINALS = (2, 2, 3, 4, 5, 8)


@st.composite
def traffic(draw: st.DrawFn) -> tuple[str, list[tuple[int, str]], list[tuple[str, int]]]:
    """(habit, (number, handset) of each message, (event, place of its message) in any order).

    Small numbers read alike in two forms, so those handsets differ: two such ids to one handset nobody can tell apart.
    """
    numbers = draw(st.lists(st.integers(0, 1 << 40) | st.integers(0, 40), min_size=1, max_size=6, unique=True))
    messages = [(number, f"86139{place:08d}" if number < 1 << 20 else HANDSET) for place, number in enumerate(numbers)]
    events = [(kind, place) for place in range(len(messages)) for kind in ("response", "receipt")]
    again = draw(st.lists(st.tuples(st.just("receipt"), st.integers(0, len(messages) - 1)), max_size=3))
    return draw(st.sampled_from(sorted(HABITS))), messages, draw(st.permutations([*events, *again, ("restart", 0)]))


@settings(max_examples=100, deadline=None)
@given(traffic())
def test_a_receipt_is_matched_to_its_message_or_parked(case):
    habit, messages, events = case
    with opened_desk() as desk:
        flights = [desk.accept(handset)[0] for _, handset in messages]
        ids = [HABITS[habit](number) for number, _ in messages]

        for kind, place in events:
            if kind == "restart":
                desk.restart()
            elif kind == "response":
                desk.respond(flights[place], ids[place][0])
            else:
                desk.report(ids[place][1], handset=messages[place][1], error=f"{place:03d}")
        desk.replay()

        for place, flight in enumerate(flights):
            row = desk.row(flight)
            assert (row.state, row.error) in ((State.SUBMITTED, None), (State.DELIVERED, f"{place:03d}"))
            assert row.smsc_id == ids[place][0]
        assert desk.faults() == []


BIG = st.lists(st.integers(1 << 20, 1 << 40), min_size=4, max_size=8, unique=True)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(HABITS)), BIG, st.randoms(use_true_random=False))
def test_ids_that_cannot_be_mistaken_are_all_matched(habit, numbers, chance):
    """Early, late, or over a restart: with ids of a usual length and handsets of their own every receipt finds its message."""
    with opened_desk() as desk:
        flights = [desk.accept(f"86139{place:08d}")[0] for place in range(len(numbers))]
        events = [(kind, place) for place in range(len(numbers)) for kind in ("response", "receipt")]
        chance.shuffle(events)

        for kind, place in events:
            given_id, written = HABITS[habit](numbers[place])
            if kind == "response":
                desk.respond(flights[place], given_id)
            else:
                desk.report(written, handset=f"86139{place:08d}")
            if chance.random() < 0.2:
                desk.restart()
        desk.replay()

        assert {desk.state(flight) for flight in flights} == {State.DELIVERED}
        assert desk.waiting() == []


class Receipts(RuleBasedStateMachine):
    """A few messages of one carrier whose ids cannot be mistaken; `first` is what each was told first."""

    def __init__(self, engine_name: str) -> None:
        super().__init__()
        self._opened = opened_desk(engine_name)
        self.desk: Desk = self._opened.__enter__()
        self.flights: list[Flight] = []
        self.is_answered: list[bool] = []
        self.early: dict[int, list[int]] = {}
        self.ended: dict[int, State] = {}

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)

    def _id(self, place: int) -> str:
        return f"{0xABC000 + place:X}"

    def _handset(self, place: int) -> str:
        return f"86139{place:08d}"

    @precondition(lambda self: len(self.flights) < 5)
    @rule()
    def accept(self) -> None:
        (flight,) = self.desk.accept(self._handset(len(self.flights)))
        self.flights.append(flight)
        self.is_answered.append(False)

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def respond(self, data: Any) -> None:
        place = data.draw(st.integers(0, len(self.flights) - 1))
        self.desk.respond(self.flights[place], self._id(place))
        if not self.is_answered[place]:
            self.is_answered[place] = True
            for state in self.early.pop(place, [])[:1]:
                self.ended.setdefault(place, of_message_state(state) or State.FAILED)

    @precondition(lambda self: self.flights)
    @rule(data=st.data(), message_state=st.sampled_from((*FINALS, 1, 6, 7)))
    def report(self, data: Any, message_state: int) -> None:
        place = data.draw(st.integers(0, len(self.flights) - 1))
        noted = self.desk.report(str(int(self._id(place), 16)), message_state, self._handset(place))
        state = of_message_state(message_state)
        if state is None:
            assert noted.effect == "intermediate"
        elif place in self.ended:
            assert noted.effect in ("repeat", "late", "contradicts", "parked")
        elif self.is_answered[place]:
            assert noted.effect == "ended"
            self.ended[place] = state
        else:
            assert noted.effect == "parked"
            self.early.setdefault(place, []).append(message_state)

    @precondition(lambda self: self.flights)
    @rule(data=st.data())
    def expire(self, data: Any) -> None:
        place = data.draw(st.integers(0, len(self.flights) - 1))
        self.desk.expire(self.flights[place])
        self.ended.setdefault(place, State.EXPIRED)

    @rule()
    def restart(self) -> None:
        self.desk.restart()

    @rule()
    def replay(self) -> None:
        self.desk.replay()

    @invariant()
    def each_ends_once_as_the_first_final_said(self) -> None:
        for place, flight in enumerate(self.flights):
            state = self.desk.state(flight)
            if place in self.ended:
                assert state is self.ended[place]
                assert self.desk.charged(flight) == (PRICE if state is State.DELIVERED else 0)
            else:
                assert state < FINAL
                assert self.desk.charged(flight) is None

    @invariant()
    def the_books_are_right(self) -> None:
        assert self.desk.faults() == []


@pytest.mark.parametrize(("engine_name", "examples"), [("sqlite", 40), ("postgresql", 12)])
def test_each_message_ends_once_as_its_first_final_receipt_said(engine_name: str, examples: int):
    profile = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(lambda: Receipts(engine_name), settings=profile)
