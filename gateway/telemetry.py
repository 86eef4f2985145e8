"""Logs and metrics: what operators see, without a phone number, a text or a secret in it.

Log lines are masked before anything else happens to them, so no renderer and no library behind the standard logging module can print more.
Metrics are plain integers that the hot path adds to; Prometheus objects are made when somebody scrapes.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import sys
import traceback
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TextIO

import structlog
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

ADDRESS_KEYS = frozenset(
    {"msisdn", "source", "destination", "from", "from_", "to", "source_addr", "destination_addr", "address", "phone", "reply_address"}
)
SECRET_KEYS = frozenset(
    {"text", "body", "short_message", "message_payload"} | {"password", "api_key", "authorization", "token", "secret", "cookie"}
)
DROPPED = "***"
# Short codes and account numbers are shorter than this, subscribers' numbers are not.
ADDRESS_LENGTH_MIN = 7

_NUMBER = re.compile(r"(?<!\d)\d{9,15}(?!\d)")
# A peer must not be able to draw on an operator's terminal or to begin a line of its own.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROL_BUT_LINES = {code: text for code, text in _CONTROL.items() if code != 10}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]


def mask_address(address: str) -> str:
    """The first four and the last two characters of a number."""
    if len(address) < ADDRESS_LENGTH_MIN:
        return address
    return address[:4] + "*" * (len(address) - 6) + address[-2:]


def mask_text(text: str) -> str:
    """A text with every number in it masked and nothing in it that a terminal obeys."""
    return _NUMBER.sub(lambda number: mask_address(number[0]), text).translate(_CONTROL)


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The first processor of every log line; what comes after it may add level and time, nothing else."""
    exc_info = event.pop("exc_info", None)
    masked: MutableMapping[str, Any] = {key: _mask_value(key, value) for key, value in event.items() if not key.startswith("_")}
    masked.update({key: value for key, value in event.items() if key.startswith("_")})
    if exc_info:
        masked["exception"] = _mask_exception(exc_info)
    return masked


def _mask_value(key: object, value: Any) -> Any:
    name = key.lower() if isinstance(key, str) else ""
    if name in SECRET_KEYS and value is not None:
        return DROPPED
    if name in ADDRESS_KEYS and isinstance(value, str | int):
        return mask_address(str(value)).translate(_CONTROL)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return _mask_structure(value)


def _mask_structure(value: Any) -> Any:
    """Values with named fields are masked by those names: a PDU's repr would show its text."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _mask_value(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_mask_value(None, inner) for inner in value]
    return mask_text(str(value))


def _mask_exception(exc_info: Any) -> str:
    error = exc_info if isinstance(exc_info, BaseException) else exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1]
    if error is None:
        return ""
    text = "".join(traceback.format_exception(error)).rstrip()
    return _NUMBER.sub(lambda number: mask_address(number[0]), text).translate(_CONTROL_BUT_LINES)


class ForgivingStream:
    """Standard error that may be closed or on a full disk: a log line that cannot be written is counted, never raised."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self.lost += 1
            return 0

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1


