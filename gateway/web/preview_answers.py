"""The models of a preview's answer, for the OpenAPI document and the tests."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.web.answer import Answer

EncodingName = Literal["gsm7", "ucs2", "binary"]


class ShortMessage(Answer):
    """One short message of it."""

    used: int = Field(ge=0, description="Units of the encoding it holds, its header apart")
    left: int = Field(ge=0, description="Units that would still fit")


class ForcingCharacter(Answer):
    """A character that GSM 7-bit does not have."""

    position: int = Field(ge=0, description="In code points, from 0")
    character: str
    code_point: str
    suggestion: str | None = Field(description="What might be written instead; null: nothing near")


class Change(Answer):
    """A typographic character and what stands for it."""

    position: int = Field(ge=0)
    character: str
    by: str


class Replacement(Answer):
    """What replacing typographic characters does to this text."""

    applied: bool = Field(description="Whether it is done: asked for, or the service's default")
    changes: list[Change]
    encoding: EncodingName
    segments: int = Field(ge=1)


class PreviewPrice(Answer):
    """What would be held."""

    amount_minor: int
    currency: str


class Route(Answer):
    """Where it would leave, and why there."""

    link: str
    rule: str = Field(description="The routing rule that says so; empty: there are no rules")
    why: list[str]
    sender: str = Field(description="The sender that the rule puts in place of yours; empty: yours stays")


class Preview(Answer):
    """What would become of a message."""

    encoding: EncodingName
    unit: Literal["septet", "utf16_unit", "octet"]
    tables: str = Field(description="National language tables it would use; empty: none")
    data_coding: int = Field(ge=0, le=255)
    message_class: int | None = Field(description="0 is flash")
    segments: int = Field(ge=1, le=255)
    parts: list[ShortMessage]
    forced_by: list[ForcingCharacter] = Field(max_length=100, description="The first characters for which UCS-2 is needed")
    forced_by_count: int = Field(ge=0)
    replacement: Replacement | None = Field(description="null: it changes nothing, or would not help")
    price: PreviewPrice
    route: Route
