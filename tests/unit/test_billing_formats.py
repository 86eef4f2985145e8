"""The forms of a charge file: what a reader of each finds in it."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import cdr, masking
from billing.cdr import Layout
from billing.errors import ExportError
from billing.formats.choice import encoder
from billing.formats.shape import Head
from billing.manifest import Recount, period_name
from billing.profile import Profile, checked, columns_from, from_spec
from tests.support.charges import CHARGE, SHANGHAI, page_of

HEAD = Head(cdr.SCHEMA, "mvg01", "cmcc", "cmcc-gd", "20060501", "Asia/Shanghai", 0, 86_400_000_000, 1, 42, 0, "a.csv")


def encoded(profile: Profile, *charges: dict[str, object], page_rows: int = 2) -> bytes:
    layout = Layout(profile.columns, SHANGHAI, masking.last4 if profile.mask == "last4" else None)
    page = page_of(layout, *charges)
    made, recount = encoder(profile, layout, HEAD, zone=SHANGHAI, lost=0), Recount()
    chunks = [made.begin()]
    for start in range(0, len(page), page_rows):
        recount.add(page[start : start + page_rows])
        chunks.append(made.page(page[start : start + page_rows]))
    return b"".join((*chunks, made.finish(recount, "period")))


def test_json_lines_keep_ids_as_text_and_amounts_as_numbers():
    (line,) = encoded(Profile(flavour="jsonl"), CHARGE).splitlines()

    record = json.loads(line)
    assert list(record) == list(cdr.COLUMNS)
    assert (record["charge_id"], record["journal_seq"], record["amount_minor"], record["item_id"]) == ("512", "7", 20, None)


def test_columns_come_in_the_order_of_the_profile():
    data = encoded(Profile(columns=("amount_minor", "charge_id")), CHARGE, {**CHARGE, "id": 768, "amount_minor": -3})

    assert data == b"amount_minor,charge_id\r\n20,512\r\n-3,768\r\n"


@pytest.mark.parametrize("evil", ["=1+1", "+8613", "-2", "@SUM(A1)", "\tx", "\rx"])
def test_only_the_spreadsheet_profile_disarms_a_formula_and_numbers_stay_numbers(evil: str):
    charge = {**CHARGE, "item": evil, "amount_minor": -20}
    columns = ("item_id", "amount_minor")

    machine = encoded(Profile(columns=columns), charge)
    spreadsheet = encoded(Profile(columns=columns, is_spreadsheet=True, has_bom=True), charge)

    assert list(csv.reader(io.StringIO(machine.decode(), newline="")))[1] == [evil, "-20"]
    assert spreadsheet.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(spreadsheet.decode("utf-8-sig"), newline="")))[1] == ["'" + evil, "-20"]


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(10**15), 10**15)), max_size=7))
def test_csv_and_json_lines_give_back_what_went_in(rows: list[tuple[str, int]]):
    charges = [{**CHARGE, "service": service, "amount_minor": amount} for service, amount in rows]
    columns = ("service_code", "amount_minor")

    from_csv = list(csv.reader(io.StringIO(encoded(Profile(columns=columns), *charges).decode(), newline="")))[1:]
    from_json = [json.loads(line) for line in encoded(Profile(flavour="jsonl", columns=columns), *charges).split(b"\n") if line]

    assert from_csv == [[service, str(amount)] for service, amount in rows]
    assert [(each["service_code"], each["amount_minor"]) for each in from_json] == rows


def test_a_framed_file_begins_with_what_it_is_and_ends_with_what_to_check_it_by():
    refund = {**CHARGE, "id": 768, "record_type": 1, "amount_minor": -5, "corrects": 512}
    profile = Profile("cmcc", "framed-csv", columns=("record_seq", "charge_id", "amount_minor"))

    data = encoded(profile, CHARGE, CHARGE | {"currency": "QQB", "item": "a|b"}, refund)

    lines = data.split(b"\r\n")
    assert lines[0] == (
        b"H|charge/1|mvg01|cmcc|cmcc-gd|20060501|42|0|Asia/Shanghai|1970-01-01T00:00:00.000000Z|1970-01-02T00:00:00.000000Z"
        b"|1970-01-01T00:00:00.000001Z"
    )
    assert lines[1:4] == [b"D|1|512|20", b"D|2|512|20", b"D|3|768|-5"]
    digest = hashlib.sha256(b"\r\n".join(lines[:4]) + b"\r\n").hexdigest()
    assert lines[4].decode() == f"T|42|3|CNY=15;QQB=20|CHARGE:CNY=20;REFUND:CNY=-5;CHARGE:QQB=20|512|768|{digest}|period"


def test_fixed_width_fills_numbers_with_zeros_and_texts_with_spaces():
    profile = Profile("cmcc", "fixed", ("charge_id", "amount_minor", "item_id", "service_code"), (6, 5, 3, 6))

    data = encoded(profile, CHARGE, {**CHARGE, "amount_minor": -20})

    assert data.split(b"\r\n")[1:3] == [b"D512   00020   chat  ", b"D512   -0020   chat  "]


@pytest.mark.parametrize("changes", [{"service": "chat-line"}, {"service": "a\nb"}, {"service": "€€€"}, {"amount_minor": 123_456}])
def test_what_does_not_fit_its_width_stops_the_file_and_names_charge_and_column(changes: dict[str, object]):
    profile = Profile("cmcc", "fixed", ("service_code", "amount_minor"), (6, 5))

    with pytest.raises(ExportError, match=r"charge 512, column (service_code|amount_minor)"):
        encoded(profile, CHARGE | changes)


def test_parquet_has_whole_numbers_and_text_ids_whatever_the_pages_were():
    charges = [{**CHARGE, "id": 512 + number, "amount_minor": 10**15 + number} for number in range(5)]

    data = encoded(Profile(flavour="parquet"), *charges)

    table = pq.read_table(io.BytesIO(data))
    assert table.column("amount_minor").to_pylist() == [10**15 + number for number in range(5)]
    assert table.column("charge_id").to_pylist() == [str(512 + number) for number in range(5)]
    assert table.column("item_id").to_pylist() == [None] * 5
    assert data == encoded(Profile(flavour="parquet"), *charges, page_rows=5)


@pytest.mark.parametrize("flavour", ["parquet", "xlsx", "csv", "jsonl", "framed-csv", "ber"])
def test_a_file_without_records_is_whole_too(flavour: str):
    data = encoded(Profile(flavour=flavour))

    assert data == encoded(Profile(flavour=flavour))
    if flavour == "parquet":
        assert pq.read_table(io.BytesIO(data)).num_rows == 0


def test_a_workbook_has_sums_and_records_and_no_formula():
    data = encoded(Profile(flavour="xlsx"), CHARGE, {**CHARGE, "service": "=1+1", "amount_minor": -5, "record_type": 1})

    book = openpyxl.load_workbook(io.BytesIO(data))
    header, *rows = book["Records"].iter_rows(values_only=True)
    first = dict(zip(header, rows[0], strict=True))
    assert (first["charge_id"], first["amount_minor"], first["item_id"]) == ("512", 20, None)
    cell = book["Records"].cell(3, 1 + header.index("service_code"))
    assert (cell.value, cell.data_type) == ("=1+1", "s")
    sums = [row for row in book["Totals"].iter_rows(values_only=True) if row[0] == "CNY"]
    assert sums == [("CNY", "CHARGE", "chat", 1, "0.20", "0.00", 20), ("CNY", "REFUND", "=1+1", 1, "-0.05", "0.00", -5)]
    assert data == encoded(
        Profile(flavour="xlsx"), CHARGE, {**CHARGE, "service": "=1+1", "amount_minor": -5, "record_type": 1}, page_rows=1
    )


def test_last4_shows_four_digits_and_of_a_short_number_none():
    assert masking.last4(["8613800001234", "1234", None, 10001]) == ["*********1234", "****", None, "*0001"]


def test_a_keyed_mask_is_one_word_a_number_and_another_with_another_key():
    mask, other = masking.keyed(b"k" * 16), masking.keyed(b"l" * 16)

    first, second, third, none = mask(["8613800001234", "8613800001234", "8613800001235", None])
    assert first == second != third
    assert (len(first), none, other(["8613800001234"])[0] != first) == (32, None, True)


def test_masking_touches_the_numbers_of_people_only():
    data = encoded(Profile(flavour="jsonl", mask="last4"), CHARGE)

    record = json.loads(data)
    assert (record["charged_msisdn"], record["peer_msisdn"], record["im_account"]) == ("*********0000", "*********0000", "*0001")
    assert (record["short_code"], record["charge_id"]) == ("10086", "512")


@given(
    st.builds(
        Profile,
        flavour=st.sampled_from(["csv", "jsonl"]),
        columns=st.lists(st.sampled_from(cdr.COLUMNS), min_size=1, unique=True).map(tuple),
        records_max=st.integers(0, 10**6),
        is_gzip=st.booleans(),
    )
)
def test_a_profile_survives_being_kept_as_text_and_its_version_is_its_content(profile: Profile):
    assert from_spec(profile.spec()) == profile
    assert (from_spec(profile.spec()).version == Profile("other").version) is False


def test_widths_are_given_for_every_column_or_none():
    assert columns_from(()) == (cdr.COLUMNS, ())
    assert columns_from(("charge_id:20", "amount_minor:12")) == (("charge_id", "amount_minor"), (20, 12))
    for typed in (("charge_id:20", "amount_minor"), ("charge_id:0",), ("charge_id:999",), ("charge_id:x",)):
        with pytest.raises(ExportError, match="width"):
            columns_from(typed)


@pytest.mark.parametrize(
    ("profile", "key"),
    [
        (Profile("p", "csv", columns=()), "columns"),
        (Profile("p", "csv", columns=("charge_id", "charge_id")), "columns"),
        (Profile("p", "csv", widths=(1,)), "columns"),
        (Profile("p", "tap3"), "flavour"),
        (Profile("p", mask="first4"), "mask"),
        (Profile("p", "jsonl", has_bom=True), "bom"),
        (Profile("p", "jsonl", is_spreadsheet=True), "spreadsheet"),
        (Profile("p", "xlsx", is_gzip=True), "gzip"),
        (Profile("p", "xlsx", records_max=10**6), "records_max"),
        (Profile("p", bytes_max=100), "bytes_max"),
        (Profile("p", "ber", mask="last4"), "mask"),
        (Profile("p", "ber", columns=("charge_id",)), "columns"),
    ],
)
def test_a_profile_that_cannot_be_written_is_refused_by_its_key(profile: Profile, key: str):
    with pytest.raises(ExportError, match=rf"profile p, {key}: "):
        checked(profile)


@pytest.mark.parametrize(
    ("first", "after", "name"),
    [
        (20060501, 20060502, "20060501"),
        (20060501, 20060601, "200605"),
        (20051201, 20060101, "200512"),
        (20060501, 20060508, "20060501-20060507"),
        (20060531, 20060602, "20060531-20060601"),
    ],
)
def test_days_have_a_name_for_files(first: int, after: int, name: str):
    assert period_name(first, after) == name
