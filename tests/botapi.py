"""A client of the sandbox's Bot API on raw bytes (h11 against one server connection), for the tests; and small pictures to send."""

import json
import struct
import zlib
from typing import Any, NamedTuple
from urllib.parse import urlencode

import h11

from arbiter.sandbox.http import App, Connection
from arbiter.sandbox.telegram.engine import TelegramEngine

TOKEN = "123456:sandbox-TOKEN_1"
NOW = 1_767_225_600_123


class Told(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection to an app. `now_ms` is the time that the server is told."""

    def __init__(self, app: App, now_ms: int = NOW) -> None:
        self.server = Connection(app)
        self.now_ms = now_ms
        self._client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Send a request."""
        fields = {"host": "127.0.0.1:8081", **(headers or {}), "content-length": str(len(body))}
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        data = self._client.send(request) or b""
        data += self._client.send(h11.Data(data=body)) or b""
        self.server.receive(data + (self._client.send(h11.EndOfMessage()) or b""), self.now_ms)

    def answer(self) -> Told | None:
        """The answer, or None while there is none."""
        self.server.resume(self.now_ms)
        return self._read(self.server.data_to_send())

    def _read(self, data: bytes) -> Told | None:
        if data:
            self._client.receive_data(data)
        head, body = None, b""
        while True:
            event = self._client.next_event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                if self._client.our_state is h11.DONE and self._client.their_state is h11.DONE:
                    self._client.start_next_cycle()
                return Told(head.status_code, {k.decode(): v.decode() for k, v in head.headers}, body)
            else:
                assert head is None, "half an answer"
                return None


class BotClient:
    """Calls methods as a bot does."""

    def __init__(self, engine: TelegramEngine, token: str = TOKEN, now_ms: int = NOW) -> None:
        self.engine = engine
        self.token = token
        self.now_ms = now_ms

    def line(self) -> Line:
        return Line(self.engine, self.now_ms)

    def raw(self, verb: str, method: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Told:
        line = self.line()
        line.ask(verb, f"/bot{self.token}/{method}", headers, body)
        told = line.answer()
        assert told is not None
        return told

    def told(self, method: str, **params: Any) -> Told:
        """The answer to a call with JSON parameters."""
        return self.raw("POST", method, {"content-type": "application/json"}, json.dumps(params).encode())

    def call(self, method: str, **params: Any) -> Any:
        """The result of a call that succeeds."""
        told = self.told(method, **params).json
        assert told["ok"], told
        return told["result"]

    def refused(self, method: str, **params: Any) -> str:
        """The description of a call that fails; its code stands before it."""
        told = self.told(method, **params)
        assert told.json["ok"] is False, told
        assert told.json["error_code"] == told.status
        return f"{told.status} {told.json['description']}"

    def upload(self, method: str, field: str, name: str, data: bytes, **params: str) -> Told:
        """The answer to a call with a file."""
        parts = [f'--X-y\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in params.items()]
        head = f'--X-y\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'
        body = b"".join(parts) + head.encode() + data + b"\r\n--X-y--\r\n"
        return self.raw("POST", method, {"content-type": "multipart/form-data; boundary=X-y"}, body)

    def updates(self, **params: Any) -> list[dict[str, Any]]:
        """getUpdates, at once."""
        found: list[dict[str, Any]] = self.call("getUpdates", **params)
        return found

    def form(self, method: str, **params: str) -> Told:
        return self.raw("POST", method, {"content-type": "application/x-www-form-urlencoded"}, urlencode(params).encode())


def png(width: int = 3, height: int = 2, colour: tuple[int, int, int] = (40, 120, 180)) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
