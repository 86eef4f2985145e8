"""Partners with policies, in a running gateway."""

from __future__ import annotations

from typing import Any

from gateway.domain import policy as policies
from gateway.store import partner_changes
from tests.support.gateway import PARTNER, House


async def set_policy(house: House, name: str = PARTNER, **keys: Any) -> None:
    """Give a partner this policy; the gateway knows it when this returns."""
    assert await house.gateway.writer.run(partner_changes.set_policy, name, policies.to_json(policies.of(keys)))
    await house.gateway.accounts.refresh()
