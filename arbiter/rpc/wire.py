"""One HTTP/2 connection as gRPC uses it, without I/O: bytes in, what they mean to `Hooks`; calls in, bytes out (RFC 9113).

    wire = Wire(hooks, parse, client=False)
    wire.receive(data, now)       # hooks hear of it; raises Broken, after which only `out` is still to be sent
    wire.send(stream, message)    # waits inside while the peer gives no window
    pipe.write(wire.take())       # and again: `take` makes room, and what waited goes on

It keeps both flow control windows, HPACK in step also for streams that nobody wants, and budgets for everything that a peer
can send for nothing. What it does not do, because gRPC does not: push, priorities, CONNECT, upgrade.
"""

import math
from collections.abc import Callable
from typing import Generic, NoReturn, Protocol, TypeVar

from arbiter.rpc import frames
from arbiter.rpc.frames import Code, read_head
from arbiter.rpc.header_blocks import LONGEST_BLOCK, BadBlock, BlockReader, Headers
from arbiter.rpc.sending import CONNECTION_WINDOW, FULL, STREAM_WINDOW, Sender, Stream

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)

BURIED = 2 * FULL
"""Beyond this it asks for answers and does not read them."""
MOST_CONTINUATIONS = 16
LEAST_RESETS = 200
"""At once, however few calls a client may have: it may give many up that one read brings."""
MOST_CREDIT = 10_000
"""Of window updates and pings that what was sent accounts for."""

_SETTINGS_ACK = frames.frame(frames.SETTINGS, frames.ACK, 0)


class Broken(Exception):
    """The peer broke the protocol, or abuses it: `code` was told in a GOAWAY, and nothing more is read."""

    def __init__(self, code: Code, problem: str) -> None:
        super().__init__(f"{code.name}: {problem}")
        self.code = code


class Hooks(Protocol[P_contra]):
    """Who hears what a peer sent. None may raise or wait."""

    def opened(self, stream_id: int, block: P_contra, ended: bool, /) -> None:
        """A new call (server), to be put into `streams`."""

    def headers(self, stream: Stream, block: P_contra, ended: bool, /) -> None:
        """Another block of a call: an answer's head or trailers (client), the end of a request (server)."""

    def data(self, stream: Stream, payload: bytes, ended: bool, /) -> None:
        """Its bytes count against the stream's window until `took`."""

    def was_reset(self, stream: Stream, code: int, /) -> None:
        """The peer, or the protocol, ended this call. It is forgotten already."""

    def going_away(self, last: int, code: int, text: str, /) -> None:
        """The peer takes no stream above `last`."""

    def pong(self, /) -> None:
        """A ping of ours was answered."""


class Budget:
    """So much at once, so much a second."""

    __slots__ = ("_at", "_left", "most", "refill")

    def __init__(self, most: float, refill: float) -> None:
        self.most = most
        self.refill = refill
        self._left = most
        self._at = -math.inf

    def spend(self, now: float) -> bool:
        """Whether one more is still within it."""
        if self._left < 1:
            self._left = min(self.most, self._left + (now - self._at) * self.refill)
            self._at = now
        elif self._at == -math.inf:
            self._at = now
        self._left -= 1
        return self._left >= 0


