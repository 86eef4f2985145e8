"""Streams of random numbers, one for each purpose, all drawn from a single seed.

Streams don't disturb each other: one more draw for the network leaves the workload what it was.
"""

from __future__ import annotations

import hashlib
import random  # noqa: TID251 - in the simulated world, seeded streams are where randomness comes from

Stream = random.Random


def stream(seed: int, *purpose: object) -> Stream:
    """The stream of a purpose, such as `stream(seed, "connection", 7)`: the same in every process, whatever PYTHONHASHSEED says."""
    name = "/".join([str(seed), *map(str, purpose)])
    return Stream(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def between(numbers: Stream, least: float, most: float) -> float:
    """A number between two others, small ones more often: waits in the field have a short head and a long tail."""
    return least + (most - least) * numbers.random() ** 3
