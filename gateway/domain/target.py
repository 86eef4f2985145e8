"""What a queued message is found by when its sender names no id: service, source and destination, as one number."""

from __future__ import annotations

import hashlib

_POSITIVE = 2**63 - 1


def target_of(service: str, source: str, destination: str) -> int:
    """A stable 63-bit hash of the three; two targets may share one, so what is found by it is compared again."""
    digest = hashlib.blake2b(f"{service}\0{source}\0{destination}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _POSITIVE
