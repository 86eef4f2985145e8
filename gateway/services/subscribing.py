"""Subscriptions by phone: what an MO orders, confirms and ends, and what time alone brings about.

A phone is answered by a free message that is written in the transaction of the step it tells of. What is due is read from the store
in pages, so a restart forgets nothing; each step names the version it was decided by, so that two who see it due take it once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from billing import subscription, subscriptions, view
from billing.cycles import TARIFF_VERSION
from billing.errors import BillingError
from billing.event import FeeClass, Payer
from billing.subscription import Status
from billing.subscriptions import Asked, Evidence, Offer, Subscription, Subscriptions, Taken
from gateway.domain.address import Address
from gateway.domain.failure import Refused, StoreUnavailable
from gateway.domain.message import Front, UnknownOutcome
from gateway.domain.offer_texts import Wording
from gateway.domain.orders import Heard, Vocabulary, Wish
from gateway.services.catalogue import Catalogue
from gateway.services.dispatch import Dispatch
from gateway.services.ports import Reader
from gateway.services.submit import Accepting, Draft, Drafting, Sender, Submission
from gateway.store.writer import StoreWriter
from gateway.world import World

PAGE = 200
INTERVAL_S = 5.0
STOPPED = "STOP"

_log = structlog.get_logger(__name__)


class Spoken(NamedTuple):
    """An MO at the base number of a short code."""

    id: int
    msisdn: str
    short_code: str
    link: str
    text: str
    at: int


class Ordering:
    """What MOs do to subscriptions, inside the writer's transaction."""

    def __init__(self, steps: Subscriptions, wordings: Mapping[str, Wording], vocabularies: Mapping[str, Vocabulary]) -> None:
        self.steps = steps
        self.wordings = wordings
        self._vocabularies = vocabularies  # by short code

    def hear(self, conn: Connection, said: Spoken) -> str | None:
        """Do what a message wants, and the answer to it; None where it is about something else."""
        vocabulary = self._vocabularies.get(said.short_code)
        heard = None if vocabulary is None else vocabulary.hear(said.text)
        if heard is None:
            return None
        if heard.wish is Wish.ORDER:
            return self._order(conn, said, self.steps.offers[heard.offer])
        mine = subscriptions.of_subscriber(conn, _subscriber(said), said.short_code)
        if heard.wish is Wish.CONFIRM:
            return self._confirm(conn, said, mine)
        if heard.wish is Wish.CANCEL:
            return self._cancel(conn, said, mine, heard)
        if heard.wish is Wish.LIST:
            kind = "listed" if mine else "none"
            return self._any_wording(said.short_code).text(kind, self._titles(mine))
        if not mine:
            return None  # 0000 means STOP, then
        self._end(conn, said, mine, "0000")
        return self._any_wording(said.short_code).text("all_cancelled", self._titles(mine))

    def wording(self, row: Subscription) -> Wording:
        """How the offer of a subscription speaks, at the price it was ordered for."""
        return self.wordings[row.offer]._replace(price=view.money(row.price_minor, row.currency))

    def end_all(self, conn: Connection, said: Spoken) -> None:
        """A STOP ends what its sender has under the code."""
        if said.short_code in self._vocabularies:
            self._end(conn, said, subscriptions.of_subscriber(conn, _subscriber(said), said.short_code), STOPPED)

    def _order(self, conn: Connection, said: Spoken, offer: Offer) -> str:
        ordered = self.steps.order(conn, said.id, offer, _subscriber(said), said.link, _evidence(said))
        life = ordered.taken.subscription.life
        if ordered.is_new:
            return self._text(ordered.taken, "already")
        # Asked for again before it was confirmed: the same question again.
        return self.wording(ordered.taken.subscription).text("confirm" if life.status is Status.PENDING_CONFIRM else "already")

    def _confirm(self, conn: Connection, said: Spoken, mine: Sequence[Subscription]) -> str | None:
        waiting = [each for each in mine if each.life.status is Status.PENDING_CONFIRM]
        if not waiting:
            return None
        taken = self.steps.take(conn, waiting[-1].id, subscription.Confirm(said.at), _evidence(said))
        return self._text(taken, "nothing")

    def _cancel(self, conn: Connection, said: Spoken, mine: Sequence[Subscription], heard: Heard) -> str:
        wanted = [each for each in mine if each.offer == heard.offer]
        if not wanted:
            return self.wordings[heard.offer].text("nothing")
        self._end(conn, said, wanted, "TD")
        return self.wordings[heard.offer].text("cancelled")

    def _end(self, conn: Connection, said: Spoken, mine: Sequence[Subscription], via: str) -> None:
        for each in mine:
            self.steps.take(conn, each.id, subscription.Cancel(said.at, via), _evidence(said))

    def _text(self, taken: Taken, otherwise: str) -> str:
        kind = taken.texts[0] if taken.texts else otherwise
        return self.wording(taken.subscription).text(kind)

    def _titles(self, mine: Sequence[Subscription]) -> str:
        known = self.wordings
        return ", ".join(known[each.offer].title if each.offer in known else each.offer for each in mine)

    def _any_wording(self, short_code: str) -> Wording:
        return next(each for each in self.wordings.values() if each.code == short_code)


class Due(NamedTuple):
    """A step to be taken in the writer: ids for what it may write, and the link its messages take."""

    at: int
    at_s: float
    link: str
    charge_id: int
    text_id: int
    billing_id: int


