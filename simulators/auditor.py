"""The auditor: holds what was seen at the edges against the rows of the store, by its own rules and its own SQL.

It uses no function of the gateway's but the alphabets, in books.py. The invariants I1 to I6 are those of docs/simulation.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from simulators import audit_desk, audit_money, audit_order, audit_wishes, house
from simulators.books import DELIVERED, Books, Kept
from simulators.evidence import Answer, Evidence, Sent, token_in
from simulators.sightings import Wire, seen_of, what, who

FAILED, EXPIRED = 11, 12
_STATS = {DELIVERED: {"DELIVRD"}, FAILED: {"UNDELIV", "REJECTD", "DELETED"}, EXPIRED: {"EXPIRED"}}
_NAMES = {DELIVERED: "delivered", FAILED: "failed", EXPIRED: "expired"}
_FINAL_NAMES = frozenset(_NAMES.values())
_POLICIES = {name: policy for name, _, _, policy in house.SERVICES}


class Violation(NamedTuple):
    """A promise that was not kept."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


def audit(evidence: Evidence, books: Books) -> list[Violation]:
    """Every promise that was not kept."""
    checks = (
        _accepted,
        _on_wire,
        audit_order.in_order,
        audit_order.first_in_order,
        audit_order.schedules,
        audit_order.quotas,
        audit_wishes.taken_back,
        audit_wishes.in_place_of,
        audit_wishes.texts,
        audit_wishes.queries,
        _ends,
        audit_money.charges,
        audit_money.wallets,
        audit_money.taxes,
        audit_desk.corrections,
        audit_desk.approvals,
        audit_desk.top_ups,
        audit_money.late_charges,
        audit_money.places,
        audit_money.closed_days,
        audit_money.balance,
        _forward,
        _receipts,
        _statuses,
        _threads,
        _partner_mo,
        _addresses,
        audit_order.opt_outs,
    )
    found = [Violation("I8", trouble) for trouble in evidence.trouble]
    wire = Wire(evidence)
    for check in checks:
        found.extend(Violation(check.__name__.lstrip("_"), text) for text in check(evidence, books, wire))
    return found


# -- I1 and I6: what was acknowledged is there, once; what was refused is not ------------------------------------------------


