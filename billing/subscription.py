"""The life of a subscription, as a machine without clock or store: events go in, the next state and what is to be done come out.

    PENDING_CONFIRM ──confirmed n times──▶ TRIAL ──over──▶ ACTIVE ◀──paid, resumed──▶ SUSPENDED
          └─────────────── TD, 0000, STOP, time ran out, two failed cycles ───────────────▶ CANCELLED

A cycle is a whole calendar month or day on the carrier's clock. It is asked for once: `cycle` only ever grows, and from the moment a
charge is asked for (`charging`) until its answer nothing else is. The first charge waits for the end of the trial and for
`first_charge_after_us`: who leaves before that pays nothing. What comes twice, late or in another order changes nothing.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from enum import IntEnum, StrEnum
from typing import NamedTuple

from billing import calendar

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


class Status(IntEnum):
    """Where a subscription stands."""

    PENDING_CONFIRM = 0
    TRIAL = 1
    ACTIVE = 2
    SUSPENDED = 3
    CANCELLED = 10


class Text(StrEnum):
    """What a subscriber is told."""

    CONFIRM = "confirm"
    CONFIRM_AGAIN = "confirm_again"
    WELCOME = "welcome"
    TRIAL = "trial"
    REMINDER = "reminder"
    SUSPENDED = "suspended"
    CLEARED = "cleared"
    CANCELLED = "cancelled"
    ENDED = "ended"


class Rules(NamedTuple):
    """What an offer lays down for its subscriptions; `zone` is the clock its cycles are counted on."""

    is_monthly: bool = True
    trial_days: int = 0
    confirmations_required: int = 2
    confirm_within_us: int = 24 * HOUR_US
    first_charge_after_us: int = 72 * HOUR_US
    reminder_days_before: int = 3
    failed_cycles_max: int = 2
    unpaid_codes: frozenset[str] = frozenset({"CB:0007"})  # of a billing message: the balance is too low
    gone_codes: frozenset[str] = frozenset({"CB:0001", "CB:0053"})  # no such user
    zone: tzinfo = UTC


class Life(NamedTuple):
    """The state of one subscription. A cycle of 0 is none; `due_at` is when time alone will bring about the next step, None for never."""

    status: Status
    ordered_at: int
    confirmations: int = 0
    subscribed_at: int = 0  # of the last confirmation
    trial_until: int = 0
    cycle: int = 0  # the next to be charged
    charge_at: int = 0  # when that is
    charging: int = 0  # asked for, not answered
    charged: int = 0  # the last that was paid
    failed_from: int = 0  # the run of failed cycles, first and last
    failed_to: int = 0
    reminded: int = 0  # the last cycle a reminder went out for
    due_at: int | None = None
    cancelled_at: int | None = None
    cancelled_via: str = ""

    @property
    def is_live(self) -> bool:
        """Whether it is not over."""
        return self.status is not Status.CANCELLED

    @property
    def is_stopped(self) -> bool:
        """Whether a person of ours stopped it: time brings nothing about."""
        return self.status is Status.SUSPENDED and self.due_at is None and not self.charging


class Confirm(NamedTuple):
    """The subscriber said yes."""

    at: int


class Tick(NamedTuple):
    """Time has passed."""

    at: int


class Cancel(NamedTuple):
    """The subscriber or a person of ours ends it; `via` says how: TD, 0000, STOP, staff.

    Told later, the next Tick tells the subscriber: who ends it cannot.
    """

    at: int
    via: str
    is_told_later: bool = False


class Charged(NamedTuple):
    """A cycle was paid."""

    at: int
    cycle: int


class Failed(NamedTuple):
    """A cycle could not be collected, with the carrier's code; it may also come long after the cycle was taken for paid."""

    at: int
    cycle: int
    code: str


class Unanswered(NamedTuple):
    """Nobody knows or cares what became of a cycle's charge (expired, undeliverable): it is not paid, and counts for nothing."""

    at: int
    cycle: int


class Resume(NamedTuple):
    """A person of ours gives it another chance: the run of failed cycles is forgotten."""

    at: int


class Suspend(NamedTuple):
    """A person of ours stops it for a while: nothing is charged before a Resume, however long that takes."""

    at: int


