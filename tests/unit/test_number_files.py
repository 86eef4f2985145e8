"""Number lists, numbering plans, portability tables and rates: what their files may say, and how large they may be."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.failure import Refused
from gateway.domain.number_files import decoded, numbering_of, read_list, read_plan, read_portability, read_rates
from gateway.domain.number_lists import NumberList, NumberLists
from gateway.domain.number_set import NumberMap, NumberSet

PLAN = "prefix;mcc;mnc;operator;country\n# a comment\n86139;460;00;China Mobile;CN\n+86 130;460;01;China Unicom;CN\n"


def listed(text: str, **fields) -> NumberList:
    known = {"name": "list", "is_allow": False, "is_of_senders": False, "partner": "", "service": ""}
    return NumberList(**{**known, **fields}, **dict(zip(("numbers", "prefixes"), read_list("list.txt", text), strict=True)))


def test_a_list_takes_numbers_prefixes_names_comments_and_the_first_column_of_a_csv():
    known = listed('msisdn,since\n8613900001234,2026\n"+86 139-0000-1235",x\n# no\n\n852*\nMyBank\n0086 13900001236\n')

    assert all(known.has(number) for number in ("8613900001234", "8613900001235", "8613900001236", "85291234567", "mybank"))
    assert not known.has("8613900001237")
    assert not known.has("msisdn")


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (lambda text: read_list("f", text), "86139\n*\n", "f:2: stops or allows everything; write a prefix before *"),
        (lambda text: read_list("f", text), "a\x00b\n", "f:1: is no number, prefix or sender"),
        (lambda text: read_plan("f", text), "86139;460\n", "f:1: must be prefix;mcc;mnc;operator;country"),
        (lambda text: read_plan("f", text), "86139;46;00\n", "f:1: MCC is 3 digits and MNC 2 or 3, as in ITU-T E.212"),
        (lambda text: numbering_of(None, ("f", text)), "8613900001234\n", "f:1: must be number;network"),
        (lambda text: numbering_of(None, ("f", text)), "x;46000\n", "f:1: the number is not 1 to 15 digits"),
        (
            lambda text: numbering_of(("p", PLAN), ("f", text)),
            "\n8613900001234;Nobody\n",
            "f:2: the network is neither MCC and MNC nor an operator of the numbering plan",
        ),
        (lambda text: read_rates("f", text), "a;86\n", "f:1: must be link;prefix;cost"),
        (lambda text: read_rates("f", text), "a;86;1.5\n", "f:1: the cost is not a whole number from 0 to 1000000000000"),
        (lambda text: read_rates("f", text), "a;x;1\n", "f:1: the prefix is not 1 to 15 digits"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number_and_not_quoted(read, text, said):
    with pytest.raises(Refused) as caught:
        read(text)

    assert caught.value.text == said


def test_a_file_that_is_not_utf_8_is_named_with_its_line():
    with pytest.raises(Refused, match="f:2: is not UTF-8 text"):
        decoded("f", b"86139\n\xff\n")


def test_a_plan_and_a_portability_table_give_the_network():
    numbering = numbering_of(("p", PLAN), ("q", "8613900001234;china unicom\n8613000001234,46000\n8613000001235;20404\n"))

    assert str(numbering.network_of("8613900001234")) == "46001 China Unicom"
    assert str(numbering.network_of("8613900001235")) == "46000 China Mobile"
    assert str(numbering.network_of("8613000001234")) == "46000 China Mobile"
    assert str(numbering.network_of("8613000001235")) == "20404"
    assert numbering.network_of("4179000001") is None
    assert numbering.is_ported("8613900001234")
    assert not numbering.is_ported("8613900001235")


def test_rates_are_of_the_longest_prefix_and_the_last_line_counts():
    rates = read_rates("f", "link;prefix;cost\na;86;10\na;86139;7\na;86;9\nb;86;8\n")

    assert [rates.cost("a", "8613900001234"), rates.cost("a", "8613000001234"), rates.cost("b", "86"), rates.cost("b", "1")] == [
        7,
        9,
        8,
        None,
    ]


NUMBERS = st.one_of(st.text("0123456789", min_size=1, max_size=20), st.text("ab1", min_size=1, max_size=4))


@settings(max_examples=100)
@given(st.lists(NUMBERS), st.lists(NUMBERS))
def test_a_set_of_numbers_holds_what_was_added_and_nothing_else(added, asked):
    known = NumberSet()
    for number in added:
        known.add(number)
    known.settle()

    assert len(known) == len(set(added))
    assert [number in known for number in (*added, *asked)] == [number in set(added) for number in (*added, *asked)]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.text("0123456789", min_size=1, max_size=15), st.integers(0, 8191))), st.lists(NUMBERS))
def test_a_map_of_numbers_gives_the_value_added_last(added, asked):
    known = NumberMap()
    for number, value in added:
        known.add(number, value)
    known.settle()

    assert all(known.get(number) == value for number, value in dict(added).items())
    assert all(known.get(number) is None for number in asked if number not in dict(added))


def test_a_million_numbers_take_eight_octets_each():
    known, _ = read_list("f", "\n".join(str(8613900000000 + number) for number in range(300_000)))

    assert len(known) == 300_000
    assert sum(bucket.itemsize * len(bucket) for bucket in known._buckets) == 8 * 300_000


# -- which list stops what ----------------------------------------------------------------------------------------------


def stops(lists: NumberLists, partner: str = "acme", service: str = "chat", source: str = "MyBank", destination: str = "8613900001234"):
    return lists.stops(partner, service, source, destination)


def test_a_block_list_stops_what_is_on_it():
    lists = NumberLists([listed("8613900001234\n")])

    assert str(stops(lists)) == 'the destination is on the list "list"'
    assert stops(lists, destination="8613900001235") is None


def test_a_list_of_senders_looks_at_the_sender():
    lists = NumberLists([listed("mybank\n", is_of_senders=True)])

    assert str(stops(lists)) == 'the sender is on the list "list"'
    assert stops(lists, source="Other") is None


def test_a_list_of_one_partner_or_service_is_not_for_others():
    lists = NumberLists([listed("86*\n", partner="acme"), listed("86*\n", service="premium")])

    assert stops(lists) is not None
    assert stops(lists, partner="other") is None
    assert stops(lists, partner="other", service="premium") is not None


def test_an_allow_list_stops_what_is_not_on_it_and_a_block_list_goes_before_it():
    lists = NumberLists([listed("86139*\n", is_allow=True, name="may"), listed("8613900001234\n", name="never")])

    assert str(stops(lists)) == 'the destination is on the list "never"'
    assert str(stops(lists, destination="8613000001234")) == 'the destination is not on the list "may"'
    assert stops(lists, destination="8613900001235") is None


def test_a_portability_table_alone_needs_no_plan():
    assert read_portability("f", "1;46000\n", read_plan("p", ""))[0].get("1") == 0
