"""The messenger's accounts, histories and rosters in SQL: one rule a test."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from billing import book
from gateway.domain.failure import Refused
from gateway.domain.message import State
from gateway.store import im, im_friends
from gateway.store.im_friends import Relation

NOW = 1_146_412_800_000_000
ANN, BEN, CAT = 10001, 10002, 10003
PHONE = "+8613912345678"
ROOM = 100


@pytest.fixture
def conn(empty_store: Connection) -> Connection:
    for number, nick in enumerate(("Ann", "Ben", "Cat")):
        open_one(empty_store, nick, first_id=1 + 10 * number)
    return empty_store


def open_one(conn: Connection, nick: str, *, first_id: int, credit_minor: int = 100, number_min: int = ANN) -> im.Account:
    ids = tuple(range(first_id, first_id + im.SPARE_IDS))
    return im.register(conn, im.NewAccount(nick, "hash", number_min, "CNY", credit_minor, ids, NOW))


def befriend(conn: Connection, one: int, other: int) -> None:
    im_friends.ask(conn, one, other, None, contacts_max=ROOM)
    im_friends.change(conn, other, one, "accept")


def relation(conn: Connection, account: int, peer: int | str) -> Relation | None:
    known = im_friends.contact(conn, account, str(peer))
    return None if known is None else known.relation


def say(conn: Connection, text: str, client_id: str = "", *, id_: int = 1000) -> tuple[int, bool]:
    return im.record_outgoing(conn, ANN, PHONE, text, client_id, id_, NOW)


def incoming(text: str, *, id_: int, origin_id: int, account: int = ANN) -> im.Incoming:
    return im.Incoming(id_, account, PHONE, text, origin_id, NOW)


def state_of(conn: Connection, im_message_id: int) -> tuple[int, str | None]:
    message = im.message(conn, ANN, im_message_id)
    assert message is not None
    return message.state, message.reason


def test_accounts_are_numbered_upwards_from_the_given_start(conn: Connection):
    assert [known.id for number in (ANN, BEN, CAT) if (known := im.find_account(conn, number))] == [10001, 10002, 10003]

    later = open_one(conn, "Dan", first_id=500, number_min=20_000)

    assert later.id == 20_000
    assert open_one(conn, "Eve", first_id=600).id == 20_001


def test_a_new_account_has_a_wallet_with_its_first_credit(conn: Connection):
    account = im.find_account(conn, BEN)

    assert account is not None
    assert book.find_account(conn, "im:10002") == account.wallet
    assert book.balance(conn, account.wallet).available == 100


def test_an_account_without_first_credit_has_an_empty_wallet(conn: Connection):
    account = open_one(conn, "Dan", first_id=500, credit_minor=0)

    assert book.balance(conn, account.wallet).available == 0


def test_the_same_client_id_twice_is_one_message(conn: Connection):
    assert say(conn, "hi", "c1", id_=1000) == (1000, True)
    assert say(conn, "hi", "c1", id_=2000) == (1000, False)

    assert len(im.history(conn, ANN, limit=10)) == 1


def test_a_client_id_for_other_words_is_refused(conn: Connection):
    say(conn, "hi", "c1")

    with pytest.raises(Refused) as refused:
        say(conn, "bye", "c1", id_=2000)

    assert refused.value.reason == "client_id_reused"


def test_without_client_id_every_message_is_new(conn: Connection):
    assert say(conn, "hi", id_=1000) == (1000, True)
    assert say(conn, "hi", id_=2000) == (2000, True)


def test_two_accounts_may_use_the_same_client_id(conn: Connection):
    say(conn, "hi", "c1")

    assert im.record_outgoing(conn, BEN, PHONE, "hi", "c1", 2000, NOW) == (2000, True)


@pytest.mark.parametrize(
    ("before", "after", "is_forward"),
    [
        (State.ACCEPTED, State.SUBMITTED, True),
        (State.ACCEPTED, State.FAILED, True),
        (State.SUBMITTED, State.UNKNOWN, True),
        (State.UNKNOWN, State.DELIVERED, True),
        (State.SUBMITTED, State.ACCEPTED, False),
        (State.SUBMITTED, State.SUBMITTED, False),
        (State.DELIVERED, State.FAILED, False),
        (State.DELIVERED, State.EXPIRED, False),
        (State.FAILED, State.DELIVERED, False),
        (State.EXPIRED, State.SUBMITTED, False),
    ],
)
def test_a_state_moves_forward_only_and_a_final_one_stays(conn: Connection, before: State, after: State, is_forward: bool):
    im.record_outgoing(conn, ANN, PHONE, "hi", "", 1000, NOW, state=before)

    assert im.set_state(conn, 1000, after, "why") is is_forward
    assert state_of(conn, 1000) == ((after, "why") if is_forward else (before, None))


def test_a_state_of_an_incoming_or_missing_message_is_nobodys(conn: Connection):
    im.record_incoming(conn, incoming("hi", id_=1000, origin_id=7))

    assert im.set_state(conn, 1000, State.FAILED) is False
    assert im.set_state(conn, 9999, State.FAILED) is False


def test_a_long_reason_is_cut_to_its_column(conn: Connection):
    say(conn, "hi")

    im.set_state(conn, 1000, State.FAILED, "x" * 500)

    assert state_of(conn, 1000) == (State.FAILED, "x" * 64)


def test_an_mo_delivered_again_changes_nothing(conn: Connection):
    news = im.deliver(conn, [incoming("hi", id_=1000, origin_id=7), incoming("hi", id_=1256, origin_id=7)])

    assert news == [True, False]
    assert [(message.id, message.text, message.state) for message in im.history(conn, ANN, limit=10)] == [(1000, "hi", State.DELIVERED)]


def test_one_mo_can_go_to_two_accounts(conn: Connection):
    news = im.deliver(conn, [incoming("hi", id_=1000, origin_id=7), incoming("hi", id_=1256, origin_id=7, account=BEN)])

    assert news == [True, True]


def test_a_phone_that_writes_first_comes_into_the_list(conn: Connection):
    im.record_incoming(conn, incoming("hi", id_=1000, origin_id=7))

    assert im_friends.contacts(conn, ANN) == [im_friends.Contact(PHONE, None, "", Relation.FRIEND, None)]


def test_a_blocked_phone_is_not_heard(conn: Connection):
    im_friends.set_phone_blocked(conn, ANN, PHONE, is_blocked=True, contacts_max=ROOM)
    unheard = im.record_incoming(conn, incoming("hi", id_=1000, origin_id=7))
    im_friends.set_phone_blocked(conn, ANN, PHONE, is_blocked=False, contacts_max=ROOM)
    heard = im.record_incoming(conn, incoming("hi again", id_=2000, origin_id=8))

    assert (unheard, heard) == (False, True)
    assert [message.text for message in im.history(conn, ANN, limit=10)] == ["hi again"]


def test_words_between_accounts_are_in_both_histories(conn: Connection):
    own, theirs = im.exchange(conn, ANN, BEN, "hi", "c1", (1000, 1256), NOW)

    assert im.history(conn, ANN, limit=10) == [own]
    assert im.history(conn, BEN, limit=10) == [theirs]
    assert theirs is not None
    assert (theirs.peer, theirs.is_outgoing, theirs.origin_id) == (str(ANN), False, own.id)


def test_words_between_accounts_said_again_are_there_once(conn: Connection):
    first, _ = im.exchange(conn, ANN, BEN, "hi", "c1", (1000, 1256), NOW)

    again, theirs = im.exchange(conn, ANN, BEN, "hi", "c1", (2000, 2256), NOW)

    assert (again, theirs) == (first, None)
    assert len(im.history(conn, BEN, limit=10)) == 1


def test_history_pages_forward_from_since_and_back_from_before(conn: Connection):
    for number in range(1, 7):
        say(conn, f"m{number}", id_=1000 * number)

    def texts(**page: int) -> list[str]:
        return [message.text for message in im.history(conn, ANN, limit=2, **page)]

    assert texts() == ["m5", "m6"]
    assert texts(since=0) == ["m1", "m2"]
    assert texts(since=2000) == ["m3", "m4"]
    assert texts(since=6000) == []
    assert texts(before=5000) == ["m3", "m4"]
    assert texts(before=1000) == []


def test_history_of_one_peer_holds_nothing_of_others(conn: Connection):
    say(conn, "to a phone")
    im.exchange(conn, ANN, BEN, "to Ben", "", (2000, 2256), NOW)

    assert [message.text for message in im.history(conn, ANN, limit=10, peer=PHONE)] == ["to a phone"]
    assert [message.text for message in im.history(conn, ANN, limit=10, peer=str(BEN))] == ["to Ben"]
    assert im.message(conn, BEN, 1000) is None


def test_asking_shows_as_waiting_on_one_side_and_asked_on_the_other(conn: Connection):
    own, other = im_friends.ask(conn, ANN, BEN, "Benny", contacts_max=ROOM)

    assert own == im_friends.Contact(str(BEN), "Benny", "Ben", Relation.WAITING, None)
    assert other == im_friends.Contact(str(ANN), None, "Ann", Relation.ASKED, None)
    assert im_friends.friends_of(conn, ANN) == []


def test_accepting_makes_friends_both_ways(conn: Connection):
    befriend(conn, ANN, BEN)

    assert (im_friends.friends_of(conn, ANN), im_friends.friends_of(conn, BEN)) == ([BEN], [ANN])


def test_asking_someone_who_asked_first_is_accepting(conn: Connection):
    im_friends.ask(conn, ANN, BEN, None, contacts_max=ROOM)
    im_friends.ask(conn, BEN, ANN, None, contacts_max=ROOM)

    assert im_friends.friends_of(conn, ANN) == [BEN]


@pytest.mark.parametrize("action", ["refuse", "remove"])
def test_refusing_or_removing_takes_both_off_the_lists(conn: Connection, action: str):
    im_friends.ask(conn, ANN, BEN, None, contacts_max=ROOM)

    assert im_friends.change(conn, BEN, ANN, action) == (None, None)


def test_a_blocked_account_is_not_told_and_cannot_come_back_by_asking(conn: Connection):
    befriend(conn, ANN, BEN)
    im_friends.change(conn, BEN, ANN, "block")

    im_friends.ask(conn, ANN, BEN, None, contacts_max=ROOM)
    assert (relation(conn, ANN, BEN), relation(conn, BEN, ANN)) == (Relation.WAITING, Relation.BLOCKED)

    im_friends.change(conn, ANN, BEN, "remove")
    im_friends.ask(conn, ANN, BEN, None, contacts_max=ROOM)
    assert (relation(conn, ANN, BEN), relation(conn, BEN, ANN)) == (Relation.WAITING, Relation.BLOCKED)


def test_unblocking_leaves_the_choice_to_accept(conn: Connection):
    im_friends.ask(conn, ANN, BEN, None, contacts_max=ROOM)
    im_friends.change(conn, BEN, ANN, "block")

    im_friends.change(conn, BEN, ANN, "unblock")

    assert (relation(conn, ANN, BEN), relation(conn, BEN, ANN)) == (Relation.WAITING, Relation.ASKED)


@pytest.mark.parametrize(
    ("action", "reason"), [("accept", "not_found"), ("refuse", "not_found"), ("block", "not_found"), ("unblock", "not_found")]
)
def test_what_makes_no_sense_between_strangers_is_refused(conn: Connection, action: str, reason: str):
    with pytest.raises(Refused) as refused:
        im_friends.change(conn, ANN, CAT, action)

    assert refused.value.reason == reason


@pytest.mark.parametrize(("peer", "reason"), [(ANN, "yourself"), (99_999, "not_found")])
def test_asking_oneself_or_nobody_is_refused(conn: Connection, peer: int, reason: str):
    with pytest.raises(Refused) as refused:
        im_friends.ask(conn, ANN, peer, None, contacts_max=ROOM)

    assert refused.value.reason == reason


def test_a_full_list_takes_no_more_on_either_side(conn: Connection):
    im_friends.ask(conn, ANN, CAT, None, contacts_max=1)

    with pytest.raises(Refused, match="at most 1"):
        im_friends.put_phone(conn, ANN, PHONE, None, None, contacts_max=1)
    with pytest.raises(Refused, match="at most 1"):
        im_friends.ask(conn, BEN, CAT, None, contacts_max=1)


def test_a_phone_keeps_its_alias_and_code_and_stays_blocked_when_added_again(conn: Connection):
    im_friends.put_phone(conn, ANN, PHONE, "Mum", "1066", contacts_max=ROOM)
    im_friends.set_phone_blocked(conn, ANN, PHONE, is_blocked=True, contacts_max=ROOM)

    again = im_friends.put_phone(conn, ANN, PHONE, "Mother", "1077", contacts_max=ROOM)

    assert again == im_friends.Contact(PHONE, "Mother", "", Relation.BLOCKED, "1077")
