"""Which network a number belongs to, and what a link asks for it: a numbering plan, a portability table over it, and rates."""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain.number_set import NumberMap
from gateway.domain.prefixes import PrefixMap


class Network(NamedTuple):
    """One mobile network; MCC and MNC as in ITU-T E.212."""

    mcc: str
    mnc: str
    operator: str
    country: str

    @property
    def code(self) -> str:
        """MCC and MNC in one, as networks are written in rules and tables."""
        return self.mcc + self.mnc

    @property
    def names(self) -> frozenset[str]:
        """Every word a rule may use for it, in small letters: 46000, 460, the operator, the country."""
        return frozenset(name.lower() for name in (self.code, self.mcc, self.operator, self.country) if name)

    def __str__(self) -> str:
        return " ".join(part for part in (self.code, self.operator) if part)


class Numbering:
    """A numbering plan, and the numbers that were carried to another network."""

    __slots__ = ("_names", "_networks", "_plan", "_ported")

    def __init__(self, plan: PrefixMap[Network], ported: NumberMap, networks: tuple[Network, ...]) -> None:
        self._plan = plan
        self._ported = ported
        self._networks = networks  # what the portability table's values stand for
        self._names = {network: network.names for network in {*(plan.longest(prefix) for prefix in plan), *networks} if network is not None}

    def __len__(self) -> int:
        return len(self._plan) + len(self._ported)

    def network_of(self, number: str) -> Network | None:
        """The network of an international number's digits: where it was carried to, else as the plan says."""
        place = self._ported.get(number)
        return self._plan.longest(number) if place is None else self._networks[place]

    def is_ported(self, number: str) -> bool:
        """Whether the portability table names the number."""
        return self._ported.get(number) is not None

    def names_of(self, network: Network) -> frozenset[str]:
        """`Network.names`, made once."""
        return self._names[network]


NO_NUMBERING = Numbering(PrefixMap(), NumberMap(), ())


class Rates:
    """What each link asks for a message to a number, in one unit throughout."""

    __slots__ = ("_by_link",)

    def __init__(self, by_link: dict[str, PrefixMap[int]]) -> None:
        self._by_link = by_link

    def __len__(self) -> int:
        return sum(map(len, self._by_link.values()))

    def cost(self, link: str, number: str) -> int | None:
        """The rate of the longest prefix; None where the table has none."""
        rates = self._by_link.get(link)
        return None if rates is None else rates.longest(number)


NO_RATES = Rates({})
