"""With BELLHOP_REQUIRE_ALL=1 a skipped test fails: where everything is installed, nothing may go untested unnoticed."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog

from tests.support.engines import empty_store, engine, engine_name, engine_url

__all__ = ["empty_store", "engine", "engine_name", "engine_url"]

REQUIRE_ALL = os.environ.get("BELLHOP_REQUIRE_ALL") == "1"


@pytest.fixture(autouse=True)
def logging_as_it_begins() -> Iterator[None]:
    """What one test makes of the log, the next does not inherit."""
    yield
    structlog.reset_defaults()


def _fail_instead(report: Any) -> None:
    if REQUIRE_ALL and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"BELLHOP_REQUIRE_ALL=1, but this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_instead(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_instead(report)
    return report
