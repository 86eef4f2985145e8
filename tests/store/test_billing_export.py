"""Charge files: which charges, which bytes, and what a kill leaves behind."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, text

from billing import book, cdr, export
from billing.check import check
from billing.errors import ExportError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Record, Settlement
from billing.files import LocalFiles
from billing.runs import Books

DAY_US = 86_400_000_000
# The day 2006-05-01 of Shanghai begins at 16:00 UTC of the day before.
MAY_1 = 1_146_412_800_000_000
NOW = MAY_1 + 2 * DAY_US
REVENUE, WALLET = 1, 11


class Killed(BaseException):
    """The process ended here."""


class KilledFiles(LocalFiles):
    """A disk whose process is killed before its n-th step, or half-way through it when it writes."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.step = 0

    def write_stream(self, path: str, chunks: Iterable[bytes]) -> None:
        whole = b"".join(chunks)
        self._count()
        Path(path).write_bytes(whole[: len(whole) // 2])
        self._count()
        super().write_stream(path, [whole])

    def rename_durably(self, old: str, new: str) -> None:
        self._count()
        super().rename_durably(old, new)

    def _count(self) -> None:
        self.step += 1
        if self.step == self.at:
            raise Killed


class Store:
    """A ledger on disk with a wallet of 10,000, and the export of its charges."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ids = itertools.count(1)
        self.books = Books(engine.begin, engine.begin)
        self.seq = 0
        with engine.begin() as conn:
            book.ensure_house(conn, "CNY", new_id=lambda: next(self.ids), now_us=0)
            book.open_account(conn, WALLET, "im:10001", "CNY", True, 0)
            book.top_up(conn, WALLET, 10_000, "R1", 21, 0)

    def settle(
        self,
        first: int,
        count: int,
        *,
        booked_at: int = MAY_1,
        state: ChargeState = ChargeState.CAPTURED,
        price: int = 10,
        link: str = "cmcc-1",
    ) -> None:
        events = [an_event((first + place) * 256, price, link) for place in range(count)]
        with self.engine.begin() as conn:
            assert all(book.hold_many(conn, events, revenue=REVENUE, now_us=booked_at))
            assert all(book.settle_many(conn, [self._settlement(event_, state) for event_ in events], now_us=booked_at))

    def record_mo(self, number: int, booked_at: int) -> None:
        event_ = an_event(number * 256, 0, "cmcc-1")._replace(direction=Direction.MO, wallet=None)
        with self.engine.begin() as conn:
            book.record_many(conn, [Record(event_, self._settlement(event_, ChargeState.ZERO_RATED))], now_us=booked_at)

    def export(self, folder: Path, **changes: object) -> list[export.Written]:
        arguments: dict[str, object] = {
            "from_us": MAY_1,
            "to_us": MAY_1 + DAY_US,
            "folder": str(folder),
            "node": "mvg01",
            "carrier": "cmcc-gd",
            "zone": "Asia/Shanghai",
            "now_us": NOW,
            "new_id": lambda: next(self.ids) * 256,
            "files": LocalFiles(),
            "page_rows": 3,
        }
        return export.export(self.books, **(arguments | changes))  # type: ignore[arg-type] # arguments by name

    def check(self) -> list[object]:
        with self.engine.begin() as conn:
            return list(check(conn))

    def _settlement(self, event_: BillableEvent, state: ChargeState) -> Settlement:
        self.seq += 1
        amount = event_.amount_minor if state is ChargeState.CAPTURED else 0
        facts = ("DELIVRD", MAY_1 - 500_000, "000", 'A7;"B8"', None)
        return Settlement(event_.id, state, event_.wallet, event_.amount_minor, amount, 1, self.seq, *facts)


def an_event(id_: int, price: int, link: str) -> BillableEvent:
    names = (link, "10086", "8613800000000", "8613900000000", 10001)
    fee_class = FeeClass.PER_PART if price else FeeClass.FREE
    rated = (1, 1, price, price, "CNY", "flat/1:0123456789abcdef", "service:chat")
    return BillableEvent(id_, Direction.MT, MAY_1 - 1_500_000, "chat", fee_class, Payer.SOURCE, WALLET, *names, *rated)


@pytest.fixture
def store(engine: Engine) -> Iterator[Store]:
    made = Store(engine)
    yield made
    assert made.check() == []


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_file_holds_what_was_captured_or_free_and_nothing_else(store: Store, tmp_path: Path):
    store.settle(1, 4)
    store.settle(5, 1, state=ChargeState.RELEASED)
    store.settle(6, 1, state=ChargeState.EXPIRED)
    store.settle(7, 1, price=0)
    store.record_mo(8, MAY_1 + 5)
    store.settle(9, 1, booked_at=MAY_1 - 1)
    store.settle(10, 1, booked_at=MAY_1 + DAY_US)

    (written,) = store.export(tmp_path / "out")

    assert written.file_name == "mvg01_charge_cmcc-gd_20060501_00000001_r00.csv"
    rows = records(tmp_path / "out" / written.file_name)
    assert [row["charge_id"] for row in rows] == [str(number * 256) for number in (1, 2, 3, 4, 7, 8)]
    assert [row["record_seq"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["charge_state"] for row in rows] == ["CAPTURED"] * 4 + ["ZERO_RATED"] * 2
    assert rows[-1]["cause_key"] == f"mo:{8 * 256}"
    assert (written.records, written.amount_minor) == (6, 40)


def test_the_file_is_crlf_with_a_header_and_quoting(store: Store, tmp_path: Path):
    store.settle(1, 1)

    (written,) = store.export(tmp_path / "out")

    lines = (tmp_path / "out" / written.file_name).read_bytes().split(b"\r\n")
    assert lines[0].decode().split(",") == list(cdr.COLUMNS)
    assert b'"A7;""B8"""' in lines[1]
    assert len(lines) == 3
    assert lines[2] == b""


def test_the_manifest_counts_sums_and_hashes_its_file(store: Store, tmp_path: Path):
    store.settle(1, 4)
    store.settle(5, 1, price=0)

    (written,) = store.export(tmp_path / "out")

    data = (tmp_path / "out" / written.file_name).read_bytes()
    manifest = json.loads((tmp_path / "out" / written.manifest_name).read_bytes())
    sha256 = hashlib.sha256(data).hexdigest()
    assert manifest["files"] == [{"name": written.file_name, "bytes": len(data), "sha256": sha256, "records": 5}]
    (total,) = manifest["totals"]
    assert (total["currency"], total["count"], total["amount_minor"], total["exponent"]) == ("CNY", 5, 40, 2)
    assert (manifest["from_utc"], manifest["to_utc"]) == ("2006-04-30T16:00:00.000000Z", "2006-05-01T16:00:00.000000Z")
    assert (manifest["first_charge_id"], manifest["last_charge_id"], manifest["previous"]) == ("256", "1280", None)


def test_an_empty_window_gives_one_empty_file(store: Store, tmp_path: Path):
    (written,) = store.export(tmp_path / "out")
    again = store.export(tmp_path / "out")

    assert records(tmp_path / "out" / written.file_name) == []
    assert [file.run_id for file in again] == [written.run_id]


def test_a_repeat_gives_the_same_bytes_also_elsewhere_and_later(store: Store, tmp_path: Path):
    store.settle(1, 7)
    store.export(tmp_path / "one")

    again = store.export(tmp_path / "two", now_us=NOW + DAY_US, page_rows=2)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert [file.is_new for file in again] == [False]


def test_charges_booked_after_the_export_go_into_one_more_file_that_names_the_one_before(store: Store, tmp_path: Path):
    store.settle(1, 2)
    (first,) = store.export(tmp_path / "out")
    before = contents(tmp_path / "out")
    store.settle(3, 2)

    both = store.export(tmp_path / "out")

    assert [file.file_seq for file in both] == [1, 2]
    assert contents(tmp_path / "out").items() >= before.items()
    assert [row["charge_id"] for row in records(tmp_path / "out" / both[1].file_name)] == ["768", "1024"]
    manifest = json.loads((tmp_path / "out" / both[1].manifest_name).read_bytes())
    assert manifest["previous"] == {"seq": 1, "sha256": first.sha256}


def test_numbers_are_gapless_per_carrier(store: Store, tmp_path: Path):
    store.settle(1, 1, link="cmcc-1")
    store.settle(2, 1, link="unicom-1")
    store.settle(3, 1, link="cmcc-1", booked_at=MAY_1 + DAY_US)
    store.settle(4, 1, link="unicom-1", booked_at=MAY_1 + DAY_US)

    numbers = [
        (written.file_seq, written.records)
        for day in (MAY_1, MAY_1 + DAY_US)
        for carrier, links in (("cmcc-gd", ("cmcc-1",)), ("unicom", ("unicom-1",)))
        for written in store.export(tmp_path / "out", from_us=day, to_us=day + DAY_US, carrier=carrier, links=links)
    ]

    assert numbers == [(1, 1), (1, 1), (2, 1), (2, 1)]


@pytest.mark.parametrize("at", range(1, 7))
def test_a_kill_at_any_step_on_disk_leaves_no_manifest_and_the_next_call_the_right_files(store: Store, tmp_path: Path, at: int):
    store.settle(1, 7)
    with pytest.raises(Killed):
        store.export(tmp_path / "out", files=KilledFiles(at))
    assert not list((tmp_path / "out").glob("*.manifest.json"))

    (written,) = store.export(tmp_path / "out", now_us=NOW + 1)

    store.export(tmp_path / "undisturbed")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    assert (written.file_seq, written.records) == (1, 7)
    assert store.check() == []


# 20 transactions make an export of three pages: reads and writes alike.
@pytest.mark.parametrize("at", range(1, 21))
def test_a_kill_before_any_commit_leaves_the_next_call_the_right_files(store: Store, tmp_path: Path, at: int):
    store.settle(1, 7)
    begun = itertools.count(1)

    def killed_commit(_conn: object) -> None:
        if next(begun) == at:
            raise Killed

    event.listen(store.engine, "commit", killed_commit)
    with pytest.raises(Killed):
        store.export(tmp_path / "out")
    event.remove(store.engine, "commit", killed_commit)
    assert store.check() == []

    (written,) = store.export(tmp_path / "out")

    assert (written.file_seq, written.records, written.amount_minor) == (1, 7, 70)
    assert [row["charge_id"] for row in records(tmp_path / "out" / written.file_name)] == [str(number * 256) for number in range(1, 8)]


def test_an_interrupted_export_of_another_window_is_finished_first(store: Store, tmp_path: Path):
    store.settle(1, 2)
    store.settle(3, 1, booked_at=MAY_1 + DAY_US)
    with pytest.raises(Killed):
        store.export(tmp_path / "out", files=KilledFiles(2))

    written = store.export(tmp_path / "out", from_us=MAY_1 + DAY_US, to_us=MAY_1 + 2 * DAY_US)

    assert [(file.file_seq, file.records, file.is_new) for file in written] == [(1, 2, True), (2, 1, True)]


def test_a_charge_changed_after_its_file_stops_the_repeat_instead_of_changing_the_file(store: Store, tmp_path: Path):
    store.settle(1, 2)
    store.export(tmp_path / "out")
    before = contents(tmp_path / "out")
    with store.engine.begin() as conn:
        conn.execute(text("UPDATE charge SET delivery_status = 'UNDELIV' WHERE id = 256"))

    with pytest.raises(ExportError, match="bytes would differ"):
        store.export(tmp_path / "out")

    assert {name: data for name, data in contents(tmp_path / "out").items() if not name.endswith(".part")} == before


def test_two_exports_at_work_on_one_run_do_not_mix(store: Store, tmp_path: Path):
    store.settle(1, 7)
    inner: list[list[export.Written]] = []

    def overtaken() -> int:
        if not inner:
            inner.append([])
            inner[0] = store.export(tmp_path / "out")
        return next(store.ids) * 256

    outer = store.export(tmp_path / "out", new_id=overtaken)

    # The one overtaken finds nothing left and gives its number an empty file: no gap, no charge twice.
    assert [(file.file_seq, file.records) for file in inner[0]] == [(1, 7)]
    assert [(file.file_seq, file.records) for file in outer] == [(1, 7), (2, 0)]


@pytest.mark.parametrize(
    "changes",
    [{"carrier": "../x"}, {"node": ""}, {"zone": "Mars/Base"}, {"zone": "../etc"}, {"to_us": MAY_1}, {"from_us": -1}],
)
def test_what_cannot_be_exported_is_refused_before_a_number_is_taken(store: Store, tmp_path: Path, changes: dict[str, object]):
    with pytest.raises(ExportError):
        store.export(tmp_path / "out", **changes)

    with store.engine.begin() as conn:
        assert conn.execute(text("SELECT COUNT(*) FROM export_run")).scalar() == 0


@pytest.mark.parametrize(
    ("zone", "start", "hours", "name"),
    [
        ("Asia/Shanghai", MAY_1, 24, "20060501"),
        ("Asia/Shanghai", MAY_1, 24 * 31, "200605"),
        ("Asia/Shanghai", MAY_1, 6, "20060501T000000-20060501T060000"),
        ("UTC", MAY_1, 24, "20060430T160000-20060501T160000"),
        ("Europe/Zurich", 1_143_327_600_000_000, 23, "20060326"),
    ],
)
def test_a_window_is_named_on_the_carriers_clock(zone: str, start: int, hours: int, name: str):
    assert export.period(start, start + hours * 3_600_000_000, ZoneInfo(zone)) == name
