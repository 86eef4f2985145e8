"""Links changed while the gateway runs: each by its name, and nothing else with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.domain.failure import Refused
from gateway.domain.message import State
from gateway.errors import ConfigError
from gateway.links.smpp_links import Changes, Links
from gateway.settings import Settings
from gateway.settings_receipts import ReceiptDialect
from gateway.store import link_forms, waiting
from gateway.wiring import link_plan, link_plans
from tests.support.gateway import PARTNER_CODE, House, opened_gateway
from tests.support.wire import (
    DELIVER_SM,
    PHONE,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    RawSmsc,
    Wire,
    cstring,
    frame,
    message_body,
    raw_smsc,
    read_message,
)


class Carriers(NamedTuple):
    """Two scripted carriers, and the house that is bound to both."""

    house: House
    smsc: RawSmsc
    first: Wire
    other_smsc: RawSmsc
    second: Wire

    @property
    def links(self) -> Links:
        return self.house.gateway.links

    async def apply(self, **change: Any) -> Changes:
        """Apply the settings with a change to the first link."""
        links = self.house.gateway.settings.links
        return await self.links.apply([link_plan(links[0].model_copy(update=change)), *map(link_plan, links[1:])])

    async def sent(self, smsc_id: str) -> None:
        """A partner's message that the first carrier took."""
        partner = await self.house.bound(2)
        await partner.submit()
        await answers(self.first, SUBMIT_SM, cstring(smsc_id))
        await self.house.until_states(State.SUBMITTED)

    async def stop(self, name: str, wire: Wire) -> None:
        """Stop a link whose carrier answers the unbind."""
        stopping = asyncio.create_task(self.links.stop_link(name))
        await answers(wire, UNBIND)
        await stopping


@asynccontextmanager
async def two_carriers(folder: Path, **link: Any) -> AsyncIterator[Carriers]:
    async with raw_smsc() as smsc, raw_smsc() as other, opened_gateway(folder, carrier_port=smsc.port, link=link) as house:
        gateway = house.gateway
        second = gateway.settings.links[0].model_copy(update={"name": "other", "port": other.port})
        gateway.settings = gateway.settings.model_copy(update={"links": (*gateway.settings.links, second)})
        first_wire = await smsc.accept_bind()
        assert (await gateway.links.apply([link_plan(each) for each in gateway.settings.links])).added == ["other"]
        carriers = Carriers(house, smsc, first_wire, other, await other.accept_bind())
        await house.until(lambda: all(each.is_up for each in gateway.links))
        try:
            yield carriers
        finally:
            for wire in (*smsc.wires, *other.wires):
                wire.reset()


def states(links: Links) -> list[str]:
    return [row["state"] for row in links.rows()]


async def answers(wire: Wire, request_id: int, body: bytes = b"") -> None:
    await wire.answer(await wire.read_until(request_id), body)


async def reports(wire: Wire, text: str) -> None:
    """A receipt, and its acknowledgement."""
    body = message_body(source=(1, 1, PHONE), to=(0, 1, PARTNER_CODE), esm_class=4, text=text.encode())
    await wire.send(frame(DELIVER_SM, body, sequence=900))
    assert (await wire.read_until(DELIVER_SM | RESPONSE)).status == 0


async def test_a_link_that_is_stopped_unbinds_and_the_other_stays(tmp_path):
    """Row 27"""
    async with two_carriers(tmp_path) as two:
        partner = await two.house.bound(2)
        await partner.submit()
        request = await two.first.read_until(SUBMIT_SM)

        stopping = asyncio.create_task(two.links.stop_link("sim"))
        await two.first.answer(request, cstring("A1"))
        await answers(two.first, UNBIND)
        await stopping

        assert states(two.links) == ["stopped", "up"]
        assert await two.second.is_alive()
        await two.house.until_states(State.SUBMITTED)


async def test_a_stopped_link_is_started_again_and_sends_what_waited(tmp_path):
    """Row 27"""
    async with two_carriers(tmp_path) as two:
        await two.stop("sim", two.first)
        await two.stop("other", two.second)
        partner = await two.house.bound(2)
        await partner.submit()
        assert states(two.links) == ["stopped", "stopped"]
        assert two.links.rows()[0]["binds_wanted"] == 0

        await two.links.start_link("sim")

        wire = await two.smsc.accept_bind()
        assert (await wire.read()).command_id == SUBMIT_SM


