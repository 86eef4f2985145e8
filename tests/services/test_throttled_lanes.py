"""Links whose carrier refuses for speed, says how full it is, or has a full queue for one phone."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.domain.message import Flight, State
from gateway.domain.pacing import Reason
from tests.support.lanes import ACME, BULK, NEVER, PHONE, House

THROTTLED, QUEUE_FULL = 0x58, 0x14
OTHER_PHONE = "8613900002222"


class Throttling:
    """A carrier that takes so many a second and refuses the rest."""

    def __init__(self, house: House, rate_per_s: float) -> None:
        self._house = house
        self._rate = rate_per_s
        self._tokens, self._at_s = 1.0, 0.0

    def __call__(self, _flight: Flight) -> int:
        now_s = self._house.now_s
        self._tokens = min(max(1.0, self._rate / 5), self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens < 1:
            return THROTTLED
        self._tokens -= 1
        return 0


@pytest.mark.parametrize("service", ["chat", "premium", "notice"])
@pytest.mark.parametrize(("window", "rate_per_s"), [(1, 0.0), (1, 100.0), (20, 0.0), (20, 200.0)])
def test_what_is_refused_for_speed_goes_again_once_each_and_the_link_finds_its_speed(play, window, rate_per_s, service):
    """F04"""

    async def main(house: House) -> None:
        link = house.link(window=window, rtt_s=0.02, rate_per_s=rate_per_s, script=Throttling(house, 20))
        texts = [f"{number:04d}" for number in range(400)]
        await house.submit(texts, service=service)

        await house.until(lambda: len(link.accepted) == 400, 300)

        assert sorted(link.accepted) == texts
        if window == 1:
            assert link.accepted == texts
        refused = sum(sent.status == THROTTLED for sent in link.sent)
        assert 0 < refused < 200
        assert house.now_s < 60
        await asyncio.sleep(2)
        assert {row.state for row in await house.rows()} == {State.SUBMITTED}
        assert not any(row.is_possible_duplicate for row in await house.rows())

    play(main)


def test_a_refused_segment_is_resent_before_anything_of_its_queue_that_was_not_sent(play):
    async def main(house: House) -> None:
        storm = [True]
        link = house.link(window=8, rtt_s=0.05, script=lambda _flight: THROTTLED if storm[0] else 0)
        await house.submit([f"{number:03d}" for number in range(60)], service="premium")
        await house.submit([f"{number:03d}" for number in range(60, 120)], service="chat")
        await asyncio.sleep(5)
        storm[0] = False

        await house.until(lambda: len(link.accepted) == 120)

        assert link.accepted == sorted(link.accepted)

    play(main)


def test_a_refused_segment_is_not_overtaken_while_it_goes_back_behind_one_that_had_no_answer(play):
    async def main(house: House) -> None:
        tries = Counter[str]()

        def script(flight: Flight) -> int:
            text = flight.body.decode()
            tries[text] += 1
            if text == "one":
                return NEVER if tries[text] == 1 else 0
            return THROTTLED if text == "two" and tries["one"] < 2 else 0

        link = house.link(window=2, rtt_s=0.02, script=script)
        await house.submit(["one", "two", "three", "four"])
        await house.until(lambda: house.dispatch.state("a").throttles > 0)
        link.give_up()  # "one" is tried again later, and has to be claimed for that

        await house.until(lambda: len(link.accepted) == 4)

        assert link.accepted == ["one", "two", "three", "four"]

    play(main, commit_s=10.0)


def test_refusals_for_speed_never_end_a_message(play):
    async def main(house: House) -> None:
        refusals = Counter[int]()

        def script(flight: Flight) -> int:
            refusals[flight.segment_id] += 1
            return THROTTLED if refusals[flight.segment_id] <= 12 else 0x08 if refusals[flight.segment_id] <= 15 else 0

        link = house.link(window=1, script=script)
        await house.submit(["patience"])

        await house.until(lambda: link.accepted == ["patience"])

        await asyncio.sleep(1)
        assert [row.state for row in await house.rows()] == [State.SUBMITTED]

    play(main)


def test_a_refused_message_of_a_service_that_holds_is_sent_after_a_restart(play):
    async def main(house: House) -> None:
        house.link(window=2, script=lambda _flight: THROTTLED)
        await house.submit(["one", "two", "three"], service="premium")
        await asyncio.sleep(0.3)
        await house.close()
        await house.open()
        link = house.link(window=2)

        await house.until(lambda: link.accepted == ["one", "two", "three"])

        assert not any(row.is_possible_duplicate for row in await house.rows())

    play(main)


def test_the_rate_falls_and_recovers_and_can_be_read(play):
    async def main(house: House) -> None:
        storm = [True]
        link = house.link(window=10, rate_per_s=100, script=lambda _flight: THROTTLED if storm[0] else 0)
        await house.submit([f"{number}" for number in range(50)])
        await asyncio.sleep(4)
        during = house.dispatch.state("a")
        storm[0] = False
        await house.until(lambda: len(link.accepted) == 50)
        await asyncio.sleep(45)

        after = house.dispatch.state("a")

        assert during.ceiling_per_s < 100
        assert during.reason == Reason.THROTTLED
        assert during.throttles > 0
        assert (after.ceiling_per_s, after.reason, after.limit_per_s) == (0, "", 100)

    play(main)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)  # about pace; the store has no part in it
@pytest.mark.parametrize("level", [0, 50, 85, 95, 100])
def test_congestion_state_moves_the_rate(play, level):
    """F14"""

    async def main(house: House) -> None:
        link = house.link(window=10, rtt_s=0.01, rate_per_s=100)
        link.heard = lambda _flight, _status: house.dispatch.congestion("a", level)
        await house.submit([f"{number}" for number in range(2_000)])
        await asyncio.sleep(10)
        state = house.dispatch.state("a")

        if level < 80:
            assert state.ceiling_per_s == 0
        elif level < 90:
            assert state.ceiling_per_s == pytest.approx(100)
        elif level < 100:
            assert state.ceiling_per_s < 15
        else:
            assert len(link.sent) < 200
        link.heard = lambda _flight, _status: house.dispatch.congestion("a", 10)
        await house.until(lambda: len(link.accepted) == 2_000)
        await asyncio.sleep(60)
        assert house.dispatch.state("a").ceiling_per_s == 0

    play(main)


def test_a_full_queue_of_one_phone_waits_in_order_and_the_others_flow(play):
    """F05"""

    async def main(house: House) -> None:
        full_until_s = house.now_s + 12
        link = house.link(
            window=5, script=lambda flight: QUEUE_FULL if flight.message.destination == PHONE and house.now_s < full_until_s else 0
        )
        for number in range(30):
            await house.submit([f"full {number:02d}"], to=PHONE)
            await house.submit([f"free {number:02d}"], to=OTHER_PHONE)
        await house.until(lambda: sum(text.startswith("free") for text in link.accepted) == 30, 5)
        assert not any(text.startswith("full") for text in link.accepted)
        assert house.dispatch.state("a").backoffs == 1

        await house.until(lambda: len(link.accepted) == 60, 60)

        asked = [sent.text for sent in link.sent if sent.text.startswith("full")]
        assert [text for text in link.accepted if text.startswith("full")] == [f"full {number:02d}" for number in range(30)]
        assert len(asked) < 50
        assert house.dispatch.state("a").backoffs == 0
        await asyncio.sleep(3)
        assert {row.state for row in await house.rows()} == {State.SUBMITTED}

    play(main)


@pytest.mark.parametrize("later_s", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("rate_per_s", [0.5, 2.0])
def test_what_a_full_phone_refused_goes_first_also_while_the_store_is_slow(play, rate_per_s, later_s):
    async def main(house: House) -> None:
        refusal = iter([QUEUE_FULL])
        link = house.link(rate_per_s=rate_per_s, script=lambda _flight: next(refusal, 0))
        await house.submit(["one"])
        await asyncio.sleep(later_s)
        await house.submit(["two", "three"])

        await house.until(lambda: len(link.accepted) == 3, 120)

        assert link.accepted == ["one", "two", "three"]

    play(main, commit_s=3.0)


def test_more_for_a_full_phone_than_memory_holds_stops_neither_others_nor_loses_anything(play):
    async def main(house: House) -> None:
        full_until_s = house.now_s + 20
        link = house.link(
            window=5, script=lambda flight: QUEUE_FULL if flight.message.destination == PHONE and house.now_s < full_until_s else 0
        )
        await house.submit([f"full {number:04d}" for number in range(600)], BULK, to=PHONE)
        await asyncio.sleep(2)
        await house.submit([f"free {number:04d}" for number in range(100)], ACME, to=OTHER_PHONE)
        await house.until(lambda: len(link.accepted) == 100, 5)
        assert house.dispatch.state("a").waiting <= 200

        await house.until(lambda: len(link.accepted) == 700, 120)

        assert [text for text in link.accepted if text.startswith("full")] == [f"full {number:04d}" for number in range(600)]

    play(main, in_memory_max=200)


def test_full_queues_of_many_phones_at_once_slow_the_link_down(play):
    async def main(house: House) -> None:
        full_until_s = house.now_s + 3
        link = house.link(window=40, script=lambda _flight: QUEUE_FULL if house.now_s < full_until_s else 0)
        for number in range(40):
            await house.submit([f"{number}"], to=f"86139000{number:05d}")
        await asyncio.sleep(0.5)
        assert house.dispatch.state("a").ceiling_per_s > 0

        await house.until(lambda: len(link.accepted) == 40, 60)

    play(main)


@pytest.mark.parametrize("status", [THROTTLED, QUEUE_FULL, 0x08])
@pytest.mark.parametrize("mode", [1, 2])
def test_a_datagram_or_transaction_is_sent_once_or_not_at_all(play, mode, status):
    async def main(house: House) -> None:
        link = house.link(script=lambda _flight: status)
        await house.submit(["once"], esm_class=mode)
        await asyncio.sleep(100)

        assert len(link.sent) == 1
        assert [row.state for row in await house.rows()] == [State.FAILED]

    play(main)


def test_an_unanswered_datagram_is_not_sent_again(play):
    async def main(house: House) -> None:
        link = house.link(script=lambda _flight: NEVER)
        await house.submit(["once"], esm_class=1)
        await asyncio.sleep(1)
        link.give_up()
        await asyncio.sleep(100)

        assert len(link.sent) == 1
        assert [row.state for row in await house.rows()] == [State.UNKNOWN]

    play(main)
