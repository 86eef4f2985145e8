"""What the HTTP door shows beside the messages API: status, the operator's orders, the billing staff's desk, the chat page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway import wiring
from gateway.web import billing_door, chat, control, control_links, control_partners, control_receipts, control_routes, status
from gateway.web.billing_api import BILLING
from gateway.web.billing_door import Desk
from gateway.wiring_billing import rules_of

if TYPE_CHECKING:
    from gateway.app import Gateway


def pages_of(gateway: Gateway, operator_token: str | None) -> list[Callable[[web.Application], None]]:
    """What adds the routes; without a token there are no operator's orders."""
    settings = gateway.settings
    steps = gateway.bookkeeping.subscriptions
    store = (gateway.world, gateway.writer, gateway.reader)
    desk = Desk(*store, gateway.books, gateway.jobs, steps, gateway.tariffs.refresh, rules_of(settings))
    limits = wiring.web_limits(settings.web)
    pages: list[Callable[[web.Application], None]] = [
        lambda app: status.add_routes(app, gateway.status),
        lambda app: billing_door.add_routes(app, desk, limits, BILLING),
    ]
    if operator_token is not None:
        expected = control.token_hash(operator_token)
        pages.append(lambda app: control.add_routes(app, expected, _orders(gateway)))
    if settings.messenger.enabled:
        pages.append(lambda app: chat.add_routes(app, gateway.messenger, gateway.redeeming))
    return pages


def _orders(gateway: Gateway) -> list[control.Order]:
    """What an operator may tell this gateway."""

    async def tell(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        return gateway.status()

    return [
        control.Order("GET", "/status", tell),
        *control_links.orders(gateway.links, gateway.reader, gateway.reload),
        *control_partners.orders(gateway.accounts, gateway.smpp_server, gateway.reader, gateway.world.clock),
        *control_routes.orders(gateway.routing, gateway.opt_outs, gateway.reader, gateway.world.clock),
        *control_receipts.orders(gateway.replay),
    ]
