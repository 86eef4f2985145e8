"""`bellhop conform` against our own server: it passes every case of an SMSC, each with the account or the state that it asks for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.domain.address import msisdn
from gateway.real_world import RealWorld
from gateway.settings_smpp import DistributionList
from simulators.conform import report, run
from simulators.conform.case import Grade
from simulators.conform.subject import Account, Subject, Triggers
from tests.support.gateway import PARTNER, PARTNER_CODE, PASSWORD, House, opened_gateway
from tests.support.partners import set_policy
from tests.support.processes import COMMAND, ran
from tests.support.wire import HOST, PHONE

FAILING_PHONE = "8613900000001"
LIMITED, FOREIGN = "other", "some"
BIND_LIMIT, RATE_PER_S = 2, 5
SENDERS = [PARTNER_CODE, "Bellhop*"]
FORBIDDEN = "10699999"
DOOR = {"session_init_timeout_s": 1.0, "enquire_link_s": 1.0, "response_timeout_s": 2.0}
LISTS = (DistributionList(name="staff", numbers=(PHONE, "8613900005678")),)
# S19 waits so long, and nothing else as long as all is well.
PATIENCE_S = 6.0


@asynccontextmanager
async def furnished(folder: Path) -> AsyncIterator[House]:
    """A gateway with an account of every kind that the cases ask for."""
    async with opened_gateway(folder, door=DOOR, more={"distribution_lists": LISTS}) as house:
        await set_policy(house, PARTNER, senders=SENDERS)
        await set_policy(house, LIMITED, binds_max=BIND_LIMIT, rate_per_s=RATE_PER_S)
        await set_policy(house, FOREIGN, networks=["192.0.2.0/24"])
        yield house


def triggers(house: House) -> Triggers:
    """How to bring our server into the states that nobody can ask for over SMPP."""
    gateway = house.gateway

    async def unbind() -> None:
        gateway.smpp_server.unbind(gateway.accounts.by_name(PARTNER).partner.id)

    async def outbind(port: int) -> None:
        await set_policy(house, PARTNER, senders=SENDERS, outbind_host=HOST, outbind_port=port)
        await gateway.outbinds.ask(gateway.accounts.by_name(PARTNER))

    async def break_store(is_broken: bool) -> None:
        gateway.writer._healthy = not is_broken

    async def phone_writes(text: str) -> None:
        house.smsc.send_mo(PHONE, PARTNER_CODE, text)

    async def alert() -> None:
        assert gateway.smpp_server.alert(gateway.accounts.by_name(PARTNER).partner.id, msisdn(PHONE), PARTNER_CODE, True) == 1

    return Triggers(unbind=unbind, outbind=outbind, break_store=break_store, phone_writes=phone_writes, alert=alert)


def shortcomings(results: list[run.Result]) -> list[str]:
    return [report.row(result) for result in results if result.grade is not Grade.PASS]


@pytest.mark.timeout(240)
async def test_our_server_passes_every_case(tmp_path):
    async with furnished(tmp_path) as house:
        subject = Subject(
            HOST, house.port, Account(PARTNER, PASSWORD), PARTNER_CODE, PHONE,
            failing_destination=FAILING_PHONE, forbidden_source=FORBIDDEN,
            disabled=Account("closed", PASSWORD), foreign=Account(FOREIGN, PASSWORD),
            limited=Account(LIMITED, PASSWORD), bind_limit=BIND_LIMIT, rate_per_s=RATE_PER_S, poor=Account("poor", PASSWORD),
            list_name="staff", timeout_s=5, patience_s=PATIENCE_S, quiet_s=0.3, triggers=triggers(house),
        )  # fmt: skip

        results = await run.grade_smsc(RealWorld(), subject, run.SMSC_CASES, lambda _result: None)

        assert shortcomings(results) == []
        assert len(results) == len(run.SMSC_CASES)


async def test_the_command_prints_the_same(tmp_path):
    """What needs no hand inside the gateway, as an operator would type it."""
    statement = tmp_path / "pics.md"
    async with furnished(tmp_path) as house:
        done = await ran(
            *COMMAND,
            "conform",
            f"{HOST}:{house.port}",
            *("--system-id", PARTNER, "--password", PASSWORD, "--destination", PHONE, "--failing-destination", FAILING_PHONE),
            *("--forbidden-source", FORBIDDEN, "--disabled-account", f"closed:{PASSWORD}", "--foreign-account", f"{FOREIGN}:{PASSWORD}"),
            *("--limited-account", f"{LIMITED}:{PASSWORD}", "--bind-limit", str(BIND_LIMIT), "--rate", str(RATE_PER_S)),
            *("--poor-account", f"poor:{PASSWORD}", "--list-name", "staff", "--timeout-s", "5", "--quiet-s", "0.2"),
            *("--only", "S01,S02,S03,S04,S05,S08,M,R01,R02,R04", "--json", "--markdown", str(statement)),
        )

    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {case["id"]: case["why"] for case in told["cases"] if case["result"] != "pass"} == {
        "M26": "give --break-command to have it tested"
    }
    assert told["summary"]["pass"] == len(told["cases"]) - 1 == 42
    assert "| M34 | broadcast_sm and its kin |" in statement.read_text("utf-8")
