"""A table added to the configuration's text, and one taken out, with the rest as it was."""

from __future__ import annotations

import tomllib

import pytest

from gateway.errors import Refused
from gateway.settings_edit import literal, with_entry, without_entry

TEXT = """\
# head
[web]
port = 1  # why

# the first carrier
[[links]]
name = "a"  # a comment
[links.tlvs]
"0x1400" = "x"

# the second carrier
[[links]]
name = "b"
text = '''
[[links]]
'''

# what is sold
[[services]]
name = "chat"
"""


def test_an_entry_is_added_at_the_end_and_nothing_else_moves():
    added = with_entry(TEXT, "links", {"name": "c", "port": 2775, "tls": True, "tlvs": {"0x1400": 'a "b"'}})

    assert added.startswith(TEXT)
    assert tomllib.loads(added)["links"][2] == {"name": "c", "port": 2775, "tls": True, "tlvs": {"0x1400": 'a "b"'}}


def test_an_entry_is_added_to_a_text_without_a_last_newline():
    assert tomllib.loads(with_entry("[web]\nport = 1", "links", {"name": "c"})) == {"web": {"port": 1}, "links": [{"name": "c"}]}


@pytest.mark.parametrize(("index", "left"), [(0, "b"), (1, "a")])
def test_an_entry_is_taken_out_with_what_belongs_to_it(index, left):
    rest = without_entry(TEXT, "links", index)

    read = tomllib.loads(rest)
    assert [each["name"] for each in read["links"]] == [left]
    assert (read["web"], read["services"]) == ({"port": 1}, [{"name": "chat"}])


def test_comments_above_the_next_table_stay():
    assert '# the second carrier\n[[links]]\nname = "b"' in without_entry(TEXT, "links", 0)
    assert "# what is sold\n[[services]]" in without_entry(TEXT, "links", 1)


def test_the_last_entry_can_be_taken_out():
    assert without_entry("[[links]]\nname = 'a'\n", "links", 0) == ""


def test_links_that_are_no_tables_are_left_to_a_person():
    with pytest.raises(Refused, match="by hand"):
        without_entry('links = [{ name = "a" }]\n', "links", 0)


@pytest.mark.parametrize(
    ("typed", "value"), [("5", 5), ("2.5", 2.5), ("true", True), ("pair", "pair"), ('{"0x1400": "x"}', {"0x1400": "x"}), ("null", "null")]
)
def test_a_value_as_typed_is_read_as_what_it_looks_like(typed, value):
    assert literal(typed) == value
