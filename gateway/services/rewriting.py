"""What a waiting message becomes when its sender changes it: pure decisions over what stands and what is asked for."""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain.address import Address
from gateway.domain.failure import Refused
from gateway.domain.message import Message, State
from gateway.services.parts import ENCODING_AS_GIVEN, UDHI
from gateway.services.reception import Reception
from gateway.services.submit import Draft, Sender, Submission
from gateway.sms import udh
from gateway.sms.errors import UdhError
from gateway.store.options import Option
from gateway.store.recall import Standing


class Change(NamedTuple):
    """What is to be different; None stays as it is. A schedule that has come means now; a validity is from then, or until a time."""

    text: str | None = None
    body: bytes | None = None
    schedule_at: int | None = None  # UTC µs
    validity_us: int | None = None
    valid_until: int | None = None  # UTC µs
    registered_delivery: int | None = None


class Rewriting(NamedTuple):
    """The message as it will be; `bodies` None where its content stays. `parts` short messages reach the phone."""

    message: Message
    bodies: tuple[bytes, ...] | None
    parts: int
    retry_at: int | None
    option: Option | None


def decide(standing: Standing, kept: Option | None, change: Change, reception: Reception, now_us: int) -> Rewriting:
    """Everything about a change; raises Refused (`bad_schedule`, `bad_validity`, `bad_text`, `too_long`)."""
    message = standing.message
    scheduled = _schedule_of(standing, now_us)
    retry_at = standing.parts[0].retry_at if change.schedule_at is None else _checked(change.schedule_at, reception, now_us)
    base = (scheduled if change.schedule_at is None else retry_at) or now_us
    registered = message.registered_delivery if change.registered_delivery is None else change.registered_delivery
    expires_at = _expiry(message, change, kept, reception, base)
    new = message._replace(registered_delivery=registered, expires_at=expires_at)
    option = _option(message.id, kept, scheduled if change.schedule_at is None else retry_at)
    if change.text is None and change.body is None:
        return Rewriting(new, None, 1, retry_at, option)
    draft = reception.redraft(_submission(message, kept, change), message, standing.parts[0].link)
    given = None if draft.option is None else draft.option.data_coding
    if given is not None or option is not None:
        option = (option or Option(message.id, None, None, None))._replace(data_coding=given)
    return Rewriting(_with_content(new, draft), draft.bodies, draft.event.parts, retry_at, option)


def _with_content(message: Message, draft: Draft) -> Message:
    new = draft.message
    return message._replace(encoding=new.encoding, data_coding=new.data_coding, esm_class=new.esm_class, segments=new.segments)


def _schedule_of(standing: Standing, now_us: int) -> int | None:
    """When a message that was never tried is due, if that is still to come."""
    part = standing.parts[0]
    return part.retry_at if not part.attempts and part.state == State.ACCEPTED and (part.retry_at or 0) > now_us else None


def _checked(schedule_at: int, reception: Reception, now_us: int) -> int | None:
    if schedule_at <= now_us:
        return None
    reception.check_schedule(schedule_at)
    return schedule_at


def _expiry(message: Message, change: Change, kept: Option | None, reception: Reception, base: int) -> int:
    """When the message expires: as asked for, within what its service allows; else as long after its schedule as it was before."""
    service = reception.catalogue.services.get(message.service)
    longest = service.validity_us if service is not None else message.expires_at - message.accepted_at
    if change.valid_until is not None:
        if change.valid_until <= base:
            raise Refused("bad_validity", "the validity ends before the message may be sent", field="validity_s")
        return min(change.valid_until, base + longest)
    if change.validity_us is not None:
        return base + min(change.validity_us, longest)
    if change.schedule_at is None:
        return message.expires_at
    before = kept.schedule_at if kept is not None and kept.schedule_at is not None else message.accepted_at
    return base + message.expires_at - before


def _option(message_id: int, kept: Option | None, schedule_at: int | None) -> Option | None:
    """The row of what few messages have, as it will be."""
    option = (kept or Option(message_id, None, None, None))._replace(schedule_at=schedule_at)
    return option if any(value is not None for value in option[1:]) else None


def _submission(message: Message, kept: Option | None, change: Change) -> Submission:
    """The message as it would be submitted with its new content."""
    esm_class = message.esm_class
    is_own_header = message.encoding == ENCODING_AS_GIVEN and message.segments == 1 and bool(esm_class & UDHI)
    if not is_own_header or change.text is not None:
        esm_class &= ~UDHI  # of our own cutting
    else:
        _check_header(change.body or b"")
    return Submission(
        Sender(message.front, None, message.partner_id, message.im_account, message.im_message_id),
        Address(message.source, message.source_ton, message.source_npi),
        Address(message.destination, message.destination_ton, message.destination_npi),
        message.service,
        change.text,
        change.body or b"",
        kept.data_coding if kept is not None and kept.data_coding is not None else message.data_coding,
        esm_class,
        message.protocol_id,
        message.priority,
    )


def _check_header(body: bytes) -> None:
    """The sender wrote the header itself, so its new content must have one."""
    try:
        udh.parse(body)
    except UdhError:
        raise Refused("bad_text", "the message has a user data header, and its new content none", field="text") from None
