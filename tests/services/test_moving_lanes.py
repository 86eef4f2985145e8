"""Segments that move to another link, links that come, go, are held and change their rate, and messages whose time is to come."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from gateway.domain.message import Flight, State, UnknownOutcome
from gateway.services import recall
from gateway.services.outcome import Outcome
from gateway.store import messages, queues
from gateway.store.schema import opt_out, segment
from tests.support.lanes import ACME, BULK, NEVER, PHONE, House

SECOND_US = 1_000_000


def to_b(_flight: Flight, _status: int | None) -> str | None:
    return "b"


def round_about(flight: Flight, _status: int | None) -> str | None:
    """A route that knows only its neighbours, and nothing of where a segment was."""
    return {"a": "b", "b": "a"}[flight.link]


def _opt_out(conn: Connection, phone: str) -> None:
    conn.execute(opt_out.insert(), {"msisdn": phone, "short_code": "10690001", "since": 1})


def _change(conn: Connection, message_id: int) -> list[Flight]:
    conn.execute(segment.update().where(segment.c.id == message_id + 1).values(body=b"new"))
    return messages.of_message(conn, message_id)


def nowhere(_flight: Flight, _status: int | None) -> str | None:
    return None


# Another link


def test_a_refusal_that_another_link_may_take_moves_the_segment_there(play):
    async def main(house: House) -> None:
        first = house.link("a", script=lambda _flight: 0x45, errors={"0x45": "next_route"})
        second = house.link("b")
        await house.submit(["one", "two", "three"])

        await house.until(lambda: len(second.accepted) == 3)
        await asyncio.sleep(1)

        assert second.accepted == ["one", "two", "three"]
        assert len(first.sent) == 3
        assert {(row.link, row.state, row.attempts) for row in await house.rows()} == {("b", State.SUBMITTED, 2)}
        assert {(row.link, row.outcome, row.status) for row in await house.attempts()} == {("a", "moved", 0x45)}
        assert house.dispatch.state("a").reroutes == 3

    play(main, reroute=to_b)


def test_a_segment_never_goes_back_to_a_link_it_was_moved_from(play):
    async def main(house: House) -> None:
        links = [house.link(name, script=lambda _flight: 0x45, errors={"0x45": "next_route"}) for name in ("a", "b")]
        await house.submit(["nobody wants it"])
        await asyncio.sleep(120)

        assert len(links[0].sent) == 1
        assert len(links[1].sent) == 5
        assert [(row.state, row.status) for row in await house.rows()] == [(State.FAILED, 0x45)]

    play(main, reroute=round_about)


@pytest.mark.parametrize("reroute", [None, nowhere])
def test_without_another_link_it_is_tried_again_here(play, reroute):
    async def main(house: House) -> None:
        link = house.link("a", script=lambda _flight: 0x45 if len(house.links["a"].sent) < 2 else 0, errors={"0x45": "next_route 2s"})
        await house.submit(["one"])

        await house.until(lambda: link.accepted == ["one"], 10)

        assert link.sent[1].at_s - link.sent[0].at_s == pytest.approx(2, abs=0.1)

    play(main, reroute=reroute)


def test_the_table_of_a_link_decides_about_attempts(play):
    async def main(house: House) -> None:
        link = house.link("a", script=lambda _flight: 0x08, errors={"0x08": "retry 3x 1s"})
        await house.submit(["one"])
        await asyncio.sleep(30)

        assert len(link.sent) == 3
        assert [row.state for row in await house.rows()] == [State.FAILED]

    play(main)


def test_parts_of_a_long_message_stay_together(play):
    async def main(house: House) -> None:
        house.link("a", script=lambda flight: 0x45 if flight.segment_id & 0xFF == 2 else 0, errors={"0x45": "next_route"})
        house.link("b")
        await house.submit(["long " * 60])
        await asyncio.sleep(120)

        assert house.links["b"].sent == []
        assert {row.link for row in await house.rows()} == {"a"}

    play(main, reroute=to_b)


def test_a_moved_segment_is_in_its_new_links_queue_after_a_restart(play):
    async def main(house: House) -> None:
        house.link("a", script=lambda _flight: 0x45, errors={"0x45": "next_route"})
        house.link("b", is_up=False)
        await house.submit(["one", "two"])
        await asyncio.sleep(2)
        await house.close()
        await house.open(to_b)
        first, second = house.link("a"), house.link("b")

        await house.until(lambda: second.accepted == ["one", "two"])

        assert first.sent == []

    play(main, reroute=to_b)


def test_a_link_that_is_down_too_long_gives_its_backlog_away_in_order_and_whole(play):
    async def main(house: House) -> None:
        house.link("a", is_up=False, reroute_after_s=30)
        second = house.link("b", is_up=False)
        texts = [f"{number:04d}" for number in range(1_000)]
        for start in range(0, 1_000, 100):
            await house.submit(texts[start : start + 100], BULK)
        await house.submit(["long " * 60], ACME)
        second.come_up()
        await asyncio.sleep(25)
        assert second.sent == []

        await house.until(lambda: len(second.accepted) == 1_002, 60)

        assert [text for text in second.accepted if text in set(texts)] == texts
        assert {row.link for row in await house.rows()} == {"b"}

    def reroute(flight: Flight, status: int | None) -> str | None:
        assert status is None
        return to_b(flight, status)

    play(main, in_memory_max=300, reroute=reroute)


# Links that come and go


def test_a_held_link_gives_back_what_it_has_and_goes_on_where_it_was(play):
    async def main(house: House) -> None:
        link = house.link("a", window=2, rtt_s=0.5)
        await house.submit([f"{number:02d}" for number in range(10)])
        await house.submit(["held 0"], service="premium")
        await asyncio.sleep(0.1)
        house.dispatch.hold("a")
        await asyncio.sleep(3)
        left = len(link.sent)
        rows = await house.rows()
        assert left <= 2
        assert sum(row.state == State.ACCEPTED for row in rows) == 11 - left
        assert house.dispatch.state("a").is_held

        house.dispatch.resume("a")

        await house.until(lambda: len(link.accepted) == 11)
        assert link.accepted == [*(f"{number:02d}" for number in range(10)), "held 0"]

    play(main)


def test_a_removed_links_messages_wait_in_the_store_for_a_link_of_its_name(play):
    async def main(house: House) -> None:
        old = house.link("a", window=1, rtt_s=0.3)
        await house.submit([f"{number}" for number in range(5)])
        await asyncio.sleep(0.1)
        house.dispatch.remove_link("a")
        await asyncio.sleep(2)
        assert len(old.sent) == 1
        assert [row.state for row in await house.rows()] == [State.SUBMITTED, *[State.ACCEPTED] * 4]

        new = house.link("a", window=1)

        await house.until(lambda: new.accepted == ["1", "2", "3", "4"])

    play(main)


def test_another_rate_holds_from_now_on(play):
    async def main(house: House) -> None:
        link = house.link("a", window=100, rate_per_s=5)
        await house.submit([f"{number}" for number in range(200)])
        await asyncio.sleep(4)
        assert 15 <= len(link.sent) <= 25

        house.dispatch.set_rate("a", 50)
        before = len(link.sent)
        await asyncio.sleep(2)

        assert 90 <= len(link.sent) - before <= 115

    play(main)


# Times to come


def test_a_scheduled_message_leaves_at_its_time_and_not_before(play):
    async def main(house: House) -> None:
        link = house.link("a")
        now_us = house.world.clock.now_us()
        for wait_s in (0.4, 1.5, 30, 600):
            await house.submit([f"{wait_s}"], schedule_at=now_us + int(wait_s * SECOND_US))
        began_s = house.now_s

        await house.until(lambda: len(link.accepted) == 4, 1_000)

        assert link.accepted == ["0.4", "1.5", "30", "600"]
        for sent in link.sent:
            assert -0.05 <= sent.at_s - began_s - float(sent.text) <= 1.0

    play(main)


def test_scheduled_messages_take_no_memory_and_come_after_a_restart_too(play):
    async def main(house: House) -> None:
        house.link("a", is_up=False)
        now_us = house.world.clock.now_us()
        for start in range(0, 1_000, 250):
            await house.submit([f"{number:04d}" for number in range(start, start + 250)], BULK, schedule_at=now_us + 600 * SECOND_US)
        await house.submit(["now"], ACME)
        assert house.dispatch.state("a").waiting <= 1
        assert await house.reader.read(queues.count_queued, now_us) == 1
        assert await house.reader.read(queues.keys, "a") == [ACME]
        await house.close()
        await house.open()
        link = house.link("a")
        await asyncio.sleep(500)
        assert link.accepted == ["now"]
        assert house.dispatch.state("a").waiting == 0

        await house.until(lambda: len(link.accepted) == 1_001, 200)

        assert house.now_s < 620
        assert link.accepted[1:] == [f"{number:04d}" for number in range(1_000)]

    play(main, in_memory_max=200)


def test_what_came_due_while_the_gateway_or_its_link_was_away_is_sent(play):
    async def main(house: House) -> None:
        house.link("a", is_up=False)
        now_us = house.world.clock.now_us()
        await house.submit([f"{number:03d}" for number in range(300)], schedule_at=now_us + 5 * SECOND_US)
        await house.close()
        await asyncio.sleep(60)
        await house.open()
        link = house.link("a", is_up=False)
        await asyncio.sleep(10)
        link.come_up()

        await house.until(lambda: len(link.accepted) == 300, 30)

        assert link.accepted == sorted(link.accepted)

    play(main, in_memory_max=100)


def test_what_comes_due_while_it_is_written_and_finds_no_memory_is_sent_all_the_same(play):
    async def main(house: House) -> None:
        link = house.link("a")
        await house.submit(["first"])
        await house.until(lambda: link.accepted == ["first"], 5)
        link.go_down()
        await house.submit([f"{number:03d}" for number in range(300)])

        # Due by the time that it is on disk, and its queue goes on in the table.
        await house.submit(["last"], schedule_at=house.world.clock.now_us() + 1)
        await asyncio.sleep(10)
        link.come_up()

        await house.until(lambda: len(link.accepted) == 302, 30)
        assert link.accepted[-1] == "last"

    play(main, in_memory_max=100)


@pytest.mark.parametrize("gap_s", [0.0, 0.0005, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("commit_s", [0.001, 0.7, 3.0])
def test_what_comes_while_a_fresh_link_looks_for_its_queue_leaves_in_order(play, commit_s, gap_s):
    async def main(house: House) -> None:
        link = house.link()
        texts = [f"{number}" for number in range(6)]

        async def submit(number: int) -> None:
            await asyncio.sleep(gap_s * number)
            await house.submit([texts[number]])

        await asyncio.gather(*(submit(number) for number in range(6)))
        await house.until(lambda: len(link.accepted) == 6, 120)

        assert link.accepted == texts

    play(main, commit_s=commit_s)


def test_what_comes_while_one_that_found_no_room_is_written_is_not_claimed_before_it_and_given_back(play):
    async def main(house: House) -> None:
        link = house.link(window=10, rtt_s=0.3)
        waves = [[f"{wave}-{number:02d}" for number in range(20)] for wave in range(4)]

        async def submit(wave: int) -> None:
            # The first fills the window and what may be claimed ahead; its answers come while the second is written.
            await asyncio.sleep(0.45 * wave)
            await house.submit(waves[wave])

        await asyncio.gather(*(submit(wave) for wave in range(4)))
        await house.until(lambda: len(link.accepted) == 80, 120)

        assert link.accepted == [text for wave in waves for text in wave]
        assert await house.attempts() == []
        assert {row.attempts for row in await house.rows()} == {1}

    play(main, commit_s=0.5)


def test_one_that_found_no_room_and_was_refused_stands_in_nobodys_way(play):
    async def main(house: House) -> None:
        link = house.link(window=1)
        await house.writer.run(_opt_out, PHONE)
        answers = await house.submit_any(["one", "two", "three", "four"])
        assert {answer.reason for answer in answers} == {"opted_out"}

        await house.submit(["five"], to="8613900002222")
        await house.until(lambda: link.accepted == ["five"], 5)

        # What comes next may be claimed in the commit that writes it.
        assert house.dispatch.reserve("a", 1, UnknownOutcome.RESEND)

    play(main)


# Messages that somebody changes


def test_what_was_taken_back_leaves_its_place_to_the_next(play):
    async def main(house: House) -> None:
        link = house.link("a", window=2, is_up=False)
        ids = await house.submit(["one", "two", "three"])
        wanted = [(message_id, house.world.next_id()) for message_id in ids[:2]]
        await house.writer.run(recall._take_back, Outcome(), wanted, recall.CANCELLED, house.world.clock.now_us())

        link.come_up()

        await house.until(lambda: link.accepted == ["three"], 5)

    play(main)


def test_a_withheld_message_stays_until_it_is_restored(play):
    async def main(house: House) -> None:
        link = house.link("a", is_up=False)
        ids = await house.submit(["one", "two", "three"])
        link.come_up()
        link.go_down()

        assert house.dispatch.withhold(ids[1])
        link.come_up()
        await house.until(lambda: link.accepted == ["one", "three"])
        await asyncio.sleep(5)
        assert link.accepted == ["one", "three"]

        (row,) = [row for row in await house.rows() if row.state == State.ACCEPTED]
        (flight,) = await house.reader.read(lambda conn: queues.pages(conn, "a", [queues.Wanted(row.queue, 0, 10)])[0])
        house.dispatch.restored(ids[1], [flight])
        await house.until(lambda: link.accepted == ["one", "three", "two"])

    play(main)


def test_what_is_changed_on_its_way_to_another_link_leaves_it_once_and_changed(play):
    async def main(house: House) -> None:
        house.link("a", is_up=False, reroute_after_s=2)
        second = house.link("b", is_up=False)
        (message_id,) = await house.submit(["old"])
        second.come_up()
        await house.until(lambda: bool(moving))

        assert house.dispatch.withhold(message_id)
        house.dispatch.restored(message_id, await house.writer.run(_change, message_id))
        await house.until(lambda: bool(second.sent))
        await asyncio.sleep(5)

        assert second.accepted == ["new"]

    moving: list[Flight] = []

    def reroute(flight: Flight, status: int | None) -> str | None:
        moving.append(flight)
        return to_b(flight, status)

    play(main, reroute=reroute, commit_s=1.0)


def test_what_is_claimed_cannot_be_withheld(play):
    async def main(house: House) -> None:
        house.link("a", window=1, script=lambda _flight: NEVER)
        ids = await house.submit(["one", "two"])
        await asyncio.sleep(1)

        assert not house.dispatch.withhold(ids[1])

    play(main)


def test_a_late_answer_spares_the_resend_wherever_it_waits(play):
    async def main(house: House) -> None:
        link = house.link("a", script=lambda _flight: NEVER)
        await house.submit(["one"], to=PHONE)
        await asyncio.sleep(1)
        (flight,) = link.unanswered
        link.give_up()
        await asyncio.sleep(0.1)
        link.script = lambda _flight: 0

        house.dispatch.responded_late(flight, 0, "late-1")
        await asyncio.sleep(20)

        assert len(link.sent) == 1
        assert [(row.state, row.smsc_id) for row in await house.rows()] == [(State.SUBMITTED, "late-1")]

    play(main)


def test_what_may_have_been_delivered_is_not_sent_again_after_an_opt_out_and_a_late_answer_still_counts(play):
    stopped: list[str] = []

    async def main(house: House) -> None:
        link = house.link("a", script=lambda _flight: NEVER)
        await house.submit(["one"])
        await asyncio.sleep(1)
        (flight,) = link.unanswered
        link.give_up()
        link.go_down()
        await house.submit(["two"])
        await asyncio.sleep(10)
        stopped.append(PHONE)
        link.script = lambda _flight: 0
        link.come_up()
        await asyncio.sleep(30)
        first, second = await house.rows()

        house.dispatch.responded_late(flight, 0, "late-1")
        await asyncio.sleep(1)

        assert [each.text for each in link.sent] == ["one"]
        assert (first.state, second.state, second.error) == (State.UNKNOWN, State.FAILED, "opted out")
        settled = (await house.rows())[0]
        assert (settled.state, settled.smsc_id) == (State.SUBMITTED, "late-1")

    play(main, is_stopped=lambda message: message.destination in stopped)
