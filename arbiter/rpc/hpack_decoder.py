"""Decodes header blocks (HPACK, RFC 7541) within bounds that hold whatever a peer sends. Pure.

hpack's own decoder reads a number of any length, which takes seconds for one block of a hundred kilobytes, and any count of
table size updates. Its Huffman table is used.
"""

from collections import deque

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

Headers = list[tuple[bytes, bytes]]

LONGEST_LIST = 256 * 1024
"""As it is decoded, by the count of RFC 9113, 6.5.2 (32 bytes beside each name and value)."""
TABLE_SIZE = 4096
"""Of the dynamic table, at most; what everybody may use without asking."""
BESIDE = 32
"""Counted for each entry beside its name and value (RFC 7541, 4.1)."""
MOST_NUMBER_OCTETS = 4
"""After the first; so a number stays below 2**29, and nothing that may be sent comes near."""
MOST_SIZE_UPDATES = 16
"""At the start of a block. Two are enough (RFC 7541, 4.2); hpack's encoder tells every change since the last block."""

_STATIC: tuple[tuple[bytes, bytes], ...] = tuple((bytes(name), bytes(value)) for name, value in HeaderTable.STATIC_TABLE)


class BadBlock(Exception):
    """A block that cannot be decoded; nothing after it can be either."""


class Decoder:
    """One direction of one connection."""

    def __init__(self) -> None:
        self.changes = 0
        """How often the dynamic table was changed: while it stands still, the same block means the same."""
        self._dynamic: deque[tuple[bytes, bytes]] = deque()  # newest first
        self._size = 0
        self._most = TABLE_SIZE

    def decode(self, block: bytes) -> Headers:
        """The fields, in order. Raises BadBlock."""
        try:
            return self._decode(block)
        except IndexError:
            raise BadBlock("cut short") from None

    def _decode(self, block: bytes) -> Headers:
        found: Headers = []
        at, end, updates, size = 0, len(block), 0, 0
        while at < end:
            first = block[at]
            if first & 0x80:
                index, at = _number(block, at, 0x7F)
                field = self._entry(index)
            elif first & 0x60 == 0x20:
                most, at = _number(block, at, 0x1F)
                updates += 1
                if found or updates > MOST_SIZE_UPDATES or most > TABLE_SIZE:
                    raise BadBlock("a table size update that is not allowed")
                self._resize(most)
                continue
            else:
                index, at = _number(block, at, 0x3F if first & 0x40 else 0x0F)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                field = name, value
                if first & 0x40:
                    self._add(field)
            size += len(field[0]) + len(field[1]) + BESIDE
            if size > LONGEST_LIST:
                raise BadBlock("more headers than anybody needs")
            found.append(field)
        return found

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if not index:
            raise BadBlock("an index of 0")
        if index <= len(_STATIC):
            return _STATIC[index - 1]
        index -= len(_STATIC) + 1
        if index >= len(self._dynamic):
            raise BadBlock("an index of nothing")
        return self._dynamic[index]

    def _add(self, field: tuple[bytes, bytes]) -> None:
        self.changes += 1
        self._dynamic.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + BESIDE
        self._shrink()

    def _resize(self, most: int) -> None:
        self.changes += 1
        self._most = most
        self._shrink()

    def _shrink(self) -> None:
        while self._size > self._most:
            name, value = self._dynamic.pop()
            self._size -= len(name) + len(value) + BESIDE


def _number(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """The number whose first bits lie under the mask, and where it ends (RFC 7541, 5.1). Raises BadBlock, IndexError."""
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    for shift in range(0, 7 * MOST_NUMBER_OCTETS, 7):
        octet = block[at]
        at += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
    raise BadBlock("a number too large")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """The string that begins here, and where it ends (RFC 7541, 5.2). Raises BadBlock, IndexError."""
    huffman = block[at] & 0x80
    length, at = _number(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise BadBlock("cut short")
    text = block[at:end]
    if not huffman:
        return text, end
    try:
        return bytes(decode_huffman(text)), end
    except HPACKError:
        raise BadBlock("no Huffman code") from None
