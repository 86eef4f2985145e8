"""Whose books a charge belongs in: carriers, the clock each counts its days on, and the links that lead to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, tzinfo
from typing import NamedTuple

from billing.calendar import DayFinder, Span


class Carrier(NamedTuple):
    """One carrier with books of its own."""

    name: str = "default"
    zone: tzinfo = UTC
    charges_late: bool = False  # a receipt after the end of its message is charged, instead of absorbed


class Carriers:
    """All carriers; a link that is mapped to none belongs to the first."""

    def __init__(self, carriers: Iterable[Carrier] = (), of_links: Mapping[str, str] | None = None) -> None:
        self._carriers: dict[str, Carrier] = {}
        self._of_links: dict[str | None, str] = {}
        self._finders: dict[str, DayFinder] = {}
        self.replace(carriers, of_links or {})

    def replace(self, carriers: Iterable[Carrier], of_links: Mapping[str, str]) -> None:
        """Take other carriers or other links."""
        known = tuple(carriers) or (Carrier(),)
        self._carriers = {carrier.name: carrier for carrier in known}
        self._finders = {carrier.name: DayFinder(carrier.zone) for carrier in known}
        self._of_links = {link: name for link, name in of_links.items() if name in self._carriers}
        self.default = known[0]

    def __iter__(self) -> Iterator[Carrier]:
        return iter(self._carriers.values())

    def named(self, name: str) -> Carrier | None:
        """The carrier of this name."""
        return self._carriers.get(name)

    def of_link(self, link: str | None) -> Carrier:
        """The carrier a link leads to."""
        return self._carriers[self._of_links.get(link, self.default.name)]

    def links_of(self, carrier: str) -> list[str]:
        """The links mapped to a carrier by name."""
        return [link for link, name in self._of_links.items() if link is not None and name == carrier]

    def day(self, carrier: str, at_us: int) -> int:
        """The day of an instant on a carrier's clock."""
        return self._finders[carrier].day(at_us)

    def span(self, carrier: str, at_us: int) -> Span:
        """That day with its instants."""
        return self._finders[carrier].span(at_us)
