"""smpplib's client, which shares no code with us, as a partner: bind, long Chinese text both ways, receipts, enquire_link, unbind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
import smpplib.smpp

from gateway.domain.message import State
from simulators.smsc_rules import Rule
from tests.support.gateway import PARTNER_CODE, House, opened_gateway

PHONE = "8613900001234"
TEXT = "门铃网关把这条很长的中文短信切成几段，再由手机拼接起来。" * 6


class Peer:
    """smpplib's blocking client; every method runs on a thread."""

    def __init__(self, port: int) -> None:
        self.client = smpplib.client.Client("127.0.0.1", port, timeout=10, allow_unknown_opt_params=True)
        self.responses: list[Any] = []
        self.deliveries: list[Any] = []
        self.client.set_message_sent_handler(self._answered)
        self.client.set_message_received_handler(self._received)
        self.client.set_error_pdu_handler(self._answered)

    # smpplib gives the PDU by name to some handlers and by position to others.
    def _answered(self, pdu: Any) -> None:
        self.responses.append(pdu)

    def _received(self, pdu: Any) -> int:
        self.deliveries.append(pdu)
        return int(smpplib.consts.SMPP_ESME_ROK)

    def bind(self, kind: str = "transceiver", password: str = "pass1") -> Any:
        self.client.connect()
        return getattr(self.client, f"bind_{kind}")(system_id="acme", password=password)

    def send(self, **fields: Any) -> None:
        self.client.send_message(
            source_addr_ton=0,
            source_addr_npi=1,
            source_addr=PARTNER_CODE,
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=PHONE,
            registered_delivery=True,
            **fields,
        )

    def send_parts(self, text: str) -> int:
        """As smpplib splits it: with a header in each part."""
        parts, coding, esm_class = smpplib.gsm.make_parts(text)
        for part in parts:
            self.send(short_message=part, data_coding=coding, esm_class=esm_class)
        return len(parts)

    def read_until(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            self.client.read_once(auto_send_enquire_link=False)  # raises socket.timeout after 10 s

    def enquire(self) -> Any:
        """Ask whether the gateway is alive; its answer."""
        self.client.send_pdu(smpplib.smpp.make_pdu("enquire_link", client=self.client))
        return self.client.read_pdu()

    def leave(self) -> Any:
        answer = self.client.unbind()
        self.client.disconnect()
        return answer


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path) as opened:
        yield opened


@pytest.fixture
async def peer(house) -> Peer:
    bound = Peer(house.port)
    await asyncio.to_thread(bound.bind)
    return bound


@pytest.mark.parametrize("kind", ["transmitter", "receiver", "transceiver"])
async def test_smpplib_binds_with_its_password_and_unbinds(house, kind):
    peer = Peer(house.port)

    answer = await asyncio.to_thread(peer.bind, kind)
    names = house.gateway.smpp_server.bound_names()
    goodbye = await asyncio.to_thread(peer.leave)

    assert (answer.system_id, names, goodbye.command) == (b"bellhop", ["acme"], "unbind_resp")
    await house.until(lambda: house.gateway.smpp_server.sessions == 0)


async def test_smpplib_is_refused_with_another_password(house):
    peer = Peer(house.port)

    with pytest.raises(smpplib.exceptions.PDUError) as raised:
        await asyncio.to_thread(peer.bind, "transceiver", "wrong")
    peer.client.disconnect()

    assert raised.value.args[1] == smpplib.consts.SMPP_ESME_RINVPASWD


async def test_smpplib_sends_long_chinese_text_in_parts_and_gets_a_receipt_for_each(house, peer):
    parts = await asyncio.to_thread(peer.send_parts, TEXT)
    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == parts and len(peer.responses) == parts)
    await asyncio.to_thread(peer.leave)

    assert parts == 3
    assert {pdu.receipted_message_id for pdu in peer.deliveries} == {pdu.message_id for pdu in peer.responses}
    assert len({pdu.message_id for pdu in peer.responses}) == 3
    assert {pdu.message_state for pdu in peer.deliveries} == {smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED}
    assert all(b"stat:DELIVRD err:000" in pdu.short_message for pdu in peer.deliveries)
    assert [message.text for message in house.smsc.phones.get(PHONE).messages] == [TEXT]


