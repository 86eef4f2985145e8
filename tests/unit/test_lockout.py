"""Who guesses passwords waits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.lockout import Lockout, LockoutLimits

HERE, THERE = "192.0.2.1", "198.51.100.9"
LIMITS = LockoutLimits(failures_max=3, address_failures_max=10, pause_s_min=1.0, pause_s_max=60.0, forget_s=600.0, kept_max=100)


def test_a_guesser_waits_longer_each_time_and_the_partner_elsewhere_does_not():
    lockout = Lockout(LIMITS)

    waits = []
    now_s = 0.0
    for _ in range(9):
        lockout.failed(HERE, "acme", now_s)
        waits.append(lockout.remaining(HERE, "acme", now_s))
        now_s += waits[-1]

    assert waits == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert lockout.remaining(THERE, "acme", now_s) == 0.0


def test_many_names_from_one_address_lock_the_address():
    lockout = Lockout(LIMITS)
    for number in range(10):
        lockout.failed(HERE, f"name{number}", 0.0)

    assert lockout.remaining(HERE, "somebody", 0.5) == 0.5
    assert lockout.locked(0.5) == 1
    assert lockout.remaining(THERE, "somebody", 0.5) == 0.0


def test_a_right_bind_forgives_its_own_name_and_not_the_guesses_at_others():
    lockout = Lockout(LIMITS)
    for number in range(9):
        lockout.failed(HERE, f"name{number}", 0.0)

    lockout.succeeded(HERE, "name1")
    is_locked = lockout.failed(HERE, "name1", 0.0)

    assert is_locked
    assert lockout.remaining(HERE, "acme", 0.0) == 1.0


def test_an_hour_without_a_wrong_bind_is_forgotten():
    lockout = Lockout(LIMITS)
    for _ in range(3):
        lockout.failed(HERE, "acme", 0.0)

    assert not lockout.failed(HERE, "acme", 601.0)


def test_a_changed_account_may_be_tried_at_once():
    lockout = Lockout(LIMITS)
    for _ in range(5):
        lockout.failed(HERE, "acme", 0.0)

    lockout.forgive("acme")

    assert lockout.remaining(HERE, "acme", 0.0) == 0.0


def test_an_ipv6_network_counts_as_one_address_and_mapped_addresses_as_ipv4():
    lockout = Lockout(LIMITS)
    for number in range(10):
        lockout.failed(f"2001:db8::{number:x}", f"name{number}", 0.0)
    for number in range(10):
        lockout.failed(f"::ffff:{HERE}", f"name{number}", 0.0)

    assert lockout.remaining("2001:db8::ffff", "acme", 0.0) > 0
    assert lockout.remaining("2001:db8:0:1::1", "acme", 0.0) == 0.0
    assert lockout.remaining(HERE, "acme", 0.0) > 0


def test_none_locks_nobody_out():
    lockout = Lockout(LIMITS._replace(failures_max=0))
    for _ in range(1_000):
        assert not lockout.failed(HERE, "acme", 0.0)

    assert len(lockout) == 0


@given(st.lists(st.tuples(st.integers(0, 300), st.text(max_size=3), st.floats(0, 10)), max_size=300))
@settings(max_examples=50)
def test_memory_is_bounded_and_waits_are_too(tries):
    lockout = Lockout(LIMITS)
    now_s = 0.0
    for address, name, pause_s in tries:
        now_s += pause_s
        lockout.failed(f"10.0.{address // 256}.{address % 256}", name, now_s)
        assert len(lockout) <= LIMITS.kept_max
        assert 0 <= lockout.remaining(f"10.0.{address // 256}.{address % 256}", name, now_s) <= LIMITS.pause_s_max
