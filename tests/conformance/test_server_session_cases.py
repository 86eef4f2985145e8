"""Binding, unbinding and staying alive at the partners' door: the S cases, over real sockets, in octets made by hand."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest

from simulators.smsc_rules import Rule
from tests.support.gateway import House, opened_gateway
from tests.support.wire import (
    BIND_RX,
    BIND_TRX,
    BIND_TX,
    DELIVER_SM,
    ENQUIRE_LINK,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    Wire,
    bind_body,
    frame,
    message_body,
    read_message,
    tlv,
)

VERSION_TLV = tlv(0x0210, b"\x34")


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path) as opened:
        yield opened


async def refused(house: House, **fields: object) -> tuple[int, bytes]:
    """The status and body of a refused bind, after which the connection must end."""
    wire = await house.wire()
    got = await wire.ask(BIND_TRX, bind_body(**fields))  # type: ignore[arg-type]
    assert got.command_id == BIND_TRX | RESPONSE
    assert await wire.wait_closed() == b""
    return got.status, got.body


async def test_a_transmitter_binds_and_is_told_our_name_and_version(house):
    """S01"""
    wire = await house.wire()

    got = await wire.ask(BIND_TX, bind_body(), sequence=4711)

    assert got.head == (BIND_TX | RESPONSE, 0, 4711)
    assert got.body == b"bellhop\0" + VERSION_TLV


@pytest.mark.parametrize("command_id", [BIND_RX, BIND_TRX])
async def test_receivers_and_transceivers_bind(house, command_id):
    """S02"""
    wire = await house.wire()

    got = await wire.ask(command_id, bind_body())

    assert got.head[:2] == (command_id | RESPONSE, 0)


async def test_a_wrong_password_is_named_without_a_body(house):
    """S03"""
    assert await refused(house, password="wrong") == (0x0E, b"")


async def test_an_unknown_system_id_is_named(house):
    """S04"""
    assert await refused(house, system_id="nobody") == (0x0F, b"")


async def test_a_partner_without_an_smpp_password_is_unknown_here(house):
    """S04"""
    assert await refused(house, system_id="webonly") == (0x0F, b"")


async def test_a_disabled_partner_may_not_bind(house):
    """S05"""
    assert await refused(house, system_id="closed") == (0x0D, b"")


async def test_any_system_type_is_taken(house):
    """S06: choice, none is asked for."""
    assert (await (await house.wire()).ask(BIND_TX, bind_body(system_type="ANYTHING"))).status == 0


async def test_a_second_bind_is_refused_and_the_first_stays(house):
    """S07"""
    wire = await house.bound()

    again = await wire.ask(BIND_TRX, bind_body(), sequence=9)

    assert again.head == (BIND_TRX | RESPONSE, 0x05, 9)
    assert (await wire.submit()).status == 0


async def test_a_connection_over_the_limit_is_closed_and_the_others_stay(tmp_path):
    """S08: the limit is one of connections; there is none per partner yet."""
    async with opened_gateway(tmp_path, door={"sessions_max": 2}) as house:
        first, second = await house.bound(), await house.bound()

        third = await house.wire()

        assert await third.wait_closed() == b""
        assert await first.is_alive()
        assert await second.is_alive()
        await house.until(lambda: house.gateway.smpp_server.sessions == 2)


async def test_a_freed_connection_makes_room_for_another(tmp_path):
    """S08"""
    async with opened_gateway(tmp_path, door={"sessions_max": 1}) as house:
        first = await house.bound()
        first.reset()
        await house.until(lambda: house.gateway.smpp_server.sessions == 0)

        assert await (await house.bound()).is_alive()


async def test_submit_before_bind_is_refused(house):
    """S09"""
    wire = await house.wire()

    assert (await wire.submit()).head[:2] == (SUBMIT_SM | RESPONSE, 0x04)
    assert (await wire.bind()).status == 0
    assert await house.messages() == []


async def test_submit_behind_an_unanswered_bind_is_refused_and_the_bind_stands(house):
    """S09: what comes before bind_resp came before the bind."""
    wire = await house.wire()

    await wire.send(frame(BIND_TRX, bind_body(), sequence=1) + frame(SUBMIT_SM, message_body(), sequence=2))
    got = {answer.sequence: answer.head[:2] for answer in (await wire.read(), await wire.read())}

    assert got == {1: (BIND_TRX | RESPONSE, 0), 2: (SUBMIT_SM | RESPONSE, 0x04)}
    assert (await wire.submit()).status == 0


async def test_submit_on_a_receiver_is_refused(house):
    """S10"""
    wire = await house.bound(BIND_RX)

    assert (await wire.submit()).status == 0x04


async def test_deliver_sm_from_an_esme_is_refused_and_the_session_stays(house):
    """S11"""
    wire = await house.bound()

    assert (await wire.ask(DELIVER_SM, message_body())).head[:2] == (DELIVER_SM | RESPONSE, 0x04)
    assert await wire.is_alive()


async def test_a_connection_that_never_binds_is_closed(tmp_path):
    """S12"""
    async with opened_gateway(tmp_path, door={"session_init_timeout_s": 0.15}) as house:
        bound = await house.bound()
        silent = await house.wire()

        assert await silent.wait_closed(2) == b""
        assert await bound.is_alive()


async def test_unbind_is_answered_after_the_answers_still_owed(tmp_path):
    """S13"""
    async with opened_gateway(tmp_path) as house:
        wire = await house.bound()

        await wire.send(b"".join(frame(SUBMIT_SM, message_body(), sequence=n) for n in range(1, 6)) + frame(UNBIND, sequence=6))
        got = [await wire.read() for _ in range(6)]

        assert [answer.head for answer in got[:5]] == [(SUBMIT_SM | RESPONSE, 0, n) for n in range(1, 6)]
        assert got[5].head == (UNBIND | RESPONSE, 0, 6)
        assert await wire.wait_closed() == b""
        assert len(await house.messages()) == 5


async def test_submit_behind_unbind_is_not_taken(house):
    """S14"""
    wire = await house.bound()

    await wire.send(frame(SUBMIT_SM, message_body(), sequence=1) + frame(UNBIND, sequence=2) + frame(SUBMIT_SM, message_body(), sequence=3))
    answers = [await wire.read() for _ in range(3)]

    assert [answer.head for answer in answers] == [
        (SUBMIT_SM | RESPONSE, 0x04, 3),
        (SUBMIT_SM | RESPONSE, 0, 1),
        (UNBIND | RESPONSE, 0, 2),
    ]
    assert len(await house.messages()) == 1


async def test_when_we_unbind_the_partner_what_it_had_not_taken_is_kept_over_the_restart(tmp_path):
    """S15"""
    async with opened_gateway(tmp_path) as house:
        wire = await house.bound()
        house.smsc.send_mo("8613900001234", "10661800", "kept")
        assert (await wire.read()).command_id == DELIVER_SM
        stopping = asyncio.create_task(house.gateway.stop())

        goodbye = await wire.read_until(UNBIND)
        await wire.answer(goodbye)
        assert await wire.wait_closed() == b""
        await stopping

    async with opened_gateway(tmp_path) as house:
        wire = await house.bound(BIND_RX)
        assert read_message((await wire.read()).body).text == b"kept"


@pytest.mark.parametrize("command_id", [BIND_RX, BIND_TX, BIND_TRX])
async def test_enquire_link_is_answered_in_every_bound_state(house, command_id):
    """S16"""
    wire = await house.bound(command_id)

    assert await wire.is_alive()


async def test_enquire_link_is_answered_while_our_window_towards_the_partner_is_full(tmp_path):
    """S16"""
    async with opened_gateway(tmp_path, door={"window": 1}) as house:
        wire = await house.bound()
        for number in range(3):
            house.smsc.send_mo("8613900001234", "10661800", f"mo {number}")
        assert (await wire.read()).command_id == DELIVER_SM

        assert await wire.is_alive()


async def test_enquire_link_before_bind_is_refused(house):
    """S17: the version is not known yet, so 3.4's rule holds."""
    wire = await house.wire()

    assert (await wire.ask(ENQUIRE_LINK)).head[:2] == (ENQUIRE_LINK | RESPONSE, 0x04)


