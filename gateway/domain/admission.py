"""What a partner's messages may be, how fast they may come, and how many a day: pure, the time is an argument.

One `Admission` stands for all of a partner's sessions and HTTP requests.
"""

from __future__ import annotations

from gateway.domain.failure import Kind, Refused
from gateway.domain.policy import DAY_S, DEFAULT, PartnerPolicy

US = 1_000_000
# Policies that differ in nothing of this need no Admission at all.
_KEYS = (
    "rate_per_s",
    "messages_per_day",
    "senders",
    "destinations",
    "destinations_denied",
    "services",
    "service",
    "priority_max",
    "validity_s_max",
    "replace_typographic",
)


def is_needed(policy: PartnerPolicy) -> bool:
    """Whether a policy says anything about messages."""
    return any(getattr(policy, name) != getattr(DEFAULT, name) for name in _KEYS)


def day_of(at_us: int) -> int:
    """Days since 1970, UTC."""
    return at_us // (DAY_S * US)


class Patterns:
    """Exact texts and beginnings; nothing given matches everything."""

    __slots__ = ("_beginnings", "_exact", "is_any")

    def __init__(self, patterns: tuple[str, ...], *, is_prefix: bool = False) -> None:
        digits = [each.removeprefix("+") for each in patterns]
        self._beginnings = tuple(each.rstrip("*") for each in digits if is_prefix or each.endswith("*"))
        self._exact = frozenset(each for each in digits if not is_prefix and not each.endswith("*"))
        self.is_any = not patterns

    def match(self, text: str) -> bool:
        """Whether a text is one of these."""
        return self.is_any or text in self._exact or text.startswith(self._beginnings)


class Rate:
    """A token bucket that holds one second's worth: so many may come at once, as people read "per second"."""

    __slots__ = ("_at_s", "_most", "_rate", "_tokens")

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        assert rate_per_s > 0
        self._rate = rate_per_s
        self._most = max(1.0, rate_per_s)
        self._tokens = self._most
        self._at_s = now_s

    def delay(self, now_s: float) -> float:
        """Seconds until one may come; 0: now."""
        self._tokens = min(self._most, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._rate

    def take(self) -> None:
        """One came; more than may come leave a debt that time pays."""
        self._tokens -= 1.0


class Admission:
    """A partner's limits on messages, with what it has used of them."""

    def __init__(self, policy: PartnerPolicy, now_s: float, *, is_barred: bool = False) -> None:
        self.policy = policy
        self._is_barred = is_barred
        self._senders = Patterns(policy.senders)
        self._destinations = Patterns(policy.destinations, is_prefix=True)
        self._denied = Patterns(policy.destinations_denied, is_prefix=True)
        self._services = frozenset(policy.services)
        self._rate = Rate(policy.rate_per_s, now_s) if policy.rate_per_s else None
        self._is_paid: bool | None = None  # of a batch that is under way: whether it may be taken
        self._day = 0
        self._used = 0

    def adopt(self, policy: PartnerPolicy, now_s: float) -> Admission:
        """The same partner under another policy: what it has used today stays used."""
        renewed = Admission(policy, now_s)
        renewed._day, renewed._used = self._day, self._used
        return renewed

    def begin_batch(self, now_s: float) -> None:
        """Many messages come as one request: if one may come now all may, and their rate is paid for afterwards."""
        self._is_paid = self._rate is None or not self._rate.delay(now_s)

    def end_batch(self) -> None:
        """The batch is over."""
        self._is_paid = None

    def check(self, source: str, destination: str, service: str, priority: int) -> None:
        """Raise Refused for what this partner may not send; `source` and `destination` are digits or a name."""
        if self._is_barred:
            raise Refused("barred", "your account cannot be used at the moment; ask whoever runs this gateway", kind=Kind.TEMPORARY)
        if not self._senders.match(source):
            raise Refused("sender_not_allowed", "this sender is not among those you may use", field="from")
        if not self._destinations.match(destination) or (not self._denied.is_any and self._denied.match(destination)):
            raise Refused("destination_not_allowed", "you may not send to this number", field="to")
        if self._services and service not in self._services:
            raise Refused("service_not_allowed", "you may not use this service", field="service")
        if priority > self.policy.priority_max:
            raise Refused("priority_not_allowed", f"your priority is at most {self.policy.priority_max}", field="priority")

    def take(self, now_s: float, now_us: int) -> None:
        """Count one message that is about to be accepted; raises Refused (THROTTLED), then nothing was counted."""
        limit = self.policy.messages_per_day
        if limit:
            day = day_of(now_us)
            if day != self._day:
                self._day, self._used = day, 0
            if self._used >= limit:
                until_s = (day + 1) * DAY_S - now_us // US
                raise Refused("day_quota", f"your {limit} messages of today are used up", kind=Kind.THROTTLED, retry_after_s=until_s)
        rate = self._rate
        if rate is not None:
            delay_s = rate.delay(now_s)
            if delay_s if self._is_paid is None else not self._is_paid:
                text = f"you send faster than {self.policy.rate_per_s:g} messages a second"
                raise Refused("throttled", text, kind=Kind.THROTTLED, retry_after_s=delay_s)
            rate.take()
        self._used += 1

    def give_back(self, taken_us: int) -> None:
        """A message that was counted at this time was not accepted after all; its share of the rate is gone."""
        if day_of(taken_us) == self._day and self._used:
            self._used -= 1

    def used_today(self, now_us: int) -> int:
        """Messages counted today; only of partners with a daily limit."""
        return self._used if day_of(now_us) == self._day else 0

    def learn(self, day: int, messages: int) -> None:
        """What the store has counted: another process may have accepted some, and a start begins with it."""
        if day > self._day:
            self._day, self._used = day, messages
        elif day == self._day:
            self._used = max(self._used, messages)
