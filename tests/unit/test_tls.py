"""TLS contexts: what they insist on, and which key a bad file is reported under."""

from __future__ import annotations

import ssl

import pytest

from gateway.errors import ConfigError
from gateway.links import tls
from tests.support.certificates import Authority, openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(authority):
    return authority.sign("bellhop", alt="DNS:localhost")


def test_a_client_checks_name_and_chain_and_speaks_no_old_tls(authority):
    context = tls.client_context(ca_file=authority.file)

    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert [each["subject"][0][0][1] for each in context.get_ca_certs()] == ["Test CA"]


def test_a_server_asks_for_certificates_only_with_an_authority_for_them(authority, ours):
    open_to_all = tls.server_context(str(ours.certificate), str(ours.key))
    closed = tls.server_context(str(ours.certificate), str(ours.key), authority.file)

    assert open_to_all.verify_mode is ssl.CERT_NONE
    assert closed.verify_mode is ssl.CERT_REQUIRED
    assert closed.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_missing_file_is_reported_with_its_key(tmp_path, ours):
    missing = str(tmp_path / "none.pem")

    with pytest.raises(ConfigError, match=r"^links\.tls_ca_file: cannot read .*none\.pem: No such file"):
        tls.client_context(ca_file=missing)
    with pytest.raises(ConfigError, match=r"^smpp_server\.tls_key_file: cannot read"):
        tls.server_context(str(ours.certificate), missing)


def test_files_of_the_wrong_kind_are_reported_with_their_keys(tmp_path, authority, ours):
    text = tmp_path / "text.pem"
    text.write_text("not a certificate")

    with pytest.raises(ConfigError, match=r"^links\.tls_ca_file: .* holds no certificate"):
        tls.client_context(ca_file=str(text))
    with pytest.raises(ConfigError, match=r"^links\.tls_certificate_file: .* holds no certificate"):
        tls.client_context(certificate_file=str(text), key_file=str(ours.key))
    with pytest.raises(ConfigError, match=r"^links\.tls_key_file: .* holds no private key"):
        tls.client_context(certificate_file=str(ours.certificate), key_file=str(text))
    with pytest.raises(ConfigError, match=r"^smpp_server\.tls_client_ca_file: .* holds no certificate"):
        tls.server_context(str(ours.certificate), str(ours.key), str(text))


def test_a_key_of_another_certificate_is_reported(authority, ours):
    other = authority.sign("other")

    with pytest.raises(ConfigError, match=r"^links\.tls_key_file: the key in .* does not belong to the certificate"):
        tls.client_context(certificate_file=str(ours.certificate), key_file=str(other.key))


def test_a_key_with_a_password_is_refused_and_never_asked_for(tmp_path, ours):
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", ours.key, "-aes256", "-passout", "pass:x1y2z3", "-out", locked)

    with pytest.raises(ConfigError, match="with a password"):
        tls.client_context(certificate_file=str(ours.certificate), key_file=str(locked))


def test_a_key_without_a_certificate_is_refused(ours):
    with pytest.raises(ConfigError, match=r"^links\.tls_key_file: there is no tls_certificate_file"):
        tls.client_context(key_file=str(ours.key))


def test_errors_that_are_not_of_tls_are_left_alone():
    assert tls.why_failed(ConnectionRefusedError()) is None
    assert tls.why_failed(ssl.SSLError()) == "TLS failed: the handshake broke off"
