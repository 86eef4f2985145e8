"""How carriers write message ids: one way in submit_sm_resp and another in the receipt. For the simulated world; pure.

Written here by hand and not by gateway.smpp.id_forms, so that a mistake of the one can't hide in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

# From a message's number to (id in the response, id in the receipt).
Habit = Callable[[int], tuple[str, str]]


def _guid(number: int) -> str:
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


HABITS: Final[Mapping[str, Habit]] = MappingProxyType(
    {
        "same": lambda number: (str(number), str(number)),
        "hex then decimal": lambda number: (f"{number:X}", str(number)),
        "small hex then decimal": lambda number: (f"{number:x}", str(number)),
        "padded hex then decimal": lambda number: (f"{number:08X}", str(number)),
        "decimal then hex": lambda number: (str(number), f"{number:X}"),
        "padded decimal then hex": lambda number: (f"{number:010d}", f"{number:x}"),
        "padded then plain": lambda number: (f"{number:010d}", str(number)),
        "plain then padded": lambda number: (str(number), f"{number:010d}"),
        "small then capital": lambda number: (f"{number + 0xABC0000000:x}", f"{number + 0xABC0000000:X}"),
        "0x dropped": lambda number: (f"0x{number + 0xABC0000000:x}", f"{number + 0xABC0000000:x}"),
        "dashes dropped": lambda number: (_guid(number), _guid(number).replace("-", "")),
        "64 bits": lambda number: (f"{number + (1 << 63):X}", str(number - (1 << 63))),
        "with a suffix": lambda number: (str(number), f"{number}-1"),
    }
)


class HabitualIds:
    """A counter that writes its numbers by habit."""

    def __init__(self, habit: Habit, first: int) -> None:
        self._habit = habit
        self._next = first

    def take(self) -> tuple[str, str]:
        """The next id as the response and as the receipt write it."""
        number = self._next
        self._next = number + 1
        return self._habit(number)
