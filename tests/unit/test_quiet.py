"""Quiet hours: until when a message waits that comes within them, and which do not wait."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.address import Address
from gateway.domain.message import Front
from gateway.domain.quiet import Quiet
from gateway.services.submit import Drafting, Sender, Submission
from tests.support.api import catalogue_of

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NIGHT = Quiet(21 * 60, 8 * 60, SHANGHAI)


def us(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1e6)


@pytest.mark.parametrize(
    ("quiet", "at", "over"),
    [
        (NIGHT, "2026-11-23T20:59:59+08:00", None),
        (NIGHT, "2026-11-23T21:00:00+08:00", "2026-11-24T08:00:00+08:00"),
        (NIGHT, "2026-11-24T07:59:59+08:00", "2026-11-24T08:00:00+08:00"),
        (NIGHT, "2026-11-24T08:00:00+08:00", None),
        (Quiet(12 * 60, 14 * 60, SHANGHAI), "2026-11-23T13:00:00+08:00", "2026-11-23T14:00:00+08:00"),
        (Quiet(12 * 60, 24 * 60, SHANGHAI), "2026-11-23T13:00:00+08:00", "2026-11-24T00:00:00+08:00"),
        # The night of the 25th the clocks go back from 3:00 to 2:00: the second 2:30 is the later one.
        (Quiet(22 * 60, 150, BERLIN), "2026-10-25T02:10:00+02:00", "2026-10-25T02:30:00+02:00"),
        (Quiet(22 * 60, 150, BERLIN), "2026-10-25T02:10:00+01:00", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_quiet_hours_are_over_at_their_end(quiet: Quiet, at: str, over: str | None):
    assert quiet.over_at(us(at)) == (us(over) if over else None)


def drafted(at: str, **fields):
    catalogue = catalogue_of(1)
    services = {"chat": catalogue.services["chat"]._replace(quiet=NIGHT)}
    front = fields.pop("front", Front.HTTP)
    submission = Submission(Sender(front, None), Address("1066", 0, 1), Address("8613900001234", 1, 1), "chat", "hello", **fields)
    return Drafting(catalogue._replace(services=services)).draft(submission, 256, us(at), 0.0, link="a", reserve=lambda *_: True)


def test_a_message_in_quiet_hours_is_scheduled_and_not_claimed():
    draft = drafted("2026-11-23T22:00:00+08:00")

    assert draft.schedule_at == us("2026-11-24T08:00:00+08:00")
    assert not draft.is_claimed


def test_a_message_scheduled_into_quiet_hours_waits_for_their_end():
    draft = drafted("2026-11-23T12:00:00+08:00", schedule_at=us("2026-11-23T23:00:00+08:00"))

    assert draft.schedule_at == us("2026-11-24T08:00:00+08:00")


@pytest.mark.parametrize("fields", [{"priority": 2}, {"front": Front.GATEWAY}])
def test_what_is_urgent_and_what_answers_its_reader_does_not_wait(fields):
    draft = drafted("2026-11-23T22:00:00+08:00", **fields)

    assert draft.schedule_at is None
    assert draft.is_claimed


def test_by_day_nothing_waits():
    assert drafted("2026-11-23T12:00:00+08:00").schedule_at is None


def test_times_are_kept_in_utc():
    assert NIGHT.over_at(us("2026-11-23T22:00:00+08:00")) == int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1e6)
