"""Reply addresses: a base short code plus digits that lead back to one contact.

The number of extension digits decides the mode, so nothing is ambiguous: none is the base itself, 2 to 4 a slot of this
subscriber, 5 or more an IM account's own number. An extension that begins with a reserved digit is a service's, never a contact's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum
from typing import NamedTuple, NewType

from gateway.domain.address import DIGITS_MAX, AddressError

SlotNumber = NewType("SlotNumber", int)
AccountNumber = NewType("AccountNumber", int)

DAY_US = 86_400_000_000
IDLE_US = 180 * DAY_US
QUARANTINE_US = 90 * DAY_US


class Plan(NamedTuple):
    """What one base short code grants; `digits_max` counts base and extension, and some networks cut below 20."""

    base: str
    digits_max: int = DIGITS_MAX
    slot_width_min: int = 2
    slot_width_max: int = 4
    direct_digits_min: int = 5
    # "0" keeps 0 and 00 to 09 for the system; ranges for premium services are added here so that they never meet a chat.
    reserved_prefixes: tuple[str, ...] = ("0",)


class Base(NamedTuple):
    """The base short code itself: commands and first contact."""


class Slot(NamedTuple):
    """One contact in the subscriber's own numbering, with the width it was dialled in."""

    number: SlotNumber
    width: int


class Direct(NamedTuple):
    """A contact by the number of the IM account."""

    account: AccountNumber


ReplyAddress = Base | Slot | Direct


class SlotState(IntEnum):
    """Where a slot stands; a blocked or quarantined one still belongs to its contact."""

    ACTIVE = 0
    BLOCKED = 1
    QUARANTINE = 2


class SlotUse(NamedTuple):
    """A slot that has been given out: when it may be given again (quarantine), when it last carried a message (active)."""

    number: SlotNumber
    state: SlotState
    free_after_us: int
    last_used_us: int


class Choice(NamedTuple):
    """A slot to give out; `reused` means another contact had it, so a new generation begins."""

    number: SlotNumber
    reused: bool


def check_plan(plan: Plan) -> None:
    """AddressError when the plan's base, widths and digits_max cannot work together; for start-up, not for the hot path."""
    if not (plan.base.isascii() and plan.base.isdigit()) or not 3 <= len(plan.base) <= plan.digits_max <= DIGITS_MAX:
        raise AddressError("base number", f"must be 3 to digits_max digits, and digits_max at most {DIGITS_MAX}")
    if not 2 <= plan.slot_width_min <= plan.slot_width_max <= 4 or plan.direct_digits_min <= plan.slot_width_max:
        raise AddressError("base number", "slot widths must lie in 2 to 4 and below direct_digits_min")
    if len(plan.base) + plan.slot_width_min > plan.digits_max:
        raise AddressError("base number", f"digits_max {plan.digits_max} leaves no room for a slot")


def find_plan(destination: str, plans: Iterable[Plan]) -> Plan | None:
    """The plan whose base the destination begins with; the longest base wins."""
    return max((plan for plan in plans if destination.startswith(plan.base)), key=lambda plan: len(plan.base), default=None)


def parse(destination: str, plan: Plan) -> ReplyAddress | None:
    """What an MO's destination digits mean under a base, or None: reserved, of a width nobody gives out, or not ours."""
    if not destination.startswith(plan.base) or len(destination) > plan.digits_max:
        return None
    extension = destination[len(plan.base) :]
    if not extension:
        return Base()
    if not extension.isascii() or not extension.isdigit() or _is_reserved(extension, plan):
        return None
    width = len(extension)
    if plan.slot_width_min <= width <= plan.slot_width_max:
        return Slot(SlotNumber(int(extension)), width)
    return Direct(AccountNumber(int(extension))) if width >= plan.direct_digits_min else None


def _is_reserved(extension: str, plan: Plan) -> bool:
    # A leading zero is reserved whatever the plan says: 010 must never lead to the contact of slot 10.
    return extension.startswith(("0", *plan.reserved_prefixes))


def format(target: ReplyAddress, plan: Plan) -> str:
    """The digits the phone shows and answers to; AddressError when the target does not fit the plan."""
    destination = plan.base + _extension(target)
    if len(destination) > plan.digits_max:
        raise AddressError("reply address", f"{len(destination)} digits, this base allows {plan.digits_max}")
    if parse(destination, plan) != target:
        raise AddressError("reply address", "its extension is reserved or has a length that means something else")
    return destination


def _extension(target: ReplyAddress) -> str:
    match target:
        case Slot(number, width):
            return f"{number:0{width}d}"
        case Direct(account):
            return str(account)
        case _:
            return ""


def slot(number: SlotNumber) -> Slot:
    """The slot of a number, in its natural width."""
    return Slot(number, len(str(number)))


def slot_numbers(plan: Plan) -> Iterable[SlotNumber]:
    """Every number the plan can give out, lowest first."""
    width_max = min(plan.slot_width_max, plan.digits_max - len(plan.base))
    numbers = range(10 ** (plan.slot_width_min - 1), 10**width_max)
    return (SlotNumber(number) for number in numbers if not _is_reserved(str(number), plan))


def next_slot(plan: Plan, ever_used: Collection[int]) -> SlotNumber | None:
    """The lowest number never given out to this subscriber under this base; None when all have been."""
    return next((number for number in slot_numbers(plan) if number not in ever_used), None)


def choose_slot(plan: Plan, uses: Collection[SlotUse], now_us: int, *, idle_us: int = IDLE_US) -> Choice | None:
    """The slot for a new contact: lowest never used, else the longest quarantined one that is free, else the longest idle one.

    None means the contact gets no slot and is named in the text instead. A blocked slot is never given away.
    """
    fresh = next_slot(plan, {use.number for use in uses})
    if fresh is not None:
        return Choice(fresh, reused=False)
    free = [(use.free_after_us, use.number) for use in uses if use.state == SlotState.QUARANTINE and use.free_after_us <= now_us]
    idle = [(use.last_used_us, use.number) for use in uses if use.state == SlotState.ACTIVE and now_us - use.last_used_us > idle_us]
    addressable = set(slot_numbers(plan))  # a plan that became narrower leaves slots it can no longer address
    again = (number for _, number in (*sorted(free), *sorted(idle)) if number in addressable)
    return next((Choice(number, reused=True) for number in again), None)
