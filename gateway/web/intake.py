"""What a POST of messages must look like: one table of fields, read by the parser and by the OpenAPI document."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from billing.vouchers import CODE_CHARS_MAX
from gateway.domain import address
from gateway.domain.address import Address, AddressError
from gateway.domain.failure import Refused
from gateway.services.catalogue import Catalogue
from gateway.services.rewriting import Change
from gateway.services.submit import Submission
from gateway.smpp.vendor_tlv import NO_VENDOR_TLVS, NamedWrongly, VendorTlvs
from gateway.web.contents import BODY_HEX_MAX, HEX, NAMES, UDH_HEX_MAX, with_contents
from gateway.web.keys import Caller

TEXT_CHARS_MAX = 40_000  # more than 255 parts can carry
SENDER_CHARS_MAX = 21
TLVS_MAX = 16
BATCH = "messages"
_SENDERS_KEPT_MAX = 10_000
_NAME_CHARS_MAX = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# How far a fault is looked for: a full batch has fewer names and values, and a path of ours is shorter.
_LEAVES_MAX = 20_000
_PATH_CHARS_MAX = 100


# Senders as carriers let them through: a short code with or without extension, a phone number, or a name. A name of letters that only
# look Latin is somebody else's name.
SENDER = re.compile(r"0[1-9][0-9]{1,18}|[1-9][0-9]{2,19}|(\+|00)[1-9][0-9]{6,14}|[0-9]?[A-Za-z]([A-Za-z0-9 ._&'!-]{0,8}[A-Za-z0-9._&'!-])?")
# What is described; people's spaces, dots, dashes and brackets are taken as well.
DESTINATION = r"(\+|00)?[1-9][0-9]{6,14}"
NO_NUL = r"[^\u0000]*"
RFC3339 = (
    r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_RFC3339 = re.compile(RFC3339, re.ASCII)


class Field(NamedTuple):
    """One member of a message: its type, the least and most of its length or value, and what a string looks like."""

    name: str
    type: type[Any]
    least: int
    most: int
    description: str
    is_required: bool = False
    pattern: str = NO_NUL


FIELDS = (
    Field("to", str, 1, address.TYPED_CHARS_MAX, "Phone number in international form, such as +8613900000001", True, DESTINATION),
    Field("text", str, 1, TEXT_CHARS_MAX, "What the phone shows; a text that needs too many parts is refused, never cut"),
    Field("from", str, 1, SENDER_CHARS_MAX, "Short code, phone number or name; left out: the first short code", False, SENDER.pattern),
    Field("service", str, 1, 32, "What the message is sold as; left out: the first service"),
    Field("reference", str, 1, 64, "Your own reference, kept with the message"),
    Field("validity_s", int, 1, 5_443_200, "Seconds in which delivery is tried; the service's own limit holds beside it"),
    Field("schedule_at", str, 20, 40, "When to send it, RFC 3339; a time that has come means now", False, RFC3339),
    Field("delay_s", int, 0, 63_072_000, "Seconds to wait before it is sent, instead of schedule_at"),
    Field("priority", int, 0, 3, "SMPP priority_flag"),
    Field("protocol_id", int, 0, 255, "TP-PID of 3GPP TS 23.040, such as 65: it takes the place of the last one of that number and sender"),
    Field("tlvs", dict, 0, TLVS_MAX, "Vendor TLVs by their names in the configuration; octets are hexadecimal digits"),
    Field("replace_typographic", bool, 0, 1, "Whether curly quotes and their like are replaced where the text then fits GSM 7-bit"),
    Field("flash", bool, 0, 1, "Shown at once and not kept: message class 0"),
    Field("class", int, 0, 3, "Message class"),
    Field("body_hex", str, 2, BODY_HEX_MAX, "Octets instead of a text, as hexadecimal digits", False, HEX),
    Field("udh", str, 2, UDH_HEX_MAX, "User data header in front of body_hex, its length octet included", False, HEX),
    Field("data_coding", int, 0, 255, "SMPP data_coding of body_hex; left out: 4, octets"),
)
_BY_NAME = {field.name: field for field in FIELDS}
# What may be changed of a message that waits.
CHANGES = tuple(_BY_NAME[name]._replace(is_required=False) for name in ("text", "validity_s", "schedule_at", "delay_s"))
_CHANGES = {field.name: field for field in CHANGES}
CODE = Field("code", str, 1, CODE_CHARS_MAX, "The voucher's code, however it is spaced and whatever the case of its letters", True)


class Intake:
    """Turns JSON into submissions; everything wrong is a Refused that names the field."""

    def __init__(
        self, catalogue: Catalogue, *, batch_messages_max: int, now_us: Callable[[], int], vendor_tlvs: VendorTlvs = NO_VENDOR_TLVS
    ) -> None:
        self._catalogue = catalogue
        self._batch_messages_max = batch_messages_max
        self._now_us = now_us
        self._vendor_tlvs = vendor_tlvs
        self._senders: dict[tuple[str, str], Address] = {}

    def batch_of(self, document: Any) -> list[Any] | None:
        """The messages of a batch, None when the document is one message."""
        if document.__class__ is dict:
            if BATCH not in document:
                return None
            if len(document) > 1:
                raise _unknown(next(name for name in document if name != BATCH), (BATCH,))
            document = document[BATCH]
        if document.__class__ is not list:
            raise Refused("bad_field", "must be a list of messages", field=BATCH)
        if not 1 <= len(document) <= self._batch_messages_max:
            raise Refused("bad_field", f"{len(document)} messages; a batch has 1 to {self._batch_messages_max}", field=BATCH)
        return document

    def submission_or_refusal(self, caller: Caller, message: Any) -> Submission | Refused:
        """One message of a batch, which is answered for itself."""
        try:
            return self.submission(caller, message)
        except Refused as refused:
            return refused

    def submission(self, caller: Caller, message: Any) -> Submission:
        """One message."""
        if message.__class__ is not dict:
            raise Refused("bad_field", "must be an object with to and text")
        _check(message, _BY_NAME)
        if "to" not in message or ("text" not in message and "body_hex" not in message):
            raise Refused("bad_field", "is required", field="text" if "to" in message else "to")
        get = message.get
        validity_s = get("validity_s")
        submission = Submission(
            caller.sender,
            self._sender(get("from", ""), caller.partner.name),
            _destination(message["to"]),
            get("service", ""),
            get("text"),
            protocol_id=get("protocol_id", 0),
            priority=get("priority", 0),
            validity_us=None if validity_s is None else validity_s * 1_000_000,
            reference=get("reference"),
            schedule_at=self._schedule(message) if "schedule_at" in message or "delay_s" in message else None,
            tlvs=self._tlvs(message["tlvs"]) if "tlvs" in message else b"",
        )
        return submission if NAMES.isdisjoint(message) else with_contents(submission, message)

    def change(self, document: Any) -> Change:
        """What is to be different about a message that waits."""
        if document.__class__ is not dict or not document:
            raise Refused("bad_field", f"must be an object with one or more of {', '.join(_CHANGES)}")
        _check(document, _CHANGES)
        validity_s = document.get("validity_s")
        return Change(
            text=document.get("text"),
            schedule_at=self._schedule(document) if "schedule_at" in document or "delay_s" in document else None,
            validity_us=None if validity_s is None else validity_s * 1_000_000,
        )

    def _schedule(self, message: dict[str, Any]) -> int:
        if "delay_s" in message:
            if "schedule_at" in message:
                raise Refused("bad_field", "does not go together with schedule_at", field="delay_s")
            return self._now_us() + int(message["delay_s"]) * 1_000_000
        typed = message["schedule_at"]
        try:
            if _RFC3339.fullmatch(typed) is not None:
                return (datetime.fromisoformat(typed.upper()) - _EPOCH) // _MICROSECOND
        except ValueError:
            pass
        raise Refused("bad_field", "is no time as RFC 3339 writes it, such as 2027-01-31T08:00:00Z", field="schedule_at")

    def _tlvs(self, named: dict[str, Any]) -> bytes:
        try:
            return self._vendor_tlvs.of_names(named)
        except NamedWrongly as error:
            raise Refused("bad_field", error.reason, field=f"tlvs.{_shown(error.name)}") from None

    def _sender(self, typed: str, partner: str) -> Address:
        key = (typed, partner)
        known = self._senders.get(key)
        if known is not None:
            return known
        typed = typed or self._catalogue.default_short_code
        if not typed:
            raise Refused("bad_address", "is required here, for no short code is configured", field="from")
        if SENDER.fullmatch(typed) is None:
            raise Refused("bad_address", "is no short code, no international phone number, and no name of at most 11 letters", field="from")
        try:
            found = address.sender(typed)
        except AddressError as error:
            raise Refused("bad_address", f"is not a usable sender: {error.reason}", field="from") from None
        self._refuse_foreign(found.digits_or_name, partner)
        self._senders[key] = found
        if len(self._senders) > _SENDERS_KEPT_MAX:
            del self._senders[next(iter(self._senders))]
        return found

    def _refuse_foreign(self, digits: str, partner: str) -> None:
        for code in self._catalogue.short_codes.values():
            if code.partner and code.partner != partner and digits.startswith(code.number):
                raise Refused("bad_address", "is a short code of another partner", field="from")


def code_of(document: Any) -> str:
    """The code of a POST of a voucher; raises Refused."""
    if document.__class__ is not dict:
        raise Refused("bad_field", "must be an object with code")
    _check(document, {CODE.name: CODE})
    if CODE.name not in document:
        raise Refused("bad_field", "is required", field=CODE.name)
    return str(document[CODE.name])


def _check(message: dict[str, Any], fields: Mapping[str, Field]) -> None:
    """Hold every member against its field; raises Refused."""
    for name, value in message.items():
        field = fields.get(name)
        if field is None:
            raise _unknown(name, tuple(fields))
        if value.__class__ is not field.type or not field.least <= (len(value) if field.type in _SIZED else value) <= field.most:
            message[name] = _mended(field, value)
        if field.type is str and "\0" in value:
            raise Refused("bad_field", "holds U+0000, which no phone can be sent", field=name)


def parse(body: bytes) -> Any:
    """The JSON document of a body: strict UTF-8, no NaN, no name twice in an object, limited depth."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _fault(body, error) from None
    if body.count(b'"') != _quotes(document):
        _refuse_repeated_names(body)
    return document


