"""What the embedded messenger allows, all in one place; and the buckets that hold people to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Every limit and default of the messenger; the wiring fills it from the settings."""

    account_number_min: int = 10_001
    is_registration_open: bool = True
    currency: str = "CNY"
    initial_credit_minor: int = 0
    text_chars_max: int = 2_000
    name_chars_max: int = 32
    password_chars_min: int = 8
    password_chars_max: int = 128
    client_id_chars_max: int = 64
    contacts_max: int = 1_000
    history_page_max: int = 200
    # Of one account: messages to anyone, and changes of its list.
    messages_per_s: float = 5.0
    messages_burst: int = 20
    # Failed log-ins of one account, and of one address.
    logins_per_s: float = 0.2
    logins_burst: int = 10
    registrations_per_s: float = 0.02
    registrations_burst: int = 20
    session_idle_s: float = 30 * 86_400.0
    sessions_per_account_max: int = 20
    sockets_per_account_max: int = 8
    polls_per_account_max: int = 8
    # Of one window.
    frame_bytes_max: int = 16_384
    frames_per_s: float = 20.0
    frames_burst: int = 60
    frames_queued_max: int = 1_000
    keys_max: int = 100_000  # accounts or addresses a bucket remembers
    # argon2id; the defaults are RFC 9106's second recommendation, one lane so that one hash takes one thread.
    hash_passes: int = 3
    hash_memory_kib: int = 65_536
    hashes_at_once: int = 2


class Buckets:
    """A token bucket for each key; a key not seen for as long as a bucket takes to fill is forgotten."""

    def __init__(self, rate_per_s: float, burst: int, keys_max: int) -> None:
        assert rate_per_s > 0
        assert burst >= 1
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._keys_max = keys_max
        self._levels: dict[object, tuple[float, float]] = {}  # key: tokens, and when that was

    def take(self, key: object, now: float) -> bool:
        """Take one token of the key's; False when it has none."""
        tokens = self._tokens(key, now)
        if tokens < 1.0:
            return False
        self._put(key, tokens - 1.0, now)
        return True

    def give_back(self, key: object, now: float) -> None:
        """Return a token that should not have been taken."""
        self._put(key, min(self._tokens(key, now) + 1.0, self._burst), now)

    def forget(self, key: object) -> None:
        """Keep nothing of a key that will not come back."""
        self._levels.pop(key, None)

    def wait_s(self, key: object, now: float) -> float:
        """How long until the key has a token."""
        return max(0.0, (1.0 - self._tokens(key, now)) / self._rate_per_s)

    def _tokens(self, key: object, now: float) -> float:
        tokens, then = self._levels.get(key, (float(self._burst), now))
        return min(tokens + (now - then) * self._rate_per_s, float(self._burst))

    def _put(self, key: object, tokens: float, now: float) -> None:
        self._levels.pop(key, None)  # so that the dict stays in order of last use
        if len(self._levels) >= self._keys_max:
            del self._levels[next(iter(self._levels))]
        self._levels[key] = (tokens, now)
