"""What plays cannot say well: numbers, windows, timers to the tick, and any octets at all."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import events as e
from gateway.smpp.consts import RESPONSE_BIT, SEQUENCE_MAX, CommandId
from gateway.smpp.errors import LocalProtocolError, NotBound, WindowFull
from gateway.smpp.legality import BINDS, MAY_RECEIVE, MAY_SEND
from gateway.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    GenericNack,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    decode,
    encode,
)
from gateway.smpp.session import Limits, Role, Session, State


def bound_pair(limits: Limits | None = None, first_sequence: int = 1, **bind: Any) -> tuple[Session, Session]:
    limits = limits or Limits()
    esme = Session(Role.ESME, limits, now=0.0, first_sequence=first_sequence)
    smsc = Session(Role.SMSC, limits, now=0.0)
    esme.send_request(BindTransceiver(system_id="partner", **bind), 0.0)
    (asked,) = smsc.receive_data(esme.data_to_send(), 0.0)
    assert isinstance(asked, e.BindRequested)
    smsc.accept_bind(asked.pdu, "operator", 0.0)
    (bound,) = esme.receive_data(smsc.data_to_send(), 0.0)
    assert isinstance(bound, e.Bound)
    return esme, smsc


def bound_smsc(limits: Limits | None = None) -> Session:
    return bound_pair(limits)[1]


def test_the_window_is_counted_and_enforced() -> None:
    """F09"""
    esme, _ = bound_pair(Limits(window_max=2))

    esme.send_request(SubmitSm(), 1.0)
    esme.send_request(SubmitSm(), 1.0)

    assert (esme.window_free, esme.in_flight) == (0, 2)
    with pytest.raises(WindowFull):
        esme.send_request(SubmitSm(), 1.0)


def test_a_session_that_is_not_bound_has_no_window() -> None:
    session = Session(Role.ESME, Limits(), now=0.0)

    assert session.window_free == 0
    with pytest.raises(NotBound):
        session.send_request(SubmitSm(), 0.0)


def test_a_request_that_cannot_be_encoded_takes_no_slot_and_no_number() -> None:
    esme, smsc = bound_pair()

    with pytest.raises(LocalProtocolError):
        esme.send_request(SubmitSm(source_addr="4" * 30), 1.0)

    assert esme.in_flight == 0
    assert esme.data_to_send() == b""
    assert esme.send_request(SubmitSm(), 1.0) == 2
    assert len(smsc.receive_data(esme.data_to_send(), 1.0)) == 1


def test_sequence_numbers_wrap_to_one_and_skip_those_in_flight() -> None:
    """H10"""
    esme, smsc = bound_pair(first_sequence=SEQUENCE_MAX - 1)

    first = esme.send_request(SubmitSm(), 1.0)
    second = esme.send_request(SubmitSm(), 1.0)
    esme._sequence = SEQUENCE_MAX
    third = esme.send_request(SubmitSm(), 1.0)

    assert (first, second, third) == (SEQUENCE_MAX, 1, 2)
    assert len(smsc.receive_data(esme.data_to_send(), 1.0)) == 3


def test_a_response_names_context_request_and_time_of_sending() -> None:
    esme, smsc = bound_pair()
    submit = SubmitSm(short_message=b"hi")
    context = object()
    esme.send_request(submit, 3.0, context)
    (received,) = smsc.receive_data(esme.data_to_send(), 3.1)
    assert isinstance(received, e.RequestReceived)
    smsc.respond(received.pdu, SubmitSmResp(message_id="A7"))

    (event,) = esme.receive_data(smsc.data_to_send(), 3.2)

    assert event == e.ResponseReceived(context, submit, SubmitSmResp(2, 0, "A7"), 3.0)
    assert esme.in_flight == 0


def test_requests_expire_oldest_first_each_at_its_own_deadline() -> None:
    """F07"""
    esme, _ = bound_pair(Limits(response_timeout_s=10, enquire_link_s=0))
    for moment in (100.0, 101.0, 102.0):
        esme.send_request(SubmitSm(), moment, context=moment)

    assert esme.next_deadline() == 110.0
    assert esme.tick(109.9) == []
    assert [event.context for event in esme.tick(111.0) if isinstance(event, e.RequestExpired)] == [100.0, 101.0]
    assert esme.next_deadline() == 112.0
    assert esme.state is State.BOUND_TRX


def test_deadlines_name_the_nearest_timer() -> None:
    limits = Limits(session_init_timeout_s=10, pdu_timeout_s=3, enquire_link_s=30, response_timeout_s=60, inactivity_timeout_s=50)
    fresh = Session(Role.SMSC, limits, now=100.0)
    assert fresh.next_deadline() == 110.0
    fresh.receive_data(b"\0", 105.0)
    assert fresh.next_deadline() == 108.0

    _, smsc = bound_pair(limits)
    assert smsc.next_deadline() == 30.0
    assert smsc.tick(30.0) == []
    assert smsc.next_deadline() == 50.0
    assert smsc.tick(50.0) == []
    assert smsc.state is State.UNBINDING
    assert smsc.next_deadline() == 55.0
    assert smsc.tick(55.0) == [e.Closed(e.CloseReason.UNBIND_TIMEOUT, [])]
    assert smsc.next_deadline() is None


def test_a_session_with_all_timers_off_has_no_deadline() -> None:
    _, smsc = bound_pair(Limits(enquire_link_s=0))

    assert smsc.next_deadline() is None


def test_closed_comes_exactly_once_with_all_unanswered_oldest_first() -> None:
    """F08"""
    esme, _ = bound_pair()
    first, second = SubmitSm(short_message=b"1"), SubmitSm(short_message=b"2")
    esme.send_request(first, 1.0, "a")
    esme.send_request(second, 1.0, "b")

    events = esme.receive_eof(2.0) + esme.receive_eof(3.0) + esme.tick(99.0) + esme.receive_data(encode(EnquireLink(1)), 99.0)

    assert events == [e.Closed(e.CloseReason.CONNECTION_LOST, [("a", first), ("b", second)])]
    assert esme.data_to_send() == encode(SubmitSm(2, short_message=b"1")) + encode(SubmitSm(3, short_message=b"2"))
    assert esme.window_free == 0


def test_nothing_is_read_behind_the_end() -> None:
    smsc = bound_smsc()

    events = smsc.receive_data(encode(Unbind(5)) + encode(SubmitSm(6)), 1.0)

    assert events == [e.PeerUnbound(), e.Closed(e.CloseReason.PEER_UNBOUND, [])]


def test_a_refused_bind_tells_its_end_at_the_next_tick_which_is_due_at_once() -> None:
    smsc = Session(Role.SMSC, Limits(), now=5.0)
    (asked,) = smsc.receive_data(encode(BindTransceiver(1)), 6.0)
    assert isinstance(asked, e.BindRequested)

    smsc.refuse_bind(asked.pdu, 0x0D)

    assert smsc.close_expected
    assert decode(smsc.data_to_send()) == BindTransceiverResp(1, 0x0D)
    assert smsc.next_deadline() == 6.0
    assert smsc.tick(6.0) == [e.Closed(e.CloseReason.BIND_REFUSED, [])]


def test_answers_after_the_end_are_dropped() -> None:
    esme, smsc = bound_pair()
    esme.send_request(SubmitSm(), 1.0)
    (received,) = smsc.receive_data(esme.data_to_send(), 1.0)
    assert isinstance(received, e.RequestReceived)
    smsc.receive_eof(2.0)

    smsc.respond(received.pdu, SubmitSmResp(message_id="A7"))

    assert smsc.data_to_send() == b""


def test_a_request_is_answered_once_and_by_its_own_kind() -> None:
    esme, smsc = bound_pair()
    esme.send_request(SubmitSm(), 1.0)
    (received,) = smsc.receive_data(esme.data_to_send(), 1.0)
    assert isinstance(received, e.RequestReceived)

    with pytest.raises(LocalProtocolError):
        smsc.respond(received.pdu, QuerySmResp())
    smsc.respond(received.pdu, SubmitSmResp(message_id="A7"))
    with pytest.raises(LocalProtocolError):
        smsc.respond(received.pdu, SubmitSmResp(message_id="A7"))


def test_the_same_number_in_flight_twice_is_answered_twice() -> None:
    """H09"""
    smsc = bound_smsc()

    events = smsc.receive_data(encode(SubmitSm(9, short_message=b"a")) + encode(SubmitSm(9, short_message=b"b")), 1.0)
    for event in events:
        if isinstance(event, e.RequestReceived):
            smsc.respond(event.pdu, SubmitSmResp(message_id="x"))

    assert [type(event).__name__ for event in events] == ["RequestReceived", "Violation", "RequestReceived"]
    assert smsc.data_to_send() == encode(SubmitSmResp(9, 0, "x")) * 2


def test_a_request_may_be_answered_by_generic_nack() -> None:
    """H05"""
    esme, smsc = bound_pair()
    smsc.send_request(DataSm(), 1.0, "context")
    (received,) = esme.receive_data(smsc.data_to_send(), 1.0)
    assert isinstance(received, e.RequestReceived)

    esme.respond(received.pdu, GenericNack(command_status=0x03))
    (answered,) = smsc.receive_data(esme.data_to_send(), 1.0)

    assert isinstance(answered, e.ResponseReceived)
    assert (answered.context, answered.response.command_status) == ("context", 0x03)


def test_deliver_sm_may_be_sent_to_binds_that_receive() -> None:
    esme, smsc = bound_pair()

    assert smsc.can_receive
    assert not esme.can_receive
    assert not Session(Role.SMSC, Limits(), now=0.0).can_receive


@pytest.mark.parametrize(("declared", "spoken"), [(0x00, 0x33), (0x33, 0x33), (0x34, 0x34), (0x40, 0x34), (0x50, 0x50), (0x51, 0x50)])
def test_the_version_spoken_is_settled_by_the_bind(declared: int, spoken: int) -> None:
    esme, smsc = bound_pair(interface_version=declared)

    assert smsc.peer_interface_version == spoken
    assert esme.peer_interface_version == spoken


def test_an_smsc_that_names_no_version_is_taken_at_ours() -> None:
    esme = Session(Role.ESME, Limits(), now=0.0)
    esme.send_request(BindTransceiver(), 0.0)

    esme.receive_data(encode(BindTransceiverResp(1, 0, "old")), 0.0)

    assert esme.state is State.BOUND_TRX
    assert esme.peer_interface_version == 0x34


def test_a_second_bind_of_ours_is_not_sent_while_the_first_waits() -> None:
    esme = Session(Role.ESME, Limits(), now=0.0)
    esme.send_request(BindTransceiver(), 0.0)

    with pytest.raises(LocalProtocolError):
        esme.send_request(BindTransceiver(), 0.0)


def test_no_violation_shows_a_password() -> None:
    smsc = bound_smsc()

    events = smsc.receive_data(encode(BindTransceiver(7, system_id="partner", password="secret99")), 1.0)

    assert isinstance(events[0], e.Violation)
    assert b"secret99".hex() not in events[0].frame_hex
    assert len(events[0].frame_hex) == 32


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("state", list(State))
def test_what_one_side_may_send_the_other_takes(role: Role, state: State) -> None:
    if state is not State.UNBINDING:
        assert MAY_RECEIVE[role.peer, state] == MAY_SEND[role, state]


@pytest.mark.parametrize("command", [command for command in CommandId if not command & RESPONSE_BIT])
@pytest.mark.parametrize("role", list(Role))
def test_nothing_but_binds_and_outbind_is_legal_before_a_bind(role: Role, command: CommandId) -> None:
    allowed = BINDS if role is Role.ESME else {CommandId.OUTBIND}

    assert (command in MAY_SEND[role, State.OPEN]) == (command in allowed)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_cut_of_a_conversation_gives_the_same_events(sizes: list[int]) -> None:
    """H06"""
    stream = b"".join(
        [encode(SubmitSm(5, short_message=b"hi")), encode(EnquireLink(6)), encode(DeliverSm(7)), encode(SubmitSm(8)), encode(Unbind(9))]
    )
    whole = bound_smsc()
    expected = whole.receive_data(stream, 1.0)
    dripped = bound_smsc()
    events: list[e.Event] = []
    rest = stream

    for size in sizes * len(stream):
        events += dripped.receive_data(rest[:size], 1.0)
        rest = rest[size:]

    assert events == expected
    assert dripped.data_to_send() == whole.data_to_send()


def test_no_octets_raise_and_every_life_ends_once() -> None:
    generator = random.Random(20_26)
    pdus = (SubmitSm(5, short_message=b"hi"), EnquireLink(6), DeliverSmResp(2), SubmitSmResp(3, 0, "A7"), Unbind(9))
    frames = [encode(pdu) for pdu in pdus]

    for _ in range(1_500):
        esme, smsc = bound_pair(Limits(peer_window_max=3))
        victim = esme if generator.random() < 0.5 else smsc
        for _ in range(3):
            if victim.window_free:
                victim.send_request(SubmitSm() if victim is esme else DeliverSm(), 1.0)
        stream = bytearray(b"".join(generator.choices(frames, k=6)))
        for _ in range(generator.randint(0, 6)):
            stream[generator.randrange(len(stream))] = generator.choice((0, 1, 5, 0x80, 255))
        events = victim.receive_data(bytes(stream), 1.0)
        events += victim.tick(2.0) + victim.receive_eof(3.0) + victim.receive_eof(4.0)
        assert sum(isinstance(event, e.Closed) for event in events) == 1
        assert isinstance(events[-1], e.Closed)
        settled = sum(isinstance(event, e.ResponseReceived | e.RequestExpired) for event in events)
        assert settled + len(events[-1].unanswered) == 3
