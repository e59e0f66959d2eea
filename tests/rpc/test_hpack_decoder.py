"""The HPACK decoder beside hpack's own, and its bounds."""

import time
from contextlib import suppress

import pytest
from hpack import Decoder as Hpack
from hpack import Encoder
from hpack.exceptions import HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.rpc.hpack_decoder import LONGEST_LIST, TABLE_SIZE, BadBlock, Decoder

NAMES = st.sampled_from([b":path", b":method", b"te", b"x-a", b"x-b", b"authorization", b"x" * 300])
VALUES = st.one_of(st.binary(max_size=12), st.sampled_from([b"", b"POST", b"/", b"trailers", b"v" * 3000]))
LISTS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def plain(headers):
    return [(bytes(name), bytes(value)) for name, value in headers]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LISTS, st.booleans(), st.sampled_from([None, None, 0, 60, 500, TABLE_SIZE])), max_size=8))
def test_it_reads_what_hpack_writes_whatever_the_table_holds(blocks):
    encoder, ours = Encoder(), Decoder()
    for headers, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert ours.decode(bytes(encoder.encode(headers, huffman=huffman))) == headers


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(LISTS, st.booleans(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=2)), max_size=5))
def test_it_agrees_with_hpack_on_blocks_with_changed_bytes(blocks):
    encoder, ours, theirs = Encoder(), Decoder(), Hpack(max_header_list_size=LONGEST_LIST)
    for headers, huffman, changes in blocks:
        block = bytearray(encoder.encode(headers, huffman=huffman))
        for at, byte in changes:
            if at < len(block):
                block[at] = byte
        try:
            expected = plain(theirs.decode(bytes(block), raw=True))
        except (HPACKError, IndexError, ValueError, TypeError):
            expected = None
        try:
            got, problem = ours.decode(bytes(block)), ""
        except BadBlock as error:
            got, problem = None, str(error)
        if problem in ("a number too large", "a table size update that is not allowed"):
            return  # ours is stricter in its bounds, and in nothing else
        assert got == expected
        if got is None:
            return


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_a_bad_block(block):
    with suppress(BadBlock):
        Decoder().decode(block)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"\x80", "an index of 0"),
        (b"\xff\x00", "an index of nothing"),
        (b"\x7e\x00", "an index of nothing"),
        (b"\xff", "cut short"),
        (b"\x00\x05ab", "cut short"),
        (b"\x00\x01a\x85ab", "cut short"),
        (b"\x00\x01a", "cut short"),
        (b"\x82\x20", "a table size update that is not allowed"),
        (b"\x20" * 17 + b"\x82", "a table size update that is not allowed"),
        (b"\x3f\xe2\x1f", "a table size update that is not allowed"),  # 4,097
        (b"\x00\x01a\x84\xff\xff\xff\xff", "no Huffman code"),  # its end-of-string code
        (b"\x00\x01a\x82\x1f\xff", "no Huffman code"),  # more padding than a byte's worth
        (b"\xff\x80\x80\x80\x80\x01", "a number too large"),
    ],
)
def test_what_rfc_7541_forbids_is_a_bad_block(block, problem):
    with pytest.raises(BadBlock, match=problem):
        Decoder().decode(block)


def test_several_table_size_updates_and_the_largest_size_are_taken():
    assert Decoder().decode(b"\x20\x3f\xe1\x1f\x82") == [(b":method", b"GET")]


def test_an_entry_larger_than_the_table_empties_it():
    decoder = Decoder()
    decoder.decode(b"\x40\x01a\x01b")
    assert decoder.decode(b"\xbe") == [(b"a", b"b")]
    decoder.decode(b"\x40\x01a\x7f\x81\x1f" + b"x" * 4096)
    with pytest.raises(BadBlock, match="an index of nothing"):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\xff" * 130_000, id="a number without end"),
        pytest.param(b"\x00\x7f" + b"\xff" * 130_000, id="a length without end"),
        pytest.param(b"\x20" * 130_000, id="size updates without end"),
        pytest.param(b"\x82" * 130_000, id="one-byte fields"),
        pytest.param(b"\x40\x01a\x7f\x80\x1e" + b"x" * 3967 + b"\xbe" * 120_000, id="a large field repeated"),
    ],
)
def test_a_block_that_is_made_to_be_slow_is_given_up_at_once(block):
    began = time.process_time()
    with pytest.raises(BadBlock):
        Decoder().decode(block)
    assert time.process_time() - began < 0.5, "hpack's takes six seconds for the first"
