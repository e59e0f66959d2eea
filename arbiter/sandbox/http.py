"""One server connection without I/O: HTTP/1.1 by h11 and, after an upgrade, WebSocket by websockets' own protocol.

Bytes in by `receive`, bytes out by `data_to_send`. What to answer is the `App`'s business, when to send the shell's.
Everything is bounded; a peer that breaks a bound or the protocol loses its connection, and `receive` never raises for
what a peer sent.
"""

from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import h11
import msgspec
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as UpgradeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol

LARGEST_HEAD = 32 * 1024
LARGEST_BODY = 1024 * 1024
LARGEST_MESSAGE = 1024 * 1024
"""Of a WebSocket message from a client, over all its fragments and decompressed."""
LARGEST_BACKLOG = 32 * 1024 * 1024
"""Output that a slow reader may leave unread before it is dropped."""
LARGEST_PIPELINE = 64 * 1024
"""What a peer may send ahead while the answer to its request is awaited."""
MOST_QUERY_FIELDS = 2000
MOST_DIGITS = 16
"""Of a number in a query or header: enough for milliseconds."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP request. Header names in lower case; `path` without the query, as sent (not unquoted)."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""

    def first(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def every(self, name: str) -> list[str]:
        """All values of a query parameter that may be repeated or be a comma list."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def number(self, name: str, default: int) -> int | None:
        """A query parameter that is a whole number from 0 up; None where it is something else."""
        return whole_number(self.first(name) or str(default))


def whole_number(text: str) -> int | None:
    """Plain ASCII digits of a sensible size as a number; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


class Response(msgspec.Struct, frozen=True):
    """One HTTP response."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    half: bool = False
    """Breaks off in the middle of its body, and the connection with it."""


