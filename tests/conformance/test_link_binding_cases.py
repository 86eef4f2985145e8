"""How our link binds and stays bound: kinds, versions, stand-offs, unbind, outbind, and what the carrier tells beside messages.

The carrier is scripted in octets made by hand.
"""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.address import Address
from gateway.domain.number_format import NumberRules
from tests.support.links import Ears, flight, lone_link, until
from tests.support.wire import (
    BIND_RX,
    BIND_TRX,
    BIND_TX,
    DELIVER_SM,
    ENQUIRE_LINK,
    HOST,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    Wire,
    cstring,
    frame,
    message_body,
    raw_smsc,
    read_message,
    tlv,
)

OUTBIND, ALERT = 0x0B, 0x102


async def test_each_kind_of_bind_is_asked_for():
    """Row 1"""
    for kind, command_id in (("transceiver", BIND_TRX), ("transmitter", BIND_TX), ("receiver", BIND_RX)):
        async with raw_smsc() as smsc, lone_link(smsc.port, bind=kind):
            wire = await smsc.accept()

            assert (await wire.read()).command_id == command_id


async def test_a_pair_sends_on_its_transmitter_only():
    """Rows 1 and 4"""
    async with raw_smsc() as smsc, lone_link(smsc.port, bind="pair") as link:
        wires = {}
        for _ in range(2):
            wire = await smsc.accept()
            request = await wire.read()
            await wire.answer(request, cstring("raw"))
            wires[request.command_id] = wire
        await until(lambda: all(bind.is_bound for bind in link.binds))

        assert link.window_max == 10
        assert [link.send(flight()) for _ in range(2)] == [True, True]
        assert [(await wires[BIND_TX].read()).command_id for _ in range(2)] == [SUBMIT_SM, SUBMIT_SM]
        assert await wires[BIND_RX].is_alive()


async def test_a_link_of_receivers_sends_nothing():
    async with raw_smsc() as smsc, lone_link(smsc.port, bind="receiver") as link:
        wire = await smsc.accept()
        await wire.answer(await wire.read(), cstring("raw"))
        await until(lambda: link.is_up)

        assert (link.window_free, link.send(flight())) == (0, False)


@pytest.mark.parametrize("version", [0x33, 0x34, 0x50])
async def test_the_bind_says_what_the_settings_say(version):
    """Rows 2, 3 and 24"""
    options = {"interface_version": version, "addr_ton": 1, "addr_npi": 8, "address_range": "^1066", "system_type": "VMA"}
    async with raw_smsc() as smsc, lone_link(smsc.port, **options):
        wire = await smsc.accept()

        assert (await wire.read()).body == b"bellhop\0secret8\0VMA\0" + bytes((version, 1, 8)) + b"^1066\0"


async def test_a_carrier_of_3_3_is_sent_no_parameters():
    """S20, from our side"""
    async with raw_smsc() as smsc, lone_link(smsc.port, interface_version=0x33, tlvs={0x1400: b"x"}) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)

        link.send(flight())

        assert read_message((await wire.read()).body).tlvs == {}


async def test_wrong_credentials_are_tried_by_one_bind_alone():
    """F01"""
    async with raw_smsc() as smsc, lone_link(smsc.port, binds=4, backoff_s_min=0.01, backoff_s_max=0.02, standoff_s_max=0.02) as link:
        for _ in range(3):
            wire = await smsc.accept()
            await wire.answer(await wire.read(), status=0x0E)
            await wire.wait_closed()
        assert (smsc.connections, link.refusals[0x0E]) == (3, 3)
        assert "0x0000000E" in link.alarm

        wires = [await smsc.accept_bind() for _ in range(4)]

        await until(lambda: all(bind.is_bound for bind in link.binds))
        assert (len(wires), link.alarm) == (4, "")


async def test_starting_a_link_that_stands_off_tries_at_once():
    """F01"""
    async with raw_smsc() as smsc, lone_link(smsc.port, backoff_s_max=60.0, binds=2) as link:
        wire = await smsc.accept()
        await wire.answer(await wire.read(), status=0x0F)
        await until(lambda: link.retry_in_s > 20)

        link.start()

        await smsc.accept_bind()
        await smsc.accept_bind()
        await until(lambda: all(bind.is_bound for bind in link.binds))


