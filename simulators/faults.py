"""What goes wrong in a simulated run: frozen descriptions, drawn from a seed.

A plan says what and when; the network, the executor, the nodes and the SMSC simulator make it happen. Intensity runs from 0 (nothing
goes wrong) to 1 (hardly anything goes right).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from simulators.streams import Stream, between, stream


class CrashKind(StrEnum):
    """Where a node dies."""

    BEFORE_COMMIT = "before_commit"  # the writer's work is queued, and never runs
    AFTER_COMMIT = "after_commit"  # the work ran, and nobody is told
    AFTER_WRITE = "after_write"  # bytes were handed to the network, and all or some of them arrive
    AT_TIME = "at_time"


_AT_COMMIT = (CrashKind.BEFORE_COMMIT, CrashKind.AFTER_COMMIT)
_MONEY_ACTS = ("refund", "refund", "adjust", "topup", "late", "late")


@dataclass(frozen=True)
class CrashPoint:
    """One death and the start after it; counts and times are those of the life it ends."""

    kind: CrashKind
    count: int = 1  # which writer submission or transport write, from 1
    at_s: float = 0.0  # for AT_TIME: after the node's start
    arriving_share: float = 1.0  # for AFTER_WRITE: how much of that last write arrives
    restart_after_s: float | None = 1.0  # None: it stays dead
    act: str = ""  # of a commit: that of a transaction which does this, known by the causes it writes; `count` counts those

    def __post_init__(self) -> None:
        assert self.count >= 1
        assert 0.0 <= self.arriving_share <= 1.0
        assert not self.act or self.kind in _AT_COMMIT


@dataclass(frozen=True)
class Stall:
    """One direction of one connection carries nothing for a while."""

    at_s: float
    for_s: float


@dataclass(frozen=True)
class NetworkFaults:
    """How the network behaves; resets and stalls strike a connection that is open at their time, if there is one."""

    latency_s_min: float = 0.0002
    latency_s_max: float = 0.002
    fragment_probability: float = 0.0
    stalls: tuple[Stall, ...] = ()
    resets_at_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class ExecutorFaults:
    """How long the writer's work takes: a commit, and now and then a slow disk."""

    commit_s_min: float = 0.0002
    commit_s_max: float = 0.003
    slow_probability: float = 0.0
    slow_s_max: float = 2.0


class SubmitFault(NamedTuple):
    """What the SMSC does with one submit_sm."""

    is_throttled: bool = False
    response_delay_s: float = 0.0
    is_response_lost: bool = False
    is_receipt_early: bool = False  # it overtakes the response
    receipt_delay_s: float = 0.0
    receipt_copies: int = 1  # 0: lost; 2: duplicated
    unbinds: bool = False  # after this submit_sm, by the book
    resets: bool = False  # after this submit_sm, without a word


@dataclass(frozen=True)
class SmscFaults:
    """Probabilities per submit_sm, and bounds of the waits."""

    throttle: float = 0.0
    resp_delay: float = 0.0
    resp_delay_s_max: float = 20.0
    resp_lost: float = 0.0
    receipt_early: float = 0.0
    receipt_late: float = 0.0
    receipt_s_min: float = 0.05
    receipt_s_max: float = 2.0
    receipt_late_s_max: float = 600.0
    receipt_duplicate: float = 0.0
    receipt_lost: float = 0.0
    unbind: float = 0.0
    reset: float = 0.0

    def draw(self, numbers: Stream) -> SubmitFault:
        """What happens to the next submit_sm: always the same number of draws, so that one fault doesn't shift the others."""
        happens = {name: numbers.random() < getattr(self, name) for name in _SMSC_PROBABILITIES}
        response_delay_s = between(numbers, 0.0, self.resp_delay_s_max)
        prompt_s = between(numbers, self.receipt_s_min, self.receipt_s_max)
        late_s = between(numbers, self.receipt_s_max, self.receipt_late_s_max)
        return SubmitFault(
            is_throttled=happens["throttle"],
            response_delay_s=response_delay_s if happens["resp_delay"] else 0.0,
            is_response_lost=happens["resp_lost"],
            is_receipt_early=happens["receipt_early"],
            receipt_delay_s=late_s if happens["receipt_late"] else prompt_s,
            receipt_copies=0 if happens["receipt_lost"] else 2 if happens["receipt_duplicate"] else 1,
            unbinds=happens["unbind"],
            resets=happens["reset"],
        )


