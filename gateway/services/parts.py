"""What a submission becomes on the way to phones: its encoding, its data_coding and the octets of each of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.domain.failure import Refused
from gateway.sms import segments as text_segments
from gateway.sms.content import text_of
from gateway.sms.errors import TextError, TooManyParts

if TYPE_CHECKING:
    from gateway.services.catalogue import Service
    from gateway.services.submit import Submission

UDHI = 0x40
OCTETS_MAX = 140
SEPTETS_MAX = 160
ENCODING_GSM7, ENCODING_UCS2, ENCODING_AS_GIVEN = 0, 1, 2
_ENCODING_NUMBERS = {"gsm7": ENCODING_GSM7, "ucs2": ENCODING_UCS2}
ENCODING_NAMES = {ENCODING_GSM7: "gsm7", ENCODING_UCS2: "ucs2", ENCODING_AS_GIVEN: "binary"}
_REFERENCES_MAX = 10_000


class Parts(NamedTuple):
    """A message cut up: `bodies` are the octets of each segment, header included where esm_class says so."""

    encoding: int
    data_coding: int
    esm_class: int
    bodies: tuple[bytes, ...]


class Parting:
    """Cuts submissions; keeps the last concatenation reference of recent destinations, so that parts of two messages never mix."""

    def __init__(self) -> None:
        self._references: dict[str, int] = {}

    def parts(self, submission: Submission, service: Service) -> Parts:
        """The parts of a submission; raises Refused (`too_long`, `bad_text`)."""
        text, body = submission.text, submission.body
        if text is None:
            if submission.esm_class & UDHI or len(body) <= (SEPTETS_MAX if submission.data_coding == 0 else OCTETS_MAX):
                return Parts(ENCODING_AS_GIVEN, submission.data_coding, submission.esm_class, (body,))
            text = text_of(submission.data_coding, body)
            if text is None:
                return self._of_octets(submission, service)
        destination = submission.destination.digits_or_name
        try:
            split = text_segments.split(text, reference=self._references.get(destination, 0), parts_max=service.parts_max)
        except TooManyParts as error:
            raise Refused("too_long", f"{error}; nothing was cut or sent", field="text") from None
        except TextError as error:
            raise Refused("bad_text", str(error), field="text") from None
        if split.udhi:
            self._turn_reference(destination)
        esm_class = submission.esm_class | UDHI if split.udhi else submission.esm_class
        return Parts(_ENCODING_NUMBERS.get(split.encoding, ENCODING_AS_GIVEN), split.data_coding, esm_class, split.parts)

    def _of_octets(self, submission: Submission, service: Service) -> Parts:
        destination = submission.destination.digits_or_name
        try:
            split = text_segments.split_octets(submission.body, reference=self._references.get(destination, 0), parts_max=service.parts_max)
        except TooManyParts as error:
            raise Refused("too_long", f"{error}; nothing was cut or sent", field="text") from None
        self._turn_reference(destination)
        return Parts(ENCODING_AS_GIVEN, submission.data_coding, submission.esm_class | UDHI, split.parts)

    def _turn_reference(self, destination: str) -> None:
        turned = self._references.pop(destination, 0) + 1
        self._references[destination] = turned & 0xFF
        if len(self._references) > _REFERENCES_MAX:
            del self._references[next(iter(self._references))]
