"""Who acts on the books by command: every act that moves money or a state bears a name."""

from __future__ import annotations

import getpass

import typer

from billing import names
from billing.audit import ACTOR_CHARS_MAX
from billing.errors import NameRefusedError
from gateway.errors import ConfigError

ACTOR_OPTION = typer.Option("", "--as", metavar="NAME", help="Who does this; without it, the name you are logged in with.")


def actor(typed: str) -> str:
    """The name an act is logged under; raises ConfigError for one that cannot be."""
    return check_name("--as", typed or _logged_in())


def check_name(option: str, name: str) -> str:
    """A name that acts can be logged under; raises ConfigError naming the option."""
    try:
        return names.checked(name, option, ACTOR_CHARS_MAX)
    except NameRefusedError as error:
        raise ConfigError([str(error)]) from None


def _logged_in() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise ConfigError(["--as: say who does this; this system has no name for you"]) from None
