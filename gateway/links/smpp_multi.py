"""submit_multi: one text to many, as one message for each destination under one id (SMPP 3.4 section 4.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.domain.failure import Refused
from gateway.links import smpp_answers as answers
from gateway.services.reception import Accepted, Answer
from gateway.smpp import pdu as p
from gateway.smpp.consts import Npi, Status, Ton

# no_unsuccess is one octet.
UNSUCCESSFUL_MAX = 255


def expanded(destinations: Sequence[p.Destination], partner: str, lists: Mapping[tuple[str, str], tuple[str, ...]]) -> list[p.SmeAddress]:
    """Every address once, those of distribution lists in their place; raises Refused for a list that is not known."""
    found: dict[p.SmeAddress, None] = {}
    for destination in destinations:
        if isinstance(destination, p.SmeAddress):
            found[destination] = None
            continue
        numbers = lists.get((partner, destination.dl_name)) or lists.get(("", destination.dl_name))
        if numbers is None:
            raise answers.StatusRefused(Status.ESME_RINVDLNAME, "no such distribution list")
        found.update((p.SmeAddress(Ton.INTERNATIONAL, Npi.ISDN, number), None) for number in numbers)
    return list(found)


def submit_to(request: p.SubmitMulti, address: p.SmeAddress) -> p.SubmitSm:
    """The submit_sm that says to one destination what a submit_multi says to all."""
    return p.SubmitSm(
        request.sequence_number,
        0,
        request.service_type,
        request.source_addr_ton,
        request.source_addr_npi,
        request.source_addr,
        address.dest_addr_ton,
        address.dest_addr_npi,
        address.destination_addr,
        request.esm_class,
        request.protocol_id,
        request.priority_flag,
        request.schedule_delivery_time,
        request.validity_period,
        request.registered_delivery,
        request.replace_if_present_flag,
        request.data_coding,
        request.sm_default_msg_id,
        request.short_message,
        request.tlvs,
    )


Outcome = list[tuple[p.SmeAddress, Answer]]


class Gathering:
    """Waits for the answer to each destination."""

    def __init__(self, addresses: Sequence[p.SmeAddress], done: Callable[[Outcome], None]) -> None:
        self._addresses = addresses
        self._answers: dict[int, Answer] = {}
        self._done = done

    def answered(self, place: int, answer: Answer) -> None:
        """One destination was answered; the last one completes the whole."""
        self._answers[place] = answer
        if len(self._answers) == len(self._addresses):
            self._done([(address, self._answers[place]) for place, address in enumerate(self._addresses)])

    def answerer(self, place: int) -> Callable[[Answer], None]:
        """What hears the answer to one destination."""
        return lambda answer: self.answered(place, answer)


def answer(request: p.SubmitMulti, outcome: Outcome, group_id: int, version: int) -> p.SubmitMultiResp:
    """submit_multi_resp: the one id, and who was refused with which status; the first refusal's status where nobody was taken."""
    refused = [(address, answer) for address, answer in outcome if isinstance(answer, Refused)]
    accepted = [answer for _, answer in outcome if isinstance(answer, Accepted)]
    if not accepted:
        return p.SubmitMultiResp(request.sequence_number, answers.status_of(refused[0][1], version))
    message_id = accepted[0].message_id if len(outcome) == 1 else group_id
    unsuccessful = tuple(p.UnsuccessSme(*address, answers.status_of(why, version)) for address, why in refused[:UNSUCCESSFUL_MAX])
    return p.SubmitMultiResp(request.sequence_number, 0, answers.written_id(message_id, version), unsuccessful)
