"""Each kind of mistake, put into the gateway on purpose, is seen by the auditor."""

from __future__ import annotations

import pytest

from simulators.auditor import Violation
from simulators.play import play
from simulators.sim_world import INTENSITY
from tests.simulation import bugs, bugs_at_the_door, bugs_in_the_books

SEEDS_MAX = 60
# Some are rare, or show only when much goes wrong: they are looked for where they are known to be near.
ROUGH = {
    "receipt_matched_by_addresses": (111, 1.0),
    "receipt_acknowledged_before_commit": (24, INTENSITY),
    "tax_given_back_rounded_up": (7, INTENSITY),
    "refund_beyond_the_capture": (10, INTENSITY),
}
# Which of the auditor's checks has to complain.
SEEN_BY = {
    "capture_without_receipt": {"charges", "wallets"},
    "double_capture": {"wallets"},
    "acknowledge_before_commit": {"accepted"},
    "lost_early_receipt": {"ends"},
    "wrong_thread": {"threads"},
    "resend_in_hold": {"on_wire"},
    "receipt_acknowledged_before_commit": {"ends"},
    "receipt_matched_by_addresses": {"ends"},
    "refused_goes_last": {"in_order"},
    "cancel_forgets_the_claimed": {"taken_back"},
    "cancel_answered_before_commit": {"taken_back"},
    "cancel_keeps_the_hold": {"taken_back"},
    "replace_keeps_the_old_hold": {"charges"},
    "replace_leaves_the_old_text_in_memory": {"texts"},
    "replaced_one_goes_too": {"in_place_of"},
    "throttled_pdu_charged": {"accepted"},
    "day_begins_with_each_start": {"quotas"},
    "scheduled_goes_at_once": {"schedules"},
    "what_waits_heeds_no_stop": {"opt_outs"},
    "last_come_first_served": {"first_in_order"},
    "refused_pdu_captured": {"ends"},
    "tax_of_a_price_rounded_down": {"taxes"},
    "tax_given_back_rounded_up": {"taxes"},
    "refund_twice": {"corrections"},
    "refund_beyond_the_capture": {"corrections"},
    "top_up_twice": {"top_ups"},
    "done_before_it_is_approved": {"approvals"},
    "late_into_the_closed_day": {"places", "closed_days"},
    "late_price_of_the_whole": {"late_charges"},
}
BUGS = bugs.ALL | bugs_at_the_door.ALL | bugs_in_the_books.ALL


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(BUGS))
def test_the_auditor_sees_a_seeded_bug(name: str) -> None:
    with BUGS[name]():
        found = _first_violations(SEEN_BY[name], *ROUGH.get(name, (1, INTENSITY)))

    assert found, f"no violation of {SEEN_BY[name]} within {SEEDS_MAX} seeds"


def _first_violations(invariants: set[str], first: int, intensity: float) -> list[Violation]:
    for seed in range(first, first + SEEDS_MAX):
        found = [violation for violation in play(seed, intensity).violations if violation.invariant in invariants]
        if found:
            return found
    return []
