"""gRPC's messages in a stream of bytes: a flag, four bytes of length, the message. Pure.

Source: the gRPC protocol over HTTP/2, "Length-Prefixed-Message". gzip is taken from who sends it and never sent.
"""

import zlib
from struct import Struct

LONGEST_MESSAGE = 4 * 2**20
"""In bytes, as it is sent and as it is unpacked; what the official servers take too."""
HEAD = 5
IDENTITY, GZIP = b"identity", b"gzip"
ENCODINGS = (IDENTITY, GZIP)
_head = Struct(">BL")
_GZIP_WINDOW = 31
"""zlib's number for a gzip head and the largest window."""


class Unreadable(Exception):
    """A message that cannot be taken; its call ends."""


class TooLong(Unreadable):
    """Longer than LONGEST_MESSAGE."""

    def __init__(self, longest: int = LONGEST_MESSAGE) -> None:
        super().__init__(f"a message is longer than {longest:,} bytes")


class NotTheEncoding(Unreadable):
    """Compressed, though the call named no compression."""


def framed(message: bytes) -> bytes:
    """A message as it is sent."""
    return _head.pack(0, len(message)) + message


class MessageReader:
    """Puts the messages of one stream together again, each with its flag: see `unpacked`."""

    __slots__ = ("_data", "_longest", "_wanted", "held")

    def __init__(self, longest: int = LONGEST_MESSAGE) -> None:
        self._longest = longest
        self._data = bytearray()
        """A message that is not complete: one buffer, since a message may come in a million parts."""
        self._wanted = HEAD
        """Bytes until it is, or until its length is known."""
        self.held = 0
        """Bytes of a message that is not complete."""

    def feed(self, payload: bytes) -> list[tuple[int, bytes]]:
        """The messages that are complete now. Raises TooLong, after which nothing may be fed."""
        if self.held:
            self._data += payload
            self.held += len(payload)
            if self.held < self._wanted:
                return []
            payload = bytes(self._data)
            self._data.clear()
        at, size = 0, len(payload)
        found: list[tuple[int, bytes]] = []
        self._wanted = HEAD
        while size - at >= HEAD:
            flag, length = _head.unpack_from(payload, at)
            if length > self._longest:
                raise TooLong(self._longest)
            if size - at - HEAD < length:
                self._wanted = HEAD + length
                break
            found.append((flag, payload[at + HEAD : at + HEAD + length]))
            at += HEAD + length
        if at < size:
            self._data += payload[at:]
        self.held = size - at
        return found


def unpacked(flag: int, message: bytes, encoding: bytes) -> bytes:
    """The message as it was before its sender packed it. Raises Unreadable."""
    if flag == 0:
        return message
    if flag != 1 or encoding != GZIP:
        raise NotTheEncoding("the message is packed, though the call names no compression")
    inflate = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        plain = inflate.decompress(message, LONGEST_MESSAGE + 1)
    except zlib.error:
        raise Unreadable("the message is no gzip") from None
    if len(plain) > LONGEST_MESSAGE:
        raise TooLong
    if not inflate.eof:
        raise Unreadable("the message's gzip is cut short")
    if inflate.unused_data:
        raise Unreadable("something follows the message's gzip")
    return plain