class Wire(Sender, Generic[P]):
    """One side of one connection."""

    def __init__(self, hooks: Hooks[P], parse: Callable[[Headers], P], *, client: bool, most_streams: int = 1000) -> None:
        super().__init__(client=client)
        self._hooks = hooks
        self._blocks = BlockReader(parse)
        self.most_streams = most_streams
        self.peer_streams = 100 if client else 0
        """How many calls the server takes at once, for a client."""
        self.broken = False
        self.greeted = False
        """The peer's SETTINGS have come."""
        self._rest = b"" if client else None  # None: the preface is still to come
        self._preface = b""
        self._partial: tuple[int, int, list[bytes]] | None = None
        self.half_since = math.inf
        """Since when a header block is not finished; infinite while none is."""
        self.full = False
        """No more calls are opened until `receive` is called again (server); set by the hooks."""
        self._receive_window = CONNECTION_WINDOW
        self._owed = 0
        self._resets = Budget(max(LEAST_RESETS, 2 * most_streams), max(1000, most_streams))
        self._control = Budget(1000, 100)
        self._idle_talk = Budget(10_000, 5_000)
        self._greet()

    def _greet(self) -> None:
        values = [(frames.INITIAL_WINDOW_SIZE, STREAM_WINDOW), (frames.MAX_HEADER_LIST_SIZE, 16 * 1024)]
        if self._client:
            self.out += frames.PREFACE
            values.append((frames.ENABLE_PUSH, 0))
        else:
            values.append((frames.MAX_CONCURRENT_STREAMS, self.most_streams))
        self.out += frames.settings(values)
        self.out += frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW)

    # -- in --

    def receive(self, data: bytes, now: float) -> bool:
        """Take in what came; whether some of it is left since `full` was set: then call it again, with nothing. Raises Broken when
        nothing more can be read.
        """
        if self.broken:
            return False
        if data and len(self.out) > BURIED:  # made by what came before, and not taken since
            self._break(Code.ENHANCE_YOUR_CALM, "answers are not read")
        rest = self._rest
        if rest is None:
            self._preface += data
            if not self._preface.startswith(frames.PREFACE):
                if frames.PREFACE.startswith(self._preface):
                    return False
                self._break(Code.PROTOCOL_ERROR, "this is no HTTP/2")
            data, rest = self._preface[len(frames.PREFACE) :], b""
            self._preface = b""
        if rest:
            data = rest + data
        at, end, self.full = 0, len(data), False
        while end - at >= frames.HEAD_SIZE:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if length > frames.LEAST_FRAME:
                self._break(Code.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            after = at + frames.HEAD_SIZE + length
            if after > end:
                break
            kind, flags, stream_id = read_head(data, at + 3)
            if self.full and kind == frames.HEADERS:
                self._rest = data[at:]
                return True
            payload = data[at + frames.HEAD_SIZE : after]
            at = after
            self._frame(kind, flags, stream_id & frames.LARGEST_ID, payload, now)
        self._rest = data[at:] if at < end else b""
        return False

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if self._partial is not None and kind != frames.CONTINUATION:
            self._break(Code.PROTOCOL_ERROR, "a header block was not finished")
        if not self.greeted and kind != frames.SETTINGS:
            self._break(Code.PROTOCOL_ERROR, "SETTINGS must come first")
        if kind == frames.DATA:
            self._on_data(flags, stream_id, payload, now)
        elif kind == frames.HEADERS:
            self._on_headers(flags, stream_id, payload, now)
        elif kind == frames.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload, now)
        elif kind == frames.RST_STREAM:
            self._on_reset(stream_id, payload, now)
        elif kind == frames.SETTINGS:
            self._on_settings(flags, stream_id, payload, now)
        elif kind == frames.PING:
            self._on_ping(flags, stream_id, payload, now)
        elif kind == frames.CONTINUATION:
            self._on_continuation(flags, stream_id, payload, now)
        elif kind == frames.GOAWAY:
            self._on_goaway(stream_id, payload, now)
        elif kind == frames.PUSH_PROMISE:
            self._break(Code.PROTOCOL_ERROR, "a push that nobody allowed")
        else:
            if kind == frames.PRIORITY:
                self._on_priority(stream_id, payload, now)
            self.spend(self._idle_talk, now, "frames that say nothing")

    def _on_data(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        length = len(payload)
        self._receive_window -= length
        if self._receive_window < 0:
            self._break(Code.FLOW_CONTROL_ERROR, "more than the connection's window")
        self._owed += length  # at once, also for a stream that nobody wants: what is kept of it counts against its own window
        if self._owed >= CONNECTION_WINDOW // 2:
            self.out += frames.window_update(0, self._owed)
            self._receive_window += self._owed
            self._owed = 0
        padding = 0
        if flags & frames.PADDED:
            payload, padding = self._unpad(payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed(stream_id, now)
            return
        if stream.ended_there:
            self._fail(stream, Code.STREAM_CLOSED, now)
            return
        stream.receive_window -= length
        if stream.receive_window < 0:
            self._fail(stream, Code.FLOW_CONTROL_ERROR, now)
            return
        ended = flags & frames.END_STREAM != 0
        if not payload and not ended:
            self.spend(self._idle_talk, now, "empty frames")
        if padding:
            self.took(stream, padding)
        if ended:
            stream.ended_there = True
        self._hooks.data(stream, payload, ended)
        if ended and stream.ended_here:
            self.forget(stream)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id == 0:
            self._break(Code.PROTOCOL_ERROR, "headers of the connection")
        if flags & frames.PADDED:
            payload, _ = self._unpad(payload)
        if flags & frames.WITH_PRIORITY:
            if len(payload) < 5:
                self._break(Code.FRAME_SIZE_ERROR, "a priority cut short")
            if frames.read_number(payload) == stream_id:
                self._break(Code.PROTOCOL_ERROR, "a stream that depends on itself")
            payload = payload[5:]
        if not flags & frames.END_HEADERS:
            self._partial = (stream_id, flags, [payload])
            self.half_since = now
            return
        self._on_block(stream_id, flags & frames.END_STREAM != 0, payload, now)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if self._partial is None or self._partial[0] != stream_id:
            self._break(Code.PROTOCOL_ERROR, "the continuation of nothing")
        _, first_flags, parts = self._partial
        parts.append(payload)
        if len(parts) > MOST_CONTINUATIONS or sum(map(len, parts)) > LONGEST_BLOCK:
            self._break(Code.ENHANCE_YOUR_CALM, "a header block without end")
        if flags & frames.END_HEADERS:
            self._partial = None
            self.half_since = math.inf
            self._on_block(stream_id, first_flags & frames.END_STREAM != 0, b"".join(parts), now)

    def _on_block(self, stream_id: int, ended: bool, block: bytes, now: float) -> None:
        try:
            parsed = self._blocks.read(block)  # also where nobody wants it, or HPACK loses step
        except BadBlock as error:
            self._break(Code.COMPRESSION_ERROR, str(error))
        stream = self.streams.get(stream_id)
        if stream is not None:
            if stream.ended_there:
                self._fail(stream, Code.STREAM_CLOSED, now)
            elif not ended and not self._client:
                self._fail(stream, Code.PROTOCOL_ERROR, now)  # a request's second block is its end
            else:
                stream.ended_there = ended
                self._hooks.headers(stream, parsed, ended)
                if ended and stream.ended_here:
                    self.forget(stream)
            return
        if self._client or stream_id <= self.last:
            self._on_closed(stream_id, now)
            return
        if stream_id % 2 == 0:
            self._break(Code.PROTOCOL_ERROR, "a stream of ours, opened by the peer")
        self.last = stream_id
        if self.refusing or len(self.streams) >= self.most_streams:
            self.out += frames.reset(stream_id, Code.REFUSED_STREAM)
            self.spend(self._resets, now, "streams beyond the limit")
            return
        self._hooks.opened(stream_id, parsed, ended)

    def _on_window_update(self, stream_id: int, payload: bytes, now: float) -> None:
        if len(payload) != 4:
            self._break(Code.FRAME_SIZE_ERROR, "a window update of another size")
        self._account(self._idle_talk, now, "window updates")
        more = frames.read_number(payload)
        if stream_id == 0:
            if more == 0:
                self._break(Code.PROTOCOL_ERROR, "a window that grows by nothing")
            self._send_window += more
            if self._send_window > frames.LARGEST_WINDOW:
                self._break(Code.FLOW_CONTROL_ERROR, "a window too large")
            self._drain()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed(stream_id, now)
        elif more == 0:
            self._fail(stream, Code.PROTOCOL_ERROR, now)
        elif stream.send_window + more > frames.LARGEST_WINDOW:
            self._fail(stream, Code.FLOW_CONTROL_ERROR, now)
        else:
            stream.send_window += more
            self._window_opened(stream)

    def _window_opened(self, stream: Stream) -> None:
        if stream.pending and stream.send_window > 0:
            self._ready[stream.id] = stream
            self._drain()

    def _on_reset(self, stream_id: int, payload: bytes, now: float) -> None:
        if len(payload) != 4:
            self._break(Code.FRAME_SIZE_ERROR, "a reset of another size")
        if not self._client:
            self.spend(self._resets, now, "resets")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed(stream_id, now)
            return
        self.forget(stream)
        self._hooks.was_reset(stream, int.from_bytes(payload, "big"))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id != 0:
            self._break(Code.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            if payload:
                self._break(Code.FRAME_SIZE_ERROR, "settings in an acknowledgement")
            if not self.greeted:
                self._break(Code.PROTOCOL_ERROR, "SETTINGS must come first")
            self.spend(self._control, now, "settings")
            return
        if len(payload) % 6:
            self._break(Code.FRAME_SIZE_ERROR, "settings cut short")
        self.spend(self._control, now, "settings")
        if len(payload) > 6 * 64:
            self._break(Code.ENHANCE_YOUR_CALM, "settings without end")
        if self._client and not self.greeted:
            self.peer_streams = frames.LARGEST_ID  # unless it says otherwise
        window = self.first_window
        for key, value in frames.read_settings(payload):
            if key == frames.INITIAL_WINDOW_SIZE:
                if value > frames.LARGEST_WINDOW:
                    self._break(Code.FLOW_CONTROL_ERROR, "a window too large")
                window = value
            else:
                self._setting(key, value)
        if window != self.first_window:  # once a frame, since it concerns every stream
            self._resize_windows(window)
        self.greeted = True
        self.out += _SETTINGS_ACK

    def _resize_windows(self, window: int) -> None:
        more, self.first_window = window - self.first_window, window
        for stream in tuple(self.streams.values()):
            stream.send_window += more
            if stream.send_window > frames.LARGEST_WINDOW:
                self._break(Code.FLOW_CONTROL_ERROR, "a window too large")
            if stream.pending and stream.send_window > 0:
                self._ready[stream.id] = stream
        self._drain()

    def _setting(self, key: int, value: int) -> None:
        if key == frames.MAX_FRAME_SIZE:
            if not frames.LEAST_FRAME <= value <= frames.LARGEST_FRAME:
                self._break(Code.PROTOCOL_ERROR, "a frame size that is not allowed")
        elif key == frames.ENABLE_PUSH:
            if value > 1 or (self._client and value):
                self._break(Code.PROTOCOL_ERROR, "a push setting that is not allowed")
        elif key == frames.MAX_CONCURRENT_STREAMS and self._client:
            self.peer_streams = value

    def _on_ping(self, flags: int, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id != 0:
            self._break(Code.PROTOCOL_ERROR, "a ping of a stream")
        if len(payload) != 8:
            self._break(Code.FRAME_SIZE_ERROR, "a ping of another size")
        self._account(self._control, now, "pings")
        if flags & frames.ACK:
            self._hooks.pong()
        else:
            self.out += frames.frame(frames.PING, frames.ACK, 0, payload)

    def _on_goaway(self, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id != 0:
            self._break(Code.PROTOCOL_ERROR, "a GOAWAY of a stream")
        if len(payload) < 8:
            self._break(Code.FRAME_SIZE_ERROR, "a GOAWAY cut short")
        self.spend(self._control, now, "GOAWAYs")
        text = payload[8:208].decode("ascii", "backslashreplace")
        self._hooks.going_away(frames.read_number(payload), int.from_bytes(payload[4:8], "big"), text)

    def _on_priority(self, stream_id: int, payload: bytes, now: float) -> None:
        if stream_id == 0:
            self._break(Code.PROTOCOL_ERROR, "a priority of the connection")
        if len(payload) != 5:
            self._break(Code.FRAME_SIZE_ERROR, "a priority of another size")
        if frames.read_number(payload) == stream_id:
            self._break(Code.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_closed(self, stream_id: int, now: float) -> None:
        """Something for a stream that does not live: late, which is no fault, or never opened, which is one."""
        if stream_id == 0 or stream_id > self.last or stream_id % 2 == 0:
            self._break(Code.PROTOCOL_ERROR, "a stream that was never opened")
        self.spend(self._idle_talk, now, "frames of calls that are over")

    def _unpad(self, payload: bytes) -> tuple[bytes, int]:
        """The payload without its padding, and how long that was, its length included."""
        if not payload:
            self._break(Code.FRAME_SIZE_ERROR, "padding cut short")
        padding = payload[0]
        if padding >= len(payload):
            self._break(Code.PROTOCOL_ERROR, "more padding than frame")
        return payload[1 : len(payload) - padding], padding + 1

    def _account(self, budget: Budget, now: float, what: str) -> None:
        """Of what we sent, or of the budget."""
        if self._credit > 0:
            self._credit = min(self._credit, MOST_CREDIT) - 1
        else:
            self.spend(budget, now, what)

    def spend(self, budget: Budget, now: float, what: str) -> None:
        """One more of what a peer can do for nothing. Raises Broken where that is too many."""
        if not budget.spend(now):
            self._break(Code.ENHANCE_YOUR_CALM, f"too many {what}")

    def _fail(self, stream: Stream, code: Code, now: float) -> None:
        """End one call for what its peer did; the connection goes on."""
        self.reset(stream, code)
        self._hooks.was_reset(stream, code)
        self.spend(self._resets, now, "calls that break the protocol")

    def _break(self, code: Code, problem: str) -> NoReturn:
        self.broken = True
        self.out += frames.goaway(0 if self._client else self.last, code, problem)
        raise Broken(code, problem)
