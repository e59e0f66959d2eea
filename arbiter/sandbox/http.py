"""One server connection without I/O: HTTP/1.1 by h11 and, after an upgrade, WebSocket by websockets' own protocol.

Bytes in by `receive`, bytes out by `data_to_send`. What to answer is the `App`'s business. Everything is bounded; a
peer that breaks a bound or the protocol loses its connection, and `receive` never raises.
"""

from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import h11
import msgspec
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as UpgradeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol

LARGEST_HEAD = 32 * 1024
LARGEST_BODY = 1024 * 1024
LARGEST_FRAME = 1024 * 1024
LARGEST_BACKLOG = 64 * 1024 * 1024
"""Output that a slow reader may leave unread before it is dropped."""


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


class Response(msgspec.Struct, frozen=True):
    """One HTTP response."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def json_response(value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response with a JSON body."""
    return Response(status, msgspec.json.encode(value), headers=headers)


class Session(Protocol):
    """The app's end of one open WebSocket."""

    def receive(self, text: str, now_ms: int) -> None:
        """The client sent a text message."""

    def closed(self) -> None:
        """The connection is gone."""


class App(Protocol):
    """What a venue's engine offers to its connections."""

    def handle(self, request: Request, now_ms: int) -> Response:
        """Answer a plain request."""

    def open_socket(self, request: Request, socket: "Socket", now_ms: int) -> Session | Response:
        """Accept an upgrade with a session, or refuse it with a response."""


class Socket:
    """How an engine writes to one WebSocket, at any time."""

    def __init__(self, protocol: ServerProtocol) -> None:
        self._protocol = protocol

    @property
    def open(self) -> bool:
        return self._protocol.state is State.OPEN

    def send(self, text: bytes) -> None:
        """A text message, already encoded."""
        if self.open:
            self._protocol.send_text(text)

    def ping(self, data: bytes) -> None:
        """A protocol ping."""
        if self.open:
            self._protocol.send_ping(data)

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake."""
        if self.open:
            self._protocol.send_close(code)


class Connection:
    """One accepted connection, from its first byte to its last."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._head = b""
        self._http: h11.Connection | None = None
        self._request: h11.Request | None = None
        self._body = b""
        self._websocket: ServerProtocol | None = None
        self._session: Session | None = None
        self._text: list[bytes] = []
        self._out = bytearray()
        self.closed = False
        self.cut = False
        """Dropped without ceremony: what is still unsent is forgotten."""

    def receive(self, data: bytes, now_ms: int) -> None:
        """The peer sent these bytes (empty: it will send no more)."""
        try:
            if self._websocket is not None:
                self._receive_websocket(data, now_ms)
            elif self._http is not None:
                self._receive_http(data, now_ms)
            else:
                self._receive_head(data, now_ms)
        except h11.RemoteProtocolError as error:
            self._out += _plain_error(error.error_status_hint or 400)
            self.closed = True
        if not data:
            self.closed = True

    def data_to_send(self) -> bytes:
        """What is to be written now."""
        if self._websocket is not None:
            for piece in self._websocket.data_to_send():
                if piece:
                    self._out += piece
                else:
                    self.closed = True
        if len(self._out) > LARGEST_BACKLOG:
            self.drop()
        out, self._out = bytes(self._out), bytearray()
        return out

    def drop(self) -> None:
        """Cut it, as a failing network would."""
        self._out.clear()
        self.closed = self.cut = True

    def end(self) -> None:
        """The connection is over; the app's session learns it once."""
        self.closed = True
        if self._session is not None:
            session, self._session = self._session, None
            session.closed()

    # -- the first head decides which protocol it is --

    def _receive_head(self, data: bytes, now_ms: int) -> None:
        self._head += data
        if b"\r\n\r\n" not in self._head:
            if len(self._head) > LARGEST_HEAD:
                raise h11.RemoteProtocolError("head too large", 431)
            return
        head, self._head = self._head, b""
        if b"\r\nupgrade: websocket" in head.partition(b"\r\n\r\n")[0].lower():
            self._websocket = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()], max_size=LARGEST_FRAME)
            self._receive_websocket(head, now_ms)
        else:
            self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
            self._receive_http(head, now_ms)

    # -- HTTP --

    def _receive_http(self, data: bytes, now_ms: int) -> None:
        assert self._http is not None
        self._http.receive_data(data)
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            match event:
                case h11.Request():
                    self._request, self._body = event, b""
                case h11.Data():
                    self._body += bytes(event.data)
                    if len(self._body) > LARGEST_BODY:
                        raise h11.RemoteProtocolError("body too large", 413)
                case h11.EndOfMessage():
                    self._answer(now_ms)
                case h11.ConnectionClosed():
                    self.closed = True
                    return

    def _answer(self, now_ms: int) -> None:
        assert self._http is not None
        assert self._request is not None
        raw = self._request
        target = raw.target.decode("latin-1")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw.headers}
        response = self._app.handle(_parse_request(raw.method.decode(), target, headers, self._body), now_ms)
        lines = [("content-type", response.content_type), ("content-length", str(len(response.body))), *response.headers]
        for event in (h11.Response(status_code=response.status, headers=lines), h11.Data(data=response.body), h11.EndOfMessage()):
            if not (isinstance(event, h11.Data) and raw.method == b"HEAD"):
                self._out += self._http.send(event) or b""
        if self._http.our_state is h11.MUST_CLOSE:
            self.closed = True
        else:
            self._http.start_next_cycle()

    # -- WebSocket --

    def _receive_websocket(self, data: bytes, now_ms: int) -> None:
        assert self._websocket is not None
        if data:
            self._websocket.receive_data(data)
        else:
            self._websocket.receive_eof()
        for event in self._websocket.events_received():
            if isinstance(event, UpgradeRequest):
                self._upgrade(event, now_ms)
            elif isinstance(event, Frame):
                self._on_frame(event, now_ms)
        if self._websocket.state is State.CLOSED:
            self.closed = True

    def _upgrade(self, event: UpgradeRequest, now_ms: int) -> None:
        websocket = self._websocket
        assert websocket is not None
        headers = {name.lower(): value for name, value in event.headers.raw_items()}
        opened = self._app.open_socket(_parse_request("GET", event.path, headers, b""), Socket(websocket), now_ms)
        if isinstance(opened, Response):
            websocket.send_response(websocket.reject(opened.status, opened.body.decode()))
            self.closed = True
            return
        self._session = opened
        websocket.send_response(websocket.accept(event))

    def _on_frame(self, frame: Frame, now_ms: int) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._text.append(bytes(frame.data))
        if frame.fin and self._session is not None:
            text, self._text = b"".join(self._text), []
            self._session.receive(text.decode("utf-8", "replace"), now_ms)


def _parse_request(method: str, target: str, headers: dict[str, str], body: bytes) -> Request:
    parts = urlsplit(target)
    return Request(method, parts.path, parse_qs(parts.query, keep_blank_values=True, max_num_fields=1000), headers, body)


def _plain_error(status: int) -> bytes:
    return f"HTTP/1.1 {status} Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


def last_segment(path: str) -> str:
    """The unquoted last part of a path."""
    return unquote(path.rpartition("/")[2])
