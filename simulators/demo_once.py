"""`bellhop demo --once`: plays each flow over the demo's real doors and tells in one line what proves it.

A flow fills its facts as it goes, so that a line of a failed one shows how far it came. Every wait is for an event, and a deadline
stands over the whole flow.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import ClientError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from billing import book
from billing.book import Balance
from billing.errors import BillingError
from billing.event import ChargeState
from gateway.domain.message import State
from gateway.store import im, trace
from simulators.demo import PHONES, Demo
from simulators.demo_doors import Account, FlowFailed, Json, Phone, Window, expect
from simulators.demo_export import Proof, prove
from simulators.http_client import http_session

FLOW_TIMEOUT_S = 30.0
DOOMED_PHONE = "+8613900000001"  # the simulator's rule: numbers that end in 0001 are undeliverable
PARTS = 3

SHORT_TEXT = "你好！门口有人找你 🔔"
SECOND_TEXT = "这里是韩梅梅，晚上见。"
REPLY_TEXT = "收到，马上下来 👍"
SECOND_REPLY_TEXT = "好的，韩梅梅，晚上见！"
LONG_TEXT = "门铃网关把聊天里的话送到手机上，长短信会分成几段，到了手机再合成一条。🔔" * 4
DOOMED_TEXT = "这条短信送不到。"

Flow = Callable[[Json], Awaitable[None]]


async def play(demo: Demo, write: Callable[[str], None]) -> bool:
    """Play every flow, in order; True when all did what they promise."""
    async with http_session(demo.world.network, total_s=2 * FLOW_TIMEOUT_S) as session:
        accounts = [await Account.log_in(session, demo.chat_url, person.number, person.password) for person in demo.people]
        phone = Phone(session, demo.phones_url, PHONES[0])
        window = await accounts[0].open()
        flows = Flows(demo, accounts, window, phone, Phone(session, demo.phones_url, DOOMED_PHONE))
        results = [await _play(demo, name, flow, write) for name, flow in flows.in_order()]
        await window.close()
    return all(results)


async def _play(demo: Demo, name: str, flow: Flow, write: Callable[[str], None]) -> bool:
    began_s = demo.world.clock.monotonic()
    facts: Json = {}
    error = ""
    try:
        async with asyncio.timeout(FLOW_TIMEOUT_S):
            await flow(facts)
    except TimeoutError:
        error = f"not finished in {FLOW_TIMEOUT_S:g} s"
    except (FlowFailed, BillingError, ClientError, OSError) as failed:
        error = str(failed) or type(failed).__name__
    except SQLAlchemyError as failed:
        error = f"the store: {type(failed).__name__}"
    line: Json = {"flow": name, "ok": not error, "seconds": round(demo.world.clock.monotonic() - began_s, 3)} | facts
    write(json.dumps(line | ({"error": error} if error else {})))
    return not error


class Flows:
    """The flows, and what the later ones know from the earlier."""

    def __init__(self, demo: Demo, accounts: list[Account], window: Window, phone: Phone, doomed: Phone) -> None:
        self._demo = demo
        self._first, self._second = accounts
        self._window = window
        self._phone = phone
        self._doomed = doomed
        self._began_us = demo.world.clock.now_us()
        self._reply_address = ""
        self._captured: dict[int, int] = {}  # message id: minor units

    def in_order(self) -> list[tuple[str, Flow]]:
        """Name and flow."""
        return [
            ("chat_to_phone", self.chat_to_phone),
            ("phone_to_chat", self.phone_to_chat),
            ("long_message", self.long_message),
            ("failed_delivery", self.failed_delivery),
            ("export", self.export),
        ]

    async def chat_to_phone(self, facts: Json) -> None:
        """Words of the chat arrive on the phone as they were typed, and the chat sees the receipt."""
        sent = await self._window.send(self._phone.number, SHORT_TEXT, f"demo-{self._demo.world.next_id()}")
        shown = await self._phone.received(SHORT_TEXT)
        facts |= {"text_arrived": shown["text"] == SHORT_TEXT, "from": shown["from"]}
        status = await self._window.final(sent["message"]["id"])
        facts["state"] = status["state"]
        await self._charge(facts, sent)
        self._reply_address = shown["from"]
        expect(facts["text_arrived"], "the phone shows another text")
        expect(facts["from"].endswith(str(self._first.number)), "the sender is not the account's reply address")
        self._expect_delivered(facts, sent)

    async def phone_to_chat(self, facts: Json) -> None:
        """The phone answers two accounts by the addresses it saw, and each answer lands in its own chat only."""
        expect(self._reply_address != "", "the phone has seen no reply address")
        first_since, second_since = await self._first.last_id(), await self._second.last_id()
        sent = await self._second.send(self._phone.number, SECOND_TEXT)
        second_address = (await self._phone.received(SECOND_TEXT))["from"]
        facts |= {"to": self._reply_address, "second_to": second_address}
        # The same words again on a new connection would be a repeat, if the folder was played a moment ago.
        number = self._demo.world.next_id()
        reply, second_reply = f"{REPLY_TEXT} {number}", f"{SECOND_REPLY_TEXT} {number}"
        await self._phone.write(self._reply_address, reply)
        await self._phone.write(second_address, second_reply)
        seen = await self._window.until(lambda frame: frame["type"] == "message" and frame["message"]["direction"] == "in")
        facts |= {
            "text_arrived": seen["message"]["text"] == reply,
            "account": str(self._first.number),
            "thread": seen["message"]["peer"],
        }
        answer = await self._second.incoming(second_reply, since=second_since)
        facts |= {"second_account": str(self._second.number), "second_thread": answer["peer"]}
        at_first, at_second = await self._first.history(since=first_since), await self._second.history(since=second_since)
        facts["is_separate"] = (_incoming(at_first), _incoming(at_second)) == (
            [(self._phone.number, reply)],
            [(self._phone.number, second_reply)],
        )
        final = await self._second.final(sent["id"])
        charged: Json = {"state": final["state"]}
        await self._charge(charged, sent)
        self._expect_delivered(charged, sent)
        expect(facts["text_arrived"], "another text than the phone wrote came into the chat")
        expect(second_address != self._reply_address, "both accounts write from the same address")
        expect(facts["is_separate"], "the answers are not each in its own chat alone")

    async def long_message(self, facts: Json) -> None:
        """Three parts go out, are joined on the phone, and each comes back with its receipt."""
        sent = await self._first.send(self._phone.number, LONG_TEXT)
        facts["parts"] = sent["segments"]
        shown = await self._phone.received(LONG_TEXT)
        facts |= {"text_arrived": shown["text"] == LONG_TEXT, "parts_joined": shown["parts"]}
        facts["state"] = (await self._first.final(sent["id"]))["state"]
        await self._charge(facts, sent)
        price_minor = self._demo.gateway.catalogue.services[self._demo.gateway.catalogue.default_service].unit_price_minor
        facts["price"] = price_minor
        expect(facts["text_arrived"], "the phone shows another text")
        expect((facts["parts"], facts["parts_joined"], facts["receipts"]) == (PARTS, PARTS, PARTS), "not three parts with three receipts")
        self._expect_delivered(facts, sent)
        expect(facts["charge"] == PARTS * price_minor, "the charge is not three times the price")

    async def failed_delivery(self, facts: Json) -> None:
        """What cannot be delivered is said to have failed, and costs nothing."""
        before = await self._balance()
        sent = await self._first.send(self._doomed.number, DOOMED_TEXT)
        final = await self._first.final(sent["id"])
        facts |= {"state": final["state"], "reason": final["reason"]}
        await self._charge(facts, sent)
        after = await self._balance()
        facts |= {"held": after.held, "balance_changed": after.posted - before.posted}
        expect(final["state"] == "failed", "the chat does not show it as failed")
        expect(final["reason"] != "", "the chat does not say why")
        expect(facts["charge"] == 0 and facts["charge_state"] == "released", "the hold was not released")
        expect(after == before, "the wallet is not as it was before")
        expect(await self._doomed.all() == [], "the phone has it nevertheless")

    async def export(self, facts: Json) -> None:
        """Every captured charge is in the file, which is the same when it is written again; and the books are right."""
        expect(bool(self._captured), "no charge was captured")
        world = self._demo.world
        now_us = world.clock.now_us() + 1
        asked = Proof(self._demo.store_url, str(self._demo.folder / "export"), self._began_us, now_us, (world.next_id(), world.next_id()))
        found = await world.executor.run(prove, asked)
        facts |= found.facts
        facts["captured"] = sum(self._captured.values())
        expect(not found.violations, f"the books do not hold: {', '.join(found.violations)}")
        expect(found.amounts.items() >= self._captured.items(), "a captured charge is missing in the file")
        expect(facts["total"] == facts["captured"], "the file's total is not the sum of what was captured")
        expect(facts["manifest_agrees"], "the manifest is not of this file")
        expect(facts["is_repeatable"], "the file is another when it is written again")

    async def _charge(self, facts: Json, sent: Json) -> None:
        """Note the charge of a message that is at its end, and how many of its parts have their receipt."""
        message_id = int(sent["message_id"])
        found = await self._demo.gateway.reader.read(trace.read, message_id)
        expect(found is not None and found.charge is not None, "the message has no charge")
        assert found is not None
        assert found.charge is not None
        state = ChargeState(found.charge["state"])
        facts["charge"] = found.charge["amount_minor"]
        facts["charge_state"] = state.name.lower()
        facts["currency"] = found.charge["currency"]
        facts["receipts"] = sum(part["state"] in (State.DELIVERED, State.FAILED, State.EXPIRED) for part in found.parts)
        if state is ChargeState.CAPTURED:
            self._captured[message_id] = found.charge["amount_minor"]

    def _expect_delivered(self, facts: Json, sent: Json) -> None:
        expect(facts["state"] == "delivered", "the chat does not show it as delivered")
        expect(facts["charge_state"] == "captured", "the charge was not captured")
        expect(facts["charge"] == sent["price_minor"], "the charge is not the price that was told")

    async def _balance(self) -> Balance:
        return await self._demo.gateway.reader.read(_balance_of, self._first.number)


def _incoming(messages: list[Json]) -> list[tuple[str, str]]:
    return [(message["peer"], message["text"]) for message in messages if message["direction"] == "in"]


def _balance_of(conn: Connection, number: int) -> Balance:
    account = im.find_account(conn, number)
    assert account is not None, "the demo has opened it"
    return book.balance(conn, account.wallet)
