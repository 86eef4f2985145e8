"""What goes wrong on purpose in the SMSC simulator, each as a dialogue with our session or with a raw socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.smpp.consts import MessageState, Status, Tag
from gateway.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    CancelSm,
    DeliverSmResp,
    EnquireLink,
    Outbind,
    QuerySm,
    ReplaceSm,
    decode,
    encode,
)
from gateway.smpp.session import Limits
from simulators.esme import BindRefusedError, NoResponse
from simulators.form import read
from simulators.smsc_chance import Latency, Mix
from simulators.smsc_dialects import DIALECTS
from simulators.smsc_ids import IdForm
from simulators.smsc_rules import Rule
from simulators.smsc_script import BindRule, Event, MoStream
from tests.support.smsc import HOST, PHONE, House, house, message

IMPATIENT = Limits(response_timeout_s=0.3)


class Raw:
    """A peer that only reads and writes octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.sequence = 0

    def send(self, pdu) -> None:
        self.sequence += 1
        self.writer.write(encode(pdu._replace(sequence_number=self.sequence)))

    async def frame(self) -> bytes:
        head = await asyncio.wait_for(self.reader.readexactly(4), 5)
        return head + await asyncio.wait_for(self.reader.readexactly(struct.unpack(">L", head)[0] - 4), 5)

    async def is_silent(self, for_s: float = 0.15) -> bool:
        try:
            return not await asyncio.wait_for(self.reader.read(1), for_s)
        except TimeoutError:
            return True

    async def bind(self) -> None:
        self.send(BindTransceiver(system_id="raw"))
        assert decode(await self.frame()).command_status == 0