async def test_already_bound_is_waited_out():
    """F02"""
    async with raw_smsc() as smsc, lone_link(smsc.port, already_bound_wait_s=60.0) as link:
        wire = await smsc.accept()
        await wire.answer(await wire.read(), status=0x05)

        await until(lambda: 55 < link.retry_in_s <= 66)

        assert link.alarm == ""


async def test_the_carriers_unbind_waits_for_the_answers_it_owes():
    """F10"""
    ears = Ears()
    async with raw_smsc() as smsc, lone_link(smsc.port, ears) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)
        link.send(flight())
        request = await wire.read()

        await wire.send(frame(UNBIND, sequence=40))
        await until(lambda: link.window_free == 0)
        assert not link.send(flight())
        await wire.answer(request, cstring("A7"))

        assert (await wire.read()).head == (UNBIND | RESPONSE, 0, 40)
        assert await wire.wait_closed() == b""
        assert [told[1:] for told in ears.of("responded")] == [(0, "A7")]
        assert ears.of("unanswered") == []
        assert len(ears.of("parted")) == 1
        await smsc.accept_bind()


async def test_an_unbind_that_never_gets_its_answers_has_an_end():
    """F10"""
    ears = Ears()
    async with raw_smsc() as smsc, lone_link(smsc.port, ears, drain_timeout_s=0.1) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)
        link.send(flight())
        await wire.read()

        await wire.send(frame(UNBIND, sequence=40))

        assert (await wire.read()).head == (UNBIND | RESPONSE, 0, 40)
        await until(lambda: len(ears.of("unanswered")) == 1)


async def test_the_pause_after_an_unbind_is_longer():
    """F10"""
    async with raw_smsc() as smsc, lone_link(smsc.port, unbound_wait_s=30.0) as link:
        wire = await smsc.accept_bind()
        await wire.send(frame(UNBIND, sequence=40))

        await until(lambda: link.retry_in_s > 25)


async def test_enquire_link_has_a_timer_of_its_own():
    """F12, row 8"""
    async with raw_smsc() as smsc, lone_link(smsc.port, enquire_link_s=0.05, enquire_link_timeout_s=0.05, response_timeout_s=60) as link:
        wire = await smsc.accept_bind()
        assert (await wire.read()).command_id == ENQUIRE_LINK

        assert await wire.wait_closed(2) == b""

        await smsc.accept_bind()
        await until(lambda: link.reconnects == 1)


async def test_an_alert_names_the_handset_in_our_form():
    """R18"""
    ears = Ears()
    rules = NumberRules(country_code="44", national_prefix="0")
    async with raw_smsc() as smsc, lone_link(smsc.port, ears, numbers=rules) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)

        await wire.send(frame(ALERT, bytes((2, 1)) + cstring("07700900123") + bytes((0, 1)) + cstring("10661800")))
        await wire.send(frame(ALERT, bytes((1, 1)) + cstring("+8613900001111") + bytes((0, 1)) + cstring("10661800")))

        assert await wire.is_alive()
        assert ears.of("alerted") == [("447700900123",), ("8613900001111",)]


async def test_the_congestion_of_a_response_is_told():
    """F14"""
    ears = Ears()
    async with raw_smsc() as smsc, lone_link(smsc.port, ears) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)
        for level in (0, 95):
            link.send(flight())
            await wire.answer(await wire.read(), cstring("A7") + tlv(0x0428, bytes((level,))))
        await until(lambda: len(ears.of("responded")) == 2)

        assert ears.of("congested") == [("sim", 0), ("sim", 95)]


async def test_parameters_of_the_link_and_of_the_message_go_out_together():
    """Row 26"""
    async with raw_smsc() as smsc, lone_link(smsc.port, tlvs={0x1400: b"entity", 0x1401: b"old"}) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)

        link.send(flight())
        link.send(flight(tlvs=tlv(0x1401, b"template")))

        assert read_message((await wire.read()).body).tlvs == {0x1400: b"entity", 0x1401: b"old"}
        assert read_message((await wire.read()).body).tlvs == {0x1400: b"entity", 0x1401: b"template"}


