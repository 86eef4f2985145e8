"""What must hold of closed days and months, beside the ledger's own invariants."""

from __future__ import annotations

from billing.check import Invariant

_IN_PERIOD = "charge.carrier = period.carrier AND charge.period >= period.first_day AND charge.period < period.after_day"

INVARIANTS = (
    Invariant(
        "closed_stays_closed",
        "a closed period holds as many records as when it was closed",
        f"""SELECT period.period FROM period WHERE period.state IN (2, 3) AND period.records <>
        (SELECT COUNT(*) FROM charge WHERE {_IN_PERIOD} AND charge.journal_seq IS NOT NULL)""",  # noqa: S608 - a literal of this file
    ),
    Invariant(
        "closed_adds_up",
        "a closed period holds the amounts of when it was closed, each currency for itself",
        f"""SELECT kept.period FROM
        (SELECT carrier, period, currency, SUM(amount_minor) AS minor FROM period_total GROUP BY carrier, period, currency) AS kept
        JOIN period ON period.carrier = kept.carrier AND period.period = kept.period
        WHERE kept.minor <> (SELECT COALESCE(SUM(charge.amount_minor), 0) FROM charge
        WHERE {_IN_PERIOD} AND charge.currency = kept.currency AND charge.journal_seq IS NOT NULL)""",  # noqa: S608 - as above
    ),
    Invariant(
        "closed_is_sealed",
        "the days of a closed period take no rows any more",
        """SELECT period.period FROM period LEFT JOIN carrier_books ON carrier_books.carrier = period.carrier
        WHERE period.sealed_at IS NOT NULL AND COALESCE(carrier_books.closed_until, 0) < period.after_day""",
    ),
    Invariant(
        "late_was_sealed",
        "what is marked late stands in a day after one that was closed",
        """SELECT charge.id FROM charge LEFT JOIN carrier_books ON carrier_books.carrier = charge.carrier
        WHERE charge.late AND COALESCE(carrier_books.closed_until, 0) = 0""",
    ),
)
