"""Frames between a ward and its parent, however the bytes are cut."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hospital.errors import WardError
from hospital.running.protocol import LARGEST_FRAME, Decoder, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FRAMES = st.lists(st.tuples(st.text(), st.lists(VALUES, max_size=3)), max_size=5)


@given(FRAMES, st.lists(st.integers(1, 40), min_size=1))
def test_frames_arrive_as_they_were_sent(
    frames: list[tuple[str, list[object]]], cuts: list[int]
) -> None:
    """Whole, in order, once, wherever the stream cuts them; surrogates and all."""
    wire = b"".join(encode(word, *rest) for word, rest in frames)
    decoder = Decoder()

    heard = []
    for n in range(len(wire) + 1):
        if not wire:
            break
        piece, wire = wire[: cuts[n % len(cuts)]], wire[cuts[n % len(cuts)] :]
        heard += list(decoder.feed(piece))

    assert [[word, *rest] for word, rest in frames] == heard


def frame_of(body: bytes) -> bytes:
    """Return *body* with its length."""
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    "wire",
    [
        frame_of(b""),
        frame_of(b"{}"),
        frame_of(b"[]"),
        frame_of(b"[1]"),
        frame_of(b'"tick"'),
        frame_of(b"\xff\xfe"),
        frame_of(b'["tick"'),
        frame_of(b"[" * 100_000),
        struct.pack(">I", LARGEST_FRAME + 1),
        b"printed by a check\n",
    ],
)
def test_what_is_no_frame_is_refused(wire: bytes) -> None:
    """A check may have written into the channel; that must not be taken for a word."""
    with pytest.raises(WardError, match="a ward sent"):
        list(Decoder().feed(wire))


def test_frames_before_a_fault_are_heard() -> None:
    """What came whole is not lost with what did not."""
    frames = Decoder().feed(encode("tick") + frame_of(b"nonsense"))

    assert ["tick"] == next(frames)
    with pytest.raises(WardError):
        next(frames)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(noise: bytes) -> None:
    """Whatever comes is frames, nothing yet, or the one error."""
    try:
        for frame in Decoder().feed(noise):
            assert isinstance(frame[0], str)
    except WardError:
        pass


def test_a_frame_is_plain_ascii() -> None:
    """So that lone surrogates in it cannot break the channel."""
    wire = encode("output", "caf\xe9 \udce9")

    assert wire[4:].isascii()
    assert ["output", "caf\xe9 \udce9"] == json.loads(wire[4:])
