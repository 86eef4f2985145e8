"""query_sm towards a carrier, and its answer: SMPP 3.4 section 4.8."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.services.asking import Told
from gateway.smpp import pdu as p


class Question(NamedTuple):
    """What waits for the answer of a query_sm."""

    done: Callable[[Told | None], None]


def told_by(response: p.Pdu) -> Told:
    """What an answer says; error_code 0 is none."""
    if response.command_status or not isinstance(response, p.QuerySmResp):
        return Told(response.command_status or -1)
    return Told(0, response.message_state, f"{response.error_code:03d}" if response.error_code else None)
