"""Joining parts: any order, repeats, strangers, and parts that never come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sms import segments, udh
from gateway.sms.errors import PartError
from gateway.sms.reassembly import Assembly, Part, PartKey, add, fold, is_complete, is_expired, join, missing

MINUTE_US = 60_000_000


def part(number: int, body: bytes, data_coding: int = 0, received_at: int = 0) -> Part:
    return Part(number, body, data_coding, received_at)


@given(st.permutations([1, 2, 3, 4]), st.lists(st.sampled_from([1, 2, 3, 4]), max_size=4))
@settings(max_examples=60)
def test_parts_in_any_order_with_repeats_are_joined_once(order: list[int], again: list[int]) -> None:
    arrivals = [part(number, b"%d," % number, received_at=at) for at, number in enumerate([*again, *order, *again])]

    assembly = fold(4, arrivals)

    assert is_complete(assembly)
    assert join(assembly) == ("1,2,3,4,", b"1,2,3,4,", (), 0)
    assert assembly.conflicts == ()


def test_a_repeat_changes_nothing() -> None:
    assembly = fold(2, [part(1, b"a", received_at=5)])

    assert add(assembly, part(1, b"a", received_at=9)) is assembly


def test_another_body_under_a_known_number_is_flagged_and_the_first_kept() -> None:
    assembly = fold(2, [part(1, b"a"), part(1, b"other"), part(2, b"b"), part(1, b"third")])

    assert assembly.conflicts == (1,)
    assert join(assembly).text == "ab"


def test_two_senders_with_the_same_reference_do_not_mix() -> None:
    parts: dict[PartKey, Assembly] = {}
    for sender in ("8613800000001", "8613800000002"):
        for octets in segments.split(sender * 20, reference=9, parts_max=4).parts:
            content = segments.decode(0, True, octets)
            place = udh.concatenation(content.elements)
            assert place is not None
            key = PartKey(sender, "10661700", place.reference, place.wide, place.total)
            parts[key] = add(parts.get(key, Assembly(key.total)), part(place.number, content.raw))

    assert [join(assembly).text for assembly in parts.values()] == ["8613800000001" * 20, "8613800000002" * 20]


def test_a_changed_total_or_width_is_another_message() -> None:
    key = PartKey("8613800000001", "10661700", 9, False, 2)

    assert len({key, key._replace(total=3), key._replace(wide=True), key._replace(destination="10661701")}) == 4


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_part_outside_its_total_is_refused(number: int) -> None:
    with pytest.raises(PartError):
        add(Assembly(2), part(number, b"x"))


def test_a_partial_message_says_what_is_missing() -> None:
    assembly = fold(4, [part(4, b"d"), part(1, b"a")])

    assert not is_complete(assembly)
    assert missing(assembly) == (2, 3)
    assert join(assembly) == ("ad", b"ad", (2, 3), 0)


def test_nothing_at_all_joins_to_no_text() -> None:
    assert join(Assembly(2)) == (None, b"", (1, 2), 0)


def test_halves_of_a_pair_meet_across_a_cut_but_not_across_a_gap() -> None:
    smile = "😀".encode("utf-16-be")

    assert join(fold(2, [part(2, smile[2:], 8), part(1, smile[:2], 8)])).text == "😀"
    assert join(fold(3, [part(3, smile[2:], 8), part(1, smile[:2], 8)])).text == "\ufffd\ufffd"
    assert join(fold(2, [part(1, b"a\x1b"), part(2, b"\x65b")])).text == "a€b"


def test_parts_of_different_codings_are_read_each_in_its_own() -> None:
    assert join(fold(2, [part(1, b"\x00", 0), part(2, "你".encode("utf-16-be"), 8)])).text == "@你"
    assert join(fold(2, [part(1, b"\x00", 0), part(2, b"\x01", 4)])) == (None, b"\x00\x01", (), 0)


def test_the_default_alphabet_of_the_link_is_used() -> None:
    assert join(fold(1, [part(1, b"@")]), default="latin1").text == "@"


def test_a_message_expires_at_its_timeout() -> None:
    assert not is_expired(1_000, 1_000 + MINUTE_US - 1, MINUTE_US)
    assert is_expired(1_000, 1_000 + MINUTE_US, MINUTE_US)
