"""Cases F about an ESME: how it stands a carrier's bad days."""

from __future__ import annotations

import asyncio
import itertools
import ssl

from gateway.smpp import pdu as p
from gateway.smpp.consts import Status, Tag
from simulators.conform.case import Cases, NotTested
from simulators.conform.esme_host import RECEIVING, SENDING, PeerWire, of_esme, text_of
from simulators.conform.esme_receipts import sent, settles
from simulators.conform.octets import cstring, tlv
from simulators.conform.probe import Probe
from simulators.conform.wire import Frame

CASES = Cases()
case = CASES.case

HOT = 10  # more attempts than this in the time below is hammering
HOT_S = 5.0
LATENCY_S = 0.1
MANY = 50


async def _not_hot(probe: Probe, status: int | None, what: str) -> None:
    """Refuse every bind for a while and count how often it tries."""
    esme = of_esme(probe)
    await esme.peer()
    esme.host.bind_status = status
    esme.host.arrivals.clear()
    esme.host.drop_all()
    span = min(HOT_S, probe.subject.patience_s)
    await asyncio.sleep(span)
    count = len(esme.host.arrivals)
    esme.host.bind_status = 0
    esme.host.drop_all()
    probe.remark(f"{what}: {count} attempts in {span:g} s")
    probe.expect(count <= max(2, HOT * span / HOT_S), f"{what}: {count} attempts in {span:g} s is hammering")


@case("F01", "binds refused for credentials", "no hot loop")
async def f01(probe: Probe) -> None:
    for status in (Status.ESME_RINVPASWD, Status.ESME_RBINDFAIL):
        await _not_hot(probe, status, status.name)


@case("F02", "bind refused ESME_RALYBND after a drop", "waits, tries again")
async def f02(probe: Probe) -> None:
    await _not_hot(probe, Status.ESME_RALYBND, "ESME_RALYBND")


@case("F03", "bind_resp never comes", "closed at its bind timer, no hot loop", is_patient=True)
async def f03(probe: Probe) -> None:
    esme = of_esme(probe)
    await esme.peer()
    esme.host.bind_status = None
    esme.host.drop_all()
    patience = probe.subject.patience_s
    probe.expect(await esme.until(lambda: bool(esme.host.wires and esme.host.wires[0].bind), patience), "it did not come back")
    wire = esme.host.wires[0]
    probe.expect(await wire.closes(patience), f"it waits for a bind response for more than {patience:g} s")
    esme.host.bind_status = 0


