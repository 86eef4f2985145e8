"""Our link under TLS: what it trusts, and what it says of a carrier that it does not (F15). Over real sockets, on both loops.

Certificates are made here: an authority, and what it has signed.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from gateway.links import tls
from tests.support.certificates import Authority, openssl_server, serving
from tests.support.links import lone_link, until
from tests.support.wire import cstring, raw_smsc

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def carrier(authority):
    return authority.sign("smsc.example", alt="DNS:smsc.example")


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request) -> Run:
    return request.param


async def binds(context: ssl.SSLContext, served: ssl.SSLContext, host_name: str = "smsc.example") -> None:
    """The link binds, and an answer comes back."""
    async with raw_smsc(served) as smsc, lone_link(smsc.port, ssl=context, tls_host_name=host_name) as link:
        wire = await smsc.accept()
        await wire.answer(await wire.read(), cstring("raw"))

        await until(lambda: link.is_up)
        assert await wire.is_alive()


async def fails(context: ssl.SSLContext, served: ssl.SSLContext, why: str, host_name: str = "smsc.example") -> None:
    """The link does not bind, and says why."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the test's carrier may complain as it likes
    async with raw_smsc(served) as smsc:
        await fails_at(smsc.port, context, why, host_name)


async def fails_at(port: int, context: ssl.SSLContext, why: str, host_name: str = "smsc.example") -> None:
    async with lone_link(port, ssl=context, tls_host_name=host_name) as link:
        await until(lambda: "TLS" in link.last_failure)

        assert why in link.last_failure
        assert not link.is_up


def test_a_carrier_of_a_known_authority_is_bound_to(run, authority, carrier):
    """Row 28"""
    run(binds(tls.client_context(ca_file=authority.file), serving(carrier)))


def test_a_carrier_may_be_known_by_its_address(run, authority):
    run(binds(tls.client_context(ca_file=authority.file), serving(authority.sign("address", alt="IP:127.0.0.1")), host_name=""))


def test_a_carrier_that_asks_for_our_certificate_gets_it(run, authority, carrier):
    """Row 29"""
    ours = authority.sign("bellhop")
    context = tls.client_context(ca_file=authority.file, certificate_file=str(ours.certificate), key_file=str(ours.key))

    run(binds(context, serving(carrier, client_ca=authority.file)))


def test_a_certificate_for_another_name_is_refused(run, authority, carrier):
    """F15"""
    run(fails(tls.client_context(ca_file=authority.file), serving(carrier), "for another host name", host_name="smsc.other"))


def test_a_certificate_without_our_address_is_refused(run, authority, carrier):
    """F15"""
    run(fails(tls.client_context(ca_file=authority.file), serving(carrier), "for another address", host_name=""))


def test_an_expired_certificate_is_refused(run, authority):
    """F15"""
    expired = authority.sign("old", alt="DNS:smsc.example", is_expired=True)

    run(fails(tls.client_context(ca_file=authority.file), serving(expired), "has expired"))


def test_a_certificate_of_an_unknown_authority_is_refused(run, tmp_path, carrier):
    """F15"""
    run(fails(tls.client_context(ca_file=Authority(tmp_path, "Another CA").file), serving(carrier), "unknown authority"))
    run(fails(tls.client_context(), serving(carrier), "unknown authority"))


def test_a_carrier_of_old_tls_is_refused(run, authority, carrier):
    """F15"""
    with openssl_server(carrier, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as port:
        run(fails_at(port, tls.client_context(ca_file=authority.file), "offers no TLS 1.2"))


def test_a_carrier_without_tls_is_found_out(run, authority):
    """F15"""

    async def talks_plainly() -> None:
        async with raw_smsc() as smsc, lone_link(smsc.port, ssl=tls.client_context(ca_file=authority.file)) as link:
            while "TLS" not in link.last_failure:  # a busy machine may be too late for the first connection
                wire = await smsc.accept()
                await wire.send(b"\0\0\0\x10\x80\0\0\x09\0\0\0\0\0\0\0\1")
                await until(lambda: link.last_failure)
            assert "does not speak TLS" in link.last_failure

    run(talks_plainly())


def test_a_carrier_that_asks_for_a_certificate_we_have_not_is_named(run, authority, carrier):
    """F15: under TLS 1.3 the handshake looks done to us when the refusal comes."""
    with openssl_server(carrier, "-Verify", "1", "-verify_return_error", "-CAfile", authority.file) as port:
        run(fails_at(port, tls.client_context(ca_file=authority.file), "asks for a certificate"))


def test_a_carrier_that_drops_us_before_our_bind_is_answered_may_want_a_certificate(run, authority, carrier):
    """F15"""
    run(fails(tls.client_context(ca_file=authority.file), serving(carrier, client_ca=authority.file), "perhaps it asks for a certificate"))
