"""The embedded messenger keeps the contract of every connector, and the promises that only it makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.connectors.embedded import EmbeddedConnector, Event, MessageEvent, Messenger, Session, StatusEvent, Subscription
from gateway.domain.failure import Refused
from gateway.domain.message import State
from gateway.real_world import RealWorld
from tests.integration.connector_contract import Contract, Harness, Seen, chat, status
from tests.support.im import PASSWORD, PHONE, RecordingInbox, limits
from tests.support.store import Store, opened_store


class EmbeddedHarness:
    """A user whose client is a callback and, when it opens, a look at the history."""

    def __init__(self, world: RealWorld, store: Store, session: Session, messenger: Messenger) -> None:
        self.messenger = messenger
        self.connector = EmbeddedConnector(world, messenger)
        self.inbox = RecordingInbox(world, store.writer)
        self.account = session.account
        self.session = session
        self.store = store
        self._subscription: Subscription | None = None
        self._lines: list[Seen] = []
        self._states: dict[int, tuple[State, str]] = {}

    async def come_online(self) -> None:
        self._subscription = await self.messenger.subscribe(self.session, self._on_event, is_window=True)
        page, _ = await self.messenger.history(self.account, limit=100, since=0)
        self._lines = [Seen(message.peer, message.text) for message in page if not message.is_outgoing]

    async def go_offline(self) -> None:
        assert self._subscription is not None
        await self.messenger.unsubscribe(self._subscription)
        self._subscription = None

    async def say(self, to: str, text: str, client_id: str) -> int:
        sent = await self.messenger.send(self.account, to, text, client_id)
        self._states.setdefault(sent.message.id, (State(sent.message.state), sent.message.reason or ""))
        return sent.message.id

    async def seen(self) -> list[Seen]:
        return self._lines

    async def status(self, im_message_id: int) -> tuple[State, str]:
        return self._states[im_message_id]

    def _on_event(self, event: Event) -> None:
        if isinstance(event, MessageEvent) and not event.message.is_outgoing:
            self._lines.append(Seen(event.message.peer, event.message.text))
        elif isinstance(event, StatusEvent):
            self._states[event.im_message_id] = (State(event.state), event.reason)


@pytest.fixture
async def harness(tmp_path: Path, engine_name: str) -> AsyncIterator[EmbeddedHarness]:
    world = RealWorld()
    async with opened_store(world, tmp_path, engine_name) as store:
        messenger = Messenger(world, store.writer, store.reader, limits())
        account = await messenger.accounts.create("Ann", PASSWORD)
        _, session = messenger.accounts.open_session(account)
        yield EmbeddedHarness(world, store, session, messenger)
    await world.close()


class TestEmbedded(Contract):
    """All of the contract."""


def test_the_harness_is_one(harness: EmbeddedHarness):
    checked: Harness = harness

    assert checked.account == 10001


async def test_what_cannot_be_written_down_is_not_delivered(harness: EmbeddedHarness):
    await harness.connector.start(harness.inbox)
    await harness.store.writer.close()

    assert list(await harness.connector.deliver([chat(harness.account, "hi", origin_id=1), chat(harness.account, "ho", origin_id=2)])) == [
        False,
        False,
    ]


async def test_a_repeated_status_is_told_once(harness: EmbeddedHarness):
    await harness.connector.start(harness.inbox)
    told: list[Event] = []
    await harness.messenger.subscribe(harness.session, told.append, is_window=True)
    said = await harness.say(PHONE, "hi", "c1")
    told.clear()

    await harness.connector.deliver([status(harness.account, said, State.SUBMITTED)])
    await harness.connector.deliver([status(harness.account, said, State.SUBMITTED)])

    assert told == [StatusEvent(said, State.SUBMITTED, "")]


async def test_a_stopped_connector_sends_nothing_to_phones(harness: EmbeddedHarness):
    await harness.connector.start(harness.inbox)
    await harness.connector.stop()

    with pytest.raises(Refused) as refused:
        await harness.say(PHONE, "hi", "c1")

    assert refused.value.reason == "unavailable"


async def test_many_accounts_registering_at_once_get_different_numbers(harness: EmbeddedHarness):
    opened = await asyncio.gather(*(harness.messenger.accounts.create(f"user {number}", PASSWORD) for number in range(8)))

    assert sorted(account.id for account in opened) == list(range(10_002, 10_010))


async def test_a_session_left_idle_ends(tmp_path: Path):
    world = RealWorld()
    async with opened_store(world, tmp_path) as store:
        messenger = Messenger(world, store.writer, store.reader, limits(session_idle_s=-1.0))
        account = await messenger.accounts.create("Ann", PASSWORD)
        token, _ = messenger.accounts.open_session(account)

        assert messenger.accounts.find_session(token) is None
    await world.close()


async def test_the_oldest_session_makes_room_for_a_new_one(tmp_path: Path):
    world = RealWorld()
    async with opened_store(world, tmp_path) as store:
        messenger = Messenger(world, store.writer, store.reader, limits(sessions_per_account_max=2))
        account = await messenger.accounts.create("Ann", PASSWORD)
        tokens = [messenger.accounts.open_session(account)[0] for _ in range(3)]

        assert [messenger.accounts.find_session(token) is not None for token in tokens] == [False, True, True]
    await world.close()