_SMSC_PROBABILITIES = (
    "throttle",
    "resp_delay",
    "resp_lost",
    "receipt_early",
    "receipt_late",
    "receipt_duplicate",
    "receipt_lost",
    "unbind",
    "reset",
)


@dataclass(frozen=True)
class Storm:
    """The SMSC takes only so many submit_sm a second for a while, and refuses the rest as throttled."""

    at_s: float
    for_s: float
    rate_per_s: float


@dataclass(frozen=True)
class FullQueue:
    """One phone's queue at the SMSC is full for a while; `phone` counts the phones there are, around."""

    at_s: float
    for_s: float
    phone: int


@dataclass(frozen=True)
class Outage:
    """An SMSC is not there for a while: its port is closed, and every connection reset. `smsc` counts the SMSCs there are, around."""

    at_s: float
    for_s: float
    smsc: int


@dataclass(frozen=True)
class Crowding:
    """An SMSC says in every answer how full it is, for a while: congestion_state, 0 to 100."""

    at_s: float
    for_s: float
    level: int


@dataclass(frozen=True)
class Refusals:
    """What the SMSCs refuse for a while, or threaten to, by time and not by chance."""

    storms: tuple[Storm, ...] = ()
    full_queues: tuple[FullQueue, ...] = ()
    outages: tuple[Outage, ...] = ()
    crowdings: tuple[Crowding, ...] = ()


@dataclass(frozen=True)
class FaultPlan:
    """Everything that goes wrong in one run."""

    seed: int
    intensity: float = 0.0
    network: NetworkFaults = field(default_factory=NetworkFaults)
    executor: ExecutorFaults = field(default_factory=ExecutorFaults)
    crash_node: str = "gateway"
    crashes: tuple[CrashPoint, ...] = ()  # the first ends the first life, the second the second
    smsc: SmscFaults = field(default_factory=SmscFaults)
    refusals: Refusals = field(default_factory=Refusals)

    @property
    def is_prompt(self) -> bool:
        """Whether every answer of the SMSC that arrives, arrives at once."""
        return not self.network.stalls and not self.smsc.resp_delay

    @property
    def is_steady(self) -> bool:
        """Whether nothing is cut off: what is handed over once is handed over in its order, and once."""
        cut = self.network.resets_at_s or self.crashes or self.refusals.outages or self.smsc.reset or self.smsc.unbind
        return self.is_prompt and not cut and not self.executor.slow_probability

    @classmethod
    def draw(cls, seed: int, intensity: float, *, duration_s: float = 60.0, crash_node: str = "gateway") -> FaultPlan:
        """The plan of a seed: the same one for ever, for the same intensity and duration."""
        assert 0.0 <= intensity <= 1.0
        return cls(
            seed,
            intensity,
            network=_draw_network(stream(seed, "plan", "network"), intensity, duration_s),
            executor=_draw_executor(stream(seed, "plan", "executor"), intensity),
            crash_node=crash_node,
            crashes=_at_acts(stream(seed, "plan", "acts"), _draw_crashes(stream(seed, "plan", "crashes"), intensity, duration_s)),
            smsc=_draw_smsc(stream(seed, "plan", "smsc"), intensity),
            refusals=_draw_refusals(stream(seed, "plan", "refusals"), intensity, duration_s),
        )


