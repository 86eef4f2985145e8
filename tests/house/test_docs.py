"""House rules about the documentation: what it names exists, its links lead somewhere, and its tables are current.

`python tests/house/test_docs.py` writes the generated tables anew.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from billing import cdr
from gateway.cli import COMMANDS
from gateway.telemetry import SERIES, Histogram, Metrics
from gateway.web.billing_api import BILLING
from gateway.web.billing_door import PREFIX
from gateway.web.intake import FIELDS
from gateway.web.openapi import OPERATIONS
from gateway.web.problem import STATUS_BY_REASON

ROOT = Path(__file__).resolve().parents[2]
# What a reference to a file of ours begins with; everything else in backticks is a word, an example or an address.
FOLDERS = ("gateway/", "billing/", "content/", "simulators/", "tests/", "docs/", "bench/", ".ci/")
FILES = ("Makefile", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".importlinter", "requirements.txt", "requirements-dev.txt")
METRICS_BEGIN, METRICS_END = "<!-- metrics: begin -->", "<!-- metrics: end -->"

FENCE = re.compile(r"^ *```[a-z]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def pages() -> list[Path]:
    """The pages, and the changelog."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def spans() -> Iterator[tuple[str, str]]:
    """(page, what stands in backticks) outside of fenced blocks."""
    for page in pages():
        for match in SPAN.finditer(prose_of(page)):
            yield str(page.relative_to(ROOT)), match[1]


def references() -> Iterator[tuple[str, str]]:
    for page, span in spans():
        word = span.split("#")[0]
        if " " not in word and (word.startswith(FOLDERS) or word in FILES):
            yield page, word


def command_lines() -> Iterator[tuple[str, str]]:
    """(page, command line) for every line of a fenced block, and every span, that calls the command."""
    for page in pages():
        name, text = str(page.relative_to(ROOT)), page.read_text("utf-8")
        lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
        for line in [*lines, *SPAN.findall(FENCE.sub("", text))]:
            called = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S* )*(?:\S*/bin/)?bellhop +([^#&|]*)", line)
            if called:
                yield name, called[1].strip()


@cache
def names_of(path: Path) -> frozenset[str]:
    """Top-level names of a module, and Class.member of its classes: methods, fields, and what __init__ sets."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        found.update(_bound_by(node))
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                found.update(f"{node.name}.{name}" for name in _bound_by(member))
    return frozenset(found)


def _bound_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def anchors_of(page: Path) -> set[str]:
    plain = (re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(prose_of(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


@cache
def command(name: str) -> Any:
    """What a command name is mounted to: a function or a typer app; None where there is no such command."""
    for known in COMMANDS:
        if known.name == name:
            return getattr(importlib.import_module(known.module), known.attribute)
    plugins = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["bellhop.commands"]
    if name not in plugins:
        return None
    module, _, attribute = plugins[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def verbs_of(app: typer.Typer) -> set[str]:
    commands = {each.name or each.callback.__name__.replace("_", "-") for each in app.registered_commands if each.callback is not None}
    return commands | {str(each.name) for each in app.registered_groups}


def fault_of(line: str) -> str | None:
    """What is wrong with a command line, None when it names a command, and a verb where there are verbs."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z][a-z-]*", words[0]):
        return None
    mounted = command(words[0])
    if mounted is None:
        return f"no command {words[0]}"
    verb = words[1] if len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) else None
    if isinstance(mounted, typer.Typer) and verb is not None and verb not in verbs_of(mounted):
        return f"{words[0]} has no verb {verb}"
    return None


def metrics_table() -> str:
    """Every series under the name it is scraped by."""
    rows = ["| name | kind | labels | meaning |", "|---|---|---|---|"]
    values = Metrics()
    for series in SERIES:
        name = "_".join(part for part in ("bellhop", series.attribute, series.unit) if part)
        is_counter = series.kind == "counter" and not isinstance(getattr(values, series.attribute), Histogram)
        rows.append(f"| `{name}{'_total' * is_counter}` | {series.kind} | {', '.join(series.labels)} | {series.help} |")
    return "\n".join(rows)


def with_metrics_table(text: str) -> str:
    begin, end = text.index(METRICS_BEGIN) + len(METRICS_BEGIN), text.index(METRICS_END)
    return f"{text[:begin]}\n{metrics_table()}\n{text[end:]}"


def test_every_path_that_is_named_exists():
    gone = []
    for page, word in references():
        path = word.partition(":")[0]
        if not (any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()):
            gone.append(f"{page}: {word}")

    assert gone == []


def test_every_module_that_is_named_without_its_folder_exists():
    modules = {path.name for folder in FOLDERS if (ROOT / folder).exists() for path in (ROOT / folder).rglob("*.py")}

    assert [f"{page}: {span}" for page, span in spans() if re.fullmatch(r"[a-z_0-9]+\.py", span) and span not in modules] == []


def test_every_name_that_is_named_in_a_file_is_there():
    missing = []
    for page, word in references():
        path, _, name = word.replace("::", ":").partition(":")
        if name and not (path.endswith(".py") and (ROOT / path).exists() and name in names_of(ROOT / path)):
            missing.append(f"{page}: {word}")

    assert missing == []


def test_every_method_that_is_named_without_its_file_is_somewhere():
    known = {name for folder in FOLDERS if (ROOT / folder).exists() for path in (ROOT / folder).rglob("*.py") for name in names_of(path)}

    assert [f"{page}: {span}" for page, span in spans() if re.fullmatch(r"[A-Z]\w+\.[a-z_]\w*", span) and span not in known] == []


def test_every_command_that_is_named_exists():
    assert [f"{page}: bellhop {line}: {fault}" for page, line in command_lines() if (fault := fault_of(line))] == []


def test_a_command_that_does_not_exist_is_found():
    assert fault_of("fly me") == "no command fly"
    assert fault_of("partner fire acme") == "partner has no verb fire"
    assert fault_of("partner add acme") is None


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path):
    broken = []
    for target in LINK.findall(prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            broken.append(target)

    assert broken == []


def test_every_decision_is_in_the_list_of_decisions():
    folder = ROOT / "docs" / "adr"
    listed = LINK.findall((folder / "README.md").read_text("utf-8"))

    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_the_table_of_metrics_is_current():
    written = (ROOT / "docs" / "operations.md").read_text("utf-8")

    assert written == with_metrics_table(written), "run: python tests/house/test_docs.py"


def test_every_column_of_the_charge_file_is_explained_in_order():
    billing = (ROOT / "docs" / "billing-files.md").read_text("utf-8")
    table = billing.partition("### Columns")[2].partition("###")[0]

    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == cdr.COLUMNS


def test_every_address_field_and_reason_of_the_api_is_explained():
    api = (ROOT / "docs" / "http-api.md").read_text("utf-8")

    wanted = [f"{operation.method} {operation.path}" for operation in OPERATIONS]
    wanted += [f"| `{field.name}` |" for field in FIELDS] + [f"`{reason}`" for reason in STATUS_BY_REASON]
    assert [words for words in wanted if words not in api] == []


def test_every_call_of_the_billing_desk_is_in_its_page():
    page = (ROOT / "docs" / "billing-api.md").read_text("utf-8")

    assert [each.id for each in BILLING if f"| `{each.method} {PREFIX}{each.path}` | {each.scope} | {each.summary} |" not in page] == []


if __name__ == "__main__":
    operations = ROOT / "docs" / "operations.md"
    operations.write_text(with_metrics_table(operations.read_text("utf-8")), "utf-8")
