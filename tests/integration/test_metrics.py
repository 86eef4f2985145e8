"""What /metrics tells of what partners, routes, receipts and operators do."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from billing.schema_periods import period
from gateway.domain.failure import Refused
from gateway.errors import ConfigError
from gateway.settings import Settings
from gateway.settings_billing import Billing
from tests.support.carrier import bound_carrier
from tests.support.gateway import House, opened_gateway
from tests.support.partners import set_policy
from tests.support.wire import HOST


async def scraped(house: House) -> set[str]:
    url = f"http://{HOST}:{house.gateway.web_port}/metrics"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return set((await response.text()).splitlines())


async def test_a_partners_messages_are_told_by_name_with_why_some_were_refused(tmp_path: Path):
    async with opened_gateway(tmp_path) as house:
        await set_policy(house, senders=["1066*"])
        wire, poor = await house.bound(), await house.bound(system_id="poor")

        await wire.submit()
        await wire.submit(source=(5, 0, "Bank"))
        await poor.submit()

        told = await scraped(house)
        assert {line for line in told if line.startswith("bellhop_partner_messages_total")} == {
            'bellhop_partner_messages_total{outcome="accepted",partner="acme"} 1.0',
            'bellhop_partner_messages_total{outcome="sender_not_allowed",partner="acme"} 1.0',
            'bellhop_partner_messages_total{outcome="no_credit",partner="poor"} 1.0',
        }


async def test_what_became_of_parked_receipts_is_counted(tmp_path: Path):
    async with bound_carrier(tmp_path) as carrier:
        await carrier.report("id:A1 stat:DELIVRD err:000 text:")
        await carrier.report("id:B2 stat:DELIVRD err:000 text:")
        (row, _) = await carrier.house.parked()

        await carrier.house.gateway.replay.dismiss(row.id)

        told = await scraped(carrier.house)
        assert 'bellhop_receipts_replayed_total{outcome="dismissed"} 1.0' in told
        assert 'bellhop_receipts_total{effect="parked"} 2.0' in told


async def test_rules_in_force_and_reloads_are_told(tmp_path: Path):
    answers: list[Settings | ConfigError] = []

    def reread() -> Settings:
        answer = answers.pop()
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    async with opened_gateway(tmp_path, reread=reread) as house:
        house.gateway.tally.lines_lost = lambda: 3
        answers += [ConfigError(["bellhop.toml:1: no"]), house.gateway.settings]

        await house.gateway.reload()
        with pytest.raises(Refused):
            await house.gateway.reload()

        told = await scraped(house)
        assert {'bellhop_reloads_total{outcome="taken"} 1.0', 'bellhop_reloads_total{outcome="refused"} 1.0'} <= told
        assert 'bellhop_route_entries{kind="rules"} 0.0' in told
        assert "bellhop_log_lines_lost_total 3.0" in told


async def test_how_the_books_stand_is_told_after_a_look_at_them(tmp_path: Path):
    async with opened_gateway(tmp_path) as house:
        before = await scraped(house)

        await house.gateway.bookkeeping.counting.look()

        told = await scraped(house)
        assert {"bellhop_billing_suspended 0.0", "bellhop_billing_approvals_waiting 0.0", "bellhop_billing_jobs_running 0.0"} <= told
        assert {line for line in before if line.startswith("bellhop_billing_late_receipts_total")} == {
            'bellhop_billing_late_receipts_total{outcome="charged"} 0.0',
            'bellhop_billing_late_receipts_total{outcome="absorbed"} 0.0',
        }


async def test_a_receipt_that_says_delivered_after_the_end_is_counted(tmp_path: Path):
    async with bound_carrier(tmp_path) as carrier:
        (request,) = await carrier.submit()
        await carrier.take(request, "A1")
        await carrier.report("id:A1 stat:UNDELIV err:001 text:")
        await carrier.report("id:A1 stat:DELIVRD err:000 text:")

        assert 'bellhop_billing_late_receipts_total{outcome="absorbed"} 1.0' in await scraped(carrier.house)


async def test_a_gateway_that_closes_its_days_has_closed_yesterday_and_tells_it(tmp_path: Path):
    async with opened_gateway(tmp_path, more={"billing": Billing(close_after_s=1, grace_s=0)}) as house:
        query = select(period.c.state, period.c.closed_by)
        (yesterday,) = await house.until_rows(query, lambda rows: [row.state for row in rows] == [2])

        await house.gateway.bookkeeping.counting.look()

        told = await scraped(house)
        assert yesterday.closed_by == "gateway"
        assert 'bellhop_billing_periods{carrier="default",state="closed"} 1.0' in told
        assert any(line.startswith('bellhop_billing_oldest_open_seconds{carrier="default"}') for line in told)
