"""Submissions cut into parts: anything that may be asked gives parts that fit, or a refusal with its field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.message import Flight, Message, UnknownOutcome
from gateway.links.wire_form import UDHI, as_stored, wire_form
from gateway.services.catalogue import Catalogue, Service
from gateway.services.parts import Parting, Parts
from gateway.services.submit import Sender, Submission
from gateway.smpp.consts import Tag
from gateway.sms.errors import TextError
from gateway.sms.national_tables import HINDI, TURKISH
from gateway.sms.profile import Method, TextProfile

SERVICE = Service("chat", 10, "CNY", True, UnknownOutcome.RESEND, 1, 3, "1", "flat", 2)
PROFILES = {
    "plain": TextProfile(),
    "wide": TextProfile(method=Method.UDH16),
    "sar": TextProfile(method=Method.SAR),
    "payload": TextProfile(method=Method.PAYLOAD),
    "packed": TextProfile(is_packed=True, languages=(TURKISH, HINDI)),
    "latin1": TextProfile(alphabet="latin1"),
    "utf8": TextProfile(alphabet="utf8", method=Method.SAR),
    "short": TextProfile(parts_max=1),
}


def parting(alphabet: str = "gsm7") -> Parting:
    return Parting(Catalogue({"chat": SERVICE}, {}, "chat", "", 1, (), PROFILES, alphabet))


def submission(text: str | None, **fields: Any) -> Submission:
    return Submission(Sender(0, None), Address("1069", 0, 1), Address("8613900000001", 1, 1), "chat", text, **fields)


def flights(parts: Parts) -> list[Flight]:
    ends = ("8613900000001", 1, 1, 0, parts.data_coding, parts.esm_class, 0, 0, 1, len(parts.bodies), None, 0, 0)
    return [Flight(1, Message(1, 0, None, None, None, "chat", "1069", 0, 1, *ends), body, "sim") for body in parts.bodies]


@given(
    st.one_of(st.none(), st.text(max_size=300)),
    st.binary(max_size=500),
    st.integers(0, 255),
    st.sampled_from([0, UDHI]),
    st.sampled_from(sorted(PROFILES)),
    st.sampled_from(["gsm7", "latin1", "ascii", "utf8"]),
    st.sampled_from([None, True, False]),
)
@settings(max_examples=200, deadline=None)
def test_anything_asked_gives_parts_that_fit_their_link_or_a_refusal(text, body, coding, esm_class, link, alphabet, replaces) -> None:
    asked = submission(text, body=body, data_coding=coding, esm_class=esm_class if text is None else 0, replace_typographic=replaces)
    # The doors let no part with a header through that is longer than one short message.
    assume(not (text is None and esm_class and len(body) > 140))

    try:
        parts = parting(alphabet).parts(asked, SERVICE, link)
    except Refused:
        return

    assert 1 <= len(parts.bodies) <= parts.short_messages <= SERVICE.parts_max
    if link != "payload":
        assert all(len(each) <= 160 for each in parts.bodies)
    to_wire = wire_form(PROFILES[link]) or as_stored
    for flight in flights(parts):
        try:
            form = to_wire(flight)
        except TextError:
            continue
        assert len(form.body) <= 254
        assert not (form.body and Tag.MESSAGE_PAYLOAD in form.tlvs)


def test_a_text_of_a_service_that_allows_it_is_replaced_and_a_request_can_overrule_it():
    allowing = SERVICE._replace(replaces_typographic=True)

    by_service = parting().parts(submission("“hi”"), allowing, "plain")
    overruled = parting().parts(submission("“hi”", replace_typographic=False), allowing, "plain")
    ucs2 = parting().parts(submission(None, body="“hi”".encode("utf-16-be"), data_coding=8), allowing, "plain")

    assert [each.bodies for each in (by_service, ucs2)] == [(b'"hi"',), (b'"hi"',)]
    assert (overruled.data_coding, ucs2.data_coding) == (8, 0)


def test_references_of_a_destination_go_on_over_255_for_16_bits_and_around_for_8():
    cutting = parting()
    for _ in range(256):
        cutting.parts(submission("a" * 200), SERVICE, "plain")

    eight = cutting.parts(submission("a" * 200), SERVICE, "plain").bodies[0]
    sixteen = cutting.parts(submission("a" * 200), SERVICE, "wide").bodies[0]

    assert (eight[3], sixteen[3:5]) == (0, b"\x01\x01")


def test_a_carrier_may_take_less_than_its_service():
    with pytest.raises(Refused) as refused:
        parting().parts(submission("a" * 200), SERVICE, "short")

    assert refused.value.reason == "too_long"


def test_a_segment_made_for_another_link_leaves_in_this_ones_form_or_says_that_it_cannot():
    (greek,) = flights(parting().parts(submission("ΣΩ"), SERVICE, "plain"))
    long_greek, *_ = flights(parting().parts(submission("Σ" * 200), SERVICE, "plain"))
    payload, *_ = flights(parting().parts(submission("a" * 200), SERVICE, "payload"))
    to_latin1 = wire_form(PROFILES["latin1"])
    assert to_latin1 is not None

    form = to_latin1(greek)

    assert (form.data_coding, form.body.decode("utf-16-be")) == (8, "ΣΩ")
    with pytest.raises(TextError):
        to_latin1(long_greek)
    assert as_stored(payload).tlvs == {Tag.MESSAGE_PAYLOAD: b"a" * 200}


def test_a_phone_gets_no_reference_twice_running_though_many_others_had_messages_between():
    cutting, text = parting(), "a" * 200
    phones = [Address(f"86139{number:08d}", 1, 1) for number in range(10_001)]

    def reference_for(phone: Address) -> int:
        asked = submission(text)._replace(destination=phone)
        return cutting.parts(asked, SERVICE, "plain").bodies[0][3]

    first = [reference_for(phone) for phone in phones]
    second = [reference_for(phone) for phone in phones]

    assert [phone for phone, one, other in zip(phones, first, second, strict=True) if one == other] == []
