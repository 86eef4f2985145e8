"""
BillingError
  MoneyError               an amount or a currency that is none, or two currencies in one sum
  TariffError              a tariff table that can't be used, or a service it does not price
  LedgerError              a step the ledger forbids
    AlreadySettledError    a second terminal step: the caller repeats itself
    CaptureExceedsHoldError more captured than was held
    UnknownAccountError    no such account, or not of the kind asked for
    UnknownChargeError     no such charge
    ReferenceReusedError   the same reference with other content: refused, nothing written
    SettlementMismatchError the settlement speaks of another wallet or hold than the row does: our bug
    LedgerBrokenError      two rows that must agree do not: stop and look
  PeriodError              a day or month that is none, or a step its state forbids
  SubscriptionError        no such subscription or offer, or one that cannot be had so
  AuditError               an act without an actor
  ExportError              an export that can't be written as asked
"""

from __future__ import annotations


class BillingError(Exception):
    """Anything this package refuses."""


class MoneyError(BillingError):
    """An amount or a currency that is none, or two currencies in one sum."""


class TariffError(BillingError):
    """A tariff table that can't be used, or a service it does not price."""


class LedgerError(BillingError):
    """A step the ledger forbids."""


class AlreadySettledError(LedgerError):
    """A second terminal step on one transfer."""

    def __init__(self, transfer_id: int, state: str) -> None:
        super().__init__(f"transfer {transfer_id} is already {state}")
        self.transfer_id = transfer_id


class CaptureExceedsHoldError(LedgerError):
    """More captured than was held."""

    def __init__(self, held_minor: int, captured_minor: int) -> None:
        super().__init__(f"cannot capture {captured_minor} of a hold of {held_minor}")


class UnknownAccountError(LedgerError):
    """No such account, or not of the kind asked for."""


class UnknownChargeError(LedgerError):
    """No such charge."""


class ReferenceReusedError(LedgerError):
    """The same reference with other content."""


class SettlementMismatchError(LedgerError):
    """The settlement speaks of another wallet or hold than the charge row does."""


class LedgerBrokenError(LedgerError):
    """Two rows that must agree do not."""


class PeriodError(BillingError):
    """A day or month that is none, or a step its state forbids."""


class SubscriptionError(BillingError):
    """No such subscription or offer, or one that cannot be had so."""


class AuditError(BillingError):
    """An act without an actor."""


class ExportError(BillingError):
    """An export that can't be written as asked."""
