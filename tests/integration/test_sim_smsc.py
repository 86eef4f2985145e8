"""The SMSC simulator over real sockets: binds, outcomes by number, receipts, the other requests, phones and MO."""

from __future__ import annotations

import asyncio

import pytest

from gateway.smpp.consts import MessageState, Status, Tag
from gateway.smpp.pdu import CancelSm, DataSm, QuerySm, SmeAddress, SubmitMulti
from gateway.smpp.session import Limits
from simulators.esme import BindKind, BindRefusedError, NoResponse
from simulators.faults import SmscFaults
from simulators.smsc_ids import IdForm
from tests.support.smsc import PHONE, house, message

# Binds.


@pytest.mark.parametrize("kind", list(BindKind))
async def test_any_credentials_bind_unless_some_are_asked_for(kind):
    async with house() as opened:
        esme = await opened.esme(kind=kind, system_id="whoever", password="whatever")

        assert (await esme.unbind()).value == "unbound"


async def test_wrong_credentials_are_refused_with_their_status():
    """S03, S04"""
    async with house(system_id="bellhop", password="secret") as opened:
        refusals = []
        for system_id, password in (("other", "secret"), ("bellhop", "wrong")):
            with pytest.raises(BindRefusedError) as raised:
                await opened.esme(system_id=system_id, password=password)
            refusals.append(raised.value.status)
        await opened.esme(system_id="bellhop", password="secret")

        assert refusals == [Status.ESME_RINVSYSID, Status.ESME_RINVPASWD]


# Receipts and outcomes.


async def test_message_is_answered_delivered_and_receipted():
    """M01, R01"""
    async with house(first_id=500) as opened:
        esme = await opened.esme()

        response = await esme.submit(message(text=b"hello there", tlvs={Tag.USER_MESSAGE_REFERENCE: b"\x12\x34"}))
        receipt = await esme.next_delivery()

        assert (response.command_status, response.message_id) == (Status.ESME_ROK, "500")
        assert (receipt.source_addr, receipt.destination_addr, receipt.esm_class) == (PHONE, "1069", 0x04)
        assert receipt.short_message.startswith(b"id:500 sub:001 dlvrd:001 submit date:")
        assert receipt.short_message.endswith(b"stat:DELIVRD err:000 text:hello there")
        assert receipt.tlvs == {0x001E: b"500\0", 0x0427: b"\x02", 0x0204: b"\x12\x34"}


@pytest.mark.parametrize(
    ("suffix", "stat", "state", "err"),
    [("0001", b"UNDELIV", 5, b"001"), ("0002", b"EXPIRED", 3, b"002"), ("0003", b"REJECTD", 8, b"003")],
)
async def test_failing_number_gets_its_receipt_and_reaches_no_phone(suffix, stat, state, err):
    """R02"""
    async with house() as opened:
        esme = await opened.esme()

        response = await esme.submit(message(f"861390000{suffix}"))
        receipt = await esme.next_delivery()

        assert response.command_status == Status.ESME_ROK
        assert b"stat:%b err:%b" % (stat, err) in receipt.short_message
        assert receipt.tlvs[0x0427] == bytes((state,))
        assert len(opened.smsc.phones) == 0


async def test_number_0004_is_refused_for_good():
    """F06"""
    async with house() as opened:
        esme = await opened.esme()

        statuses = [(await esme.submit(message("8613900000004"))).command_status for _ in range(2)]

        assert statuses == [Status.ESME_RSUBMITFAIL] * 2


async def test_number_0005_throttles_once():
    """F04"""
    async with house() as opened:
        esme = await opened.esme()

        statuses = [(await esme.submit(message("8613900000005"))).command_status for _ in range(2)]

        assert statuses == [Status.ESME_RTHROTTLED, Status.ESME_ROK]


async def test_number_0006_is_delivered_without_receipt():
    async with house() as opened:
        esme = await opened.esme()

        await esme.submit(message("8613900000006"))
        await opened.until(lambda: opened.smsc.counts.delivered == 1)
        await esme.submit(message())
        receipt = await esme.next_delivery()

        assert receipt.source_addr == PHONE


async def test_number_0007_is_never_answered_yet_delivered():
    """F07"""
    async with house() as opened:
        esme = await opened.esme(limits=Limits(response_timeout_s=0.2))

        with pytest.raises(NoResponse):
            await esme.submit(message("8613900000007"))

        assert opened.smsc.counts.delivered == 1


