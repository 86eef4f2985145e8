"""Certificates made for a test and gone with it: an authority, and what it or nobody has signed, by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


def openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.pair = Pair(folder / "ca.pem", folder / "ca.key")
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("req", "-x509", *new_key, "-subj", f"/CN={name}", "-days", 2, "-keyout", self.pair.key, "-out", self.pair.certificate)
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        (folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index.txt\nserial={folder}/serial\nnew_certs_dir={folder}\n"
            f"default_md=sha256\npolicy=p\nunique_subject=no\ncopy_extensions=copy\n[p]\ncommonName=supplied\n"
        )

    @property
    def file(self) -> str:
        return str(self.pair.certificate)

    def sign(self, name: str, *, alt: str = "", is_expired: bool = False) -> Pair:
        """A certificate for a name; `alt` is its subjectAltName, such as `DNS:localhost,IP:127.0.0.1`."""
        stem = self.folder / f"{name}-{len(list(self.folder.glob('*.csr')))}"
        pair, request = Pair(stem.with_suffix(".pem"), stem.with_suffix(".key")), stem.with_suffix(".csr")
        extension = ("-addext", f"subjectAltName={alt}") if alt else ()
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("req", "-new", *new_key, "-subj", f"/CN={name}", *extension, "-keyout", pair.key, "-out", request)
        today = datetime.now(UTC)
        begin, end = (today - timedelta(days=9), today - timedelta(days=1)) if is_expired else (today - timedelta(1), today + timedelta(1))
        dates = ("-startdate", f"{begin:%Y%m%d%H%M%S}Z", "-enddate", f"{end:%Y%m%d%H%M%S}Z")
        signer = ("-config", self.folder / "ca.cnf", "-cert", self.pair.certificate, "-keyfile", self.pair.key)
        openssl("ca", "-batch", "-notext", *signer, *dates, "-in", request, "-out", pair.certificate)
        return pair


def serving(pair: Pair, *, client_ca: str = "") -> ssl.SSLContext:
    """What a carrier of a test listens with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def openssl_server(pair: Pair, *options: str) -> Iterator[int]:
    """The port of openssl's own server, which says in an alert why it refuses; a server in Python just goes."""
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(pair.certificate), "-key", str(pair.key), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(next(line for line in server.stdout if line.startswith("ACCEPT")).rpartition(":")[2])
        finally:
            server.kill()
