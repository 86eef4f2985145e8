"""Charge files to an SFTP server that runs in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from billing.delivery import Parcel
from billing.errors import DeliveryError
from billing.sftp import Server, SftpTarget


class Door(asyncssh.SSHServer):
    """Lets in one user with one password."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("bellhop", "secret8")


class Carrier(asyncssh.SFTPServer):
    """A folder, every step in it noted; `before` may fail a step."""

    steps: list[tuple[str, str]] = []
    before: Callable[[str, str], None] = staticmethod(lambda _step, _path: None)
    root = ""

    def __init__(self, channel: Any) -> None:
        super().__init__(channel, chroot=self.root)

    def _note(self, step: str, path: bytes) -> None:
        self.steps.append((step, path.decode()))
        type(self).before(step, path.decode())

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        self._note("open", path)
        return super().open(path, pflags, attrs)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._note("rename", newpath)
        return super().posix_rename(oldpath, newpath)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    """A server whose root is a folder, and how to reach it."""
    root = folder / "there"
    (root / "in").mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    # A class of its own for each test: the server makes the objects itself.
    carrier = type("ThisCarrier", (Carrier,), {"steps": [], "root": str(root)})
    acceptor = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], server_factory=Door, sftp_factory=carrier)
    known_hosts = folder / "known_hosts"
    port = acceptor.get_port()
    known_hosts.write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    server = Server("127.0.0.1", port, "bellhop", str(known_hosts), "in", password="secret8", timeout_s=10, backoff_s=0)
    server_and_carrier.update(carrier=carrier)
    try:
        yield server
    finally:
        acceptor.close()
        await acceptor.wait_closed()


server_and_carrier: dict[str, Any] = {}


def parcel(folder: Path) -> Parcel:
    contents = []
    for name, data in (("a.csv", b"charge_id\r\n" * 50_000), ("a.csv.sha256", b"abc  a.csv\n"), ("a.manifest.json", b"{}\n")):
        (folder / name).write_bytes(data)
        contents.append((folder / name, len(data)))
    return Parcel("a.csv", tuple(contents))


async def test_files_arrive_whole_and_the_manifest_last(tmp_path: Path):
    sent = parcel(tmp_path)
    async with serving(tmp_path) as server:
        await SftpTarget("cmcc", server).bring(sent)

    there = tmp_path / "there" / "in"
    assert {path.name: path.read_bytes() for path in there.iterdir()} == {path.name: path.read_bytes() for path, _size in sent.contents}
    assert server_and_carrier["carrier"].steps == [
        ("open", "in/a.csv.part"), ("rename", "in/a.csv"),
        ("open", "in/a.csv.sha256.part"), ("rename", "in/a.csv.sha256"),
        ("open", "in/a.manifest.json.part"), ("rename", "in/a.manifest.json"),
    ]  # fmt: skip


async def test_the_same_files_again_change_nothing(tmp_path: Path):
    sent = parcel(tmp_path)
    async with serving(tmp_path) as server:
        await SftpTarget("cmcc", server).bring(sent)
        await SftpTarget("cmcc", server).bring(sent)

    assert sorted(path.name for path in (tmp_path / "there" / "in").iterdir()) == ["a.csv", "a.csv.sha256", "a.manifest.json"]


async def test_a_step_that_fails_is_tried_again(tmp_path: Path):
    sent, failed = parcel(tmp_path), []

    def fail_once(step: str, path: str) -> None:
        if step == "rename" and not failed:
            failed.append(path)
            raise asyncssh.SFTPFailure("disk full")

    async with serving(tmp_path) as server:
        server_and_carrier["carrier"].before = staticmethod(fail_once)
        await SftpTarget("cmcc", server).bring(sent)

    assert failed == ["in/a.csv"]
    assert (tmp_path / "there" / "in" / "a.manifest.json").exists()


async def test_attempts_end_and_the_manifest_never_goes_before_its_file(tmp_path: Path):
    def fail(step: str, _path: str) -> None:
        if step == "rename":
            raise asyncssh.SFTPFailure("disk full")

    async with serving(tmp_path) as server:
        server_and_carrier["carrier"].before = staticmethod(fail)
        with pytest.raises(DeliveryError, match=r"disk full \(after 3 attempts\)"):
            await SftpTarget("cmcc", server).bring(parcel(tmp_path))

    assert sorted(path.name for path in (tmp_path / "there" / "in").iterdir()) == ["a.csv.part"]


async def test_a_server_with_another_key_gets_nothing(tmp_path: Path):
    async with serving(tmp_path) as server:
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        Path(server.known_hosts).write_text(f"[127.0.0.1]:{server.port} {other}")
        with pytest.raises(DeliveryError, match="not in the known_hosts file"):
            await SftpTarget("cmcc", server).bring(parcel(tmp_path))

    assert server_and_carrier["carrier"].steps == []


async def test_a_wrong_password_is_not_tried_twice(tmp_path: Path):
    async with serving(tmp_path) as server:
        with pytest.raises(DeliveryError, match="does not let us in"):
            await SftpTarget("cmcc", server._replace(password="other")).bring(parcel(tmp_path))


async def test_a_server_that_is_not_there_is_told_with_the_attempts(tmp_path: Path):
    async with serving(tmp_path) as server:
        pass

    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1: .+ \(after 2 attempts\)"):
        await SftpTarget("cmcc", server._replace(attempts_max=2)).bring(parcel(tmp_path))


async def test_a_key_file_opens_the_door_with_its_passphrase_only(tmp_path: Path):
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "key").write_bytes(key.export_private_key("pkcs8-pem", passphrase="open"))

    async with serving(tmp_path) as server:
        with pytest.raises(DeliveryError, match="key file cannot be read"):
            await SftpTarget("cmcc", server._replace(key_file=str(tmp_path / "key"), key_passphrase="shut")).bring(parcel(tmp_path))
        # The server knows no keys: the password gets us in beside it.
        await SftpTarget("cmcc", server._replace(key_file=str(tmp_path / "key"), key_passphrase="open")).bring(parcel(tmp_path))
