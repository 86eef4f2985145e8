"""The framer cuts by length, checks it before it keeps anything, and loses no good frame."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp.errors import FrameError
from gateway.smpp.framer import Framer
from gateway.smpp.pdu import EnquireLink, SubmitSm, encode

FRAMES = [encode(EnquireLink(1)), encode(SubmitSm(2, short_message=b"hello")), encode(EnquireLink(3))]
STREAM = b"".join(FRAMES)


def test_octet_by_octet_gives_what_one_feed_gives() -> None:
    """H06"""
    whole = Framer().feed(STREAM)
    framer = Framer()

    dripped = [frame for octet in STREAM for frame in framer.feed(bytes((octet,)))]

    assert whole == dripped == FRAMES
    assert framer.held == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_any_cut_of_the_stream_gives_the_same_frames(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    framer = Framer()

    frames = [frame for start, end in pairwise(edges) for frame in framer.feed(STREAM[start:end])]

    assert frames == FRAMES


@pytest.mark.parametrize("length", [0, 1, 15, 65537, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_an_error_as_soon_as_it_is_read(length: int) -> None:
    """H01, H02"""
    framer = Framer()

    with pytest.raises(FrameError) as caught:
        framer.feed(length.to_bytes(4, "big"))

    assert caught.value.status == 0x02
    assert caught.value.sequence_number == 0
    assert framer.held == 0


def test_the_sequence_number_is_told_when_the_header_is_there() -> None:
    with pytest.raises(FrameError) as caught:
        Framer().feed(bytes.fromhex("0000000f000000150000000000000063"))

    assert caught.value.sequence_number == 0x63


def test_good_frames_ahead_of_a_bad_length_are_kept() -> None:
    with pytest.raises(FrameError) as caught:
        Framer().feed(STREAM + b"\0\0\0\1")

    assert caught.value.frames_before == FRAMES


def test_the_limit_itself_is_allowed() -> None:
    frame = (32).to_bytes(4, "big") + bytes(28)

    assert Framer(frame_bytes_max=32).feed(frame) == [frame]
    with pytest.raises(FrameError):
        Framer(frame_bytes_max=31).feed(frame)