@asynccontextmanager
async def raw(opened: House) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(HOST, opened.smsc.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


# Responses.


@pytest.mark.parametrize("fault", ["wrong-sequence", "unknown-id", "truncated"])
async def test_spoilt_response_is_no_answer_and_the_session_goes_on(fault):
    """F11"""
    async with house(rules=(Rule(suffix="77", fault=fault),)) as opened:
        esme = await opened.esme(limits=IMPATIENT)

        with pytest.raises(NoResponse):
            await esme.submit(message("86139000077"))
        after = await esme.submit(message())

        assert after.command_status == Status.ESME_ROK
        assert esme.violations


@pytest.mark.parametrize("fault", ["garbage", "short"])
async def test_response_with_an_impossible_length_loses_the_stream(fault):
    """F11"""
    async with house(rules=(Rule(suffix="77", fault=fault),)) as opened:
        esme = await opened.esme(limits=IMPATIENT)

        with pytest.raises(NoResponse):
            await esme.submit(message("86139000077"))

        assert (await esme.wait_over()).value == "bad frame"


async def test_response_that_says_more_than_is_there_swallows_what_follows():
    """F11"""
    async with house(rules=(Rule(suffix="77", fault="long"),)) as opened, raw(opened) as peer:
        await peer.bind()

        peer.send(message("86139000077", registered_delivery=0))
        head = await peer.reader.readexactly(4)
        rest = await asyncio.wait_for(peer.reader.read(500), 5)

        assert struct.unpack(">L", head)[0] == 4 + len(rest) + 7


async def test_response_may_come_twice():
    """F11"""
    async with house(rules=(Rule(suffix="77", fault="twice"),)) as opened, raw(opened) as peer:
        await peer.bind()

        peer.send(message("86139000077", registered_delivery=0))
        first, second = await peer.frame(), await peer.frame()

        assert first == second
        assert decode(first).sequence_number == 2


@pytest.mark.parametrize(("write", "least_s"), [("split", 0.0), ("drip", 0.1)])
async def test_response_written_byte_by_byte_arrives_whole_and_what_follows_waits(write, least_s):
    """F11"""
    async with house(rules=(Rule(suffix="77", write=write, drip_ms=5),)) as opened:
        esme = await opened.esme()
        loop = asyncio.get_running_loop()
        began = loop.time()

        slow, quick = await asyncio.gather(esme.submit(message("86139000077")), esme.submit(message()))

        assert (slow.command_status, quick.command_status) == (0, 0)
        assert loop.time() - began >= least_s
        assert not esme.violations


async def test_errors_and_outcomes_follow_their_weights_and_the_seed():
    """F06"""
    statuses = Mix((("ESME_ROK", 3.0), ("ESME_RSYSERR", 1.0), ("0x400", 1.0)))
    stats = Mix((("DELIVRD", 1.0), ("EXPIRED", 1.0), ("none", 1.0)))
    rule = Rule(statuses=statuses, stats=stats)

    async def run() -> tuple[list[int], int]:
        async with house(rules=(rule,), seed=5) as opened:
            esme = await opened.esme()
            statuses = [(await esme.submit(message(text=b"%d" % number))).command_status for number in range(60)]
            await opened.until(lambda: all(taken.state is not MessageState.ENROUTE for taken in opened.smsc.log))
            return statuses, opened.smsc.counts.receipts

    first, again = await run(), await run()

    assert first == again
    assert set(first[0]) == {0, Status.ESME_RSYSERR, 0x400}
    assert 0 < first[1] < first[0].count(0)


async def test_throttled_above_a_rate_and_nothing_else_changes():
    """F04, M24"""
    async with house(rules=(Rule(above_per_s=5, status=Status.ESME_RTHROTTLED),)) as opened:
        esme = await opened.esme()

        responses = await asyncio.gather(*(esme.submit(message(text=b"%d" % number)) for number in range(8)))

        assert [each.command_status for each in responses] == [0] * 5 + [Status.ESME_RTHROTTLED] * 3
        assert opened.smsc.counts.accepted == 5


async def test_congestion_state_is_fixed_or_follows_the_load():
    """F14"""
    rules = (Rule(suffix="85", congestion=85), Rule(congestion_full_per_s=4))
    async with house(rules=rules) as opened:
        esme = await opened.esme(interface_version=0x50)

        fixed = await esme.submit(message("861385"))
        levels = [(await esme.submit(message())).tlvs[Tag.CONGESTION_STATE][0] for _ in range(6)]

        assert fixed.tlvs[Tag.CONGESTION_STATE] == b"\x55"
        assert levels == [25, 50, 75, 100, 100, 100]


async def test_latency_holds_the_response_back():
    """F09, F13"""
    async with house(rules=(), usual=Rule(response_latency=Latency(ms=80))) as opened:
        esme = await opened.esme()
        loop = asyncio.get_running_loop()
        began = loop.time()

        await esme.submit(message())

        assert loop.time() - began >= 0.08


# Receipts.


@pytest.mark.parametrize(
    ("stats", "words"),
    [
        ("ACCEPTD+DELIVRD", [b"ACCEPTD", b"DELIVRD"]),
        ("DELIVRD+UNDELIV", [b"DELIVRD", b"UNDELIV"]),
        ("EXPIRED+DELIVRD", [b"EXPIRED", b"DELIVRD"]),
    ],
)
async def test_receipts_come_one_after_the_other_and_may_contradict(stats, words):
    """R06"""
    async with house(rules=(), usual=Rule(stats=Mix(((stats, 1.0),)), receipt_gap_ms=5)) as opened:
        esme = await opened.esme()

        await esme.submit(message())
        receipts = [await esme.next_delivery() for _ in words]

        assert [word in each.short_message for word, each in zip(words, receipts, strict=True)] == [True, True]


async def test_receipts_are_shuffled_in_lots():
    async with house(rules=(), usual=Rule(receipt_shuffle=5), seed=1, receipt_delay_ms=20) as opened:
        esme = await opened.esme()

        ids = [(await esme.submit(message(text=b"%d" % number))).message_id for number in range(5)]
        receipted = [(await esme.next_delivery()).tlvs[0x001E].rstrip(b"\0").decode() for _ in ids]

        assert sorted(receipted) == ids
        assert receipted != ids


async def test_receipt_goes_to_another_bind_of_the_same_system_id():
    async with house(rules=(), usual=Rule(receipt_bind="other")) as opened:
        sender, other = await opened.esme(system_id="acme"), await opened.esme(system_id="acme")

        await sender.submit(message())

        assert b"DELIVRD" in (await other.next_delivery()).short_message
        assert not sender.deliveries


async def test_receipt_writes_the_id_in_another_base():
    """R04"""
    async with house(id_form=IdForm.HEX_LOWER, receipt_id_form=IdForm.INT64, first_id=255) as opened:
        esme = await opened.esme()

        response = await esme.submit(message())
        receipt = await esme.next_delivery()

        assert response.message_id == "ff"
        assert receipt.tlvs[0x001E] == b"9223372036854776063\0"


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_receipt_of_every_dialect_arrives(dialect):
    """R07, R08"""
    async with house(rules=(), usual=Rule(dialect=dialect), first_id=4711) as opened:
        esme = await opened.esme()

        await esme.submit(message())
        receipt = await esme.next_delivery()

        text = receipt.short_message or receipt.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
        assert (b"4711" in text.replace(b"\0", b"")) or receipt.tlvs[0x001E] == b"4711\0"
        assert receipt.esm_class == DIALECTS[dialect].esm_class


async def test_intermediate_notification_comes_first_when_it_is_asked_for():
    async with house(rules=(), receipt_delay_ms=20) as opened:
        esme = await opened.esme()

        await esme.submit(message(registered_delivery=0x11))
        first, last = await esme.next_delivery(), await esme.next_delivery()

        assert (first.esm_class, last.esm_class) == (0x20, 0x04)
        assert b"stat:ENROUTE" in first.short_message


# A good SMSC.


async def test_version_3_3_gets_an_id_of_eight_hexadecimal_digits():
    """S20"""
    async with house(first_id=0xABCDEF) as opened:
        esme = await opened.esme(interface_version=0x33)

        assert (await esme.submit(message())).message_id == "00ABCDEF"


async def test_validity_that_ends_first_expires_the_message_and_a_schedule_delays_it():
    """M12, M13"""
    async with house(receipt_delay_ms=60_000) as opened:
        esme = await opened.esme()

        await esme.submit(message(validity_period="000000000000000R"))
        scheduled = await esme.submit(message(schedule_delivery_time="000001000000000R"))
        receipt = await esme.next_delivery()
        state = await esme.request(QuerySm(message_id=scheduled.message_id, source_addr="1069"))

        assert b"stat:EXPIRED" in receipt.short_message
        assert state.message_state == MessageState.ENROUTE


async def test_replace_if_present_replaces_what_still_waits():
    """M11"""
    async with house(receipt_delay_ms=50) as opened:
        esme = await opened.esme()

        await esme.submit(message(text=b"old"))
        await esme.submit(message(text=b"new", replace_if_present_flag=1))
        receipt = await esme.next_delivery()
        await opened.until(lambda: opened.smsc.counts.delivered == 1)

        assert receipt.short_message.endswith(b"text:new")
        assert [each.text for each in opened.smsc.phones.get(PHONE).messages] == ["new"]


async def test_replace_sm_changes_a_waiting_message_and_cancel_by_addresses_ends_it():
    """M32, M33"""
    async with house(receipt_delay_ms=60_000) as opened:
        esme = await opened.esme()
        message_id = (await esme.submit(message(text=b"old"))).message_id

        replaced = await esme.request(ReplaceSm(message_id=message_id, source_addr="1069", registered_delivery=1, short_message=b"new"))
        foreign = await esme.request(ReplaceSm(message_id=message_id, source_addr="2000", short_message=b"no"))
        cancelled = await esme.request(CancelSm(source_addr="1069", destination_addr=PHONE))

        assert (replaced.command_status, foreign.command_status, cancelled.command_status) == (0, Status.ESME_RREPLACEFAIL, 0)
        assert next(iter(opened.smsc.log)).text() == "new"


# Binds.


@pytest.mark.parametrize("status", [Status.ESME_RBINDFAIL, Status.ESME_RALYBND, Status.ESME_RINVSYSTYP])
async def test_binds_are_refused_as_often_as_asked_and_then_let_in(status):
    """F01"""
    async with house(binds=(BindRule(status=status, times=1),)) as opened:
        with pytest.raises(BindRefusedError) as raised:
            await opened.esme()
        await opened.esme()

        assert raised.value.status == status


async def test_one_bind_more_than_the_limit_is_refused_and_the_others_stay():
    """S08, F02"""
    async with house(binds_max=2) as opened:
        binds = [await opened.esme(system_id="acme") for _ in range(2)]

        with pytest.raises(BindRefusedError) as raised:
            await opened.esme(system_id="acme")
        await opened.esme(system_id="other")

        assert raised.value.status == Status.ESME_RALYBND
        assert not any(each.is_over for each in binds)


async def test_silent_bind_is_never_answered():
    """F03"""
    async with house(binds=(BindRule(mode="silent"),)) as opened:
        with pytest.raises(TimeoutError):
            await opened.esme(bind_timeout_s=0.2)


async def test_mute_bind_is_answered_and_then_nothing_is_not_even_the_end():
    """F12"""
    async with house(binds=(BindRule(mode="mute"),)) as opened, raw(opened) as peer:
        await peer.bind()

        peer.send(EnquireLink())
        peer.send(message())
        peer.writer.write_eof()

        assert await peer.is_silent()
        assert not peer.reader.at_eof()
        assert opened.smsc.counts.submits == 0


@pytest.mark.parametrize(("key", "reason"), [("unbind_after", "peer unbound"), ("reset_after", "connection lost")])
async def test_bind_ends_after_so_many_pdus(key, reason):
    """F08"""
    async with house(binds=(read(BindRule, {key: 2}),)) as opened:
        esme = await opened.esme()

        for number in range(2):
            await esme.submit(message(text=b"%d" % number))

        assert (await esme.wait_over()).value == reason


async def test_enquire_link_is_not_answered_while_messages_are():
    """F12"""
    async with house(binds=(BindRule(answers_enquire_link=False),)) as opened, raw(opened) as peer:
        await peer.bind()

        peer.send(EnquireLink())
        peer.send(message(registered_delivery=0))

        assert decode(await peer.frame()).sequence_number == 3


async def test_system_type_that_is_not_allowed_is_refused():
    """S06"""
    async with house(system_types=("VMS",)) as opened, raw(opened) as peer:
        peer.send(BindTransceiver(system_id="raw", system_type="OTA"))

        assert decode(await peer.frame()).command_status == Status.ESME_RINVSYSTYP


# Moments.


@pytest.mark.parametrize(
    ("do", "reason"), [("unbind", "peer unbound"), ("reset", "connection lost"), ("close", "connection lost"), ("garbage", "bad frame")]
)
async def test_event_ends_the_binds_at_its_time(do, reason):
    """F08, F10"""
    async with house(events=(Event(do=do, at_s=0.1),)) as opened:
        esme = await opened.esme()

        assert (await esme.wait_over()).value == reason


async def test_port_closes_for_a_while():
    async with house(events=(Event(do="down", at_s=0.05, for_s=0.2),)) as opened:
        port = opened.smsc.port
        esme = await opened.esme()
        await esme.wait_over()

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        await opened.until(lambda: opened.smsc._listener is not None)
        await opened.esme()

        assert opened.smsc.port == port


async def test_unknown_request_of_the_smsc_is_nacked_and_a_wrong_number_ignored():
    """F11"""
    async with house() as opened:
        esme = await opened.esme()

        for fault in ("unknown-id", "wrong-sequence"):
            opened.smsc.moments.do(Event(do=fault))
        await opened.until(lambda: len(esme.violations) == 2)

        assert (await esme.submit(message())).command_status == 0


async def test_enquire_link_and_alert_notification_come_when_they_are_asked_for():
    """R18"""
    async with house() as opened, raw(opened) as peer:
        await peer.bind()

        opened.smsc.moments.do(Event(do="enquire-link"))
        opened.smsc.moments.do(Event(do="alert", source=PHONE))
        asked, alert = decode(await peer.frame()), decode(await peer.frame())

        assert type(asked) is EnquireLink
        assert (alert.source_addr, alert.esme_addr) == (PHONE, "raw")


async def test_outbind_invites_an_esme_that_listens_and_it_binds_there():
    """S24"""
    accepted: asyncio.Queue[Raw] = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: accepted.put_nowait(Raw(reader, writer)), HOST, 0)
    async with house() as opened:
        opened.smsc.moments.do(Event(do="outbind", port=server.sockets[0].getsockname()[1], password="out"))
        peer = await asyncio.wait_for(accepted.get(), 5)
        invitation = decode(await peer.frame())

        peer.send(BindReceiver(system_id="esme"))
        answer = decode(await peer.frame())
        opened.smsc.send_mo(PHONE, "1069", "hi")
        delivered = decode(await peer.frame())
        peer.writer.write(encode(DeliverSmResp(sequence_number=delivered.sequence_number)))
        peer.writer.close()

    server.close()
    assert type(invitation) is Outbind
    assert (invitation.password, answer.command_status, delivered.short_message) == ("out", 0, b"hi")


