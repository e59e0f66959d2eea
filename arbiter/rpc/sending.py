"""The sending half of one HTTP/2 connection: both windows of the peer, what waits for them, and the bytes to be sent. Pure.

Bytes of calls wait in their streams while the peer gives no window or does not read. When they go on, the streams take turns,
a frame each.
"""

from collections import deque
from collections.abc import Sequence

from arbiter.rpc import frames
from arbiter.rpc.frames import Code, head
from arbiter.rpc.header_blocks import NO_TABLE

CONNECTION_WINDOW = 4 * 2**20
"""How much a peer may have sent on a connection that was not taken in yet."""
STREAM_WINDOW = 2**20
"""The same of one stream."""
FULL = 256 * 1024
"""Bytes in `out` beyond which messages wait in their streams, however much window there is: the peer does not read them."""


class Stream:
    """One call's place on the connection. Whoever opens it may subclass it."""

    __slots__ = (
        "_first",
        "ended_here",
        "ended_there",
        "id",
        "owed",
        "pending",
        "receive_window",
        "send_window",
        "sent",
        "trailer",
        "waiting",
    )

    def __init__(self, id_: int, send_window: int, ended_there: bool) -> None:
        self.id = id_
        self.send_window = send_window
        self.receive_window = STREAM_WINDOW
        self.ended_there = ended_there
        self.ended_here = False
        self.pending: deque[bytes] | None = None
        """What waits for window, oldest first; None where nothing does."""
        self._first = 0
        """Sent bytes of the first of them."""
        self.waiting = 0
        """Bytes in `pending`."""
        self.sent = 0
        """Bytes that left `pending` for the peer."""
        self.trailer: bytes | None = None
        """The header block to end with, once all is sent."""
        self.owed = 0
        """Window bytes to give back with the next update."""

    def drained(self) -> None:
        """Called when nothing waits any more and there is window."""


