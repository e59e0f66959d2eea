"""One connection's bytes, in both directions, as lines. No I/O, no clock: it runs where nobody waits for it.

A connection begins as HTTP: each request with its answer is a line. After an upgrade each message is one.
"""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import h11
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.uri import parse_uri

from arbiter.frames.lines import Closed, Exchange, Gap, Line, Opened, Received, Sent, answer_fields, message_fields
from arbiter.frames.redacted import redacted, redacted_target

LARGEST = 32 * 1024 * 1024
"""Bytes of a message or an answer; what is larger is told as a gap."""
KEPT_HEADERS = ("retry-after", "ratelimit", "rate-limit", "cache-control", "content-type")
"""What is in the names of those headers of an answer that a client goes by; none says who it is."""
_CONTROLS = {Opcode.PING: "ping", Opcode.PONG: "pong"}


class At(NamedTuple):
    """When: nanoseconds since the start, and Unix ms."""

    ns: int
    ms: int


class Dissector:
    """Knows one connection from its first byte to its last."""

    def __init__(self, number: int, venue: str, host: str) -> None:
        self._number, self._venue, self._host = number, venue, host
        self._requests = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST)
        self._answers = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST)
        self._asked: tuple[At, h11.Request] | None = None
        self._body, self._answer = bytearray(), bytearray()
        self._response: h11.Response | None = None
        self._socket: _Socket | None = None
        self._over = False

    def sent(self, data: bytes, at: At) -> list[Line]:
        """We sent these bytes; a send of none means nothing."""
        return self._guarded(self._ask, data, at) if data else []

    def received(self, data: bytes, at: At) -> list[Line]:
        """The venue sent these bytes; none: it will send no more."""
        return self._guarded(self._hear, data, at)

    def closed(self, at: At) -> list[Line]:
        """We ended it, if it had not ended."""
        return self._end("client", at)

    def _guarded(self, step: Any, data: bytes, at: At) -> list[Line]:
        """What cannot be read ends the reading of this connection, and is told; the connector makes up its own mind about it."""
        if self._over:
            return []
        try:
            lines: list[Line] = list(step(data, at))
        except (h11.ProtocolError, zlib.error, InvalidHandshake, ValueError) as error:
            lines = []
            if data:  # else it broke off, which needs no more words
                lines.append(Gap(at.ns, at.ms, f"connection {self._number} of {self._venue} could not be read: {type(error).__name__}"))
            lines += self._end("client" if data else "venue", at)
        return lines

    def _end(self, by: Any, at: At) -> list[Line]:
        if self._over:
            return []
        self._over = True
        if self._socket is not None:
            return [self._socket.close_line(self._number, by, at)]
        return [self._exchange(at, 0)] if self._asked is not None else []

    # -- HTTP --

    def _ask(self, data: bytes, at: At) -> Iterator[Line]:
        if self._socket is not None:
            for payload, op in self._socket.ours(data):
                yield Sent(at.ns, at.ms, self._number, op=op, **message_fields(redacted(payload, ours=True)))
            return
        self._requests.receive_data(data)
        while not isinstance(event := self._requests.next_event(), type) and not isinstance(event, h11.ConnectionClosed):
            self._answers.send(event)
            if isinstance(event, h11.Request):
                self._asked, self._body = (at, event), bytearray()
            elif isinstance(event, h11.Data):
                self._body += event.data
                _bound(self._body)
        return

    def _hear(self, data: bytes, at: At) -> Iterator[Line]:
        if self._socket is not None:
            yield from self._messages(data, at)
            return
        self._answers.receive_data(data)
        while not isinstance(event := self._answers.next_event(), type):
            if isinstance(event, h11.ConnectionClosed):
                yield from self._end("venue", at)
                return
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    yield from self._upgrade(event, at)
                    return
                continue
            self._requests.send(event)
            if isinstance(event, h11.Response):
                self._response, self._answer = event, bytearray()
            elif isinstance(event, h11.Data):
                self._answer += event.data
                _bound(self._answer)
            elif isinstance(event, h11.EndOfMessage):
                yield self._exchange(at, self._response.status_code if self._response else 0)
                self._asked = self._response = None
                if self._answers.our_state is h11.DONE and self._answers.their_state is h11.DONE:
                    self._answers.start_next_cycle()
                    self._requests.start_next_cycle()

    def _exchange(self, at: At, status: int) -> Exchange:
        assert self._asked is not None
        began, request = self._asked
        headers = {} if self._response is None or not status else _headers(self._response)
        answer = _decoded(bytes(self._answer), headers.get("content-encoding", "")) if status else b""
        return Exchange(
            *(at.ns, at.ms, self._venue, self._host, request.method.decode("ascii")),
            target=redacted_target(request.target.decode("latin-1")),
            status=status,
            took_ns=at.ns - began.ns,
            body=redacted(bytes(self._body), ours=True).decode("utf-8", "replace"),
            headers={name: value for name, value in headers.items() if any(kept in name for kept in KEPT_HEADERS)},
            **answer_fields(redacted(answer, ours=False)),
        )

    # -- WebSocket --

    def _upgrade(self, answer: h11.InformationalResponse, at: At) -> Iterator[Line]:
        assert self._asked is not None
        target = redacted_target(self._asked[1].target.decode("latin-1"))
        self._asked = None
        self._socket = _Socket(Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers))
        yield Opened(at.ns, at.ms, self._number, self._venue, self._host, target)
        followed, _ = self._answers.trailing_data
        if followed:
            yield from self._messages(followed, at)

    def _messages(self, data: bytes, at: At) -> Iterator[Line]:
        assert self._socket is not None
        for payload, op in self._socket.theirs(data):
            yield Received(at.ns, at.ms, self._number, op=op, **message_fields(redacted(payload, ours=False)))
        if not data or self._socket.their_close is not None:
            yield from self._end("venue", at)