def _accepted(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    for sent in evidence.sent.values():
        kept = books.by_token.get(sent.token, [])
        if len(kept) > 1:
            yield f"{who(sent)} is {len(kept)} messages"
        if sent.answer is Answer.ACCEPTED:
            yield from _is_kept(sent, kept)
        elif sent.answer is Answer.REFUSED and (kept or sent.token in wire.tokens):
            yield f"{who(sent)} was refused ({sent.reason}) and is there all the same"
        elif sent.answer is Answer.NONE and not kept and sent.token in wire.tokens:
            yield f"{who(sent)} is on the wire and not in the store"
        if evidence.is_calm and sent.answer is not Answer.ACCEPTED and not _may_be_refused(sent):
            yield f"{who(sent)} was not accepted on a calm day: {sent.answer.value} {sent.reason}"
    for token, kept in books.by_token.items():
        if token not in evidence.sent and any(each.front != "gateway" for each in kept):
            yield f"{kept[0].id} is a message that nobody sent"


def _is_kept(sent: Sent, kept: list[Kept]) -> Iterator[str]:
    if not kept:
        yield f"{who(sent)} was acknowledged and is lost"
    elif sent.message_id and str(sent.message_id) not in (str(kept[0].id), kept[0].row["reference"]):
        yield f"{who(sent)} was acknowledged under another id"
    elif sent.reason == "not delivered" and kept[0].state == DELIVERED:
        yield f"{who(sent)} was delivered, its sender was told that it was not"


def _may_be_refused(sent: Sent) -> bool:
    """Even on a calm day: for want of credit, for too much at once, for an opt-out."""
    return sent.owner in ("poor", "quick") or sent.reason == "opted_out" or sent.destination == house.LEAVING_PHONE


# -- I2: no silent duplicates ---------------------------------------------------------------------------------------------------


def _on_wire(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    for kept in books.messages.values():
        policy = _POLICIES[kept.service]
        for row in kept.parts:
            number = row["id"] & 0xFF
            seen = seen_of(kept, number, wire)
            if len(seen) > 1 and policy != "resend":
                yield f"{what(kept)} part {number} was sent {len(seen)} times, its service says {policy}"
            sent = evidence.sent.get(kept.token)
            if sent is not None and sent.is_once and len(seen) > 1:
                yield f"{what(kept)} is a datagram, and was sent {len(seen)} times"
            if len(seen) > 1 and not row["is_possible_duplicate"]:
                yield f"{what(kept)} part {number} was sent {len(seen)} times, unmarked"
            if evidence.is_calm and kept.token and len(seen) != 1 and _calm_phone(evidence, kept):
                yield f"{what(kept)} part {number} was sent {len(seen)} times on a calm day"


def _calm_phone(evidence: Evidence, kept: Kept) -> bool:
    """Whether a message must arrive on a calm day, and once."""
    sent = evidence.sent.get(kept.token)
    phones = (*house.MAGIC_PHONES, house.SILENT_PHONE, house.LEAVING_PHONE, house.STOPPING_PHONE)
    return sent is not None and not sent.validity_s and sent.destination not in phones and not kept.taken_back


# -- I1 and I3: every message ends, and as its receipts say -----------------------------------------------------------------------


def _ends(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    if books.outbox:
        yield f"{books.outbox} rows of the outbox were never handed over"
    for kept in books.messages.values():
        for row in kept.parts:
            yield from _end_of(evidence, kept, row, wire)
        if evidence.is_calm and _calm_phone(evidence, kept) and kept.state != DELIVERED:
            yield f"{what(kept)} is {_NAMES.get(kept.state, kept.state)} on a calm day"


def _end_of(evidence: Evidence, kept: Kept, row: Any, wire: Wire) -> Iterator[str]:
    number, state = row["id"] & 0xFF, row["state"]
    smsc_id = f"{row['link']}/{row['smsc_id']}" if row["smsc_id"] else ""
    seen = seen_of(kept, number, wire)
    part = f"{what(kept)} part {number}"
    if state < DELIVERED:
        yield f"{part} never ended, its state is {state}"
    if not kept.token:
        return
    own = {each.smsc_id for each in seen}
    told = [evidence.receipts[each] for each in own if each in evidence.receipts]
    if state == DELIVERED and not any("DELIVRD" in each.stats for each in told):
        yield f"{part} is delivered, and no receipt of it says so"
    # Without a response the receipt's way of writing the id is the only one there is.
    known = own if row["submitted_at"] is not None else own | {each.written for each in told}
    if smsc_id and smsc_id not in known:
        yield f"{part} has the SMSC's id of another message"
    receipt = evidence.receipts.get(smsc_id)
    # A drop service gives up when no answer comes in time, a resend when its validity ends in the queue; an answer that comes later
    # only names what was given up.
    is_given_up = (_POLICIES[kept.service] == "drop" and state == FAILED) or (row["is_possible_duplicate"] and state == EXPIRED)
    if receipt is None or not receipt.is_acknowledged or is_given_up or (receipt.is_contradicting and not evidence.is_steady):
        return
    if (state == DELIVERED) != receipt.is_delivered:
        word = "DELIVRD" if receipt.is_delivered else "failure"
        yield f"{part} is {_NAMES.get(state, state)}, its {word} receipt was acknowledged"


# -- I4: states move forward, and senders are told --------------------------------------------------------------------------------


def _forward(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    last: dict[int, tuple[str, ...]] = {}
    for polled in evidence.polled:
        before = last.get(polled.message_id, polled.states)
        for number, (was, now) in enumerate(zip(before, polled.states, strict=False), 1):
            if was in _FINAL_NAMES and now != was:
                yield f"message {polled.message_id} part {number} was {was} and is {now}"
            if was == "submitted" and now not in (*_FINAL_NAMES, "submitted"):
                yield f"message {polled.message_id} part {number} was submitted and is {now}"
        last[polled.message_id] = polled.states
    for message_id, states in last.items():
        kept = books.messages.get(message_id)
        ends = [_NAMES.get(row["state"]) for row in kept.parts] if kept is not None else []
        for was, is_now in zip(states, ends, strict=False):
            if was in _FINAL_NAMES and was != is_now:
                yield f"message {message_id} was seen {was} and is {is_now} in the store"


def _receipts(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    told: dict[int, set[str]] = defaultdict(set)
    times: Counter[tuple[int, int]] = Counter()
    for handed in evidence.handed:
        if handed.receipt_of and handed.status == 0:
            message_id = books.told_of(handed.receipt_of, handed.phone)
            told[message_id].add(handed.stat)
            times[message_id, handed.session] += 1
            kept = books.messages.get(message_id)
            sent = evidence.sent.get(kept.token) if kept is not None else None
            if sent is not None and sent.owner != handed.partner:
                yield f"the receipt of {who(sent)} came to {handed.partner}"
    for kept in books.messages.values():
        wanted = kept.front == "smpp" and (kept.registered_delivery == 1 or (kept.registered_delivery == 2 and kept.state != DELIVERED))
        stats = told.pop(kept.id, set())
        if wanted and not stats:
            yield f"the receipt of {what(kept)} never came"
        elif stats and not wanted:
            yield f"a receipt of {what(kept)} came, and nobody asked for it"
        elif wanted and not (len(stats) == 1 and stats <= _stats_of(kept)):
            yield f"the receipt of {what(kept)} says {', '.join(sorted(stats))}, it is {_NAMES.get(kept.state, kept.state)}"
    for message_id in told:
        yield f"a receipt came for message {message_id}, which is not in the store"
    for (message_id, session), count in times.items():
        if count > 1:
            yield f"the receipt of message {message_id} was taken {count} times in session {session}"


def _stats_of(kept: Kept) -> set[str]:
    return {"DELETED"} if kept.taken_back else _STATS.get(kept.state, set())


def _statuses(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    lines = {(line.account, line.client_id): line for line in evidence.lines if line.direction == "out"}
    counts = Counter((line.account, line.client_id) for line in evidence.lines if line.direction == "out")
    for sent in evidence.sent.values():
        if sent.front != "im" or sent.answer is not Answer.ACCEPTED or not books.by_token.get(sent.token):
            continue
        line, state = lines.get((sent.owner, sent.key)), books.by_token[sent.token][0].state
        if line is None:
            yield f"{who(sent)} is not in its account's history"
        elif line.state != _NAMES.get(state):
            yield f"{who(sent)} is {_NAMES.get(state, state)}, its account is told {line.state}"
        if counts[sent.owner, sent.key] > 1:
            yield f"{who(sent)} is {counts[sent.owner, sent.key]} times in its account's history"


# -- I5: what phones say arrives once, and in the right thread ---------------------------------------------------------------------


def _threads(evidence: Evidence, _books: Books, _wire: Wire) -> Iterator[str]:
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for line in evidence.lines:
        if line.direction == "in":
            found[token_in(line.text)].append((line.account, line.peer, line.text))
    for said in evidence.said.values():
        if said.acknowledged < said.parts and not said.refused:
            yield f"what {said.phone} said, {said.token}, was never acknowledged"
        if said.refused:
            yield f"what {said.phone} said, {said.token}, was refused"
        if not said.account:
            continue
        places = found.pop(said.token, [])
        if len(places) != 1 and said.acknowledged == said.parts:
            yield f"the reply {said.token} of {said.phone} to account {said.account} is {len(places)} times in histories"
        for account, peer, text in places:
            if (account, peer) != (said.account, f"+{said.phone}"):
                yield f"the reply {said.token} of {said.phone} to account {said.account} came to account {account}, thread {peer}"
            elif text != said.text:
                yield f"the reply {said.token} of {said.phone} reads otherwise than it was written"
    for token, places in found.items():
        yield f"account {places[0][0]} has a line ({token or 'without a token'}) that no phone sent to it"


def _partner_mo(evidence: Evidence, _books: Books, _wire: Wire) -> Iterator[str]:
    came: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    for handed in evidence.handed:
        if not handed.receipt_of and handed.status == 0:
            came[handed.token].append((handed.session, handed.text))
    for said in evidence.said.values():
        if not said.partner:
            continue
        places = came.pop(said.token, [])
        if not places and said.acknowledged == said.parts:
            yield f"what {said.phone} said to {said.partner}, {said.token}, never came"
        if len({session for session, _ in places}) != len(places):
            yield f"what {said.phone} said to {said.partner}, {said.token}, came {len(places)} times"
        if any(text != said.text for _, text in places):
            yield f"what {said.phone} said to {said.partner}, {said.token}, reads otherwise than it was written"
    for token in came:
        yield f"a partner got an MO ({token or 'without a token'}) that is not his"


def _addresses(evidence: Evidence, _books: Books, wire: Wire) -> Iterator[str]:
    """A reply address on a phone belongs to one account for good, and an account has one there per code."""
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for seen in (each for all_seen in wire.taken.values() for each in all_seen):
        sent = evidence.sent.get(seen.token)
        if sent is not None and sent.front == "im":
            owners[seen.source, seen.destination].add(sent.owner)
            if seen.destination != sent.destination:
                yield f"{who(sent)} went to another phone"
    for (address, phone), accounts in owners.items():
        if len(accounts) > 1:
            yield f"on {phone}, {address} is the address of accounts {', '.join(sorted(accounts))}"
    addresses: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (address, phone), accounts in owners.items():
        for account in accounts:
            addresses[account, phone].add(address)
    for (account, phone), several in addresses.items():
        if len(several) > 1:
            yield f"on {phone}, account {account} has the addresses {', '.join(sorted(several))}"