async def test_parameters_that_are_none_end_the_message_and_not_the_link():
    ears = Ears()
    async with raw_smsc() as smsc, lone_link(smsc.port, ears) as link:
        await smsc.accept_bind()
        await until(lambda: link.is_up)

        assert link.send(flight(tlvs=b"\x14\x00\x00"))

        assert [told[1:] for told in ears.of("responded")] == [(0xC0, "")]
        assert link.is_up


async def test_addresses_are_written_as_the_carrier_wants_them():
    """Rows 24, 25 and 97"""
    rules = NumberRules(
        international_prefix="+", country_code="86", is_name_allowed=False, default_sender=Address("10690", 0, 1), source_ton=3
    )
    async with raw_smsc() as smsc, lone_link(smsc.port, numbers=rules) as link:
        wire = await smsc.accept_bind()
        await until(lambda: link.is_up)

        link.send(flight(source="Pizza", source_ton=5, source_npi=0))
        link.send(flight(destination="447700900123"))

        first, second = (await wire.read()).body, (await wire.read()).body
        assert first.startswith(b"\0" + bytes((3, 1)) + b"10690\0" + bytes((2, 1)) + PHONE.removeprefix("86").encode() + b"\0")
        assert b"\1\1+447700900123\0" in second


# Outbind


async def free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def called(port: int, system_id: str, password: str) -> Wire:
    """An SMSC that calls us."""
    wire = await Wire.connect(port)
    await wire.send(frame(OUTBIND, cstring(system_id) + cstring(password)))
    return wire


async def test_an_smsc_that_calls_is_bound_to_as_receiver():
    """S24, from our side"""
    ears, port = Ears(), await free_port()
    options = {"outbind_port": port, "outbind_system_id": "smsc", "outbind_password": "call-me"}
    async with raw_smsc() as smsc, lone_link(smsc.port, ears, bind="transmitter", **options) as link:
        dialled = await smsc.accept()
        await dialled.answer(await dialled.read(), cstring("raw"))
        await until(lambda: link.is_up and link.door is not None and link.door.port)

        wire = await called(port, "smsc", "call-me")
        request = await wire.read()
        assert (request.command_id, request.text) == (BIND_RX, "bellhop")
        await wire.answer(request, cstring("raw"))
        await wire.send(frame(DELIVER_SM, message_body(source=(1, 1, PHONE), to=(0, 1, "10661800")), sequence=3))

        await until(lambda: len(ears.of("received")) == 1)
        assert [bind.kind for bind in link.binds] == ["transmitter", "receiver"]
        wire.reset()
        await until(lambda: len(link.binds) == 1)


@pytest.mark.parametrize(("system_id", "password"), [("smsc", "guess"), ("other", "call-me"), ("", "")])
async def test_a_caller_who_is_not_known_gets_no_bind(system_id, password):
    """S24, from our side"""
    port = await free_port()
    options = {"outbind_port": port, "outbind_system_id": "smsc", "outbind_password": "call-me"}
    async with raw_smsc() as smsc, lone_link(smsc.port, **options) as link:
        await smsc.accept_bind()
        await until(lambda: link.door is not None and link.door.port)

        wire = await called(port, system_id, password)

        assert await wire.wait_closed() == b""
        assert [bind.number for bind in link.binds] == [1]


async def test_a_called_bind_is_unbound_when_the_link_stops():
    port = await free_port()
    options = {"outbind_port": port, "outbind_system_id": "smsc", "outbind_password": "call-me"}
    async with raw_smsc() as smsc, lone_link(smsc.port, **options) as link:
        await smsc.accept_bind()
        await until(lambda: link.door is not None and link.door.port)
        wire = await called(port, "smsc", "call-me")
        await wire.answer(await wire.read(), cstring("raw"))
        await until(lambda: len(link.binds) == 2)

        stopping = asyncio.create_task(link.stop(0.2))

        request = await wire.read()
        assert request.command_id == UNBIND
        await wire.answer(request)
        await stopping
        with pytest.raises(ConnectionRefusedError):
            await Wire.connect(port)
