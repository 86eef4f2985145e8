"""What a partner's account allows, on the real server: addresses, binds, senders, rates, quotas; and what happens when it changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from gateway.domain.knock import Knock
from gateway.domain.lockout import LockoutLimits
from gateway.domain.message import State
from gateway.links.smpp_bind_check import BindCheck, CheckLimits
from gateway.store import partner_changes
from gateway.store.schema import partner_usage
from tests.support.gateway import PARTNER, PARTNER_CODE, PASSWORD, House, opened_gateway
from tests.support.partners import set_policy
from tests.support.wire import (
    BIND_RX,
    BIND_TRX,
    BIND_TX,
    DATA_SM,
    DELIVER_SM,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    Frame,
    Wire,
    bind_body,
    frame,
    message_body,
    read_message,
    tlv,
)

THROTTLED, QUEUE_FULL, BAD_SENDER, BAD_DESTINATION, BAD_SERVICE = 0x58, 0x14, 0x0A, 0x0B, 0x15


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path, door={"lockout_failures": 3, "lockout_s_max": 600.0}) as opened:
        yield opened


async def bind_status(house: House, command_id: int = BIND_TRX, **fields: object) -> int:
    """How a bind is answered; a refused one must end its connection."""
    wire = await house.wire()
    got = await wire.ask(command_id, bind_body(**fields))  # type: ignore[arg-type]
    if got.status:
        assert got.body == b""
        assert await wire.wait_closed() == b""
    return got.status


async def statuses(wire: Wire, count: int, **fields: object) -> list[int]:
    """Many submissions at once, and how each was answered."""
    await wire.send(b"".join(frame(SUBMIT_SM, message_body(**fields), sequence=number) for number in range(1, count + 1)))  # type: ignore[arg-type]
    return [(await wire.read_until(SUBMIT_SM | RESPONSE)).status for _ in range(count)]


# -- who may bind -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("networks", "status"), [(["127.0.0.0/8"], 0), (["192.0.2.0/24", "2001:db8::/32"], 0x0D)])
async def test_a_partner_binds_from_its_addresses_only(house, networks, status):
    """S05"""
    await set_policy(house, networks=networks)

    assert await bind_status(house) == status


async def test_a_system_type_is_asked_for_where_the_policy_names_one(house):
    """S06"""
    await set_policy(house, system_type="VMA")

    assert await bind_status(house, system_type="other") == 0x53
    assert await bind_status(house, system_type="VMA") == 0


async def test_kinds_and_versions_of_binds_can_be_limited(house):
    await set_policy(house, bind_kinds=["transmitter"], interface_versions=["3.4"])

    assert await bind_status(house, BIND_TRX) == 0x0D
    assert await bind_status(house, BIND_TX, version=0x33) == 0x0D
    assert await bind_status(house, BIND_TX) == 0


async def test_one_bind_too_many_is_refused_and_the_older_ones_live(house):
    """S08"""
    await set_policy(house, binds_max=2)
    first, second = await house.bound(), await house.bound(BIND_TX)

    assert await bind_status(house) == 0x05
    assert await first.is_alive()
    assert await second.is_alive()
    await second.close()
    await house.until(lambda: house.gateway.smpp_server.bound_counts()[PARTNER] == 1)
    assert await bind_status(house) == 0


async def test_a_guesser_is_locked_out_without_another_look_at_the_password(house):
    """S03: after three wrong ones nothing is asked any more, not even the right one."""
    answers = [await bind_status(house, password=f"wrong{number}") for number in range(3)]

    assert answers == [0x0E] * 3
    assert await bind_status(house) == 0x0D
    assert await bind_status(house, system_id="other") == 0
    metrics = house.gateway.tally.metrics
    assert (metrics.bind_lockouts, dict(metrics.binds_refused)) == (1, {"password": 3, "locked": 1})


async def test_a_new_password_ends_a_lockout_and_the_sessions_of_the_old_one(house):
    wire = await house.bound()
    for _ in range(3):
        await bind_status(house, password="wrong")

    await house.gateway.writer.run(partner_changes.set_password_hash, PARTNER, "newpass")
    await house.gateway.accounts.refresh()

    assert (await wire.read()).command_id == UNBIND
    assert await bind_status(house, password="newpass") == 0


async def test_few_passwords_are_checked_at_one_time_and_few_wait(house):
    """A flood of binds costs its own sessions an answer, and the machine one check at a time."""
    gateway, may_go, running = house.gateway, threading.Event(), []

    def check(password_hash: str, password: str) -> bool:
        running.append(password)
        assert may_go.wait(5)
        return password_hash == password

    limits = CheckLimits(1, waiting_max=3, lockout=LockoutLimits(failures_max=0))
    refused: list[str] = []
    door = BindCheck(house.world, gateway.reader, gateway.accounts, check, limits, refused=refused.append, locked_out=list)
    knock = Knock("192.0.2.1", "transceiver", 0x34, "")

    binds = [asyncio.create_task(door(PARTNER, f"guess{number}", knock)) for number in range(9)]
    await house.until(lambda: len(refused) == 6 and len(running) > 0)

    assert (refused, len(running)) == (["busy"] * 6, 1)
    may_go.set()
    await asyncio.gather(*binds, return_exceptions=True)
    assert sorted(refused) == ["busy"] * 6 + ["password"] * 3


async def test_a_fleet_that_binds_again_is_checked_once(house):
    gateway, asked = house.gateway, []

    def check(password_hash: str, password: str) -> bool:
        asked.append(password)
        return password_hash == password

    door = BindCheck(house.world, gateway.reader, gateway.accounts, check, CheckLimits(1), refused=list, locked_out=list)
    knock = Knock("192.0.2.1", "transceiver", 0x34, "")

    await asyncio.gather(*(door(PARTNER, PASSWORD, knock) for _ in range(20)))

    assert asked == [PASSWORD]


# -- what it may send -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "fields", "status"),
    [
        ({"senders": ["1066*"]}, {"source": (0, 1, "10661800")}, 0),
        ({"senders": ["1066*"]}, {"source": (0, 1, "95588")}, BAD_SENDER),
        ({"senders": ["ACME"]}, {"source": (5, 0, "ACME")}, 0),
        ({"senders": ["ACME"]}, {"source": (5, 0, "Evil")}, BAD_SENDER),
        ({"destinations": ["86139"]}, {}, 0),
        ({"destinations": ["86138"]}, {}, BAD_DESTINATION),
        ({"destinations_denied": ["86"]}, {}, BAD_DESTINATION),
        ({"services": ["notice"]}, {"service_type": "chat"}, BAD_SERVICE),
        ({"services": ["notice"], "service": "notice"}, {}, 0),
        ({"priority_max": 1}, {"priority": 2}, 0x06),
        ({"priority_max": 1}, {"priority": 1}, 0),
    ],
)
async def test_what_a_partner_may_send_is_its_policys(house, keys, fields, status):
    """M04, M20"""
    await set_policy(house, **keys)
    wire = await house.bound()

    assert (await wire.submit(**fields)).status == status
    assert len(await house.messages()) == (status == 0)


@pytest.mark.parametrize(
    ("keys", "fields", "status"),
    [({"services": ["notice"]}, {"service_type": "chat"}, 0x100), ({"destinations": ["1"]}, {}, 0x101)],
)
async def test_a_peer_of_5_0_is_told_more_exactly(house, keys, fields, status):
    """S21, M20"""
    await set_policy(house, **keys)
    wire = await house.bound(version=0x50)

    assert (await wire.submit(**fields)).status == status


async def test_a_policys_service_and_validity_fill_in_what_is_not_said(house):
    await set_policy(house, service="notice", validity_s_max=3_600)
    wire = await house.bound()

    await wire.submit()

    (message,) = await house.messages()
    assert message.service == "notice"
    assert message.expires_at - message.accepted_at == 3_600_000_000


async def test_over_its_rate_a_partner_is_throttled_and_nothing_is_charged(house):
    """M24"""
    await set_policy(house, rate_per_s=5)
    first, second = await house.bound(), await house.bound()

    answers = sorted(await statuses(first, 4) + await statuses(second, 6))

    accepted = answers.count(0)
    assert 5 <= accepted <= 6
    assert set(answers) == {0, THROTTLED}
    assert len(await house.messages()) == accepted
    assert len(await house.charges()) == accepted
    assert await first.is_alive()
    assert house.gateway.tally.metrics.messages_refused["smpp", "throttled"] == 10 - accepted


async def test_over_its_day_a_partner_is_told_so(house):
    """M25"""
    await set_policy(house, messages_per_day=3)
    wire = await house.bound()

    assert sorted(await statuses(wire, 5)) == [0, 0, 0, QUEUE_FULL, QUEUE_FULL]
    (row,) = await house.rows(select(partner_usage))
    assert row.messages == 3


async def test_a_message_that_was_refused_does_not_count(house):
    """M25: no credit."""
    await set_policy(house, "poor", messages_per_day=2)
    wire = await house.bound(system_id="poor")

    assert [(await wire.submit()).status for _ in range(3)] == [0x45] * 3
    assert await house.rows(select(partner_usage)) == []


async def test_beyond_its_window_a_partner_is_throttled_and_alive(house):
    """M27"""
    await set_policy(house, window=2)
    wire = await house.bound()

    answers = await statuses(wire, 20)

    assert answers.count(0) >= 2
    assert set(answers) <= {0, THROTTLED}
    assert await wire.is_alive()
    assert len(await house.messages()) == answers.count(0)


@pytest.mark.parametrize(("is_strict", "status"), [(False, 0), (True, 0xC1)])
async def test_a_parameter_of_another_pdu_is_refused_in_strict_mode_only(house, is_strict, status):
    """H19: message_state belongs into receipts; a tag nobody knows is ignored in any mode."""
    await set_policy(house, strict=is_strict)
    wire = await house.bound()

    assert (await wire.submit(tlvs=tlv(0x0427, b"\2"))).status == status
    assert (await wire.submit(tlvs=tlv(0x1FFF, b"x") + tlv(0x0204, b"\0\1"))).status == 0


async def test_a_full_queue_is_told_to_peers_of_5_0(house):
    """S21: congestion_state, 5.0 section 4.8.4.18."""
    new, old = await house.bound(version=0x50), await house.bound()
    await house.gateway.sweep.sweep()  # the first round, which counts the queue, is over then
    house.gateway.reception.queued = 900_000

    assert (await new.submit()).body.endswith(tlv(0x0428, bytes((90,))))
    assert tlv(0x0428, bytes((90,))) not in (await old.submit()).body
    house.gateway.reception.queued = 1_000_000
    refused = await new.submit()
    assert (refused.status, refused.body) == (QUEUE_FULL, b"")


# -- when it changes --------------------------------------------------------------------------------------------------------------


async def test_a_disabled_partner_is_unbound_and_comes_no_more(house):
    """S15"""
    wire = await house.bound()

    await house.gateway.writer.run(partner_changes.set_enabled, PARTNER, False)
    await house.gateway.accounts.refresh()

    request = await wire.read()
    assert request.command_id == UNBIND
    await wire.answer(request)
    assert await wire.wait_closed() == b""
    assert await bind_status(house) == 0x0D


async def test_sessions_that_suit_the_new_policy_stay(house):
    receiver, transmitter = await house.bound(BIND_RX), await house.bound(BIND_TX)

    await set_policy(house, bind_kinds=["transmitter"])

    assert (await receiver.read()).command_id == UNBIND
    assert await transmitter.is_alive()


async def test_fewer_binds_end_the_newest(house):
    older, newer = await house.bound(), await house.bound()

    await set_policy(house, binds_max=1)

    assert (await newer.read()).command_id == UNBIND
    assert await older.is_alive()


async def test_a_policy_that_nobody_can_read_keeps_its_partner_out(house):
    wire = await house.bound()

    await house.gateway.writer.run(partner_changes.set_policy, PARTNER, '{"rate": 1}')
    await house.gateway.accounts.refresh()

    assert (await wire.read()).command_id == UNBIND
    assert await bind_status(house) == 0x0D


# -- what it gets -----------------------------------------------------------------------------------------------------------------


async def receipt_of(house: House, wire: Wire, command_id: int = DELIVER_SM) -> Frame:
    await wire.submit(registered=1)
    await house.until_states(State.DELIVERED)
    return await wire.read_until(command_id)


async def test_receipts_come_in_data_sm_where_the_policy_says_so(house):
    await set_policy(house, receipt_pdu="data_sm")
    wire = await house.bound()

    request = await receipt_of(house, wire, DATA_SM)

    assert b"stat:DELIVRD" in request.body.split(b"\x04\x24", 1)[1]
    await wire.answer(request, b"\0")
    await house.until_outbox_done(1)


async def test_receipts_have_no_parameters_where_the_policy_says_so(house):
    await set_policy(house, receipt_tlvs=False)
    wire = await house.bound()

    delivered = read_message((await receipt_of(house, wire)).body)

    assert delivered.tlvs == {}
    assert b"stat:DELIVRD" in delivered.text


async def test_what_is_held_too_long_is_given_up_and_counted(house):
    """R13"""
    house.smsc.send_mo(PHONE, PARTNER_CODE, "old")
    await house.until_mos(1)
    account = house.gateway.accounts.by_name(PARTNER)
    kept = account._replace(policy=account.policy.__class__(hold_s=3_600))
    late = account._replace(policy=account.policy.__class__(hold_s=0))

    assert await house.gateway.keeping.expire(kept) == 0
    assert await house.gateway.keeping.expire(late) == 1

    wire = await house.bound(BIND_RX)
    assert await wire.has_nothing_to_say()
    (row,) = await house.outbox()
    assert row.outcome == -1
    assert house.gateway.tally.metrics.outbox_expired == {PARTNER: 1}


class Esme(asyncio.Protocol):
    """A partner that listens: it hears outbind."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Wire] = asyncio.Queue()

    async def listen(self) -> asyncio.Server:
        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.heard.put(Wire(reader, writer))

        return await asyncio.start_server(come, "127.0.0.1", 0)


