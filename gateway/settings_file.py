"""Reads bellhop.toml and the environment into Settings, and says what is wrong by file, line and key.

tomllib gives no line numbers, so a small scan of the text finds them; where it cannot (a key inside an inline table) the line of the
nearest table around it is named. A value taken from the environment is named by its variable.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gateway import settings_routes
from gateway.errors import ConfigError
from gateway.settings import Settings
from gateway.settings_receipts import unknown_dialects
from gateway.settings_smpp import Link, contradictions_of

ENV_PREFIX = "BELLHOP__"
WEAK_PASSWORDS = frozenset({"password", "passw0rd", "secret", "secret8", "secret08", "changeme", "12345678", "smpp", "test", "bellhop"})
PASSWORD_LENGTH_MIN = 6

KeyPath = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=(.*)$")


class Config(NamedTuple):
    """A file that was read and found good."""

    path: Path
    settings: Settings
    warnings: tuple[str, ...]


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read and check the file, with the environment over it; raises ConfigError with every fault found."""
    text = _read(path)
    values = _parse(path, text)
    where = {place: f"{path}:{line}" for place, line in line_numbers(text).items()}
    _overlay(values, where, environ)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError([_fault(path, where, dict(fault)) for fault in error.errors(include_url=False, include_input=False)]) from None
    if clashes := [f"{_where(path, where, place)}: {message}" for place, message in contradictions(settings)]:
        raise ConfigError(clashes)
    warnings = tuple(f"{_where(path, where, place)}: {message}" for place, message in weaknesses(settings))
    return Config(path, _with_files_beside(settings, path), warnings)


def line_numbers(text: str) -> dict[KeyPath, int]:
    """Where each table and key of a TOML text begins."""
    places: dict[KeyPath, int] = {}
    table: KeyPath = ()
    closing: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if closing is not None:
            closing = None if closing in line else closing
        elif header := _HEADER.match(line):
            table = _table_path(header[2], is_array=header[1] == "[[", places=places)
            places[table] = number
        elif key := _KEY.match(line):
            places.setdefault(table + _parts(key[1]), number)
            closing = _still_open(key[2].strip())
    return places


_TLS_FILES = ("tls_certificate_file", "tls_key_file", "tls_client_ca_file")