async def test_number_0008_is_receipted_before_it_is_answered():
    """R05"""
    async with house() as opened:
        esme = await opened.esme()

        answer = asyncio.ensure_future(esme.submit(message("8613900000008")))
        receipt = await esme.next_delivery()
        was_answered = answer.done()

        assert not was_answered
        assert f"id:{(await answer).message_id} ".encode() in receipt.short_message


async def test_number_0009_is_receipted_twice():
    """R06"""
    async with house() as opened:
        esme = await opened.esme()

        await esme.submit(message("8613900000009"))
        receipts = [await esme.next_delivery() for _ in range(2)]

        assert receipts[0].short_message == receipts[1].short_message


@pytest.mark.parametrize(
    ("asked", "suffix", "is_sent"),
    [(0, "1234", False), (1, "1234", True), (2, "1234", False), (2, "0001", True), (3, "1234", True), (3, "0001", False)],
)
async def test_registered_delivery_decides_which_receipts_are_sent(asked, suffix, is_sent):
    """R03"""
    async with house() as opened:
        esme = await opened.esme()

        await esme.submit(message(f"861390000{suffix}", registered_delivery=asked))
        await opened.until(lambda: next(iter(opened.smsc.log)).state is not MessageState.ENROUTE)

        assert opened.smsc.counts.receipts == is_sent


@pytest.mark.parametrize(
    ("form", "answered", "receipted"),
    [
        (IdForm.DEC, "48879", "48879"),
        (IdForm.HEX, "BEEF", "BEEF"),
        (IdForm.MIXED, "BEEF", "48879"),
        (IdForm.GUID, "00000000-0000-0000-0000-00000000beef", "00000000-0000-0000-0000-00000000beef"),
    ],
)
async def test_message_ids_have_the_form_asked_for(form, answered, receipted):
    """R04"""
    async with house(id_form=form, first_id=0xBEEF) as opened:
        esme = await opened.esme()

        response = await esme.submit(message())
        receipt = await esme.next_delivery()

        assert response.message_id == answered
        assert receipt.tlvs[0x001E] == receipted.encode() + b"\0"
        assert receipt.short_message.startswith(f"id:{receipted} ".encode())


async def test_peer_of_version_3_3_gets_no_optional_parameters():
    """S20"""
    async with house() as opened:
        esme = await opened.esme(interface_version=0x33)

        await esme.submit(message())
        receipt = await esme.next_delivery()

        assert not receipt.tlvs


async def test_receipts_go_to_the_receiver_of_the_same_system_id():
    async with house() as opened:
        stranger = await opened.esme(system_id="stranger", kind=BindKind.RX)
        transmitter = await opened.esme(system_id="acme", kind=BindKind.TX)
        receiver = await opened.esme(system_id="acme", kind=BindKind.RX)

        await transmitter.submit(message())
        await receiver.next_delivery()

        assert not stranger.deliveries


async def test_receipt_is_held_until_its_esme_can_receive():
    """R13"""
    async with house() as opened:
        transmitter = await opened.esme(kind=BindKind.TX)

        await transmitter.submit(message())
        await opened.until(lambda: opened.smsc.deliveries.held == 1)
        receiver = await opened.esme(kind=BindKind.RX)

        assert b"stat:DELIVRD" in (await receiver.next_delivery()).short_message


async def test_receipts_a_dropped_bind_left_unanswered_come_again():
    """R12"""
    async with house(limits=Limits(window_max=2, peer_window_max=1000)) as opened:
        silent = await opened.esme(on_deliver=lambda pdu: None)
        for number in range(5):
            await silent.submit(message(text=b"%d" % number))
        await opened.until(lambda: len(silent.deliveries) == 2)
        silent.abort()
        await opened.until(lambda: opened.smsc.deliveries.held == 5)

        after = await opened.esme()
        texts = {(await after.next_delivery()).short_message[-1:] for _ in range(5)}

        assert texts == {b"0", b"1", b"2", b"3", b"4"}


async def test_delivery_refused_for_now_is_tried_again_and_one_refused_for_good_is_not():
    """R10, R11"""
    async with house() as opened:
        statuses = iter([Status.ESME_RX_T_APPN, Status.ESME_RMSGQFUL, Status.ESME_ROK, Status.ESME_RX_R_APPN])
        esme = await opened.esme(on_deliver=lambda pdu: next(statuses))

        await esme.submit(message())
        await opened.until(lambda: opened.smsc.deliveries.counts.acknowledged == 1)
        await esme.submit(message())
        await opened.until(lambda: opened.smsc.deliveries.counts.refused == 1)

        assert len(esme.deliveries) == 4


