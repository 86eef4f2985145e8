"""The embedded messenger: numeric accounts, friends, presence and histories that need no network but our own web pages.

It is complete without any other IM, and the reference that the contract tests hold every connector to. Nothing here knows HTTP:
gateway.web.chat puts it on a page, and a test or the simulated world calls it directly.
"""

from __future__ import annotations

from gateway.connectors.embedded.accounts import Accounts, Session
from gateway.connectors.embedded.connector import EmbeddedConnector
from gateway.connectors.embedded.events import ContactEvent, ContactGone, Event, Goodbye, MessageEvent, Presence, PresenceEvent, StatusEvent
from gateway.connectors.embedded.limits import Limits
from gateway.connectors.embedded.messenger import ListedContact, Messenger, Sent
from gateway.connectors.embedded.subscribers import Subscription

__all__ = [
    "Accounts",
    "ContactEvent",
    "ContactGone",
    "EmbeddedConnector",
    "Event",
    "Goodbye",
    "Limits",
    "ListedContact",
    "MessageEvent",
    "Messenger",
    "Presence",
    "PresenceEvent",
    "Sent",
    "Session",
    "StatusEvent",
    "Subscription",
]
