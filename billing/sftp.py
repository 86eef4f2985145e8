"""Charge files to an SFTP server whose key is known beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import asyncssh

from billing.delivery import Parcel
from billing.errors import DeliveryError


class Server(NamedTuple):
    """Where and as whom; a key or a password, or both."""

    host: str
    port: int
    username: str
    known_hosts: str
    folder: str
    password: str = ""
    key_file: str = ""
    key_passphrase: str = ""
    timeout_s: float = 30.0
    attempts_max: int = 3
    backoff_s: float = 1.0


class SftpTarget:
    """Uploads under a name that ends in `.part`, renames in one step, and reads the size again."""

    def __init__(self, name: str, server: Server) -> None:
        self.name = name
        self._server = server

    async def bring(self, parcel: Parcel) -> None:
        """Several attempts with growing pauses; what no repeat can mend, such as a wrong key, is not tried twice."""
        pause_s = self._server.backoff_s
        for attempt in range(1, self._server.attempts_max + 1):
            try:
                await self._attempt(parcel)
                return
            except (
                asyncssh.HostKeyNotVerifiable,
                asyncssh.PermissionDenied,
                asyncssh.KeyImportError,
                asyncssh.KeyEncryptionError,
            ) as error:
                raise DeliveryError(f"{self._server.host}: {_refusal(error)}") from error
            except (OSError, asyncssh.Error, TimeoutError) as error:
                if attempt == self._server.attempts_max:
                    raise DeliveryError(f"{self._server.host}: {_text(error)} (after {attempt} attempts)") from error
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _attempt(self, parcel: Parcel) -> None:
        async with self._session() as sftp:
            for path, size in parcel.contents:
                await self._put(sftp, path, size)

    async def _put(self, sftp: asyncssh.SFTPClient, path: Path, size: int) -> None:
        there = f"{self._server.folder.rstrip('/')}/{path.name}" if self._server.folder else path.name
        half = f"{there}.part"
        await sftp.put(str(path), half)
        # Unlike the plain rename of SFTP, this one replaces what a broken attempt left under the name.
        await sftp.posix_rename(half, there)
        found = (await sftp.stat(there)).size
        if found != size:
            raise asyncssh.SFTPFailure(f"{path.name} has {found} bytes there, and {size} here")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncssh.SFTPClient]:
        server = self._server
        # A folder of keys, agents and configuration of whoever runs the command are no business of the gateway's.
        keys = [asyncssh.read_private_key(server.key_file, server.key_passphrase or None)] if server.key_file else None
        options = asyncssh.SSHClientConnectionOptions(
            username=server.username,
            password=server.password or None,
            client_keys=keys,
            known_hosts=server.known_hosts,
            agent_path=None,
            config=[],
            connect_timeout=server.timeout_s,
            login_timeout=server.timeout_s,
            # A server that says nothing for so long is gone; a long upload is not cut.
            keepalive_interval=server.timeout_s,
        )
        async with asyncssh.connect(server.host, server.port, options=options) as connection, connection.start_sftp_client() as sftp:
            yield sftp


def _refusal(error: Exception) -> str:
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "the server's key is not in the known_hosts file; nothing was sent"
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return "the key file cannot be read, or not with this passphrase"
    return "the server does not let us in with this key or password, or not into the folder"


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
