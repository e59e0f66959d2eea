"""Bodies of HTTP answers, compressed by gzip or not, gathered within a bound: a small answer that inflates without end is cut off."""

import zlib
from collections.abc import Iterator

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1024 * 1024
"""Inflated at once: what the loop is kept from for a millisecond or two."""


class TooLarge(Exception):
    """More than the bound."""


class NotCompressed(Exception):
    """What came is not what its encoding says."""


class Body:
    """Takes chunks as they come. `encoding` is the answer's `Content-Encoding`; NotCompressed for one that was not asked for."""

    def __init__(self, encoding: str, largest: int) -> None:
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise NotCompressed(f"encoded as {encoding[:20]!r}, which was not asked for")
        self._inflate = zlib.decompressobj(_GZIP) if "gzip" in encoding else None
        self._largest = largest
        self._gathered = bytearray()

    def take(self, chunk: bytes) -> Iterator[None]:
        """Take a chunk in steps, each of which is short. Raises TooLarge, NotCompressed."""
        if self._inflate is None:
            self._gather(chunk)
            yield
            return
        if self._inflate.eof:
            return  # what follows the end is nobody's
        while chunk:
            try:
                self._gather(self._inflate.decompress(chunk, _PIECE))
            except zlib.error as error:
                raise NotCompressed("no gzip, though it says so") from error
            chunk = self._inflate.unconsumed_tail
            yield

    def _gather(self, data: bytes) -> None:
        self._gathered += data
        if len(self._gathered) > self._largest:
            raise TooLarge(f"an answer of more than {self._largest} bytes")

    def whole(self) -> bytes:
        """All of it. Raises NotCompressed where it broke off."""
        if self._inflate is not None and not self._inflate.eof and (self._gathered or self._inflate.unconsumed_tail):
            raise NotCompressed("its gzip breaks off")
        return bytes(self._gathered)