async def test_smpplib_sends_long_chinese_text_as_payload_and_gets_one_receipt(house, peer):
    await asyncio.to_thread(peer.send, short_message=b"", message_payload=TEXT.encode("utf-16-be"), data_coding=8)
    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == 1)
    await asyncio.to_thread(peer.leave)

    assert [pdu.message_id for pdu in peer.responses] == [pdu.receipted_message_id for pdu in peer.deliveries]
    assert [message.text for message in house.smsc.phones.get(PHONE).messages] == [TEXT]
    assert [charge.amount_minor for charge in await house.charges()] == [30]


async def test_smpplib_gets_the_long_message_of_a_phone_in_one_piece(house, peer):
    house.smsc.send_mo(PHONE, PARTNER_CODE, "收到" * 100)

    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == 1)
    await asyncio.to_thread(peer.leave)

    (pdu,) = peer.deliveries
    assert (pdu.source_addr, pdu.destination_addr, pdu.data_coding) == (PHONE.encode(), PARTNER_CODE.encode(), 8)
    assert pdu.message_payload.decode("utf-16-be") == "收到" * 100
    assert [row.outcome for row in await house.until_outbox_done(1)] == [0]


async def test_smpplib_gets_the_short_message_of_a_phone(house, peer):
    house.smsc.send_mo(PHONE, PARTNER_CODE, "hello")

    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == 1)
    await asyncio.to_thread(peer.leave)

    assert peer.deliveries[0].short_message == b"hello"


async def test_smpplib_asks_whether_we_are_alive(peer):
    answer = await asyncio.to_thread(peer.enquire)
    await asyncio.to_thread(peer.leave)

    assert (answer.command, answer.status) == ("enquire_link_resp", 0)


async def test_smpplib_sees_the_status_of_a_refused_message(peer):
    await asyncio.to_thread(peer.send, short_message=b"no", service_type="NOPE")
    await asyncio.to_thread(peer.read_until, lambda: bool(peer.responses))
    await asyncio.to_thread(peer.leave)

    assert {pdu.status for pdu in peer.responses} == {smpplib.consts.SMPP_ESME_RINVSERTYP}


async def test_smpplib_learns_that_delivery_failed(house, peer):
    house.smsc.rules.put_first([Rule(stat="UNDELIV", err="011")])

    await asyncio.to_thread(peer.send, short_message=b"fails")
    await asyncio.to_thread(peer.read_until, lambda: len(peer.deliveries) == 1)
    await asyncio.to_thread(peer.leave)

    assert peer.deliveries[0].message_state == smpplib.consts.SMPP_MESSAGE_STATE_UNDELIVERABLE
    assert b"stat:UNDELIV err:011" in peer.deliveries[0].short_message


async def test_smpplib_sends_on_one_bind_and_receives_on_another(house):
    sender, receiver = Peer(house.port), Peer(house.port)
    await asyncio.to_thread(sender.bind, "transmitter")
    await asyncio.to_thread(receiver.bind, "receiver")
    house.smsc.send_mo(PHONE, PARTNER_CODE, "你好")

    parts = await asyncio.to_thread(sender.send_parts, TEXT)
    await asyncio.to_thread(sender.read_until, lambda: len(sender.responses) == parts)
    await asyncio.to_thread(receiver.read_until, lambda: len(receiver.deliveries) == parts + 1)
    await asyncio.to_thread(sender.leave)
    await asyncio.to_thread(receiver.leave)

    receipts = [pdu for pdu in receiver.deliveries if pdu.esm_class == smpplib.consts.SMPP_MSGTYPE_DEFAULT | 0x04]
    assert {pdu.receipted_message_id for pdu in receipts} == {pdu.message_id for pdu in sender.responses}
    assert [pdu.short_message.decode("utf-16-be") for pdu in receiver.deliveries if pdu not in receipts] == ["你好"]
    assert sender.deliveries == []
    await house.until_states(*[State.DELIVERED] * parts)
