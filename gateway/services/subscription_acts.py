"""What the staff does to subscriptions, by command or over HTTP: each act is evidence, and stands in the audit log."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from billing import audit, book, calendar, subscription_view, subscriptions
from billing.audit import Act
from billing.errors import SubscriptionError
from billing.subscription import Cancel, Confirm, Event, Resume, Suspend
from billing.subscriptions import Evidence, Subscription, Subscriptions
from gateway.domain.address import mask

REASON_CHARS_MAX = 160


class Staffed(NamedTuple):
    """A subscription after an act; not new where the act changed nothing."""

    subscription: Subscription
    is_new: bool


class SubscriptionActs(NamedTuple):
    """The acts of one person at one instant, inside the caller's write transaction."""

    steps: Subscriptions
    by: str
    now_us: int

    def start(self, conn: Connection, offer: str, subscriber: str, link: str | None, said: str, *, id_: int) -> Staffed:
        """Subscribe somebody who asked for it elsewhere; what was said stands for the order and for every confirmation."""
        wanted = self.steps.offers.get(offer)
        if wanted is None:
            raise SubscriptionError(f"there is no offer {offer[:32]!r}; known are: {', '.join(self.steps.offers) or 'none'}")
        is_account = subscriber.startswith("im:")
        if is_account != wanted.pays_from_wallet:
            raise SubscriptionError(f"{'an account' if wanted.pays_from_wallet else 'a phone'} pays for {offer}")
        if is_account and book.find_account(conn, subscriber, wanted.currency) is None:
            raise SubscriptionError(f"account {subscriber.partition(':')[2]} has no wallet in {wanted.currency}")
        proof = self._proof(said)
        ordered = self.steps.order(conn, id_, wanted, subscriber, link, proof)
        row = ordered.taken.subscription
        if ordered.is_new:
            for _ in range(wanted.rules.confirmations_required):
                row = self.steps.take(conn, row.id, Confirm(self.now_us), proof).subscription
            self._note(conn, "subscription.start", row)
        return Staffed(row, ordered.is_new)

    def cancel(self, conn: Connection, id_: int, reason: str) -> Staffed:
        """End one, of which the gateway tells its phone; what was charged stays."""
        return self._step(conn, id_, Cancel(self.now_us, "staff", is_told_later=True), reason, "subscription.cancel")

    def opt_out(self, conn: Connection, digits: str, code: str) -> int:
        """End all that a phone has under a code, or whatever it has for no code: it wants no more messages. How many it had."""
        mine = [each for each in subscriptions.of_subscriber(conn, f"msisdn:{digits}") if each.short_code.startswith(code)]
        for each in mine:
            self._step(conn, each.id, Cancel(self.now_us, "STOP"), "opted out", "subscription.cancel")
        return len(mine)

    def suspend(self, conn: Connection, id_: int, reason: str) -> Staffed:
        """Stop one for a while: nothing is charged before it is resumed. Raises SubscriptionError where that cannot be now."""
        done = self._step(conn, id_, Suspend(self.now_us), reason, "subscription.suspend")
        life = done.subscription.life
        if not done.is_new and not life.is_stopped:
            state = "being charged" if life.charging else subscription_view.status_name(done.subscription)
            raise SubscriptionError(f"subscription {id_} is {state}: only a confirmed one, of an offer there is, can be suspended")
        return done

    def resume(self, conn: Connection, id_: int, reason: str) -> Staffed:
        """End a suspension; raises SubscriptionError for one that is not suspended, or no longer offered."""
        done = self._step(conn, id_, Resume(self.now_us), reason, "subscription.resume")
        if not done.is_new:
            state = subscription_view.status_name(done.subscription)
            raise SubscriptionError(f"subscription {id_} is {state}: only a suspended one, of an offer there is, can be resumed")
        return done

    def refused(self, conn: Connection, id_: int, cycle: str, code: str, *, correction_id: int) -> Staffed:
        """Book that the carrier could not collect a cycle; the same again changes nothing."""
        before = subscriptions.locked(conn, id_)
        wanted = calendar.parse(cycle)
        row = self.steps.refused_later(conn, id_, wanted, code, correction_id=correction_id, now_us=self.now_us).subscription
        is_new = row.version != before.version
        if is_new:
            self._note(conn, "subscription.refused", row, cycle=cycle, code=code)
        return Staffed(row, is_new)

    def _step(self, conn: Connection, id_: int, event: Event, reason: str, act: str) -> Staffed:
        proof = self._proof(reason)
        before = subscriptions.locked(conn, id_)
        row = self.steps.take(conn, id_, event, proof).subscription
        is_new = row.version != before.version
        if is_new:
            self._note(conn, act, row, reason=reason)
        return Staffed(row, is_new)

    def _proof(self, said: str) -> Evidence:
        if not 0 < len(said) <= REASON_CHARS_MAX or not said.isprintable():
            raise SubscriptionError(f"the reason or evidence has 1 to {REASON_CHARS_MAX} printable characters")
        return Evidence("staff", self.by, said, self.now_us)

    def _note(self, conn: Connection, act: str, row: Subscription, **detail: object) -> None:
        facts = {"offer": row.offer, "subscriber": masked(row.subscriber), **detail}
        audit.record(conn, Act(self.by, act, f"subscription:{row.id}", facts), now_us=self.now_us)


def masked(subscriber: str) -> str:
    """Who has it, as logs may say it."""
    kind, _, number = subscriber.partition(":")
    return mask(f"+{number}") if kind == "msisdn" else subscriber
