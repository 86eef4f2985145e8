"""What every form of file offers, and what it is told of the file it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from billing.cdr import Page
from billing.manifest import Recount


class Head(NamedTuple):
    """What is known of a file before its first record."""

    schema: str
    node: str
    profile: str
    carrier: str
    period: str
    zone: str
    from_us: int
    to_us: int
    created_us: int
    file_seq: int
    revision: int
    file_name: str


class Encoder(Protocol):
    """Makes the bytes of one file: begin once, pages of records, finish once."""

    def begin(self) -> bytes:
        """What stands before the records."""
        ...

    def page(self, page: Page) -> bytes:
        """The bytes of some records, in order; empty while they are kept for later."""
        ...

    def finish(self, recount: Recount, closure: str) -> bytes:
        """What stands behind the records, with what is still kept."""
        ...


class RowEncoder(Encoder, Protocol):
    """A form whose records stand for themselves, so that a file may end after any of them."""

    def records(self, page: Page) -> Sequence[bytes]:
        """The bytes of each record."""
        ...