Event = Confirm | Tick | Cancel | Charged | Failed | Unanswered | Suspend | Resume


class Send(NamedTuple):
    """Tell the subscriber."""

    text: Text


class Charge(NamedTuple):
    """Collect a cycle; its event is at the instant it fell due."""

    cycle: int
    event_at: int


Effect = Send | Charge


class Step(NamedTuple):
    """What an event led to."""

    life: Life
    effects: tuple[Effect, ...] = ()


def order(at: int, rules: Rules) -> Step:
    """Begin a life; the order is no confirmation of itself."""
    life = Life(Status.PENDING_CONFIRM, at, due_at=at + rules.confirm_within_us)
    if rules.confirmations_required == 0:
        return _subscribe(life, at, rules)
    return Step(life, (Send(Text.CONFIRM),))


def step(life: Life, event: Event, rules: Rules) -> Step:
    """Take one event; the same life and no effects when it means nothing now."""
    if isinstance(event, Failed):
        return _failed(life, event, rules)
    if not life.is_live:
        # A charge asked for before the end may still be answered; it changes no state, only what is known of it.
        if isinstance(event, Charged | Unanswered) and event.cycle == life.charging:
            charged = event.cycle if isinstance(event, Charged) else life.charged
            return Step(life._replace(charging=0, charged=charged))
        if isinstance(event, Tick) and life.due_at is not None:
            return Step(life._replace(due_at=None), (Send(Text.ENDED),))
        return Step(life)
    match event:
        case Confirm():
            return _confirm(life, event.at, rules)
        case Tick():
            return _tick(life, event.at, rules)
        case Cancel():
            if event.is_told_later:
                ended = _end(life, event.at, event.via, None)
                return ended._replace(life=ended.life._replace(due_at=event.at))
            return _end(life, event.at, event.via, Text.CANCELLED)
        case Charged():
            if event.cycle != life.charging:
                return Step(life)
            status = Status.ACTIVE if life.status is Status.SUSPENDED else life.status
            return Step(_await_next(life._replace(status=status, charged=event.cycle), rules))
        case Unanswered():
            return Step(_await_next(life, rules)) if event.cycle == life.charging else Step(life)
        case Suspend():
            # What was asked for is answered first; what was not confirmed lapses.
            if life.charging or life.status is Status.PENDING_CONFIRM:
                return Step(life)
            return Step(life._replace(status=Status.SUSPENDED, due_at=None))
        case Resume():
            if life.status is not Status.SUSPENDED:
                return Step(life)
            resumed = life._replace(status=Status.ACTIVE, failed_from=0, failed_to=0)
            return Step(_go_on(resumed, event.at, rules) if life.is_stopped else resumed)


def cycle_of(at: int, rules: Rules) -> int:
    """The cycle an instant is in: a month as YYYYMM00, a day as YYYYMMDD."""
    day = calendar.day_of(at, rules.zone)
    return calendar.month_of(day) if rules.is_monthly else day


def next_cycle(cycle: int) -> int:
    """The one after a cycle."""
    after = calendar.days(cycle)[1]
    return calendar.month_of(after) if calendar.is_month(cycle) else after


def _confirm(life: Life, at: int, rules: Rules) -> Step:
    if life.status is not Status.PENDING_CONFIRM:
        return Step(life)
    if at - life.ordered_at >= rules.confirm_within_us:
        return _lapse(life, at)
    life = life._replace(confirmations=life.confirmations + 1)
    if life.confirmations < rules.confirmations_required:
        return Step(life, (Send(Text.CONFIRM_AGAIN),))
    return _subscribe(life, at, rules)


def _subscribe(life: Life, at: int, rules: Rules) -> Step:
    trial_until = at + rules.trial_days * DAY_US
    has_trial = rules.trial_days > 0
    life = life._replace(
        status=Status.TRIAL if has_trial else Status.ACTIVE,
        subscribed_at=at,
        trial_until=trial_until,
        cycle=cycle_of(trial_until, rules),
        charge_at=max(trial_until, at + rules.first_charge_after_us),
    )
    return Step(_with_due(life, rules), (Send(Text.TRIAL if has_trial else Text.WELCOME),))