class Sender:
    """Who sends on one connection. `streams` holds the calls that live."""

    def __init__(self, *, client: bool) -> None:
        self._client = client
        self.streams: dict[int, Stream] = {}
        self.out = bytearray()
        """To be sent; see `take`."""
        self.last = 0
        """The highest stream that the peer opened (server) or that we did (client)."""
        self.refusing = False
        """New streams are refused: the connection is going away."""
        self.taken = 0
        """Bytes that `take` has handed out, ever."""
        self.first_window = frames.DEFAULT_WINDOW
        """What the peer gives a new stream."""
        self.waiting = 0
        """Bytes that wait, of all streams."""
        self._send_window = frames.DEFAULT_WINDOW
        self._ready: dict[int, Stream] = {}
        """Streams with something pending and window of their own: they wait for the connection's, or for room in `out`."""
        self._credit = 0
        """Window updates and pings that what we sent accounts for: a client sends some of both for what it reads."""
        self._first_block = True

    def open(self, stream: Stream, block: bytes, ended: bool = False) -> None:
        """Begin a call (client); its stream's id is `next_id`."""
        self.last = stream.id
        self.streams[stream.id] = stream
        self.headers(stream, block, ended)

    def next_id(self) -> int:
        """The id of the next call (client)."""
        return self.last + 2 if self.last else 1

    def headers(self, stream: Stream, block: bytes, ended: bool = False) -> None:
        """Send a header block at once; nothing may be pending where it ends the stream. Nothing where it has ended already."""
        if stream.ended_here:
            return
        self._put_block(stream.id, block, ended)
        if ended:
            self._ended_here(stream)

    def _put_block(self, stream_id: int, block: bytes, ended: bool) -> None:
        if self._first_block:
            self._first_block = False
            block = NO_TABLE + block
        length = len(block)
        end = frames.END_STREAM if ended else 0
        if length <= frames.LEAST_FRAME:
            self.out += head(length >> 8, length & 0xFF, frames.HEADERS, end | frames.END_HEADERS, stream_id)
            self.out += block
            return
        self.out += frames.frame(frames.HEADERS, end, stream_id, block[: frames.LEAST_FRAME])
        for at in range(frames.LEAST_FRAME, length, frames.LEAST_FRAME):
            flags = frames.END_HEADERS if at + frames.LEAST_FRAME >= length else 0
            self.out += frames.frame(frames.CONTINUATION, flags, stream_id, block[at : at + frames.LEAST_FRAME])

    def send(self, stream: Stream, data: bytes) -> bool:
        """Send bytes of a call, or keep them until there is window. Whether all went out."""
        length = len(data)
        if (
            length <= stream.send_window
            and length <= self._send_window
            and length <= frames.LEAST_FRAME
            and len(self.out) < FULL
            and not stream.pending
        ):
            stream.send_window -= length
            self._send_window -= length
            self._credit += 3
            self.out += head(length >> 8, length & 0xFF, frames.DATA, 0, stream.id)
            self.out += data
            return True
        if stream.ended_here:
            return False
        if stream.pending is None:
            stream.pending = deque()
        stream.pending.append(data)
        stream.waiting += length
        self.waiting += length
        if stream.send_window > 0:
            self._ready[stream.id] = stream
            self._drain()
        return not stream.pending

    def send_each(self, streams: Sequence[Stream], messages: Sequence[bytes]) -> list[int]:
        """Send to each stream its bytes, as `send` does. The places of those that did not go out, or not all."""
        kept: list[int] = []
        parts: list[bytes] = []
        window, room = self._send_window, FULL - len(self.out)
        for place, (stream, data) in enumerate(zip(streams, messages, strict=True)):
            length = len(data)
            if length <= stream.send_window and length <= window and length <= frames.LEAST_FRAME and room > 0 and not stream.pending:
                stream.send_window -= length
                window -= length
                room -= frames.HEAD_SIZE + length
                parts += (head(length >> 8, length & 0xFF, frames.DATA, 0, stream.id), data)
            else:
                self._put_parts(parts, window)
                parts = []
                if not self.send(stream, data):
                    kept.append(place)
                window, room = self._send_window, FULL - len(self.out)
        self._put_parts(parts, window)
        return kept

    def _put_parts(self, parts: list[bytes], window: int) -> None:
        """Frames of messages, each a head and its bytes; what is left of the connection's window after them."""
        self._send_window = window
        self._credit += 3 * (len(parts) // 2)
        self.out += b"".join(parts)

    def answer(self, stream: Stream, block: bytes, data: bytes, trailer: bytes) -> None:
        """A whole answer: head, one message, trailers."""
        length = len(data)
        if (
            length > stream.send_window
            or length > self._send_window
            or length > frames.LEAST_FRAME
            or len(trailer) > frames.LEAST_FRAME
            or len(block) > frames.LEAST_FRAME
            or len(self.out) >= FULL
            or self._first_block
        ):
            self.headers(stream, block)
            self.send(stream, data)
            self.finish(stream, trailer)
            return
        stream.send_window -= length
        self._send_window -= length
        self._credit += 3
        id_ = stream.id
        self.out += b"".join(
            (
                head(len(block) >> 8, len(block) & 0xFF, frames.HEADERS, frames.END_HEADERS, id_),
                block,
                head(length >> 8, length & 0xFF, frames.DATA, 0, id_),
                data,
                head(len(trailer) >> 8, len(trailer) & 0xFF, frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, id_),
                trailer,
            )
        )
        self._ended_here(stream)

    def finish(self, stream: Stream, block: bytes = b"") -> None:
        """End our side once all is sent: with trailers (server) or with nothing (client)."""
        if stream.pending:
            stream.trailer = block
        elif block:
            self.headers(stream, block, ended=True)
        else:
            self.out += frames.frame(frames.DATA, frames.END_STREAM, stream.id)
            self._ended_here(stream)

    def refuse(self, stream_id: int, block: bytes, ended: bool) -> None:
        """Answer a call of which nothing is kept (server); `ended`: its request is."""
        self._put_block(stream_id, block, True)
        if not ended:
            self.out += frames.reset(stream_id, Code.NO_ERROR)

    def cut(self, stream: Stream, block: bytes) -> None:
        """End our side now, with trailers; what waits is not sent."""
        self._drop_pending(stream)
        if not stream.ended_here:
            self.headers(stream, block, ended=True)

    def reset(self, stream: Stream, code: Code) -> None:
        """End both sides of a call at once."""
        if stream.id in self.streams:
            self.out += frames.reset(stream.id, code)
            self.forget(stream)

    def forget(self, stream: Stream) -> None:
        """Keep nothing of a call any more."""
        self.streams.pop(stream.id, None)
        self._drop_pending(stream)
        stream.ended_here = stream.ended_there = True
        stream.send_window = 0  # so `send` does not take a handler's last words for a call that lives

    def took(self, stream: Stream, length: int) -> None:
        """Give a stream so much of its window back."""
        stream.owed += length
        if stream.owed >= STREAM_WINDOW // 2 and not stream.ended_there:
            self.out += frames.window_update(stream.id, stream.owed)
            stream.receive_window += stream.owed
            stream.owed = 0

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self.out += frames.frame(frames.PING, 0, 0, b"arbiter?")

    def go_away(self, code: Code = Code.NO_ERROR, text: str = "") -> None:
        """Say that no new call is taken (server). Those that live go on."""
        self.refusing = True
        self.out += frames.goaway(self.last, code, text)

    def take(self) -> bytearray:
        """All that is to be sent. What waited for room goes on into the next."""
        out, self.out = self.out, bytearray()
        self.taken += len(out)
        if self._ready:
            self._drain()
        return out

    def _ended_here(self, stream: Stream) -> None:
        stream.ended_here = True
        if stream.ended_there:
            self.forget(stream)
        elif not self._client:  # answered early: the rest of the request is not wanted
            self.reset(stream, Code.NO_ERROR)

    def _drop_pending(self, stream: Stream) -> None:
        self._ready.pop(stream.id, None)
        stream.pending = None
        self.waiting -= stream.waiting
        stream.waiting = stream._first = 0
        stream.trailer = None

    def _drain(self) -> None:
        """Send what waits, a frame of each stream in turn, while there are window and room."""
        while self._ready and self._send_window > 0 and len(self.out) < FULL:
            stream_id = next(iter(self._ready))
            stream = self._ready.pop(stream_id)
            if stream.send_window <= 0:
                continue  # the peer has made its window smaller since
            self._drain_one(stream)
            if stream.pending:
                if stream.send_window > 0:
                    self._ready[stream_id] = stream  # behind the others
                continue
            stream.pending = None
            if stream.trailer is not None:
                block, stream.trailer = stream.trailer, None
                self.finish(stream, block)
            else:
                stream.drained()

    def _drain_one(self, stream: Stream) -> None:
        """One frame."""
        pending = stream.pending
        assert pending
        room = min(stream.send_window, self._send_window, frames.LEAST_FRAME)
        parts: list[bytes] = []
        done = 0
        while pending and room > 0:
            first = pending[0]
            left = len(first) - stream._first
            if left <= room:
                parts.append(first[stream._first :] if stream._first else first)
                pending.popleft()
                stream._first = 0
            else:
                left = room
                parts.append(first[stream._first : stream._first + left])
                stream._first += left
            room -= left
            done += left
        stream.send_window -= done
        self._send_window -= done
        stream.waiting -= done
        self.waiting -= done
        stream.sent += done
        self._credit += 3
        self.out += head(done >> 8, done & 0xFF, frames.DATA, 0, stream.id)
        for part in parts:
            self.out += part
