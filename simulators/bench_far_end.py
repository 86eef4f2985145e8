"""The bench's carrier: our SMSC simulator, which tells the meter what arrives and which receipts were taken."""

from __future__ import annotations

from gateway.smpp.pdu import Pdu, SubmitSm
from gateway.world import World
from simulators.bench_meter import Meter, index_of
from simulators.smsc import Smsc
from simulators.smsc_config import SmscConfig
from simulators.smsc_delivery import Delivery
from simulators.smsc_messages import Taken
from simulators.smsc_session import SmscSession
from simulators.smsc_treatment import Treatment


class FarEnd(Smsc):
    """An SMSC under load; with `counts_receipts` a message is final when the gateway has acknowledged its receipts here."""

    def __init__(self, world: World, meter: Meter, *, response_delay_ms: int, with_receipts: bool, counts_receipts: bool) -> None:
        # A receipt is due just after its response, as a carrier's would be.
        config = SmscConfig(
            port=0,
            rules=(),
            log_max=0,
            checks=False,
            with_phones=False,
            response_delay_ms=response_delay_ms,
            receipt_delay_ms=response_delay_ms + 1 if response_delay_ms else 0,
        )
        super().__init__(world, config)
        usual = self.treatments.plain("")
        assert usual is not None, "a far end has neither rules nor chance"
        self._usual = usual
        self._meter = meter
        self._with_receipts = with_receipts
        if counts_receipts:
            self._answered = self.deliveries.answered
            self.deliveries.answered = self._receipt_answered  # type: ignore[method-assign]  # the one place that hears of it

    def treatment_of(self, session: SmscSession, request: SubmitSm) -> Treatment:
        """Always the usual: there is no rule to look for."""
        return self._usual

    def ids_for(self, session: SmscSession, treatment: Treatment) -> tuple[str, str]:
        return self.ids.take()

    def check(self, request: SubmitSm, treatment: Treatment, version: int = 0) -> int:
        """Takes everything."""
        self.counts.submits += 1
        return 0

    def take(self, session: SmscSession, request: SubmitSm, treatment: Treatment, ids: tuple[str, str]) -> Taken:
        """Nothing is scheduled here, and nothing lasts longer than its validity."""
        self.counts.accepted += 1
        taken = Taken(ids, self.world.clock.now_us(), session.system_id, request, treatment.rule)
        if request.registered_delivery:
            self.timeline.after(treatment.receipt_delay_s, self._finish, taken, session, treatment.copies)
        return taken

    def respond(self, session: SmscSession, request: Pdu, response: Pdu, treatment: Treatment) -> None:
        """Always, and after the usual delay."""
        if treatment.response_delay_s:
            self.timeline.after(treatment.response_delay_s, session.answer, request, response)
        else:
            session.session.respond(request, response)

    def submit(self, session: SmscSession, request: SubmitSm) -> None:
        index = index_of(request.destination_addr)
        if index is not None and index < self._meter.messages:
            self._meter.arrive(index)
            if not self._with_receipts:
                self._meter.finish(index)
        if not self._with_receipts:
            request = request._replace(registered_delivery=0)
        super().submit(session, request)

    def _receipt_answered(self, delivery: Delivery, status: int) -> None:
        self._answered(delivery, status)
        index = index_of(delivery.pdu.source_addr)
        if not status and index is not None:
            self._meter.finish(index)
