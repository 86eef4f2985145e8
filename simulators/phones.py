"""Virtual phones, pure: what each phone received, joined and readable, and what its owner wrote. No clock, no loop.

A message of several parts is shown while it grows (`id` is None then) and gets its id when the last part comes, so whoever asks
for "everything after id N" never misses one. Every limit drops the oldest: a load test can't eat the machine's memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.sms import reassembly, segments, udh
from gateway.sms.content import text_of
from gateway.sms.errors import TextError, TooManyParts
from gateway.sms.national import NO_SHIFT, Shift
from gateway.sms.reassembly import Assembly, Part, PartKey

PARTS_MAX = 20
ADDRESS_LENGTH_MAX = 20

RECEIVED = "received"
SENT = "sent"

PENDING = "pending"  # written, no receiver bind has taken it yet
ACCEPTED = "accepted"  # the gateway answered every part
REFUSED = "refused"  # the gateway refused a part for good


class PhoneError(Exception):
    """Something a phone can't do; the text is fit for its owner, `field` names the bad input."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field_name
        self.reason = reason


class Incoming(NamedTuple):
    """One short message as it reached a phone; `payload` is without its header, `concatenation` from UDH or SAR parameters.

    `shift` names the national tables of its header: a simulated phone reads them all.
    """

    source: str
    destination: str
    data_coding: int
    payload: bytes
    concatenation: udh.Concatenation | None
    ports: udh.Ports | None
    at_us: int
    shift: Shift = NO_SHIFT


@dataclass(slots=True, eq=False)
class Message:
    """One bubble of a thread. `repeats` counts parts that came again unchanged after the message was whole."""

    direction: str
    phone: str
    peer: str
    at_us: int
    text: str | None
    raw: bytes = b""
    parts: int = 1
    parts_total: int = 1
    id: int | None = None
    state: str = ""
    repeats: int = 0
    port: int | None = None
    encoding: str = ""

    @property
    def is_complete(self) -> bool:
        return self.parts == self.parts_total


class Outgoing(NamedTuple):
    """A reply ready for the air: the message in its thread and the octets of each part."""

    message: Message
    segmented: segments.Segmented


@dataclass(slots=True, eq=False)
class _Growing:
    """A message of several parts; kept for a while after it is whole, to tell repeats from new messages."""

    message: Message
    assembly: Assembly
    first_at_us: int


@dataclass(slots=True, eq=False)
class Phone:
    """One phone: its messages in the order they became visible, and the long ones still growing."""

    msisdn: str
    messages: list[Message] = field(default_factory=list)
    growing: OrderedDict[PartKey, _Growing] = field(default_factory=OrderedDict)
    reference: int = 0
    is_kept: bool = False
    received: int = 0

    def incomplete(self) -> list[Message]:
        return [each.message for each in self.growing.values() if not each.message.is_complete]


def msisdn_of(address: str) -> str:
    """The one spelling of a phone's number: what SMPP carries, without plus, spaces and dashes."""
    number = address.strip().removeprefix("+").replace(" ", "").replace("-", "")
    if not number or len(number) > ADDRESS_LENGTH_MAX or not number.isascii() or not number.isalnum():
        raise PhoneError("msisdn", f"a phone number has 1 to {ADDRESS_LENGTH_MAX} digits")
    return number


