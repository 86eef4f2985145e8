"""Routing as configured, and its files read into tables: all of them good, or nothing."""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain import number_files
from gateway.domain.failure import Refused
from gateway.domain.number_lists import NumberList, NumberLists
from gateway.domain.numbering import NO_RATES
from gateway.domain.routing import Rule, Table
from gateway.world import Disk


class ListSource(NamedTuple):
    """A number list and where its entries are."""

    name: str
    path: str
    is_allow: bool
    is_of_senders: bool
    partner: str
    service: str


class Sources(NamedTuple):
    """Everything routing is made from; a path that is "" names no file."""

    rules: tuple[Rule, ...] = ()
    lists: tuple[ListSource, ...] = ()
    plan_path: str = ""
    portability_path: str = ""
    rates_path: str = ""


class Routes(NamedTuple):
    """Rules and lists, ready to be asked."""

    table: Table
    lists: NumberLists

    def counts(self) -> dict[str, int]:
        """How much of each there is."""
        table = self.table
        return {"rules": len(table.rules), "numbering": len(table.numbering), "rates": len(table.rates), "lists": len(self.lists)}


NO_ROUTES = Routes(Table(()), NumberLists())


def read(disk: Disk, sources: Sources) -> Routes:
    """Read every file; blocks. Raises Refused that names the file, and the line where one is bad."""
    plan = (sources.plan_path, _text(disk, sources.plan_path)) if sources.plan_path else None
    ported = (sources.portability_path, _text(disk, sources.portability_path)) if sources.portability_path else None
    numbering = number_files.numbering_of(plan, ported)
    rates = number_files.read_rates(sources.rates_path, _text(disk, sources.rates_path)) if sources.rates_path else NO_RATES
    lists = []
    for source in sources.lists:
        numbers, prefixes = number_files.read_list(source.path, _text(disk, source.path))
        lists.append(NumberList(source.name, source.is_allow, source.is_of_senders, source.partner, source.service, numbers, prefixes))
    return Routes(Table(sources.rules, numbering, rates), NumberLists(lists))


def _text(disk: Disk, path: str) -> str:
    try:
        return number_files.decoded(path, disk.read_bytes(path))
    except OSError as error:
        raise Refused("bad_file", f"{path}: cannot be read: {error.strerror or type(error).__name__}") from None
