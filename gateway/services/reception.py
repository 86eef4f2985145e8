"""The reception: where every front hands in its submissions, and hears what became of them after the commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection

from gateway.domain.admission import US, Admission
from gateway.domain.failure import Kind, Refused, StoreUnavailable
from gateway.domain.message import Message, UnknownOutcome
from gateway.domain.policy import REPLACEMENTS, PartnerPolicy
from gateway.domain.routing import without_rules
from gateway.services import schedule
from gateway.services.catalogue import Catalogue
from gateway.services.dispatch import Dispatch
from gateway.services.parts import ENCODING_NAMES
from gateway.services.preview import Preview, Previewing
from gateway.services.routing import Routing
from gateway.services.schedule import AHEAD_US_MAX
from gateway.services.submit import Accepting, Draft, Drafting, Submission
from gateway.store import partners
from gateway.store.writer import StoreWriter
from gateway.world import World


class Accepted(NamedTuple):
    """A message on disk."""

    message_id: int
    segments: int
    encoding: str
    price_minor: int
    currency: str


Answer = Accepted | Refused


def _no_room(_link: str, _segments: int, _policy: UnknownOutcome) -> bool:
    """For drafts of messages that wait already."""
    return False


NO_ADMISSIONS: Mapping[int | None, Admission] = {}


def _uncounted(_front: int, _reason: str, _partner_id: int | None) -> None:
    """For those who count no refusals."""


class Reception:
    """Drafts submissions, has them written, and gives the committed ones to dispatch."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        dispatch: Dispatch,
        catalogue: Catalogue,
        *,
        backlog_max: int,
        accepted: Callable[[int, int | None], None],
        refused: Callable[[int, str, int | None], None] = _uncounted,
        ahead_us_max: int = AHEAD_US_MAX,
        admissions: Mapping[int | None, Admission] = NO_ADMISSIONS,
        metered: Collection[int] = (),
        routing: Routing | None = None,
    ) -> None:
        self._world = world
        self._writer = writer
        self._dispatch = dispatch
        self.catalogue = catalogue
        self._drafting = Drafting(catalogue)
        self._previewing = Previewing(catalogue, self._drafting.service, self.now_us)
        self._accepting = Accepting(catalogue.revenue_account, metered, catalogue)
        self._backlog_max = backlog_max
        self._accepted = accepted
        self._refused = refused
        self._ahead_us_max = ahead_us_max
        self.replacing: Callable[[Submission, Callable[[Answer], None]], None] | None = None  # set by services.recall
        self._admissions = admissions  # of partners that have limits, by id
        self._routing = routing
        self.queued = 0  # set by the sweep from the table; a bound, not an exact count

    def now_us(self) -> int:
        """The time that schedules are held against."""
        return self._world.clock.now_us()

    @property
    def fullness(self) -> float:
        """How much of the backlog is in use, 0 to 1 and a little over."""
        return self.queued / self._backlog_max

    def submit(self, submission: Submission, done: Callable[[Answer], None]) -> None:
        """Accept one; `done` is called once it is on disk, or refused."""
        if submission.replaces and self.replacing is not None:
            self.replacing(submission, done)
            return
        try:
            draft = self._draft(submission)
        except Refused as refused:
            self._refused(submission.sender.front, refused.reason, submission.sender.partner_id)
            done(refused)
            return

        def committed(refused: Refused | None, error: BaseException | None) -> None:
            done(self._committed(draft, refused, error))

        self._writer.put(self._dispatch.accept_bulk, draft, committed)

    async def submit_all(self, submissions: Sequence[Submission | Refused]) -> list[Answer]:
        """Accept many in one commit, each answered for itself; what was refused before passes through."""
        answers: list[Answer | None] = [None] * len(submissions)
        left = len(submissions)
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(place: int) -> Callable[[Answer], None]:
            def done(answer: Answer) -> None:
                nonlocal left
                answers[place] = answer
                left -= 1
                if left == 0 and not finished.done():
                    finished.set_result(None)

            return done

        with self._batch(submissions):
            for place, submission in enumerate(submissions):
                if isinstance(submission, Refused):
                    answered(place)(submission)
                else:
                    self.submit(submission, answered(place))
        if submissions:
            await finished
        return [answer for answer in answers if answer is not None]

    async def submit_once(
        self,
        partner_id: int,
        key: str,
        request_hash: str,
        submissions: Sequence[Submission | Refused],
        render: Callable[[list[Answer]], str],
    ) -> tuple[str, bool]:
        """Accept under an Idempotency-Key: (the answer as rendered, whether it is a repeat).

        The key is kept in the transaction of the messages. Raises Refused (reason `key_reused`) when it came with another request.
        """
        # A client that goes away does not stop what may be committed already.
        return await asyncio.shield(self._submit_once(partner_id, key, request_hash, submissions, render))

    async def _submit_once(
        self,
        partner_id: int,
        key: str,
        request_hash: str,
        submissions: Sequence[Submission | Refused],
        render: Callable[[list[Answer]], str],
    ) -> tuple[str, bool]:
        drafts: list[Draft | Refused] = []
        own: list[Draft] = []
        try:
            with self._batch(submissions):
                for submission in submissions:
                    draft = self._draft_or_refusal(submission)
                    drafts.append(draft)
                    if isinstance(draft, Draft):
                        own.append(draft)
            answer, refusals = await self._writer.run(self._accept_once, partner_id, key, request_hash, drafts, render)
        except BaseException:
            for draft in own:
                self.abandoned(draft)
            raise
        if refusals is None:
            for draft in own:
                self.abandoned(draft)
            return answer, True
        for draft, refused in zip(own, refusals, strict=True):
            self._committed(draft, refused, None)
        return answer, False

    def _accept_once(
        self,
        conn: Connection,
        partner_id: int,
        key: str,
        request_hash: str,
        drafts: list[Draft | Refused],
        render: Callable[[list[Answer]], str],
    ) -> tuple[str, list[Refused | None] | None]:
        kept = partners.kept_answer(conn, partner_id, key)
        if kept is not None:
            if kept[0] != request_hash:
                raise Refused("key_reused", "this Idempotency-Key was used with another request", field="Idempotency-Key")
            return kept[1], None
        refusals = self._accepting.accept_many(conn, [draft for draft in drafts if isinstance(draft, Draft)])
        written = iter(refusals)
        answers = [draft if isinstance(draft, Refused) else next(written) or _accepted_of(draft) for draft in drafts]
        answer = render(answers)
        partners.keep_answer(conn, partner_id, key, request_hash, answer, self._world.clock.now_us())
        return answer, refusals

    def accept_in(self, conn: Connection, draft: Draft) -> None:
        """Write a draft inside a caller's transaction; raises Refused. The caller then calls `committed` or `abandoned`."""
        refused = self._accepting.accept_many(conn, [draft])[0]
        if refused is not None:
            raise refused

    def redraft(self, submission: Submission, message: Message, link: str) -> Draft:
        """Decide anew what a message that still waits consists of; its id, its times and its charge stay its own. Raises Refused."""
        clock, admission = self._world.clock, self._admissions.get(message.partner_id)
        if admission is not None:
            submission = _as_wished(admission.policy, submission)
        return self._drafting.draft(submission, message.id, clock.now_us(), clock.monotonic(), link=link, reserve=_no_room, is_priced=False)

    def check_schedule(self, at: int) -> None:
        """Raise Refused (`bad_schedule`) for a time too far ahead."""
        schedule.check(at, self._world.clock.now_us(), self._ahead_us_max)

    def draft(self, submission: Submission) -> Draft:
        """Decide a submission without writing it; raises Refused."""
        return self._draft(submission)

    def preview(self, submission: Submission) -> Preview:
        """What would become of a submission, with nothing written and nothing counted; raises Refused."""
        admission = self._admissions.get(submission.sender.partner_id)
        if admission is not None:
            submission = self._checked(admission, submission)
        if self._routing is None:
            route = without_rules(self._dispatch.choose_link())
        else:
            submission, route = self._routing.would_lead(submission, self._world.clock.now_us())
        return self._previewing.preview(submission, route)

    def committed(self, draft: Draft) -> Accepted:
        """A draft written by `accept_in` is on disk."""
        answer = self._committed(draft, None, None)
        assert isinstance(answer, Accepted)
        return answer

    def abandoned(self, draft: Draft) -> None:
        """A draft was not written after all."""
        self._dispatch.abandoned(draft)
        if self._admissions:
            admission = self._admissions.get(draft.message.partner_id)
            if admission is not None:
                admission.give_back(draft.message.accepted_at)

    @contextmanager
    def _batch(self, submissions: Sequence[Submission | Refused]) -> Iterator[None]:
        """All of one request is drafted here, by one partner."""
        first = next((each for each in submissions if isinstance(each, Submission)), None) if self._admissions else None
        admission = None if first is None else self._admissions.get(first.sender.partner_id)
        if admission is None:
            yield
            return
        admission.begin_batch(self._world.clock.monotonic())
        try:
            yield
        finally:
            admission.end_batch()

    def _draft_or_refusal(self, submission: Submission | Refused) -> Draft | Refused:
        if isinstance(submission, Refused):
            return submission
        try:
            return self._draft(submission)
        except Refused as refused:
            # "Not now" must not be kept as the answer under a key.
            if refused.kind is not Kind.PERMANENT:
                raise
            return refused

    def _draft(self, submission: Submission) -> Draft:
        if self._admissions:
            admission = self._admissions.get(submission.sender.partner_id)
            if admission is not None:
                return self._draft_within(admission, submission)
        return self._draft_any(submission)

    def _draft_within(self, admission: Admission, submission: Submission) -> Draft:
        """For a partner with limits: its wishes where it says nothing, then its limits, then as for everyone."""
        submission, clock = self._checked(admission, submission), self._world.clock
        now_us = clock.now_us()
        admission.take(clock.monotonic(), now_us)
        try:
            return self._draft_any(submission)
        except Refused:
            admission.give_back(now_us)
            raise

    def _checked(self, admission: Admission, submission: Submission) -> Submission:
        submission = _as_wished(admission.policy, submission)
        service = submission.service or self.catalogue.default_service
        admission.check(submission.source.digits_or_name, submission.destination.digits_or_name, service, submission.priority)
        return submission

    def _draft_any(self, submission: Submission) -> Draft:
        if not self._writer.is_healthy:
            raise StoreUnavailable
        if self.queued >= self._backlog_max:
            raise Refused("backlog_full", "too many messages are waiting; try again later", kind=Kind.THROTTLED)
        dispatch, clock, routing = self._dispatch, self._world.clock, self._routing
        if submission.schedule_at is not None:
            submission = schedule.settled(submission, clock.now_us(), self._ahead_us_max)
        if routing is None or routing.is_plain:
            link = dispatch.choose_link()
        else:
            submission, link = routing.lead(submission, clock.now_us())
        if not link:
            raise Refused("no_link", "no link is configured, so nothing can be sent")
        return self._drafting.draft(
            submission, self._world.next_id(), clock.now_us(), clock.monotonic(), link=link, reserve=dispatch.reserve
        )

    def _committed(self, draft: Draft, refused: Refused | None, error: BaseException | None) -> Answer:
        if error is not None or refused is not None:
            self.abandoned(draft)
            if refused is not None:
                self._refused(draft.message.front, refused.reason, draft.message.partner_id)
                return refused
            return error if isinstance(error, Refused) else StoreUnavailable("the message could not be stored; the outcome is unknown")
        self._dispatch.committed(draft)
        self._accepted(draft.message.front, draft.message.partner_id)
        return _accepted_of(draft)