class _Socket:
    """Both directions of a WebSocket: whole messages, and the close frames."""

    def __init__(self, headers: Headers) -> None:
        client = ClientProtocol(parse_uri("ws://recorded"), extensions=[ClientPerMessageDeflateFactory()])
        extensions = client.process_extensions(headers)
        self._theirs = _Direction(Side.CLIENT, extensions)
        self._ours = _Direction(Side.SERVER, [_mirrored(each) for each in extensions if isinstance(each, PerMessageDeflate)])

    def ours(self, data: bytes) -> Iterator[tuple[bytes, Any]]:
        return self._ours.messages(data)

    def theirs(self, data: bytes) -> Iterator[tuple[bytes, Any]]:
        return self._theirs.messages(data)

    @property
    def their_close(self) -> Close | None:
        return self._theirs.close

    def close_line(self, number: int, by: Any, at: At) -> Closed:
        close = self._theirs.close or self._ours.close
        return Closed(at.ns, at.ms, number, by, *((close.code, redacted(close.reason.encode(), ours=True).decode()) if close else ()))


class _Direction:
    """Frames of one side, put together to messages."""

    def __init__(self, side: Side, extensions: list[Any]) -> None:
        self._protocol = Protocol(side, state=State.OPEN, max_size=LARGEST)
        self._protocol.extensions = extensions
        self._parts: list[bytes] = []
        self._op = "text"

    @property
    def close(self) -> Close | None:
        return self._protocol.close_rcvd

    def messages(self, data: bytes) -> Iterator[tuple[bytes, Any]]:
        if not data:
            return
        self._protocol.receive_data(data)
        self._protocol.data_to_send()  # what it would answer is not ours to say
        for frame in self._protocol.events_received():
            if not isinstance(frame, Frame) or frame.opcode is Opcode.CLOSE:
                continue
            if frame.opcode in _CONTROLS:
                yield bytes(frame.data), _CONTROLS[frame.opcode]
                continue
            if frame.opcode is not Opcode.CONT:
                self._op = "binary" if frame.opcode is Opcode.BINARY else "text"
            self._parts.append(bytes(frame.data))
            if frame.fin:
                whole, self._parts = b"".join(self._parts), []
                yield whole, self._op
        if self._protocol.parser_exc is not None and self._protocol.close_rcvd is None:
            raise ValueError("no WebSocket frames") from self._protocol.parser_exc


def _mirrored(seen: PerMessageDeflate) -> PerMessageDeflate:
    """The same agreement from the other end."""
    return PerMessageDeflate(
        seen.local_no_context_takeover, seen.remote_no_context_takeover, seen.local_max_window_bits, max(9, seen.remote_max_window_bits)
    )


def _headers(response: h11.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _bound(data: bytearray) -> None:
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes")


def _decoded(answer: bytes, encoding: str) -> bytes:
    """Without the compression of its way here. ValueError for one that is not known, or too large without it."""
    if encoding in ("", "identity"):
        return answer
    if encoding not in ("gzip", "deflate"):
        raise ValueError(f"content-encoding {encoding[:20]}")
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out by itself which of the two
    plain = unpack.decompress(answer, LARGEST)
    if unpack.unconsumed_tail:
        raise ValueError(f"more than {LARGEST} bytes")
    return plain
