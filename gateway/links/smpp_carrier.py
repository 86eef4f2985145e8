"""What a link hears, turned into the services' words: answers and receipts for dispatch, MOs for receiving.

A deliver_sm is answered after its commit; when nothing can be written it is answered RX_T_APPN, and the carrier sends it again.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.address import Address, AddressError, from_smpp
from gateway.domain.ids import id_floor
from gateway.domain.message import Flight
from gateway.links.smpp_bind import Bind
from gateway.links.smpp_transport import SmppTransport
from gateway.links.wire_form import unpacked
from gateway.services.correlation import Report
from gateway.services.dispatch import Dispatch
from gateway.services.outcome import Noted
from gateway.services.receive import REPEAT_US, Incoming, Received, Receiving
from gateway.smpp import pdu as p
from gateway.smpp import receipt
from gateway.smpp.consts import Status, Tag
from gateway.smpp.tlv import get_int
from gateway.smpp.vendor_tlv import NO_VENDOR_TLVS, VendorTlvs
from gateway.sms.udh import Concatenation
from gateway.store import mo
from gateway.store.batch import Bulk
from gateway.store.writer import StoreWriter
from gateway.world import World

# Of a receipt's error, as much as a segment and its charge have room for.
ERROR_CHARACTERS = 32


class CarrierSide:
    """Hears every link."""

    def __init__(
        self,
        world: World,
        writer: StoreWriter,
        dispatch: Dispatch,
        receiving: Receiving,
        *,
        received: Callable[[Received], None],
        counted: Callable[[str, str], None],
        answered: Callable[[str, int], None],
        delivered: Callable[[Flight], None],
        vendor_tlvs: VendorTlvs = NO_VENDOR_TLVS,
    ) -> None:
        self._world = world
        self._writer = writer
        self._dispatch = dispatch
        self._receive: Bulk[Incoming, Received] = Bulk(receiving.receive_many, rank=6)
        self._settle: Bulk[mo.Parted, None] = Bulk(mo.settle_sessions, rank=6, is_kept=True)
        self._open: dict[int, set[int]] = {}  # by session, what came by it and is not answered yet
        self._received = received
        self._counted = counted
        self._answered = answered
        self._delivered = delivered
        self._vendor_tlvs = vendor_tlvs
        self.responded_late = dispatch.responded_late
        self.window_opened = dispatch.window_opened
        self.congested = dispatch.congestion
        self.alerted = dispatch.alerted

    def responded(self, flight: Flight, status: int, smsc_id: str) -> None:
        """A submit_sm was answered."""
        self._answered(flight.link, status)
        self._dispatch.responded(flight, status, smsc_id)

    def unanswered(self, flight: Flight) -> None:
        """A submit_sm will not be answered."""
        self._counted("unanswered", flight.link)
        self._dispatch.unanswered(flight)

    def parted(self, session_id: int) -> None:
        """Remember that what came by this connection was answered, and heard to be."""
        since = id_floor(self._world.clock.now_us() - REPEAT_US)

        def done(_result: None, _error: BaseException | None) -> None:
            """Nobody waits for it."""

        # What is still being written can't be answered any more: the carrier will send it again.
        self._writer.put(self._settle, mo.Parted(session_id, since, frozenset(self._open.get(session_id, ()))), done)

    def received(self, bind: Bind, wire: SmppTransport, request: p.DeliverSm | p.DataSm, report: receipt.Report | None) -> None:
        """A deliver_sm or data_sm came."""
        if report is not None:
            self._take_receipt(bind, wire, request, report)
            return
        try:
            incoming = self._incoming(bind, request)
        except AddressError:
            # An MO whose sender cannot be named can never be answered or billed; refusing it for good tells the carrier so.
            bind.respond(wire, request, Status.ESME_RX_P_APPN)
            return

        unanswered = self._open.setdefault(incoming.session_id, set())
        unanswered.add(incoming.id)

        def done(result: Received | None, error: BaseException | None) -> None:
            unanswered.discard(incoming.id)
            if not unanswered:
                self._open.pop(incoming.session_id, None)
            if result is not None:
                self._counted(result.effect, bind.link.name)
                self._received(result)
            bind.respond(wire, request, 0 if error is None else Status.ESME_RX_T_APPN)

        self._writer.put(self._receive, incoming, done)

    def _take_receipt(self, bind: Bind, wire: SmppTransport, request: p.DeliverSm | p.DataSm, told: receipt.Report) -> None:
        text = told.text_receipt
        report = Report(
            bind.link.name,
            _storable(told.smsc_id),
            int(told.state),
            _storable(text.stat) if text is not None else "",
            _storable(told.error)[:ERROR_CHARACTERS] or None,
            _handset(bind, request),
            request.destination_addr,
            self._world.clock.now_us(),
            self._world.next_id(),
            self._dispatch.flying(bind.link.name, told.smsc_id),
            _storable(text.text) if text is not None else "",
            _storable(text.id) if text is not None and text.id != told.smsc_id else "",
        )

        def done(noted: Noted | None, error: BaseException | None) -> None:
            if noted is not None:
                self._counted(noted.effect, bind.link.name)
                if noted.effect == "ended" and report.flight is not None:
                    self._delivered(report.flight)
            bind.respond(wire, request, 0 if error is None else Status.ESME_RX_T_APPN)

        self._dispatch.reported(report, done)

    def _incoming(self, bind: Bind, request: p.DeliverSm | p.DataSm) -> Incoming:
        body = request.short_message if isinstance(request, p.DeliverSm) else b""
        if not body and request.tlvs:
            body = request.tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
        if bind.link.config.profile.is_packed:
            body = unpacked(request.esm_class, request.data_coding, body)
        addr, ton, npi = request.source_addr, request.source_addr_ton, request.source_addr_npi
        if bind.link.read_number is not None:
            addr, ton, npi = bind.link.read_number(addr, ton, npi)
        source = from_smpp(ton, npi, addr, unknown_is_international=True)
        destination = Address(request.destination_addr.lstrip("+"), request.dest_addr_ton, request.dest_addr_npi)
        return Incoming(
            self._world.next_id(),
            self._world.next_id(),
            bind.link.name,
            bind.session_id,
            source,
            destination,
            request.data_coding,
            request.esm_class,
            body,
            _sar(request),
            self._world.clock.now_us(),
            self._world.clock.monotonic(),
            request.protocol_id if isinstance(request, p.DeliverSm) else 0,
            self._vendor_tlvs.of_delivery(request.tlvs) if request.tlvs else b"",
        )


def _handset(bind: Bind, request: p.DeliverSm | p.DataSm) -> str:
    if bind.link.read_number is None:
        return request.source_addr
    return bind.link.read_number(request.source_addr, request.source_addr_ton, request.source_addr_npi).digits_or_name


def _sar(request: p.DeliverSm | p.DataSm) -> Concatenation | None:
    """The concatenation that SAR parameters state, SMPP 3.4 section 5.3.2.22 to 24; None when they are missing or lie."""
    if not request.tlvs:
        return None
    reference = get_int(request, Tag.SAR_MSG_REF_NUM)
    total = get_int(request, Tag.SAR_TOTAL_SEGMENTS)
    number = get_int(request, Tag.SAR_SEGMENT_SEQNUM)
    if reference is None or total is None or number is None or not 1 <= number <= total:
        return None
    return Concatenation(reference, total, number, True)


def _storable(word: str) -> str:
    """What a carrier wrote as the store can keep it: PostgreSQL takes no U+0000."""
    return word.replace("\0", "\ufffd")
