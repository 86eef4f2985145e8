"""What must hold between subscriptions, their evidence, their cycles and the charges of these, beside the ledger's own invariants."""

from __future__ import annotations

from billing.check import Invariant

INVARIANTS = (
    Invariant(
        "cycle_has_its_charge",
        "a paid cycle has its charge, settled, of that subscription and cycle",
        """SELECT subscription_cycle.subscription FROM subscription_cycle LEFT JOIN charge ON charge.id = subscription_cycle.charge
        WHERE subscription_cycle.state = 10 AND (charge.id IS NULL OR charge.state NOT IN (10, 13)
        OR COALESCE(charge.subscription, 0) <> subscription_cycle.subscription
        OR COALESCE(charge.cycle, 0) <> subscription_cycle.cycle)""",
    ),
    Invariant(
        "fee_has_its_cycle",
        "every fee of a subscription is that of one of its cycles",
        """SELECT charge.id FROM charge LEFT JOIN subscription_cycle ON subscription_cycle.charge = charge.id
        WHERE charge.subscription IS NOT NULL AND charge.record_type = 0 AND subscription_cycle.charge IS NULL""",
    ),
    Invariant(
        "fee_after_trial",
        "no fee falls due before the last confirmation or the end of the trial",
        """SELECT charge.id FROM charge LEFT JOIN subscription ON subscription.id = charge.subscription
        LEFT JOIN subscription_cycle ON subscription_cycle.charge = charge.id
        WHERE charge.subscription IS NOT NULL AND charge.record_type = 0 AND (subscription.id IS NULL
        OR subscription.subscribed_at = 0 OR subscription_cycle.event_at < subscription.trial_until)""",
    ),
    Invariant(
        "confirmations_have_evidence",
        "a subscription has the evidence of its order and of each confirmation",
        """SELECT subscription.id FROM subscription LEFT JOIN
        (SELECT subscription, SUM(CASE WHEN step = 'confirm' THEN 1 ELSE 0 END) AS confirmed,
        SUM(CASE WHEN step = 'order' THEN 1 ELSE 0 END) AS ordered FROM subscription_evidence GROUP BY subscription) AS shown
        ON shown.subscription = subscription.id
        WHERE COALESCE(shown.ordered, 0) <> 1 OR COALESCE(shown.confirmed, 0) < subscription.confirmations""",
    ),
    Invariant(
        "asked_cycle_is_awaited",
        "a live subscription awaits an answer if and only if one of its cycles is asked for",
        """SELECT subscription.id FROM subscription LEFT JOIN subscription_cycle
        ON subscription_cycle.subscription = subscription.id AND subscription_cycle.state = 0
        WHERE subscription.charging <> COALESCE(subscription_cycle.cycle, 0)""",
    ),
)
