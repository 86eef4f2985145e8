"""Who listens to which account: the open windows, and the presence they add up to. All in memory, gone with the process."""

from __future__ import annotations

from collections.abc import Callable

from gateway.connectors.embedded.events import Event, Goodbye, Presence
from gateway.domain.failure import Kind, Refused


class Subscription:
    """One listener; `on_event` is called on the loop, must not wait, and must not raise."""

    __slots__ = ("account", "is_window", "on_event", "presence", "session_key")

    def __init__(self, account: int, on_event: Callable[[Event], None], *, is_window: bool, session_key: bytes) -> None:
        self.account = account
        self.on_event = on_event
        self.is_window = is_window  # a window makes its account present; a poll does not
        self.session_key = session_key
        self.presence = Presence.ONLINE if is_window else Presence.OFFLINE


class Subscribers:
    """All subscriptions, by account."""

    def __init__(self, *, windows_max: int, polls_max: int) -> None:
        self._windows_max = windows_max
        self._polls_max = polls_max
        self._by_account: dict[int, list[Subscription]] = {}

    def add(self, subscription: Subscription) -> None:
        """Begin to tell; Refused when the account has too many of this kind open."""
        self.check_room(subscription.account, is_window=subscription.is_window)
        self._by_account.setdefault(subscription.account, []).append(subscription)

    def check_room(self, account: int, *, is_window: bool) -> None:
        """Refused when the account has no place left for another of this kind."""
        alike = sum(1 for known in self._by_account.get(account, ()) if known.is_window == is_window)
        if alike >= (self._windows_max if is_window else self._polls_max):
            raise Refused("too_many", "this account has too many connections open", kind=Kind.THROTTLED)

    def remove(self, subscription: Subscription) -> None:
        """Tell no more; a second time changes nothing."""
        left = [known for known in self._by_account.get(subscription.account, ()) if known is not subscription]
        if left:
            self._by_account[subscription.account] = left
        else:
            self._by_account.pop(subscription.account, None)

    def presence(self, account: int) -> Presence:
        """The most present of an account's windows."""
        shown = {known.presence for known in self._by_account.get(account, ())}
        if Presence.ONLINE in shown:
            return Presence.ONLINE
        return Presence.AWAY if Presence.AWAY in shown else Presence.OFFLINE

    def tell(self, account: int, event: Event) -> None:
        """Call every listener of an account."""
        for subscription in tuple(self._by_account.get(account, ())):
            subscription.on_event(event)

    def dismiss(self, session_key: bytes) -> None:
        """Say goodbye to the windows of a session that has ended."""
        for subscription in self._all():
            if subscription.session_key == session_key:
                subscription.on_event(Goodbye("logged_out"))

    def dismiss_all(self) -> None:
        """Say goodbye to everyone."""
        for subscription in self._all():
            subscription.on_event(Goodbye("stopping"))

    def count(self) -> int:
        """How many windows are open."""
        return sum(1 for known in self._all() if known.is_window)

    def _all(self) -> list[Subscription]:
        return [known for listeners in self._by_account.values() for known in listeners]
