"""Logs hold no number, text or secret; metrics are plain integers until they are scraped."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import structlog

from gateway.telemetry import SERIES, ForgivingStream, Histogram, Metrics, configure_logging, exposition, mask_address, registry_of

MSISDN = "8613912345678"
NOW_US = 1_700_000_000_123_456


class Pdu(NamedTuple):
    destination_addr: str
    short_message: bytes
    sequence_number: int = 7


@dataclass(frozen=True)
class Submission:
    to: str
    text: str


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def logged(stream: io.StringIO) -> Callable[..., dict[str, Any]]:
    configure_logging("info", "json", lambda: NOW_US, stream)

    def log(event: str, **values: Any) -> dict[str, Any]:
        structlog.get_logger().info(event, **values)
        line: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
        return line

    return log


def test_a_line_has_event_level_and_the_time_of_the_world(logged: Callable[..., dict[str, Any]]):
    assert logged("ready", port=8080) == {"event": "ready", "port": 8080, "level": "info", "at": "2023-11-14T22:13:20.123Z"}


@pytest.mark.parametrize(("address", "shown"), [(MSISDN, "8613*******78"), ("+" + MSISDN, "+861********78"), ("10010", "10010"), ("", "")])
def test_an_address_shows_its_first_four_and_last_two(address: str, shown: str):
    assert mask_address(address) == shown


@pytest.mark.parametrize("key", ["msisdn", "source", "destination", "from", "to", "To"])
def test_addresses_are_masked_by_key(logged: Callable[..., dict[str, Any]], key: str):
    assert logged("sent", **{key: MSISDN})[key] == "8613*******78"
    assert logged("sent", **{key: int(MSISDN)})[key] == "8613*******78"


@pytest.mark.parametrize("key", ["text", "body", "short_message", "password", "api_key", "authorization", "Authorization"])
def test_texts_and_secrets_are_dropped_by_key(logged: Callable[..., dict[str, Any]], key: str):
    assert logged("sent", **{key: "hello"})[key] == "***"


def test_numbers_inside_other_strings_are_masked_and_ids_are_not(logged: Callable[..., dict[str, Any]]):
    line = logged(f"to {MSISDN}", reason=f"no route for +{MSISDN}!", id="4611686018427387904", count=123456789012)

    assert line["event"] == "to 8613*******78"
    assert line["reason"] == "no route for +8613*******78!"
    assert line["id"] == "4611686018427387904"
    assert line["count"] == 123456789012


@pytest.mark.parametrize(
    "value",
    [
        Pdu(MSISDN, b"hello"),
        Submission(MSISDN, "hello"),
        {"to": MSISDN, "text": "hello"},
        [{"nested": Pdu(MSISDN, b"hello")}],
        b"hello" + MSISDN.encode(),
    ],
)
def test_values_are_masked_by_the_names_of_their_fields(logged: Callable[..., dict[str, Any]], value: Any):
    written = json.dumps(logged("odd", value=value))

    assert "hello" not in written
    assert MSISDN not in written


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_of_ours_or_of_a_library_is_masked(stream: io.StringIO, form: Any):
    configure_logging("info", form, lambda: NOW_US, stream)

    try:
        raise ValueError(f"cannot send to {MSISDN}")
    except ValueError:
        structlog.get_logger().exception("ours")
        logging.getLogger("library").exception("theirs %s", MSISDN)

    assert stream.getvalue().count("cannot send to 8613*******78") == 2
    assert MSISDN not in stream.getvalue()


def test_a_peer_cannot_begin_a_line_or_colour_the_terminal(stream: io.StringIO):
    configure_logging("info", "console", lambda: NOW_US, stream)

    structlog.get_logger().info("bind", system_id="evil\n2023 ready\x1b[31m")

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_lines_below_the_level_are_not_written(stream: io.StringIO):
    configure_logging("warning", "json", lambda: NOW_US, stream)

    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")

    assert stream.getvalue() == ""


def test_a_log_that_cannot_be_written_stops_nothing():
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    forgiving = ForgivingStream(Full())

    assert forgiving.write("line\n") == 0
    assert forgiving.lost == 1


def test_a_histogram_counts_a_value_under_its_upper_bound():
    histogram = Histogram(1, 5)

    for value in (0.5, 1, 1.1, 5, 99):
        histogram.observe(value)

    assert histogram.counts == [2, 2, 1]
    assert histogram.total == pytest.approx(106.6)


def test_every_figure_is_scraped_under_its_name():
    metrics = Metrics()
    metrics.messages_accepted["http"] += 3
    metrics.submit_responses["sim", "ok"] += 2
    metrics.link_up["sim"] = 1
    metrics.submit_latency.observe(0.02)

    page = exposition(registry_of(metrics)).decode()

    assert 'bellhop_messages_accepted_total{front="http"} 3.0' in page
    assert 'bellhop_submit_responses_total{link="sim",status="ok"} 2.0' in page
    assert 'bellhop_link_up{link="sim"} 1.0' in page
    assert 'bellhop_submit_latency_seconds_bucket{le="0.025"} 1.0' in page
    assert "bellhop_submit_latency_seconds_count 1.0" in page
    assert "process_resident_memory_bytes" in page


def test_every_attribute_of_metrics_has_its_series():
    assert set(vars(Metrics())) == {series.attribute for series in SERIES}
