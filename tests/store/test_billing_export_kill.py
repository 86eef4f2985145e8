"""An export process killed with SIGKILL at every step it takes: on the disk, and before each commit."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine, event

from billing import export
from billing.check import check
from billing.files import LocalFiles
from billing.profile import Profile
from billing.runs import Books
from gateway.store.engine import open_writing
from gateway.store.schema import metadata
from tests.store.test_billing_export import NOW, ORDER, Store

PROFILE = Profile("parts", records_max=4)
SURVIVED = 7


class Countdown:
    """Kills this process at its n-th step."""

    def __init__(self, at: int) -> None:
        self._left = at

    def step(self, *_anything: object) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class SteppedFiles(LocalFiles):
    """The real disk, each of whose steps counts; what is written is written in halves, with a step between them."""

    def __init__(self, countdown: Countdown) -> None:
        self._step = countdown.step

    def write_stream(self, path: str, chunks: Iterable[bytes]) -> None:
        whole = b"".join(chunks)

        def halves() -> Iterable[bytes]:
            yield whole[: len(whole) // 2]
            self._step()
            yield whole[len(whole) // 2 :]

        super().write_stream(path, halves())
        self._step()

    def rename_durably(self, old: str, new: str) -> None:
        super().rename_durably(old, new)
        self._step()


def exported(engine: Engine, folder: Path, files: LocalFiles) -> list[export.Written]:
    ids = itertools.count(int(hashlib.sha256(os.urandom(8)).hexdigest()[:12], 16))
    desk = export.Desk(Books(engine.begin, engine.begin), str(folder), files, ids.__next__, NOW, page_rows=3)
    return export.export(desk, ORDER._replace(profile=PROFILE))


def killed(url: str, folder: Path, at: int) -> bool:
    """Export in a process of its own that ends at its n-th step; False: it had fewer."""
    child = os.fork()
    if child == 0:
        try:
            countdown = Countdown(at)
            engine = open_writing(url, synchronous="OFF")
            event.listen(engine, "commit", countdown.step)
            exported(engine, folder, SteppedFiles(countdown))
            os._exit(SURVIVED)
        finally:
            os._exit(1)
    _child, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == SURVIVED
    return False


def assert_nothing_is_half(folder: Path) -> None:
    """Whatever stands under a final name is whole, and a manifest stands only over a file that is what it says."""
    for path in folder.glob("*") if folder.exists() else ():
        if path.name.endswith(".manifest.json"):
            (described,) = json.loads(path.read_bytes())["files"]
            data = (folder / described["name"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (described["bytes"], described["sha256"])
        elif path.suffix == ".csv":
            assert path.read_bytes().endswith(b"\r\n")
            assert path.read_bytes().count(b"\r\n") in (4, 5)  # the header, and 3 or 4 records


def test_an_export_killed_at_any_step_leaves_nothing_half_and_is_finished_by_the_next(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    engine = open_writing(url, synchronous="OFF")
    metadata.create_all(engine)
    Store(engine).settle(1, 7)
    engine.dispose()
    wanted: dict[str, tuple[int, int]] = {}
    for at in itertools.count(1):
        copy, folder = tmp_path / f"{at}.db", tmp_path / str(at)
        shutil.copy(tmp_path / "store.db", copy)
        was_killed = killed(f"sqlite:///{copy}", folder, at)
        assert_nothing_is_half(folder)

        again = open_writing(f"sqlite:///{copy}", synchronous="OFF")
        written = exported(again, folder, LocalFiles())

        assert [(file.file_seq, file.records) for file in written] == [(1, 4), (2, 3)]
        assert_nothing_is_half(folder)
        assert not list(folder.glob("*.part"))
        found = {path.name: (path.stat().st_size, 0) for path in folder.glob("*.csv")}
        wanted = wanted or found
        assert found == wanted
        with again.begin() as conn:
            assert check(conn) == []
        again.dispose()
        if not was_killed:
            break
    assert at > 40
