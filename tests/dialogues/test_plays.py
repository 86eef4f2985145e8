"""Every play in plays/ is performed by a pair of sessions."""

from pathlib import Path

import pytest

from tests.dialogues.play import Play

PLAYS = sorted((Path(__file__).parent / "plays").glob("*.play"))


def test_there_are_plays() -> None:
    assert len(PLAYS) > 40


@pytest.mark.parametrize("path", PLAYS, ids=lambda path: path.stem)
def test_the_play_goes_as_written(path: Path) -> None:
    Play().perform(path.read_text())


def test_a_play_that_goes_wrong_names_its_line() -> None:
    with pytest.raises(AssertionError, match="line 2: Gateway is bound_tx"):
        Play().perform("Gateway binds as transceiver\nGateway is bound_tx\n")
