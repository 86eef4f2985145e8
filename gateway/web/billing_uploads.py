"""A carrier's file over HTTP: it comes with its profile in one form, waits in a file of its own, and is imported as a job."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from pydantic import Field

from billing import calendar, carrier_files, statement_profile
from billing.errors import CarrierFileError, PeriodError
from gateway.domain.failure import Kind, Refused
from gateway.store.staff import Scope
from gateway.web.billing_acts import CARRIER, PERIOD
from gateway.web.billing_door import Asked, BillingOperation, Call, Desk, number_in, validated
from gateway.web.billing_jobs import carrier_option, order
from gateway.web.limits import Limits

# So many at one time, each in a place of its own that the next one clears; what a killed gateway left behind is no more than this.
PLACES = 4
_CHUNK_BYTES = 1 << 20
_FIELD_BYTES_MAX = 65_536
_PARTS_MAX = 8
_NAME_CHARS_MAX = 160


class CarrierFileAsked(Asked):
    """A carrier's file, in the form's part `file`."""

    period: str = PERIOD
    carrier: str = CARRIER
    profile: str = Field(min_length=1, description="How this carrier writes its files, as TOML")


class FilesAsked(Asked):
    """Whose files."""

    carrier: str = Field("", max_length=32)


class Upload(NamedTuple):
    """A form that came whole: its fields, what its file is called, and where that waits."""

    asked: CarrierFileAsked
    name: str
    path: str


async def receive(request: web.Request, desk: Desk, limits: Limits) -> Upload:
    """Take a form in: its file goes to disk as it comes. Raises Refused, and then nothing of it is left."""
    if request.content_type != "multipart/form-data" or "boundary" not in (request.headers.get(hdrs.CONTENT_TYPE) or ""):
        raise Refused("bad_media_type", "send a form (multipart/form-data) with period, profile and file", field=hdrs.CONTENT_TYPE)
    desk.jobs.check()  # before anybody waits for his file to go up
    await desk.world.executor.run(desk.world.disk.make_folder, desk.rules.uploads.rpartition("/")[0])
    path = _place(desk)
    desk.jobs.taken.add(path)
    try:
        await _clear(desk, path)
        return await _read(request, desk, limits, path)
    except BaseException:
        await _clear(desk, path)
        desk.jobs.taken.discard(path)
        raise


async def take_in(desk: Desk, call: Call) -> dict[str, Any]:
    """Import a carrier's file: the job's answer has its id and its number of records."""
    upload: Upload = call.asked
    asked, path = upload.asked, upload.path
    names = ["--profile", _profile(path), "--period", asked.period, *carrier_option(asked.carrier), "--name", upload.name]
    try:
        return order(desk, call, "import", ["reconcile", "import", path, *names], [path, _profile(path)])
    except Refused:
        await _clear(desk, path)
        desk.jobs.taken.discard(path)
        raise


async def list_files(desk: Desk, call: Call) -> dict[str, Any]:
    """The files there are to compare with."""
    found = await desk.reader.read(carrier_files.listed, call.asked.carrier)
    return {"files": [carrier_files.fields(each) for each in found]}


def _place(desk: Desk) -> str:
    free = [each for number in range(PLACES) if (each := f"{desk.rules.uploads}-{number}.part") not in desk.jobs.taken]
    if not free:
        raise Refused("busy", f"{PLACES} files are being taken in already; send it again later", kind=Kind.TEMPORARY)
    return free[0]


def _profile(path: str) -> str:
    return f"{path}.toml"


async def _read(request: web.Request, desk: Desk, limits: Limits, path: str) -> Upload:
    form = _Form(desk, limits, path)
    try:
        reader = await request.multipart()
        for _ in range(_PARTS_MAX):
            async with asyncio.timeout(limits.body_timeout_s):
                part = await reader.next()
            if part is None:
                return await form.upload()
            await form.take(part)
    except TimeoutError:
        raise Refused("too_slow", f"nothing came for {limits.body_timeout_s:g} seconds") from None
    except (RequestPayloadError, HttpProcessingError, ConnectionError, ValueError):
        raise Refused("bad_request", "the form broke off, or its framing is wrong") from None
    raise Refused("bad_field", f"the form has {_PARTS_MAX} parts at most", field="file")


class _Form:
    """The parts of a form, as they come."""

    def __init__(self, desk: Desk, limits: Limits, path: str) -> None:
        self._desk = desk
        self._limits = limits
        self._path = path
        self._fields: dict[str, str] = {}
        self._name: str | None = None

    async def take(self, part: MultipartReader | BodyPartReader) -> None:
        """Read one part to its end."""
        name = part.name if isinstance(part, BodyPartReader) else None
        if not isinstance(part, BodyPartReader) or not name:
            raise Refused("bad_request", "each part of the form has a name, and no parts of its own")
        if part.headers.get(hdrs.CONTENT_TRANSFER_ENCODING, "binary").lower() not in ("binary", "7bit", "8bit"):
            raise Refused("bad_media_type", "parts come as they are, not in another encoding", field=name)
        if name in self._fields or (name == "file" and self._name is not None):
            raise Refused("bad_field", "comes twice", field=name)
        if name == "file":
            self._name = _file_name(part.filename)
            await self._to_disk(part)
        else:
            self._fields[name] = await self._text(part, name)

    async def upload(self) -> Upload:
        """What came, once its fields are right."""
        asked: CarrierFileAsked = validated(CarrierFileAsked, self._fields)
        if self._name is None:
            raise Refused("bad_field", "the form has no file", field="file")
        try:
            calendar.parse(asked.period)
        except PeriodError as error:
            raise Refused("bad_field", str(error), field="period") from None
        if asked.carrier and self._desk.books.carriers.named(asked.carrier) is None:
            raise Refused("bad_field", f"there is no carrier {asked.carrier}", field="carrier")
        try:
            statement_profile.parse(asked.profile, "profile")
        except CarrierFileError as error:
            raise Refused("bad_field", str(error), field="profile") from None
        world = self._desk.world
        await world.executor.run(world.disk.append_privately, _profile(self._path), asked.profile.encode())
        return Upload(asked, self._name, self._path)

    async def _to_disk(self, part: BodyPartReader) -> None:
        world, most = self._desk.world, self._desk.rules.upload_bytes_max
        pending, size = bytearray(), 0
        async for chunk in self._chunks(part):
            size += len(chunk)
            if size > most:
                raise Refused("too_large", f"the file may have {most} bytes", field="file")
            pending += chunk
            if len(pending) >= _CHUNK_BYTES:
                await world.executor.run(world.disk.append_privately, self._path, bytes(pending))
                pending.clear()
        await world.executor.run(world.disk.append_privately, self._path, bytes(pending))

    async def _text(self, part: BodyPartReader, name: str) -> str:
        body = bytearray()
        async for chunk in self._chunks(part):
            body += chunk
            if len(body) > _FIELD_BYTES_MAX:
                raise Refused("too_large", f"may have {_FIELD_BYTES_MAX} bytes", field=name[:32])
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Refused("bad_field", "is not UTF-8 text", field=name[:32]) from None

    async def _chunks(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        while not part.at_eof():
            async with asyncio.timeout(self._limits.body_timeout_s):
                chunk = await part.read_chunk(65_536)
            yield chunk


def _file_name(given: str | None) -> str:
    """What the books call the file; it opens nothing."""
    name = (given or "").replace("\\", "/").rpartition("/")[2]
    if not 0 < len(name) <= _NAME_CHARS_MAX or not name.isprintable() or name.startswith("-"):
        raise Refused("bad_field", f"the file needs a name of 1 to {_NAME_CHARS_MAX} printable characters, the first no '-'", field="file")
    return name


async def _clear(desk: Desk, path: str) -> None:
    for each in (path, _profile(path)):
        with contextlib.suppress(OSError):
            await desk.world.executor.run(desk.world.disk.remove, each)


async def drop(desk: Desk, call: Call) -> dict[str, Any]:
    """Take out a file that no comparison has used."""
    return order(desk, call, "drop", ["reconcile", "drop", str(number_in(call))])


UPLOADS = (
    BillingOperation("GET", "/carrier-files", "get_billing_carrier_files", "The carriers' files", Scope.READ, list_files, FilesAsked),
    BillingOperation(
        "POST",
        "/carrier-files",
        "post_billing_carrier_file",
        "Import a carrier's file, as a job",
        Scope.ACT,
        take_in,
        CarrierFileAsked,
        202,
        receive,
    ),
    BillingOperation(
        "POST",
        "/carrier-files/{id}/drop",
        "post_billing_carrier_file_drop",
        "Take out a file that no comparison has used, as a job",
        Scope.ACT,
        drop,
        None,
        202,
    ),
)
