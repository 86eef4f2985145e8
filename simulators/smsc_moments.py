"""What a scenario does by itself: events at set times, and streams of messages from phones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from simulators.form import FormError
from simulators.smsc_delivery import Delivery
from simulators.smsc_mo import Mo, disturbed, made, parse_csv, pdus_of
from simulators.smsc_script import Event, MoStream
from simulators.smsc_session import SmscSession
from simulators.streams import Stream

if TYPE_CHECKING:
    from simulators.smsc import Smsc

# A stream that fell behind sends no more than this at once.
BURST_MAX = 1_000
_STEP_S_MIN = 0.01


class Moments:
    """Plays the events and streams of one SMSC; another `start` ends what the last one began."""

    def __init__(self, smsc: Smsc, numbers: Stream) -> None:
        self._smsc = smsc
        self._numbers = numbers
        self._generation = 0
        self._reference = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self.files: Mapping[str, str] = {}

    def start(self, events: tuple[Event, ...], streams: tuple[MoStream, ...]) -> None:
        """Begin: times count from now. Raises FormError for a file of lines that is missing or wrong."""
        files = {stream.file: parse_csv(self._text_of(stream.file), stream.file, stream) for stream in streams if stream.file}
        self._generation += 1
        for event in events:
            self._smsc.timeline.after(event.at_s, self._happen, event, self._generation, 1)
        for stream in streams:
            if stream.file:
                for mo in files[stream.file]:
                    if not stream.for_s or mo.at_s < stream.for_s:
                        self._smsc.timeline.after(stream.from_s + mo.at_s, self._say, mo, stream, self._generation)
            else:
                self._smsc.timeline.after(stream.from_s, self._go_on, stream, self._generation, 0, self._now())

    def stop(self) -> None:
        """Nothing more happens."""
        self._generation += 1
        for task in self._tasks:
            task.cancel()

    def _now(self) -> float:
        return self._smsc.world.clock.monotonic()

    def _text_of(self, name: str) -> str:
        if name not in self.files:
            raise FormError("mo.file", f"{name} was not found beside the scenario")
        return self.files[name]

    # Streams.

    def _go_on(self, stream: MoStream, generation: int, sent: int, start_s: float) -> None:
        """Send what is due of a stream with a rate; its times are counted from its start, so that it does not fall behind."""
        if generation != self._generation:
            return
        elapsed_s = self._now() - start_s - stream.from_s
        last = int(elapsed_s * stream.rate_per_s) + 1
        if stream.count:
            last = min(last, stream.count)
        if stream.for_s:
            last = min(last, int(stream.for_s * stream.rate_per_s))
        for number in range(sent + 1, min(last, sent + BURST_MAX) + 1):
            self._say(made(stream, number), stream, generation)
            sent = number
        is_over = (stream.count and sent >= stream.count) or (stream.for_s and elapsed_s >= stream.for_s)
        if not is_over:
            self._smsc.timeline.after(max(_STEP_S_MIN, 1 / stream.rate_per_s), self._go_on, stream, generation, sent, start_s)

    def _say(self, mo: Mo, stream: MoStream, generation: int) -> None:
        if generation == self._generation:
            self.deliver(mo, stream)

    def deliver(self, mo: Mo, stream: MoStream | None = None) -> int:
        """Hand a phone's message over, in its parts; returns how many deliver_sm that makes. Raises FormError."""
        self._reference = (self._reference + 1) & 0xFF or 1
        pdus = pdus_of(mo, self._reference)
        if stream is not None:
            pdus = disturbed(pdus, stream, self._numbers)
        self._smsc.counts.mo += len(pdus)
        self._smsc.deliveries.route_together([Delivery(pdu, None) for pdu in pdus])
        self._smsc.note(None, "mo", source=mo.source, to=mo.to, pdus=len(pdus))
        self._smsc.bell.ring()
        return len(pdus)

    # Events.

    def _happen(self, event: Event, generation: int, turn: int) -> None:
        if generation != self._generation:
            return
        if event.every_s and (not event.times or turn < event.times):
            self._smsc.timeline.after(event.every_s, self._happen, event, generation, turn + 1)
        self.do(event)

    def do(self, event: Event) -> None:
        """Make an event happen now."""
        self._smsc.note(None, "event", do=event.do)
        if event.do == "outbind":
            self._spawn(self._smsc.outbind(event.host, event.port, event.password))
        elif event.do == "down":
            self._smsc.go_down()
            if event.for_s:
                self._smsc.timeline.after(event.for_s, self._come_up)
        else:
            for session in [each for each in self._smsc.sessions if self._is_meant(each, event)]:
                self._do_to(session, event)

    def _is_meant(self, session: SmscSession, event: Event) -> bool:
        return session.is_bound and (not event.system_id or fnmatchcase(session.system_id, event.system_id))

    def _do_to(self, session: SmscSession, event: Event) -> None:
        deeds: dict[str, Callable[[], None]] = {
            "unbind": session.unbind,
            "reset": session.abort,
            "close": session.close,
            "mute": session.mute,
            "enquire-link": session.ask_alive,
            "alert": lambda: session.alert(event.source, session.system_id),
        }
        deed = deeds.get(event.do)
        if deed is None:
            session.send_spoilt(event.do, self._smsc.numbers_of(session))
            return
        deed()
        if event.do == "mute" and event.for_s:
            # Half open for so long; then the connection is reset, as a firewall does that has lost its table.
            self._smsc.timeline.after(event.for_s, session.abort)

    def _come_up(self) -> None:
        self._spawn(self._smsc.come_up())

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
