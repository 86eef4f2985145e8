"""The PICS of a run: as a table for a terminal, as Markdown to sign, as JSON for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from gateway.smpp.consts import CommandId
from simulators.conform.case import Grade
from simulators.conform.run import Result
from simulators.conform.wire import HEX_SHOWN, Line

HEADER = 16
_WITH_PASSWORD = frozenset({CommandId.BIND_RECEIVER, CommandId.BIND_TRANSMITTER, CommandId.BIND_TRANSCEIVER, CommandId.OUTBIND})
_MARKS = {Grade.PASS: "pass", Grade.FAIL: "FAIL", Grade.NOT_SUPPORTED: "not supported", Grade.NOT_TESTED: "not tested"}


def summary(results: Sequence[Result]) -> str:
    """One line with the counts."""
    counts = Counter(result.grade for result in results)
    return f"{len(results)} cases: " + ", ".join(f"{counts[grade]} {grade.value}" for grade in Grade)


def exit_code(results: Sequence[Result]) -> int:
    """0 when nothing failed, 1 when something did, 3 when nothing at all could be tested."""
    if any(result.grade is Grade.FAIL for result in results):
        return 1
    return 0 if any(result.grade is Grade.PASS for result in results) else 3


def row(result: Result) -> str:
    """One result as a line of the terminal's table."""
    why = f"  {result.why}" if result.why else ""
    return f"{result.case.id}  {_MARKS[result.grade]:<13}  {result.case.title}{why and ':' + why}"


def evidence_lines(lines: Sequence[Line]) -> list[str]:
    """What went over the wire, with hex; times in seconds from the first line."""
    begun = lines[0].at_s if lines else 0.0
    return [_line(line, begun) for line in lines]


def _line(line: Line, begun: float) -> str:
    told = _without_password(line.octets)
    octets = told[:HEX_SHOWN].hex(" ", -4) + (" ..." if len(told) > HEX_SHOWN else "")
    return f"{line.at_s - begun:8.3f} {line.direction} {line.text}" + (f"  {octets}" if octets else "")


def _without_password(frame: bytes) -> bytes:
    """A PDU as it may be shown: where a bind or an outbind has its password, asterisks stand."""
    start = frame.find(b"\0", HEADER) + 1
    if len(frame) <= HEADER or int.from_bytes(frame[4:8], "big") not in _WITH_PASSWORD or not start:
        return frame
    end = frame.find(b"\0", start)
    end = len(frame) if end < 0 else end
    return frame[:start] + b"*" * (end - start) + frame[end:]


def as_json(peer: str, role: str, results: Sequence[Result]) -> dict[str, Any]:
    """Everything, evidence too."""
    return {
        "peer": peer,
        "role": role,
        "summary": {grade.value: sum(result.grade is grade for result in results) for grade in Grade},
        "cases": [
            {
                "id": result.case.id,
                "title": result.case.title,
                "expected": result.case.expected,
                "result": result.grade.value,
                "why": result.why,
                "seconds": round(result.seconds, 3),
                "evidence": [
                    {
                        "at_s": round(line.at_s - result.evidence[0].at_s, 6),
                        "direction": line.direction,
                        "what": line.text,
                        "octets": _without_password(line.octets).hex(),
                    }
                    for line in result.evidence
                ],
            }
            for result in results
        ],
    }


def as_markdown(peer: str, role: str, results: Sequence[Result], when: str) -> str:
    """The statement: a table of all cases, and the evidence of those that did not pass."""
    lines = [
        f"# SMPP conformance of {peer} as {role.upper()}",
        "",
        f"{when}. {summary(results)}.",
        "",
        "| case | what | expected | result | remark |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        cells = (result.case.id, result.case.title, result.case.expected, _MARKS[result.grade], result.why)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    failed = [result for result in results if result.grade is Grade.FAIL]
    if failed:
        lines += ["", "## Evidence"]
    for result in failed:
        lines += ["", f"### {result.case.id} {result.case.title}", "", result.why, "", "```", *evidence_lines(result.evidence), "```"]
    return "\n".join(lines) + "\n"
