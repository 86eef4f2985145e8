"""Who guesses passwords or codes waits: longer with each wrong one, by (address, name) and by address. Bounded, and no clock of its own.

The words are those of binds; for voucher codes the party stands in the place of the address (services.redeeming).
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

# The customer of an IPv6 network has this much of it for himself.
_IPV6_PREFIX_BITS = 64


class LockoutLimits(NamedTuple):
    """What is forgiven, and how long one waits after that."""

    failures_max: int = 5  # wrong binds under one name from one address; 0 switches all of it off
    address_failures_max: int = 30  # wrong binds from one address, under whatever names
    pause_s_min: float = 1.0  # doubles with each further one
    pause_s_max: float = 300.0
    forget_s: float = 3_600.0
    kept_max: int = 10_000


class _Record:
    __slots__ = ("failures", "last_s", "until_s")

    def __init__(self) -> None:
        self.failures = 0
        self.last_s = 0.0
        self.until_s = 0.0


class Lockout:
    """The wrong binds of the last hour."""

    def __init__(self, limits: LockoutLimits) -> None:
        self._limits = limits
        self._records: dict[tuple[str, str], _Record] = {}  # by (address, system_id), and by (address, "") for all names

    def __len__(self) -> int:
        return len(self._records)

    def locked(self, now_s: float) -> int:
        """How many wait at the moment."""
        return sum(record.until_s > now_s for record in self._records.values())

    def remaining(self, address: str, name: str, now_s: float) -> float:
        """Seconds that a bind from there under that name still has to wait; 0: it may try."""
        records, place = self._records, _place(address)
        least = 0.0
        for key in ((place, name), (place, "")):
            record = records.get(key)
            if record is not None:
                least = max(least, record.until_s - now_s)
        return least

    def failed(self, address: str, name: str, now_s: float) -> bool:
        """A bind was wrong; whether a pause begins with it."""
        limits, place = self._limits, _place(address)
        if not limits.failures_max:
            return False
        is_own = self._count((place, name), limits.failures_max, now_s)
        return self._count((place, ""), limits.address_failures_max, now_s) or is_own

    def succeeded(self, address: str, name: str) -> None:
        """A bind was right: what was wrong under that name from there is forgiven, what was under other names is not."""
        self._records.pop((_place(address), name), None)

    def forgive(self, name: str) -> None:
        """An account changed: whoever was locked out of it may try at once."""
        for key in [key for key in self._records if key[1] == name]:
            del self._records[key]

    def _count(self, key: tuple[str, str], failures_max: int, now_s: float) -> bool:
        limits, records = self._limits, self._records
        # Put in again at the end: the first is always the one that was wrong longest ago.
        record = records.pop(key, None)
        if record is None or record.last_s + limits.forget_s < now_s:
            record = _Record()
        records[key] = record
        record.failures += 1
        record.last_s = now_s
        if len(records) > limits.kept_max:
            del records[next(iter(records))]
        over = record.failures - failures_max
        if over < 0:
            return False
        record.until_s = now_s + min(limits.pause_s_max, limits.pause_s_min * 2.0 ** min(over, 40))
        return True


def _place(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> (128 - _IPV6_PREFIX_BITS):x}"
