"""A minimal HTTP/2 client on blocking sockets: frames made beforehand, and of what comes no more is read than a bench must know.

A Python gRPC client costs more than the servers that are measured. This one writes a call with one `sendall`, looks at frame headers
alone, and reads header blocks (for the grpc-status) after the clock has stopped.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator

from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
WIDEST_WINDOW = 2**31 - 1
FIRST_WINDOW = 65_535
NARROW_WINDOW = 4 * 2**20
"""As wide as a client that reads fast opens it: what is sent and not read is bounded by it."""
SECONDS = 60.0
"""The longest that anything waits for the server."""


class CallFailed(Exception):
    """The server did something else than answer with grpc-status 0."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(body: bytes = b"") -> bytes:
    """A gRPC message as it stands in DATA."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def header_block(path: str, authority: str, token: str = "") -> bytes:
    """Literals that enter no table and have no Huffman coding, so it is good for every connection and any number of times."""
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority)]
    headers += [("content-type", "application/grpc"), ("te", "trailers")]
    if token:
        headers.append(("authorization", f"Bearer {token}"))
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text: str) -> bytes:
    """RFC 7541, 5.2, with the length in the 7-bit prefix form of 5.1."""
    raw, rest = text.encode(), len(text.encode()) - 127
    if rest < 0:
        return bytes([len(raw)]) + raw
    length = bytearray([127])
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes(length) + bytes([rest]) + raw


class RawConnection:
    """One connection; its windows, of the streams and of the whole, are `window` bytes wide."""

    def __init__(self, port: int, window: int = WIDEST_WINDOW) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authority = f"127.0.0.1:{port}"
        settings = struct.pack(">HI", 0x4, window)  # SETTINGS_INITIAL_WINDOW_SIZE
        widen = struct.pack(">I", window - FIRST_WINDOW)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings) + frame(WINDOW_UPDATE, 0, 0, widen))
        self._window = window
        self._decoder = Decoder()
        self._buffer = bytearray()
        self._next = 1

    def close(self) -> None:
        self.socket.close()

    def begin(self, block: bytes, body: bytes) -> int:
        """Send a whole request. Returns the stream's number."""
        stream = self._next
        self._next += 2
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, body))
        return stream

    def receive(self) -> list[tuple[int, int, int, bytes]]:
        """Wait for bytes; the whole frames among what came: kind, flags, stream, payload. Answers what must be answered."""
        return self.frames(self.socket.recv(262_144))

    def frames(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """The whole frames there are now that this has come too; see `receive`."""
        if not data:
            raise CallFailed("the server hung up")
        self._buffer += data
        return list(self._frames())

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        buffer, at, end = self._buffer, 0, len(self._buffer)
        while end - at >= 9:
            length = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            if end - at < 9 + length:
                break
            kind, flags, stream = buffer[at + 3], buffer[at + 4], int.from_bytes(buffer[at + 5 : at + 9], "big")
            payload = bytes(buffer[at + 9 : at + 9 + length])
            at += 9 + length
            if kind in (DATA, HEADERS):
                if flags & (PADDED | PRIORITY) or (kind == HEADERS and not flags & END_HEADERS):
                    raise CallFailed("the server sent padding, a priority or a header block in parts, which this client cannot read")
                yield kind, flags, stream, payload
            else:
                self._control(kind, flags, stream, payload)
        del buffer[:at]

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.socket.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY or (kind == RST_STREAM and any(payload)):  # NO_ERROR may follow a whole answer (RFC 9113, 8.1)
            raise CallFailed(f"the server sent frame {kind} for stream {stream}: {payload[:80]!r}")

    def headers(self, block: bytes) -> dict[str, str]:
        """Each block of the connection must come through here, in order."""
        return dict(self._decoder.decode(block))

    def call(self, block: bytes, body: bytes, length: int) -> int:
        """One unary call; nanoseconds until its end has come. Raises CallFailed for another status than 0, or another message."""
        blocks: list[bytes] = []
        answered, ended_ns, stream = 0, 0, self._next
        began_ns = time.perf_counter_ns()
        self.begin(block, body)
        while not ended_ns:
            for kind, flags, of, payload in self.receive():
                if of != stream:
                    raise CallFailed(f"a frame of stream {of} during stream {stream}")
                if kind == HEADERS:
                    blocks.append(payload)
                else:
                    answered += len(payload)
                if flags & END_STREAM:
                    ended_ns = time.perf_counter_ns()
        told = {name: value for each in blocks for name, value in self.headers(each).items()}
        if told.get("grpc-status") != "0" or answered != length:
            raise CallFailed(f"grpc-status {told.get('grpc-status')} ({told.get('grpc-message', '')}), {answered} bytes of {length}")
        return ended_ns - began_ns

    def swallow(self, stream: int, go_on: Callable[[float], bool]) -> tuple[int, float]:
        """Read what comes as fast as it comes, looking at none of it; bytes and seconds. Keeps the windows open.

        `go_on` is asked, with the seconds so far, before each read.
        """
        buffer, whole, owed = memoryview(bytearray(1 << 20)), 0, 0
        began = time.monotonic()
        while go_on(took := time.monotonic() - began):
            read = self.socket.recv_into(buffer)
            if not read:
                raise CallFailed("the server hung up")
            whole += read
            owed += read
            if owed > self._window // 4:
                # frame headers are in it, which take no window: so the windows grow, by a few hundredths of what is read
                given = struct.pack(">I", owed)
                self.socket.sendall(frame(WINDOW_UPDATE, 0, 0, given) + frame(WINDOW_UPDATE, 0, stream, given))
                owed = 0
        return whole, took
