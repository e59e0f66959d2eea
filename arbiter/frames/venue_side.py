"""The venue's end of one connection that is played. No I/O, no clock: bytes in, bytes out; what to say it is told.

It speaks HTTP/1.1 and, after an upgrade, WebSocket without compression. It says nothing of its own accord but what the protocols need:
pings it answers only where asked to.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import h11
from websockets import protocol as websocket
from websockets.frames import Close, Frame, Opcode
from websockets.utils import accept_key

from arbiter.frames.lines import Op

LARGEST_REQUEST = 1024 * 1024
_OPCODES = {"text": Opcode.TEXT, "binary": Opcode.BINARY, "ping": Opcode.PING, "pong": Opcode.PONG}
_OWN = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection"})
PING, PONG = b"PING", b"PONG"
"""One venue's pings are plain messages."""


class Answer(NamedTuple):
    """To a request."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Asked(NamedTuple):
    """A request. `target`: path and query."""

    venue: str
    host: str
    method: str
    target: str
    body: bytes


class Director(Protocol):
    """Who knows what the venue says."""

    answers_pings: bool

    def ask(self, side: "VenueSide", asked: Asked) -> None:
        """Sees to it that `side.answer` is called, now or later."""

    def upgrade(self, asked: Asked) -> Answer | None:
        """None: the WebSocket is open."""

    def heard(self, side: "VenueSide", message: bytes) -> None:
        """The client sent this."""

    def gone(self, side: "VenueSide") -> None:
        """The client left, or the connection was cut."""


class VenueSide:
    """One connection. `out` is what is to be sent, and `wake` says that there is news; after `ended` nothing more will come.

    `target`: of its upgrade.
    """

    def __init__(self, director: Director, venue: str, host: str, wake: Callable[[], None]) -> None:
        self.venue, self.target = venue, ""
        self._director, self._host, self._wake = director, host, wake
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._owing = False
        self._frames: websocket.Protocol | None = None
        self.out = bytearray()
        self._closing = False
        self.ended = False

    def receive(self, data: bytes) -> None:
        """The client sent these bytes. What is no HTTP or WebSocket ends the connection."""
        if self.ended or not data:
            return
        try:
            if self._frames is not None:
                self._hear(data)
            else:
                self._http.receive_data(data)
                self._go_on()
        except h11.RemoteProtocolError:
            self.end()

    def end(self) -> None:
        """Cut it, once what is in `out` is read."""
        if not self.ended:
            self.ended = True
            self._director.gone(self)
            self._wake()

    # -- HTTP --

    def _go_on(self) -> None:
        while not self._owing and self._frames is None and not self.ended:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request, self._body = event, bytearray()
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > LARGEST_REQUEST:
                    self.end()
            elif isinstance(event, h11.EndOfMessage):
                self._owing = True
                self._end_request()
            elif isinstance(event, h11.ConnectionClosed):
                self.end()
            else:
                return

    def _end_request(self) -> None:
        assert self._request is not None
        headers = {name.lower(): value for name, value in self._request.headers}
        method, target = self._request.method.decode("ascii"), self._request.target.decode("latin-1")
        asked = Asked(self.venue, self._host, method, target, bytes(self._body))
        if headers.get(b"upgrade", b"").lower() != b"websocket":
            self._director.ask(self, asked)
            return
        key = headers.get(b"sec-websocket-key", b"").decode("latin-1")
        self.target = target
        refusal = self._director.upgrade(asked)
        if refusal is not None:
            self.answer(refusal)
            return
        head = ("HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: Upgrade", f"sec-websocket-accept: {accept_key(key)}")
        self.out += "\r\n".join([*head, "", ""]).encode()
        self._frames = websocket.Protocol(websocket.Side.SERVER, max_size=LARGEST_REQUEST)
        if followed := self._http.trailing_data[0]:
            self._hear(followed)

    def answer(self, answer: Answer) -> None:
        """To the request that waits for one."""
        if self.ended or not self._owing:
            return
        self._owing = False
        fields = [(name, value) for name, value in answer.headers.items() if name not in _OWN]
        kind = [] if any(name == "content-type" for name, _ in fields) else [("content-type", "application/json")]
        lines = [*kind, *fields, ("content-length", str(len(answer.body)))]
        for event in (h11.Response(status_code=answer.status, headers=lines), h11.Data(data=answer.body), h11.EndOfMessage()):
            self.out += self._http.send(event) or b""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._go_on()
        else:
            self.end()
        self._wake()

    # -- WebSocket --

    def _hear(self, data: bytes) -> None:
        assert self._frames is not None
        self._frames.receive_data(data)
        own = b"".join(self._frames.data_to_send())
        for frame in self._frames.events_received():
            if not isinstance(frame, Frame):
                continue
            message = bytes(frame.data)
            if frame.opcode is Opcode.TEXT:
                self._director.heard(self, message)
                if message == PING and self._director.answers_pings:
                    self.say(PONG)
            elif frame.opcode is Opcode.PING and self._director.answers_pings:
                self.say(message, "pong")
        if self._frames.state is not websocket.State.OPEN:
            self.out += b"" if self._closing else own  # the closing handshake
            self.end()

    def say(self, message: bytes, op: Op = "text") -> None:
        """A message, a ping or a pong."""
        if not (self.ended or self._closing):
            self.out += Frame(_OPCODES[op], message).serialize(mask=False)
            self._wake()

    def close(self, code: int, reason: str) -> None:
        """As the venue did: with a close frame where there was one, which the client answers; else cut."""
        if not code:
            self.end()
        elif not self.ended:
            self._closing = True
            self.out += Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)
            self._wake()
