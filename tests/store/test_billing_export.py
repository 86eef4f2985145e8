"""Charge files: which charges, which bytes, and what a kill leaves behind."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, create_engine, event, text

from billing import book, cdr, export, runs
from billing.booking import Booking
from billing.carriers import Carrier, Carriers
from billing.check import check
from billing.errors import ExportError
from billing.event import BillableEvent, ChargeState, Direction, FeeClass, Payer, Record, Settlement
from billing.files import LocalFiles
from billing.profile import Profile
from billing.revisions import Revision
from billing.runs import Books, Order
from gateway.store.schema import metadata

DAY_US = 86_400_000_000
SHANGHAI = ZoneInfo("Asia/Shanghai")
BOOKING = Booking(Carriers((Carrier("cmcc-gd", SHANGHAI), Carrier("unicom", SHANGHAI)), {"unicom-1": "unicom"}))
KEY = b"sixteen octets or more"
ORDER = Order("cmcc-gd", "Asia/Shanghai", 20060501, 20060502, Profile(), "mvg01", "bellhop test", "li")
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
            settlements = [self._settlement(event_, state, booked_at) for event_ in events]
            assert all(book.settle_many(conn, settlements, now_us=booked_at, into=BOOKING))

    def record_mo(self, number: int, booked_at: int) -> None:
        event_ = an_event(number * 256, 0, "cmcc-1")._replace(direction=Direction.MO, wallet=None, event_at=booked_at)
        with self.engine.begin() as conn:
            settled = self._settlement(event_, ChargeState.ZERO_RATED, booked_at)
            book.record_many(conn, [Record(event_, settled)], now_us=booked_at, into=BOOKING)

    def export(self, folder: Path, *, files: LocalFiles | None = None, now_us: int = NOW, **changes: Any) -> list[export.Written]:
        return export.export(self.desk(folder, files=files, now_us=now_us), ORDER._replace(**changes))

    def revise(self, folder: Path, run_id: int, reason: str = "wrong link names", **changes: Any) -> list[export.Written]:
        revision = Revision(run_id, reason, "zhao")
        return export.revise(self.desk(folder, now_us=NOW + DAY_US), ORDER._replace(**changes), revision)

    def desk(self, folder: Path, *, files: LocalFiles | None = None, now_us: int = NOW) -> export.Desk:
        return export.Desk(self.books, str(folder), files or LocalFiles(), self.new_id, now_us, KEY, page_rows=3)

    def new_id(self) -> int:
        return next(self.ids) * 256

    def close(self, closed_until: int) -> None:
        with self.engine.begin() as conn:
            BOOKING.open_books(conn)
            conn.execute(text("UPDATE carrier_books SET closed_until = :day"), {"day": closed_until})

    def check(self) -> list[object]:
        with self.engine.begin() as conn:
            return list(check(conn))

    def _settlement(self, event_: BillableEvent, state: ChargeState, event_at: int) -> Settlement:
        self.seq += 1
        amount = event_.amount_minor if state is ChargeState.CAPTURED else 0
        facts = ("DELIVRD", MAY_1 - 500_000, "000", 'A7;"B8"', event_.link, event_at)
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


def store_at(path: Path) -> Store:
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda dbapi, _record: setattr(dbapi, "isolation_level", None))
    event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN IMMEDIATE"))
    metadata.create_all(engine)
    return Store(engine)


def records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def manifest_of(folder: Path, written: export.Written) -> Any:
    return json.loads((folder / written.manifest_name).read_bytes())


def test_a_file_holds_what_was_captured_or_free_on_its_days_and_nothing_else(store: Store, tmp_path: Path):
    store.settle(1, 4)
    store.settle(5, 1, state=ChargeState.RELEASED)
    store.settle(6, 1, state=ChargeState.EXPIRED)
    store.settle(7, 1, price=0)
    store.record_mo(8, MAY_1 + 5)
    store.settle(9, 1, booked_at=MAY_1 - 1)
    store.settle(10, 1, booked_at=MAY_1 + DAY_US)
    store.settle(11, 1, link="unicom-1")

    (written,) = store.export(tmp_path / "out")

    assert written.file_name == "mvg01_charge_cmcc-gd_20060501_00000001_r00.csv"
    rows = records(tmp_path / "out" / written.file_name)
    assert [row["charge_id"] for row in rows] == [str(number * 256) for number in (1, 2, 3, 4, 7, 8)]
    assert [row["record_seq"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row["charge_state"] for row in rows] == ["CAPTURED"] * 4 + ["ZERO_RATED"] * 2
    assert rows[-1]["cause_key"] == f"mo:{8 * 256}"
    assert (written.records, sum(int(str(line["amount_minor"])) for line in written.totals)) == (6, 40)


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
    store.close(20060502)

    (written,) = store.export(tmp_path / "out", service="chat")

    data = (tmp_path / "out" / written.file_name).read_bytes()
    manifest = manifest_of(tmp_path / "out", written)
    sha256 = hashlib.sha256(data).hexdigest()
    assert manifest["files"] == [{"name": written.file_name, "bytes": len(data), "sha256": sha256, "records": 5}]
    (total,) = manifest["totals"]
    assert (total["currency"], total["count"], total["amount_minor"], total["tax_minor"], total["exponent"]) == ("CNY", 5, 40, 0, 2)
    assert (manifest["from_utc"], manifest["to_utc"]) == ("2006-04-30T16:00:00.000000Z", "2006-05-01T16:00:00.000000Z")
    assert (manifest["first_charge_id"], manifest["last_charge_id"], manifest["previous"]) == ("256", "1280", None)
    assert (manifest["created_by"], manifest["approved_by"], manifest["service"], manifest["provider"]) == ("li", None, "chat", None)
    assert (manifest["closure_reason"], manifest["late_records"], manifest["lost_records"]) == ("period", 0, 0)
    assert (manifest["is_masked"], manifest["supersedes"], manifest["part"]) == (False, None, 1)
    assert (tmp_path / "out" / f"{written.file_name}.sha256").read_text() == f"{sha256}  {written.file_name}\n"


def test_a_day_without_charges_gives_one_empty_file(store: Store, tmp_path: Path):
    (written,) = store.export(tmp_path / "out")
    again = store.export(tmp_path / "out")

    assert records(tmp_path / "out" / written.file_name) == []
    assert [(file.run_id, file.is_new) for file in again] == [(written.run_id, False)]


def test_a_repeat_gives_the_same_bytes_also_elsewhere_and_later(store: Store, tmp_path: Path):
    store.settle(1, 7)
    store.export(tmp_path / "one")

    again = store.export(tmp_path / "two", now_us=NOW + DAY_US, created_by="wang", producer="bellhop 9")

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
    manifest = manifest_of(tmp_path / "out", both[1])
    assert (manifest["previous"], manifest["closure_reason"]) == ({"seq": 1, "sha256": first.sha256}, "manual")


def test_a_receipt_after_the_close_is_late_in_the_file_of_the_next_day_and_the_closed_file_stays(store: Store, tmp_path: Path):
    store.settle(1, 2)
    store.close(20060502)
    store.export(tmp_path / "out")
    store.settle(3, 1)

    again = store.export(tmp_path / "out")
    (next_day,) = store.export(tmp_path / "out", first=20060502, after=20060503)

    assert [file.records for file in again] == [2]
    assert manifest_of(tmp_path / "out", next_day)["late_records"] == 1
    (late,) = records(tmp_path / "out" / next_day.file_name)
    assert (late["charge_id"], late["late_flag"], late["period"]) == ("768", "1", "2006-05-02")


def test_numbers_are_gapless_per_carrier(store: Store, tmp_path: Path):
    store.settle(1, 1, link="cmcc-1")
    store.settle(2, 1, link="unicom-1")
    store.settle(3, 1, link="cmcc-1", booked_at=MAY_1 + DAY_US)
    store.settle(4, 1, link="unicom-1", booked_at=MAY_1 + DAY_US)

    numbers = [
        (written.file_seq, written.records)
        for first, after in ((20060501, 20060502), (20060502, 20060503))
        for carrier in ("cmcc-gd", "unicom")
        for profile in (Profile(), Profile("lines", "jsonl"))
        for written in store.export(tmp_path / "out", first=first, after=after, carrier=carrier, profile=profile)
    ]

    assert numbers == [(1, 1)] * 4 + [(2, 1)] * 4


def test_a_month_after_some_of_its_days_holds_the_rest(store: Store, tmp_path: Path):
    store.settle(1, 2)
    store.settle(3, 1, booked_at=MAY_1 + DAY_US)
    store.export(tmp_path / "out")

    (month,) = store.export(tmp_path / "out", after=20060601)

    assert month.file_name == "mvg01_charge_cmcc-gd_200605_00000002_r00.csv"
    assert [row["charge_id"] for row in records(tmp_path / "out" / month.file_name)] == ["768"]


def test_a_kill_at_any_step_on_disk_leaves_no_manifest_and_the_next_call_the_right_files(store: Store, tmp_path: Path):
    store.settle(1, 7)
    for at in range(1, 10):
        with pytest.raises(Killed):
            store.export(tmp_path / "out", files=KilledFiles(at))
        assert not list((tmp_path / "out").glob("*.manifest.json"))
        assert store.check() == []

    (written,) = store.export(tmp_path / "out", now_us=NOW + 1)

    store.export(tmp_path / "undisturbed")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
    assert (written.file_seq, written.records) == (1, 7)


def test_a_kill_before_any_commit_leaves_the_next_call_the_right_files(tmp_path: Path):
    for at in itertools.count(1):
        store = store_at(tmp_path / f"{at}.db")
        store.settle(1, 7)
        folder = tmp_path / str(at)
        begun = itertools.count(1)

        def killed_commit(_conn: object, begun: Iterator[int] = begun, at: int = at) -> None:
            if next(begun) == at:
                raise Killed

        event.listen(store.engine, "commit", killed_commit)
        is_over = False
        try:
            store.export(folder)
            is_over = True
        except Killed:
            pass
        event.remove(store.engine, "commit", killed_commit)
        assert store.check() == []

        (written,) = store.export(folder)

        assert (written.file_seq, written.records) == (1, 7)
        assert [row["charge_id"] for row in records(folder / written.file_name)] == [str(number * 256) for number in range(1, 8)]
        assert store.check() == []
        store.engine.dispose()
        if is_over:
            break
    assert at > 15


def test_an_interrupted_export_of_another_day_is_finished_first(store: Store, tmp_path: Path):
    store.settle(1, 2)
    store.settle(3, 1, booked_at=MAY_1 + DAY_US)
    with pytest.raises(Killed):
        store.export(tmp_path / "out", files=KilledFiles(2))

    written = store.export(tmp_path / "out", first=20060502, after=20060503)

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


def test_a_revision_tells_the_same_charges_anew_and_names_what_it_supersedes(store: Store, tmp_path: Path):
    store.settle(1, 3)
    (first,) = store.export(tmp_path / "out")
    store.settle(4, 1)
    with store.engine.begin() as conn:
        conn.execute(text("UPDATE charge SET link = 'cmcc-2' WHERE id = 256"))

    (revised,) = store.revise(tmp_path / "out", first.run_id)
    both = store.export(tmp_path / "out")

    assert revised.file_name == "mvg01_charge_cmcc-gd_20060501_00000001_r01.csv"
    manifest = manifest_of(tmp_path / "out", revised)
    assert manifest["supersedes"] == {"seq": 1, "rev": 0, "sha256": first.sha256}
    assert (manifest["rev"], manifest["reason"], manifest["approved_by"]) == (1, "wrong link names", "zhao")
    assert [row["link_id"] for row in records(tmp_path / "out" / revised.file_name)] == ["cmcc-2", "cmcc-1", "cmcc-1"]
    # The charge that came later is in a file of its own; the chain goes from original to original.
    assert [(file.file_seq, file.revision, file.records, file.is_new) for file in both] == [(1, 1, 3, False), (2, 0, 1, True)]
    assert manifest_of(tmp_path / "out", both[1])["previous"]["sha256"] == first.sha256


def test_a_revision_repeated_gives_the_same_files_and_no_further_one(store: Store, tmp_path: Path):
    store.settle(1, 3)
    (first,) = store.export(tmp_path / "out")

    (revised,), (again,) = store.revise(tmp_path / "out", first.run_id), store.revise(tmp_path / "out", first.run_id)

    assert again == revised._replace(is_new=False)


def test_only_the_newest_revision_is_revised_and_a_second_person_approves_it(store: Store, tmp_path: Path):
    store.settle(1, 3)
    (first,) = store.export(tmp_path / "out")
    (second,) = store.revise(tmp_path / "out", first.run_id)
    store.revise(tmp_path / "out", second.run_id)

    with pytest.raises(ExportError, match="revised by another one already"):
        store.revise(tmp_path / "out", first.run_id, "other names")
    with pytest.raises(ExportError, match="name the newest"):
        store.revise(tmp_path / "out", first.run_id)
    with pytest.raises(ExportError, match="another person"):
        store.revise(tmp_path / "out", second.run_id, created_by="Zhao")
    with pytest.raises(ExportError, match="there is no run 77"):
        store.revise(tmp_path / "out", 77)


@pytest.mark.parametrize(
    ("profile", "sizes", "closures"),
    [
        (Profile("parts", records_max=3), [3, 3, 1], ["count", "count", "manual"]),
        (Profile("parts", records_max=7), [7], ["manual"]),
        (Profile("parts", bytes_max=4_096), [4, 3], ["size", "manual"]),
        (Profile("parts", "framed-csv", records_max=4), [4, 3], ["count", "manual"]),
    ],
)
def test_parts_share_a_run_and_have_numbers_of_their_own(
    store: Store, tmp_path: Path, profile: Profile, sizes: list[int], closures: list[str]
):
    store.settle(1, 7)

    written = store.export(tmp_path / "out", profile=profile)
    before = contents(tmp_path / "out")
    again = store.export(tmp_path / "out", profile=profile)

    assert [file.records for file in written] == sizes
    assert [file.file_seq for file in written] == list(range(1, len(sizes) + 1))
    assert len({file.run_id for file in written}) == 1
    manifests = [manifest_of(tmp_path / "out", file) for file in written]
    assert [each["closure_reason"] for each in manifests] == closures
    assert [each["previous"] and each["previous"]["sha256"] for each in manifests] == [None, *(file.sha256 for file in written[:-1])]
    if profile.bytes_max:
        assert all(each["files"][0]["bytes"] <= profile.bytes_max for each in manifests)
    assert contents(tmp_path / "out") == before
    assert not any(file.is_new for file in again)


def test_a_compressed_file_is_the_same_bytes_again_and_its_manifest_has_the_plain_stem(store: Store, tmp_path: Path):
    store.settle(1, 7)
    profile = Profile("packed", "jsonl", columns=("charge_id",), is_gzip=True)

    (written,) = store.export(tmp_path / "one", profile=profile)
    store.export(tmp_path / "two", profile=profile)

    assert written.file_name == "mvg01_packed_cmcc-gd_20060501_00000001_r00.jsonl.gz"
    assert written.manifest_name == "mvg01_packed_cmcc-gd_20060501_00000001_r00.manifest.json"
    lines = gzip.decompress((tmp_path / "one" / written.file_name).read_bytes()).splitlines()
    assert [json.loads(line)["charge_id"] for line in lines] == [str(number * 256) for number in range(1, 8)]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_parts_interrupted_in_the_middle_go_on_with_the_next_number(store: Store, tmp_path: Path):
    store.settle(1, 7)
    profile = Profile("parts", records_max=3)
    with pytest.raises(Killed):
        store.export(tmp_path / "out", profile=profile, files=KilledFiles(12))

    written = store.export(tmp_path / "out", profile=profile)

    assert [(file.file_seq, file.records, file.is_new) for file in written] == [(1, 3, False), (2, 3, True), (3, 1, True)]


def test_a_profile_changed_since_leaves_the_files_it_made(store: Store, tmp_path: Path):
    store.settle(1, 2)
    old, new = Profile("narrow", columns=("charge_id", "amount_minor")), Profile("narrow", "jsonl", columns=("charge_id",))
    (first,) = store.export(tmp_path / "out", profile=old)
    before = contents(tmp_path / "out")
    store.settle(3, 1)

    both = store.export(tmp_path / "out", profile=new)

    assert contents(tmp_path / "out").items() >= before.items()
    assert (tmp_path / "out" / first.file_name).read_bytes() == b"charge_id,amount_minor\r\n256,10\r\n512,10\r\n"
    assert (tmp_path / "out" / both[1].file_name).read_bytes() == b'{"charge_id":"768"}\n'


def test_masked_numbers_need_the_same_key_again(store: Store, tmp_path: Path):
    store.settle(1, 1)
    profile = Profile("masked", mask="hmac", mask_key=export.masking.fingerprint(KEY))
    (written,) = store.export(tmp_path / "out", profile=profile)

    (row,) = records(tmp_path / "out" / written.file_name)
    manifest = manifest_of(tmp_path / "out", written)
    assert (len(row["charged_msisdn"]), "8613800000000" in str(row), manifest["is_masked"]) == (32, False, True)
    with pytest.raises(ExportError, match="key of masked numbers"):
        export.export(store.desk(tmp_path / "out")._replace(mask_key=b"another key"), ORDER._replace(profile=profile))


def test_a_filter_takes_its_charges_and_leaves_the_others_to_another_run(store: Store, tmp_path: Path):
    store.settle(1, 3)
    with store.engine.begin() as conn:
        conn.execute(text("UPDATE charge SET provider = 'acme' WHERE id = 512"))

    (of_acme,) = store.export(tmp_path / "out", provider="acme")
    rest = store.export(tmp_path / "out")

    assert [row["charge_id"] for row in records(tmp_path / "out" / of_acme.file_name)] == ["512"]
    assert [(file.file_seq, file.records) for file in rest] == [(2, 2)]


def test_a_charge_that_comes_into_the_days_behind_the_reader_is_counted_as_lost_and_found_by_the_next_export(store: Store, tmp_path: Path):
    store.seq = 5
    store.settle(1, 7)

    def told(stage: str, done: int, _total: int) -> None:
        if (stage, done) == ("gathering", 3):
            store.seq = 3
            store.settle(20, 1)

    (written,) = export.export(store.desk(tmp_path / "out")._replace(told=told), ORDER)
    again = store.export(tmp_path / "out")

    assert (written.records, manifest_of(tmp_path / "out", written)["lost_records"]) == (7, 1)
    assert [(file.records, manifest_of(tmp_path / "out", file)["lost_records"]) for file in again] == [(7, 1), (1, 0)]


def test_a_preview_counts_and_writes_nothing(store: Store, tmp_path: Path):
    store.settle(1, 4)
    store.settle(5, 1, price=0)
    store.export(tmp_path / "out", after=20060502)
    store.settle(6, 2)

    (line,) = runs.preview(store.books, ORDER)

    assert (line.currency, line.service, line.records, line.amount_minor, line.exported) == ("CNY", "chat", 7, 60, 5)


def test_two_exports_at_work_on_one_run_do_not_mix(store: Store, tmp_path: Path):
    store.settle(1, 7)
    inner: list[list[export.Written]] = []

    def overtaken() -> int:
        if not inner:
            inner.append([])
            inner[0] = store.export(tmp_path / "elsewhere")
        return store.new_id()

    outer = export.export(store.desk(tmp_path / "out")._replace(new_id=overtaken), ORDER)

    # The one overtaken finds nothing left and gives its number an empty file: no gap, no charge twice.
    assert [(file.file_seq, file.records) for file in inner[0]] == [(1, 7)]
    assert [(file.file_seq, file.records) for file in outer] == [(1, 7), (2, 0)]


def test_two_exports_do_not_write_into_one_folder(store: Store, tmp_path: Path):
    with LocalFiles().locked(str(tmp_path), "x"), pytest.raises(ExportError, match="another export is at work here"):
        store.export(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"carrier": "../x"},
        {"node": ""},
        {"zone": "Mars/Base"},
        {"zone": "../etc"},
        {"after": 20060501},
        {"profile": Profile("a_b")},
        {"profile": Profile("x", columns=("charge_id", "price"))},
        {"profile": Profile("x", "parquet", bytes_max=100_000)},
        {"profile": Profile("x", "fixed")},
        {"profile": Profile("x", mask="hmac")},
    ],
)
def test_what_cannot_be_exported_is_refused_before_a_number_is_taken(store: Store, tmp_path: Path, changes: dict[str, object]):
    with pytest.raises(ExportError):
        store.export(tmp_path / "out", **changes)

    with store.engine.begin() as conn:
        assert conn.execute(text("SELECT COUNT(*) FROM export_run")).scalar() == 0