# Messages from phones.


async def test_stream_at_a_rate_sends_its_count():
    stream = MoStream(rate_per_s=200, count=7, text="MO {n}", source="861390000{n:04}")
    async with house(streams=(stream,)) as opened:
        esme = await opened.esme()

        texts = [(await esme.next_delivery()).short_message for _ in range(7)]
        await opened.until(lambda: opened.smsc.deliveries.counts.acknowledged == 7)

        assert texts == [b"MO %d" % number for number in range(1, 8)]
        assert opened.smsc.counts.mo == 7


@pytest.mark.parametrize("parts", ["udh8", "udh16", "sar", "payload"])
async def test_long_message_comes_in_parts_of_every_kind(parts):
    """R15"""
    text = "The quick brown fox jumps over the lazy dog. " * 8
    async with house(streams=(MoStream(rate_per_s=100, count=1, text=text, parts=parts),)) as opened:
        esme = await opened.esme()

        got = [await esme.next_delivery() for _ in range(1 if parts == "payload" else 3)]

        header = {"udh8": b"\x05\x00\x03", "udh16": b"\x06\x08\x04"}.get(parts, b"")
        assert all(each.short_message.startswith(header) for each in got)
        assert all((Tag.SAR_TOTAL_SEGMENTS in each.tlvs) == (parts == "sar") for each in got)
        assert (Tag.MESSAGE_PAYLOAD in got[0].tlvs) == (parts == "payload")


async def test_parts_are_shuffled_repeated_and_lost():
    """R15"""
    text = "The quick brown fox jumps over the lazy dog. " * 20
    stream = MoStream(rate_per_s=100, count=1, text=text, shuffle=True, duplicate_percent=50, missing_percent=30)
    async with house(streams=(stream,), seed=3) as opened:
        esme = await opened.esme()
        await opened.until(lambda: opened.smsc.counts.mo > 0 and opened.smsc.deliveries.counts.acknowledged == opened.smsc.counts.mo)

        numbers = [each.short_message[5] for each in esme.deliveries]

        assert numbers != sorted(numbers)
        assert len(set(numbers)) < 6
        assert len(numbers) > len(set(numbers))


async def test_window_of_a_rule_counts_from_the_last_change():
    async with house(rules=(Rule(from_s=0, for_s=0.1, status=0x45),)) as opened:
        esme = await opened.esme()
        early = await esme.submit(message())
        await opened.until(lambda: opened.smsc.scenario_s > 0.1)
        late = await esme.submit(message())

        opened.smsc.change(opened.smsc.config)
        again = await esme.submit(message())

        assert [each.command_status for each in (early, late, again)] == [0x45, 0, 0x45]
