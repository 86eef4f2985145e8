"""Receipts as a partner's policy wants them: in data_sm instead of deliver_sm, or without optional parameters."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.policy import PartnerPolicy
from gateway.smpp import pdu as p
from gateway.smpp.consts import VERSION_3_4, Tag

# The bits of esm_class that say what kind of receipt it is: SMPP 3.4 section 5.2.12.
_RECEIPT_TYPES = frozenset({0x04, 0x08, 0x10, 0x20})
_TYPE_MASK = 0x3C

# (deliver_sm, the peer's version) -> what is sent instead
Form = Callable[[p.DeliverSm, int], p.DeliverSm | p.DataSm]


def form_of(policy: PartnerPolicy) -> Form | None:
    """What to make of each deliver_sm; None: it goes as it is."""
    if policy.receipt_pdu == "data_sm":
        return _in_data_sm
    return None if policy.receipt_tlvs else _bare


def _is_receipt(request: p.DeliverSm) -> bool:
    return request.esm_class & _TYPE_MASK in _RECEIPT_TYPES


def _bare(request: p.DeliverSm, _version: int) -> p.DeliverSm:
    return request._replace(tlvs={}) if _is_receipt(request) else request


def _in_data_sm(request: p.DeliverSm, version: int) -> p.DeliverSm | p.DataSm:
    # data_sm came with 3.4, and carries its text as message_payload.
    if version < VERSION_3_4 or not _is_receipt(request):
        return request
    return p.DataSm(
        service_type=request.service_type,
        source_addr_ton=request.source_addr_ton,
        source_addr_npi=request.source_addr_npi,
        source_addr=request.source_addr,
        dest_addr_ton=request.dest_addr_ton,
        dest_addr_npi=request.dest_addr_npi,
        destination_addr=request.destination_addr,
        esm_class=request.esm_class,
        data_coding=request.data_coding,
        tlvs={**request.tlvs, int(Tag.MESSAGE_PAYLOAD): request.short_message},
    )
