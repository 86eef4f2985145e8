"""Keywords: whole messages only, and fewer of them inside a thread."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.keywords import WORDS, Keyword, classify


@pytest.mark.parametrize(("keyword", "word"), [(keyword, word) for keyword, words in WORDS.items() for word in words])
def test_every_word_counts_at_a_base_number(keyword: Keyword, word: str) -> None:
    full_width = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in word)

    for written in (word, word.lower(), word.title(), f"  {word}\r\n", f"\u3000{full_width}\u3000"):
        assert classify(written, in_thread=False) is keyword


@pytest.mark.parametrize("word", ["STOP", "end", "Cancel", "unsubscribe", "quit", "TD", "0000", "退订", "取消"])
def test_the_stop_family_counts_in_a_thread(word: str) -> None:
    assert classify(word, in_thread=True) is Keyword.STOP


@pytest.mark.parametrize(
    ("word", "keyword"),
    [("HELP", Keyword.HELP), ("info", Keyword.HELP), ("帮助", Keyword.HELP), ("block", Keyword.BLOCK), ("屏蔽", Keyword.BLOCK)],
)
def test_help_and_block_count_in_a_thread(word: str, keyword: Keyword) -> None:
    assert classify(word, in_thread=True) is keyword


@pytest.mark.parametrize("chat", ["T", "h", "?", "？", "N", "START", "开通"])
def test_single_characters_and_start_are_chat_in_a_thread(chat: str) -> None:
    assert classify(chat, in_thread=True) is None


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("chat", ["stop it", ".stop", "please help", "help!", "退订吧", "", "   ", "stop" * 20, "000", "\ud800"])
def test_anything_but_a_whole_word_is_chat(chat: str, in_thread: bool) -> None:
    assert classify(chat, in_thread) is None


@given(st.text(max_size=50))
@settings(max_examples=100)
def test_a_thread_intercepts_nothing_that_a_base_number_would_not(text: str) -> None:
    assert classify(text, in_thread=True) in (None, classify(text, in_thread=False))