def _draw_network(numbers: Stream, intensity: float, duration_s: float) -> NetworkFaults:
    latency_s_min = between(numbers, 0.0001, 0.02)
    stalls = tuple(Stall(at_s, between(numbers, 0.1, 40.0)) for at_s in _times(numbers, _count(numbers, 5, intensity), duration_s))
    # Half of all runs are free of stalls: only where answers come at once is order looked at.
    has_stalls = numbers.random() < 0.5
    return NetworkFaults(
        latency_s_min=latency_s_min,
        latency_s_max=latency_s_min + between(numbers, 0.0002, 0.2),
        fragment_probability=numbers.random() * intensity,
        stalls=stalls if has_stalls else (),
        resets_at_s=_times(numbers, int(numbers.random() * 6 * intensity + 0.5), duration_s),
    )


def _draw_executor(numbers: Stream, intensity: float) -> ExecutorFaults:
    return ExecutorFaults(
        commit_s_max=between(numbers, 0.001, 0.05),
        slow_probability=numbers.random() * 0.1 * intensity,
        slow_s_max=between(numbers, 0.1, 10.0),
    )


def _draw_crashes(numbers: Stream, intensity: float, duration_s: float) -> tuple[CrashPoint, ...]:
    return tuple(_draw_crash(numbers, duration_s) for _ in range(int(numbers.random() * 4 * intensity + 0.5)))


def _at_acts(numbers: Stream, crashes: tuple[CrashPoint, ...]) -> tuple[CrashPoint, ...]:
    """Some of the deaths come where money moves."""
    return tuple(_at_act(numbers, crash) if numbers.random() < 0.3 else crash for crash in crashes)


def _at_act(numbers: Stream, crash: CrashPoint) -> CrashPoint:
    kind, act, count = numbers.choice(_AT_COMMIT), numbers.choice(_MONEY_ACTS), numbers.choice([1, 1, 2])
    return replace(crash, kind=kind, act=act, count=count)


def _draw_crash(numbers: Stream, duration_s: float) -> CrashPoint:
    return CrashPoint(
        kind=numbers.choice(list(CrashKind)),
        count=1 + int(between(numbers, 0, 200)),
        at_s=numbers.random() * duration_s / 2,
        arriving_share=numbers.choice([1.0, 1.0, 0.0, numbers.random()]),
        restart_after_s=between(numbers, 0.01, 30.0),
    )


def _draw_smsc(numbers: Stream, intensity: float) -> SmscFaults:
    def rate(most: float) -> float:
        # Half of all runs are free of a given fault, so that the others' effects are seen alone too.
        return numbers.random() * most * intensity if numbers.random() < 0.5 else 0.0

    return SmscFaults(
        throttle=rate(0.3),
        resp_delay=rate(0.3),
        resp_lost=rate(0.1),
        receipt_early=rate(0.5),
        receipt_late=rate(0.3),
        receipt_duplicate=rate(0.3),
        receipt_lost=rate(0.1),
        unbind=rate(0.02),
        reset=rate(0.02),
    )


def _draw_refusals(numbers: Stream, intensity: float, duration_s: float) -> Refusals:
    storms = tuple(
        Storm(at_s, between(numbers, 1.0, 12.0), between(numbers, 0.0, 20.0))
        for at_s in _times(numbers, int(numbers.random() * 4 * intensity + 0.5), duration_s)
    )
    full_queues = tuple(
        FullQueue(at_s, between(numbers, 1.0, 25.0), numbers.randrange(1_000))
        for at_s in _times(numbers, int(numbers.random() * 6 * intensity + 0.5), duration_s)
    )
    outages = tuple(
        Outage(at_s, between(numbers, 1.0, 25.0), numbers.randrange(2))
        for at_s in _times(numbers, _count(numbers, 3, intensity), duration_s)
    )
    crowdings = tuple(
        Crowding(at_s, between(numbers, 2.0, 20.0), numbers.choice([70, 85, 92, 99, 100]))
        for at_s in _times(numbers, _count(numbers, 3, intensity), duration_s)
    )
    return Refusals(storms, full_queues, outages, crowdings)


def _count(numbers: Stream, most: int, intensity: float) -> int:
    return int(numbers.random() * most * intensity + 0.5)


def _times(numbers: Stream, count: int, duration_s: float) -> tuple[float, ...]:
    return tuple(sorted(numbers.random() * duration_s for _ in range(count)))
