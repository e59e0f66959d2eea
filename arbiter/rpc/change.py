"""One event of a topic for all its readers (`Change`), and where a reader is among them (`Cursor`).

The message is made once, but for what is each reader's own, and that is shared too where it is the same.
"""

from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from arbiter.rpc.encoded import bytes_field, tag, varint
from arbiter.rpc.messages import framed

K = TypeVar("K", bound=Hashable)
E = TypeVar("E")

NOTHING = b""
"""What is a reader's own where nothing is."""
_EPOCH = tag(1)
_SEQUENCE = tag(2)


class Cursor(NamedTuple):
    """Where a reader is. Another epoch than the feed's own is that of another run, publisher or question."""

    epoch: int
    sequence: int

    def encoded(self) -> bytes:
        """The message `Cursor`."""
        return _EPOCH + varint(self.epoch) + _SEQUENCE + varint(self.sequence)


class Change(Generic[K, E]):
    """One event of a topic, for all its readers. `value` is what they filter by, where the source measures something."""

    __slots__ = ("_body", "_cursor", "_encode", "_said", "event", "key", "sequence", "value")

    def __init__(self, key: K, event: E, sequence: int, encode: "Callable[[Change[K, E]], bytes]", value: int) -> None:
        self.key = key
        self.event = event
        self.sequence = sequence
        self.value = value
        self._encode = encode
        self._body: bytes | None = None
        self._cursor = (-1, b"")
        self._said: tuple[bytes, int, int, bytes] = (b"", -1, -1, b"")

    @property
    def body(self) -> bytes:
        """The message without what is each reader's own."""
        if self._body is None:
            self._body = self._encode(self)
        return self._body

    def cursor_field(self, number: int, epoch: int) -> bytes:
        """The cursor of a reader that was told everything up to this change; nearly all share an epoch."""
        if self._cursor[0] != epoch:
            self._cursor = (epoch, bytes_field(number, Cursor(epoch, self.sequence).encoded()))
        return self._cursor[1]

    def framed(self, own: bytes, number: bytes, told: int, cursor: int, epoch: int) -> bytes:
        """The message, framed, with what is the reader's own; readers that were told as much before share it.

        `number` is the tag of its sequence, which is `told`; `cursor` the number of the field for that.
        """
        said = self._said
        if said[0] is own and said[1] == told and said[2] == epoch:
            return said[3]
        message = framed(b"".join((self.body, own, number, varint(told), self.cursor_field(cursor, epoch))))
        self._said = (own, told, epoch, message)
        return message
