"""What a submission becomes on the way to phones: its encoding, its data_coding and the octets of each of its parts.

Kept is one form whatever the link wants: septets one to an octet, headers in front. A submission's own octets in the default
alphabet are read in the alphabet of the door they came by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gateway.domain.failure import Refused
from gateway.sms import gsm7, national, profile, segments, typography, udh
from gateway.sms.coding import ALPHABETS, rewritten
from gateway.sms.content import text_of
from gateway.sms.errors import TextError, TooManyParts, UdhError
from gateway.sms.profile import Method, TextProfile
from gateway.sms.segments import OCTETS_MAX, SEPTETS_MAX, Encoding, Segmented

if TYPE_CHECKING:
    from gateway.services.catalogue import Catalogue, Service
    from gateway.services.submit import Submission

UDHI = 0x40
ENCODING_GSM7, ENCODING_UCS2, ENCODING_AS_GIVEN = 0, 1, 2
_ENCODING_NUMBERS = {Encoding.GSM7: ENCODING_GSM7, Encoding.UCS2: ENCODING_UCS2}
ENCODING_NAMES = {ENCODING_GSM7: "gsm7", ENCODING_UCS2: "ucs2", ENCODING_AS_GIVEN: "binary"}
_REFERENCES_MAX = 10_000
_REFERENCE_MASK = 0xFFFF


class Parts(NamedTuple):
    """A message cut up: `bodies` are the octets of each segment, header included where esm_class says so.

    `short_messages` is how many a phone gets and a price counts; more than there are segments where the SMSC does the cutting.
    """

    encoding: int
    data_coding: int
    esm_class: int
    bodies: tuple[bytes, ...]
    short_messages: int = 1


class Parting:
    """Cuts submissions; keeps the next concatenation reference of recent destinations, so that parts of two messages never mix.

    Where a destination is not remembered, its references begin where the last such one's did and one on: a campaign over more phones
    than are kept does not give every phone the same reference again and again.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._profiles = catalogue.profiles
        self._alphabet = catalogue.alphabet
        self._is_gsm = catalogue.alphabet == "gsm7"
        self._references: dict[str, int] = {}
        self._first = 0

    def parts(self, submission: Submission, service: Service, link: str, *, is_kept: bool = True) -> Parts:
        """The parts of a submission for a link; raises Refused (`too_long`, `bad_text`).

        Parts that are not kept use up no reference, and are cut as a phone gets them, whoever does the cutting.
        """
        text, data_coding = submission.text, submission.data_coding
        wanted = self._profiles.get(link) if self._profiles else None
        # The hot path: nearly every message is one part in the default alphabet, as it came or as it is written.
        if not data_coding and wanted is None:
            if text is None:
                if self._is_gsm and len(submission.body) <= SEPTETS_MAX:
                    return Parts(ENCODING_AS_GIVEN, 0, submission.esm_class, (submission.body,))
            else:
                octets = gsm7.encode_if_possible(text)
                if octets is not None and len(octets) <= SEPTETS_MAX:
                    return Parts(ENCODING_GSM7, 0, submission.esm_class, (octets,))
        if text is None:
            is_default = ALPHABETS[data_coding] == "default"
            is_ours = not is_default or self._is_gsm
            if submission.esm_class & UDHI:
                return _as_given(submission) if is_ours else _in_gsm(submission, self._alphabet)
            is_better_anew = ALPHABETS[data_coding] == "ucs2" and self._replaces(submission, service)
            if is_ours and not is_better_anew and len(submission.body) <= (SEPTETS_MAX if is_default else OCTETS_MAX):
                return _as_given(submission)
            text = text_of(data_coding, submission.body, default=self._alphabet)
            if text is None:
                return self._of_octets(submission, service, is_kept)
        if self._replaces(submission, service):
            text = typography.replaced(text) or text
        if wanted is not None and not is_kept and wanted.method is Method.PAYLOAD:
            wanted = wanted._replace(method=Method.UDH8)
        split = self._cut(submission, is_kept, lambda reference: _split(text, wanted, reference, service.parts_max))
        esm_class = submission.esm_class | UDHI if split.udhi else submission.esm_class
        is_ucs2 = split.encoding is Encoding.UCS2
        coding = rewritten(data_coding, is_ucs2=is_ucs2) if data_coding else split.data_coding
        return Parts(_ENCODING_NUMBERS[split.encoding], coding, esm_class, split.parts, split.short_messages)

    def _replaces(self, submission: Submission, service: Service) -> bool:
        allowed = submission.replace_typographic
        return service.replaces_typographic if allowed is None else allowed

    def _of_octets(self, submission: Submission, service: Service, is_kept: bool) -> Parts:
        split = self._cut(
            submission,
            is_kept,
            lambda reference: segments.split_octets(submission.body, reference=reference, parts_max=service.parts_max),
        )
        return Parts(ENCODING_AS_GIVEN, submission.data_coding, submission.esm_class | UDHI, split.parts, split.short_messages)

    def _cut(self, submission: Submission, is_kept: bool, split: Callable[[int], Segmented]) -> Segmented:
        destination = submission.destination.digits_or_name
        try:
            found = split(self._references.get(destination, self._first))
        except TooManyParts as error:
            raise Refused("too_long", f"{error}; nothing was cut or sent", field="text") from None
        except TextError as error:
            raise Refused("bad_text", str(error), field="text") from None
        if len(found.parts) > 1 and is_kept:
            self._turn_reference(destination)
        return found

    def _turn_reference(self, destination: str) -> None:
        known = self._references.pop(destination, None)
        if known is None:
            known, self._first = self._first, (self._first + 1) & _REFERENCE_MASK
        self._references[destination] = (known + 1) & _REFERENCE_MASK
        if len(self._references) > _REFERENCES_MAX:
            del self._references[next(iter(self._references))]


def _as_given(submission: Submission) -> Parts:
    return Parts(ENCODING_AS_GIVEN, submission.data_coding, submission.esm_class, (submission.body,))


def _split(text: str, wanted: TextProfile | None, reference: int, parts_max: int) -> Segmented:
    if wanted is None:
        return segments.split(text, reference=reference, parts_max=parts_max)
    return profile.split(text, wanted, reference=reference, parts_max=parts_max)


def _in_gsm(submission: Submission, alphabet: str) -> Parts:
    """One part with its own header, whose text came in another default alphabet."""
    elements, offset = _header(submission.body)
    header, octets = submission.body[:offset], submission.body[offset:]
    text = text_of(submission.data_coding, octets, default=alphabet, shift=national.shift_of(elements)) or ""
    try:
        writing = segments.write(text)
    except TextError as error:
        raise Refused("bad_text", str(error), field="text") from None
    if len(writing.octets) > writing.room(len(header)):
        raise Refused("too_long", "a part with a header is longer than one short message; nothing was cut or sent", field="text")
    coding = rewritten(submission.data_coding, is_ucs2=writing.encoding is Encoding.UCS2)
    return Parts(ENCODING_AS_GIVEN, coding, submission.esm_class, (header + writing.octets,))


def _header(body: bytes) -> tuple[udh.Elements, int]:
    try:
        return udh.parse(body)
    except UdhError as error:
        raise Refused("bad_text", str(error), field="udh") from None
