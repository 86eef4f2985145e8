"""What an operator may tell the gateway about its partners: look, read the store again, unbind, alert."""

from __future__ import annotations

from typing import Any, Protocol

from gateway.domain import policy as policies
from gateway.domain.address import Address, AddressError, msisdn
from gateway.domain.failure import Refused
from gateway.services.accounts import Account, Accounts
from gateway.services.ports import Reader
from gateway.store import outbox
from gateway.store.partners import by_name
from gateway.web.control import Order
from gateway.world import Clock

ESME_ADDRESS_CHARS_MAX = 20


class Door(Protocol):
    """The partners' SMPP door."""

    def sessions_of(self, partner_id: int) -> list[dict[str, Any]]: ...

    def unbind(self, partner_id: int) -> int: ...

    def alert(self, partner_id: int, source: Address, esme: str, is_available: bool) -> int: ...


def orders(accounts: Accounts, door: Door, reader: Reader, clock: Clock) -> list[Order]:
    """The orders about partners."""

    async def account_of(where: dict[str, str]) -> Account:
        name = where["name"]
        partner = await reader.read(by_name, name)
        if partner is None:
            raise Refused("not_found", f'there is no partner "{name[:15]}"', field="name")
        return accounts.learn(partner)

    async def tell_all(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        await accounts.refresh()
        known = sorted(accounts.known(), key=lambda each: each.partner.name)
        return {"partners": [_brief(account, door, accounts, clock) for account in known]}

    async def tell(where: dict[str, str], _asked: dict[str, Any]) -> Any:
        account = await account_of(where)
        held = await reader.read(outbox.count_waiting_for, outbox.partner_target(account.partner.id))
        return {
            **_brief(account, door, accounts, clock),
            "held": held,
            "policy": policies.changed(account.policy),
            "sessions": door.sessions_of(account.partner.id),
        }

    async def refresh(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        await accounts.refresh()
        return {"partners": len(accounts.known())}

    async def unbind(where: dict[str, str], _asked: dict[str, Any]) -> Any:
        account = await account_of(where)
        return {"partner": account.partner.name, "unbound": door.unbind(account.partner.id)}

    async def alert(where: dict[str, str], asked: dict[str, Any]) -> Any:
        account = await account_of(where)
        phone, esme, is_available = asked.get("from", ""), asked.get("to", ""), asked.get("available", True)
        if not isinstance(phone, str) or not isinstance(esme, str) or not isinstance(is_available, bool):
            raise Refused("bad_field", "from and to are texts, available is true or false")
        if not esme.isascii() or not esme.isprintable() or len(esme) > ESME_ADDRESS_CHARS_MAX:
            raise Refused("bad_field", f"has at most {ESME_ADDRESS_CHARS_MAX} characters", field="to")
        try:
            source = msisdn(phone)
        except AddressError as error:
            raise Refused("bad_address", error.reason, field="from") from None
        return {"partner": account.partner.name, "alerted": door.alert(account.partner.id, source, esme, is_available)}

    return [
        Order("GET", "/partners", tell_all),
        Order("POST", "/partners/refresh", refresh),
        Order("GET", "/partners/{name}", tell),
        Order("POST", "/partners/{name}/unbind", unbind),
        Order("POST", "/partners/{name}/alert", alert),
    ]


def _brief(account: Account, door: Door, accounts: Accounts, clock: Clock) -> dict[str, Any]:
    admission = accounts.admissions.get(account.partner.id)
    limit = account.policy.messages_per_day
    return {
        "name": account.partner.name,
        "enabled": account.partner.is_enabled,
        "usable": account.is_open,
        "binds": len(door.sessions_of(account.partner.id)),
        "today": admission.used_today(clock.now_us()) if admission is not None and limit else None,
        "messages_per_day": limit or None,
    }
