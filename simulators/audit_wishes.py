"""The auditor's checks of second thoughts: queries, cancellations, replacements. Of a claim and a cancellation exactly one wins."""

from __future__ import annotations

from collections.abc import Iterator

from simulators import house
from simulators.books import DELIVERED, TAKEN_BACK, Books, Kept
from simulators.evidence import Answer, Asked, Evidence, Sent
from simulators.second_thoughts import CANCELS
from simulators.sightings import Wire, target_of, what, who

EXPIRED, FAILED, DELETED = 12, 11, 4
CANCELLED, REPLACED = TAKEN_BACK
# A message due so long after an answer still waited when it was given.
SURELY_S = 3.0
_FINAL = {2: DELIVERED, 3: EXPIRED, DELETED: FAILED, 5: FAILED, 8: FAILED}


def taken_back(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    """What was taken back was wished back, whole, and never sent; and an answered cancellation has taken back."""
    yield from evidence.seen_at_once
    for kept in books.messages.values():
        if kept.taken_back:
            yield from _is_whole(kept, wire)
            if not _is_wished(evidence, books, kept):
                yield f"{what(kept)} was {kept.taken_back}, and nobody wished it"
    for sent in evidence.sent.values():
        for asked in sent.asked:
            if asked.kind in CANCELS and asked.answer is Answer.ACCEPTED:
                yield from _is_done(evidence, books, sent, asked)


def _is_whole(kept: Kept, wire: Wire) -> Iterator[str]:
    for row in kept.parts:
        if (row["error"], row["state"], row["message_state"]) != (kept.taken_back, FAILED, DELETED):
            yield f"{what(kept)} was {kept.taken_back}, but for part {row['id'] & 0xFF}"
    if wire.of(kept.token):
        yield f"{what(kept)} was {kept.taken_back}, and was sent all the same"


def _is_wished(evidence: Evidence, books: Books, kept: Kept) -> bool:
    own = evidence.sent.get(kept.token)
    if own is None:
        return False
    if kept.taken_back == CANCELLED:
        return any(
            asked.answer is not Answer.REFUSED and asked.kind in CANCELS and (sent is own or asked.kind == "cancel all")
            for sent in evidence.sent.values()
            if sent is own or target_of(sent) == target_of(own)
            for asked in sent.asked
        )
    # One message takes the place of one: as many newer ones as were replaced.
    alike = [sent for sent in evidence.sent.values() if target_of(sent) == target_of(own) and books.by_token.get(sent.token)]
    replacing = [sent for sent in alike if sent.replaces and books.by_token[sent.token][0].id > kept.id]
    replaced = [sent for sent in alike if books.by_token[sent.token][0].taken_back == REPLACED]
    older = [sent for sent in replaced if books.by_token[sent.token][0].id >= kept.id]
    return len(replacing) >= len(older)


def _is_done(evidence: Evidence, books: Books, sent: Sent, asked: Asked) -> Iterator[str]:
    if asked.kind == "cancel":
        group = [sent] if not sent.group else [each for each in evidence.sent.values() if each.group == sent.group]
        if not any(kept.taken_back == CANCELLED for each in group for kept in books.by_token.get(each.token, [])):
            yield f"{who(sent)} was cancelled, as its sender was told, and is not"
        if not sent.group and any(seen.at_s > asked.answered_at_s for seen in evidence.wire if seen.token == sent.token):
            yield f"{who(sent)} went to the carrier after its cancellation was answered"
    else:
        for kept in _surely_waiting(evidence, books, sent, asked.at_s, asked.answered_at_s):
            yield f"{what(kept)} waits on, and all of its kind were cancelled"


def _surely_waiting(evidence: Evidence, books: Books, like: Sent, from_s: float, until_s: float) -> Iterator[Kept]:
    """Messages of the same target that waited before and still do afterwards, whoever looks."""
    for sent in evidence.sent.values():
        is_known = sent.answer is Answer.ACCEPTED and sent.answered_at_s < from_s
        if not is_known or sent is like or target_of(sent) != target_of(like) or any(each.not_before_s is not None for each in sent.asked):
            continue
        if sent.not_before_s > until_s + SURELY_S:
            kept = books.by_token[sent.token][0]
            if not kept.taken_back or _done_s(kept) > until_s:
                yield kept


def _done_s(kept: Kept) -> float:
    return float((kept.parts[0]["done_at"] - house.START_US) / 1e6)


def in_place_of(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """replace_if_present: where something surely waited, something was replaced, in the time between question and answer."""
    for sent in evidence.sent.values():
        if not sent.replaces or sent.answer is not Answer.ACCEPTED:
            continue
        if not any(True for _ in _surely_waiting(evidence, books, sent, sent.asked_at_s, sent.answered_at_s)):
            continue
        replaced = [
            kept
            for each in evidence.sent.values()
            if target_of(each) == target_of(sent)
            for kept in books.by_token.get(each.token, [])
            if kept.taken_back == REPLACED and sent.asked_at_s <= _done_s(kept) <= sent.answered_at_s
        ]
        if not replaced:
            yield f"{who(sent)} should have taken the place of one that waited"


def texts(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    """A message says what its sender last had it say, in the store, on the wire and on the bill."""
    for sent in evidence.sent.values():
        for kept in books.by_token.get(sent.token, []):
            allowed = _texts_of(sent)
            if len(kept.text_tokens) > 1 or not kept.text_tokens <= allowed:
                yield f"{who(sent)} says {', '.join(sorted(kept.text_tokens))} in the store, it should say {', '.join(sorted(allowed))}"
            if any(seen.text_token not in kept.text_tokens for seen in wire.of(sent.token)):
                yield f"{who(sent)} was sent with another text than the store has"
            if kept.charge is not None and kept.charge["parts"] != len(kept.parts):
                yield f"{who(sent)} has {len(kept.parts)} parts, its charge says {kept.charge['parts']}"
        for asked in sent.asked:
            if asked.kind == "replace" and asked.answer is Answer.ACCEPTED:
                old = {sent.group or sent.token} | {each.text_token for each in sent.asked if each.at_s < asked.at_s}
                if any(seen.text_token in old - {asked.text_token} for seen in wire.after(sent.token, asked.answered_at_s)):
                    yield f"{who(sent)} went to the carrier with its old text after that was replaced"


def _texts_of(sent: Sent) -> set[str]:
    allowed = {sent.group or sent.token}
    for asked in sent.asked:
        if asked.kind != "replace":
            continue
        if asked.answer is Answer.ACCEPTED:
            allowed = {asked.text_token}
        elif asked.answer is Answer.NONE:
            allowed.add(asked.text_token)
    return allowed


def queries(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A query of an accepted message is answered, a final state in it stays, and a cancelled message is DELETED."""
    for sent in evidence.sent.values():
        is_cancelled = False
        for asked in sent.asked:
            if asked.kind == "query" and asked.answer is Answer.REFUSED:
                yield f"a query of {who(sent)} was refused with {asked.reason}"
            if asked.kind == "query" and asked.answer is Answer.ACCEPTED and not sent.group:
                yield from _is_true(books, sent, asked, is_cancelled=is_cancelled)
            is_cancelled = is_cancelled or (asked.kind == "cancel" and asked.answer is Answer.ACCEPTED)


def _is_true(books: Books, sent: Sent, asked: Asked, *, is_cancelled: bool) -> Iterator[str]:
    final = _FINAL.get(asked.state)
    state = books.by_token[sent.token][0].state if books.by_token.get(sent.token) else None
    if final is not None and state != final:
        yield f"a query of {who(sent)} was told message_state {asked.state}, it ended as {state}"
    if is_cancelled and asked.state != DELETED:
        yield f"a query of {who(sent)} was told message_state {asked.state} after it was cancelled"