def _go_on(life: Life, at: int, rules: Rules) -> Life:
    """After a stop: the trial has its rest, and no cycle is charged that had begun before."""
    if at < life.trial_until:
        life = life._replace(status=Status.TRIAL)
    elif at >= life.charge_at:
        cycle = next_cycle(max(life.cycle, cycle_of(at, rules)))
        life = life._replace(cycle=cycle, charge_at=calendar.span_of(cycle, rules.zone).from_us)
    return _with_due(life, rules)


def _tick(life: Life, at: int, rules: Rules) -> Step:
    if life.is_stopped:
        return Step(life)
    if life.status is Status.PENDING_CONFIRM:
        return _lapse(life, at) if at - life.ordered_at >= rules.confirm_within_us else Step(life)
    if life.status is Status.TRIAL and at >= life.trial_until:
        life = life._replace(status=Status.ACTIVE)
    effects: tuple[Effect, ...] = ()
    if life.status is Status.TRIAL or life.charging or at < life.charge_at:
        if not life.charging and _reminds(life, rules) and at >= _remind_at(life, rules):
            life = life._replace(reminded=life.cycle)
            effects = (Send(Text.REMINDER),)
    else:
        effects = (Charge(life.cycle, life.charge_at),)
        life = life._replace(charging=life.cycle)
    return Step(_with_due(life, rules), effects)


def _failed(life: Life, event: Failed, rules: Rules) -> Step:
    cycle = event.cycle
    if not life.cycle or not (cycle_of(life.trial_until, rules) <= cycle < life.cycle or cycle == life.charging):
        return Step(life)  # never asked for
    if life.failed_from <= cycle <= life.failed_to:
        return Step(life)
    first, last = life.failed_from, life.failed_to
    if first and next_cycle(cycle) == first:
        first = cycle
    elif last and next_cycle(last) == cycle:
        last = cycle
    elif cycle > last:
        first = last = cycle
    life = life._replace(failed_from=first, failed_to=last)
    if cycle == life.charging:
        life = _await_next(life, rules)
    if not life.is_live:
        return Step(life)
    if event.code in rules.gone_codes:
        return _end(life, event.at, event.code, None)
    if _length(first, last, rules.failed_cycles_max) >= rules.failed_cycles_max:
        return _end(life, event.at, "unpaid", Text.CLEARED)
    if life.status is Status.ACTIVE:
        return Step(life._replace(status=Status.SUSPENDED), (Send(Text.SUSPENDED),))
    return Step(life)


def _length(first: int, last: int, most: int) -> int:
    """How many cycles a run has, counted up to `most`."""
    count = 1
    while first < last and count < most:
        first, count = next_cycle(first), count + 1
    return count


def _lapse(life: Life, at: int) -> Step:
    return _end(life, at, "unconfirmed", None)


def _end(life: Life, at: int, via: str, text: Text | None) -> Step:
    ended = life._replace(status=Status.CANCELLED, cancelled_at=at, cancelled_via=via, due_at=None)
    return Step(ended, () if text is None else (Send(text),))


def _await_next(life: Life, rules: Rules) -> Life:
    """The charge asked for was answered: the next cycle's turn comes when it begins, and not within the first hours."""
    if not life.is_live:
        return life._replace(charging=0)
    cycle = next_cycle(life.charging)
    begins = calendar.span_of(cycle, rules.zone).from_us
    life = life._replace(charging=0, cycle=cycle, charge_at=max(begins, life.subscribed_at + rules.first_charge_after_us))
    return _with_due(life, rules)


def _with_due(life: Life, rules: Rules) -> Life:
    if life.charging:
        return life._replace(due_at=None)
    at = life.charge_at
    if _reminds(life, rules):
        at = min(at, _remind_at(life, rules))
    if life.status is Status.TRIAL:
        at = min(at, life.trial_until)
    return life._replace(due_at=at)


def _reminds(life: Life, rules: Rules) -> bool:
    """One reminder goes before each month; of days only before the first."""
    if rules.reminder_days_before == 0 or life.reminded == life.cycle:
        return False
    return rules.is_monthly or not (life.charged or life.reminded or life.failed_to)


def _remind_at(life: Life, rules: Rules) -> int:
    return life.charge_at - rules.reminder_days_before * DAY_US
