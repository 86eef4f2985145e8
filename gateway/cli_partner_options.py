"""The keys of a partner's policy as options of commands, made from `domain/policy.py:KEYS` so that none can be forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import typer

from gateway.domain import failure
from gateway.domain import policy as policies
from gateway.domain.policy import KEYS, Key, PartnerPolicy
from gateway.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., None])

UNSET = "unset"


def with_policy_options(command: Command) -> Command:
    """Give a command an option for each key; it finds what was given in its keyword argument `policy`, by key."""

    def wrapped(**arguments: Any) -> None:
        given = {key.name: arguments.pop(key.name) for key in KEYS}
        command(**arguments, policy={name: value for name, value in given.items() if value is not None})

    own = inspect.signature(command, eval_str=True).parameters
    options = [
        inspect.Parameter(key.name, inspect.Parameter.KEYWORD_ONLY, default=_option(key), annotation=_annotation(key)) for key in KEYS
    ]
    kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.values() if each.name != "policy"]
    wrapped.__signature__ = inspect.Signature([*kept, *options])  # type: ignore[attr-defined]  # what typer reads the options from
    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    return wrapped  # type: ignore[return-value]  # called by typer only, by keywords


def option_of(name: str) -> str:
    """The option of a key."""
    return "--" + name.replace("_", "-")


def merged(before: PartnerPolicy, given: Mapping[str, Any], unset: tuple[str, ...] = ()) -> PartnerPolicy:
    """A policy with what was given on the command line over what was there; raises ConfigError, which names the option."""
    values: dict[str, Any] = asdict(before)
    lists = {key.name for key in KEYS if isinstance(key.default, tuple)}
    for name, value in given.items():
        values[name] = [each.strip() for each in value.split(",") if each.strip()] if name in lists else value
    for name in unset:
        plain = name.removeprefix("--").replace("-", "_")
        if plain not in values:
            raise ConfigError([f"--{UNSET}: {name[:40]!r} is no key of a policy"])
        del values[plain]
    try:
        return policies.of(values)
    except failure.Refused as refused:
        raise ConfigError([f"{option_of(refused.field)}: {refused.text}" if refused.field else refused.text]) from None


def _annotation(key: Key) -> Any:
    kind = type(key.default)
    return {bool: bool | None, int: int | None, float: float | None}.get(kind, str | None)


def _option(key: Key) -> Any:
    name = option_of(key.name)
    text = key.text + (", comma between them" if isinstance(key.default, tuple) else "")
    if isinstance(key.default, bool):
        return typer.Option(None, f"{name}/--no-{name.removeprefix('--')}", help=text + ".")
    metavar = {int: "NUMBER", float: "NUMBER", tuple: "LIST"}.get(type(key.default), "TEXT")
    return typer.Option(None, name, metavar=metavar, help=text + ".")
