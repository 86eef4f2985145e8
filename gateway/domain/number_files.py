"""The files of numbering and of number lists, read line by line; a bad line is named by its file and number, never quoted.

An empty line and one that begins with # say nothing. A line of column names is passed over where it is the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.domain.failure import Refused
from gateway.domain.number_set import VALUES_MAX, NumberMap, NumberSet
from gateway.domain.numbering import Network, Numbering, Rates
from gateway.domain.prefixes import PrefixMap

ENTRY_CHARS_MAX = 64
COST_MAX = 10**12
_PUNCTUATION = str.maketrans("", "", " -.()/")
_SEPARATOR = re.compile(r"[;,]")
_HEADINGS = frozenset({"number", "msisdn", "prefix", "link", "sender", "destination"})


def fault(path: str, line: int, what: str) -> Refused:
    """A refusal that says where a file is wrong."""
    return Refused("bad_file", f"{path}:{line}: {what}")


def decoded(path: str, content: bytes) -> str:
    """A file's text; raises Refused when it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fault(path, content.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    is_first = True
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] == "#":
            continue
        if is_first:
            is_first = False
            if _SEPARATOR.split(line, maxsplit=1)[0].strip().strip('"').lower() in _HEADINGS:
                continue
        yield number, line


def _fields(line: str) -> list[str]:
    return [field.strip().strip('"').strip() for field in _SEPARATOR.split(line)]


def _digits(written: str) -> str:
    """Digits of an international number or prefix as people write them; "" when it is none."""
    digits = written.translate(_PUNCTUATION)
    digits = digits[1:] if digits.startswith("+") else digits.removeprefix("00")
    return digits if digits.isascii() and digits.isdigit() and len(digits) <= 15 else ""


def read_list(path: str, text: str) -> tuple[NumberSet, PrefixMap[bool]]:
    """The numbers and prefixes of a list: one entry a line or the first column of a CSV; `8613*` is a prefix, a sender may be a name."""
    numbers, prefixes = NumberSet(), {}
    for number, line in _lines(text):
        # Most lines of a long list are a number and nothing else.
        entry = line if line.isdigit() else _fields(line)[0]
        entry = entry.partition(" #")[0].rstrip()
        is_prefix = entry.endswith("*")
        entry = entry.rstrip("*")
        if entry[:1] == "+" or entry[:2] == "00" or (entry[:1].isdigit() and not entry.isdigit()):
            entry = _digits(entry) or entry
        if not entry or len(entry) > ENTRY_CHARS_MAX or not entry.isprintable():
            raise fault(path, number, "is no number, prefix or sender" if entry else "stops or allows everything; write a prefix before *")
        if is_prefix:
            prefixes[entry.lower()] = True
        else:
            numbers.add(entry.lower())
    return numbers.settle(), PrefixMap(prefixes.items())


def read_plan(path: str, text: str) -> PrefixMap[Network]:
    """A numbering plan: `prefix;mcc;mnc;operator;country`, the last two optional."""
    networks: dict[Network, Network] = {}
    plan = {}
    for number, line in _lines(text):
        fields = [*_fields(line), "", ""]
        prefix = _digits(fields[0])
        if not prefix or not 5 <= len(fields) <= 7:
            raise fault(path, number, "must be prefix;mcc;mnc;operator;country")
        mcc, mnc, operator, country = fields[1:5]
        if not (len(mcc) == 3 and len(mnc) in (2, 3) and (mcc + mnc).isascii() and (mcc + mnc).isdigit()):
            raise fault(path, number, "MCC is 3 digits and MNC 2 or 3, as in ITU-T E.212")
        network = Network(mcc, mnc, operator, country)
        plan[prefix] = networks.setdefault(network, network)
    return PrefixMap(plan.items())


def read_portability(path: str, text: str, plan: PrefixMap[Network]) -> tuple[NumberMap, tuple[Network, ...]]:
    """Numbers that were carried to another network: `number;network`, a network by its MCC and MNC or its operator's name in the plan."""
    known: dict[str, Network] = {}
    for prefix in plan:
        network = plan.longest(prefix)
        assert network is not None, "each prefix has its network"
        known.setdefault(network.code, network)
        if network.operator:
            known.setdefault(network.operator.lower(), network)
    places: dict[str, int] = {}
    networks: list[Network] = []
    ported = NumberMap()
    for number, line in _lines(text):
        written, separator, name = line.partition(";")
        if not separator:
            written, separator, name = line.partition(",")
        digits = written if written.isdigit() else _digits(written)
        name = name.strip().lower()
        place = places.get(name)
        if place is None:
            if not separator or not name:
                raise fault(path, number, "must be number;network")
            place = places[name] = len(networks)
            if place == VALUES_MAX:
                raise fault(path, number, f"names more than {VALUES_MAX} networks")
            networks.append(_network(path, number, name, known))
        try:
            ported.add(digits, place)
        except ValueError:
            raise fault(path, number, "the number is not 1 to 15 digits") from None
    return ported.settle(), tuple(networks)


def _network(path: str, line: int, name: str, known: dict[str, Network]) -> Network:
    network = known.get(name)
    if network is None and name.isascii() and name.isdigit() and len(name) in (5, 6):
        network = Network(name[:3], name[3:], "", "")
    if network is None:
        raise fault(path, line, "the network is neither MCC and MNC nor an operator of the numbering plan")
    return network


def numbering_of(plan: tuple[str, str] | None, portability: tuple[str, str] | None) -> Numbering:
    """Both tables from their (path, text); either may be missing."""
    prefixes: PrefixMap[Network] = PrefixMap() if plan is None else read_plan(*plan)
    ported, networks = (NumberMap(), ()) if portability is None else read_portability(*portability, prefixes)
    return Numbering(prefixes, ported, networks)


def read_rates(path: str, text: str) -> Rates:
    """What links ask: `link;prefix;cost`, the cost a whole number in a unit of your own, the same for every link."""
    by_link: dict[str, dict[str, int]] = {}
    for number, line in _lines(text):
        fields = _fields(line)
        if len(fields) < 3 or not fields[0]:
            raise fault(path, number, "must be link;prefix;cost")
        link, prefix, cost = fields[0], _digits(fields[1]), fields[2]
        if not prefix:
            raise fault(path, number, "the prefix is not 1 to 15 digits")
        if not (cost.isascii() and cost.isdigit()) or int(cost) > COST_MAX:
            raise fault(path, number, f"the cost is not a whole number from 0 to {COST_MAX}")
        by_link.setdefault(link, {})[prefix] = int(cost)
    return Rates({link: PrefixMap(rates.items()) for link, rates in by_link.items()})
