"""The real server and its connections on pipes in memory: no socket, so the clock may jump, and thousands of connections are quick."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from arbiter.rpc import frames
from arbiter.rpc.frames import frame
from arbiter.rpc.hpack_decoder import Decoder
from arbiter.rpc.messages import framed
from arbiter.rpc.parking import Parking
from arbiter.rpc.pipe import Lost
from arbiter.rpc.server import Server
from arbiter.rpc.server_connection import ServerConnection
from tests.rpc.wires import frames_of


class MemoryPipe:
    """The server's end, and the test's hold on the other: `feed`, `hang_up`, `room`, `sent`."""

    def __init__(self):
        self.sent = bytearray()
        """What the peer's socket took."""
        self.room = 2**40
        """So much more it takes."""
        self.closed = False
        self._backlog = bytearray()
        self._in = bytearray()
        self._ended = False
        self._readable = Parking()
        self._writable = Parking()

    # -- the server's side --

    @property
    def backlog(self):
        return len(self._backlog)

    async def receive(self):
        await trio.lowlevel.checkpoint()  # a socket lets the others have their turn too
        while not self._in and not self._ended:
            await self._readable.wait()
        data = bytes(self._in[:65_536])
        del self._in[:65_536]
        return data

    def send(self, data):
        if self.closed:
            raise Lost("closed")
        self._backlog += data
        self._move()
        return not self._backlog

    async def flushed(self):
        await trio.lowlevel.checkpoint()
        while self._backlog:
            await self._writable.wait()

    def close(self):
        self.closed = True

    # -- the peer's --

    def feed(self, *parts):
        self._in += b"".join(parts)
        self._readable.wake()

    def taken_back(self):
        """What was fed and the server has not received: now it never will."""
        data = bytes(self._in)
        self._in.clear()
        return data

    def hang_up(self):
        self._ended = True
        self._readable.wake()

    def read(self, more=2**40):
        """Take so much more."""
        self.room += more
        self._move()
        if not self._backlog:
            self._writable.wake()

    def _move(self):
        size = min(self.room, len(self._backlog))
        self.sent += self._backlog[:size]
        del self._backlog[:size]
        self.room -= size


class Peer:
    """A client by hand on such a pipe."""

    def __init__(self, pipe: MemoryPipe, connection: ServerConnection):
        self.pipe = pipe
        self.connection = connection
        self.seen = []
        """(kind, flags, stream, payload) of all that came; blocks as dictionaries."""
        self._decoder = Decoder()
        self._read = 0

    def greet(self, *settings):
        self.pipe.feed(frames.PREFACE, frames.settings(settings))

    def call(self, number, path, message=None, *, body=None, extra=()):
        """A whole request, or the start of one."""
        fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/" + path.encode()), (b":authority", b"t")]
        fields += [(b"te", b"trailers"), (b"content-type", b"application/grpc"), *extra]
        self.pipe.feed(frame(frames.HEADERS, frames.END_HEADERS, number, block_of(fields)))
        if message is not None:
            body = framed(message.SerializeToString())
            self.pipe.feed(frame(frames.DATA, frames.END_STREAM, number, body))
        elif body:
            self.pipe.feed(frame(frames.DATA, 0, number, body))

    def frames(self):
        """All that came until now."""
        new = frames_of(self.pipe.sent[self._read :])
        self._read = len(self.pipe.sent)
        for kind, flags, number, payload in new:
            self.seen.append((kind, flags, number, dict(self._decoder.decode(payload)) if kind == frames.HEADERS else payload))
        return self.seen

    def status(self, number):
        """The grpc-status of a call; None where it goes on."""
        for kind, _, stream, block in self.frames():
            if (kind, stream) == (frames.HEADERS, number) and b"grpc-status" in block:
                return int(block[b"grpc-status"])
        return None

    def kinds(self, number=0):
        return [kind for kind, _, stream, _ in self.frames() if stream == number]


def block_of(fields):
    """A header block that no table remembers."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text):
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, octets = len(text) - 127, [127]
    while rest >= 128:
        octets.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*octets, rest]) + text


@asynccontextmanager
async def connected(server: Server, peer: str = "memory") -> AsyncIterator[Peer]:
    """A connection to the server, looked after by it."""
    pipe = MemoryPipe()
    place = server.places.take(peer, server.limits)
    connection = ServerConnection(server, pipe, peer, place=place)
    server._connections.add(connection)

    async def serve():
        try:
            await connection.serve()
        finally:
            server._connections.discard(connection)
            server.places.give_back(place)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield Peer(pipe, connection)
        pipe.hang_up()


@asynccontextmanager
async def looked_after(server: Server) -> AsyncIterator[Server]:
    """A server without a listener: its housekeeping alone."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server._look_after)
        yield server
        nursery.cancel_scope.cancel()
