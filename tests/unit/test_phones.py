"""The virtual phones: joining, threads, limits and replies, without any clock or socket."""

from __future__ import annotations

import pytest

from gateway.sms import segments, udh
from gateway.sms.national import Shift
from simulators.phones import PENDING, RECEIVED, SENT, Incoming, PhoneError, Phones, msisdn_of

PHONE = "8613900001234"
SECOND_US = 1_000_000


def incoming(payload: bytes, *, number: int = 1, total: int = 1, reference: int = 7, source: str = "1069", coding: int = 8, at_us: int = 0):
    place = udh.Concatenation(reference, total, number, wide=False) if total > 1 else None
    return Incoming(source, PHONE, coding, payload, place, None, at_us)


def parts_of(text: str, reference: int = 7) -> list[Incoming]:
    segmented = segments.split(text, reference=reference, parts_max=10)
    total = len(segmented.parts)
    return [
        incoming(part[6:] if segmented.udhi else part, number=number, total=total, reference=reference, coding=segmented.data_coding)
        for number, part in enumerate(segmented.parts, 1)
    ]


def test_message_of_one_part_is_shown_at_once_with_an_id():
    phones = Phones()

    message = phones.receive(incoming("你好😀".encode("utf-16-be"), at_us=5))

    assert (message.id, message.text, message.peer, message.direction, message.at_us) == (1, "你好😀", "1069", RECEIVED, 5)
    assert phones.get(PHONE).messages == [message]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_long_message_is_joined_in_any_order_and_gets_its_id_when_whole(order):
    phones = Phones()
    text = "长短信测试" * 30
    parts = parts_of(text)

    for place in order[:-1]:
        assert phones.receive(parts[place]).id is None
    assert phones.get(PHONE).messages == []
    assert [(message.parts, message.parts_total) for message in phones.get(PHONE).incomplete()] == [(2, 3)]
    whole = phones.receive(parts[order[-1]])

    assert (whole.id, whole.text, whole.parts) == (1, text, 3)
    assert phones.get(PHONE).incomplete() == []


def test_message_that_is_whole_later_gets_the_later_id():
    phones = Phones()
    first, second, third = parts_of("长" * 150)

    phones.receive(first)
    single = phones.receive(incoming("短".encode("utf-16-be")))
    phones.receive(second)
    long = phones.receive(third)

    assert (single.id, long.id) == (1, 2)


def test_part_sent_again_unchanged_is_counted_and_not_shown_twice():
    phones = Phones()
    parts = parts_of("重复" * 50)
    for part in parts:
        phones.receive(part)

    again = phones.receive(parts[0])

    assert again.repeats == 1
    assert len(phones.get(PHONE).messages) == 1


def test_same_reference_with_another_text_is_another_message():
    phones = Phones()

    for part in parts_of("甲" * 100) + parts_of("乙" * 100):
        phones.receive(part)

    assert [message.text for message in phones.get(PHONE).messages] == ["甲" * 100, "乙" * 100]


def test_same_parts_after_the_repeat_window_are_a_new_message():
    phones = Phones(repeat_window_us=SECOND_US)
    parts = parts_of("再来" * 50)

    for at_us in (0, 2 * SECOND_US):
        for part in parts:
            phones.receive(part._replace(at_us=at_us))

    assert len(phones.get(PHONE).messages) == 2


def test_octets_without_text_are_kept_as_octets():
    phones = Phones()

    message = phones.receive(Incoming("1069", PHONE, 4, b"\x02\x4a", None, udh.Ports(5505, 0, wide=True), 0))

    assert (message.text, message.raw, message.port) == (None, b"\x02\x4a", 5505)


def test_reply_is_pending_and_split_with_the_narrowest_alphabet():
    phones = Phones()

    plain = phones.write(PHONE, "1069", "hello", 9)
    chinese = phones.write(PHONE, "1069", "回复" * 50, 9)

    assert (plain.message.state, plain.message.encoding, plain.segmented.parts) == (PENDING, "gsm7", (b"hello",))
    assert (chinese.message.direction, chinese.message.encoding, chinese.message.parts_total) == (SENT, "ucs2", 2)
    assert chinese.segmented.udhi


def test_two_long_replies_differ_in_their_reference():
    phones = Phones()

    first = phones.write(PHONE, "1069", "回复" * 50, 0)
    second = phones.write(PHONE, "1069", "回复" * 50, 0)

    assert first.segmented.parts[0] != second.segmented.parts[0]


@pytest.mark.parametrize(
    ("msisdn", "to", "text", "field"),
    [
        ("", "1069", "x", "msisdn"),
        ("8613<script>", "1069", "x", "msisdn"),
        ("1" * 21, "1069", "x", "msisdn"),
        (PHONE, "", "x", "to"),
        (PHONE, "号码", "x", "to"),
        (PHONE, "1069", "", "text"),
        (PHONE, "1069", "x" * 10_000, "text"),
        (PHONE, "1069", "\ud800", "text"),
    ],
)
def test_bad_reply_names_its_field_and_leaves_no_trace(msisdn, to, text, field):
    phones = Phones()

    with pytest.raises(PhoneError) as raised:
        phones.write(msisdn, to, text, 0)

    assert raised.value.field == field
    assert len(phones) == 0


def test_number_has_one_spelling():
    assert {msisdn_of("+86 139-0000-1234"), msisdn_of(" 8613900001234 ")} == {PHONE}


def test_silent_phones_go_first_and_added_ones_stay():
    phones = Phones(phones_max=2)
    phones.add("111")

    for number in ("222", "333", "444"):
        phones.receive(incoming(b"x", coding=0)._replace(destination=number))

    assert sorted(phone.msisdn for phone in phones) == ["111", "444"]


def test_oldest_messages_of_a_phone_go_first():
    phones = Phones(messages_max=10)

    for number in range(25):
        phones.receive(incoming(str(number).encode(), coding=0))

    texts = [message.text for message in phones.get(PHONE).messages]
    assert len(texts) <= 10
    assert texts[-1] == "24"


def test_clear_forgets_messages_and_keeps_added_phones():
    phones = Phones()
    phones.add(PHONE)
    phones.receive(incoming(b"x", coding=0))
    phones.receive(incoming(b"x", coding=0)._replace(destination="999"))

    phones.clear()

    assert [(phone.msisdn, phone.messages) for phone in phones] == [(PHONE, [])]


def test_a_phone_reads_national_tables_in_one_message_and_in_parts() -> None:
    phones = Phones()
    turkish = Shift(single=1)

    whole = phones.receive(Incoming("1069", PHONE, 0, b"\x1bs", None, None, 0, turkish))
    for number, octets in enumerate((b"a\x1bs", b"\x1bg"), 1):
        parts = phones.receive(Incoming("1069", PHONE, 0, octets, udh.Concatenation(1, 2, number, wide=False), None, 0, turkish))

    assert (whole.text, parts.text) == ("ş", "aşğ")
