"""smpplib's client, which shares no code with us, against the SMSC simulator: bind, long Chinese text, receipts, a reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

from gateway.real_world import RealWorld
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig

PHONE = "8613900001234"
TEXT = "门铃网关把这条很长的中文短信切成几段，再由手机拼接起来。" * 6


class Peer:
    """smpplib's blocking client; every method runs on a thread."""

    def __init__(self, port: int) -> None:
        self.client = smpplib.client.Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
        self.responses: list[Any] = []
        self.deliveries: list[Any] = []
        self.answers: list[Any] = []
        self.client.set_message_sent_handler(self._answered)
        self.client.set_message_received_handler(self._received)
        self.client.set_error_pdu_handler(self._answered)

    # smpplib gives the PDU by name to some handlers and by position to others.
    def _answered(self, pdu: Any) -> None:
        self.responses.append(pdu)

    def queried(self, pdu: Any) -> None:
        self.answers.append(pdu)

    def _received(self, pdu: Any) -> int:
        self.deliveries.append(pdu)
        return int(smpplib.consts.SMPP_ESME_ROK)

    def bind(self, kind: str, system_id: str = "smpplib", password: str = "secret") -> None:
        self.client.connect()
        getattr(self.client, f"bind_{kind}")(system_id=system_id, password=password)

    def send(self, text: str, destination: str = PHONE) -> int:
        parts, coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            self.client.send_message(
                source_addr_ton=0,
                source_addr_npi=0,
                source_addr="1069",
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr=destination,
                short_message=part,
                data_coding=coding,
                esm_class=esm_class,
                registered_delivery=True,
            )
        return len(parts)

    def read_until(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            self.client.read_once(auto_send_enquire_link=False)  # raises socket.timeout after 10 s

    def leave(self) -> None:
        self.client.unbind()
        self.client.disconnect()


@pytest.fixture
async def smsc() -> AsyncIterator[Smsc]:
    world = RealWorld()
    simulator = Smsc(world, SmscConfig(port=0, receipt_delay_ms=5, first_id=1000))
    await simulator.start()
    yield simulator
    await simulator.stop()
    await world.close()


@pytest.mark.parametrize("kind", ["transmitter", "receiver", "transceiver"])
async def test_smpplib_binds_and_unbinds(smsc, kind):
    peer = Peer(smsc.port)

    await asyncio.to_thread(peer.bind, kind)
    bound = [session.session.state.value for session in smsc.sessions]
    await asyncio.to_thread(peer.leave)

    assert bound == [{"transmitter": "bound_tx", "receiver": "bound_rx", "transceiver": "bound_trx"}[kind]]


async def test_smpplib_is_refused_with_the_wrong_password():
    world = RealWorld()
    simulator = Smsc(world, SmscConfig(port=0, system_id="smpplib", password="other"))
    await simulator.start()
    peer = Peer(simulator.port)

    with pytest.raises(smpplib.exceptions.PDUError) as raised:
        await asyncio.to_thread(peer.bind, "transceiver")
    await simulator.stop()
    await world.close()

    assert raised.value.args[1] == smpplib.consts.SMPP_ESME_RINVPASWD


async def test_smpplib_sends_long_chinese_text_and_gets_a_receipt_for_each_part(smsc):
    peer = Peer(smsc.port)
    await asyncio.to_thread(peer.bind, "transceiver")

    parts = await asyncio.to_thread(peer.send, TEXT)
    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == parts)
    await asyncio.to_thread(peer.leave)

    assert parts == 3
    assert [pdu.message_id for pdu in peer.responses] == [b"1000", b"1001", b"1002"]
    assert {pdu.receipted_message_id for pdu in peer.deliveries} == {b"1000", b"1001", b"1002"}
    assert {pdu.message_state for pdu in peer.deliveries} == {smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED}
    assert all(b"stat:DELIVRD err:000" in pdu.short_message for pdu in peer.deliveries)
    assert [message.text for message in smsc.phones.get(PHONE).messages] == [TEXT]


async def test_smpplib_gets_the_reply_of_a_phone(smsc):
    peer = Peer(smsc.port)
    await asyncio.to_thread(peer.bind, "receiver")
    reply = smsc.send_mo(PHONE, "1069", "收到" * 40)

    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == 2)
    await asyncio.to_thread(peer.leave)

    bodies = [pdu.short_message for pdu in peer.deliveries]
    assert {pdu.esm_class for pdu in peer.deliveries} == {smpplib.consts.SMPP_GSMFEAT_UDHI}
    assert [body[:6] for body in bodies] == [b"\x05\x00\x03\x01\x02\x01", b"\x05\x00\x03\x01\x02\x02"]
    assert b"".join(body[6:] for body in bodies).decode("utf-16-be") == "收到" * 40
    assert {(pdu.source_addr, pdu.destination_addr) for pdu in peer.deliveries} == {(PHONE.encode(), b"1069")}
    assert reply.state == "accepted"


async def test_smpplib_sees_the_status_of_a_refused_message(smsc):
    peer = Peer(smsc.port)
    await asyncio.to_thread(peer.bind, "transmitter")

    await asyncio.to_thread(peer.send, "no", "8613900000004")
    await asyncio.to_thread(peer.read_until, lambda: bool(peer.responses))
    await asyncio.to_thread(peer.leave)

    assert [pdu.status for pdu in peer.responses[:1]] == [smpplib.consts.SMPP_ESME_RSUBMITFAIL]


async def test_smpplib_asks_for_the_state_of_a_message(smsc):
    peer = Peer(smsc.port)
    await asyncio.to_thread(peer.bind, "transceiver")
    peer.client.set_query_resp_handler(peer.queried)

    await asyncio.to_thread(peer.send, "hello")
    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == 1)
    peer.client.query_message(message_id="1000", source_addr_ton=0, source_addr_npi=0, source_addr="1069")
    await asyncio.to_thread(peer.read_until, lambda: len(peer.answers) == 1)
    await asyncio.to_thread(peer.leave)

    assert (peer.answers[0].message_id, peer.answers[0].message_state) == (b"1000", smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED)
