"""The table of docs/protocols/smpp-cases.md: which test tries which case, read from the tests themselves.

A test says in its docstring which cases it tries, a play in its comments. `python tests/house/test_conformance_docs.py` writes the
table anew.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from simulators.conform.case import Case
from simulators.conform.run import ESME_CASES, SMSC_CASES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "protocols" / "smpp-cases.md"
BEGIN, END = "<!-- cases: begin -->", "<!-- cases: end -->"
COUNTS = {"S": 24, "H": 22, "M": 34, "R": 18, "F": 17}
CASE = re.compile(r"\b[SHMRF][0-9]{2}\b")
COLUMNS: dict[str, tuple[str, ...]] = {
    "session": ("tests/dialogues/plays/*.play", "tests/unit/test_smpp_*.py"),
    "server": ("tests/conformance/test_server_*.py", "tests/integration/test_partner_limits.py"),
    "link": ("tests/conformance/test_link_*.py", "tests/conformance/test_conform_link.py", "tests/services/test_*.py"),
    "simulator": ("tests/integration/test_sim_smsc*.py", "tests/unit/test_smsc_*.py"),
}
# Who is graded by bellhop conform, by which tests, and on what.
GRADED: dict[str, tuple[str, tuple[Case, ...]]] = {
    "server": ("tests/conformance/test_conform_server.py", SMSC_CASES),
    "link": ("tests/conformance/test_conform_link.py", ESME_CASES),
    "simulator": ("tests/conformance/test_conform_simulator.py", SMSC_CASES),
}
# Hours of traffic are no dialogue: the grading plays a short soak, and any length by --soak-s.
GRADED_ONLY = {"F17"}


def ids() -> list[str]:
    """The ids of all cases, in order."""
    return [f"{letter}{number:02}" for letter, count in COUNTS.items() for number in range(1, count + 1)]


def named_in(file: Path) -> Iterator[tuple[str, str]]:
    """(case, test) for what the tests of a file say of themselves."""
    text = file.read_text("utf-8")
    if file.suffix == ".play":
        told = [(file.stem, "\n".join(line for line in text.splitlines() if line.startswith("#")))]
    else:
        functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        told = [(node.name, ast.get_docstring(node) or "") for node in functions if node.name.startswith("test_")]
    for name, words in told:
        for case in dict.fromkeys(CASE.findall(words)):
            yield case, name


def tried_by() -> dict[str, dict[str, list[str]]]:
    """By column and case, the tests that try it."""
    found: dict[str, dict[str, list[str]]] = {column: defaultdict(list) for column in COLUMNS}
    for column, patterns in COLUMNS.items():
        for pattern in patterns:
            for file in sorted(ROOT.glob(pattern)):
                for case, name in named_in(file):
                    found[column][case].append(name)
    return found


def table() -> str:
    titles = {case.id: case.title for case in (*ESME_CASES, *SMSC_CASES)}
    graded = {column: {case.id for case in cases} for column, (_, cases) in GRADED.items()}
    tried = tried_by()
    rows = [f"| case | what | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    for case in ids():
        cells = []
        for column in COLUMNS:
            names = ["graded"] if case in graded.get(column, ()) else []
            names += [f"`{name}`" for name in dict.fromkeys(tried[column][case])]
            cells.append(", ".join(names))
        rows.append(f"| {case} | {titles[case]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    at, to = text.index(BEGIN) + len(BEGIN), text.index(END)
    return f"{text[:at]}\n{table()}\n{text[to:]}"


def test_table_of_cases_is_current():
    text = PAGE.read_text("utf-8")

    assert with_table(text) == text, "run: PYTHONPATH=. python tests/house/test_conformance_docs.py"


def test_every_case_is_graded_in_some_role_and_none_is_unknown():
    assert {case.id for case in (*SMSC_CASES, *ESME_CASES)} == set(ids())
    assert len(ids()) == 115


def test_those_who_are_graded_have_their_test():
    for file, _ in GRADED.values():
        assert "passes_every_case" in (ROOT / file).read_text("utf-8")


def test_every_case_has_a_test_of_its_own_beside_the_grading():
    tried = tried_by()

    alone = {case for case in ids() if not any(tried[column][case] for column in COLUMNS)}

    assert alone == GRADED_ONLY


def test_no_test_names_a_case_that_there_is_not():
    named = {case for cases in tried_by().values() for case in cases}

    assert named - set(ids()) == set()


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
