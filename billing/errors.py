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
    CorrectionRefusedError a refund, adjustment, goodwill or write-off that its charge does not allow; names the field
    LedgerBrokenError      two rows that must agree do not: stop and look
  RerateError              a run of pricing anew that its state, or the four eyes, forbid
  SuspenseError            an event that does not wait to be priced
  PeriodError              a day or month that is none, or a step its state forbids
  SubscriptionError        no such subscription or offer, or one that cannot be had so
  AuditError               an act without an actor
  ApprovalError            a request that nobody may decide, or not any more
  VoucherError             a code that brings nothing, or a batch that can't be made
  NameRefusedError         a name no file or spreadsheet should carry
  ExportError              an export that can't be written as asked
  DeliveryError            a file that can't be brought to its target, or an answer its state forbids
  CarrierFileError         a carrier's file, or the profile that reads it, that can't be used: names line and field
  ReconciliationError      a comparison or a resolution that can't be made as asked
  SettlementError          a settlement, or the rules of one, that can't be made as asked
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


class CorrectionRefusedError(LedgerError):
    """A correction its charge does not allow; `remaining_minor` says what could still be given back, where that was the bound."""

    def __init__(self, field: str, text: str, remaining_minor: int | None = None) -> None:
        super().__init__(f"{field}: {text}")
        self.field, self.text, self.remaining_minor = field, text, remaining_minor


class LedgerBrokenError(LedgerError):
    """Two rows that must agree do not."""


class RerateError(BillingError):
    """A run of pricing anew that its state, or the four eyes, forbid."""


class SuspenseError(BillingError):
    """An event that does not wait to be priced."""


class PeriodError(BillingError):
    """A day or month that is none, or a step its state forbids."""


class SubscriptionError(BillingError):
    """No such subscription or offer, or one that cannot be had so."""


class AuditError(BillingError):
    """An act without an actor."""


class ApprovalError(BillingError):
    """A request that nobody may decide, or not any more."""


class VoucherError(BillingError):
    """A code that brings nothing, or a batch that can't be made."""


class NameRefusedError(BillingError):
    """A name no file or spreadsheet should carry."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field, self.text = field, text


class ExportError(BillingError):
    """An export that can't be written as asked."""


class DeliveryError(BillingError):
    """A file that can't be brought to its target, or an answer its state forbids."""


class CarrierFileError(BillingError):
    """A carrier's file, or the profile that reads it, that can't be used."""


class ReconciliationError(BillingError):
    """A comparison or a resolution that can't be made as asked."""


class SettlementError(BillingError):
    """A settlement, or the rules of one, that can't be made as asked."""
