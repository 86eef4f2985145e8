"""Partners over TLS, on real sockets: the second door, client certificates, and partners bound to theirs."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator

import pytest

from tests.support.certificates import Authority, Pair
from tests.support.gateway import House, opened_gateway
from tests.support.partners import set_policy
from tests.support.wire import BIND_TRX, HOST, Wire, bind_body


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def partner(authority) -> Pair:
    return authority.sign("acme-esme")


@pytest.fixture(scope="module")
def door(authority) -> dict[str, object]:
    pair = authority.sign("bellhop", alt="IP:127.0.0.1")
    return {"tls_port": 0, "tls_certificate_file": str(pair.certificate), "tls_key_file": str(pair.key)}


@pytest.fixture
async def house(tmp_path, door) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path, door=door) as opened:
        yield opened


@pytest.fixture
async def mutual(tmp_path, door, authority) -> AsyncIterator[House]:
    async with opened_gateway(tmp_path, door={**door, "tls_client_ca_file": authority.file}) as opened:
        yield opened


async def wire_to(house: House, authority: Authority, own: Pair | None = None) -> Wire:
    context = ssl.create_default_context(cafile=authority.file)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    wire = Wire(*await asyncio.open_connection(HOST, house.gateway.smpp_server.tls_port, ssl=context))
    house._wires.append(wire)
    return wire


async def status_of(wire: Wire) -> int:
    return (await wire.ask(BIND_TRX, bind_body())).status


async def test_partners_bind_and_submit_over_tls(house, authority):
    wire = await wire_to(house, authority)

    assert await status_of(wire) == 0
    assert (await wire.submit()).status == 0
    assert await wire.is_alive()
    assert house.gateway.smpp_server.sessions_of(house.gateway.accounts.ids["acme"])[0]["tls"]


async def test_who_must_use_tls_may_not_bind_without(house, authority):
    await set_policy(house, tls_required=True)

    assert await status_of(await house.wire()) == 0x0D
    assert await status_of(await wire_to(house, authority)) == 0


async def test_plain_octets_at_the_tls_door_harm_nobody(house, authority):
    plain = await Wire.connect(house.gateway.smpp_server.tls_port)
    house._wires.append(plain)
    await plain.send(b"\0\0\0\x10" * 10)

    await plain.wait_closed()

    assert await status_of(await wire_to(house, authority)) == 0


async def test_without_a_certificate_of_the_authority_nobody_reaches_the_door(mutual, authority, partner, tmp_path):
    stranger = Authority(tmp_path / "strangers").sign("acme-esme")

    for own in (None, stranger):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await status_of(await wire_to(mutual, authority, own))
    assert await status_of(await wire_to(mutual, authority, partner)) == 0


async def test_a_partner_can_be_bound_to_its_certificate_by_name(mutual, authority, partner):
    await set_policy(mutual, certificate_subject="acme-esme")

    assert await status_of(await wire_to(mutual, authority, authority.sign("other-esme"))) == 0x0D
    assert await status_of(await mutual.wire()) == 0x0D
    assert await status_of(await wire_to(mutual, authority, partner)) == 0


async def test_a_partner_can_be_bound_to_its_certificate_by_fingerprint(mutual, authority, partner):
    octets = ssl.PEM_cert_to_DER_cert(partner.certificate.read_text())
    await set_policy(mutual, certificate_sha256=hashlib.sha256(octets).hexdigest())

    assert await status_of(await wire_to(mutual, authority, authority.sign("acme-esme"))) == 0x0D
    assert await status_of(await wire_to(mutual, authority, partner)) == 0
