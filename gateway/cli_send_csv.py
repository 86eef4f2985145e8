"""Sending a CSV: batch after batch, each answered, written down, and never sent under a second key."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import typer

from gateway.cli_http import Answer, GatewayClient, detail_in, detail_of
from gateway.cli_send_journal import Begun, Journal
from gateway.cli_send_rows import Row, Sheet, batches, open_sheet, read_rows, write_rejects
from gateway.errors import Refused

REJECTS_SUFFIX = ".bellhop-rejects.csv"
_ACCEPTED = 202
Advance = Callable[[int], None]


class Orders(NamedTuple):
    """What the command line asks: the file, what stands in for empty cells, how many rows a request has, and which time this is."""

    path: Path
    source: str
    service: str
    batch_rows: int
    again: str


class Done(NamedTuple):
    """What became of the file."""

    file: str
    rows: int
    accepted: int
    refused: int
    rejects_file: str | None
    was_sent_before: bool


class CsvSending:
    """One file on its way."""

    def __init__(self, client: GatewayClient, orders: Orders) -> None:
        self._client = client
        self._orders = orders
        self._sheet = open_sheet(orders.path)

    async def run(self) -> Done:
        """Send what was not sent yet; raises Refused when the gateway will have none of it."""
        orders, sheet = self._orders, self._sheet
        faults, good = _survey(self._rows())
        with Journal(orders.path, Begun(sheet.sha256, orders.again, orders.source, orders.service, orders.batch_rows)) as journal:
            was_sent_before = journal.is_done
            with _progress(orders.path.name, good) as advance:
                for number, batch in enumerate(batches(self._rows(), orders.batch_rows)):
                    if number not in journal.answered:
                        await self._send(journal, number, batch)
                    advance(len(batch))
            refused = {line: why for answered in journal.answered.values() for line, why in answered.refused.items()} | faults
            accepted = sum(answered.accepted for answered in journal.answered.values())
            rejects = _write_rejects(sheet, refused)
            journal.finish()
        return Done(str(orders.path), good + len(faults), accepted, len(refused), rejects, was_sent_before)

    def _rows(self) -> Iterator[Row]:
        return read_rows(self._sheet, source=self._orders.source, service=self._orders.service)

    async def _send(self, journal: Journal, number: int, batch: list[Row]) -> None:
        answer = await self._client.post("/v1/messages", {"messages": [row.message for row in batch]}, self._key_of(number))
        results = answer.body.get("messages") if isinstance(answer.body, dict) else None
        if answer.status != _ACCEPTED or not isinstance(results, list) or len(results) != len(batch):
            raise Refused(_refusal(answer, batch))
        ids = [str(result["id"]) if "id" in result else None for result in results]
        refused = {row.line: _reason(result) for row, result in zip(batch, results, strict=True) if "id" not in result}
        journal.answer(number, [row.line for row in batch], ids, refused)

    def _key_of(self, number: int) -> str:
        """Made of the file's content and the batch's number alone, so that even a lost journal sends nothing twice."""
        label = f"-{self._orders.again}" if self._orders.again else ""
        return f"csv-{self._sheet.sha256[:40]}{label}-{number}"


def _survey(rows: Iterator[Row]) -> tuple[dict[int, str], int]:
    """The rows that cannot be sent, by line with their reasons; and how many can."""
    faults: dict[int, str] = {}
    good = 0
    for row in rows:
        if row.fault:
            faults[row.line] = row.fault
        else:
            good += 1
    return faults, good


def _refusal(answer: Answer, batch: list[Row]) -> str:
    if answer.status == _ACCEPTED:
        return "the gateway's answer is not understood; is --url a bellhop gateway?"
    detail = detail_of(answer) or f"the gateway answers {answer.status}"
    return f"lines {batch[0].line} to {batch[-1].line}: {detail}"


def _reason(result: dict[str, Any]) -> str:
    detail = detail_in(result.get("error")) or "refused"
    # The field's place in the batch means nothing to who has the file: messages[3].to is the row's `to`.
    return detail.partition("].")[2] if detail.startswith("messages[") and "]." in detail else detail


def _write_rejects(sheet: Sheet, refused: dict[int, str]) -> str | None:
    path = sheet.path.with_name(sheet.path.name + REJECTS_SUFFIX)
    if not refused:
        path.unlink(missing_ok=True)
        return None
    write_rejects(sheet, path, refused)
    return str(path)


@contextmanager
def _progress(name: str, total: int) -> Iterator[Advance]:
    """A bar on a terminal; elsewhere a plain line for each tenth."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(name, total=total)
            yield lambda rows: bar.advance(task, rows)
        return
    sent = 0

    def advance(rows: int) -> None:
        nonlocal sent
        before, sent = sent, sent + rows
        if before * 10 // total < sent * 10 // total:
            typer.echo(f"{name}: {sent} of {total} rows", err=True)

    yield advance
