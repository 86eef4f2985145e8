"""The chat's WebSocket: frames in, one call of the messenger each, frames out.

All frames out go through one bounded queue, so their order is that of events; a window that does not keep up is closed, and
asks for what it missed when it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, web

from gateway.connectors.embedded import Event, Goodbye, Messenger, Presence, Session, Subscription
from gateway.domain.failure import Kind, Refused
from gateway.web.chat_frames import (
    Json,
    contact_json,
    dump,
    event_json,
    message_json,
    optional_number_of,
    optional_text_of,
    parse_object,
    refused_json,
    sent_json,
    text_of,
)
from gateway.web.chat_http import check_origin, find_session, has_cookie_only

HEARTBEAT_S = 30.0
CLOSE_TIMEOUT_S = 2.0
ECHO_CHARS_MAX = 64

_GOODBYE_CODES = {"stopping": WSCloseCode.GOING_AWAY, "logged_out": WSCloseCode.POLICY_VIOLATION}


class Window:
    """One open WebSocket."""

    def __init__(self, messenger: Messenger, session: Session, socket: web.WebSocketResponse) -> None:
        self._messenger = messenger
        self._session = session
        self._socket = socket
        self._queue: asyncio.Queue[Json | None] = asyncio.Queue()
        self._close_code = WSCloseCode.OK
        self._subscription: Subscription | None = None

    async def run(self) -> None:
        """Serve the window until either side closes it."""
        self._subscription = await self._messenger.subscribe(self._session, self._on_event, is_window=True)
        pump = None
        try:
            await self._socket.send_str(dump(await self._hello()))
            pump = asyncio.create_task(self._pump())
            await self._listen()
        except ConnectionError:
            pass  # the window is gone; its account learns the rest from the history
        finally:
            # A server may cancel its handler when the connection is lost; friends must learn of it all the same.
            leaving = asyncio.ensure_future(self._messenger.unsubscribe(self._subscription))
            if pump is not None:
                if self._close_code is WSCloseCode.OK:  # else it is just closing the window, and ends by itself
                    pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
            await asyncio.shield(leaving)

    def _on_event(self, event: Event) -> None:
        self._put(event_json(event))
        if isinstance(event, Goodbye):
            self._end(_GOODBYE_CODES[event.reason])

    def _put(self, frame: Json) -> None:
        if self._close_code is not WSCloseCode.OK:
            return
        if self._queue.qsize() >= self._messenger.limits.frames_queued_max:
            self._end(WSCloseCode.TRY_AGAIN_LATER)
        else:
            self._queue.put_nowait(frame)

    def _end(self, code: WSCloseCode) -> None:
        """Close once what is queued has gone out."""
        if self._close_code is WSCloseCode.OK:
            self._close_code = code
            self._queue.put_nowait(None)

    async def _hello(self) -> Json:
        limits = self._messenger.limits
        contacts = await self._messenger.contacts(self._session.account)
        return {
            "type": "hello",
            "account": str(self._session.account),
            "nick": self._session.nick,
            "contacts": [contact_json(listed) for listed in contacts],
            "limits": {"text_chars": limits.text_chars_max, "frame_bytes": limits.frame_bytes_max, "page": limits.history_page_max},
        }

    async def _pump(self) -> None:
        try:
            while (frame := await self._queue.get()) is not None:
                await self._socket.send_str(dump(frame))
            await self._socket.close(code=self._close_code)
        except ConnectionError:
            return  # the listening side notices too, and ends the window

    async def _listen(self) -> None:
        assert self._subscription is not None
        async for raw in self._socket:
            if raw.type is not WSMsgType.TEXT:
                self._put(_error_frame(Refused("bad_frame", "only text frames are understood"), {}))
            elif not self._messenger.take_frame(self._subscription):
                self._put(_error_frame(Refused("throttled", "too many frames", kind=Kind.THROTTLED), {}))
                self._end(WSCloseCode.POLICY_VIOLATION)
            else:
                await self._answer(raw.data)

    async def _answer(self, raw: str) -> None:
        frame: Json = {}
        try:
            frame = parse_object(raw)
            kind = text_of(frame, "type")
            if kind not in _FRAMES:
                raise Refused("bad_frame", f"type must be one of {', '.join(_FRAMES)}", field="type")
            reply = await _FRAMES[kind](self, frame)
        except Refused as refused:
            reply = _error_frame(refused, frame)
        if reply is not None:
            self._put(reply)

    async def _sync(self, frame: Json) -> Json:
        limit = self._messenger.limits.history_page_max
        page, has_more = await self._messenger.history(self._session.account, limit=limit, since=optional_number_of(frame, "since"))
        return {"type": "sync", "messages": [message_json(message) for message in page], "more": has_more}

    async def _history(self, frame: Json) -> Json:
        peer = text_of(frame, "peer")
        before = optional_number_of(frame, "before")
        limit = self._messenger.limits.history_page_max
        page, has_more = await self._messenger.history(self._session.account, limit=limit, before=before, peer=peer)
        return {"type": "history", "peer": peer, "messages": [message_json(message) for message in page], "more": has_more}

    async def _send(self, frame: Json) -> Json:
        to, text, client_id = text_of(frame, "to"), text_of(frame, "text"), text_of(frame, "client_id", "")
        sent = await self._messenger.send(self._session.account, to, text, client_id)
        return {"type": "sent"} | sent_json(sent)

    async def _show(self, frame: Json) -> None:
        shown = text_of(frame, "presence")
        if shown not in {Presence.ONLINE.value, Presence.AWAY.value}:
            raise Refused("bad_field", "must be online or away", field="presence")
        assert self._subscription is not None
        await self._messenger.show(self._subscription, Presence(shown))

    async def _add(self, frame: Json) -> None:
        alias, short_code = optional_text_of(frame, "alias"), optional_text_of(frame, "short_code")
        await self._messenger.add_contact(self._session.account, text_of(frame, "peer"), alias=alias, short_code=short_code)

    async def _change(self, frame: Json) -> None:
        action = text_of(frame, "type").removeprefix("friend_")
        await self._messenger.change_contact(self._session.account, text_of(frame, "peer"), action)


# What a window may ask; whoever changes a list is answered by the event that all of the account's windows get.
_FRAMES: dict[str, Callable[[Window, Json], Awaitable[Json | None]]] = {
    "sync": Window._sync,
    "history": Window._history,
    "send": Window._send,
    "presence": Window._show,
    "friend_add": Window._add,
    "friend_accept": Window._change,
    "friend_refuse": Window._change,
    "friend_remove": Window._change,
    "friend_block": Window._change,
    "friend_unblock": Window._change,
}


def _error_frame(refused: Refused, frame: Json) -> Json:
    """The refusal, with enough of the frame to know which one it was."""
    echo = {name: frame[name][:ECHO_CHARS_MAX] for name in ("client_id", "peer") if isinstance(frame.get(name), str)}
    about = frame.get("type")
    return {"type": "error", "about": about[:ECHO_CHARS_MAX] if isinstance(about, str) else ""} | echo | refused_json(refused)


async def serve_window(request: web.Request, messenger: Messenger) -> web.StreamResponse:
    """Open a window for whoever is logged in; Refused before the upgrade, as a problem, when it may not be."""
    session = find_session(request, messenger)
    check_origin(request, is_needed=has_cookie_only(request))
    messenger.check_room(session.account)
    limits = messenger.limits
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSE_TIMEOUT_S, max_msg_size=limits.frame_bytes_max, compress=False)
    await socket.prepare(request)
    try:
        await Window(messenger, session, socket).run()
    except Refused:  # two windows met in the door: the last place went to the other
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
    return socket