def configure_logging(level: LogLevel, form: LogFormat, now_us: Callable[[], int], stream: TextIO | None = None) -> ForgivingStream:
    """Send every log line of ours and of the libraries to standard error, masked; returns the stream, which counts lost lines."""
    out = ForgivingStream(stream or sys.stderr)
    least = logging.getLevelNamesMapping()[level.upper()]

    def stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["at"] = (_EPOCH + timedelta(microseconds=now_us())).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event

    shared: list[Any] = [mask, structlog.processors.add_log_level, stamp]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=json.dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=(stream or sys.stderr).isatty(), timestamp_key="at")
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=out),  # type: ignore[arg-type]  # only write and flush are called
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[strip, renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries talk at info about every statement and request; theirs is wanted from warning on, unless one debugs.
    root.setLevel(least if level == "debug" else max(least, logging.WARNING))
    return out


class Histogram:
    """Counts by upper bound, cheap enough for every message."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, *bounds: float) -> None:
        assert list(bounds) == sorted(set(bounds)), "bounds must rise"
        self.bounds: Final = bounds
        self.counts: Final = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def _latency() -> Histogram:
    return Histogram(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """Every figure the gateway counts, as plain attributes: `metrics.messages_accepted["http"] += 1`.

    Each attribute is written by one thread only. SERIES says under which name, with which labels, it is scraped.
    """

    def __init__(self) -> None:
        self.messages_accepted: defaultdict[str, int] = defaultdict(int)  # front
        self.messages_refused: defaultdict[tuple[str, str], int] = defaultdict(int)  # front, reason
        self.messages_recalled: defaultdict[tuple[str, str], int] = defaultdict(int)  # operation, outcome
        self.messages_routed: defaultdict[tuple[str, str], int] = defaultdict(int)  # rule, link
        self.opted_out_late = 0
        self.partner_messages: dict[tuple[str, str], int] = {}  # partner, outcome
        self.route_entries: dict[str, int] = {}  # kind
        self.reloads: defaultdict[str, int] = defaultdict(int)  # outcome
        self.messages_final: defaultdict[str, int] = defaultdict(int)  # state
        self.messages_received: defaultdict[str, int] = defaultdict(int)  # link
        self.possible_duplicates = 0
        self.submit_latency = _latency()
        self.receipt_latency = _latency()
        self.receipts: defaultdict[str, int] = defaultdict(int)  # effect
        self.receipts_parked = 0
        self.receipts_replayed: defaultdict[str, int] = defaultdict(int)  # outcome
        self.receipts_unmatched = 0.0
        self.link_up: dict[str, int] = {}  # link
        self.binds_wanted: dict[str, int] = {}  # link
        self.link_alarm: dict[str, int] = {}  # link
        self.bind_attempts: dict[str, int] = {}  # link
        self.bind_refusals: dict[tuple[str, str], int] = {}  # link, status
        self.link_reconnects: dict[str, int] = {}  # link
        self.link_violations: dict[str, int] = {}  # link
        self.window_in_use: dict[str, int] = {}  # link
        self.link_rate: dict[str, float] = {}  # link
        self.queues_waiting: dict[str, int] = {}  # link
        self.throttled: dict[str, int] = {}  # link
        self.rerouted: dict[str, int] = {}  # link
        self.backoffs: dict[str, int] = {}  # link
        self.submit_responses: defaultdict[tuple[str, str], int] = defaultdict(int)  # link, status
        self.queries: defaultdict[tuple[str, str], int] = defaultdict(int)  # link, outcome
        self.sessions: dict[str, int] = {}  # partner
        self.binds_refused: defaultdict[str, int] = defaultdict(int)  # reason
        self.bind_lockouts = 0
        self.sessions_open = 0
        self.outbox_held: dict[str, int] = {}  # partner
        self.outbox_expired: defaultdict[str, int] = defaultdict(int)  # partner
        self.smpp_violations: defaultdict[str, int] = defaultdict(int)  # side
        self.queue_depth: dict[str, int] = {}  # queue
        self.backlog = 0
        self.commits = 0
        self.commit_failures = 0
        self.commit_seconds = _latency()
        self.commit_rows = Histogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
        self.writer_failed = 0
        self.http_requests: defaultdict[tuple[str, str], int] = defaultdict(int)  # route, status
        self.http_seconds = _latency()
        self.log_lines_lost = 0
        self.billing_suspended = 0
        self.billing_approvals_waiting = 0
        self.billing_periods: dict[tuple[str, str], int] = {}  # carrier, state
        self.billing_oldest_open: dict[str, float] = {}  # carrier
        self.billing_late_receipts: dict[str, int] = {}  # outcome
        self.billing_corrections: dict[tuple[str, str], int] = {}  # kind, currency
        self.billing_corrected_minor: dict[tuple[str, str], int] = {}  # kind, currency
        self.billing_subscriptions: dict[str, int] = {}  # status
        self.billing_jobs_running = 0
        self.billing_export_files: dict[tuple[str, str], int] = {}  # profile, state
        self.billing_export_faults: dict[str, int] = {}  # profile
        self.billing_differences_open: dict[str, int] = {}  # carrier


class Series(NamedTuple):
    """How one attribute of Metrics is shown."""

    attribute: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""


SERIES = (
    Series("messages_accepted", "counter", "Messages accepted and on disk, by front door", ("front",)),
    Series("messages_refused", "counter", "Messages refused at a front door", ("front", "reason")),
    Series("partner_messages", "counter", "Messages of a partner, accepted or refused and why", ("partner", "outcome")),
    Series("messages_recalled", "counter", "Messages that their senders took back or changed, or tried to", ("operation", "outcome")),
    Series("messages_routed", "counter", "Messages that a routing rule gave a link", ("rule", "link")),
    Series("route_entries", "gauge", "Routing rules in force, and entries of the files they ask", ("kind",)),
    Series("reloads", "counter", "Times the configuration was read again while the gateway ran", ("outcome",)),
    Series("opted_out_late", "counter", "Segments kept from leaving by an opt-out that came while they waited"),
    Series("messages_final", "counter", "Messages that reached a final state", ("state",)),
    Series("messages_received", "counter", "Messages that came from handsets", ("link",)),
    Series("possible_duplicates", "counter", "Messages sent again after an unknown outcome"),
    Series("submit_latency", "histogram", "From accept to submit_sm", unit="seconds"),
    Series("receipt_latency", "histogram", "From accept to the receipt that ends the message", unit="seconds"),
    Series("receipts", "counter", "Delivery receipts taken, by what they did", ("effect",)),
    Series("receipts_parked", "gauge", "Receipts that wait for their message"),
    Series("receipts_replayed", "counter", "Parked receipts that were matched again or dismissed, by what came of it", ("outcome",)),
    Series("receipts_unmatched", "gauge", "Share of the last minute's receipts that found no message, 0 to 1"),
    Series("link_up", "gauge", "Binds of a link that stand", ("link",)),
    Series("binds_wanted", "gauge", "Binds that a link should have; 0 while it is stopped", ("link",)),
    Series("link_alarm", "gauge", "1 while the carrier refuses our credentials and only a person can help", ("link",)),
    Series("bind_attempts", "counter", "Connections tried", ("link",)),
    Series("bind_refusals", "counter", "Binds refused, and outbinds that we refused", ("link", "status")),
    Series("link_reconnects", "counter", "Times a bind stood again after it had fallen", ("link",)),
    Series("link_violations", "counter", "Times a carrier broke the protocol", ("link",)),
    Series("window_in_use", "gauge", "Requests that the carrier has not answered yet", ("link",)),
    Series("link_rate", "gauge", "Most submit_sm per second that a link may send now; 0 is no limit", ("link",)),
    Series("queues_waiting", "gauge", "Senders whose messages wait for a link, in memory", ("link",)),
    Series("throttled", "counter", "Refusals of a carrier because a link was too fast", ("link",)),
    Series("rerouted", "counter", "Segments taken from a link and given to another", ("link",)),
    Series("backoffs", "gauge", "Destinations whose queue at the carrier is full, and which wait", ("link",)),
    Series("submit_responses", "counter", "Answers of carriers to submit_sm", ("link", "status")),
    Series("queries", "counter", "Questions to carriers (query_sm) about overdue receipts, by what came of them", ("link", "outcome")),
    Series("sessions", "gauge", "Sessions that partners have bound", ("partner",)),
    Series("sessions_open", "gauge", "Connections to the SMPP door, bound or not"),
    Series("binds_refused", "counter", "Binds of partners that were refused", ("reason",)),
    Series("bind_lockouts", "counter", "Times somebody has to wait after wrong binds"),
    Series("outbox_held", "gauge", "Messages and receipts that wait for a partner", ("partner",)),
    Series("outbox_expired", "counter", "Messages and receipts given up because their partner stayed away", ("partner",)),
    Series("smpp_violations", "counter", "Times a peer broke the protocol", ("side",)),
    Series("queue_depth", "gauge", "Rows waiting in a queue", ("queue",)),
    Series("backlog", "gauge", "Messages waiting to be sent"),
    Series("commits", "counter", "Transactions committed"),
    Series("commit_failures", "counter", "Commits that failed or whose outcome is unknown"),
    Series("commit_seconds", "histogram", "Time of one commit with its statements"),
    Series("commit_rows", "histogram", "Requests carried by one commit"),
    Series("writer_failed", "gauge", "1 while nothing can be written and nothing is acknowledged"),
    Series("http_requests", "counter", "HTTP requests answered", ("route", "status")),
    Series("http_seconds", "histogram", "Time to answer an HTTP request"),
    Series("log_lines_lost", "counter", "Log lines that could not be written"),
    Series("billing_suspended", "gauge", "Events that wait for a price"),
    Series("billing_approvals_waiting", "gauge", "Requests that wait for a second person"),
    Series("billing_periods", "gauge", "Periods that are closing, closed or locked", ("carrier", "state")),
    Series("billing_oldest_open", "gauge", "Since the first day that is open began", ("carrier",), "seconds"),
    Series("billing_late_receipts", "counter", "Receipts that said delivered after the end, charged or absorbed", ("outcome",)),
    Series("billing_corrections", "counter", "Refunds and other corrections in the books", ("kind", "currency")),
    Series("billing_corrected_minor", "gauge", "What these add up to, signed, in minor units", ("kind", "currency")),
    Series("billing_subscriptions", "gauge", "Subscriptions, by where they stand", ("status",)),
    Series("billing_jobs_running", "gauge", "Jobs of the staff that run"),
    Series("billing_export_files", "gauge", "Charge files, by how far they are", ("profile", "state")),
    Series("billing_export_faults", "gauge", "Charge files whose last delivery failed", ("profile",)),
    Series("billing_differences_open", "gauge", "Differences with carriers' files that nobody has resolved", ("carrier",)),
)


class Scrape(Collector):
    """Turns the plain figures into Prometheus families, at scrape time only."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        for series in SERIES:
            yield _family(series, getattr(self._metrics, series.attribute))


def _family(series: Series, value: Any) -> Metric:
    name = "_".join(part for part in ("bellhop", series.attribute, series.unit) if part)
    if isinstance(value, Histogram):
        histogram = HistogramMetricFamily(name, series.help)
        histogram.add_metric((), _cumulative(value), value.total)
        return histogram
    family = (CounterMetricFamily if series.kind == "counter" else GaugeMetricFamily)(name, series.help, labels=series.labels)
    for labels, figure in list(value.items()) if series.labels else [((), value)]:
        family.add_metric(labels if isinstance(labels, tuple) else (labels,), figure)
    return family


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    running = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        running += count
        buckets.append((bound, running))
    return buckets


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """A registry of this gateway alone, with the figures of its process."""
    registry = CollectorRegistry()
    registry.register(Scrape(metrics))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """What GET /metrics answers."""
    return generate_latest(registry)
