"""Header blocks with their memory beside plain hpack, the bound of that memory, and literals as others read them."""

import pytest
from hpack import Decoder as Hpack
from hpack import Encoder
from hpack.exceptions import HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.rpc import header_blocks
from arbiter.rpc.header_blocks import KEPT_BYTES, BadBlock, BlockReader, literal, literal_authority, literal_path

FIELDS = st.sampled_from(
    [(b":path", b"/a"), (b":path", b"/b"), (b"te", b"trailers"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x" * 900, b"y" * 900)]
)
LISTS = st.lists(FIELDS, max_size=4)


def plain(headers):
    return [(bytes(name), bytes(value)) for name, value in headers]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(LISTS, st.booleans(), st.sampled_from([None] * 8 + [0, 100, 4096])), max_size=30), st.data())
def test_blocks_from_memory_are_what_hpack_reads_whatever_changed_the_table(rounds, choose):
    """New lists are encoded with the table, and old blocks repeated byte for byte, which means what the table means then."""
    encoder, ours, theirs = Encoder(), BlockReader(lambda headers: headers), Hpack()
    seen = []
    for headers, again, size in rounds:
        if size is not None:
            encoder.header_table_size = size
        if again and seen:
            block = choose.draw(st.sampled_from(seen))
        else:
            block = bytes(encoder.encode(headers))
            seen.append(block)
        try:
            expected = plain(theirs.decode(block, raw=True))
        except (HPACKError, IndexError):  # an old block may refer to what is not there any more
            with pytest.raises(BadBlock):
                ours.read(block)
            return
        assert ours.read(block) == expected


def test_a_block_is_parsed_once_while_the_table_stands_still():
    parsed = []
    reader = BlockReader(lambda headers: parsed.append(headers) or headers)
    insert, refer = b"\x40\x01a\x01b", b"\xbe"
    for block in (insert, refer, refer, refer):
        assert reader.read(block) == [(b"a", b"b")]
    assert len(parsed) == 2
    reader.read(b"\x40\x01a\x01c")
    assert reader.read(refer) == [(b"a", b"c")]
    reader.read(b"\x20")
    with pytest.raises(BadBlock):
        reader.read(refer)


def test_what_is_remembered_is_bounded_by_bytes():
    reader = BlockReader(lambda headers: headers)
    for number in range(5000):
        reader.read(literal(b"x-number", b"%d" % number))
        assert reader._kept_bytes <= KEPT_BYTES
        assert len(reader._kept) <= KEPT_BYTES // header_blocks.KEEPING
    reader.read(literal(b"x", b"y" * 70_000))
    assert sum(map(len, reader._kept)) <= KEPT_BYTES


@given(
    st.binary(min_size=1, max_size=300),
    st.one_of(st.binary(max_size=300), st.sampled_from([b"v" * size for size in (126, 127, 128, 254, 255, 16_511, 40_000)])),
)
def test_literals_are_read_by_hpack(name, value):
    block = literal(name, value) + literal_path(value) + literal_authority(value)
    assert plain(Hpack(max_header_list_size=2**20).decode(block, raw=True)) == [(name, value), (b":path", value), (b":authority", value)]
