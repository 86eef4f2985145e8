"""What must hold of closed days and months, beside the ledger's own invariants."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from billing import calendar
from billing.carriers import Carriers
from billing.check import SAMPLES, Invariant, Violation
from billing.event import RecordType
from billing.schema import charge

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


def booked_by_the_clock(conn: Connection, carriers: Carriers) -> Violation | None:
    """A charge stands in the day of its event on its carrier's clock; one that is late, in a later day.

    SQL knows no clock of a carrier's: it tells the first and the last event of each day, which are held against its midnights.
    """
    columns = charge.c
    bounds = (func.min(columns.event_at), func.max(columns.event_at))
    is_charge = columns.journal_seq.is_not(None) & (columns.record_type == int(RecordType.CHARGE))
    groups = (columns.carrier, columns.period, columns.late)
    count, samples = 0, []
    for carrier, day, is_late, first, last in conn.execute(select(*groups, *bounds).where(is_charge).group_by(*groups)).all():
        zone = (carriers.named(carrier) or carriers.default).zone
        span = calendar.span_of(day, zone)
        if (is_late or first >= span.from_us) and last < (span.from_us if is_late else span.to_us):
            continue
        in_group = is_charge & (columns.carrier == carrier) & (columns.period == day) & (columns.late == is_late)
        fits = columns.event_at < span.from_us if is_late else columns.event_at.between(span.from_us, span.to_us - 1)
        count += int(conn.execute(select(func.count()).select_from(charge).where(in_group, ~fits)).scalar_one())
        query = select(columns.id).where(in_group, ~fits).order_by(columns.id).limit(SAMPLES)
        samples += list(conn.execute(query).scalars())
    if not count:
        return None
    rule = "a charge stands in the day of its event on its carrier's clock, or, marked late, in a later one"
    return Violation("booked_by_the_clock", f"{rule}; not so: {', '.join(map(str, samples[:SAMPLES]))}", count)
