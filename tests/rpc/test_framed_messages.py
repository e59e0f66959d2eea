"""Messages in a stream of bytes: any split gives the same messages, and none costs more memory than its length."""

import gzip
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.rpc.messages import GZIP, HEAD, IDENTITY, LONGEST_MESSAGE, MessageReader, NotTheEncoding, TooLong, Unreadable, framed, unpacked

MESSAGES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8)


def packed(messages):
    return b"".join(bytes([flag]) + len(body).to_bytes(4, "big") + body for flag, body in messages)


@settings(max_examples=200, deadline=None)
@given(MESSAGES, st.binary(max_size=4), st.lists(st.integers(0, 20), max_size=60))
def test_any_split_gives_the_same_messages(messages, rest, cuts):
    data, reader, found = packed(messages) + rest, MessageReader(), []
    for size in cuts:
        found += reader.feed(data[:size])
        data = data[size:]
    found += reader.feed(data)
    assert found == messages
    assert reader.held == len(rest)
    assert all(type(body) is bytes for _, body in found)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.integers(LONGEST_MESSAGE + 1, 2**32 - 1), st.integers(1, 9))
def test_a_length_beyond_the_limit_is_refused_as_soon_as_it_is_known(messages, length, size):
    data, reader = packed(messages) + b"\0" + length.to_bytes(4, "big"), MessageReader()
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    with pytest.raises(TooLong, match="4,194,304 bytes"):
        [reader.feed(part) for part in parts]


def test_the_longest_message_is_taken():
    reader, whole = MessageReader(), framed(bytes(LONGEST_MESSAGE))
    for at in range(0, len(whole), 16_384):
        found = reader.feed(whole[at : at + 16_384])
    assert [(flag, len(body)) for flag, body in found] == [(0, LONGEST_MESSAGE)]
    assert reader.held == 0


def test_a_message_in_very_small_parts_takes_no_more_memory_than_its_length():
    reader = MessageReader()
    reader.feed(b"\0\x00\x10\x00\x00")
    for _ in range(100_000):
        reader.feed(b"ab")
    assert reader.held == HEAD + 200_000
    assert sys.getsizeof(reader._data) < 300_000


@given(st.binary(max_size=1000))
def test_packed_is_read_as_it_was(body):
    assert unpacked(0, body, GZIP) == unpacked(0, body, IDENTITY) == body
    assert unpacked(1, gzip.compress(body), GZIP) == body


def test_a_message_as_long_as_may_be_is_unpacked_and_a_byte_more_is_not():
    assert len(unpacked(1, gzip.compress(bytes(LONGEST_MESSAGE)), GZIP)) == LONGEST_MESSAGE
    for length in (LONGEST_MESSAGE + 1, 100 * 2**20):
        with pytest.raises(TooLong):
            unpacked(1, gzip.compress(bytes(length)), GZIP)


@pytest.mark.parametrize(
    ("flag", "body", "encoding", "error", "problem"),
    [
        (1, gzip.compress(b"x", mtime=0), IDENTITY, NotTheEncoding, "names no compression"),
        (2, b"x", GZIP, NotTheEncoding, "names no compression"),
        (1, b"", GZIP, Unreadable, "cut short"),
        (1, gzip.compress(b"x", mtime=0)[:-1], GZIP, Unreadable, "cut short"),
        (1, b"xy", GZIP, Unreadable, "no gzip"),
        (1, zlib.compress(b"x"), GZIP, Unreadable, "no gzip"),
        (1, gzip.compress(b"x", mtime=0)[:-5] + b"\0\0\0\0\0", GZIP, Unreadable, "no gzip"),
        (1, gzip.compress(b"x", mtime=0) + b"y", GZIP, Unreadable, "something follows"),
    ],
)
def test_what_cannot_be_unpacked_says_why(flag, body, encoding, error, problem):
    with pytest.raises(error, match=problem):
        unpacked(flag, body, encoding)
