"""What a message costs when a tariff says so: the version that holds, the rule that fits, and who pays.

While no version of the plan is approved the services' own prices hold, and none of this is asked. A rule that counts is priced for the
most it can cost; the transaction that accepts the message looks at the counters and says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from billing import counters, tariffs
from billing.booking import Booking
from billing.bulk import Row
from billing.counters import Counter
from billing.event import BillableEvent, Direction, FeeClass, Payer
from billing.schema import account
from billing.tariff import rate
from billing.tariff.rate import Priced
from billing.tariff.rule import BY_PAYER, Model, Rule
from billing.tariff.version import Matcher, Question, Version, VersionState
from gateway.domain.failure import Refused

SUSPENSE_RULE = "suspense"
_SPONSOR = "sponsor:"


class Facts(NamedTuple):
    """What few charges have beside their event's own columns, in the order of billing.book.FACTS."""

    tax_minor: int = 0
    provider: str | None = None
    promotion: str | None = None
    allowance: str | None = None
    trace: str | None = None
    mo_link_id: str | None = None

    def row(self, charge_id: int) -> Row:
        """As the books take it."""
        return (charge_id, *self)


NO_FACTS = Facts()
_DIRECTIONS = {int(direction): direction.name for direction in Direction}


class Rated(NamedTuple):
    """An event with its price; `reason` says why it has none and is suspended."""

    event: BillableEvent
    facts: Facts = NO_FACTS
    rule: Rule | None = None  # one that counts: priced anew where the counters are
    rule_name: str = ""
    number: str = ""  # the phone's
    reason: str = ""


class Prices(NamedTuple):
    """The approved versions of the plan, and who its sponsors are: read together, replaced together."""

    matchers: tuple[Matcher, ...] = ()
    sponsors: Mapping[tuple[str, str], int] = {}  # by party and currency
    stamp: tuple[int, int, int] = (0, 0, 0)