def json_response(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response with a JSON body."""
    return Response(status, msgspec.json.encode(value), headers=headers)


class Deferred:
    """The answer to a request that an app gives later. `on_gone` is called if the connection ends before that."""

    def __init__(self, on_gone: Callable[[], None] | None = None) -> None:
        self._on_gone = on_gone
        self.response: Response | None = None
        self.gone = False
        """Nobody waits for the answer any more."""

    @property
    def open(self) -> bool:
        """Whether an answer is still owed."""
        return self.response is None and not self.gone

    def complete(self, response: Response) -> None:
        """Give the answer. It is sent when the connection is next looked at; after the first, or the peer's end, nothing happens."""
        if self.open:
            self.response = response

    def abandon(self) -> None:
        """The connection is over."""
        if self.open:
            self.gone = True
            if self._on_gone is not None:
                self._on_gone()


def last_segment(path: str) -> str:
    """The unquoted last part of a path."""
    return unquote(path.rpartition("/")[2])


class Session(Protocol):
    """The app's end of one open WebSocket."""

    def receive(self, text: str, now_ms: int) -> None:
        """The client sent a text message."""

    def closed(self) -> None:
        """The connection is gone. Called once."""


class App(Protocol):
    """What a venue's engine offers to its connections."""

    def handle(self, request: Request, now_ms: int) -> "Response | Deferred":
        """Answer a plain request, now or later."""

    def open_socket(self, request: Request, socket: "Socket", now_ms: int) -> Session | Response:
        """Accept an upgrade with a session, or refuse it with a response. The socket is open once this has returned."""


class Socket:
    """How an engine writes to one WebSocket, at any time. After its end, writes go nowhere."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection

    def send(self, text: bytes) -> None:
        """A text message, already encoded."""
        if websocket := self.connection.open_websocket:
            websocket.send_text(text)
            self.connection.collect()

    def event(self, text: bytes) -> None:
        """A text message that answers nothing: an event of the venue."""
        self.send(text)

    def half(self, text: bytes) -> None:
        """Half of the bytes of a text message, and then the end of the connection."""
        self.connection.send_half(text)

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self.connection.closed

    def ping(self, data: bytes) -> None:
        """A protocol ping."""
        if websocket := self.connection.open_websocket:
            websocket.send_ping(data)
            self.connection.collect()

    def close(self, code: int = CloseCode.NORMAL_CLOSURE) -> None:
        """Begin the closing handshake."""
        if websocket := self.connection.open_websocket:
            websocket.send_close(code)
            self.connection.collect()

    def drop(self) -> None:
        """Cut the connection, as a failing network would."""
        self.connection.drop()


class Connection:
    """One accepted connection, from its first byte to its last."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._owed: Deferred | None = None
        self._websocket: ServerProtocol | None = None
        self._session: Session | None = None
        self._message: list[bytes] | None = None
        self._out = bytearray()
        self.closed = False
        """Over, once what `data_to_send` still gives is written."""
        self.cut = False
        """Dropped without ceremony: what was still unsent is forgotten."""

    def receive(self, data: bytes, now_ms: int) -> None:
        """The peer sent these bytes (empty: it will send no more)."""
        if self.closed:
            return
        try:
            if self._websocket is None:
                self._receive_http(data, now_ms)
            else:
                self._receive_websocket(data, now_ms)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint or 400)
        if not data:
            self.closed = True

    def resume(self, now_ms: int) -> None:
        """Send the answer that was owed, if the app has given it by now, and go on with what the peer sent meanwhile."""
        if self.closed or self._owed is None or self._owed.response is None:
            return
        response, self._owed = self._owed.response, None
        assert self._request is not None
        try:
            self._respond(self._request.method, response)
            self._continue_http(now_ms)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint or 400)

    def data_to_send(self) -> bytes:
        """What is to be written now."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def drop(self) -> None:
        """Cut it, as a failing network would."""
        self._out.clear()
        self.closed = self.cut = True

    def end(self) -> None:
        """The connection is over; the app's session, or the answer still owed, learns it once."""
        self.closed = True
        owed, self._owed = self._owed, None
        if owed is not None:
            owed.abandon()
        session, self._session = self._session, None
        if session is not None:
            session.closed()

    @property
    def pending(self) -> bool:
        """Whether there is something to write, an answer that was owed, or an end."""
        return bool(self._out) or self.closed or (self._owed is not None and self._owed.response is not None)

    @property
    def closing(self) -> bool:
        """Whether the peer owes its half of a closing handshake."""
        return not self.closed and self._websocket is not None and self._websocket.state is State.CLOSING

    @property
    def open_websocket(self) -> ServerProtocol | None:
        """For `Socket`: the protocol, while messages can be sent."""
        if self.closed or self._websocket is None or self._websocket.state is not State.OPEN:
            return None
        return self._websocket

    def collect(self) -> None:
        """For `Socket`: move what the WebSocket protocol wrote to the output, within the bound."""
        assert self._websocket is not None
        for piece in self._websocket.data_to_send():
            if piece:
                self._write(piece)
            else:
                self.closed = True

    def send_half(self, text: bytes) -> None:
        """For `Socket`: begin a text message, and end in the middle of it."""
        if websocket := self.open_websocket:
            websocket.send_text(text)
            frame = b"".join(websocket.data_to_send())
            self._write(frame[: len(frame) // 2])
            self.closed = True

    def _write(self, data: bytes) -> None:
        self._out += data
        if len(self._out) > LARGEST_BACKLOG:
            self.drop()

    def _refuse(self, status: int) -> None:
        """The peer spoke no HTTP, or too much of it."""
        self._write(f"HTTP/1.1 {status} Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        self.closed = True

    # -- HTTP --

    def _receive_http(self, data: bytes, now_ms: int) -> None:
        self._http.receive_data(data)
        if self._owed is not None and len(self._http.trailing_data[0]) > LARGEST_PIPELINE:
            self.drop()
        self.resume(now_ms)
        self._continue_http(now_ms)

    def _continue_http(self, now_ms: int) -> None:
        while self._websocket is None and self._owed is None and not self.closed:
            event = self._http.next_event()
            match event:
                case h11.Request():
                    self._begin_request(event)
                case h11.Data():
                    self._body += event.data
                    if len(self._body) > LARGEST_BODY:
                        raise h11.RemoteProtocolError("body too large", 413)
                case h11.EndOfMessage():
                    self._end_request(now_ms)
                case h11.ConnectionClosed():
                    self.closed = True
                case _:
                    return

    def _begin_request(self, event: h11.Request) -> None:
        self._request, self._body = event, bytearray()
        if self._http.they_are_waiting_for_100_continue:
            self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")

    def _end_request(self, now_ms: int) -> None:
        assert self._request is not None
        raw = self._request
        request = _parse_request(raw, bytes(self._body))
        if request.headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(raw, request, now_ms)
            return
        answer = self._app.handle(request, now_ms)
        if isinstance(answer, Response):
            self._respond(raw.method, answer)
        else:
            self._owed = answer

    def _respond(self, method: bytes, response: Response) -> None:
        lines = [("content-type", response.content_type), ("content-length", str(len(response.body))), *response.headers]
        self._write(self._http.send(h11.Response(status_code=response.status, headers=lines)) or b"")
        if response.half:
            self._write(response.body[: len(response.body) // 2])
            self.closed = True
            return
        if method != b"HEAD":
            self._write(self._http.send(h11.Data(data=response.body)) or b"")
        self._write(self._http.send(h11.EndOfMessage()) or b"")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.closed = True

    # -- WebSocket --

    def _upgrade(self, raw: h11.Request, request: Request, now_ms: int) -> None:
        """The handshake is checked first, then the app may refuse. What already followed the request is frames."""
        websocket = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()], state=State.OPEN, max_size=LARGEST_MESSAGE)
        headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw.headers)
        answer = websocket.accept(UpgradeRequest(raw.target.decode("latin-1"), headers, raw.method.decode("ascii")))
        if answer.status_code != 101:
            self._respond(raw.method, Response(answer.status_code, bytes(answer.body or b""), "text/plain"))
            return
        opened = self._app.open_socket(request, Socket(self), now_ms)
        if isinstance(opened, Response):
            self._respond(raw.method, opened)
            return
        del answer.headers["Date"]  # the library's is read from a clock; ours is told
        answer.headers["Date"] = formatdate(now_ms // 1000, usegmt=True)
        self._websocket, self._session = websocket, opened
        self._write(answer.serialize())
        followed, _ = self._http.trailing_data
        if followed:
            self._receive_websocket(followed, now_ms)

    def _receive_websocket(self, data: bytes, now_ms: int) -> None:
        assert self._websocket is not None
        if data:
            self._websocket.receive_data(data)
        else:
            self._websocket.receive_eof()
        self.collect()
        for event in self._websocket.events_received():
            if isinstance(event, Frame) and not self.cut:
                self._on_frame(event, now_ms)

    def _on_frame(self, frame: Frame, now_ms: int) -> None:
        """Gather the fragments of a text message. Binary messages mean nothing to either venue."""
        if frame.opcode is Opcode.TEXT:
            self._message = []
        elif frame.opcode is not Opcode.CONT:
            return
        if self._message is not None:
            self._message.append(bytes(frame.data))
            if frame.fin:
                message, self._message = b"".join(self._message), None
                self._on_message(message, now_ms)

    def _on_message(self, message: bytes, now_ms: int) -> None:
        assert self._websocket is not None
        try:
            text = message.decode()
        except UnicodeDecodeError:
            if self.open_websocket:
                self._websocket.fail(CloseCode.INVALID_DATA)
                self.collect()
            return
        if self._session is not None:
            self._session.receive(text, now_ms)


def _parse_request(raw: h11.Request, body: bytes) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw.headers}
    try:
        parts = urlsplit(raw.target.decode("latin-1"))
        query = parse_qs(parts.query, keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS)
    except ValueError:
        raise h11.RemoteProtocolError("not a request target", 400) from None
    return Request(raw.method.decode("ascii"), parts.path, query, headers, body)