async def test_outbind_asks_a_partner_that_is_away_to_fetch_what_waits(house):
    """S24"""
    esme = Esme()
    server = await esme.listen()
    house.smsc.send_mo(PHONE, PARTNER_CODE, "fetch me")
    await house.until_mos(1)
    await set_policy(house, outbind_host="127.0.0.1", outbind_port=server.sockets[0].getsockname()[1])

    await house.gateway.outbinds.look()

    wire = await asyncio.wait_for(esme.heard.get(), 5)
    outbind = await wire.read()
    assert (outbind.command_id, outbind.text) == (0x0B, "bellhop")
    assert (await wire.ask(BIND_RX, bind_body())).status == 0
    assert read_message((await wire.read_until(DELIVER_SM)).body).text == b"fetch me"
    await wire.close()
    server.close()


async def test_on_an_outbind_nobody_else_may_bind(house):
    """S24"""
    esme = Esme()
    server = await esme.listen()
    await set_policy(house, outbind_host="127.0.0.1", outbind_port=server.sockets[0].getsockname()[1])

    await house.gateway.outbinds.ask(house.gateway.accounts.by_name(PARTNER))

    wire = await asyncio.wait_for(esme.heard.get(), 5)
    await wire.read()
    assert (await wire.ask(BIND_RX, bind_body(system_id="other"))).status == 0x0D
    await wire.close()
    server.close()


async def test_an_outbind_that_reaches_nobody_leaves_nothing_behind(house):
    sessions = house.gateway.smpp_server.sessions
    await set_policy(house, outbind_host="127.0.0.1", outbind_port=1)

    assert not await house.gateway.outbinds.ask(house.gateway.accounts.by_name(PARTNER))
    assert house.gateway.smpp_server.sessions == sessions
