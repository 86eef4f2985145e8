"""Fixtures for pytest: a simulated SMSC on a free port. `from simulators.pytest_plugin import smsc` in a conftest.py or a test.

A fixture of your own called `smsc_options` returns what the SMSC shall be: keys of an SMSC of a scenario, `scenario`, `seed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulators.smsc_thread import AsyncSmsc, SmscThread

__all__ = ["async_smsc", "smsc"]


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    try:
        options: dict[str, Any] = request.getfixturevalue("smsc_options")
    except pytest.FixtureLookupError:
        return {}
    return options


@pytest.fixture
def smsc(request: pytest.FixtureRequest) -> Iterator[SmscThread]:
    """A running SMSC, for tests without an event loop."""
    with SmscThread(**_options(request)) as running:
        yield running


@pytest.fixture
def async_smsc(request: pytest.FixtureRequest) -> Iterator[AsyncSmsc]:
    """A running SMSC, for tests with an event loop."""
    with SmscThread(**_options(request)) as running:
        yield AsyncSmsc(running)
