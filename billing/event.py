"""The facts of one billable thing: what is known when it is accepted, and what its settlement adds."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Direction(IntEnum):
    """Which way the thing went: to the handset, from it, or fetched by it."""

    MT = 0
    MO = 1
    DL = 2


class FeeClass(IntEnum):
    """What the price is multiplied by."""

    FREE = 0
    PER_MSG = 1
    PER_PART = 2


class Payer(IntEnum):
    """Who pays: the handset reached, the handset that sent, the service provider, or somebody else."""

    DEST = 0
    SOURCE = 1
    SP = 2
    OTHER = 3


class ChargeState(IntEnum):
    """Where a charge stands; from 10 on it is final."""

    HELD = 0
    CAPTURED = 10
    RELEASED = 11
    EXPIRED = 12
    ZERO_RATED = 13


class TransferState(IntEnum):
    """Where a transfer stands; from 10 on it is final."""

    PENDING = 0
    POSTED = 10
    VOIDED = 11
    EXPIRED = 12


class BillableEvent(NamedTuple):
    """What the charge row holds from the moment of acceptance; `amount_minor` is the most it can become."""

    id: int
    direction: Direction
    event_at: int
    service: str
    fee_class: FeeClass
    payer: Payer
    wallet: int | None
    link: str | None
    short_code: str | None
    charged_msisdn: str | None
    peer_msisdn: str | None
    im_account: int | None
    parts: int
    quantity: int
    unit_price_minor: int
    amount_minor: int
    currency: str
    tariff_version: str
    tariff_rule: str


class Settlement(NamedTuple):
    """The last step of one charge: `held_minor` is what its hold took, `amount_minor` what is captured of that."""

    id: int
    state: ChargeState
    wallet: int | None
    held_minor: int
    amount_minor: int
    parts_charged: int
    journal_seq: int
    delivery_status: str | None
    delivery_time: int | None
    network_error: str | None
    smsc_message_ids: str | None
    link: str | None


class Record(NamedTuple):
    """An event that is free and final at once: both halves of its charge."""

    event: BillableEvent
    settlement: Settlement
