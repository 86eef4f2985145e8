"""TLS contexts for the simulators' ports; a certificate is made on the spot when none is given."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from simulators.form import FormError
from simulators.smsc_script import Tls

_NAME = "localhost"
_DAYS = 30
_OPENSSL_S = 60


def context_of(tls: Tls, folder: Path, where: str = "tls") -> ssl.SSLContext:
    """The server's context; paths are relative to `folder`. Raises FormError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate:
        _load(context, folder / tls.certificate, folder / tls.private_key, where)
    else:
        with tempfile.TemporaryDirectory() as made:
            certificate, private_key = self_made(Path(made), where)
            _load(context, certificate, private_key, where)
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(folder / tls.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise FormError(f"{where}.client_ca", f"{folder / tls.client_ca}: {error.strerror or error}") from None
    return context


def _load(context: ssl.SSLContext, certificate: Path, private_key: Path, where: str) -> None:
    for path, name in ((certificate, "certificate"), (private_key, "private_key")):
        if not path.is_file():
            raise FormError(f"{where}.{name}", f"{path}: no such file")
    try:
        context.load_cert_chain(certificate, private_key)
    except (OSError, ssl.SSLError) as error:
        raise FormError(f"{where}.certificate", f"{certificate} and {private_key} don't go together: {error}") from None


def self_made(folder: Path, where: str = "tls") -> tuple[Path, Path]:
    """A certificate for localhost and its key, by the cryptography package or by openssl. Raises FormError when there is neither."""
    certificate, private_key = folder / "certificate.pem", folder / "key.pem"
    if find_spec("cryptography") is not None:
        _by_cryptography(certificate, private_key)
    elif (openssl := shutil.which("openssl")) is not None:
        _by_openssl(openssl, certificate, private_key, where)
    else:
        raise FormError(
            where, "no certificate is given and none can be made: install openssl or the cryptography package, or set certificate"
        )
    return certificate, private_key


def _by_openssl(openssl: str, certificate: Path, private_key: Path, where: str) -> None:
    names = f"subjectAltName=DNS:{_NAME},IP:127.0.0.1,IP:::1"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(_DAYS)]
    command += ["-subj", f"/CN={_NAME}", "-addext", names, "-keyout", str(private_key), "-out", str(certificate)]
    done = subprocess.run(command, capture_output=True, timeout=_OPENSSL_S, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise FormError(where, f"openssl could not make a certificate: {lines[-1] if lines else done.returncode}")


def _by_cryptography(certificate: Path, private_key: Path) -> None:
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    now = datetime.now(UTC)
    others = [x509.DNSName(_NAME), x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(others), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private_key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
