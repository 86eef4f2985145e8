"""/v1/ops/routes and /v1/ops/optouts: the rules in force, which of them a message would take, their files read again; who has opted out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from gateway.domain.address import AddressError, from_smpp, msisdn, sender
from gateway.domain.failure import Refused
from gateway.domain.message import Front
from gateway.domain.routing import RouteFacts
from gateway.services.opt_outs import OptOut, OptOuts
from gateway.services.ports import Reader
from gateway.services.routing import Routing
from gateway.store import slots
from gateway.web.control import Order
from gateway.world import Clock

SHOWN_MAX = 10_000


def orders(routing: Routing, opt_outs: OptOuts, reader: Reader, clock: Clock) -> list[Order]:
    """What an operator may ask of routing and of opt-outs."""

    async def rules(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        return {"rules": routing.rules()}

    async def explain(_where: dict[str, str], asked: dict[str, Any]) -> Any:
        return routing.explain(facts_of(asked, clock.now_us(), routing.default_service))

    async def reload(_where: dict[str, str], _asked: dict[str, Any]) -> Any:
        return await routing.reload()

    async def opted_out(_where: dict[str, str], asked: dict[str, Any]) -> Any:
        number = str(asked.get("number", ""))
        found = await reader.read(listed, number and number_of(number))
        return {"opt_outs": found}

    async def stop(_where: dict[str, str], asked: dict[str, Any]) -> Any:
        return await _record(opt_outs, asked, is_stopped=True)

    async def start(_where: dict[str, str], asked: dict[str, Any]) -> Any:
        return await _record(opt_outs, asked, is_stopped=False)

    return [
        Order("GET", "/routes", rules),
        Order("GET", "/routes/explain", explain),
        Order("POST", "/routes/reload", reload),
        Order("GET", "/optouts", opted_out),
        Order("POST", "/optouts", stop),
        Order("DELETE", "/optouts", start),
    ]


async def _record(opt_outs: OptOuts, asked: dict[str, Any], *, is_stopped: bool) -> Any:
    decision = OptOut(number_of(str(asked.get("number", ""))), code_of(str(asked.get("code", ""))), is_stopped)
    await opt_outs.record(decision)
    return decision._asdict()


def listed(conn: Connection, number: str) -> list[dict[str, Any]]:
    """The opt-outs, as many as are worth showing, or those of one subscriber."""
    found: list[dict[str, Any]] = []
    for digits, code, since in slots.opt_outs(conn, number):
        found.append({"number": f"+{digits}", "code": code, "since": since})
        if len(found) == SHOWN_MAX:
            break
    return found


def facts_of(asked: dict[str, Any], now_us: int, default_service: str) -> RouteFacts:
    """What routing looks at, from words: to, from, partner, service, front and at; raises Refused."""
    source = source_of(str(asked.get("from", "")))
    front = str(asked.get("front") or ("smpp" if asked.get("partner") else "http"))
    if front.upper() not in Front.__members__:
        raise Refused("bad_field", f"must be one of {', '.join(each.name.lower() for each in Front)}", field="front")
    return RouteFacts(
        str(asked.get("partner", "")),
        str(asked.get("service") or default_service),
        *source,
        number_of(str(asked.get("to", "")), field="to"),
        int(Front[front.upper()]),
        _time_of(str(asked.get("at", "")), now_us),
    )


def source_of(typed: str) -> tuple[str, int]:
    """A sender and its type of number; none is a short code of no digits."""
    if not typed:
        return "", 0
    try:
        address = sender(typed)
    except AddressError as error:
        raise Refused("bad_field", error.reason, field="from") from None
    return address.digits_or_name, address.ton


def number_of(typed: str, *, field: str = "number") -> str:
    """A subscriber's number as the store keeps it; raises Refused."""
    try:
        return msisdn(typed).digits_or_name
    except AddressError as error:
        raise Refused("bad_field", error.reason, field=field) from None


def code_of(typed: str) -> str:
    """A sender as the store keeps it, "" for all; raises Refused."""
    if not typed:
        return ""
    try:
        return from_smpp(0, 1, typed).digits_or_name
    except AddressError as error:
        raise Refused("bad_field", error.reason, field="code") from None


def _time_of(at: str, now_us: int) -> int:
    if not at:
        return now_us
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return int(moment.timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise Refused("bad_field", "must be a time with its zone, such as 2026-11-23T22:30+08:00", field="at") from None
