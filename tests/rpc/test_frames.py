"""Frames as numbers and bytes, read back by hyperframe."""

import pytest
from hyperframe.frame import Frame
from hypothesis import given
from hypothesis import strategies as st

from arbiter.rpc import frames

STREAMS = st.integers(1, frames.LARGEST_ID)
NUMBERS = st.integers(1, 2**31 - 1)


def read(data):
    """What hyperframe makes of it, and that nothing is left."""
    found, length = Frame.parse_frame_header(data[:9])
    assert length == len(data) - 9
    found.parse_body(memoryview(data[9:]))
    return found


@given(STREAMS, st.binary(max_size=200), st.booleans())
def test_data_is_read_back(stream, payload, ended):
    found = read(frames.frame(frames.DATA, frames.END_STREAM if ended else 0, stream, payload))
    assert (found.stream_id, found.data, "END_STREAM" in found.flags) == (stream, payload, ended)


def test_a_long_payload_has_its_length_in_three_bytes():
    assert len(read(frames.frame(frames.DATA, 0, 1, bytes(70_000))).data) == 70_000


@given(STREAMS, NUMBERS, st.integers(0, 2**32 - 1))
def test_resets_and_window_updates_are_read_back(stream, more, code):
    assert read(frames.window_update(stream, more)).window_increment == more
    assert read(frames.window_update(0, more)).stream_id == 0
    found = read(frames.reset(stream, code))
    assert (found.stream_id, found.error_code) == (stream, code)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2**32 - 1)), max_size=10))
def test_settings_are_read_back_by_them_and_by_us(values):
    data = frames.settings(values)
    assert read(data).settings == dict(values)
    assert frames.read_settings(data[9:]) == values


@given(st.integers(0, frames.LARGEST_ID), st.sampled_from(frames.Code), st.text(max_size=300))
def test_a_goaway_is_read_back_and_its_text_is_cut(last, code, text):
    found = read(frames.goaway(last, code, text))
    assert (found.last_stream_id, found.error_code, found.additional_data) == (last, code, text.encode()[:200])


@pytest.mark.parametrize(("payload", "number"), [(b"\0\0\0\0", 0), (b"\xff\xff\xff\xff", 2**31 - 1), (b"\x80\0\0\x01rest", 1)])
def test_a_number_is_read_without_its_reserved_bit(payload, number):
    assert frames.read_number(payload) == number
