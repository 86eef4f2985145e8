"""The settings of receipts: dialects of carriers, beside those that are known already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from gateway.settings_section import Name, Section
from gateway.settings_smpp import Link
from gateway.smpp import dialects
from gateway.smpp.dialects import BUILT_IN, Dialect, DialectError, Spec

Stat = Literal["DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD", "ENROUTE", "SCHEDLD", "SKIPPED"]
STANDARD = "standard"


class ReceiptDialect(Section):
    """How a carrier writes its receipts, where the dialects that bellhop knows do not fit; links name it."""

    name: Name = Field(description="Name of the dialect, for links to name")
    pattern: str = Field(
        "",
        max_length=dialects.PATTERN_CHARACTERS_MAX,
        description="Regular expression for the whole text, with groups (?P<id>...), (?P<stat>...), (?P<err>...); empty: keys as usual",
    )
    keys: dict[str, str] = Field({}, description='What the carrier writes for a field, such as { message = "id", result = "stat" }')
    separator: str = Field(":", min_length=1, max_length=3, description="What stands between a key and its value")
    states: dict[str, Stat] = Field(
        {}, description='What its words mean, such as { OK = "DELIVRD" }; "UNDELIV 027" is the word with that error'
    )
    errors: dict[str, str] = Field({}, description='Its errors as partners and records shall see them, such as { "0x1F" = "031" }')
    hex_errors: bool = Field(False, description="Whether its errors are hexadecimal numbers")
    without_esm_class: bool = Field(False, description="Whether a text that reads like a receipt is one though esm_class does not say so")

    @model_validator(mode="after")
    def _can_be_used(self) -> ReceiptDialect:
        try:
            dialects.check(spec_of(self))
        except DialectError as error:
            raise ValueError(str(error)) from None
        return self


def spec_of(written: ReceiptDialect) -> Spec:
    """A dialect of the file as the codec takes it."""
    flags = (written.hex_errors, written.without_esm_class)
    return Spec(written.name, written.pattern, written.keys, written.separator, written.states, written.errors, *flags)


def dialect_of(link: Link, written: tuple[ReceiptDialect, ...]) -> Dialect | None:
    """The dialect that a link names, None for the standard one; a dialect of the file goes before a known one of its name."""
    own = next((each for each in written if each.name == link.dialect), None)
    if own is not None:
        return Dialect(spec_of(own))
    return None if link.dialect == STANDARD else Dialect(BUILT_IN[link.dialect])


def unknown_dialects(links: tuple[Link, ...], written: tuple[ReceiptDialect, ...]) -> Iterator[tuple[int, str]]:
    """(place of the link, what is wrong) for every link that names no dialect."""
    known = [*BUILT_IN, *(each.name for each in written)]
    for place, link in enumerate(links):
        if link.dialect not in known:
            yield place, f"there is no dialect {link.dialect!r}; there are {', '.join(known)}"
