"""The words that stop, start and explain the service, in English and Chinese, as whole messages only.

At a base number all of them count. In a thread with a friend only the STOP family, BLOCK and HELP do, and only when longer than
one character: "T", "H" and "?" are chat there, and so are "stop it" and ".stop" everywhere.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class Keyword(StrEnum):
    """What the sender asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    BLOCK = "block"


WORDS: dict[Keyword, tuple[str, ...]] = {
    Keyword.STOP: ("STOP", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "T", "TD", "0000", "退订", "取消"),
    Keyword.START: ("START", "开通"),
    Keyword.HELP: ("HELP", "H", "?", "INFO", "帮助"),
    Keyword.BLOCK: ("BLOCK", "屏蔽"),
}
_IN_THREAD = frozenset({Keyword.STOP, Keyword.HELP, Keyword.BLOCK})
_BY_WORD = {word.casefold(): keyword for keyword, words in WORDS.items() for word in words}
# Longer than any word with the spaces a phone may add; keeps a long chat message from being normalised for nothing.
_CHARS_MAX = 40


def classify(text: str, in_thread: bool) -> Keyword | None:
    """The keyword a whole message is, after NFKC, trimming and case folding, or None for anything else."""
    if len(text) > _CHARS_MAX:
        return None
    word = unicodedata.normalize("NFKC", text).strip().casefold()
    keyword = _BY_WORD.get(word)
    if in_thread and (keyword not in _IN_THREAD or len(word) == 1):
        return None
    return keyword
