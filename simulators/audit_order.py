"""The auditor's checks of what leaves when: in order, not too soon, not after a STOP, and no more than is allowed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from simulators import house
from simulators.books import Books, Kept
from simulators.evidence import Answer, Evidence, OnWire, Sent
from simulators.sightings import QUEUE_FULL, THROTTLED, Wire, is_changed, who

KNOWN_AFTER_S = 1.0
# What leaves by two binds at one time arrives in either order, as far apart as a plan's longest latency.
TRANSIT_S = 0.25
# Sweep, claim and network, and at most a link's rate: on a calm day nothing due waits longer.
PUNCTUAL_S = 5.0


class _Line(NamedTuple):
    """One sender's messages to one phone by one link: what has an order."""

    owner: str
    phone: str
    link: str


class _Lines:
    """All submit_sm of known messages whose text stayed as it was, by line and segment."""

    def __init__(self, evidence: Evidence, books: Books) -> None:
        self.events: dict[_Line, dict[int, list[OnWire]]] = defaultdict(lambda: defaultdict(list))
        self.sent: dict[int, Sent] = {}  # by segment, as the others
        self.marked: set[int] = set()
        self.links: dict[int, set[str]] = defaultdict(set)
        for seen in evidence.wire:
            kept = books.by_token.get(seen.token, [None])[0] if seen.token else None
            sent = evidence.sent.get(seen.token)
            if kept is None or sent is None or is_changed(sent):
                continue
            segment_id = kept.id + (seen.part if len(kept.parts) > 1 else 1)
            owner = "im" if sent.front == "im" else sent.owner
            self.events[_Line(owner, seen.destination, seen.link)][segment_id].append(seen)
            self.sent[segment_id] = sent
            self.links[segment_id].add(seen.link)
            self.marked.update(row["id"] for row in kept.parts if row["is_possible_duplicate"])


def in_order(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """Of one sender's messages to one phone, what was refused for speed or a full queue goes again before the first of a later one.

    What had left before the refusal was known is excused; so the check is made where answers come at once.
    """
    if not evidence.is_prompt:
        return
    lines = _Lines(evidence, books)
    for line, segments in lines.events.items():
        for segment_id, events in segments.items():
            for refused, again in pairwise(events):
                if refused.status not in (THROTTLED, QUEUE_FULL) or segment_id in lines.marked:
                    continue
                known_s = refused.at_s + KNOWN_AFTER_S
                for other, its in segments.items():
                    if other > segment_id and known_s < its[0].at_s < again.at_s - TRANSIT_S:
                        yield f"{line.owner}'s segment {segment_id} to {line.phone} was refused, and {other} went before it did again"


def first_in_order(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """What was answered before the next was handed in leaves before it, to one phone by one link, unless it has a time of its own.

    Excused is what may have left before and was lost under way, and what was moved from another link.
    """
    if not evidence.is_prompt or evidence.is_moving:
        return
    lines = _Lines(evidence, books)
    for line, segments in lines.events.items():
        firsts = [
            (segment_id, lines.sent[segment_id], events[0].at_s)
            for segment_id, events in segments.items()
            if not lines.sent[segment_id].not_before_s and segment_id not in lines.marked and len(lines.links[segment_id]) == 1
        ]
        for segment_id, sent, at_s in firsts:
            if sent.answer is not Answer.ACCEPTED:
                continue
            for other, later, later_at_s in firsts:
                if sent.answered_at_s < later.asked_at_s and later_at_s < at_s - TRANSIT_S:
                    yield f"{line.owner}'s segment {other} to {line.phone} went before {segment_id}, which was accepted before it came"


def schedules(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    """Nothing is taken before the time it was asked for; nor much later on a calm day, by a link that nobody told to slow down."""
    slowed = {seen.link for seen in evidence.wire if seen.status == THROTTLED}
    is_calm = evidence.is_calm and not any(sent.destination == house.SILENT_PHONE for sent in evidence.sent.values())
    for sent in evidence.sent.values():
        due_s = sent.not_before_s
        for asked in sent.asked:
            if asked.not_before_s is not None and asked.answer is Answer.ACCEPTED:
                due_s = asked.not_before_s
            elif asked.not_before_s is not None and asked.answer is Answer.NONE:
                due_s = min(due_s, asked.not_before_s)
        for seen in wire.of(sent.token):
            if seen.at_s < due_s:
                yield f"{who(sent)} was sent at {seen.at_s:.3f} s, and asked for at {due_s:.3f} s"
            is_late = due_s and seen.at_s > due_s + PUNCTUAL_S and books.by_token[sent.token][0].attempts == 1
            if is_late and is_calm and seen.link not in slowed:
                yield f"{who(sent)} was sent at {seen.at_s:.3f} s on a calm day, and asked for at {due_s:.3f} s"


def opt_outs(evidence: Evidence, books: Books, wire: Wire) -> Iterator[str]:
    """After a STOP nothing more is accepted from there; and what waits does not leave, once an operator was answered."""
    for stop in (said for said in evidence.said.values() if said.is_stop and said.acknowledged):
        for sent in evidence.sent.values():
            is_under = any(seen.token == sent.token and seen.source.startswith(stop.to) for seen in evidence.wire)
            if sent.destination == stop.phone and is_under and sent.asked_at_s > stop.acknowledged_at_s and sent.answer is Answer.ACCEPTED:
                yield f"{who(sent)} was accepted after its phone had said STOP"
    for order in evidence.stops:
        for sent in evidence.sent.values():
            if sent.destination != order.phone or not sent.source.startswith(order.code):
                continue
            if sent.asked_at_s > order.at_s and sent.answer is Answer.ACCEPTED:
                yield f"{who(sent)} was accepted after an opt-out"
            # What is in the network already may be stalled there.
            last_s = order.at_s + TRANSIT_S if evidence.is_prompt else float("inf")
            for seen in wire.of(sent.token):
                if seen.at_s > last_s or order.at_s < sent.not_before_s <= seen.at_s:
                    yield f"{who(sent)} was sent at {seen.at_s:.3f} s, its phone had opted out by {order.at_s:.3f} s"


def quotas(evidence: Evidence, books: Books, _wire: Wire) -> Iterator[str]:
    """A partner with limits has no more accepted than they say, a day and a second; and exactly that is counted."""
    own = [kept for kept in books.messages.values() if _owner(evidence, kept) == "quick"]
    for day, count in Counter(kept.row["accepted_at"] // house.DAY_US for kept in own).items():
        if count > house.QUICK_PER_DAY:
            yield f"{count} messages of day {day} were accepted, {house.QUICK_PER_DAY} may be"
    if books.usage.get("quick", 0) != len(own):
        yield f"{books.usage.get('quick', 0)} messages of all days were counted, {len(own)} were accepted"
    if evidence.lives > 1:
        return  # each life begins with a full bucket
    times = sorted((kept.row["accepted_at"] - house.START_US) / 1e6 for kept in own)
    for first, begin_s in enumerate(times):
        for last in range(first, len(times)):
            most = house.QUICK_PER_S * (1 + times[last] - begin_s)
            if last - first + 1 > most + 0.001:
                yield f"{last - first + 1} messages were accepted in {times[last] - begin_s:.3f} s, {most:.1f} may be"
                return


def _owner(evidence: Evidence, kept: Kept) -> str:
    sent = evidence.sent.get(kept.token)
    return sent.owner if sent is not None else ""