async def test_hundred_receipts_pass_through_a_window_of_one():
    async with house(limits=Limits(window_max=1, peer_window_max=1000)) as opened:
        esme = await opened.esme(limits=Limits(window_max=100))

        await asyncio.gather(*(esme.submit(message()) for _ in range(100)))
        receipts = [await esme.next_delivery() for _ in range(100)]

        assert len({receipt.tlvs[0x001E] for receipt in receipts}) == 100


async def test_faults_by_chance_repeat_with_the_same_seed():
    async def run() -> tuple[list[int], int]:
        async with house(seed=7, faults=SmscFaults(throttle=0.3, receipt_duplicate=0.3, receipt_s_min=0.0, receipt_s_max=0.001)) as opened:
            esme = await opened.esme()
            statuses = [(await esme.submit(message())).command_status for _ in range(40)]
            await opened.until(lambda: opened.smsc.counts.delivered == opened.smsc.counts.accepted)
            return statuses, opened.smsc.counts.receipts

    first, second = await run(), await run()

    assert first == second
    assert set(first[0]) == {Status.ESME_ROK, Status.ESME_RTHROTTLED}


# The other requests.


async def test_data_sm_is_delivered_like_submit_sm():
    """M30"""
    async with house() as opened:
        esme = await opened.esme()

        response = await esme.request(
            DataSm(source_addr="1069", destination_addr=PHONE, registered_delivery=1, tlvs={Tag.MESSAGE_PAYLOAD: b"long " * 60})
        )
        await esme.next_delivery()

        assert response.command_status == Status.ESME_ROK
        assert opened.smsc.phones.get(PHONE).messages[0].text == "long " * 60


async def test_submit_multi_reaches_each_destination_and_names_the_refused():
    """M29"""
    async with house() as opened:
        esme = await opened.esme()
        destinations = tuple(SmeAddress(1, 1, number) for number in ("111", "222", "8613900000004"))

        response = await esme.request(
            SubmitMulti(source_addr="1069", dest_address=destinations, registered_delivery=1, short_message=b"all")
        )
        receipts = [await esme.next_delivery() for _ in range(2)]

        assert {receipt.source_addr for receipt in receipts} == {"111", "222"}
        assert [(each.destination_addr, each.error_status_code) for each in response.unsuccess_sme] == [("8613900000004", 0x45)]


async def test_query_sm_tells_the_state():
    """M31"""
    async with house(receipt_delay_ms=60_000) as opened:
        esme = await opened.esme()
        message_id = (await esme.submit(message())).message_id

        waiting = await esme.request(QuerySm(message_id=message_id, source_addr="1069"))
        foreign = await esme.request(QuerySm(message_id=message_id, source_addr="9999"))
        cancelled = await esme.request(CancelSm(message_id=message_id, source_addr="1069", destination_addr=PHONE))
        over = await esme.request(QuerySm(message_id=message_id, source_addr="1069"))
        again = await esme.request(CancelSm(message_id=message_id, source_addr="1069", destination_addr=PHONE))

        assert (waiting.message_state, waiting.final_date) == (MessageState.ENROUTE, "")
        assert foreign.command_status == Status.ESME_RQUERYFAIL
        assert cancelled.command_status == Status.ESME_ROK
        assert over.message_state == MessageState.DELETED
        assert len(over.final_date) == 16
        assert again.command_status == Status.ESME_RCANCELFAIL


# Phones and MO.


async def test_long_chinese_text_is_joined_on_the_phone():
    """M16"""
    text = "门铃网关把这条很长的短信切成几段再拼起来😀" * 8
    async with house() as opened:
        esme = await opened.esme()

        responses = await esme.submit_text("1069", PHONE, text)
        await opened.until(lambda: opened.smsc.counts.delivered == len(responses))

        assert len(responses) == 3
        assert [message.text for message in opened.smsc.phones.get(PHONE).messages] == [text]


async def test_reply_is_held_until_a_bind_can_receive_and_then_accepted():
    async with house() as opened:
        reply = opened.smsc.send_mo(PHONE, "1069", "收到，谢谢")
        state_before = reply.state

        esme = await opened.esme()
        delivered = await esme.next_delivery()
        await opened.until(lambda: reply.state == "accepted")

        assert state_before == "pending"
        assert (delivered.source_addr, delivered.destination_addr, delivered.data_coding) == (PHONE, "1069", 8)
        assert delivered.short_message.decode("utf-16-be") == "收到，谢谢"


async def test_reply_the_gateway_refuses_says_so():
    async with house() as opened:
        await opened.esme(on_deliver=lambda pdu: Status.ESME_RX_P_APPN)

        reply = opened.smsc.send_mo(PHONE, "1069", "no")

        await opened.until(lambda: reply.state == "refused")