async def test_a_silent_partner_is_asked_and_then_let_go(tmp_path):
    """S18"""
    async with opened_gateway(tmp_path, door={"enquire_link_s": 0.1, "response_timeout_s": 0.1}) as house:
        wire = await house.bound()

        assert (await wire.read()).command_id == ENQUIRE_LINK
        assert await wire.wait_closed(2) == b""
        await house.until(lambda: house.gateway.smpp_server.sessions == 0)


async def test_a_partner_that_answers_enquire_link_stays(tmp_path):
    """S18"""
    async with opened_gateway(tmp_path, door={"enquire_link_s": 0.05, "response_timeout_s": 0.5}) as house:
        wire = await house.bound()

        for _ in range(4):
            await wire.answer(await wire.read_until(ENQUIRE_LINK))

        assert (await wire.submit()).status == 0


async def test_a_session_that_only_proves_its_life_is_unbound_where_that_is_set(tmp_path):
    """S19: choice, off unless inactivity_timeout_s is set."""
    async with opened_gateway(tmp_path, door={"inactivity_timeout_s": 0.2}) as house:
        wire = await house.bound()
        began = time.monotonic()

        assert await wire.is_alive()
        goodbye = await wire.read_until(UNBIND)
        await wire.answer(goodbye)

        assert await wire.wait_closed() == b""
        assert time.monotonic() - began >= 0.15


