"""The facts of one billable thing: what is known when it is accepted, and what its settlement adds."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Direction(IntEnum):
    """Which way the thing went: to the handset, from it, or fetched by it."""

    MT = 0
    MO = 1
    DL = 2


class RecordType(IntEnum):
    """What a record of the charge table is: a charge, or the correction of one."""

    CHARGE = 0
    REFUND = 1
    ADJUST = 2
    REVERSAL = 3
    RERATE = 4
    WRITEOFF = 5
    GOODWILL = 6


class FeeClass(IntEnum):
    """What the price is multiplied by, or how else it is collected."""

    FREE = 0
    PER_MSG = 1
    PER_PART = 2
    PER_ITEM = 3
    MONTHLY = 4
    CAPPED = 5
    SP_COLLECTED = 6


# Charged for each part that was delivered.
BY_PART_CLASSES = frozenset({FeeClass.PER_PART, FeeClass.CAPPED, FeeClass.SP_COLLECTED})


class Payer(IntEnum):
    """Who pays: the handset reached, the handset that sent, the service provider, or somebody else."""

    DEST = 0
    SOURCE = 1
    SP = 2
    OTHER = 3


class ChargeState(IntEnum):
    """Where a charge stands; from 10 on its event is over. A suspended one has no price yet: it is in no file until it gets one."""

    HELD = 0
    CAPTURED = 10
    RELEASED = 11
    EXPIRED = 12
    ZERO_RATED = 13
    SUSPENDED = 14


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
    """The last step of one charge: `held_minor` is what its hold took, `amount_minor` what is captured of that.

    `event_at` says on which day it belongs in the books; 0: the day of its booking.
    """

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
    event_at: int = 0


class Record(NamedTuple):
    """An event that is free and final at once: both halves of its charge."""

    event: BillableEvent
    settlement: Settlement