def contradictions(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Faults that only show between two keys."""
    unique = (
        ("links", "name"),
        ("dialects", "name"),
        ("services", "name"),
        ("short_codes", "number"),
        ("smpp_tlvs", "name"),
        ("smpp_tlvs", "tag"),
    )
    for section, key in unique:
        seen: set[str] = set()
        for index, entry in enumerate(getattr(settings, section)):
            value = getattr(entry, key)
            if value in seen:
                yield (section, index, key), f'{section}.{key}: "{value}" is there twice'
            seen.add(value)
    for index, link in enumerate(settings.links):
        for key, message in contradictions_of(link):
            yield ("links", index, key), f"links.{key}: {message}"
    for index, what in unknown_dialects(settings.links, settings.dialects):
        yield ("links", index, "dialect"), f"links.dialect: {what}"
    names = [service.name for service in settings.services]
    for index, code in enumerate(settings.short_codes):
        if code.service not in names:
            yield ("short_codes", index, "service"), f'short_codes.service: no service "{code.service}"' + _suggestion(code.service, names)
        if len(code.number) >= code.digits_max:
            yield ("short_codes", index, "digits_max"), "short_codes.digits_max: leaves no digit for the reply address"
    numbers = [code.number for code in settings.short_codes]
    if settings.messenger.short_code and settings.messenger.short_code not in numbers:
        yield (
            ("messenger", "short_code"),
            "messenger.short_code: is not among short_codes" + _suggestion(settings.messenger.short_code, numbers),
        )
    binds = {link.name: link.bind for link in settings.links}
    yield from settings_routes.contradictions(settings.routes, settings.number_lists, settings.numbering, binds, names)
    web, smpp = settings.web, settings.smpp_server
    if smpp.enabled and web.port == smpp.port != 0 and web.host == smpp.host:
        yield ("smpp_server", "port"), f"smpp_server.port: {smpp.port} is web.port too"
    if smpp.enabled and smpp.tls_certificate_file and smpp.tls_port == smpp.port != 0:
        yield ("smpp_server", "tls_port"), f"smpp_server.tls_port: {smpp.port} is smpp_server.port too"
    for key in _TLS_FILES[1:]:
        if getattr(smpp, key) and not smpp.tls_certificate_file:
            yield ("smpp_server", key), f"smpp_server.{key}: there is no tls_certificate_file to go with it"


def weaknesses(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Secrets that are easily guessed (a link within this machine is left alone), and routing rules that nothing reaches."""
    for index, link in enumerate(settings.links):
        password = link.password.get_secret_value()
        is_weak = len(password) < PASSWORD_LENGTH_MIN or password.lower() in WEAK_PASSWORDS or password == link.system_id
        if is_weak and link.host not in ("127.0.0.1", "::1", "localhost"):
            yield ("links", index, "password"), f'links.password: the password of link "{link.name}" is easily guessed'
    yield from settings_routes.weaknesses(settings.routes)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file; `bellhop init DIR` makes one"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        at_line = re.search(r" \(at line (\d+), column \d+\)$", message)
        line = at_line[1] if at_line else str(text.count("\n") + 1)
        reason = message[: at_line.start()] if at_line else message.removesuffix(" (at end of document)")
        raise ConfigError([f"{path}:{line}: is not TOML: {reason[:1].lower()}{reason[1:]}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: is nested too deeply"]) from None


def _table_path(name: str, *, is_array: bool, places: dict[KeyPath, int]) -> KeyPath:
    """`[[links]]` is a new entry; `[links.more]` belongs to the last entry of links."""
    path: KeyPath = ()
    parts = _parts(name)
    for depth, part in enumerate(parts, start=1):
        path += (part,)
        entries = sum(1 for place in places if len(place) == len(path) + 1 and place[:-1] == path and isinstance(place[-1], int))
        if is_array and depth == len(parts):
            path += (entries,)
        elif entries:
            path += (entries - 1,)
    return path


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", dotted))


def _still_open(value: str) -> str | None:
    """The mark that ends a value running over several lines, or None when it ends on its own."""
    for quotes in ('"""', "'''"):
        if value.startswith(quotes):
            return quotes if quotes not in value[3:] else None
    return "]" if value.startswith("[") and "]" not in value else None


def _overlay(values: dict[str, Any], where: dict[KeyPath, str], environ: Mapping[str, str]) -> None:
    """Write `BELLHOP__SECTION__KEY` and `BELLHOP__SECTION__0__KEY` over what the file says."""
    faults = []
    for variable in sorted(name for name in environ if name.upper().startswith(ENV_PREFIX)):
        parts = variable[len(ENV_PREFIX) :].lower().split("__")
        path: KeyPath = tuple(int(part) if part.isdecimal() and len(part) < 5 else part for part in parts)
        if not _put(values, path, _literal(environ[variable])):
            faults.append(f"{variable}: there is no {_dotted(path, with_index=True)} to set")
        for depth in range(1, len(path)):
            where.setdefault(path[:depth], variable)
        where[path] = variable
    if faults:
        raise ConfigError(faults)


def _put(values: dict[str, Any], path: KeyPath, value: object) -> bool:
    """Set a value deep in the tree, making tables on the way; a list may grow by its next entry only."""
    here: Any = values
    for part, following in zip(path, (*path[1:], None), strict=True):
        fresh: Any = value if following is None else ([] if isinstance(following, int) else {})
        if isinstance(here, list) and isinstance(part, int) and part <= len(here):
            if part == len(here):
                here.append(fresh)
            elif following is None:
                here[part] = value
        elif isinstance(here, dict) and isinstance(part, str):
            if following is None:
                here[part] = value
            else:
                here.setdefault(part, fresh)
        else:
            return False
        here = here[part]
    return True


def _literal(text: str) -> object:
    """A whole list or table may be given as JSON; anything else is taken as text and converted by its field."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _fault(path: Path, where: dict[KeyPath, str], fault: dict[str, Any]) -> str:
    place: KeyPath = fault["loc"]
    name = _dotted(place)
    if fault["type"] == "extra_forbidden":
        return f"{_where(path, where, place)}: unknown key {name}" + _suggestion(str(place[-1]), known_keys(place[:-1]))
    if fault["type"] == "missing":
        return f"{_where(path, where, place)}: {name} is missing"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{_where(path, where, place)}: {name}: {message}"


def _where(path: Path, where: dict[KeyPath, str], place: KeyPath) -> str:
    for depth in range(len(place), 0, -1):
        if place[:depth] in where:
            return where[place[:depth]]
    return str(path)


def known_keys(place: KeyPath) -> list[str]:
    """The keys that may stand in a table."""
    model: type[BaseModel] = Settings
    for part in place:
        if isinstance(part, str):
            inner = section_of(model.model_fields[part]) if part in model.model_fields else None
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section behind a field: its own type, or that of its list's entries."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _suggestion(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; there are {', '.join(known)}" if known else ""


def _dotted(place: KeyPath, *, with_index: bool = False) -> str:
    return ".".join(str(part) for part in place if with_index or isinstance(part, str))


def _with_files_beside(settings: Settings, path: Path) -> Settings:
    """Relative files lie beside the configuration, wherever the command was started."""
    folder = path.resolve().parent
    prefix = "sqlite:///"
    url = settings.store.url
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    elif url.startswith(prefix) and not url.startswith((prefix + "/", prefix + ":memory:")):
        url = prefix + str(folder / url.removeprefix(prefix))
    token_file = str(folder / settings.web.operator_token_file)
    door = settings.smpp_server
    tls_files = {key: str(folder / getattr(door, key)) for key in _TLS_FILES if getattr(door, key)}
    files = {key: str(folder / name) for key, name in settings.numbering.model_dump().items() if name}
    lists = tuple(each.model_copy(update={"file": str(folder / each.file)}) for each in settings.number_lists)
    links = tuple(_with_tls_beside(link, folder) for link in settings.links)
    return settings.model_copy(
        update={
            "store": settings.store.model_copy(update={"url": url}),
            "web": settings.web.model_copy(update={"operator_token_file": token_file}),
            "smpp_server": door.model_copy(update=tls_files),
            "numbering": settings.numbering.model_copy(update=files),
            "number_lists": lists,
            "links": links,
            "billing": settings.billing.model_copy(update={"export_folder": str(folder / settings.billing.export_folder)}),
        }
    )


def _with_tls_beside(link: Link, folder: Path) -> Link:
    files = {key: getattr(link, key) for key in ("tls_ca_file", "tls_certificate_file", "tls_key_file")}
    return link.model_copy(update={key: str(folder / name) for key, name in files.items() if name})
