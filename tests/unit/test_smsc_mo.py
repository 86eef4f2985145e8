"""Messages from phones: lines of a CSV file, and what is wrong with them."""

from __future__ import annotations

import pytest

from simulators.form import FormError
from simulators.smsc_mo import made, parse_csv, pdus_of
from simulators.smsc_script import MoStream

LINES = """at,from,to,text,hex,dcs,parts
2,8613900000002,1069,"second, with a comma",,,
0.5,+8613900000001,1069,你好,,,
3,8613900000003,1069,,06050415811581deadbeef,0xF5,
4,8613900000004,1069,café,,3,
"""


def test_lines_come_in_order_of_their_time_each_in_its_alphabet():
    found = parse_csv(LINES, "mo.csv")

    pdus = [pdus_of(mo, 1)[0] for mo in found]
    assert [(pdu.source_addr, pdu.data_coding) for pdu in pdus] == [
        ("8613900000001", 8),
        ("8613900000002", 0),
        ("8613900000003", 0xF5),
        ("8613900000004", 3),
    ]
    assert pdus[0].short_message == "你好".encode("utf-16-be")
    assert pdus[1].short_message == b"second, with a comma"
    assert pdus[2].short_message.endswith(b"\xde\xad\xbe\xef")
    assert pdus[3].short_message == b"caf\xe9"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mo.csv: the file is empty"),
        ("at,from,too\n", "mo.csv: column 'too' is none of"),
        ("at,from,to,text\nsoon,861,1069,x\n", "mo.csv line 2: at: expected seconds"),
        ("at,from,to,text\n0,,1069,x\n", "mo.csv line 2: from: an address"),
        ("at,from,to,text\n0,861,1069,x\n0,861,1069,\n", "mo.csv line 3: text: give a text"),
        ("at,from,to,hex\n0,861,1069,0g\n", "mo.csv line 2: dcs: dcs is a number"),
        ("at,from,to,text,dcs\n0,861,1069,x,8000\n", "mo.csv line 2: dcs: 0 to 255"),
        ("at,from,to,text,dcs\n0,861,1069,x,4\n", "mo.csv line 2: dcs: a text has dcs 0, 3 or 8"),
        ("at,from,to,text,dcs\n0,861,1069,你,0\n", "mo.csv line 2:"),
        ("at,from,to,text,parts\n0,861,1069,x,udh\n", "mo.csv line 2: parts: one of udh8"),
    ],
)
def test_wrong_line_is_refused_with_its_number_and_column(text, said):
    with pytest.raises(FormError) as raised:
        parse_csv(text, "mo.csv")

    assert str(raised.value).startswith(said)


def test_template_is_filled_with_the_number_of_the_message():
    mo = made(MoStream(rate_per_s=4, from_s=10, source="8613{n:05}", text="number {n}"), 3)

    assert (mo.at_s, mo.source, mo.text) == (10.5, "861300003", "number 3")


def test_binary_template_is_octets():
    (pdu,) = pdus_of(made(MoStream(rate_per_s=1, encoding="binary", text="cafe0{n}"), 5), 1)

    assert (pdu.data_coding, pdu.short_message) == (4, b"\xca\xfe\x05")