async def test_a_drained_link_keeps_its_binds_and_takes_nothing_new(tmp_path):
    """Row 151"""
    async with two_carriers(tmp_path) as two:
        await two.links.drain_link("other")
        partner = await two.house.bound(2)
        await partner.submit()
        request = await two.first.read_until(SUBMIT_SM)

        await two.links.drain_link("sim")
        assert states(two.links) == ["draining", "drained"]
        await two.first.answer(request, cstring("A1"))
        await two.house.until_states(State.SUBMITTED)
        await partner.submit()

        assert await two.first.is_alive()
        assert states(two.links) == ["drained", "drained"]
        await two.links.start_link("sim")
        assert (await two.first.read_until(SUBMIT_SM)).command_id == SUBMIT_SM


async def test_a_rate_and_a_window_change_under_binds_that_stand(tmp_path):
    """Row 157"""
    async with two_carriers(tmp_path) as two:
        changes = await two.apply(window=3, rate_per_s=50.0)

        assert changes == ([], [], [], ["sim"])
        row = two.links.rows()[0]
        assert (row["window"], row["window_free"], row["pace"]["rate_per_s"]) == (3, 3, 50)
        assert await two.first.is_alive()
        assert two.smsc.connections == 1


async def test_only_the_link_that_changed_binds_anew(tmp_path):
    """Row 157"""
    async with two_carriers(tmp_path) as two:
        applying = asyncio.create_task(two.apply(system_type="VMA"))
        await answers(two.first, UNBIND)
        wire = await two.smsc.accept()
        request = await wire.read()

        assert b"\0VMA\0" in request.body
        await wire.answer(request, cstring("raw"))
        assert (await applying).restarted == ["sim"]
        await two.house.until(lambda: states(two.links) == ["up", "up"])
        assert await two.second.is_alive()
        assert two.other_smsc.connections == 1


async def test_a_link_that_is_removed_leaves_its_messages_in_the_store(tmp_path):
    async with two_carriers(tmp_path) as two:
        await two.stop("other", two.second)
        await two.stop("sim", two.first)
        partner = await two.house.bound(2)
        await partner.submit()

        changes = await two.links.apply([link_plan(two.house.gateway.settings.links[1])])

        assert changes.removed == ["sim"]
        assert [link.name for link in two.links] == ["other"]
        assert list(two.house.gateway.dispatch.lanes) == ["other"]
        assert await two.house.read(waiting.by_link) == {"sim": 1}


async def test_a_link_that_is_removed_gives_up_how_its_receipts_write_ids(tmp_path):
    async with two_carriers(tmp_path) as two:
        await two.sent("3F2A1")
        await reports(two.first, f"id:{0x3F2A1} stat:DELIVRD err:000 text:")
        await two.house.until_states(State.DELIVERED)
        assert [each.link for each in await two.house.read(link_forms.all_forms)] == ["sim"]

        applying = asyncio.create_task(two.links.apply([link_plan(two.house.gateway.settings.links[1])]))
        await answers(two.first, UNBIND)
        await applying

        await two.house.gateway.writer.run(lambda _conn: None)
        assert await two.house.read(link_forms.all_forms) == []


async def test_another_dialect_is_read_by_binds_that_stand(tmp_path):
    def told() -> Settings:
        first, *others = two.house.gateway.settings.links
        dialect = ReceiptDialect(name="north", separator="=", states={"ARRIVED": "DELIVRD"})
        links = (first.model_copy(update={"dialect": "north"}), *others)
        return two.house.gateway.settings.model_copy(update={"links": links, "dialects": (dialect,)})

    async with two_carriers(tmp_path) as two:
        await two.sent("A1B2C3")

        changes = await two.links.apply(link_plans(told()))
        again = await two.links.apply(link_plans(told()))
        await reports(two.first, "id=A1B2C3;stat=ARRIVED;err=000")

        await two.house.until_states(State.DELIVERED)
        assert (changes, again) == (([], [], [], ["sim"]), ([], [], [], []))
        assert two.smsc.connections == 1


