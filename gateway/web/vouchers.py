"""POST /v1/vouchers: a partner brings in a voucher it holds."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import hdrs, web

from gateway.services.redeeming import Brought, Redeeming
from gateway.web.api import JSON, wallet_fields
from gateway.web.body import read_body
from gateway.web.intake import code_of, parse
from gateway.web.keys import Keys
from gateway.web.limits import Limits

_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}


class VoucherApi:
    """The handler."""

    def __init__(self, redeeming: Redeeming, keys: Keys, limits: Limits) -> None:
        self._redeeming = redeeming
        self._keys = keys
        self._limits = limits

    async def post(self, request: web.Request) -> web.Response:
        """Redeem a code for the caller; on disk when this answers."""
        authorization = request.headers.get(hdrs.AUTHORIZATION)
        caller = await self._keys.find(authorization)
        code = code_of(parse(await read_body(request, self._limits)))
        done = await self._redeeming.redeem(f"partner:{caller.partner.name}", code, address=request.remote or "")
        if done.wallet.currency not in dict(caller.partner.wallets):
            self._keys.forget(authorization)  # what it brought can be spent at once
        return web.Response(body=orjson.dumps(brought_fields(done)), content_type=JSON, headers=_NO_STORE)


def brought_fields(done: Brought) -> dict[str, Any]:
    """What a code brought, as JSON."""
    wallet = done.wallet
    return {"amount_minor": done.value_minor, "currency": wallet.currency, "is_new": done.is_new, "wallet": wallet_fields(wallet)}
