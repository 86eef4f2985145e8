"""Tariffs over HTTP: drafted by one of the staff, approved by another; what is approved never changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from billing import tariff_view, tariffs
from billing.errors import TariffError
from billing.tariff import toml
from billing.tariff.version import Version
from billing.tariffs import Kept
from gateway.domain.failure import Refused
from gateway.store.staff import Scope
from gateway.web.billing_door import Action, Asked, BillingOperation, Call, Desk, Page, number_of, written

_TOML_CHARS_MAX = 2_000_000
_NAME_CHARS_MAX = 32


class TariffAsked(Asked):
    """A tariff."""

    toml: str = Field(min_length=1, max_length=_TOML_CHARS_MAX, description="The tariff as TOML")


class DiffAsked(Asked):
    """Two tariffs; the second is one that is kept, or TOML."""

    before: str = Field(max_length=_NAME_CHARS_MAX, description="A version, as main/1")
    after: str = Field("", max_length=_NAME_CHARS_MAX, description="A version, as main/2; give this or toml")
    toml: str = Field("", max_length=_TOML_CHARS_MAX)
    to: list[str] = Field([], max_length=100, description="Phones to compare prices for; empty: one for each prefix named")


class ApproveAsked(Asked):
    """How a version is approved."""

    now: bool = Field(False, description="Although it would hold within a minute, or since before now")


async def list_tariffs(desk: Desk, _call: Call) -> dict[str, Any]:
    """Every version of every plan."""
    found = await desk.reader.read(tariffs.of_plan)
    return {"tariffs": [tariff_view.fields(each) for each in found]}


async def show(desk: Desk, call: Call) -> dict[str, Any]:
    """One version with its rules, the most exact first."""
    return tariff_view.fields_with_rules(await desk.reader.read(_named, *_name_in(call)))


async def as_toml(desk: Desk, call: Call) -> Page:
    """One version as TOML."""
    version = (await desk.reader.read(_named, *_name_in(call))).version
    return Page(toml.write(version), "application/toml", f"{version.name.replace('/', '-')}.toml")


async def check(_desk: Desk, call: Call) -> dict[str, Any]:
    """Read a tariff and say what is wrong in it; nothing is stored."""
    return tariff_view.summary(_read(call.asked.toml))


async def compare(desk: Desk, call: Call) -> dict[str, Any]:
    """What changes between two tariffs, and what a message of one part costs before and after."""
    asked: DiffAsked = call.asked
    if bool(asked.after) == bool(asked.toml):
        raise Refused("bad_field", "give after or toml", field="after")
    numbers = [number_of(each, "to") for each in asked.to]
    first = (await desk.reader.read(_named, *_parsed(asked.before, "before"), "before")).version
    if asked.toml:
        second = _read(asked.toml)
    else:
        second = (await desk.reader.read(_named, *_parsed(asked.after, "after"), "after")).version
    return tariff_view.compare(first, second, numbers).fields()


async def draft(desk: Desk, call: Call) -> dict[str, Any]:
    """Keep a tariff as the next draft of its plan; the same as the newest draft is that draft."""
    return await written(desk, _draft, _read(call.asked.toml), call.member.name)


async def approve(desk: Desk, call: Call) -> dict[str, Any]:
    """Let somebody else's draft hold from its time on."""
    done = await written(desk, _approve, *_name_in(call), call.asked.now, call.member.name)
    await desk.take_prices()
    return done


async def retire(desk: Desk, call: Call) -> dict[str, Any]:
    """Let a version hold no longer, or drop a draft; what it priced stays priced."""
    done = await written(desk, _retire, *_name_in(call), call.member.name)
    await desk.take_prices()
    return done


def _draft(conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, wanted: Version, actor: str) -> dict[str, Any]:
    return tariff_view.fields(tariffs.draft(conn, wanted, actor=actor, now_us=now_us))


def _approve(
    conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, plan: str, number: int, is_now: bool, actor: str
) -> dict[str, Any]:
    _named(conn, plan, number)
    return tariff_view.fields(tariffs.approve(conn, plan, number, actor=actor, now_us=now_us, is_now=is_now))


def _retire(conn: Connection, _desk: Desk, _new_id: Callable[[], int], now_us: int, plan: str, number: int, actor: str) -> dict[str, Any]:
    _named(conn, plan, number)
    return tariff_view.fields(tariffs.retire(conn, plan, number, actor=actor, now_us=now_us))


def _named(conn: Connection, plan: str, number: int, field: str = "number") -> Kept:
    try:
        return tariffs.find(conn, plan, number)
    except TariffError:
        raise Refused("not_found", f"there is no tariff {plan}/{number}", field=field) from None


def _name_in(call: Call) -> tuple[str, int]:
    return _parsed(f"{call.where['plan']}/{call.where['number']}", "number")


def _parsed(typed: str, field: str) -> tuple[str, int]:
    plan, _, number = typed.partition("/")
    if not plan or not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise Refused("bad_field", "a version is written as main/3", field=field)
    return plan, int(number)


def _read(text: str) -> Version:
    try:
        return toml.parse(text, file="toml")
    except TariffError as error:
        raise Refused("bad_field", str(error), field="toml") from None


def _look(method: str, path: str, name: str, summary: str, action: Action, asks: type[Asked] | None = None) -> BillingOperation:
    return BillingOperation(method, f"/tariffs{path}", name, summary, Scope.READ, action, asks)


_VERSION = "/{plan}/{number}"
TARIFFS = (
    _look("GET", "", "get_billing_tariffs", "Every version of every plan", list_tariffs),
    _look("GET", _VERSION, "get_billing_tariff", "One version with its rules", show),
    _look("GET", f"{_VERSION}/toml", "get_billing_tariff_toml", "One version as TOML", as_toml)._replace(media_type="application/toml"),
    _look("POST", "/check", "post_billing_tariff_check", "What is wrong in a tariff; nothing is stored", check, TariffAsked),
    _look("POST", "/diff", "post_billing_tariff_diff", "What changes between two tariffs", compare, DiffAsked),
    BillingOperation("POST", "/tariffs", "post_billing_tariff", "Keep a tariff as a draft", Scope.ACT, draft, TariffAsked),
    BillingOperation(
        "POST",
        f"/tariffs{_VERSION}/approve",
        "post_billing_tariff_approve",
        "Let somebody else's draft hold",
        Scope.APPROVE,
        approve,
        ApproveAsked,
    ),
    BillingOperation(
        "POST",
        f"/tariffs{_VERSION}/retire",
        "post_billing_tariff_retire",
        "Let a version hold no longer, or drop a draft",
        Scope.APPROVE,
        retire,
    ),
)
