"""What phones say about subscriptions, and what they are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import offer_texts
from gateway.domain.offer_texts import Wording
from gateway.domain.orders import Heard, Vocabulary, Wish

WORDS = Vocabulary({"news": "NEWS", "jokes": "笑话"}, {"news": ("TD", "退订"), "jokes": ("TD",)})
WORDING = Wording("both", "Daily news", "6.00 CNY", "month", "NEWS", "TD", "10661700", 11, {"welcome": "Hello {title}!"})


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("news", Heard(Wish.ORDER, "news")),
        (" ＮＥＷＳ ", Heard(Wish.ORDER, "news")),
        ("笑话", Heard(Wish.ORDER, "jokes")),
        ("y", Heard(Wish.CONFIRM)),
        ("是", Heard(Wish.CONFIRM)),
        ("TD NEWS", Heard(Wish.CANCEL, "news")),
        ("tdnews", Heard(Wish.CANCEL, "news")),
        ("退订 NEWS", Heard(Wish.CANCEL, "news")),
        ("退订 笑话", None),
        ("TD 0000", Heard(Wish.LIST)),
        ("0000", Heard(Wish.CANCEL_ALL)),
        ("TD", None),
        ("STOP", None),
        ("no news today", None),
        ("y" * 1000, None),
    ],
)
def test_whole_messages_only_are_orders(text: str, heard: Heard | None) -> None:
    assert WORDS.hear(text) == heard


@given(st.text())
def test_any_text_is_heard_without_an_error(text: str) -> None:
    WORDS.hear(text)


@pytest.mark.parametrize("kind", offer_texts.KINDS)
def test_every_text_is_there_in_both_languages_and_fits_the_rules_of_ones_own(kind: str) -> None:
    texts = [WORDING._replace(language=language, own={}).text(kind) for language in ("en", "zh")]
    assert WORDING._replace(own={}).text(kind) == " / ".join(texts)
    assert all("{" not in text for text in texts)


def test_ones_own_words_take_the_place_of_both() -> None:
    assert WORDING.text("welcome") == "Hello Daily news!"


@pytest.mark.parametrize("template", ["{nobody}", "{title.__class__}", "{0}", "{", "", "x" * 501])
def test_a_template_that_names_what_is_not_there_is_refused(template: str) -> None:
    assert offer_texts.fault_of(template) is not None


def test_a_template_of_known_names_is_taken() -> None:
    assert offer_texts.fault_of("{title}: {price} / {cycle}, {stop} {keyword} {code} {days}") is None
