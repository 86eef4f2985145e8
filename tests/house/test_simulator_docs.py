"""The tables of docs/simulator.md are those of the code. `python tests/house/test_simulator_docs.py` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from simulators import form
from simulators.smsc_chance import Latency
from simulators.smsc_dialects import DIALECTS
from simulators.smsc_rule import Rule
from simulators.smsc_scenario import Scenario, SmscForm, SmscLimits, parse, shipped
from simulators.smsc_script import BindRule, Event, MoStream, Tls

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"
FORMS = (Scenario, SmscForm, Rule, Latency, BindRule, Event, MoStream, Tls, SmscLimits)


def tables() -> dict[str, str]:
    """What stands between the marks, by the mark's name."""
    scenarios = ["| name | what it is for |", "|---|---|"]
    scenarios += [f"| `{name}` | {parse(text, name).about} |" for name, text in sorted(shipped().items())]
    dialects = ["| dialect | what is odd about it |", "|---|---|"]
    dialects += [f"| `{name}` | {dialect.means} |" for name, dialect in DIALECTS.items()]
    found = {f"keys {cls.__name__}": form.rows(cls) for cls in FORMS} | {"scenarios": scenarios, "dialects": dialects}
    return {name: "\n".join(rows) for name, rows in found.items()}


def with_tables(text: str) -> str:
    for name, table in tables().items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        at = text.index(begin) + len(begin)
        text = f"{text[:at]}\n{table}\n{text[text.index(end) :]}"
    return text


def test_tables_of_keys_are_current():
    text = PAGE.read_text("utf-8")

    assert with_tables(text) == text, "run: python tests/house/test_simulator_docs.py"


def test_example_scenario_is_right():
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)

    scenario = parse(example, "docs/simulator.md")

    assert len(scenario.smsc[0].rule) == 3


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