class Subscribing:
    """The periodic task of subscriptions: orders that lapse, ends of trials, reminders, cycles, and billing messages at their end."""

    def __init__(
        self, world: World, writer: StoreWriter, reader: Reader, dispatch: Dispatch, catalogue: Catalogue, ordering: Ordering
    ) -> None:
        self._world = world
        self._writer = writer
        self._reader = reader
        self._dispatch = dispatch
        self._catalogue = catalogue
        self._steps = ordering.steps
        self._wording = ordering.wording
        self._drafting = Drafting(catalogue)
        self._accepting = Accepting(catalogue.revenue_account)
        self._free = next((each.name for each in catalogue.services.values() if not each.unit_price_minor), None)

    async def run(self) -> None:
        """Look at what is due, for ever."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            # The store may fail under a round; what was due is still due in the next.
            with contextlib.suppress(StoreUnavailable):
                if self._writer.is_healthy:
                    await self.sweep()

    async def sweep(self) -> None:
        """One round: every billing message that ended, and every subscription that is due now."""
        cursor = (0, 0)
        while asked := await self._reader.read(subscriptions.ended_billing, cursor, PAGE):
            for each in asked:
                await self._take(each.subscription, self._answered, each, self._due(None))
            cursor = (asked[-1].subscription, asked[-1].cycle)
        now, cursor = self._world.clock.now_us(), (0, 0)
        while page := await self._reader.read(subscriptions.due, now, cursor, PAGE):
            for row in page:
                due = self._due(row.link)
                # Without a link nobody could be told, and no billing message sent: it waits until there is one.
                if row.offer in self._steps.offers and (due.link or row.msisdn is None):
                    await self._take(row.id, self._tick, row, due)
            cursor = (page[-1].life.due_at or 0, page[-1].id)

    def _due(self, link: str | None) -> Due:
        clock, next_id = self._world.clock, self._world.next_id
        if link is None or link not in self._dispatch.lanes:
            link = self._dispatch.choose_link()
        return Due(clock.now_us(), clock.monotonic(), link, next_id(), next_id(), next_id())

    async def _take(self, id_: int, operation: Callable[..., list[Draft]], *facts: object) -> None:
        try:
            drafts = await self._writer.run(operation, *facts)
        except StoreUnavailable:
            raise
        except (BillingError, Refused) as error:
            # The others still have their turn; this one is due again in the next round.
            _log.warning("a subscription's step was refused", subscription=id_, error=str(error))
            return
        for draft in drafts:
            self._dispatch.replied(draft)

    # -- in the writer's transaction ----------------------------------------------------------------------------------

    def _tick(self, conn: Connection, seen: Subscription, due: Due) -> list[Draft]:
        steps = self._steps
        taken = steps.take(conn, seen.id, subscription.Tick(due.at), charge_id=due.charge_id, seen=seen.version)
        drafts = []
        asked = taken.to_bill
        if asked is not None:
            billing = self._bill(conn, taken.subscription, due)
            if billing is None:
                taken = steps.unbillable(conn, taken.subscription, asked, "refused", due.at)
            else:
                steps.billed(conn, taken.subscription, asked, billing.message.id, due.at)
                drafts.append(billing)
        return [*drafts, *self._tell(conn, taken, due)]

    def _answered(self, conn: Connection, asked: Asked, due: Due) -> list[Draft]:
        return self._tell(conn, self._steps.answered(conn, asked, due.at), due)

    def _bill(self, conn: Connection, row: Subscription, due: Due) -> Draft | None:
        """The billing message of a cycle: its charge is the cycle's fee."""
        offer = self._steps.offers[row.offer]
        draft = self._draft(row, offer.service, self._wording(row).text("charged"), due.billing_id, due)
        if draft is None:
            return None
        event = draft.event._replace(
            fee_class=FeeClass.MONTHLY,
            payer=Payer.DEST,
            wallet=None,
            charged_msisdn=row.msisdn,
            quantity=1,
            unit_price_minor=row.price_minor,
            amount_minor=row.price_minor,
            currency=row.currency,
            tariff_version=TARIFF_VERSION,
            tariff_rule=f"offer:{row.offer}",
        )
        draft = draft._replace(event=event)
        return draft if self._accepting.accept_many(conn, [draft])[0] is None else None

    def _tell(self, conn: Connection, taken: Taken, due: Due) -> list[Draft]:
        """Tell a phone what became of its subscription; where it wants no messages, it is not told."""
        row, told = taken.subscription, taken.texts
        if not told or self._free is None:
            return []
        text = self._wording(row).text(told[-1])
        draft = self._draft(row, self._free, text, due.text_id, due) if text else None
        return [draft] if draft is not None and self._accepting.accept_many(conn, [draft])[0] is None else []

    def _draft(self, row: Subscription, service: str, text: str, message_id: int, due: Due) -> Draft | None:
        if row.msisdn is None or not due.link:
            return None
        quiet = self._catalogue.services[service].quiet
        # Nobody waits for it: it does not come in the night.
        later = None if quiet is None else quiet.over_at(due.at)
        sender, source = Sender(Front.GATEWAY, None), Address(row.short_code, 0, 1)
        submission = Submission(sender, source, Address(row.msisdn, 1, 1), service, text, schedule_at=later)
        return self._drafting.draft(submission, message_id, due.at, due.at_s, link=due.link, reserve=_never)


def _subscriber(said: Spoken) -> str:
    return f"msisdn:{said.msisdn}"


def _evidence(said: Spoken) -> Evidence:
    return Evidence("mo", str(said.id), said.text.replace("\0", "\ufffd"), said.at)


def _never(_link: str, _segments: int, _policy: UnknownOutcome) -> bool:
    return False
