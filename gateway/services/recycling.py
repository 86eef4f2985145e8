"""The price of what was suspended, once the tariff is mended: that of its own time, for the parts that were delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from billing.event import BY_PART_CLASSES, BillableEvent, Direction, FeeClass, Payer
from billing.suspense import Price
from gateway.domain.failure import Refused
from gateway.domain.message import State
from gateway.domain.verdict import STAT_OF_STATE
from gateway.services.rating import Rated, Rating
from gateway.store import im, partners, wallets

_WHOLE = STAT_OF_STATE[State.DELIVERED]


def price_of(conn: Connection, rating: Rating, revenue_of: Callable[[str], int]) -> Callable[[Mapping[str, Any]], Price | str]:
    """Prices a charge's row for `billing.suspense.recycle`, or says why it has none yet; its counters are read in this transaction."""

    def price(row: Mapping[str, Any]) -> Price | str:
        parts = row["parts"] if row["delivery_status"] == _WHOLE else row["parts_charged"]
        event = BillableEvent(*(row[name] for name in BillableEvent._fields))._replace(parts=parts)
        try:
            rated = _rated(rating, event)
        except Refused as refused:
            return refused.text
        if rated is None:
            return "no version of the tariff holds at its time, or no rule of it fits"
        if rated.reason:
            return rated.reason
        if _is_sent_for_money(rated.event):
            # Before it is counted: a counter may be that of the wallet.
            wallet = _wallet(conn, rated.event)
            if wallet is None and rated.event.amount_minor:
                return f"its price is in {rated.event.currency}, and who sent it has no wallet in {rated.event.currency}"
            rated = rated._replace(event=rated.event._replace(wallet=wallet))
        counter, units = None, 0
        if rated.rule is not None:
            rated, counter, counted = rating.counted(conn, rated)
            units = len(counted)
        found, facts = rated.event, rated.facts
        if parts < row["parts"] and found.fee_class not in BY_PART_CLASSES:
            return "not all of it was delivered, and it is charged as a whole: discard it"
        money = (found.quantity, found.unit_price_minor, found.amount_minor, facts.tax_minor, int(found.fee_class), found.currency)
        names = (found.tariff_version, found.tariff_rule, revenue_of(found.currency), int(found.payer), found.wallet, found.charged_msisdn)
        said = (facts.provider, facts.promotion, facts.allowance, facts.trace)
        return Price(row["parts_charged"], *money, *names, *said, counter, units)

    return price


def _rated(rating: Rating, event: BillableEvent) -> Rated | None:
    if rating.version_at(event.event_at) is None:
        return None
    if event.direction == Direction.MO:
        return rating.rated_mo(event)
    return rating.rated(event, event.peer_msisdn or event.charged_msisdn or "")


def _is_sent_for_money(event: BillableEvent) -> bool:
    """Whether the wallet of who sent it pays where there is something to pay, and no phone, sponsor or provider."""
    return event.direction == Direction.MT and event.payer in (Payer.SP, Payer.SOURCE) and event.fee_class != FeeClass.SP_COLLECTED


def _wallet(conn: Connection, event: BillableEvent) -> int | None:
    """The sender's wallet in the currency of the price: it was suspended before anybody knew in which."""
    if event.wallet is not None and wallets.currency_of(conn, event.wallet) == event.currency:
        return event.wallet
    if event.im_account is None:
        return partners.wallet_of_sender(conn, event.id, event.currency)
    purse = im.purse_in(conn, event.im_account, event.currency)
    return None if purse is None else purse.wallet
