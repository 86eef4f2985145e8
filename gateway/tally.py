"""What the parts of the gateway tell of their work, counted for /metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry

from gateway.domain.message import FINAL, STATE_NAMES, Flight, Front
from gateway.links.smpp_client import SmppLink
from gateway.links.smpp_server import SmppServer
from gateway.services.counting import Counting
from gateway.services.dispatch import Dispatch
from gateway.services.outcome import Notice
from gateway.telemetry import Metrics, exposition, registry_of
from gateway.world import Clock

_log = structlog.get_logger(__name__)
ACCEPTED = "accepted"
_FRONTS = {int(front): front.name.lower() for front in Front}


class Tally:
    """Takes the parts' callbacks and keeps the figures."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self.metrics = metrics
        self._clock = clock
        self._registry: CollectorRegistry | None = None
        self.lines_lost: Callable[[], int] = int  # set by who configures the log
        self._by_partner: defaultdict[tuple[int, str], int] = defaultdict(int)  # id, outcome

    def ended(self, notice: Notice) -> None:
        """A message came to its end."""
        if notice.state >= FINAL:
            self.metrics.messages_final[STATE_NAMES[notice.state]] += 1

    def sent(self, flight: Flight, now_s: float) -> None:
        """A submit_sm left."""
        if flight.attempts == 1 and flight.accepted_s:
            self.metrics.submit_latency.observe(now_s - flight.accepted_s)
        elif flight.is_possible_duplicate:
            self.metrics.possible_duplicates += 1

    def accepted(self, front: int, partner_id: int | None) -> None:
        """A message is on disk."""
        self.metrics.messages_accepted[_FRONTS[front]] += 1
        if partner_id is not None:
            self._by_partner[partner_id, ACCEPTED] += 1

    def refused(self, front: int, reason: str, partner_id: int | None) -> None:
        """A submission was not taken."""
        self.metrics.messages_refused[_FRONTS[front], reason] += 1
        if partner_id is not None:
            self._by_partner[partner_id, reason] += 1

    def recalled(self, operation: str, outcome: str) -> None:
        """A sender took a message back, or changed it, or came too late."""
        self.metrics.messages_recalled[operation, outcome] += 1

    def routed(self, rule: str, link: str) -> None:
        """A routing rule chose a link."""
        self.metrics.messages_routed[rule, link] += 1

    def received(self, effect: str, link: str) -> None:
        """Something came from a carrier: an MO or part of one, or a receipt by its effect."""
        if effect in ("joined", "part"):
            self.metrics.messages_received[link] += 1
        else:
            self.metrics.receipts[effect] += 1

    def replayed(self, outcome: str) -> None:
        """A parked receipt was matched again, or dismissed."""
        self.metrics.receipts_replayed[outcome] += 1

    def reloaded(self, is_taken: bool) -> None:
        """The configuration was read again."""
        self.metrics.reloads["taken" if is_taken else "refused"] += 1

    def asked(self, link: str, outcome: str) -> None:
        """A carrier was asked about a message."""
        self.metrics.queries[link, outcome] += 1

    def answered(self, link: str, command_status: int) -> None:
        """A submit_sm was answered."""
        self.metrics.submit_responses[link, f"0x{command_status:08X}" if command_status else "ok"] += 1

    def delivered(self, flight: Flight) -> None:
        """A segment's receipt came while the segment was in hand."""
        if flight.accepted_s:
            self.metrics.receipt_latency.observe(self._clock.monotonic() - flight.accepted_s)

    def store_changed(self, is_healthy: bool, failure: str) -> None:
        """The writer failed, or works again."""
        if is_healthy:
            _log.info("the store can be written again")
        else:
            self.metrics.commit_failures += 1
            _log.error("the store cannot be written; nothing is acknowledged until it can", reason=failure)

    def committed(self, seconds: float, rows: int) -> None:
        """The writer committed."""
        metrics = self.metrics
        metrics.commits += 1
        metrics.commit_seconds.observe(seconds)
        metrics.commit_rows.observe(rows)

    def violated(self, side: str) -> None:
        """A peer broke the protocol."""
        self.metrics.smpp_violations[side] += 1

    def bind_refused(self, reason: str) -> None:
        """A partner may not bind."""
        self.metrics.binds_refused[reason] += 1

    def locked_out(self) -> None:
        """Somebody has to wait after wrong binds."""
        self.metrics.bind_lockouts += 1

    def expired(self, partner: str, rows: int) -> None:
        """What was held for a partner is given up."""
        self.metrics.outbox_expired[partner] += rows

    def held(self, counts: dict[str, int]) -> None:
        """What is held, by partner."""
        self.metrics.outbox_held = counts

    def requested(self, route: str, http_status: int, seconds: float) -> None:
        """An HTTP request was answered."""
        self.metrics.http_requests[route, str(http_status)] += 1
        self.metrics.http_seconds.observe(seconds)

    def books(self, counting: Counting, late: Mapping[str, int], jobs: int) -> None:
        """How the books stand, as the last look found them."""
        metrics, found = self.metrics, counting.figures
        metrics.billing_late_receipts, metrics.billing_jobs_running = dict(late), jobs
        if found is None:
            return
        metrics.billing_suspended, metrics.billing_approvals_waiting = found.suspended, found.approvals_waiting
        metrics.billing_periods, metrics.billing_oldest_open = found.periods, counting.open_seconds()
        metrics.billing_corrections, metrics.billing_corrected_minor = found.corrections, found.corrected_minor
        metrics.billing_subscriptions = found.subscriptions
        metrics.billing_export_files, metrics.billing_export_faults = found.export_files, found.export_faults
        metrics.billing_differences_open = found.differences_open

    def scrape(
        self, is_healthy: bool, server: SmppServer, links: Iterable[SmppLink], dispatch: Dispatch, partner_ids: Mapping[str, int]
    ) -> bytes:
        """The exposition, with the gauges as they stand now; partners that are gone are not shown."""
        metrics = self.metrics
        names = {partner_id: name for name, partner_id in partner_ids.items()}
        by_name = {(names[partner_id], outcome): count for (partner_id, outcome), count in self._by_partner.items() if partner_id in names}
        metrics.partner_messages = by_name
        metrics.log_lines_lost = self.lines_lost()
        metrics.writer_failed = int(not is_healthy)
        metrics.sessions = server.bound_counts()
        metrics.sessions_open = server.sessions
        violations = 0
        for link in links:
            metrics.link_up[link.name] = sum(bind.is_bound for bind in link.binds)
            metrics.window_in_use[link.name] = sum(bind.in_flight for bind in link.binds)
            lane = dispatch.state(link.name)
            metrics.queue_depth[link.name] = lane.waiting
            metrics.queues_waiting[link.name] = lane.queues
            metrics.link_rate[link.name] = lane.limit_per_s
            metrics.throttled[link.name] = lane.throttles
            metrics.rerouted[link.name] = lane.reroutes
            metrics.backoffs[link.name] = lane.backoffs
            violations += link.violations
            metrics.binds_wanted[link.name] = len(link.config.kinds()) if link.is_started else 0
            metrics.bind_attempts[link.name] = link.attempts
            metrics.link_reconnects[link.name] = link.reconnects
            metrics.link_violations[link.name] = link.violations
            metrics.link_alarm[link.name] = int(bool(link.alarm))
            for status, count in link.refusals.items():
                metrics.bind_refusals[link.name, f"0x{status:08X}"] = count
        metrics.smpp_violations["link"] = violations
        if self._registry is None:
            self._registry = registry_of(metrics)
        return exposition(self._registry)