def _as_wished(policy: PartnerPolicy, submission: Submission) -> Submission:
    """A partner's submission with its policy's word where it says nothing, and within its longest validity."""
    validity_us, replaces = submission.validity_us, submission.replace_typographic
    if policy.validity_s_max:
        most_us = policy.validity_s_max * US
        validity_us = most_us if validity_us is None else min(validity_us, most_us)
    if replaces is None:
        replaces = REPLACEMENTS[policy.replace_typographic]
    service = submission.service or policy.service
    if (service, validity_us, replaces) == (submission.service, submission.validity_us, submission.replace_typographic):
        return submission
    return submission._replace(service=service, validity_us=validity_us, replace_typographic=replaces)


def _accepted_of(draft: Draft) -> Accepted:
    message, event = draft.message, draft.charged
    return Accepted(message.id, message.segments, ENCODING_NAMES[message.encoding], event.amount_minor, event.currency)


def answer_fields(answer: Accepted) -> dict[str, Any]:
    """An accepted message as JSON fields; ids are strings, for 63 bits do not survive in every reader."""
    return {
        "id": str(answer.message_id),
        "segments": answer.segments,
        "encoding": answer.encoding,
        "price": {"amount_minor": answer.price_minor, "currency": answer.currency},
    }


def dumps(fields: Any) -> str:
    """Compact JSON."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