@case("F04", "some submit_sm get ESME_RTHROTTLED", "sent again, in order, each taken once; registered_delivery kept", is_slowing=True)
async def f04(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    taken: list[Frame] = []
    counter = itertools.count(1)

    def verdict(submit: Frame) -> tuple[int, str]:
        if next(counter) % 4 == 0:
            return int(Status.ESME_RTHROTTLED), ""
        taken.append(submit)
        return esme.host.accept(submit)

    wire.verdict = verdict
    texts = [f"throttle {number}" for number in range(8)]
    await esme.have_it_send(*texts)
    probe.expect(await esme.until(lambda: len(taken) >= len(texts), probe.subject.patience_s), f"{len(taken)} of {len(texts)} were taken")
    order = [text_of(submit).decode("latin-1") for submit in taken]
    probe.expect(sorted(order) == sorted(texts), f"taken: {order}")
    if order != texts:
        probe.remark("requests already in the window went ahead of the refused one")
    asked = {submit.pdu.registered_delivery for submit in taken if isinstance(submit.pdu, p.SubmitSm)}
    probe.expect(len(asked) == 1, "registered_delivery was lost on the way")


@case("F05", "ESME_RMSGQFUL for one destination", "that one waits, others flow")
async def f05(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    full, other = probe.subject.destination, probe.subject.destination[:-1] + "7"

    def verdict(submit: Frame) -> tuple[int, str]:
        to = submit.pdu.destination_addr.lstrip("+") if isinstance(submit.pdu, p.SubmitSm) else ""
        return (int(Status.ESME_RMSGQFUL), "") if to == full else esme.host.accept(submit)

    wire.verdict = verdict
    await esme.have_it_send("to a full queue")
    await esme.submits(wire, 1)
    await esme.have_it_send("to another", to=other)
    found = await esme.until(lambda: any(text_of(submit) == b"to another" for submit in wire.submits), probe.subject.patience_s)
    probe.expect(found, "the other destination waits behind the full one")
    await probe.expect_alive(wire, "ESME_RMSGQFUL")


@case("F06", "ESME_RSYSERR, and ESME_RINVDSTADR", "the first is tried again, the second is final", is_patient=True)
async def f06(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    statuses = {b"temporary": Status.ESME_RSYSERR, b"final": Status.ESME_RINVDSTADR}

    def verdict(submit: Frame) -> tuple[int, str]:
        status = statuses.get(text_of(submit))
        seen = sum(text_of(each) == text_of(submit) for each in wire.submits)
        return (int(status), "") if status is not None and seen == 1 else esme.host.accept(submit)

    wire.verdict = verdict
    await esme.have_it_send("temporary", "final")

    def count(text: bytes) -> int:
        return sum(text_of(submit) == text for submit in wire.submits)

    probe.expect(await esme.until(lambda: count(b"temporary") >= 2, probe.subject.patience_s), "ESME_RSYSERR was not tried again")
    await asyncio.sleep(probe.subject.quiet_s)
    probe.expect(count(b"final") == 1, f"ESME_RINVDSTADR was tried {count(b'final')} times")


@case("F07", "one submit_sm is never answered", "the others flow, the session stays", is_patient=True)
async def f07(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda submit: None if text_of(submit) == b"never answered" else esme.host.accept(submit)
    await esme.have_it_send("never answered", *(f"beside it {number}" for number in range(20)))
    await esme.submits(wire, 21)
    again = await esme.until(lambda: sum(text_of(each) == b"never answered" for each in wire.submits) > 1, probe.subject.patience_s)
    probe.remark("sent again" if again else f"not sent again within {probe.subject.patience_s:g} s")
    await probe.expect_alive(wire, "a request without an answer")


@case("F08", "the link drops with unanswered requests", "bound again; resent or held as the sender's policy says")
async def f08(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda _submit: None
    await esme.have_it_send("in the window")
    await esme.submits(wire, 1)
    wire.reset()
    again = await esme.peer(SENDING)
    resent = await esme.until(lambda: any(text_of(submit) == b"in the window" for submit in again.submits), probe.subject.timeout_s)
    probe.remark("sent again" if resent else "held")


@case("F09", "nothing is answered, then each after 100 ms", "never more than its window in flight; it goes on as answers come")
async def f09(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda _submit: None
    await esme.have_it_send(*(f"window {number}" for number in range(MANY)))
    await esme.submits(wire, probe.subject.window or 1)
    held: list[Frame] = []
    while len(wire.submits) > len(held):
        held = list(wire.submits)
        await asyncio.sleep(probe.subject.quiet_s)
    if probe.subject.window:
        probe.expect(len(held) == probe.subject.window, f"{len(held)} were in flight, its window is {probe.subject.window}")
    in_flight = [0]  # after each arrival

    def answer(submit: Frame) -> None:
        in_flight[-1] -= 1
        wire.respond(submit, esme.host.accept(submit))

    def answer_later(submit: Frame) -> None:
        in_flight.append(in_flight[-1] + 1)
        asyncio.get_running_loop().call_later(LATENCY_S, answer, submit)

    wire.verdict = answer_later
    for submit in held:
        wire.respond(submit, esme.host.accept(submit))
    begun = probe.world.clock.monotonic()
    probe.expect(await esme.until(lambda: len(wire.submits) >= MANY, probe.subject.patience_s), f"{len(wire.submits)} of {MANY} came")
    elapsed_s = probe.world.clock.monotonic() - begun
    probe.expect(max(in_flight) <= len(held), f"{max(in_flight)} were in flight, {len(held)} before")
    paced = MANY - 2 * len(held)  # those that waited for an answer that was late
    rate = f"; {paced / elapsed_s:.0f} a second at {LATENCY_S * 1000:.0f} ms" if paced > 0 else ""
    probe.remark(f"{len(held)} in flight{rate}" if len(held) < MANY else f"{MANY} in flight at least")


@case("F10", "unbind from the SMSC", "unbind_resp, then bound again")
async def f10(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer()
    probe.expect_status(await wire.ask(p.Unbind(), probe.subject.patience_s), 0, "unbind")
    wire.reset()
    await esme.peer()


@case("F11", "garbage", "the connection is given up, bound again, nothing else harmed")
async def f11(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer()
    wire.send_octets(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    probe.expect(await wire.closes(probe.subject.patience_s), "it goes on reading garbage")
    await esme.peer()


@case("F12", "enquire_link is not answered any more", "dropped within its timers, bound again", is_patient=True)
async def f12(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer()
    wire.is_polite = False
    probe.expect(await wire.closes(probe.subject.patience_s), f"it stays on a dead link for {probe.subject.patience_s:g} s")


@case("F13", "a slow SMSC", "no false timeout: nothing is sent twice")
async def f13(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    wire.verdict = lambda _submit: None
    await esme.have_it_send("slowly")
    submit = (await esme.submits(wire, 1))[0]
    await asyncio.sleep(min(4.0, probe.subject.quiet_s * 4))
    wire.verdict = esme.host.accept
    wire.respond(submit, esme.host.accept(submit))
    await probe.expect_alive(wire, "a slow answer")
    probe.expect(len(wire.submits) == 1, f"the message was sent {len(wire.submits)} times")


@case("F14", "congestion_state 100, then 0", "it slows down, and goes on", is_slowing=True)
async def f14(probe: Probe) -> None:
    esme = of_esme(probe)
    wire = await esme.peer(SENDING)
    levels = iter((100, 99, 0, 0, 0, 0))

    def crowded(submit: Frame) -> tuple[int, str] | None:
        _, message_id = esme.host.accept(submit)
        state = tlv(Tag.CONGESTION_STATE, bytes((next(levels, 0),)))
        wire.answer(submit, 0, cstring(message_id) + state)
        return None

    wire.verdict = crowded  # answers by itself
    await esme.have_it_send(*(f"crowd {number}" for number in range(4)))
    probe.expect(await esme.until(lambda: len(wire.submits) >= 4, probe.subject.patience_s), f"{len(wire.submits)} of 4 came")
    await probe.expect_alive(wire, "congestion_state")


@case("F15", "TLS with a certificate that is not to be trusted", "no bind over it", is_patient=True)
async def f15(probe: Probe) -> None:
    esme = of_esme(probe)
    certificate, key = probe.need(probe.subject.bad_certificate, "--bad-certificate and --tls-port")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    came: list[PeerWire] = []

    def take() -> PeerWire:
        came.append(esme.make_peer_wire())
        return came[-1]

    listener = await probe.world.network.listen(take, probe.subject.host, probe.subject.tls_port, ssl=context)
    try:
        if not await esme.until(lambda: bool(came), probe.subject.patience_s):
            raise NotTested("it did not come to --tls-port")
        trusted = await esme.until(lambda: any(wire.bind for wire in came), probe.subject.timeout_s)
    finally:
        listener.close()
    probe.expect(not trusted, "it bound over a connection that it must not trust")


@case("F16", "killed without warning, and started again", "receipts of before still match, nothing is lost")
async def f16(probe: Probe) -> None:
    esme = of_esme(probe)
    restart = probe.need(probe.subject.triggers.restart, "--restart-command")
    _, _, ids = await sent(esme, "before the end")
    await asyncio.sleep(probe.subject.quiet_s)  # an answer that is not on its disk yet would be none
    await restart()
    esme.host.drop_all()
    await esme.delivered(await esme.peer(RECEIVING), esme.receipt(ids[0]), "a receipt after a restart")
    await settles(esme, "before the end", "delivered")


@case("F17", "hours of traffic", "no clash of numbers", is_patient=True)
async def f17(probe: Probe) -> None:
    esme = of_esme(probe)
    length = probe.need(probe.subject.long_s, "--soak-s")
    wire = await esme.peer(SENDING)
    deadline = probe.world.clock.monotonic() + length
    seen: set[int] = set()
    count = 0
    while probe.world.clock.monotonic() < deadline:
        wire.submits.clear()
        await esme.have_it_send(f"soak {count}")
        number = (await esme.submits(wire, 1))[0].sequence_number
        if number in seen:
            raise NotTested(f"sequence_number {number} came again after {count} messages; that is a wrap, or a clash")
        seen.add(number)
        count += 1
    probe.remark(f"{count} messages in {length:g} s")
