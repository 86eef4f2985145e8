"""What every connector owes the gateway, as tests: a connector's own test file subclasses Contract and brings a harness.

A harness puts one user with an account behind the connector, and lets a test speak and look as that user would.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import pytest

from gateway.domain.message import State
from gateway.services.ports import Caps, ChatMessage, Connector, Delivery
from gateway.store.outbox import KIND_CHAT, KIND_STATUS
from tests.support.im import RecordingInbox

PHONE = "+8613912345678"
OTHER_PHONE = "+447700900123"
AT = 1_700_000_000_000_000

TEXTS = ["hi", "你好，世界", "👩‍👩‍👧 🇨🇳", "two\nlines", "<b>&amp;</b>", "'; DROP TABLE im_message; --", "x" * 1_000, " spaces ", "é"]


class Seen(NamedTuple):
    """One line as the user sees it."""

    peer: str
    text: str


class Harness(Protocol):
    """One user of one network, behind one connector that has not been started."""

    connector: Connector
    inbox: RecordingInbox
    account: int

    async def come_online(self) -> None:
        """Open the user's client."""

    async def go_offline(self) -> None:
        """Close it."""

    async def say(self, to: str, text: str, client_id: str) -> int:
        """Speak as the user; the id of the chat message. Raises what the user is told."""

    async def seen(self) -> list[Seen]:
        """What the user has been told by phones, in order, once its client shows it."""

    async def status(self, im_message_id: int) -> tuple[State, str]:
        """What the user sees of a message it sent: state, and why it failed."""


def chat(account: int, text: str, *, origin_id: int, peer: str = PHONE) -> Delivery:
    return Delivery(origin_id, KIND_CHAT, account, peer, text, origin_id, 0, "", AT)


def status(account: int, im_message_id: int, state: State, reason: str = "", *, outbox_id: int = 1) -> Delivery:
    return Delivery(outbox_id, KIND_STATUS, account, PHONE, "", im_message_id, state, reason, AT)


class Contract:
    """Subclass it as TestSomething and give it a `harness` fixture."""

    async def test_the_connector_says_what_it_is(self, harness: Harness):
        assert harness.connector.name.isidentifier()
        assert isinstance(harness.connector.caps, Caps)

    async def test_it_is_healthy_between_start_and_stop_only(self, harness: Harness):
        before = harness.connector.is_healthy()
        await harness.connector.start(harness.inbox)
        during = harness.connector.is_healthy()
        await harness.connector.stop()

        assert (before, during, harness.connector.is_healthy()) == (False, True, False)

    async def test_stopping_twice_is_stopping_once(self, harness: Harness):
        await harness.connector.start(harness.inbox)
        await harness.connector.stop()
        await harness.connector.stop()

        assert not harness.connector.is_healthy()

    async def test_nothing_to_deliver_is_nothing_delivered(self, harness: Harness):
        await harness.connector.start(harness.inbox)

        assert list(await harness.connector.deliver([])) == []

    async def test_words_from_phones_reach_the_user_in_order(self, harness: Harness):
        await harness.connector.start(harness.inbox)
        await harness.come_online()
        deliveries = [
            chat(harness.account, "one", origin_id=1),
            chat(harness.account, "two", origin_id=2, peer=OTHER_PHONE),
            chat(harness.account, "three", origin_id=3),
        ]

        assert list(await harness.connector.deliver(deliveries)) == [True, True, True]

        assert await harness.seen() == [Seen(PHONE, "one"), Seen(OTHER_PHONE, "two"), Seen(PHONE, "three")]

    @pytest.mark.parametrize("text", TEXTS)
    async def test_text_arrives_as_it_was_sent(self, harness: Harness, text: str):
        await harness.connector.start(harness.inbox)
        await harness.come_online()

        await harness.connector.deliver([chat(harness.account, text, origin_id=1)])

        assert await harness.seen() == [Seen(PHONE, text)]

    async def test_characters_no_network_carries_do_not_stop_the_rest(self, harness: Harness):
        await harness.connector.start(harness.inbox)
        await harness.come_online()
        deliveries = [chat(harness.account, "nul \x00, half \ud83d", origin_id=1), chat(harness.account, "next", origin_id=2)]

        assert list(await harness.connector.deliver(deliveries)) == [True, True]

        assert [line.text for line in await harness.seen()][-1] == "next"

    async def test_a_delivery_repeated_after_a_crash_is_seen_once(self, harness: Harness):
        await harness.connector.start(harness.inbox)
        await harness.come_online()
        delivery = chat(harness.account, "once", origin_id=1)

        first = await harness.connector.deliver([delivery])
        again = await harness.connector.deliver([delivery, chat(harness.account, "more", origin_id=2)])

        assert (list(first), list(again)) == ([True], [True, True])
        assert await harness.seen() == [Seen(PHONE, "once"), Seen(PHONE, "more")]

    async def test_a_user_who_was_away_finds_what_was_said(self, harness: Harness):
        if not harness.connector.caps & Caps.OFFLINE_STORE:
            return
        await harness.connector.start(harness.inbox)
        await harness.come_online()
        await harness.go_offline()

        await harness.connector.deliver([chat(harness.account, "while you were out", origin_id=1)])
        await harness.come_online()

        assert await harness.seen() == [Seen(PHONE, "while you were out")]

    async def test_what_the_user_says_is_taken_with_the_canonical_number(self, harness: Harness):
        await harness.connector.start(harness.inbox)
        await harness.come_online()

        await harness.say("+86 139-1234 5678", "hello", "c1")

        assert harness.inbox.taken == [ChatMessage(harness.account, PHONE, "hello", "c1")]

    async def test_what_the_user_says_twice_with_one_id_is_taken_once(self, harness: Harness):
        await harness.connector.start(harness.inbox)
        await harness.come_online()

        first = await harness.say(PHONE, "hello", "c1")
        again = await harness.say(PHONE, "hello", "c1")

        assert first == again
        assert len(harness.inbox.taken) == 1

    async def test_the_user_sees_what_became_of_its_words(self, harness: Harness):
        if not harness.connector.caps & Caps.STATUS:
            return
        await harness.connector.start(harness.inbox)
        await harness.come_online()
        good, bad = await harness.say(PHONE, "a", "c1"), await harness.say(PHONE, "b", "c2")
        assert await harness.status(good) == (State.ACCEPTED, "")

        await harness.connector.deliver([status(harness.account, good, State.SUBMITTED), status(harness.account, bad, State.SUBMITTED)])
        await harness.connector.deliver(
            [status(harness.account, good, State.DELIVERED), status(harness.account, bad, State.FAILED, "UNDELIV")]
        )

        assert await harness.status(good) == (State.DELIVERED, "")
        assert await harness.status(bad) == (State.FAILED, "UNDELIV")

    async def test_a_late_or_repeated_status_takes_nothing_back(self, harness: Harness):
        if not harness.connector.caps & Caps.STATUS:
            return
        await harness.connector.start(harness.inbox)
        await harness.come_online()
        said = await harness.say(PHONE, "a", "c1")

        await harness.connector.deliver([status(harness.account, said, State.DELIVERED)])
        late = await harness.connector.deliver(
            [status(harness.account, said, State.SUBMITTED), status(harness.account, said, State.FAILED)]
        )

        assert list(late) == [True, True]
        assert await harness.status(said) == (State.DELIVERED, "")
