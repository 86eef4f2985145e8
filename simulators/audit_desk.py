"""The auditor's checks of the clerk's acts: each is there once under its reference, as it was answered, and nothing is there besides."""

from __future__ import annotations

from collections.abc import Iterator

from simulators import house
from simulators.books import Books, Correction
from simulators.clerk import REASON
from simulators.evidence import Answer, Evidence, Wish
from simulators.sightings import Wire

POSTED = 10
APPROVED, REFUSED = 10, 11
_TYPES = {"refund": 1, "adjust": 2, "goodwill": 6, "refund-extra": 6}
_GOODWILL = 6
# Why a reference that stands for something cannot stand for something else, which may be of no charge at all.
_NOT_AGAIN = ("key_reused", "not_found")


def corrections(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """Every correction was asked for, or is of a late receipt; and what was given back of a charge is at most what it came to."""
    by_cause: dict[str, list[Correction]] = {}
    for each in books.corrections:
        kind, _, reference = each.cause.partition(":")
        by_cause.setdefault("refund:" + reference if kind == "refund-extra" else each.cause, []).append(each)
        yield from _is_moved(each)
    for cause, wishes in evidence.wishes.items():
        if not cause.startswith("topup:"):
            yield from _as_answered(cause, wishes, by_cause.pop(cause, []))
    for cause in by_cause:
        if not cause.startswith("late:"):
            yield f"a correction for {cause or 'no cause'} that nobody asked for"
    left = {kept.charge["id"]: kept.charge["amount_minor"] for kept in books.messages.values() if kept.charge is not None}
    for each in books.corrections:
        if each.row["record_type"] != _GOODWILL and each.row["corrects"] in left:
            left[each.row["corrects"]] += each.row["amount_minor"]
    for charge, minor in left.items():
        if minor < 0:
            yield f"{-minor} more were given back of charge {charge} than it came to"


def _is_moved(each: Correction) -> Iterator[str]:
    row = each.row
    if row["moved"] != POSTED or row["back_minor"] != -row["amount_minor"] or row["paid_by"] != row["wallet"]:
        yield f"the correction for {each.cause or 'no cause'} says {-row['amount_minor']} back, its transfer moved {row['back_minor']}"


def _as_answered(cause: str, wishes: list[Wish], made: list[Correction]) -> Iterator[str]:
    yield from _answers_agree(cause, wishes)
    accepted = [wish for wish in wishes if wish.answer is Answer.ACCEPTED]
    ids = {each.id for each in made}
    for wish in (each for each in accepted if not each.is_waiting):
        if set(wish.record_ids) != ids:
            yield f"{cause} was answered with {len(wish.record_ids)} records, {len(ids)} other or more are there"
        elif [abs(each.row["amount_minor"]) for each in made] != [abs(amount) for amount in wish.amounts]:
            yield f"{cause} was answered with {wish.amounts}, the records have other amounts"
    possible = accepted or [wish for wish in wishes if wish.answer is Answer.NONE]
    if made and not any(_is_of(wish, made) for wish in possible):
        refused = ", ".join(wish.reason for wish in wishes if wish.answer is Answer.REFUSED)
        yield f"{cause} is booked otherwise than it was asked for" if possible else f"{cause} was refused ({refused}) and is booked"


def _answers_agree(cause: str, wishes: list[Wish]) -> Iterator[str]:
    """The first one accepted is the one that stands: after it, the same is answered the same, and something else refused."""
    first: Wish | None = None
    for wish in wishes:
        if wish.answer is Answer.NONE:
            continue
        if first is None:
            first = wish if wish.answer is Answer.ACCEPTED else None
        elif first.is_waiting and wish.answer is Answer.REFUSED:
            continue  # it was refused by the second person, or too little is left for it by now
        elif wish.content == first.content and (wish.answer, wish.is_new) != (Answer.ACCEPTED, False):
            yield f"{cause} was accepted; asked for again, it is {'new' if wish.is_new else wish.reason}"
        elif wish.content != first.content and (wish.answer is Answer.ACCEPTED or wish.reason not in _NOT_AGAIN):
            yield f"{cause} was accepted; with other content it is {wish.answer.value} {wish.reason}"


def _is_of(wish: Wish, made: list[Correction]) -> bool:
    """Whether records are what a request asked for; a double refund is two records, the second of them goodwill."""
    types = [_TYPES[each.cause.partition(":")[0]] for each in made]
    if [each.row["record_type"] for each in made] != types or len(made) != 1 + wish.is_double:
        return False
    if any((str(each.row["corrects"]), each.row["reason"]) != (wish.subject, REASON) for each in made):
        return False
    amounts = {each.row["amount_minor"] for each in made}
    if wish.amount_minor is None:
        return len(amounts) == 1 and max(amounts) < 0
    return amounts == {wish.amount_minor if wish.kind == "adjust" else -wish.amount_minor}


def top_ups(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """What was answered came in, once and as it was asked for; what was refused did not."""
    for cause, wishes in evidence.wishes.items():
        if not cause.startswith("topup:"):
            continue
        yield from _answers_agree(cause, wishes)
        row = books.top_ups.get(cause)
        accepted = [wish for wish in wishes if wish.answer is Answer.ACCEPTED]
        if row is None and accepted:
            yield f"{cause} was accepted and is not there"
        possible = accepted or [wish for wish in wishes if wish.answer is Answer.NONE]
        is_posted = row is not None and row["state"] == POSTED
        if row is not None and not (
            is_posted and any((w.subject, w.amount_minor) == (row["party"], row["posted_minor"]) for w in possible)
        ):
            yield f"{cause} came in otherwise than it was asked for"
    first = {f"topup:first:{name}" for name in house.PARTNERS}
    for cause, row in books.top_ups.items():
        if cause not in evidence.wishes and cause not in first and not row["party"].startswith("im:"):
            yield f"{cause} came into {row['party']}, and nobody brought it"


def approvals(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A request is decided once, as its answer said, by the second person; and its act is booked if and only if it was approved."""
    told: dict[int, list[tuple[int, Answer]]] = {}
    for decision in evidence.decisions:
        told.setdefault(decision.approval_id, []).append((APPROVED if decision.is_approval else REFUSED, decision.answer))
    booked = {each.cause for each in books.corrections}
    for number, row in books.approvals.items():
        answered = [state for state, answer in told.get(number, []) if answer is Answer.ACCEPTED]
        possible = answered or [state for state, answer in told.get(number, []) if answer is Answer.NONE]
        name = f"request {number} for {row['cause']}"
        if len(answered) > 1 or (answered and row["state"] not in answered):
            yield f"{name} was decided otherwise than it stands, or twice"
        if row["state"] in (APPROVED, REFUSED) and (row["state"] not in possible or row["decided_by"] != house.SECOND_CLERK):
            yield f"{name} is decided, and nobody did"
        if (row["cause"] in booked) != (row["state"] == APPROVED):
            yield f"{name} is in state {row['state']}, and its act is {'' if row['cause'] in booked else 'not '}booked"
    for cause, wishes in evidence.wishes.items():
        for wish in wishes:
            if wish.approval_id and (wish.approval_id not in books.approvals or books.approvals[wish.approval_id]["cause"] != cause):
                yield f"{cause} was answered with request {wish.approval_id}, which is not there"