async def test_other_rules_for_addresses_hold_on_binds_that_stand(tmp_path):
    async with two_carriers(tmp_path) as two:
        changes = await two.apply(country_code="86", national_prefix="0", alphanumeric_sender=False, default_sender="1069")
        partner = await two.house.bound(2)

        await partner.submit(to=(1, 1, "8613900001234"), source=(5, 0, "Bank"))
        request = await two.first.read_until(SUBMIT_SM)

        assert changes == ([], [], [], ["sim"])
        assert read_message(request.body)[:2] == ("1069", "013900001234")
        assert two.smsc.connections == 1


async def test_links_that_become_one_carrier_share_what_was_parked_before(tmp_path):
    async with two_carriers(tmp_path) as two:
        await two.sent("A1B2C3")
        await reports(two.second, "id:A1B2C3 stat:DELIVRD err:000 text:")
        assert len(await two.house.parked()) == 1
        links = [link.model_copy(update={"receipt_group": "north"}) for link in two.house.gateway.settings.links]

        assert (await two.links.apply([link_plan(link) for link in links])).adjusted == ["sim", "other"]

        await two.house.gateway.writer.run(lambda _conn: None)
        await two.house.gateway.replay.round()
        await two.house.until_states(State.DELIVERED)


async def test_a_link_can_be_disabled_and_enabled_by_the_file(tmp_path):
    async with two_carriers(tmp_path) as two:
        applying = asyncio.create_task(two.apply(enabled=False))
        await answers(two.first, UNBIND)
        await applying
        assert states(two.links) == ["disabled", "up"]

        await two.apply()

        await two.smsc.accept_bind()


async def test_a_disabled_link_does_not_start(tmp_path):
    async with raw_smsc() as smsc, opened_gateway(tmp_path, carrier_port=smsc.port, link={"enabled": False}) as house:
        partner = await house.bound(2)
        await partner.submit()

        assert (states(house.gateway.links), smsc.connections) == (["disabled"], 0)
        assert house.gateway.status()["links"][0]["binds_wanted"] == 0


async def test_a_name_that_no_link_has_is_refused_with_those_there_are(tmp_path):
    async with two_carriers(tmp_path) as two:
        with pytest.raises(Refused, match='no link "nobody"; there are sim, other'):
            await two.links.stop_link("nobody")


async def test_reloading_tells_every_hook_and_what_needs_a_restart(tmp_path):
    """Row 157"""
    async with raw_smsc() as smsc:
        read: list[Settings] = []
        async with opened_gateway(tmp_path, carrier_port=smsc.port, reread=lambda: read[-1]) as house:
            wire = await smsc.accept_bind()
            await house.until_link()
            settings = house.gateway.settings
            told: list[Settings] = []
            house.gateway.on_reload.append(told.append)
            read.append(
                settings.model_copy(
                    update={
                        "links": (settings.links[0].model_copy(update={"window": 7}),),
                        "web": settings.web.model_copy(update={"keep_alive_s": 1.0}),
                    }
                )
            )

            changed = await house.gateway.reload()

            assert changed == {"links": {"added": [], "removed": [], "restarted": [], "adjusted": ["sim"]}, "needs_restart": ["web"]}
            assert told == read
            assert await wire.is_alive()
            wire.reset()


async def test_a_file_with_a_fault_changes_nothing_and_says_why(tmp_path):
    """Row 157"""

    def read() -> Settings:
        raise ConfigError(["bellhop.toml:7: links.window: must be more than 0"])

    async with raw_smsc() as smsc, opened_gateway(tmp_path, carrier_port=smsc.port, reread=read) as house:
        wire = await smsc.accept_bind()
        await house.until_link()

        with pytest.raises(Refused, match=r"bellhop\.toml:7: links\.window"):
            await house.gateway.reload()

        assert await wire.is_alive()
        wire.reset()


async def test_a_hook_that_cannot_take_the_settings_keeps_the_links_as_they_are(tmp_path):
    def refuse(_settings: Settings) -> None:
        raise ConfigError(["routes: no such link"])

    async with raw_smsc() as smsc:
        read: list[Settings] = []
        async with opened_gateway(tmp_path, carrier_port=smsc.port, reread=lambda: read[-1]) as house:
            wire = await smsc.accept_bind()
            await house.until_link()
            house.gateway.on_reload.append(refuse)
            read.append(house.gateway.settings.model_copy(update={"links": ()}))

            with pytest.raises(Refused, match="no such link"):
                await house.gateway.reload()

            assert await wire.is_alive()
            assert len(house.gateway.links) == 1
            wire.reset()