async def test_a_peer_of_3_3_gets_no_optional_parameters_and_short_ids(house):
    """S20: choice, eight hexadecimal digits."""
    wire = await house.wire()

    bound = await wire.bind(version=0x33)
    answer = await wire.submit(registered=1)
    receipt = read_message((await wire.read_until(DELIVER_SM)).body)

    assert bound.body == b"bellhop\0"
    assert re.fullmatch(r"[0-9A-F]{8}", answer.text)
    assert len(answer.body) == 9
    assert receipt.tlvs == {}
    assert receipt.text.startswith(f"id:{answer.text} ".encode())


async def test_ids_for_peers_of_3_3_differ(house):
    """S20"""
    wire = await house.bound(version=0x33)

    ids = {(await wire.submit()).text for _ in range(20)}

    assert len(ids) == 20


async def test_a_peer_of_5_0_is_told_so_and_may_send_255_octets(house):
    """S21"""
    wire = await house.wire()

    bound = await wire.bind(version=0x50)

    assert bound.body == b"bellhop\0" + tlv(0x0210, b"\x50")
    assert (await wire.submit(text=b"a" * 255)).status == 0


@pytest.mark.parametrize(("declared", "spoken"), [(0x00, b""), (0x51, tlv(0x0210, b"\x50")), (0xFF, tlv(0x0210, b"\x50"))])
async def test_odd_versions_are_taken_for_the_nearest_we_speak(house, declared, spoken):
    """S22"""
    wire = await house.wire()

    bound = await wire.bind(version=declared)

    assert bound.body == b"bellhop\0" + spoken


async def test_a_reset_in_mid_pdu_frees_the_session_and_takes_nothing(house):
    """S23"""
    whole = frame(SUBMIT_SM, message_body())
    for cut in (3, 15, 16, 40, len(whole) - 1):
        wire = await house.bound()
        await wire.send(whole[:cut])
        wire.reset()

    await house.until(lambda: house.gateway.smpp_server.sessions == 0)
    assert await house.messages() == []
    assert (await (await house.bound()).submit()).status == 0


async def test_a_partner_that_leaves_while_its_password_is_checked_leaves_nothing(house):
    """S23"""
    wire = await house.wire()
    await wire.send(frame(BIND_TRX, bind_body()))
    wire.reset()

    await house.until(lambda: house.gateway.smpp_server.sessions == 0)
    assert house.gateway.smpp_server.bound_names() == []
    assert await (await house.bound()).is_alive()


async def test_an_accepted_message_of_a_partner_that_left_is_sent_all_the_same(house):
    """S23, P1"""
    wire = await house.bound()
    await wire.submit(text=b"gone")
    wire.reset()

    await house.smsc.until(lambda: house.smsc.counts.accepted == 1)
    assert house.smsc.counts.accepted == 1


async def test_two_partners_do_not_see_each_other(tmp_path):
    """P6: receipts go to the account that sent."""
    async with opened_gateway(tmp_path, smsc={"rules": (Rule(),)}) as house:
        acme, other = await house.bound(), await house.bound(system_id="other")

        sent = await acme.submit(registered=1)
        receipt = read_message((await acme.read_until(DELIVER_SM)).body)

        assert receipt.tlvs[0x001E] == sent.text.encode() + b"\0"
        assert await other.has_nothing_to_say()


async def test_the_door_survives_connections_that_say_nothing_and_go(house):
    """P6"""
    for _ in range(50):
        (await Wire.connect(house.port)).reset()

    await house.until(lambda: house.gateway.smpp_server.sessions == 0)
    assert await (await house.bound()).is_alive()
