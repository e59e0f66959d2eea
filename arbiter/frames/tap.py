"""A `Network` that shows everything to a recorder and hands it on. The connectors above and the sockets below do not know."""

from collections.abc import Callable
from itertools import count
from typing import Protocol

import trio

from arbiter.frames.dissect import At
from arbiter.venues.base import Network

LOST = "the recorder could not keep up"


class Taker(Protocol):
    """Where the bytes go: a `FrameWriter`."""

    def put(self, connection: int, what: str, content: object, at: At) -> bool:
        """Take something over, at once; False: lost."""


class Tap:
    """Numbers the connections of all venues and says when things happened. `monotonic` in seconds, `unix_ms` in UTC ms."""

    def __init__(self, monotonic: Callable[[], float], unix_ms: Callable[[], int]) -> None:
        self._taker: Taker | None = None
        self._monotonic, self._unix_ms = monotonic, unix_ms
        self._began = monotonic()
        self._last_ns = 0
        self._numbers = count(1)

    def start(self, taker: Taker) -> None:
        """Before the first connection; until then, nothing is recorded."""
        self._taker = taker

    def stop(self) -> None:
        """What comes now is no more of the recording: that its connections end with it least of all."""
        self._taker = None

    def on(self, venue: str, network: Network) -> "TappedNetwork":
        """That venue's network, seen."""
        return TappedNetwork(venue, network, self)

    def number(self) -> int:
        """For one more connection."""
        return next(self._numbers)

    def put(self, connection: int, what: str, content: object) -> bool:
        """False: it is lost, and the connection must not go on."""
        if self._taker is None:
            return True
        self._last_ns = max(self._last_ns, round((self._monotonic() - self._began) * 1_000_000_000))
        return self._taker.put(connection, what, content, At(self._last_ns, self._unix_ms()))


class TappedNetwork:
    """Looks at the bytes behind TLS: what it hands on is what the venue meant."""

    def __init__(self, venue: str, network: Network, tap: Tap) -> None:
        self._venue, self._network, self._tap = venue, network, tap

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """See `Network.connect`. Raises OSError too where the recorder has no room to begin."""
        stream = await self._network.connect(host, port, tls=tls)
        number = self._tap.number()
        if not self._tap.put(number, "open", (self._venue, host)):
            await trio.aclose_forcefully(stream)
            raise OSError(LOST)
        return _TappedStream(stream, number, self._tap)


class _TappedStream(trio.abc.Stream):
    """A connection of which a piece was lost ends: what came after it could be told by nobody, and a new one begins whole."""

    def __init__(self, stream: trio.abc.Stream, number: int, tap: Tap) -> None:
        self._stream, self._number, self._tap = stream, number, tap
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if data:
            self._show("sent", bytes(data))
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self._show("received", bytes(data))
        return data

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._tap.put(self._number, "closed", b"")
        await self._stream.aclose()

    def _show(self, what: str, data: bytes) -> None:
        if not self._tap.put(self._number, what, data):
            raise trio.BrokenResourceError(LOST)
