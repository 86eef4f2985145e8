"""The chat's page and its JSON API, on the aiohttp app of the gateway; docs/chat.md describes both.

Thin on purpose: a handler reads, makes one call of the messenger, and writes what came of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib import resources
from typing import TypeVar

from aiohttp import hdrs, web

from billing.vouchers import CODE_CHARS_MAX
from gateway.connectors.embedded import Event, Goodbye, Messenger, Session
from gateway.domain.failure import Refused
from gateway.domain.message import FINAL
from gateway.services.redeeming import Redeeming
from gateway.web.chat_frames import (
    Json,
    contact_json,
    message_json,
    number_of,
    optional_number_of,
    optional_text_of,
    sent_json,
    text_of,
)
from gateway.web.chat_http import COOKIE, answer, check_origin, find_session, read_object, refusing
from gateway.web.chat_socket import serve_window
from gateway.web.vouchers import brought_fields

WAIT_S_MAX = 60.0
Found = TypeVar("Found")

# No inline script or style, nothing from elsewhere; 'self' covers the WebSocket of the same host.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-cache",
}
_PAGES = {
    "/chat": ("chat.html", "text/html"),
    "/chat/chat.js": ("chat.js", "text/javascript"),
    "/chat/view.js": ("view.js", "text/javascript"),
    "/chat/text.js": ("text.js", "text/javascript"),
    "/chat/chat.css": ("chat.css", "text/css"),
}


def add_routes(app: web.Application, messenger: Messenger, redeeming: Redeeming, *, is_cookie_secure: bool = False) -> None:
    """Put the chat on an app. `is_cookie_secure`: browsers come over TLS that a proxy ends, so the cookie must stay on TLS too."""
    chat = Chat(messenger, redeeming, is_cookie_secure=is_cookie_secure)
    for path, (name, content_type) in _PAGES.items():
        app.router.add_get(path, _page(name, content_type))
    routes = [
        ("POST", "/chat/api/register", chat.register),
        ("POST", "/chat/api/login", chat.log_in),
        ("POST", "/chat/api/logout", chat.log_out),
        ("GET", "/chat/api/me", chat.me),
        ("GET", "/chat/api/contacts", chat.contacts),
        ("POST", "/chat/api/contacts", chat.change_contact),
        ("GET", "/chat/api/messages", chat.messages),
        ("POST", "/chat/api/messages", chat.send),
        ("GET", "/chat/api/messages/{id}", chat.message),
        ("POST", "/chat/api/vouchers", chat.redeem),
        ("GET", "/chat/ws", chat.window),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, refusing(handler))

    async def stop(_app: web.Application) -> None:
        messenger.close()

    app.on_shutdown.append(stop)


class Chat:
    """The handlers of the JSON API and the WebSocket."""

    def __init__(self, messenger: Messenger, redeeming: Redeeming, *, is_cookie_secure: bool) -> None:
        self._messenger = messenger
        self._redeeming = redeeming
        self._is_cookie_secure = is_cookie_secure

    async def register(self, request: web.Request) -> web.Response:
        """Open an account and log it in."""
        body = await read_object(request)
        nick, password = text_of(body, "nick"), text_of(body, "password")
        account = await self._messenger.accounts.register(nick, password, address=request.remote or "")
        token, session = self._messenger.accounts.open_session(account)
        return self._logged_in(request, body, token, session, HTTPStatus.CREATED)

    async def log_in(self, request: web.Request) -> web.Response:
        """Open a session: a token in the answer for programs, a cookie for pages."""
        body = await read_object(request)
        number = number_of(body.get("account"), "account")
        token, session = await self._messenger.accounts.log_in(number, text_of(body, "password"), address=request.remote or "")
        return self._logged_in(request, body, token, session, HTTPStatus.OK)

    def _logged_in(self, request: web.Request, body: Json, token: str, session: Session, status: HTTPStatus) -> web.Response:
        # A page asks for the cookie only, so that no script of it ever holds the token.
        is_for_page = body.get("cookie_only") is True
        response = answer(_session_json(session) | ({} if is_for_page else {"token": token}), status)
        max_age = int(self._messenger.limits.session_idle_s)
        is_secure = self._is_cookie_secure or request.secure
        response.set_cookie(COOKIE, token, path="/chat", max_age=max_age, httponly=True, samesite="Strict", secure=is_secure)
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """End the session and close its windows."""
        check_origin(request)
        self._messenger.log_out(find_session(request, self._messenger))
        response = answer({})
        response.del_cookie(COOKIE, path="/chat")
        return response

    async def me(self, request: web.Request) -> web.Response:
        """Who is logged in."""
        return answer(_session_json(find_session(request, self._messenger)))

    async def contacts(self, request: web.Request) -> web.Response:
        """The list, with presence."""
        session = find_session(request, self._messenger)
        return answer({"contacts": [contact_json(listed) for listed in await self._messenger.contacts(session.account)]})

    async def change_contact(self, request: web.Request) -> web.Response:
        """Add a contact, or change the relation to one."""
        session = find_session(request, self._messenger)
        body = await read_object(request)
        peer, action = text_of(body, "peer"), text_of(body, "action", "add")
        if action == "add":
            alias, short_code = optional_text_of(body, "alias"), optional_text_of(body, "short_code")
            listed = await self._messenger.add_contact(session.account, peer, alias=alias, short_code=short_code)
            return answer({"contact": contact_json(listed)}, HTTPStatus.CREATED)
        changed = await self._messenger.change_contact(session.account, peer, action)
        return answer({"contact": None if changed is None else contact_json(changed)})

    async def messages(self, request: web.Request) -> web.Response:
        """A page of the history; with `wait`, not before there is something in it."""
        session = find_session(request, self._messenger)
        query = dict(request.query)
        since, before = optional_number_of(query, "since"), optional_number_of(query, "before")
        limit = optional_number_of(query, "limit") or self._messenger.limits.history_page_max
        peer = optional_text_of(query, "peer")

        async def look() -> tuple[Json, bool]:
            page, has_more = await self._messenger.history(session.account, limit=limit, since=since, before=before, peer=peer)
            return {"messages": [message_json(message) for message in page], "more": has_more}, bool(page)

        return answer(await self._until(session, look, _wait_s(query)))

    async def message(self, request: web.Request) -> web.Response:
        """One message; with `wait`, not before its state is final."""
        session = find_session(request, self._messenger)
        im_message_id = number_of(request.match_info["id"], "id")

        async def look() -> tuple[Json, bool]:
            message = await self._messenger.find_message(session.account, im_message_id)
            return message_json(message), message.state >= FINAL

        return answer(await self._until(session, look, _wait_s(dict(request.query))))

    async def redeem(self, request: web.Request) -> web.Response:
        """Bring a voucher's value into the account's wallet of its currency."""
        session = find_session(request, self._messenger)
        code = text_of(await read_object(request), "code")
        if not 0 < len(code) <= CODE_CHARS_MAX:
            raise Refused("bad_field", f"must have 1 to {CODE_CHARS_MAX} characters", field="code")
        return answer(brought_fields(await self._redeeming.redeem(f"im:{session.account}", code, address=request.remote or "")))

    async def send(self, request: web.Request) -> web.Response:
        """Say something to an account or a phone; on disk when this answers."""
        session = find_session(request, self._messenger)
        body = await read_object(request)
        to, text, client_id = text_of(body, "to"), text_of(body, "text"), text_of(body, "client_id", "")
        sent = await self._messenger.send(session.account, to, text, client_id)
        return answer({"id": str(sent.message.id)} | sent_json(sent), HTTPStatus.ACCEPTED)

    async def window(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket."""
        return await serve_window(request, self._messenger)

    async def _until(self, session: Session, look: Callable[[], Awaitable[tuple[Found, bool]]], wait_s: float) -> Found:
        """What `look` finds once it is enough, or whatever there is after `wait_s`."""
        found, is_enough = await look()
        if is_enough or not wait_s:
            return found
        happened = asyncio.Event()
        is_over = False

        def on_event(event: Event) -> None:
            nonlocal is_over
            is_over = is_over or isinstance(event, Goodbye)
            happened.set()

        subscription = await self._messenger.subscribe(session, on_event, is_window=False)
        try:
            async with asyncio.timeout(wait_s):
                while not is_enough and not is_over:
                    happened.clear()
                    found, is_enough = await look()
                    if not is_enough:
                        await happened.wait()
        except TimeoutError:
            return found
        finally:
            await self._messenger.unsubscribe(subscription)
        return found


def _session_json(session: Session) -> Json:
    return {"account": str(session.account), "nick": session.nick}


def _wait_s(query: Json) -> float:
    try:
        wait_s = float(query.get("wait", 0))
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= WAIT_S_MAX:
        raise Refused("bad_field", f"must be 0 to {WAIT_S_MAX:.0f} seconds", field="wait")
    return wait_s


def _page(name: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    # Read once, when the app is made: the pages are part of the program, like its modules, and not data of the world.
    body = resources.files("gateway.web").joinpath("pages", name).read_bytes()
    etag = hashlib.sha256(body).hexdigest()[:32]

    async def handle(request: web.Request) -> web.Response:
        is_known = any(known.value == etag for known in request.if_none_match or ())
        response = web.Response(status=HTTPStatus.NOT_MODIFIED if is_known else HTTPStatus.OK, headers=_PAGE_HEADERS)
        if not is_known:
            response.body = body
            response.content_type = content_type
            response.charset = "utf-8"
        response.etag = etag
        return response

    return handle