def canonical(document: Any) -> bytes:
    """The same bytes for the same document, however it was spaced and ordered."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise Refused("bad_json", "the JSON is nested too deeply") from None


def _destination(typed: str) -> Address:
    try:
        return address.msisdn(typed)
    except AddressError as error:
        raise Refused("bad_address", f"is no phone number in international form: {error.reason}", field="to") from None


def _mended(field: Field, value: Any) -> int:
    """60.0 is the integer 60, as JSON Schema sees it; anything else that does not fit is refused."""
    if field.type is int and value.__class__ is float and value.is_integer() and field.least <= value <= field.most:
        return int(value)
    raise _misfit(field, value)


_SIZED = (str, dict)
_KINDS: dict[type[Any], str] = {str: "a string", int: "an integer", dict: "an object", bool: "a boolean"}


def _misfit(field: Field, value: Any) -> Refused:
    if value.__class__ is not field.type:
        return Refused("bad_field", f"must be {_KINDS[field.type]}, not {_json_type(value)}", field=field.name)
    if field.name == "text" and value:
        return Refused("too_long", f"the text has {len(value)} characters, at most {field.most} are looked at", field="text")
    bounds = f"{field.least} to {field.most}"
    if field.type is dict:
        return Refused("bad_field", f"has more than {field.most} members", field=field.name)
    return Refused("bad_field", f"must have {bounds} characters" if field.type is str else f"must be {bounds}", field=field.name)


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list"}
    return names.get(value.__class__, "an object")


def _unknown(name: str, known: Sequence[str]) -> Refused:
    close = difflib.get_close_matches(name[:_NAME_CHARS_MAX].lower(), known, n=1)
    advice = f"did you mean {close[0]}?" if close else f"known are: {', '.join(known)}"
    return Refused("unknown_field", f"is not known here; {advice}", field=_shown(name))


# -- what orjson takes or refuses without saying enough ---------------------------------------------------------------------


def _quotes(document: Any) -> int:
    """The quotation marks of a document's names and strings, escaped ones apart; -1 when it is deeper than any of ours."""
    messages = document
    total = 0
    if document.__class__ is dict:
        inner = document.get(BATCH)
        if inner.__class__ is not list:
            messages = [document]
        else:
            messages, total = inner, 2
    if messages.__class__ is not list:
        return -1
    for message in messages:
        if message.__class__ is not dict:
            return -1
        total += 2 * len(message)
        for value in message.values():
            if value.__class__ is str:
                total += 2
    return total


