"""The life of a subscription: when it is charged, when never, and what ends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from billing import calendar, subscription
from billing.subscription import DAY_US, HOUR_US, Charge, Event, Life, Rules, Send, Status, Text

CHINA = ZoneInfo("Asia/Shanghai")
RULES = Rules(zone=CHINA)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - calendar.EPOCH) // timedelta(microseconds=1)


NOON = us("2006-05-10T12:00:00+08:00")


class Play:
    """One subscription, and what it asked for so far."""

    def __init__(self, rules: Rules = RULES, at: int = NOON) -> None:
        self.rules = rules
        self.texts: list[Text] = []
        self.charges: list[Charge] = []
        first = subscription.order(at, rules)
        self.life = first.life
        self._keep(first)

    def _keep(self, step: subscription.Step) -> None:
        self.life = step.life
        for effect in step.effects:
            if isinstance(effect, Send):
                self.texts.append(effect.text)
            else:
                self.charges.append(effect)

    def take(self, event: Event) -> Play:
        self._keep(subscription.step(self.life, event, self.rules))
        return self

    def confirmed(self, at: int = NOON + HOUR_US) -> Play:
        for _ in range(self.rules.confirmations_required):
            self.take(subscription.Confirm(at))
        return self

    def run_until(self, at: int) -> Play:
        """Let time pass to each instant something is due, and take it for done."""
        while self.life.due_at is not None and self.life.due_at <= at:
            self.take(subscription.Tick(self.life.due_at))
            if self.life.charging:
                self.take(subscription.Charged(at, self.life.charging))
        return self

    @property
    def cycles(self) -> list[int]:
        return [each.cycle for each in self.charges]


def test_an_order_alone_begins_nothing_and_lapses() -> None:
    play = Play().run_until(NOON + 23 * HOUR_US)
    assert (play.life.status, play.texts, play.charges) == (Status.PENDING_CONFIRM, [Text.CONFIRM], [])
    play.run_until(NOON + 24 * HOUR_US)
    assert (play.life.status, play.life.cancelled_via, play.life.due_at) == (Status.CANCELLED, "unconfirmed", None)


def test_one_confirmation_of_two_is_not_enough() -> None:
    play = Play().take(subscription.Confirm(NOON + 1))
    assert (play.life.status, play.texts[-1]) == (Status.PENDING_CONFIRM, Text.CONFIRM_AGAIN)
    play.take(subscription.Confirm(NOON + 2))
    assert (play.life.status, play.texts[-1]) == (Status.ACTIVE, Text.WELCOME)


def test_a_confirmation_that_comes_too_late_ends_the_order() -> None:
    play = Play().take(subscription.Confirm(NOON + 24 * HOUR_US))
    assert (play.life.status, play.life.cancelled_via) == (Status.CANCELLED, "unconfirmed")


def test_a_month_is_charged_after_72_hours_and_then_at_the_first_of_each() -> None:
    play = Play().confirmed().run_until(us("2006-07-02T00:00:00+08:00"))
    assert play.cycles == [20060500, 20060600, 20060700]
    assert [each.event_at for each in play.charges] == [
        NOON + 73 * HOUR_US,
        us("2006-06-01T00:00:00+08:00"),
        us("2006-07-01T00:00:00+08:00"),
    ]


def test_who_leaves_within_72_hours_is_not_charged() -> None:
    at = NOON + 73 * HOUR_US - 1
    play = Play().confirmed().run_until(at).take(subscription.Cancel(at, "TD")).run_until(at + 90 * DAY_US)
    assert (play.charges, play.life.status, play.life.cancelled_via) == ([], Status.CANCELLED, "TD")


def test_a_trial_is_free_and_its_end_is_told_before() -> None:
    play = Play(RULES._replace(trial_days=11)).confirmed().run_until(NOON + HOUR_US + 11 * DAY_US - 1)
    assert (play.life.status, play.texts[-2:], play.charges) == (Status.TRIAL, [Text.TRIAL, Text.REMINDER], [])
    play.run_until(NOON + HOUR_US + 11 * DAY_US)
    assert (play.life.status, play.cycles) == (Status.ACTIVE, [20060500])


def test_each_month_is_announced_once() -> None:
    play = Play().confirmed().run_until(us("2006-08-01T00:00:00+08:00"))
    # Joined, its first fee is due in three days already; then once before June, July and August.
    assert play.texts.count(Text.REMINDER) == 4
    for _ in range(3):
        play.take(subscription.Tick(us("2006-08-29T00:00:00+08:00")))
    assert play.texts.count(Text.REMINDER) == 5


def test_who_joins_on_the_31st_pays_for_every_month_there_is() -> None:
    at = us("2007-01-31T23:00:00+08:00")
    play = Play(RULES._replace(first_charge_after_us=0), at).confirmed(at).run_until(us("2007-04-01T00:00:00+08:00"))
    assert play.cycles == [20070100, 20070200, 20070300, 20070400]
    assert play.charges[1].event_at == us("2007-02-01T00:00:00+08:00")


def test_days_of_23_and_25_hours_are_one_day_each() -> None:
    rules = Rules(is_monthly=False, first_charge_after_us=0, zone=ZoneInfo("Europe/Berlin"))
    at = us("2026-03-28T12:00:00+01:00")
    spring = Play(rules, at).confirmed(at).run_until(us("2026-03-31T00:00:00+02:00"))
    assert spring.cycles == [20260328, 20260329, 20260330, 20260331]
    assert spring.charges[2].event_at - spring.charges[1].event_at == 23 * HOUR_US
    at = us("2026-10-25T00:00:00+02:00")
    autumn = Play(rules, at).confirmed(at).run_until(us("2026-10-26T00:00:00+01:00"))
    assert autumn.charges[1].event_at - autumn.charges[0].event_at == 25 * HOUR_US


def test_the_first_failed_month_suspends_and_the_second_running_clears() -> None:
    play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US))
    play.take(subscription.Failed(NOON + 81 * HOUR_US, 20060500, "CB:0007"))
    assert (play.life.status, play.texts[-1]) == (Status.SUSPENDED, Text.SUSPENDED)
    june = us("2006-06-01T00:00:00+08:00")
    play.take(subscription.Tick(june)).take(subscription.Failed(june + 1, 20060600, "CB:0007"))
    assert (play.life.status, play.life.cancelled_via, play.texts[-1]) == (Status.CANCELLED, "unpaid", Text.CLEARED)


def test_months_that_failed_apart_do_not_clear() -> None:
    play = Play().confirmed().run_until(us("2006-07-02T00:00:00+08:00"))
    play.take(subscription.Failed(NOON, 20060500, "CB:0007")).take(subscription.Failed(NOON, 20060700, "CB:0007"))
    assert play.life.status is Status.SUSPENDED


def test_refusals_that_the_carrier_tells_later_clear_in_either_order() -> None:
    for months in ([20060500, 20060600], [20060600, 20060500]):
        play = Play().confirmed().run_until(us("2006-06-10T00:00:00+08:00"))
        for month in months:
            play.take(subscription.Failed(NOON, month, "CB:0007"))
            play.take(subscription.Failed(NOON, month, "CB:0007"))
        assert (play.life.status, play.life.cancelled_via) == (Status.CANCELLED, "unpaid")


def test_a_user_who_is_no_more_is_cleared_at_once_and_told_nothing() -> None:
    play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US))
    told = len(play.texts)
    play.take(subscription.Failed(NOON + 81 * HOUR_US, 20060500, "CB:0001"))
    assert (play.life.status, play.life.cancelled_via, len(play.texts)) == (Status.CANCELLED, "CB:0001", told)


def test_a_charge_nobody_answered_for_is_no_failure() -> None:
    play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US))
    play.take(subscription.Unanswered(NOON + 90 * HOUR_US, 20060500))
    assert (play.life.status, play.life.cycle, play.life.failed_to) == (Status.ACTIVE, 20060600, 0)


def test_a_paid_month_or_staff_ends_a_suspension() -> None:
    def suspended() -> Play:
        return Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US)).take(subscription.Failed(NOON, 20060500, "CB:0007"))

    june = us("2006-06-01T00:00:00+08:00")
    paid = suspended().take(subscription.Tick(june)).take(subscription.Charged(june, 20060600))
    assert paid.life.status is Status.ACTIVE
    resumed = suspended().take(subscription.Resume(june - DAY_US))
    resumed.take(subscription.Tick(june)).take(subscription.Failed(june, 20060600, "CB:0007"))
    assert resumed.life.status is Status.SUSPENDED


def test_nothing_is_charged_while_an_answer_is_awaited() -> None:
    play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US))
    play.take(subscription.Tick(NOON + 80 * DAY_US)).take(subscription.Tick(NOON + 90 * DAY_US))
    assert (play.cycles, play.life.due_at) == ([20060500], None)


def test_an_answer_that_comes_after_the_end_is_noted_and_brings_nothing_back() -> None:
    for answer in (
        subscription.Charged(NOON + 90 * HOUR_US, 20060500),
        subscription.Failed(NOON + 90 * HOUR_US, 20060500, "CB:0007"),
        subscription.Unanswered(NOON + 90 * HOUR_US, 20060500),
    ):
        play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US)).take(subscription.Cancel(NOON + 81 * HOUR_US, "TD"))
        told = len(play.texts)
        play.take(answer).run_until(NOON + 90 * DAY_US)
        assert (play.life.status, play.life.charging, play.cycles, len(play.texts)) == (Status.CANCELLED, 0, [20060500], told)


def test_what_is_suspended_by_staff_is_not_charged_and_goes_on_with_the_cycle_that_begins_next() -> None:
    play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US)).take(subscription.Charged(NOON + 80 * HOUR_US, 20060500))
    play.take(subscription.Suspend(NOON + 90 * HOUR_US))
    assert (play.life.status, play.life.is_stopped) == (Status.SUSPENDED, True)
    play.take(subscription.Tick(us("2006-06-01T00:00:00+08:00"))).take(subscription.Tick(us("2006-07-01T00:00:00+08:00")))
    assert play.cycles == [20060500]
    play.take(subscription.Resume(us("2006-07-15T00:00:00+08:00"))).run_until(us("2006-08-02T00:00:00+08:00"))
    assert (play.life.status, play.cycles) == (Status.ACTIVE, [20060500, 20060800])


def test_what_is_resumed_before_its_next_cycle_begins_loses_none() -> None:
    play = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US)).take(subscription.Charged(NOON + 80 * HOUR_US, 20060500))
    play.take(subscription.Suspend(NOON + 90 * HOUR_US)).take(subscription.Resume(NOON + 91 * HOUR_US))
    play.run_until(us("2006-06-02T00:00:00+08:00"))
    assert play.cycles == [20060500, 20060600]


def test_what_is_being_charged_or_not_confirmed_is_not_suspended() -> None:
    asked = Play().confirmed().take(subscription.Tick(NOON + 80 * HOUR_US)).take(subscription.Suspend(NOON + 81 * HOUR_US))
    ordered = Play().take(subscription.Suspend(NOON + HOUR_US))
    assert (asked.life.status, ordered.life.status) == (Status.ACTIVE, Status.PENDING_CONFIRM)


def test_who_is_ended_by_somebody_who_cannot_tell_him_is_told_by_the_next_tick_once() -> None:
    play = Play().confirmed()
    before = len(play.texts)
    play.take(subscription.Cancel(NOON + HOUR_US, "staff", is_told_later=True))
    silent = play.texts[before:]
    play.take(subscription.Tick(NOON + 2 * HOUR_US)).take(subscription.Tick(NOON + 3 * HOUR_US))
    assert (silent, play.texts[before:], play.life.due_at) == ([], [subscription.Text.ENDED], None)


# Instants around an order, in any order, with repeats: the clock may jump either way.
_TIMES = st.integers(0, 130 * 24).map(lambda hours: NOON + hours * HOUR_US)
_CYCLES = st.sampled_from([20060400, 20060500, 20060600, 20060700, 20060800, 20060900])
_EVENTS = st.one_of(
    st.builds(subscription.Confirm, _TIMES),
    st.builds(subscription.Tick, _TIMES),
    st.builds(subscription.Tick, _TIMES),
    st.builds(subscription.Cancel, _TIMES, st.sampled_from(["TD", "0000", "STOP", "staff"]), st.booleans()),
    st.builds(subscription.Charged, _TIMES, _CYCLES),
    st.builds(subscription.Failed, _TIMES, _CYCLES, st.sampled_from(["CB:0007", "CB:0001"])),
    st.builds(subscription.Unanswered, _TIMES, _CYCLES),
    st.builds(subscription.Resume, _TIMES),
    st.builds(subscription.Suspend, _TIMES),
)
_RULES = st.builds(
    Rules,
    trial_days=st.sampled_from([0, 11]),
    confirmations_required=st.sampled_from([1, 2]),
    first_charge_after_us=st.sampled_from([0, 72 * HOUR_US]),
    reminder_days_before=st.sampled_from([0, 3]),
    zone=st.sampled_from([CHINA, UTC]),
)


@given(_RULES, st.lists(_EVENTS, max_size=40))
def test_a_cycle_is_charged_once_and_never_in_trial_or_unconfirmed_or_after_the_end(rules: Rules, events: list[Event]) -> None:
    play = Play(rules)
    confirmed = 0
    for event in events:
        before, asked = play.life, len(play.charges)
        if isinstance(event, subscription.Confirm) and before.status is Status.PENDING_CONFIRM:
            confirmed += 1
        play.take(event)
        for charge in play.charges[asked:]:
            assert before.status not in (Status.PENDING_CONFIRM, Status.CANCELLED)
            assert confirmed >= rules.confirmations_required
            assert event.at >= before.trial_until
            assert event.at >= before.subscribed_at + rules.first_charge_after_us
            assert charge.event_at <= event.at
        assert _is_sound(play.life)
    assert play.cycles == sorted(set(play.cycles))


@given(_RULES, st.lists(_EVENTS, max_size=30))
def test_what_comes_twice_changes_nothing_but_time_and_yes(rules: Rules, events: list[Event]) -> None:
    once, twice = Play(rules), Play(rules)
    for event in events:
        once.take(event)
        twice.take(event)
        if not isinstance(event, subscription.Confirm | subscription.Tick):
            twice.take(event)
    assert (once.life, once.charges, once.texts) == (twice.life, twice.charges, twice.texts)


def _is_sound(life: Life) -> bool:
    if life.status is Status.CANCELLED:
        return life.due_at in (None, life.cancelled_at) and life.cancelled_at is not None and bool(life.cancelled_via)
    return (life.due_at is None) == (bool(life.charging) or life.is_stopped) and life.charged <= life.cycle
