"""Fair queues on a link: one sender's backlog does not delay another's message, in memory or beyond it, before and after a restart."""

from __future__ import annotations

import asyncio
from itertools import groupby

import pytest

from tests.support.lanes import ACME, BULK, House


async def backlog(house: House, count: int, **fields: object) -> None:
    for start in range(0, count, 500):
        await house.submit([f"bulk {number}" for number in range(start, min(start + 500, count))], BULK, **fields)


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)  # about pace; the store has no part in it
@pytest.mark.parametrize("service", ["chat", "premium"])
@pytest.mark.parametrize(
    ("window", "rtt_s", "rate_per_s"),
    [(1, 0.3, 0.0), (1, 0.01, 5.0), (10, 0.4, 0.0), (100, 0.2, 50.0), (1000, 0.05, 200.0), (10, 0.01, 2.0)],
)
def test_one_message_beside_a_backlog_leaves_within_a_second(play, window, rtt_s, rate_per_s, service):
    async def main(house: House) -> None:
        link = house.link(window=window, rtt_s=rtt_s, rate_per_s=rate_per_s)
        await backlog(house, 3_000)
        for number in range(3):
            await asyncio.sleep(1.7)
            began_s = house.now_s
            await house.submit([f"mine {number}"], ACME, service=service)
            await house.until(lambda number=number: any(sent.text == f"mine {number}" for sent in link.sent), 30)
            assert house.now_s - began_s <= 1.0

    play(main, in_memory_max=500)


def test_an_urgent_message_passes_its_own_senders_backlog(play):
    async def main(house: House) -> None:
        link = house.link(window=1, rtt_s=0.1)
        await backlog(house, 300)

        await house.submit(["urgent"], BULK, priority=2)

        await house.until(lambda: "urgent" in link.accepted)
        assert len(link.sent) < 10

    play(main)


def test_each_queue_keeps_its_order_through_memory_and_table_and_nothing_is_lost(play):
    async def main(house: House) -> None:
        link = house.link(window=5, rtt_s=0.002)
        for start in range(0, 900, 100):
            for partner in range(1, 6):
                await house.submit([f"{partner} {number:05d}" for number in range(start, start + 100)], partner << 8)
        assert house.dispatch.state("a").spilled

        await house.until(lambda: len(link.accepted) == 4_500)

        await asyncio.sleep(5)
        assert len(link.accepted) == 4_500
        for _, own in groupby(sorted(link.accepted, key=lambda text: text[0]), key=lambda text: text[0]):
            texts = list(own)
            assert texts == sorted(texts)
        assert house.dispatch.state("a").spilled == house.dispatch.state("a").queues == 0

    play(main, in_memory_max=100)


def test_a_spilled_queue_leaves_the_others_in_memory_and_memory_is_bounded(play):
    async def main(house: House) -> None:
        link = house.link(is_up=False)
        await house.submit(["first"], ACME)
        link.come_up()
        await house.until(lambda: "first" in link.accepted)
        link.go_down()
        await backlog(house, 1_000)
        for partner in range(10, 30):
            await house.submit(["one"], partner << 8)

        state = house.dispatch.state("a")

        assert state.spilled == 1
        assert state.queues == 21
        assert state.waiting <= 200

    play(main, in_memory_max=200)


def test_thousands_of_queues_of_an_earlier_run_are_found_and_sent_in_order(play):
    async def main(house: House) -> None:
        house.link(is_up=False)
        for number in range(2):
            for start in range(0, 1_500, 500):
                senders = range(start + 1, start + 501)
                await asyncio.gather(*(house.submit([f"{partner} {number}"], partner << 8) for partner in senders))
        await backlog(house, 1_000)
        await house.close()
        await house.open()
        link = house.link(window=20, rtt_s=0.005)

        await house.until(lambda: len(link.accepted) == 4_000)

        assert [text for text in link.accepted if text.startswith("bulk")] == [f"bulk {number}" for number in range(1_000)]
        assert all(link.accepted.index(f"{partner} 0") < link.accepted.index(f"{partner} 1") for partner in range(2, 1_501, 97))
        # Fair from the start: the backlog did not go first.
        assert sum(text.startswith("bulk") for text in link.accepted[:2_000]) < 200

    play(main, in_memory_max=300)


def test_messages_committed_while_the_queues_are_looked_up_are_neither_lost_nor_doubled(play):
    async def main(house: House) -> None:
        house.link(is_up=False)
        await backlog(house, 700)
        await house.close()
        await house.open()
        link = house.link(window=5, rtt_s=0.003, is_up=False)
        link.come_up()
        for number in range(700, 1_000):
            await house.submit([f"bulk {number}"], BULK)

        await house.until(lambda: len(link.accepted) == 1_000)

        await asyncio.sleep(3)
        assert link.accepted == [f"bulk {number}" for number in range(1_000)]

    play(main, in_memory_max=100)
