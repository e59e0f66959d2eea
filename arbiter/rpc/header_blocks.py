"""Header blocks (HPACK, RFC 7541): a decoder that remembers the blocks it has seen, and output as literals that need no table. Pure.

A client repeats the block of its calls byte for byte, and decoding one costs more than all else that a call costs in the
protocol. So a decoded block is kept, and dropped as soon as anything changes the table that it may refer to.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from arbiter.rpc.hpack_decoder import BadBlock, Decoder, Headers

__all__ = ["BadBlock", "BlockReader", "Headers"]

P = TypeVar("P")

LONGEST_BLOCK = 64 * 1024
"""As it is sent. A longer one costs the connection, since it cannot be skipped without losing step."""
KEPT_BYTES = 64 * 1024
"""Of blocks that one connection remembers, with what they stand for and a share for each one's keeping."""
KEEPING = 256

METHOD_POST = b"\x83"
SCHEME_HTTP = b"\x86"
SCHEME_HTTPS = b"\x87"
STATUS_200 = b"\x88"
NO_TABLE = b"\x20"
"""A table size update to 0, which opens the first block: whoever lowered the size waits for one (RFC 7541, 4.2)."""


class BlockReader(Generic[P]):
    """Decodes one connection's blocks. `parse` makes of the headers what is kept beside a block."""

    def __init__(self, parse: Callable[[Headers], P]) -> None:
        self._parse = parse
        self._decoder = Decoder()
        self._kept: dict[bytes, P] = {}
        self._kept_bytes = 0

    def read(self, block: bytes) -> P:
        """What `parse` made of the block. Raises BadBlock."""
        found = self._kept.get(block)
        return self._decode(block) if found is None else found

    def _decode(self, block: bytes) -> P:
        before = self._decoder.changes
        headers = self._decoder.decode(block)
        parsed = self._parse(headers)
        if self._decoder.changes != before:
            self._kept = {}
            self._kept_bytes = 0
            return parsed
        cost = KEEPING + len(block) + sum(len(name) + len(value) for name, value in headers)
        if self._kept_bytes + cost > KEPT_BYTES:  # too many different ones: begin anew, so that what is common now is kept
            self._kept = {}
            self._kept_bytes = 0
        if cost <= KEPT_BYTES:
            self._kept[block] = parsed
            self._kept_bytes += cost
        return parsed


def literal(name: bytes, value: bytes) -> bytes:
    """A field as a literal that no table remembers."""
    return b"".join((b"\x00", _length(len(name)), name, _length(len(value)), value))


def literal_path(value: bytes) -> bytes:
    """`:path`, by its number in the static table."""
    return b"\x04" + _length(len(value)) + value


def literal_authority(value: bytes) -> bytes:
    """`:authority`, likewise."""
    return b"\x01" + _length(len(value)) + value


def _length(length: int) -> bytes:
    """A string's length: seven bits, and on by sevens (RFC 7541, 5.1), without Huffman coding."""
    if length < 0x7F:
        return bytes((length,))
    rest, octets = length - 0x7F, [0x7F]
    while rest >= 0x80:
        octets.append(rest & 0x7F | 0x80)
        rest >>= 7
    octets.append(rest)
    return bytes(octets)