class Phones:
    """All virtual phones; a phone appears when it is added, receives or writes."""

    def __init__(
        self,
        *,
        phones_max: int = 1_000,
        messages_max: int = 1_000,
        growing_max: int = 100,
        join_timeout_us: int = 3_600_000_000,
        repeat_window_us: int = 300_000_000,
    ) -> None:
        self._phones: OrderedDict[str, Phone] = OrderedDict()
        self._phones_max = phones_max
        self._messages_max = messages_max
        self._growing_max = growing_max
        self._join_timeout_us = join_timeout_us
        self._repeat_window_us = repeat_window_us
        self._last_id = 0

    def __iter__(self) -> Iterator[Phone]:
        """The phones, the one with the newest message first."""
        return reversed(self._phones.values())

    def __len__(self) -> int:
        return len(self._phones)

    def get(self, msisdn: str) -> Phone | None:
        return self._phones.get(msisdn)

    def add(self, address: str) -> Phone:
        """Put a phone on the table; it stays there whatever arrives for others."""
        phone = self._touch(msisdn_of(address))
        phone.is_kept = True
        return phone

    def clear(self) -> None:
        """Forget every message, and the phones that nobody added by hand."""
        for msisdn in [phone.msisdn for phone in self._phones.values() if not phone.is_kept]:
            del self._phones[msisdn]
        for phone in self._phones.values():
            phone.messages.clear()
            phone.growing.clear()

    def receive(self, incoming: Incoming) -> Message:
        """Put a short message into its phone; returns the message it made, or the one it is a part of."""
        phone = self._touch(incoming.destination.removeprefix("+"))
        phone.received += 1
        if incoming.concatenation is None or incoming.concatenation.total == 1:
            message = _single(phone.msisdn, incoming)
            self._show(phone, message)
            return message
        return self._receive_part(phone, incoming, incoming.concatenation)

    def write(self, address: str, to: str, text: str, now_us: int) -> Outgoing:
        """The owner of a phone writes; raises PhoneError for a bad number, an empty text or one too long."""
        number = msisdn_of(address)
        peer = _peer_of(to)
        segmented = self._split(number, text)
        phone = self._touch(number)
        phone.reference = (phone.reference + 1) & 0xFF
        total = len(segmented.parts)
        message = Message(
            SENT, number, peer, now_us, text, parts=total, parts_total=total, state=PENDING, encoding=segmented.encoding.value
        )
        self._show(phone, message)
        return Outgoing(message, segmented)

    def _split(self, number: str, text: str) -> segments.Segmented:
        if not text:
            raise PhoneError("text", "the text is empty")
        phone = self._phones.get(number)
        reference = phone.reference + 1 if phone is not None else 1
        try:
            return segments.split(text, reference=reference & 0xFF, parts_max=PARTS_MAX)
        except (TooManyParts, TextError) as error:
            raise PhoneError("text", str(error)) from None

    def _touch(self, msisdn: str) -> Phone:
        phone = self._phones.get(msisdn)
        if phone is None:
            phone = self._phones[msisdn] = Phone(msisdn)
            self._drop_phones()
        self._phones.move_to_end(msisdn)
        return phone

    def _drop_phones(self) -> None:
        """Make room: the phone silent for longest goes, unless somebody put it there."""
        if len(self._phones) <= self._phones_max:
            return
        idle = next((msisdn for msisdn, phone in self._phones.items() if not phone.is_kept), None)
        del self._phones[idle if idle is not None else next(iter(self._phones))]

    def _show(self, phone: Phone, message: Message) -> None:
        self._last_id += 1
        message.id = self._last_id
        phone.messages.append(message)
        if len(phone.messages) > self._messages_max:
            # A tenth at once: dropping one by one would move the whole list each time.
            del phone.messages[: max(1, self._messages_max // 10)]

    def _receive_part(self, phone: Phone, incoming: Incoming, place: udh.Concatenation) -> Message:
        key = PartKey(incoming.source, phone.msisdn, place.reference, place.wide, place.total)
        growing = self._growing(phone, key, incoming)
        part = Part(place.number, incoming.payload, incoming.data_coding, incoming.at_us, incoming.shift)
        message = growing.message
        if message.is_complete:
            message.repeats += 1
            return message
        growing.assembly = reassembly.add(growing.assembly, part)
        joined = reassembly.join(growing.assembly)
        message.parts = len(growing.assembly.parts)
        message.text, message.raw, message.at_us = joined.text, joined.raw, incoming.at_us
        if reassembly.is_complete(growing.assembly):
            self._show(phone, message)
        return message

    def _growing(self, phone: Phone, key: PartKey, incoming: Incoming) -> _Growing:
        """The message this part belongs to: the known one while it may grow or is plainly repeated, else a new one."""
        known = phone.growing.get(key)
        if known is not None and not self._is_over(known, incoming):
            return known
        message = Message(RECEIVED, phone.msisdn, incoming.source, incoming.at_us, None, parts=0, parts_total=key.total)
        if incoming.ports is not None:
            message.port = incoming.ports.destination
        phone.growing[key] = _Growing(message, Assembly(key.total), incoming.at_us)
        phone.growing.move_to_end(key)
        if len(phone.growing) > self._growing_max:
            phone.growing.popitem(last=False)
        return phone.growing[key]

    def _is_over(self, known: _Growing, incoming: Incoming) -> bool:
        assert incoming.concatenation is not None
        if not known.message.is_complete:
            return reassembly.is_expired(known.first_at_us, incoming.at_us, self._join_timeout_us)
        is_same = any(part.number == incoming.concatenation.number and part.body == incoming.payload for part in known.assembly.parts)
        return not is_same or incoming.at_us - known.message.at_us > self._repeat_window_us


def _single(msisdn: str, incoming: Incoming) -> Message:
    text = text_of(incoming.data_coding, incoming.payload, shift=incoming.shift)
    message = Message(RECEIVED, msisdn, incoming.source, incoming.at_us, text, raw=incoming.payload)
    if incoming.ports is not None:
        # Port-addressed octets are for a program on the phone, whatever the coding says.
        message.port = incoming.ports.destination
    return message


def _peer_of(to: str) -> str:
    peer = to.strip().removeprefix("+")
    if not peer or len(peer) > ADDRESS_LENGTH_MAX or not peer.isascii() or not peer.isprintable():
        raise PhoneError("to", f"a destination has 1 to {ADDRESS_LENGTH_MAX} characters")
    return peer
