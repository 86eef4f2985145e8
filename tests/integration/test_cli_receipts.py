"""`bellhop receipts` beside a store: what waits is listed, shown, and masked; replay and dismiss are orders to the running gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway import cli_receipts
from gateway.domain.message import State
from gateway.store import receipts
from gateway.store.engine import migrate, open_writing
from gateway.store.link_forms import LinkForm, put
from gateway.store.receipts import Parked
from gateway.web.control_receipts import orders
from tests.support.commands import Shell
from tests.support.gateway import opened_gateway

HANDSET = "8613900001234"
AT = 1_767_225_600_000_000


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capsys, monkeypatch)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bellhop.toml"
    path.write_text('[store]\nurl = "sqlite:///store.db"\n')
    engine = open_writing(f"sqlite:///{tmp_path / 'store.db'}")
    migrate(engine)
    with engine.begin() as conn:
        for id_, link, smsc_id in ((256, "north", "A1"), (512, "south", "B2")):
            receipts.park(conn, Parked(id_, link, smsc_id, 2, "000", AT, f"+{HANDSET}", "10661700", "DELIVRD", "secret words"))
        receipts.close(conn, 512, receipts.DISMISSED, AT + 1)
        put(conn, LinkForm("north", "decimal of HEX", 8, AT))
    engine.dispose()
    return path


def test_what_waits_is_listed_masked(shell, config):
    listed = shell("receipts", "parked", "-c", config)

    assert listed.code == 0
    assert "A1" in listed.out
    assert "B2" not in listed.out
    assert HANDSET not in listed.out
    assert "secret" not in listed.out
    assert "link north: ids decimal of HEX" in listed.out


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ((), ["256"]),
        (("--all",), ["256", "512"]),
        (("--link", "south"), []),
        (("--id", "A1"), ["256"]),
        (("--handset", f"+{HANDSET}"), ["256"]),
        (("--handset", "4179000001"), []),
        (("--since", "2025-12-31"), ["256"]),
        (("--since", "2026-01-02"), []),
    ],
)
def test_what_is_listed_can_be_narrowed(shell, config, options, ids):
    listed = shell("receipts", "parked", *options, "--json", "-c", config)

    assert [each["id"] for each in listed.json["receipts"]] == ids
    assert listed.json["total"] == len(ids)


def test_one_receipt_is_shown_with_its_addresses(shell, config):
    shown = shell("receipts", "show", "512", "--json", "-c", config)

    assert (shown.json["handset"], shown.json["outcome"], shown.json["state"]) == (f"+{HANDSET}", "dismissed", "delivered")
    assert "secret" not in shown.out


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("show", "999"), 1, "no parked receipt"),
        (("show", "x"), 2, "no receipt's number"),
        (("replay",), 2, "give one of"),
        (("replay", "256", "--all"), 2, "give one of"),
        (("dismiss", "-1"), 2, ""),
    ],
)
def test_what_cannot_be_is_said_in_one_line(shell, config, words, code, what):
    told = shell("receipts", *words, "-c", config)

    assert told.code == code
    assert what in told.err


def test_orders_go_to_the_gateway_with_what_was_asked(shell, config, monkeypatch):
    asked: list[tuple[str, dict[str, Any]]] = []

    def order(_config: Path, _method: str, path: str, body: dict[str, Any], *, url: str | None) -> Any:
        asked.append((path, body))
        return {"outcomes": {"replayed": 2, "waits": 1}}

    monkeypatch.setattr(cli_receipts, "order", order)

    told = [
        shell("receipts", *words, "-c", config).out for words in (("replay", "256"), ("replay", "--link", "north"), ("replay", "--all"))
    ]
    shell("receipts", "dismiss", "256", "-c", config)

    assert told == ["2 replayed, 1 waits\n"] * 3
    assert json.dumps(asked) == json.dumps(
        [
            ("/receipts/replay", {"id": "256"}),
            ("/receipts/replay", {"link": "north"}),
            ("/receipts/replay", {}),
            ("/receipts/dismiss", {"id": "256"}),
        ]
    )


async def test_a_running_gateway_matches_again_and_dismisses(tmp_path):
    async with opened_gateway(tmp_path) as house:
        replay, dismiss = (each.action for each in orders(house.gateway.replay))
        wire = await house.bound()
        await wire.submit(registered=0, to=(1, 1, "8613900000006"))  # delivered, and no receipt of it
        (segment,) = await house.until_states(State.SUBMITTED)
        clock = house.world.clock
        for smsc_id in (segment.smsc_id, "nobody"):
            parked = Parked(house.world.next_id(), "sim", smsc_id, 2, None, clock.now_us(), "8613900000006", "Bellhop", "DELIVRD", "")
            await house.gateway.writer.run(receipts.park, parked)

        outcomes = await replay({}, {})
        left = [row for row in await house.parked() if row.done_at is None]
        await dismiss({}, {"id": str(left[0].id)})

        assert outcomes == {"outcomes": {"replayed": 1, "waits": 1}}
        await house.until_states(State.DELIVERED)
        assert [row.outcome for row in await house.parked()] == ["replayed", "dismissed"]
