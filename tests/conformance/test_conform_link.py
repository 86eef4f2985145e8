"""`bellhop conform --role esme` against our own link: it passes every case that a peer can be graded on from outside."""

from __future__ import annotations

import asyncio

from gateway.domain.message import MESSAGE_MASK, STATE_NAMES, fold
from gateway.real_world import RealWorld
from simulators.conform import report, run
from simulators.conform.case import Grade
from simulators.conform.subject import Account, Subject, Triggers
from tests.support.gateway import House, opened_gateway
from tests.support.wire import BIND_TX, HOST, tlv

PAYLOAD = 0x0424
LINK = {
    "response_timeout_s": 2.0,
    "enquire_link_s": 0.3,
    "window": 10,
    "backoff_s_min": 0.05,
    "backoff_s_max": 1.0,
    # Else each case would wait for minutes after the one before it.
    "bind_timeout_s": 2.0,
    "standoff_s_max": 1.0,
    "already_bound_wait_s": 0.5,
}
# A restart, a soak of hours, an outbind and a bad certificate have tests of their own.
ELSEWHERE = {"F15", "F16", "F17", "S24"}


class Sender:
    """Has the gateway send, as a partner does, and knows which message a text became."""

    def __init__(self) -> None:
        self.house: House | None = None
        self._ids: dict[str, int] = {}

    async def send(self, to: str, text: str) -> None:
        assert self.house is not None
        wire = await self.house.bound(BIND_TX)
        answer = await wire.submit(to=(1, 1, to), text=b"", tlvs=tlv(PAYLOAD, text.encode()))
        assert answer.status == 0
        self._ids[text] = int(answer.text)
        await wire.close()

    async def state_of(self, text: str) -> str:
        assert self.house is not None
        states = [row.state for row in await self.house.segments() if row.id & MESSAGE_MASK == self._ids[text]]
        return STATE_NAMES[fold(states)]


async def test_our_link_passes_every_case(tmp_path):
    sender = Sender()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    subject = Subject(
        HOST, 0, Account("bellhop", "secret8"),
        timeout_s=3, patience_s=6, quiet_s=0.2, triggers=Triggers(send=sender.send, state_of=sender.state_of),
    )  # fmt: skip
    cases = [case for case in run.ESME_CASES if case.id not in ELSEWHERE]
    grading = asyncio.create_task(run.grade_esme(RealWorld(), subject, cases, lambda _result: None, port.set_result))

    async with opened_gateway(tmp_path, carrier_port=await port, link=LINK) as house:
        sender.house = house
        results = await grading

    assert [report.row(result) for result in results if result.grade is not Grade.PASS] == []
    assert len(results) == len(cases)
