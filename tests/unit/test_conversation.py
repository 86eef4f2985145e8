"""Reply addresses: what an extension means, how one is written, which slot comes next."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import conversation
from gateway.domain.address import AddressError
from gateway.domain.conversation import DAY_US, AccountNumber, Base, Choice, Direct, Plan, Slot, SlotNumber, SlotState, SlotUse

BASE = "10661700"
PLAN = Plan(BASE)
SMALL = Plan(BASE, slot_width_max=2)


def use(number: int, state: SlotState = SlotState.ACTIVE, free_after_us: int = 0, last_used_us: int = 0) -> SlotUse:
    return SlotUse(SlotNumber(number), state, free_after_us, last_used_us)


@pytest.mark.parametrize(
    ("extension", "meaning"),
    [
        ("", Base()),
        ("10", Slot(SlotNumber(10), 2)),
        ("123", Slot(SlotNumber(123), 3)),
        ("9999", Slot(SlotNumber(9999), 4)),
        ("10000", Direct(AccountNumber(10000))),
        ("572000001", Direct(AccountNumber(572000001))),
        ("123456789012", Direct(AccountNumber(123456789012))),
        ("1234567890123", None),
        ("5", None),
        ("07", None),
        ("010", None),
        ("012345", None),
        ("1a", None),
        ("１２", None),
    ],
)
def test_the_number_of_extension_digits_decides_the_mode(extension: str, meaning: object) -> None:
    parsed = conversation.parse(BASE + extension, PLAN)

    assert parsed == meaning
    assert type(parsed) is type(meaning)


def test_another_base_is_not_ours() -> None:
    assert conversation.parse("1066180012", PLAN) is None


def test_a_network_that_cuts_lower_leaves_fewer_extension_digits() -> None:
    plan = Plan(BASE, digits_max=12)

    assert conversation.parse(BASE + "12345", plan) is None
    with pytest.raises(AddressError, match="17 digits, this base allows 12"):
        conversation.format(Direct(AccountNumber(572000001)), plan)


def test_reserved_ranges_never_lead_to_a_contact() -> None:
    plan = Plan(BASE, reserved_prefixes=("0", "9"))

    assert conversation.parse(BASE + "91", plan) is None
    assert conversation.parse(BASE + "912345", plan) is None
    assert conversation.next_slot(plan, set(range(10, 90))) == 100


@given(st.integers(10, 10**12 - 1))
@settings(max_examples=100)
def test_a_written_reply_address_is_read_back(number: int) -> None:
    target = conversation.slot(SlotNumber(number)) if number < 10_000 else Direct(AccountNumber(number))

    assert conversation.parse(conversation.format(target, PLAN), PLAN) == target


@pytest.mark.parametrize(
    "target",
    [Slot(SlotNumber(7), 2), Slot(SlotNumber(10), 3), Slot(SlotNumber(-10), 3), Direct(AccountNumber(9999)), Direct(AccountNumber(-99999))],
)
def test_a_target_that_would_be_read_as_something_else_is_not_written(target: conversation.ReplyAddress) -> None:
    with pytest.raises(AddressError):
        conversation.format(target, PLAN)


@given(st.text(st.sampled_from("0123456789x"), max_size=22))
@settings(max_examples=100)
def test_whatever_is_read_is_written_as_it_came(extension: str) -> None:
    parsed = conversation.parse(BASE + extension, PLAN)

    assert parsed is None or conversation.format(parsed, PLAN) == BASE + extension


def test_the_longest_base_wins() -> None:
    plans = [Plan("106617"), Plan(BASE), Plan("95588")]

    assert conversation.find_plan(BASE + "12", plans) == Plan(BASE)
    assert conversation.find_plan("1066179", plans) == Plan("106617")
    assert conversation.find_plan("12345", plans) is None


@pytest.mark.parametrize(
    "plan",
    [
        Plan("12"),
        Plan("10a"),
        Plan(BASE, digits_max=21),
        Plan(BASE, digits_max=9),
        Plan(BASE, slot_width_min=1),
        Plan(BASE, slot_width_min=4, slot_width_max=3),
        Plan(BASE, direct_digits_min=4),
    ],
)
def test_a_plan_that_cannot_work_is_refused_at_start(plan: Plan) -> None:
    conversation.check_plan(PLAN)

    with pytest.raises(AddressError, match="base number"):
        conversation.check_plan(plan)


def test_slots_begin_after_the_reserved_ones_and_grow_in_width() -> None:
    assert conversation.next_slot(PLAN, set()) == 10
    assert conversation.next_slot(PLAN, {10, 11, 13}) == 12
    assert conversation.next_slot(PLAN, set(range(10, 100))) == 100
    assert conversation.next_slot(Plan(BASE, slot_width_min=3), set()) == 100
    assert conversation.next_slot(Plan(BASE, digits_max=10), set(range(10, 100))) is None
    assert conversation.next_slot(PLAN, range(10, 10_000)) is None


def test_a_number_never_used_comes_before_one_out_of_quarantine() -> None:
    uses = [use(10, SlotState.QUARANTINE, free_after_us=1)]

    assert conversation.choose_slot(PLAN, uses, now_us=100) == Choice(SlotNumber(11), reused=False)


def test_the_slot_longest_out_of_quarantine_comes_before_an_idle_one() -> None:
    uses = [use(number, last_used_us=0) for number in range(10, 98)]
    uses += [use(98, SlotState.QUARANTINE, free_after_us=50), use(99, SlotState.QUARANTINE, free_after_us=40)]

    assert conversation.choose_slot(SMALL, uses, now_us=400 * DAY_US) == Choice(SlotNumber(99), reused=True)
    assert conversation.choose_slot(SMALL, uses, now_us=39) is None


def test_the_slot_idle_longest_is_given_again_after_180_days_but_never_a_blocked_one() -> None:
    uses = [use(number, SlotState.BLOCKED) for number in range(10, 98)] + [use(98, last_used_us=2), use(99, last_used_us=1)]

    assert conversation.choose_slot(SMALL, uses, now_us=180 * DAY_US + 2) == Choice(SlotNumber(99), reused=True)
    assert conversation.choose_slot(SMALL, uses, now_us=180 * DAY_US + 1) is None


def test_a_slot_the_plan_can_no_longer_address_is_not_given_again() -> None:
    uses = [use(number, SlotState.BLOCKED) for number in range(10, 100)] + [use(123, SlotState.QUARANTINE)]

    assert conversation.choose_slot(SMALL, uses, now_us=400 * DAY_US) is None
