"""/v1/billing: who calls, what may be asked, and how it is answered; what is asked for stands in modules of its own.

Every call bears the key of a member of the staff. Bodies and queries are models: what they refuse names its field. What changes money
runs as one item of the store's writer, and is answered once it is on disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, ValidationError

from billing import approvals, calendar
from billing.booking import Booking
from billing.errors import (
    ApprovalError,
    BillingError,
    CorrectionRefusedError,
    LedgerError,
    PeriodError,
    ReferenceReusedError,
    RerateError,
    SettlementError,
    SubscriptionError,
    SuspenseError,
    TariffError,
    UnknownAccountError,
    UnknownChargeError,
    VoucherError,
)
from billing.subscriptions import Subscriptions
from gateway.domain import credentials
from gateway.domain.address import AddressError, msisdn
from gateway.domain.failure import Refused, StoreUnavailable
from gateway.domain.ids import ID_MAX
from gateway.services.jobs import Jobs
from gateway.services.ports import Reader, Writer
from gateway.store import staff
from gateway.store.staff import Member, Scope
from gateway.web.body import read_body
from gateway.web.keys import KEY_CHARS_MAX
from gateway.web.limits import Limits
from gateway.world import World

PREFIX = "/v1/billing"
LOOKUPS_MAX = 16
_NO_STORE = {hdrs.CACHE_CONTROL: "no-store"}
# What the books refuse because of what is in them, not because of how it was asked for.
_STATES = (
    *(LedgerError, ApprovalError, VoucherError, TariffError, SettlementError, SuspenseError, RerateError, SubscriptionError),
    PeriodError,
)


class Asked(BaseModel):
    """What every body and query holds to: exactly these members."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class DeskRules(NamedTuple):
    """What the configuration says of people's acts."""

    limits: approvals.Limits = approvals.DEFAULT_LIMITS
    refund_multiplier: int = 2
    export_folder: str = "charges"
    plan: str = "main"
    house: str = "bellhop01"
    upload_bytes_max: int = 268_435_456
    uploads: str = "charges/upload"  # what the names of files that are being taken in begin with


class Desk(NamedTuple):
    """What the actions work with."""

    world: World
    writer: Writer
    reader: Reader
    books: Booking
    jobs: Jobs
    subscriptions: Subscriptions
    take_prices: Callable[[], Awaitable[None]]  # has this gateway price by what is approved now
    rules: DeskRules = DeskRules()

    def new_id(self) -> int:
        """An id for a charge, a transfer or a row of its own."""
        return int(self.world.next_id())

    def now_us(self) -> int:
        """UTC µs."""
        return self.world.clock.now_us()


class Call(NamedTuple):
    """One call: who, the parts of the path, and what is asked, checked by its model."""

    member: Member
    where: dict[str, str]
    asked: Any


class Page(NamedTuple):
    """An answer that is no JSON; `name` is what a browser keeps it as."""

    text: str
    media_type: str
    name: str


Action = Callable[[Desk, Call], Awaitable[Any]]
Receive = Callable[[web.Request, Desk, Limits], Awaitable[Any]]


class BillingOperation(NamedTuple):
    """One thing the staff can ask for; `path` is below /v1/billing. A GET's model is its query, another's its body.

    `receive` reads a body that is no JSON: a form with a file, whose other fields are the model's. `media_type` is that of the answer.
    """

    method: str
    path: str
    id: str
    summary: str
    scope: Scope
    action: Action
    asks: type[Asked] | None = None
    status: int = 200
    receive: Receive | None = None
    media_type: str = "application/json"


def add_routes(app: web.Application, desk: Desk, limits: Limits, operations: Sequence[BillingOperation]) -> None:
    """Put the operations on an app, each behind the staff's keys."""
    door = _Door(desk, limits)
    for operation in operations:
        app.router.add_route(operation.method, f"{PREFIX}{operation.path}", door.handler(operation))


