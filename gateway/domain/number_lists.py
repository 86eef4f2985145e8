"""Numbers and senders that may not be used, or the only ones that may: for everybody, for one partner, for one service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.domain.number_set import NumberSet
from gateway.domain.prefixes import PrefixMap


class NumberList(NamedTuple):
    """One list as read from its file; without a partner and a service it is for everybody."""

    name: str
    is_allow: bool
    is_of_senders: bool
    partner: str
    service: str
    numbers: NumberSet
    prefixes: PrefixMap[bool]

    def has(self, number: str) -> bool:
        """Whether a number, or a sender in small letters, is on it."""
        return number in self.numbers or (bool(self.prefixes) and self.prefixes.longest(number) is not None)


class Verdict(NamedTuple):
    """Which list stops a message, and by which of its addresses."""

    list_name: str
    is_sender: bool
    is_missing: bool  # it is an allow list, and the address is not on it

    def __str__(self) -> str:
        what = "sender" if self.is_sender else "destination"
        return f'the {what} is not on the list "{self.list_name}"' if self.is_missing else f'the {what} is on the list "{self.list_name}"'


class NumberLists:
    """All lists; those of one partner and service are picked out once and kept."""

    def __init__(self, lists: Sequence[NumberList] = ()) -> None:
        self._lists = tuple(lists)
        self._picked: dict[tuple[str, str], tuple[NumberList, ...]] = {}

    def __len__(self) -> int:
        return len(self._lists)

    def stops(self, partner: str, service: str, source: str, destination: str) -> Verdict | None:
        """The list that stops this message. Every list that is for it must let it pass; a block list goes before any allow list."""
        key = partner, service
        lists = self._picked.get(key)
        if lists is None:
            lists = self._picked[key] = self._pick(partner, service)
        source = source.lower()
        for each in lists:
            if each.has(source if each.is_of_senders else destination) is not each.is_allow:
                return Verdict(each.name, each.is_of_senders, each.is_allow)
        return None

    def _pick(self, partner: str, service: str) -> tuple[NumberList, ...]:
        mine = [each for each in self._lists if each.partner in ("", partner) and each.service in ("", service)]
        return tuple(sorted(mine, key=lambda each: each.is_allow))
