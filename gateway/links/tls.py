"""TLS contexts for both sides of SMPP, and why a handshake failed, in words for an operator.

TLS 1.2 at least; a carrier's certificate and name are always checked, and there is no switch for it: a carrier with a certificate
authority of its own gets `ca_file`. Files are read when the settings are, so a bad one is found before anything connects.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from gateway.errors import ConfigError

# OpenSSL's X509_verify_cert_error: the numbers that Python gives as verify_code.
_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_ISSUER_LEAF = 18, 19, 20, 21
_NOT_YET_VALID, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64
_WHY_UNTRUSTED = {
    _NOT_YET_VALID: "its certificate is not valid yet",
    _EXPIRED: "its certificate has expired",
    _SELF_SIGNED: "its certificate is signed by itself; name its authority with tls_ca_file",
    _SELF_SIGNED_IN_CHAIN: "its certificate comes from an unknown authority; name it with tls_ca_file",
    _NO_ISSUER: "its certificate comes from an unknown authority; name it with tls_ca_file",
    _NO_ISSUER_LEAF: "its certificate comes from an unknown authority; name it with tls_ca_file",
    _WRONG_NAME: "its certificate is for another host name; tls_host_name says which one to expect",
    _WRONG_ADDRESS: "its certificate is for another address; tls_host_name says which name to expect",
}
_WHY_BROKEN = {
    "UNSUPPORTED_PROTOCOL": "it offers no TLS 1.2 or newer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers no TLS 1.2 or newer",
    "NO_PROTOCOLS_AVAILABLE": "it offers no TLS 1.2 or newer",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate of ours; set tls_certificate_file and tls_key_file",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not take our certificate, or asks for one",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not take our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "no cipher or certificate suits both sides",
}


def client_context(*, ca_file: str = "", certificate_file: str = "", key_file: str = "", place: str = "links") -> ssl.SSLContext:
    """For a connection of ours: checks the peer's name and chain, against `ca_file` alone when it is given.

    `certificate_file` and `key_file` are ours, for peers that ask for one; an empty key file means that the certificate's holds it.
    Raises ConfigError that begins with `place`, the table of the settings, and the key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        _trust(context, ca_file, f"{place}.tls_ca_file")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate_file:
        _show(context, certificate_file, key_file, place, ("tls_certificate_file", "tls_key_file"))
    elif key_file:
        raise ConfigError([f"{place}.tls_key_file: there is no tls_certificate_file to go with it"])
    return context


def server_context(
    certificate_file: str,
    key_file: str = "",
    client_ca_file: str = "",
    *,
    place: str = "smpp_server",
    keys: tuple[str, str, str] = ("tls_certificate_file", "tls_key_file", "tls_client_ca_file"),
) -> ssl.SSLContext:
    """For a door of ours; with `client_ca_file` whoever connects must show a certificate of that authority.

    `keys` are what the settings call the three files, for the ConfigError that names the bad one.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _show(context, certificate_file, key_file, place, keys[:2])
    if client_ca_file:
        _trust(context, client_ca_file, f"{place}.{keys[2]}")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def why_failed(error: BaseException) -> str | None:
    """What a failed handshake means, for an operator; None when the error is not about TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        told = _WHY_UNTRUSTED.get(error.verify_code)
        return f"TLS refused: {told or error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or ""  # an error that OpenSSL did not make has none
        return f"TLS failed: {_WHY_BROKEN.get(reason) or reason.lower().replace('_', ' ') or 'the handshake broke off'}"
    return None


def _trust(context: ssl.SSLContext, ca_file: str, key: str) -> None:
    _readable(ca_file, key)
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigError([f"{key}: {ca_file} holds no certificate in PEM form"]) from None


def _show(context: ssl.SSLContext, certificate_file: str, key_file: str, place: str, keys: tuple[str, str]) -> None:
    certificate_key, key_key = keys
    _readable(certificate_file, f"{place}.{certificate_key}")
    if key_file:
        _readable(key_file, f"{place}.{key_key}")
    try:
        # A password is never asked for: nobody sits at the terminal of a gateway.
        context.load_cert_chain(certificate_file, key_file or None, password=b"")
    except ssl.SSLError as error:
        holder, name = (key_file, key_key) if key_file else (certificate_file, certificate_key)
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError([f"{place}.{name}: the key in {holder} does not belong to the certificate"]) from None
        if not _holds_certificate(certificate_file):
            raise ConfigError([f"{place}.{certificate_key}: {certificate_file} holds no certificate in PEM form"]) from None
        raise ConfigError([f"{place}.{name}: {holder} holds no private key in PEM form, or one with a password"]) from None
    except OSError as error:
        raise ConfigError([f"{place}.{certificate_key}: {certificate_file}: {error.strerror}"]) from None


def _holds_certificate(path: str) -> bool:
    return b"-----BEGIN CERTIFICATE-----" in Path(path).read_bytes()


def _readable(path: str, key: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError([f"{key}: cannot read {path}: {error.strerror}"]) from None
