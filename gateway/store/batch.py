"""What one transaction of the writer does: bulk operations with their items, single calls, and who hears of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Connection, exc

Item = TypeVar("Item")
Result = TypeVar("Result")
Done = Callable[[Any, BaseException | None], None]


class Bulk(Generic[Item, Result]):
    """A bulk operation: `fn(conn, items)` gives one result per item. Lower `rank` runs earlier in a transaction.

    `is_kept`: its items survive a store that cannot be written, in memory, and are tried again; others are refused.
    """

    __slots__ = ("fn", "is_kept", "rank")

    def __init__(self, fn: Callable[[Connection, Sequence[Item]], Sequence[Result]], *, rank: int, is_kept: bool = False) -> None:
        self.fn = fn
        self.rank = rank
        self.is_kept = is_kept


class Group(NamedTuple):
    """What gathered for one bulk operation."""

    bulk: Bulk[Any, Any]
    items: list[Any]
    dones: list[Done]


class Call(NamedTuple):
    """One transaction function of its own."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    done: Done


class Batch(NamedTuple):
    """All that one transaction does."""

    number: int
    groups: list[Group]
    calls: list[Call]


class Outcome(NamedTuple):
    """What a committed batch answers: results per group, and per call a result or an exception."""

    groups: list[Sequence[Any]]
    calls: list[tuple[Any, Exception | None]]


def rank_of(group: Group) -> int:
    """Where a group stands in its transaction."""
    return group.bulk.rank


def perform(conn: Connection, call: Call) -> tuple[Any, Exception | None]:
    savepoint = conn.begin_nested()
    try:
        result = call.fn(conn, *call.args)
    except exc.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the caller, who is on another thread
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return result, None


def answer(batch: Batch, outcome: Outcome) -> None:
    for group, results in zip(batch.groups, outcome.groups, strict=True):
        assert len(results) == len(group.items), f"{group.bulk.fn.__name__} gave {len(results)} results for {len(group.items)} items"
        for done, result in zip(group.dones, results, strict=True):
            try:
                done(result, None)
            except Exception as failure:  # noqa: BLE001 - any caller's bug, shown by the loop's handler
                _complain(failure)
    for call, (result, error) in zip(batch.calls, outcome.calls, strict=True):
        _tell(call.done, result, error)


def refuse(batch: Batch, error: BaseException) -> None:
    for group in batch.groups:
        for done in group.dones:
            _tell(done, None, error)
    for call in batch.calls:
        _tell(call.done, None, error)


def _tell(done: Done, result: Any, error: BaseException | None) -> None:
    """Answer one caller; a failure of his own must not leave the others of the batch without their answers."""
    try:
        done(result, error)
    except Exception as failure:  # noqa: BLE001 - any caller's bug, shown by the loop's handler
        _complain(failure)


def _complain(failure: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": "a writer's caller failed", "exception": failure})


# PostgreSQL ended a transaction that it could not fit in with others: done again, it goes through.
_OUT_OF_STEP = ("40001", "40P01")


def is_of_the_store(error: BaseException) -> bool:
    """Whether the store itself failed (full, read-only, gone), not one of the statements in it."""
    if getattr(getattr(error, "orig", None), "sqlstate", None) in _OUT_OF_STEP:
        return False
    return isinstance(error, exc.OperationalError | exc.InterfaceError | exc.InternalError | exc.ResourceClosedError | OSError)


def resolver(future: asyncio.Future[Any]) -> Done:
    """What makes a future of an answer."""

    def resolve(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    return resolve
