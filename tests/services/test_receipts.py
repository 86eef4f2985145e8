"""Receipts and their messages: in every form of ids, in any order, twice, against each other; R01 to R09 and F16 at the writer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.domain.message import State
from gateway.services.correlation import MISSES_MIN
from gateway.store import options, outbox, receipts
from gateway.store.options import Option
from gateway.store.receipts import ADOPTED, CONTRADICTS, LATE, REPLAYED
from tests.support.receipts import HANDSET, PRICE, SENDER, Desk, opened_desk

OTHER = "8613900005678"
DELIVERED, EXPIRED, DELETED, UNDELIVERABLE, ENROUTE, ACCEPTED = 2, 3, 4, 5, 1, 6


@pytest.fixture
def desk(engine_name: str) -> Iterator[Desk]:
    with opened_desk(engine_name) as opened:
        yield opened
        assert opened.faults() == []


# Forms


def test_a_form_is_learnt_from_the_first_receipt_and_kept_over_a_restart(desk):
    first, second = desk.sent("3F2"), desk.sent("3F3")

    desk.report("1010")
    learnt = desk.form()
    desk.restart()
    desk.report("1011")

    assert learnt == desk.form() == "decimal of HEX"
    assert [desk.state(first), desk.state(second)] == [State.DELIVERED] * 2


def test_the_id_of_the_response_stays_on_the_segment(desk):
    flight = desk.sent("3F2")

    desk.report("1010")

    assert desk.row(flight).smsc_id == "3F2"


def test_the_id_of_the_response_stays_also_where_another_form_was_learnt(desk):
    desk.sent("1000000000")
    desk.report("1000000000")
    flight = desk.sent("0000000000", handset=OTHER)

    desk.report("0", handset=OTHER)

    assert (desk.row(flight).smsc_id, desk.state(flight)) == ("0000000000", State.DELIVERED)


def test_what_may_mean_two_messages_of_one_handset_is_parked(desk):
    flights = [desk.sent("16"), desk.sent("10")]  # decimal 16, or hexadecimal 10

    noted = desk.report("16")

    assert noted.effect == "parked"
    assert [desk.state(flight) for flight in flights] == [State.SUBMITTED] * 2
    assert desk.form() is None


def test_the_handset_tells_two_meanings_apart(desk):
    decimal, hexadecimal = desk.sent("16", OTHER), desk.sent("10", HANDSET)

    desk.report("16", handset=HANDSET)

    assert [desk.state(decimal), desk.state(hexadecimal)] == [State.SUBMITTED, State.DELIVERED]
    assert desk.form() == "decimal of HEX"


def test_other_forms_are_not_tried_where_one_is_known(desk):
    desk.sent("A0")
    desk.report("A0")
    other = desk.sent("16")

    noted = desk.report("22")

    assert (noted.effect, desk.state(other)) == ("parked", State.SUBMITTED)


def test_a_carrier_that_changes_its_form_is_learnt_anew_and_what_waits_is_matched(desk):
    desk.sent("A0")
    desk.report("A0")
    flights = [desk.sent(f"{number:X}") for number in range(0xB00, 0xB00 + MISSES_MIN + 4)]

    for flight in flights:
        desk.report(str(int(desk.row(flight).smsc_id, 16)))
    replayed = desk.replay()

    assert desk.form() == "decimal of HEX"
    assert {each.outcome for each in replayed} == {REPLAYED}
    assert {desk.state(flight) for flight in flights} == {State.DELIVERED}


def test_what_a_form_has_found_keeps_its_id_when_the_same_batch_makes_the_form_doubtful(desk):
    first, second = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
    desk.sent(first)
    desk.report(first.replace("-", ""))
    flight = desk.sent(second)

    strange = [f"zz-{number}" for number in range(MISSES_MIN + 4)]
    desk.report_together([second.replace("-", ""), *strange])

    assert desk.form() is None
    assert (desk.state(flight), desk.row(flight).smsc_id) == (State.DELIVERED, second)


def test_a_handset_written_with_a_plus_is_the_same(desk):
    flight = desk.sent("3F2")

    desk.report("1010", handset=f"+{HANDSET}")

    assert desk.state(flight) is State.DELIVERED


def test_the_exact_id_will_do_where_a_receipt_has_strange_addresses(desk):
    flight = desk.sent("4711")

    desk.report("4711", handset=SENDER)

    assert desk.state(flight) is State.DELIVERED


def test_the_id_in_the_text_is_taken_where_that_of_the_parameter_means_nothing(desk):
    flights = [desk.sent("3F2"), desk.sent("3F3")]

    for number in (1010, 1011):
        desk.report(f"zz-{number}", text_id=str(number))

    assert desk.form() == "text: decimal of HEX"
    assert {desk.state(flight) for flight in flights} == {State.DELIVERED}


def test_links_of_one_group_share_their_receipts(engine_name):
    with opened_desk(engine_name, groups={"a": ("a", "b"), "b": ("b", "a")}) as desk:
        flight, stranger = desk.sent("4711", link="a"), desk.sent("4712", link="c")

        desk.report("4711", link="b")
        desk.report("4712", link="b")

        assert [desk.state(flight), desk.state(stranger)] == [State.DELIVERED, State.SUBMITTED]


# Order


@pytest.mark.parametrize(("given", "written"), [("4711", "4711"), ("3F2", "1010"), ("0000000012", "12")])
def test_a_receipt_before_its_response_is_adopted_in_any_form(desk, given, written):
    """R05"""
    (flight,) = desk.accept()

    noted = desk.report(written)
    desk.respond(flight, given)

    assert noted.effect == "parked"
    assert desk.state(flight) is State.DELIVERED
    assert (desk.outcomes(), desk.row(flight).smsc_id) == ([ADOPTED], given)


def test_a_receipt_before_its_response_is_adopted_after_a_restart(desk):
    """R05, F16"""
    (flight,) = desk.accept()
    desk.report("4711")

    desk.restart()
    desk.respond(flight, "4711")

    assert desk.state(flight) is State.DELIVERED


def test_a_receipt_older_than_the_message_belongs_to_an_earlier_use_of_the_id(desk):
    desk.report("4711")

    flight = desk.sent("4711")

    assert desk.state(flight) is State.SUBMITTED
    assert [each.outcome for each in desk.replay()] == [None]


def test_a_receipt_that_came_before_its_segment_was_given_up_is_matched_by_what_it_quotes(desk):
    (flight,) = desk.accept(body=b"hello world")
    desk.report("4711", excerpt="hello world")

    desk.unknown(flight)
    replayed = desk.replay()

    assert desk.rows.parking.is_new
    assert [each.outcome for each in replayed] == [REPLAYED]
    assert (desk.state(flight), desk.charged(flight)) == (State.DELIVERED, PRICE)


# Twice, and against each other


@pytest.mark.parametrize("is_restarted", [False, True])
def test_the_first_final_receipt_settles_the_charge_and_a_later_one_is_kept_beside_it(desk, is_restarted):
    """R06"""
    flight = desk.sent("4711")
    desk.report("4711", UNDELIVERABLE)
    if is_restarted:
        desk.restart()

    effects = [desk.report("4711", state).effect for state in (UNDELIVERABLE, DELETED, DELIVERED, DELIVERED)]

    assert effects == ["repeat", "repeat", CONTRADICTS, CONTRADICTS]
    assert (desk.state(flight), desk.charged(flight)) == (State.FAILED, 0)
    assert desk.outcomes() == [CONTRADICTS]


def test_a_failure_after_a_delivery_refunds_nothing(desk):
    flight = desk.sent("4711")
    noted = desk.report("4711")

    again = desk.report("4711", UNDELIVERABLE, ended_segment=noted.segment_id)

    assert (again.effect, again.notice) == (CONTRADICTS, None)
    assert (desk.state(flight), desk.charged(flight)) == (State.DELIVERED, PRICE)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_delivery_after_our_own_expiry_is_late_and_charges_nothing(desk, is_restarted):
    """R06"""
    flight = desk.sent("4711")
    desk.expire(flight)
    if is_restarted:
        desk.restart()

    noted = desk.report("4711")

    assert noted.effect == LATE
    assert (desk.state(flight), desk.charged(flight)) == (State.EXPIRED, 0)
    assert desk.outcomes() == [LATE]


def test_two_finals_that_both_came_early_settle_once(desk):
    (flight,) = desk.accept()
    desk.report("4711", UNDELIVERABLE)
    desk.report("4711", DELIVERED)

    desk.respond(flight, "4711")

    assert (desk.state(flight), desk.charged(flight)) == (State.FAILED, 0)
    assert CONTRADICTS in desk.outcomes()


def test_the_same_receipt_for_nothing_is_parked_once(desk):
    """R09"""
    for _ in range(3):
        assert desk.report("nobody").effect == "parked"

    assert len(desk.waiting()) == 1


# What senders are told


def test_intermediate_states_are_told_once_each_and_before_the_end(desk):
    """R03"""
    flight = desk.sent("4711", registered=0x11)
    desk.sent("4712", registered=0x01)

    for smsc_id in ("4711", "4712"):
        for state in (ENROUTE, ACCEPTED, ENROUTE, DELIVERED, ACCEPTED):
            desk.report(smsc_id, state)

    kind, end = outbox.KIND_INTERMEDIATE, (outbox.KIND_RECEIPT, int(State.DELIVERED))
    assert desk.told() == [(kind, ENROUTE), (kind, ACCEPTED), end, end]
    assert desk.state(flight) is State.DELIVERED


@pytest.mark.parametrize(("registered", "told"), [(0, []), (1, [10, 11]), (2, [11]), (3, [10]), (0x10, []), (0x0C, [])])
def test_final_receipts_are_told_as_asked(desk, registered, told):
    """R03"""
    desk.sent("4711", registered=registered)
    desk.sent("4712", registered=registered)

    desk.report("4711")
    desk.report("4712", UNDELIVERABLE)

    assert [state for _, state in desk.told()] == told


def test_a_receipt_brings_the_carriers_state_the_parts_and_the_senders_reference(desk):
    flights = desk.accept(parts=3)
    options.insert(desk.conn, [Option(flights[0].message.id, None, 77, None)])
    for number, flight in enumerate(flights):
        desk.respond(flight, f"47{number}")

    notices = [desk.report(f"47{number}", state, error="027").notice for number, state in enumerate((2, DELETED, 2))]
    (loaded,) = outbox.load(desk.conn, outbox.partner_target(7), 0, 10)

    assert [notice is None for notice in notices] == [True, True, False]
    notice = notices[-1]
    assert notice is not None
    facts = (DELETED, 2, 77)
    assert (notice.message_state, notice.delivered, notice.user_reference) == facts
    assert (loaded.message_state, loaded.delivered, loaded.user_reference) == facts
    assert loaded.done_at == notice.done_at


# Keeping


def test_old_receipts_are_forgotten_closed_ones_sooner(desk):
    for smsc_id in ("one", "two", "three"):
        desk.report(smsc_id)
    first, second, third = desk.waiting()
    receipts.close(desk.conn, first.id, receipts.DISMISSED, first.received_at)

    removed = receipts.forget(desk.conn, first.received_at + 1, second.received_at + 1, 10)

    assert removed == 2
    assert desk.waiting() == [third]


def test_early_receipts_that_contradict_each_other_are_all_kept_and_the_first_final_one_holds(desk):
    (flight,) = desk.accept()
    for state in (DELIVERED, 3, 4, UNDELIVERABLE):
        desk.report("4711", state)

    desk.respond(flight, "4711")

    assert desk.state(flight) is State.DELIVERED
    assert desk.outcomes() == ["adopted", CONTRADICTS, CONTRADICTS, CONTRADICTS]
    assert desk.waiting() == []


# Asked for


def test_an_answer_to_our_question_names_its_segment_whatever_form_receipts_have(desk):
    first = desk.sent("3F2")
    desk.report("1010")  # that is 3F2 in decimal
    second = desk.sent("1010")

    noted = desk.report("1010", flight=second, is_asked=True)

    assert (noted.effect, desk.form()) == ("ended", "decimal of HEX")
    assert [desk.state(first), desk.state(second)] == [State.DELIVERED] * 2


def test_an_answer_that_comes_after_the_receipt_changes_nothing(desk):
    flight = desk.sent("A1")
    desk.report("A1")

    assert desk.report("A1", UNDELIVERABLE, flight=flight, is_asked=True).effect == "contradicts"
    assert desk.state(flight) == State.DELIVERED
