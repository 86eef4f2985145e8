"""The PICS of a run: as a table for a terminal, as Markdown to sign, as JSON for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from simulators.conform.case import Grade
from simulators.conform.run import Result
from simulators.conform.wire import HEX_SHOWN, Line

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
    octets = line.octets[:HEX_SHOWN].hex(" ", -4) + (" ..." if len(line.octets) > HEX_SHOWN else "")
    return f"{line.at_s - begun:8.3f} {line.direction} {line.text}" + (f"  {octets}" if octets else "")


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
                        "octets": line.octets.hex(),
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
