"""What a phone says about subscriptions, as whole messages only: an offer's keyword, yes, `TD NEWS`, `TD 0000`, `0000`.

Spaces and case count for nothing, as with the other keywords; what is none of these is left to them and to chat.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

ALL = "0000"
YES = ("Y", "YES", "是", "确认")
_CHARS_MAX = 60


class Wish(StrEnum):
    """What the sender wants."""

    ORDER = "order"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    LIST = "list"
    CANCEL_ALL = "cancel_all"


class Heard(NamedTuple):
    """A wish, and the offer it names."""

    wish: Wish
    offer: str = ""


class Vocabulary:
    """The words of the offers under one short code; `keywords` and each offer's stop words are given by its name."""

    def __init__(self, keywords: Mapping[str, str], stop_words: Mapping[str, Iterable[str]]) -> None:
        self._words = {word(each): Heard(Wish.CONFIRM) for each in YES}
        for offer, keyword in keywords.items():
            for stop in stop_words[offer]:
                self._words[word(stop + keyword)] = Heard(Wish.CANCEL, offer)
                self._words[word(stop + ALL)] = Heard(Wish.LIST)
        self._words[ALL] = Heard(Wish.CANCEL_ALL)
        self._words |= {word(keyword): Heard(Wish.ORDER, offer) for offer, keyword in keywords.items()}

    def hear(self, text: str) -> Heard | None:
        """What a message wants, None where it is about something else."""
        return None if len(text) > _CHARS_MAX else self._words.get(word(text))


def word(text: str) -> str:
    """A message as it is compared: without spaces, in one case and one width."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()
