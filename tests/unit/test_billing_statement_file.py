"""A carrier's file is read exactly, or refused whole with the line and the field."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import statement_file, statement_profile
from billing.errors import CarrierFileError
from billing.statement_file import Record

CSV = """\
name = "cmcc-gd"
delimiter = "|"
zone = "Asia/Shanghai"
currency = "CNY"
test_numbers = ["86139*", "8613700000000"]

[columns.time]
at = 1
format = "%Y%m%d%H%M%S"
[columns.smsc_id]
at = 2
[columns.msisdn]
at = 3
prefix = "86"
[columns.service]
at = 4
[columns.status]
at = 5
billable = ["DELIVRD"]
not_billable = ["UNDELIV"]
[columns.fee_class]
at = 6
map = { "02" = "PER_MSG", "03" = "MONTHLY" }
[columns.amount]
at = 7
number = "decimal"

[trailer]
prefix = "T|"
count = 2
amount = 3
"""
LINE = "20261005120000|00AB12|13800000001|news|DELIVRD|02|0.10\n"
FILE = LINE + "20261031235959|AB13|8613800000002|news|UNDELIV|02|0.20\n" + "20261006000000||13800000003|club|DELIVRD|03|5.00\nT|3|530\n"

FIXED = """\
name = "fixed-1"
format = "fixed"
width = 40
currency = "CNY"
[columns.time]
at = [1, 12]
format = "%Y%m%d%H%M"
[columns.msisdn]
at = [13, 25]
[columns.service]
at = [26, 32]
[columns.amount]
at = [33, 40]
[trailer]
prefix = "99"
count = [3, 12]
amount = [13, 40]
"""


def read(text: str, profile: str = CSV) -> list[Record]:
    lines = text.encode().splitlines(keepends=True)
    return list(statement_file.read(lines, statement_profile.parse(profile), 20261001, 20261101, UTC))


def refusal(text: str, profile: str = CSV) -> str:
    with pytest.raises(CarrierFileError) as refused:
        read(text, profile)
    return str(refused.value)


def test_a_file_becomes_records_in_our_words():
    first, second, third = read(FILE)

    assert first == Record(
        1, LINE.rstrip(), 20261005, 1791172800000000, "", "ab12", "8613800000001", "news", 0, True, 10, "CNY", 1, 0
    )  # fmt: skip
    assert (second.day, second.is_billable, second.amount_minor) == (20261031, False, 20)
    assert (third.day, third.cycle, third.smsc_id) == (20261005, 20261000, "")


def test_fixed_width_is_read_by_position():
    text = "202610051200" + "8613800000001" + "news   " + "00000010" + "\n" + "99" + "1".zfill(10) + "10".zfill(28) + "\n"

    (record,) = read(text, FIXED)

    assert (record.msisdn, record.service, record.amount_minor, record.at_us) == ("8613800000001", "news", 10, 1791201600000000)
    assert "line 1: the line has 37 characters, not 40" in refusal(text[3:], FIXED)


def test_columns_may_be_named_by_the_header_and_quoted():
    profile = 'name = "h"\nheader = 1\ncurrency = "CNY"\nencoding = "gb18030"\n'
    profile += '[columns.time]\nat = "when"\nformat = "%Y-%m-%d"\n[columns.amount]\nat = "fee"\n'
    profile += '[columns.msisdn]\nat = "user"\n[columns.service]\nat = "业务"\nmap = { "新闻,早" = "news" }\n'
    lines = 'when,fee,user,业务\n2026-10-05,10,8613800000001,"新闻,早"\n'.encode("gb18030").splitlines(keepends=True)

    (record,) = statement_file.read(lines, statement_profile.parse(profile), 20261001, 20261101, UTC)

    assert (record.service, record.amount_minor) == ("news", 10)


def test_hexadecimal_message_ids_become_decimal():
    assert statement_file.message_id("00ff", "hex") == "255"
    assert statement_file.message_id("0000", "text") == "0"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE[:-8], "line 3: the file ends without its trailer"),
        (FILE[:80], "line 2: the line has no end: the file was cut"),
        (FILE.replace("T|3|", "T|4|"), "line 4, field trailer count: says 4, and the file has 3 records"),
        (FILE.replace("|530", "|531"), "line 4, field trailer amount: says 531 minor units, and the records add up to 530"),
        (FILE + LINE, "line 5: there is a line after the trailer"),
        (FILE.replace("|0.10\n", "|-0.10\n"), "line 1, field amount: -0.10 is negative"),
        (FILE.replace("|0.10\n", "|0.105\n"), "line 1, field amount: CNY has 2 digits"),
        (FILE.replace("|0.10\n", "|1,000\n"), "line 1, field amount: not an amount"),
        (FILE.replace("|0.10\n", "\n"), "line 1, field amount: is column 7, and the line has 6"),
        (FILE.replace("|club|", "|=HYPERLINK(1)|"), "line 3, field service: begins like a spreadsheet formula"),
        (FILE.replace("|club|", "||"), "line 3, field service: must have 1 to 32"),
        (FILE.replace("20261005120000", "20261305120000"), "line 1, field time: '20261305120000' is no time"),
        (FILE.replace("20261005120000", "20261205120000"), "line 1, field time: 2026-12-05 is not in the period"),
        (FILE.replace("UNDELIV", "WHATEVER"), "line 2, field status: the profile does not say what 'WHATEVER' means"),
        (FILE.replace("|03|", "|07|"), "line 3, field fee_class: the profile does not map '07'"),
        (FILE.replace("13800000001", "1380000000x"), "line 1, field msisdn: is no phone number"),
        (FILE.replace("\nT", "\n\nT"), "line 4: the line is empty"),
    ],
)
def test_a_bad_line_refuses_the_file_and_names_line_and_field(text: str, said: str):
    told = refusal(text)

    assert said in told
    assert "138000" not in told


def test_without_a_trailer_the_last_line_needs_its_end():
    profile = CSV.partition("[trailer]")[0]

    assert len(read(LINE, profile)) == 1
    assert "line 1: the line has no end: the file was cut" in refusal(LINE.rstrip(), profile)


def test_an_unknown_currency_is_refused():
    profile = CSV.replace('currency = "CNY"\n', "").replace("[trailer]", "[columns.currency]\nat = 8\n[trailer]")

    assert "line 1, field currency: unknown currency 'XYZ'" in refusal(LINE.rstrip() + "|XYZ\n", profile)


def test_bytes_of_another_encoding_are_refused():
    lines = [LINE.replace("news", "新闻").encode("gbk")]

    with pytest.raises(CarrierFileError, match="line 1: the line is not utf-8 text"):
        list(statement_file.read(lines, statement_profile.parse(CSV), 20261001, 20261101, UTC))


@given(st.integers(1, len(FILE.encode()) - 2))
def test_a_file_cut_anywhere_is_refused(length: int):
    refusal(FILE.encode()[:length].decode())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "cmcc-gd"', 'name = "CMCC GD"', "line 1, name: a profile has a name"),
        ('currency = "CNY"', 'currency = "XYZ"', "line 4, currency: unknown currency 'XYZ'"),
        ('currency = "CNY"\n', "", "currency: say the currency"),
        ("at = 2", "at = 0", "line 11, columns.smsc_id.at: is the column's number from 1"),
        ("[columns.service]", "[columns.servise]", "line 15, columns.servise: no such field"),
        ('number = "decimal"', 'number = "float"', "line 26, columns.amount.number: 'float' is none of minor, decimal"),
        ("MONTHLY", "WEEKLY", "line 23, columns.fee_class.map: 'WEEKLY' is no fee class"),
        ('format = "%Y%m%d%H%M%S"', 'format = "%m%d"', "line 9, columns.time.format: a time is read by a format with its year"),
        ('billable = ["DELIVRD"]\n', "", "line 17, columns.status.billable: say which words"),
        ("Asia/Shanghai", "Asia/Nowhere", "line 3, zone: there is no time zone"),
        ('prefix = "T|"', 'prefix = ""', "trailer.prefix: a trailer is known by how it begins"),
        ("delimiter", "delimeter", "line 2, delimeter: no such key"),
        ("[columns.time]", "[columns.time", "at line 7"),
        ("at = 7", 'at = "fee"', "line 25, columns.amount.at: is the column's number"),
        ("test_numbers = [", "test_numbers = [5, ", "line 5, test_numbers: is a list of words"),
    ],
)
def test_a_bad_profile_is_refused_and_names_line_and_key(old: str, new: str, said: str):
    assert old in CSV

    with pytest.raises(CarrierFileError, match=r"cmcc\.toml: ") as refused:
        statement_profile.parse(CSV.replace(old, new, 1), "cmcc.toml")

    assert said in str(refused.value)


def test_test_numbers_may_end_in_a_star():
    profile = statement_profile.parse(CSV)

    assert [profile.is_test(number) for number in ("8613912345678", "8613700000000", "8613700000001")] == [True, True, False]
