"""
StoreError
  NewerStore    the database was written by a later version of the program
"""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be used; the text says why and what to do."""


class NewerStore(StoreError):
    """The database is at a schema version this program does not know."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"the store is at schema version {version}, which this version of bellhop does not know; run the newer bellhop that wrote it"
        )