def _refuse_repeated_names(body: bytes) -> None:
    """orjson keeps the last of two members with one name; whoever checked the first would have checked another message.

    A body with no more quotation marks than its document accounts for has no such members, so this runs for few.
    """

    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen = set()
        for name, _value in pairs:
            if name in seen:
                raise Refused("bad_field", "stands twice in one object", field=_shown(name))
            seen.add(name)

    try:
        json.loads(body, object_pairs_hook=unique, parse_int=float)
    except (RecursionError, ValueError):
        raise Refused("bad_json", "the JSON is nested too deeply") from None


def _fault(body: bytes, error: orjson.JSONDecodeError) -> Refused:
    """Why the body was refused, with the field at fault where the standard library, which takes more, can still read it."""
    try:
        lenient = json.loads(body, parse_int=float)
    except (RecursionError, ValueError):
        return Refused("bad_json", f"the body is no JSON: {str(error)[:100]}")
    for path, value in itertools.islice(_leaves(lenient), _LEAVES_MAX):
        if value.__class__ is float and not math.isfinite(value):
            return Refused("bad_field", "is no number that JSON can carry, or one too large", field=path)
        if value.__class__ is str and not _is_encodable(value):
            return Refused("bad_field", "holds half of a surrogate pair", field=path)
    return Refused("bad_json", f"the body is no strict JSON: {str(error)[:100]}")


def _leaves(document: Any) -> Iterator[tuple[str, Any]]:
    """Every name and every plain value with its path; one iterator a level, so that a hostile document costs no more than it is."""
    levels = [iter([("", document)])]
    while levels:
        path, value = next(levels[-1], _END)
        if path is None:
            levels.pop()
        elif value.__class__ is dict:
            levels.append(_members(path[:_PATH_CHARS_MAX], value))
        elif value.__class__ is list:
            levels.append(_elements(path[:_PATH_CHARS_MAX] or BATCH, value))
        else:
            yield path, value


_END: tuple[Any, Any] = (None, None)


def _members(path: str, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        here = f"{path}.{_shown(name)}" if path else _shown(name)
        yield here, name
        yield here, inner


def _elements(path: str, value: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{path}[{place}]", inner) for place, inner in enumerate(value))


def _shown(name: str) -> str:
    """A name that came from outside, fit to be answered."""
    return name[:_NAME_CHARS_MAX].encode("ascii", "backslashreplace").decode()


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
