"""What happens to an account, as its open windows are told; gateway.web.chat writes each as one frame."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from gateway.store.im import ImMessage
from gateway.store.im_friends import Contact


class Presence(Enum):
    """Whether an account has a window open, and someone before it."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


class MessageEvent(NamedTuple):
    """A new line in the account's history: said to it, or by it in any of its windows."""

    message: ImMessage


class StatusEvent(NamedTuple):
    """What became of the account's own words."""

    im_message_id: int
    state: int
    reason: str


class PresenceEvent(NamedTuple):
    """A friend came, went, or went for a coffee."""

    peer: str
    presence: Presence


class ContactEvent(NamedTuple):
    """A contact is new in the list, or another relation to it begins."""

    contact: Contact
    presence: Presence


class ContactGone(NamedTuple):
    """A contact is no longer in the list."""

    peer: str


class Goodbye(NamedTuple):
    """The window must close: logged out, or the gateway stops."""

    reason: str  # logged_out or stopping


Event = MessageEvent | StatusEvent | PresenceEvent | ContactEvent | ContactGone | Goodbye
