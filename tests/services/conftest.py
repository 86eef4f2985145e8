"""Services on both engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.support import lanes


@pytest.fixture
def play(engine_name: str) -> Callable[..., None]:
    """Plays in virtual time on a store of each engine in turn."""
    return partial(lanes.play, engine_name=engine_name)
