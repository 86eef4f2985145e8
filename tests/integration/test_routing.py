"""Routing in the running gateway, with two carriers: what goes where, what is refused, what a reload changes, whom a STOP protects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select

from gateway.cli_preview import lines_of
from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.message import Front, State
from gateway.real_world import RealWorld
from gateway.services.opt_outs import OptOut
from gateway.services.preview import Preview
from gateway.services.submit import Sender, Submission
from gateway.settings import Settings
from gateway.settings_routes import Numbering, NumberList, Route
from gateway.smpp.pdu import SubmitSm
from gateway.store.schema import segment
from gateway.web.preview import preview_fields
from gateway.wiring_routes import sources_of
from simulators.esme import Esme
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_rules import Rule
from tests.support.gateway import CHAT_CODE, HOST, PARTNER_CODE, House, opened_gateway

PHONE, HONG_KONG = "8613900001234", "85291234567"
INVALID_DESTINATION, INVALID_SOURCE = 0x0B, 0x0A
SEGMENTS = select(segment).order_by(segment.c.id)


class Town(NamedTuple):
    """A gateway with a link `sim` to its own carrier and a link `two` to another."""

    house: House
    other: Smsc
    esme: Esme

    async def send(self, to: str = PHONE, text: bytes = b"hello", source: str = PARTNER_CODE) -> int:
        """The command_status that a submit_sm gets."""
        pdu = SubmitSm(source_addr=source, dest_addr_ton=1, dest_addr_npi=1, destination_addr=to, registered_delivery=1, short_message=text)
        return (await self.esme.submit(pdu)).command_status

    async def links(self) -> list[str]:
        """The link of each segment, in order."""
        return [row.link for row in await self.house.segments()]


@asynccontextmanager
async def town(
    folder: Path,
    *routes: Route,
    lists: tuple[NumberList, ...] = (),
    numbering: dict[str, str] | None = None,
    two: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Town]:
    async with carrier() as other:

        def with_routes(settings: Settings) -> Settings:
            second = settings.links[0].model_copy(update={"name": "two", "port": other.port, **(two or {})})
            update = {
                "links": (*settings.links, second),
                "routes": routes,
                "number_lists": lists,
                "numbering": Numbering(**(numbering or {})),
            }
            return settings.model_copy(update=update)

        async with opened_gateway(folder, change=with_routes, **options) as house:
            await house.until(lambda: all(link.is_up for link in house.gateway.links))
            yield Town(house, other, await house.esme())


@asynccontextmanager
async def carrier() -> AsyncIterator[Smsc]:
    world = RealWorld()
    smsc = Smsc(world, SmscConfig(host=HOST, port=0, receipt_delay_ms=1, retry_delay_ms=10))
    await smsc.start()
    try:
        yield smsc
    finally:
        await smsc.stop(grace_s=0.2)
        await world.close()


async def without_two(opened: Town) -> None:
    opened.other.kill()
    await opened.house.until(lambda: not opened.house.gateway.links[1].is_up)


def split(*links: str, **fields: Any) -> Route:
    return Route(name="all", links=links, **fields)


# -- where messages go ------------------------------------------------------------------------------------------------------


async def test_a_prefix_leads_to_its_link_and_the_receipt_comes_back(tmp_path: Path):
    async with town(tmp_path, Route(name="hk", prefixes=("852",), links=("two",)), split("sim")) as opened:
        assert await opened.send(HONG_KONG) == 0
        assert await opened.send(PHONE) == 0

        await opened.house.until_states(State.DELIVERED, State.DELIVERED)
        assert await opened.links() == ["two", "sim"]
        assert opened.other.counts.accepted == 1
        assert opened.house.gateway.tally.metrics.messages_routed == {("hk", "two"): 1, ("all", "sim"): 1}


async def test_a_link_that_is_down_is_passed_over_and_each_message_arrives_once(tmp_path: Path):
    async with town(tmp_path, split("two", "sim")) as opened:
        assert await opened.send() == 0
        await opened.house.until_states(State.DELIVERED)
        await without_two(opened)

        assert [await opened.send(text=f"hello {number}".encode()) for number in range(3)] == [0, 0, 0]

        await opened.house.until_states(*[State.DELIVERED] * 4)
        assert await opened.links() == ["two", "sim", "sim", "sim"]
        assert opened.house.smsc.counts.accepted == 3


async def test_a_rule_that_waits_keeps_its_messages_for_its_link(tmp_path: Path):
    async with town(tmp_path, Route(name="own", prefixes=("852",), links=("two",), when_down="wait"), split("sim")) as opened:
        await without_two(opened)

        assert await opened.send(HONG_KONG) == 0

        assert await opened.links() == ["two"]
        assert [row.state for row in await opened.house.segments()] == [State.ACCEPTED]


async def test_the_partner_and_the_network_can_decide(tmp_path: Path):
    (tmp_path / "plan.csv").write_text("86139;460;00;China Mobile;CN\n86130;460;01;China Unicom;CN\n")
    (tmp_path / "ported.csv").write_text("8613900001234;46001\n")
    files = {"plan_file": str(tmp_path / "plan.csv"), "portability_file": str(tmp_path / "ported.csv")}
    unicom = Route(name="unicom", networks=("China Unicom",), partners=("acme",), links=("two",))

    async with town(tmp_path, unicom, split("sim"), numbering=files) as opened:
        for to in (PHONE, "8613900001235", "8613000001234"):
            assert await opened.send(to) == 0

        await opened.house.until_states(*[State.DELIVERED] * 3)
        assert await opened.links() == ["two", "sim", "two"]


async def test_a_rule_puts_in_its_own_sender(tmp_path: Path):
    async with town(tmp_path, split("sim", set_sender="MyBank")) as opened:
        assert await opened.send() == 0

        await opened.house.until_states(State.DELIVERED)
        assert [taken.pdu.source_addr for taken in opened.house.smsc.log] == ["MyBank"]


async def test_a_text_is_cut_for_the_link_that_its_rule_names(tmp_path: Path):
    async with town(tmp_path, Route(name="hk", prefixes=("852",), links=("two",)), split("sim"), two={"segment_method": "udh16"}) as opened:
        for to in (HONG_KONG, PHONE):
            assert await opened.send(to, b"a" * 200) == 0

        await opened.house.until_states(*[State.DELIVERED] * 4)
        assert [taken.pdu.short_message[:3].hex() for taken in opened.other.log] == ["060804"] * 2
        assert [taken.pdu.short_message[:3].hex() for taken in opened.house.smsc.log] == ["050003"] * 2


async def test_a_preview_tells_the_rule_with_its_link_and_its_sender_and_nothing_is_counted(tmp_path: Path):
    hk = Route(name="hk", prefixes=("852",), links=("two",), set_sender="MyBank")
    no = Route(name="no", prefixes=("853",), reject="not sold there")
    async with town(tmp_path, hk, no, split("sim"), two={"segment_method": "udh16"}) as opened:
        gateway = opened.house.gateway

        def preview(to: str) -> Preview:
            sender = Sender(Front.SMPP, 1, 1, partner="acme")
            return gateway.reception.preview(Submission(sender, Address(PARTNER_CODE, 0, 1), Address(to, 1, 1), "", "a" * 200))

        abroad, home = preview(HONG_KONG), preview(PHONE)

        assert (abroad.route.link, abroad.route.rule, [each.used for each in abroad.segments]) == ("two", "hk", [152, 48])
        assert (home.route.link, home.route.rule, [each.used for each in home.segments]) == ("sim", "all", [153, 47])
        assert "route     two, by rule hk, from MyBank: the first rule that fits and has a healthy link" in lines_of(preview_fields(abroad))
        with pytest.raises(Refused, match="not sold there"):
            preview("85361234567")
        assert gateway.tally.metrics.messages_routed == {}
        assert await opened.house.messages() == []


# -- from one link to the next ------------------------------------------------------------------------------------------------

REFUSING = (Rule(status=INVALID_DESTINATION),)


async def test_a_listed_refusal_goes_to_the_next_link_and_is_charged_once(tmp_path: Path):
    async with town(tmp_path, split("two", "sim", next_on=("0x0B",))) as opened:
        opened.other.rules.replace(REFUSING)

        assert await opened.send() == 0

        await opened.house.until_states(State.DELIVERED)
        assert await opened.links() == ["sim"]
        assert [opened.house.smsc.counts.accepted, opened.other.counts.accepted] == [1, 0]
        assert [charge.link for charge in await opened.house.charges()] == ["sim"]
        assert b"stat:DELIVRD" in (await opened.esme.next_delivery()).short_message


async def test_a_refusal_that_no_rule_lists_ends_the_message(tmp_path: Path):
    async with town(tmp_path, split("two", "sim", next_on=("0x0A",))) as opened:
        opened.other.rules.replace(REFUSING)

        assert await opened.send() == 0

        await opened.house.until_states(State.FAILED)
        assert opened.house.smsc.counts.accepted == 0


async def test_a_message_that_every_link_refuses_ends_after_the_last(tmp_path: Path):
    async with town(tmp_path, split("two", "sim", next_on=("0x0B",))) as opened:
        for smsc in (opened.other, opened.house.smsc):
            smsc.rules.replace(REFUSING)

        assert await opened.send() == 0

        await opened.house.until_states(State.FAILED)
        assert await opened.links() == ["sim"]


async def test_the_next_rule_takes_over_after_the_last_link_of_one(tmp_path: Path):
    first = Route(name="first", prefixes=("86139",), links=("two",), next_on=("0x0B",))
    async with town(tmp_path, first, split("sim")) as opened:
        opened.other.rules.replace(REFUSING)

        assert await opened.send() == 0

        await opened.house.until_states(State.DELIVERED)
        assert await opened.links() == ["sim"]


async def test_without_rules_a_link_can_pass_on_what_it_refuses(tmp_path: Path):
    link = {"errors": {"0x0B": "next_route"}}
    async with town(tmp_path, link=link) as opened:
        opened.house.smsc.rules.replace(REFUSING)

        assert await opened.send() == 0

        await opened.house.until_states(State.DELIVERED)
        assert await opened.links() == ["two"]


async def test_what_waits_for_a_link_that_stays_down_goes_to_another_once(tmp_path: Path):
    own = Route(name="own", links=("two",))
    async with town(tmp_path, own, link={"reroute_after_s": 0.5}) as opened:
        await without_two(opened)
        long = b"A text of several parts. " * 10
        assert [await opened.send(), await opened.send(text=long)] == [0, 0]
        assert await opened.links() == ["two"] * 3
        gateway = opened.house.gateway

        await gateway.routing.reload(sources_of(gateway.settings.model_copy(update={"routes": (own, split("sim"))})))

        await opened.house.until_states(*[State.DELIVERED] * 3, timeout_s=8.0)
        assert await opened.links() == ["sim"] * 3
        assert opened.house.smsc.counts.accepted == 3


async def test_parts_wait_rather_than_go_to_a_link_whose_alphabet_lacks_their_characters(tmp_path: Path):
    own = Route(name="own", links=("two",))
    async with town(tmp_path, own, link={"reroute_after_s": 0.5, "alphabet": "ascii"}, two={"alphabet": "gsm"}) as opened:
        await without_two(opened)
        e_acute = b"\x05"
        assert [await opened.send(text=e_acute * 200), await opened.send(text=e_acute)] == [0, 0]
        gateway = opened.house.gateway

        await gateway.routing.reload(sources_of(gateway.settings.model_copy(update={"routes": (own, split("sim"))})))

        await opened.house.until_states(State.ACCEPTED, State.ACCEPTED, State.DELIVERED, timeout_s=8.0)
        assert await opened.links() == ["two", "two", "sim"]
        assert [(taken.pdu.data_coding, taken.pdu.short_message) for taken in opened.house.smsc.log] == [(8, "é".encode("utf-16-be"))]


# -- what is refused --------------------------------------------------------------------------------------------------------


async def test_no_rule_and_a_rejecting_rule_refuse_with_nothing_charged(tmp_path: Path):
    no = Route(name="no", prefixes=("853",), reject="not sold there")
    async with town(tmp_path, no, Route(name="hk", prefixes=("852",), links=("two",))) as opened:
        assert await opened.send("85361234567") == INVALID_DESTINATION
        assert await opened.send(PHONE) == INVALID_DESTINATION

        assert await opened.house.messages() == []
        assert await opened.house.charges() == []


async def test_lists_block_destinations_and_senders_and_a_reload_reads_them_again(tmp_path: Path):
    numbers, senders = tmp_path / "numbers.txt", tmp_path / "senders.txt"
    numbers.write_text(f"{PHONE}\n852*\n")
    senders.write_text("1069*\n")
    lists = (NumberList(name="numbers", file=str(numbers), partner="acme"), NumberList(name="senders", file=str(senders), of="senders"))

    async with town(tmp_path, lists=lists) as opened:
        assert await opened.send(PHONE) == INVALID_DESTINATION
        assert await opened.send(HONG_KONG) == INVALID_DESTINATION
        assert await opened.send("8613900001235", source="1069001") == INVALID_SOURCE
        assert await opened.send("8613900001235") == 0

        numbers.write_text("852*\n")
        counts = await opened.house.gateway.routing.reload()

        assert counts["lists"] == 2
        assert await opened.send(PHONE) == 0
        assert await opened.send(HONG_KONG) == INVALID_DESTINATION


async def test_a_bad_file_at_a_reload_is_named_by_its_line_and_changes_nothing(tmp_path: Path):
    numbers = tmp_path / "numbers.txt"
    numbers.write_text(f"{PHONE}\n")
    async with town(tmp_path, lists=(NumberList(name="numbers", file=str(numbers)),)) as opened:
        numbers.write_text("8613900001235\n*\n")

        with pytest.raises(Refused, match=r"numbers\.txt:2: stops or allows everything"):
            await opened.house.gateway.routing.reload()

        assert await opened.send(PHONE) == INVALID_DESTINATION
        assert await opened.send("8613900001235") == 0


async def test_other_rules_can_be_taken_while_it_runs(tmp_path: Path):
    async with town(tmp_path, split("sim")) as opened:
        assert await opened.send() == 0
        gateway = opened.house.gateway

        await gateway.routing.reload(sources_of(gateway.settings.model_copy(update={"routes": (split("two"),)})))
        assert await opened.send() == 0
        await gateway.routing.reload(sources_of(gateway.settings.model_copy(update={"routes": ()})))
        assert await opened.send() == 0

        assert await opened.links() == ["sim", "two", "sim"]
        assert gateway.routing.is_plain


# -- opting out while messages wait -------------------------------------------------------------------------------------------


async def test_a_stop_keeps_what_waits_from_leaving_and_gives_the_money_back(tmp_path: Path):
    async with town(tmp_path, split("sim"), link={"rate_per_s": 0.1}) as opened:
        house = opened.house
        for number in range(3):
            assert await opened.send(text=f"hello {number}".encode(), source=CHAT_CODE) == 0
        # A link that has just come looks for its queue first: the rate lets one leave, and only then nobody else.
        await house.smsc.until(lambda: house.smsc.counts.accepted == 1)

        house.smsc.send_mo(PHONE, CHAT_CODE, "STOP")

        await house.until(lambda: PHONE in house.gateway.opt_outs._codes)
        house.gateway.dispatch.set_rate("sim", 100.0)
        rows = await house.until_rows(SEGMENTS, lambda rows: [row.error for row in rows].count("opted out") == 2)
        assert [int(State.DELIVERED), int(State.FAILED), int(State.FAILED)] == [row.state for row in rows][:3]
        assert house.gateway.opt_outs.stopped_late == 2
        receipts = [await opened.esme.next_delivery() for _ in range(3)]
        assert sorted(receipt.short_message.split(b"stat:")[1][:7] for receipt in receipts) == [b"DELIVRD", b"UNDELIV", b"UNDELIV"]
        # The answer to the STOP itself, two parts of it, still goes out.
        await house.smsc.until(lambda: house.smsc.counts.accepted == 3)


async def test_what_waits_in_the_table_only_is_stopped_too_and_others_are_not(tmp_path: Path):
    async with town(tmp_path, Route(name="own", links=("two",), when_down="wait"), link={"backoff_s_min": 0.05}) as opened:
        house = opened.house
        port = opened.other.port
        await without_two(opened)
        assert await opened.send() == 0
        assert await opened.send(HONG_KONG) == 0

        await house.gateway.opt_outs.record(OptOut(PHONE, "", True))
        revived = Smsc(house.world, SmscConfig(host=HOST, port=port, receipt_delay_ms=1))
        await revived.start()
        try:
            await house.until_states(State.FAILED, State.DELIVERED)
            assert revived.counts.accepted == 1
            assert await opened.send() == 0x45
            await house.gateway.opt_outs.record(OptOut(PHONE, "", False))
            assert await opened.send() == 0
        finally:
            await revived.stop(grace_s=0.1)


# -- quiet hours ------------------------------------------------------------------------------------------------------------


async def test_a_message_in_quiet_hours_waits_in_the_store_for_their_end(tmp_path: Path):
    now = datetime.now(UTC)
    begun, over = now - timedelta(hours=1), now + timedelta(hours=1)

    def quiet(settings: Settings) -> Settings:
        hours = f"{begun:%H:%M}-{over:%H:%M}"
        return settings.model_copy(update={"services": (settings.services[0].model_copy(update={"quiet_hours": hours}),)})

    async with opened_gateway(tmp_path, change=quiet) as house:
        esme = await house.esme()
        pdu = SubmitSm(source_addr=PARTNER_CODE, dest_addr_ton=1, dest_addr_npi=1, destination_addr=PHONE, short_message=b"later")
        waits = await esme.submit(pdu)
        urgent = await esme.submit(pdu._replace(priority_flag=3))

        assert [waits.command_status, urgent.command_status] == [0, 0]
        rows = await house.until_states(State.ACCEPTED, State.DELIVERED)
        assert rows[0].retry_at == int(over.replace(second=0, microsecond=0).timestamp()) * 1_000_000
        assert house.smsc.counts.accepted == 1


async def test_opt_outs_are_known_again_after_a_restart(tmp_path: Path):
    async with opened_gateway(tmp_path) as house:
        await house.gateway.opt_outs.record(OptOut(PHONE, CHAT_CODE, True))

    async with opened_gateway(tmp_path) as house:
        assert house.gateway.opt_outs._codes == {PHONE: (CHAT_CODE,)}
