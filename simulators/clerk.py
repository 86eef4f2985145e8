"""The billing clerk of a simulated house: gives back, adds and tops up over /v1/billing, and repeats what was not answered.

He knows the messages that were accepted, and not what became of them: much of what he asks for is refused, and should be.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from simulators import house
from simulators.closing import ClosingDesk, Order, draw_orders
from simulators.evidence import Answer, Decision, Evidence, Wish
from simulators.people import Browser
from simulators.streams import Stream
from simulators.workload import PLAY_S, pause_until
from simulators.world import Sim, SimWorld

REASON = "dispute"
_PATHS = {"refund": "refunds", "adjust": "adjustments", "goodwill": "goodwill"}
_KINDS = ("refund",) * 7 + ("adjust",) * 3 + ("goodwill",) * 2 + ("topup",)
_TOO_MUCH_MINOR = 5_000
_ATTEMPTS_MAX = 12


class Duty(NamedTuple):
    """One thing to do at a time of the run; `number` names it in its reference and its random numbers."""

    at_s: float
    number: int


class Clerk:
    """Ann, who may act, and Bob, who decides what is too much for one person.

    Some of what gets no answer she asks again, some she leaves; what was answered she may ask again too.
    """

    def __init__(self, sim: Sim, evidence: Evidence, world: SimWorld, desk: ClosingDesk) -> None:
        self._sim = sim
        self._evidence = evidence
        self._desk = desk
        self._browser = Browser(world, evidence)
        numbers = sim.stream("clerk")
        self._duties = sorted(Duty(3.0 + numbers.random() * PLAY_S, number) for number in range(numbers.randint(4, 9)))
        self._leftovers = [Duty(0.0, 100 + number) for number in range(numbers.randint(1, 4))]
        self._touched: list[str] = []

    async def close(self) -> None:
        """Hang up."""
        await self._browser.close()

    async def work(self) -> None:
        """The shift of the traffic, over midnight."""
        closing = asyncio.create_task(self._close_days(draw_orders(self._sim)))
        await asyncio.gather(*(self._do(duty) for duty in self._duties), closing)

    async def clear_up(self) -> None:
        """A day later, when every message has ended: the days that are over are closed, and what is given back now is of the new day."""
        numbers = self._sim.stream("clerk", "leftovers")
        first, last = self._leftovers[::2], self._leftovers[1::2]
        for duty in first:
            await self._do(duty)
        if numbers.random() < 0.8:
            self._desk.close_all()
        for duty in last:
            await self._do(duty)

    async def _close_days(self, orders: list[Order]) -> None:
        for order in orders:
            await pause_until(self._sim, order.at_s)
            self._desk.close(order)

    async def _do(self, duty: Duty) -> None:
        await pause_until(self._sim, duty.at_s)
        numbers = self._sim.stream("clerk", duty.number)
        wish = self._draw(numbers)
        if wish is None:
            return
        reference = f"case-{duty.number}"
        asked = self._evidence.wishes.setdefault(f"{wish.kind}:{reference}", [])
        await self._insist(wish, reference, asked, numbers)
        if asked[-1].is_waiting and numbers.random() < 0.8:
            await self._have_decided(asked[-1].approval_id, numbers)
        if numbers.random() < 0.4:
            await asyncio.sleep(numbers.random() * 4)
            await self._ask(Wish(wish.kind, *wish.content), reference, asked)
        if numbers.random() < 0.25:
            await self._ask(self._otherwise(wish, numbers), reference, asked)

    async def _insist(self, wish: Wish, reference: str, asked: list[Wish], numbers: Stream) -> None:
        """Ask, and where no answer came mostly ask again until one does."""
        await self._ask(wish, reference, asked)
        for _ in range(_ATTEMPTS_MAX if numbers.random() < 0.7 else 0):
            if asked[-1].answer is not Answer.NONE:
                return
            await asyncio.sleep(1.0 + numbers.random() * 3)
            await self._ask(Wish(wish.kind, *wish.content), reference, asked)

    async def _have_decided(self, approval_id: int, numbers: Stream) -> None:
        """Bob, who may approve, decides; where no answer came he mostly tries again, and now and then he has second thoughts."""
        headers = {"Authorization": f"Bearer {house.api_key(house.SECOND_CLERK)}"}
        is_approval = numbers.random() < 0.8
        for _ in range(numbers.choice([1, 2, 4])):
            await asyncio.sleep(numbers.random() * 3)
            decision = Decision(approval_id, is_approval)
            self._evidence.decisions.append(decision)
            word = "approve" if is_approval else "refuse"
            answer = await self._browser.ask("POST", f"/v1/billing/approvals/{approval_id}/{word}", headers, {})
            if answer is not None and answer[0] < 500 and answer[0] != 429:
                decision.answer = Answer.ACCEPTED if answer[0] == 200 else Answer.REFUSED
                is_approval = is_approval != (numbers.random() < 0.3)
            self._sim.log("decision", approval=approval_id, what=word, answer=decision.answer.value)

    def _draw(self, numbers: Stream) -> Wish | None:
        kind = numbers.choice(_KINDS)
        if kind == "topup":
            party = numbers.choice(["partner:poor", "partner:acme", f"im:{numbers.choice(house.ACCOUNTS)}"])
            return Wish(kind, party, numbers.randint(1, 60))
        charge = self._charge(numbers)
        if charge is None:
            return None
        if kind == "refund":
            amount = numbers.choice([None, None, 3, 5, 7, 40, _TOO_MUCH_MINOR])
            return Wish(kind, charge, amount, is_double=numbers.random() < 0.2)
        amount = numbers.choice([1, 4, 9, 60])
        return Wish(kind, charge, numbers.choice([-amount, -amount, amount]) if kind == "adjust" else amount)

    def _charge(self, numbers: Stream) -> str | None:
        """Of a message that was accepted; now and then one that was looked at before."""
        if self._touched and numbers.random() < 0.35:
            return numbers.choice(self._touched)
        known = [str(sent.message_id) for sent in self._evidence.sent.values() if sent.message_id]
        if not known:
            return None
        self._touched.append(numbers.choice(known))
        return self._touched[-1]

    def _otherwise(self, wish: Wish, numbers: Stream) -> Wish:
        """The same reference for something else."""
        if wish.amount_minor is not None:
            return Wish(wish.kind, wish.subject, wish.amount_minor + 1 or 1, wish.is_double)
        return Wish(wish.kind, self._charge(numbers) or wish.subject, wish.amount_minor, wish.is_double)

    async def _ask(self, wish: Wish, reference: str, asked: list[Wish]) -> None:
        asked.append(wish)
        headers = {"Authorization": f"Bearer {house.api_key(house.CLERK)}"}
        body: dict[str, Any] = {"reference": reference, "amount": _typed(wish.amount_minor)}
        if wish.kind == "topup":
            path = f"/v1/billing/accounts/{wish.subject}/top-ups"
        else:
            path = f"/v1/billing/charges/{wish.subject}/{_PATHS[wish.kind]}"
            body["reason"] = REASON
        if wish.is_double:
            body["double"] = True
        _note(wish, await self._browser.ask("POST", path, headers, body))
        self._sim.log("wish", what=wish.kind, reference=reference, answer=wish.answer.value, reason=wish.reason)


def _note(wish: Wish, answer: tuple[int, Any] | None) -> None:
    if answer is None or answer[0] >= 500 or answer[0] == 429:
        return
    status, document = answer
    if status != 200:
        wish.answer, wish.reason = Answer.REFUSED, str(document.get("reason", status))
        return
    wish.answer, wish.is_new, wish.approval_id = Answer.ACCEPTED, bool(document["is_new"]), int(document.get("approval_id") or 0)
    if wish.kind == "refund":
        wish.record_ids = tuple(int(each) for each in document["correction_ids"])
        wish.amounts = (document["refunded_minor"], document["goodwill_minor"])[: len(wish.record_ids)]
    elif wish.kind != "topup":
        wish.record_ids = (int(document["correction_id"]),) if document["correction_id"] else ()
        wish.amounts = (-document["amount_minor"],)


def _typed(amount_minor: int | None) -> str:
    """As people type it: 12.50."""
    if amount_minor is None:
        return ""
    units, minor = divmod(abs(amount_minor), 100)
    return f"{'-' if amount_minor < 0 else ''}{units}.{minor:02d}"