class _Door:
    def __init__(self, desk: Desk, limits: Limits) -> None:
        self._desk = desk
        self._limits = limits
        self._lookups = 0

    def handler(self, operation: BillingOperation) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            member = await self._member(request.headers.get(hdrs.AUTHORIZATION, ""))
            if not member.may(operation.scope):
                raise Refused("not_allowed", f"{member.name} may not {operation.scope} here", field="Authorization")
            asked = await self._asked(request, operation)
            try:
                answer = await operation.action(self._desk, Call(member, dict(request.match_info), asked))
            except BillingError as error:
                raise refused_by(error) from error
            if isinstance(answer, Page):
                kept_as = {hdrs.CONTENT_DISPOSITION: f'inline; filename="{answer.name}"', **_NO_STORE}
                return web.Response(text=answer.text, content_type=answer.media_type, charset="utf-8", headers=kept_as)
            return web.Response(body=orjson.dumps(answer), status=operation.status, content_type="application/json", headers=_NO_STORE)

        return handle

    async def _member(self, authorization: str) -> Member:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(key) <= KEY_CHARS_MAX:
            raise Refused("unauthorized", "send a key of the billing staff as: Authorization: Bearer KEY", field="Authorization")
        if self._lookups >= LOOKUPS_MAX:
            raise StoreUnavailable("too many keys are being checked at the moment; try again later")
        self._lookups += 1
        try:
            member = await self._desk.reader.read(staff.by_key_hash, credentials.hash_of_api_key(key.strip()))
        finally:
            self._lookups -= 1
        if member is None or not member.is_enabled:
            raise Refused("unauthorized", "this key is not known, or its owner is disabled", field="Authorization")
        return member

    async def _asked(self, request: web.Request, operation: BillingOperation) -> Any:
        if operation.receive is not None:
            return await operation.receive(request, self._desk, self._limits)
        if operation.asks is None:
            return None
        if operation.method == hdrs.METH_GET:
            given: Any = dict(request.query)
        else:
            body = await read_body(request, self._limits)
            try:
                given = orjson.loads(body)
            except orjson.JSONDecodeError:
                raise Refused("bad_json", "the body is not JSON") from None
        return validated(operation.asks, given)


def validated(model: type[Asked], given: Any) -> Any:
    """What was asked for, as its model has it; raises Refused naming the field."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _refused_by_model(error) from None


def number_in(call: Call, name: str = "id") -> int:
    """The number in the path; raises Refused (`not_found`)."""
    typed = call.where[name]
    if not (typed.isascii() and typed.isdigit() and 0 < int(typed[:20]) <= ID_MAX):
        raise Refused("not_found", "there is nothing of this number", field=name)
    return int(typed)


def period_in(call: Call) -> int:
    """The day or month in the path; raises Refused."""
    try:
        return calendar.parse(call.where["period"])
    except PeriodError as error:
        raise Refused("bad_field", str(error), field="period") from None


def number_of(typed: str, field: str) -> str:
    """The digits of a phone's number; raises Refused."""
    try:
        return msisdn(typed).digits_or_name
    except AddressError as error:
        raise Refused("bad_field", error.reason, field=field) from None


async def written(desk: Desk, act: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Run an act in the writer's transaction as `act(conn, desk, new_id, now_us, *args)`; ids are made here, on the loop."""
    ids = iter([desk.new_id() for _ in range(_IDS)])
    return await desk.writer.run(act, desk, ids.__next__, desk.now_us(), *args)


# More than any of the acts takes: a top-up in a currency that is new here opens a wallet and the house's accounts.
_IDS = 12


def refused_by(error: BillingError) -> Refused:
    """What the books refuse, as an answer."""
    if isinstance(error, UnknownChargeError | UnknownAccountError):
        return Refused("not_found", str(error))
    if isinstance(error, ReferenceReusedError):
        return Refused("key_reused", str(error), field="reference")
    if isinstance(error, CorrectionRefusedError):
        return Refused("refused", str(error), field=error.field)
    return Refused("refused" if isinstance(error, _STATES) else "bad_field", str(error))


def _refused_by_model(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return Refused("unknown_field", "there is no such field", field=field)
    return Refused("bad_field", str(first["msg"]).removeprefix("Value error, "), field=field)