class Rating:
    """Prices events; `reload` takes other versions."""

    def __init__(self, books: Booking, *, plan: str = "main", suspends: bool = False) -> None:
        self._books = books  # its carriers may be others after a reload
        self.plan = plan
        self._suspends = suspends
        self._prices = Prices()

    @property
    def is_used(self) -> bool:
        """Whether any version of the plan is approved."""
        return bool(self._prices.matchers)

    @property
    def stamp(self) -> tuple[int, int, int]:
        """Of the versions in use; see billing.tariffs.stamp."""
        return self._prices.stamp

    @property
    def lacks_sponsors(self) -> bool:
        """Whether a rule names somebody who had no account when it was read."""
        known = self._prices.sponsors
        rules = (rule for matcher in self._prices.matchers for rule in matcher.version.rules)
        return any(rule.payer.startswith(_SPONSOR) and (rule.payer, rule.currency) not in known for rule in rules)

    def reload(self, prices: Prices) -> None:
        """Take other versions."""
        self._prices = prices

    def version_at(self, at_us: int) -> Matcher | None:
        """The version that holds at an instant."""
        return next((each for each in self._prices.matchers if each.version.holds_at(at_us)), None)

    def rated(self, event: BillableEvent, number: str, *, mo_link_id: str = "") -> Rated:
        """The event with its tariff's price, as it came where no version holds; raises Refused where no rule fits."""
        matcher = self.version_at(event.event_at)
        if matcher is None:
            return Rated(event, Facts(mo_link_id=mo_link_id or None))
        carrier = self._books.carriers.of_link(event.link).name
        rule = matcher.rule_for(Question(event.service, carrier, number, _DIRECTIONS[event.direction]))
        if rule is None:
            return self._unrated(event, "no_rule", f"no rule of {matcher.version.name} fits service {event.service} on carrier {carrier}")
        found = self._priced(event, matcher.version, rule, number)
        if found is None:
            return self._unrated(event, "no_sponsor", _no_sponsor(rule))
        return found._replace(facts=found.facts._replace(mo_link_id=mo_link_id)) if mo_link_id else found

    def rated_mo(self, event: BillableEvent) -> Rated | None:
        """An MO with the price of a rule of its direction; None: there is none, and it is free. Its phone pays, or a sponsor."""
        matcher, number = self.version_at(event.event_at), event.charged_msisdn or ""
        if matcher is None or not event.service:
            return None
        carrier = self._books.carriers.of_link(event.link).name
        rule = matcher.rule_for(Question(event.service, carrier, number, Direction.MO.name))
        if rule is None:
            return None
        return self._priced(event, matcher.version, rule, number) or Rated(event, reason=f"no_sponsor: {_no_sponsor(rule)}")

    def _priced(self, event: BillableEvent, version: Version, rule: Rule, number: str) -> Rated | None:
        """The event by a rule, for the most it can cost; None for a sponsor without an account."""
        priced = rate.plain(rule, event.parts, event.event_at) or rate.most(rule, event.parts, event.event_at)
        paid = self._paid(event, rule, number)
        if paid is None:
            return None
        is_bare = not (priced.tax_minor or rule.provider or priced.promotion)
        facts = NO_FACTS if is_bare else Facts(priced.tax_minor, rule.provider or None, priced.promotion)
        is_counted = rule.is_counted and priced.amount_minor > 0
        name = f"{version.plan}/{rule.name}"
        return Rated(_with_price(paid, version, rule, priced), facts, rule if is_counted else None, name, number)

    def quote(self, service: str, link: str, number: str, parts: int, at_us: int) -> Priced | None:
        """The most an MT would cost; None where no version holds. Raises Refused where no rule fits and none may be missing."""
        matcher = self.version_at(at_us)
        if matcher is None:
            return None
        carrier = self._books.carriers.of_link(link).name
        rule = matcher.rule_for(Question(service, carrier, number, Direction.MT.name))
        if rule is not None:
            return rate.most(rule, parts, at_us)
        if not self._suspends:
            raise Refused("no_price", f"no rule of {matcher.version.name} fits service {service} on carrier {carrier}", field="service")
        return None

    def counted(self, conn: Connection, rated: Rated) -> tuple[Rated, Counter, tuple[int, ...]]:
        """The price of a counted event as the counters make it, and that of each unit: for where it is accepted, then `counters.take`."""
        event, rule = rated.event, rated.rule
        assert rule is not None
        payer = str(event.wallet) if rule.count_by == BY_PAYER and event.wallet is not None else f"+{rated.number}"
        day = self._books.carriers.day(self._books.carriers.of_link(event.link).name, event.event_at)
        counter = Counter(payer, rated.rule_name, day)
        priced = rate.price(rule, event.parts, event.event_at, counters.read(conn, counter))
        final = event._replace(fee_class=priced.fee_class, quantity=priced.quantity, amount_minor=priced.amount_minor)
        trace = json.dumps(list(priced.steps), ensure_ascii=False, separators=(",", ":"))
        facts = rated.facts._replace(tax_minor=priced.tax_minor, allowance=priced.allowance, trace=trace)
        return rated._replace(event=final, facts=facts), counter, priced.units

    def _paid(self, event: BillableEvent, rule: Rule, number: str) -> BillableEvent | None:
        """The event with who pays; None for a sponsor without an account."""
        is_mo = event.direction == Direction.MO
        if rule.payer == "sender" and not is_mo:
            return event._replace(wallet=None) if rule.model is Model.SP_COLLECTED else event
        if rule.payer == "subscriber" or rule.payer == "sender":
            return event._replace(payer=Payer.SOURCE if is_mo else Payer.DEST, wallet=None, charged_msisdn=number)
        wallet = self._prices.sponsors.get((rule.payer, rule.currency))
        return None if wallet is None else event._replace(payer=Payer.OTHER, wallet=wallet)

    def _unrated(self, event: BillableEvent, reason: str, detail: str) -> Rated:
        if not self._suspends:
            raise Refused("no_price", detail, field="service")
        # As if by the part, so that the record says how many were delivered.
        free = event._replace(
            fee_class=FeeClass.PER_PART, quantity=event.parts, unit_price_minor=0, amount_minor=0, tariff_rule=SUSPENSE_RULE
        )
        return Rated(free, reason=f"{reason}: {detail}")


def load(conn: Connection, plan: str) -> Prices:
    """For reading: the approved versions of a plan and the sponsors' accounts."""
    stamp = tariffs.stamp(conn, plan)
    versions = [kept.version for kept in tariffs.of_plan(conn, plan, VersionState.APPROVED)]
    rows = conn.execute(account.select().where(account.c.party.like(f"{_SPONSOR}%"))).all() if versions else []
    return Prices(tuple(Matcher(version) for version in versions), {(row.party, row.currency): row.id for row in rows}, stamp)


def _with_price(event: BillableEvent, version: Version, rule: Rule, priced: Priced) -> BillableEvent:
    return event._replace(
        fee_class=priced.fee_class,
        quantity=priced.quantity,
        unit_price_minor=priced.unit_price_minor,
        amount_minor=priced.amount_minor,
        currency=priced.currency,
        tariff_version=version.name,
        tariff_rule=rule.name,
    )


def _no_sponsor(rule: Rule) -> str:
    return f"rule {rule.name} names {rule.payer}, who has no account in {rule.currency}"


def currencies_of(versions: Sequence[Version]) -> set[str]:
    """Every currency these price in."""
    return {rule.currency for version in versions for rule in version.rules}
