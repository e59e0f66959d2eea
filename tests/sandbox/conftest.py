"""What the sandbox tests share: a scripted world, and clients that are not ours on raw bytes (h11, websockets)."""

import base64
import functools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h11
import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from arbiter.domain.book import BookSnapshot, Level
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import KalshiFees, Market, MarketStatus, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.http import App, Connection
from arbiter.sandbox.world import WorldEvent

NOW = 1_767_225_600_123
CLOSES = datetime(2026, 2, 1, 12, tzinfo=UTC)
KEY_ID = "3f0c5c1e-0000-4222-8333-944455556666"


def levels(*pairs: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(parse_micros(price), parse_micros(size)) for price, size in pairs)


def polymarket_market(number: int, event: str = "", **changes: Any) -> Market:
    market = Market(
        key=MarketKey(POLYMARKET, MarketId(f"0x{number:064x}")),
        event=EventId(event or f"event-{number}"),
        title=f"Will number {number} win?",
        yes=Outcome(OutcomeId(f"{number}001"), "Yes"),
        no=Outcome(OutcomeId(f"{number}002"), "No"),
        ticks=(TickRange(Micros(10_000), Micros(990_000), Micros(10_000)),),
        size_step=Micros(10_000),
        min_size=parse_micros("5"),
        fees=PolymarketFees(parse_micros("0.05")),
        rules="By the official result.",
        category="sports",
        closes_at=CLOSES,
    )
    return msgspec.structs.replace(market, **changes)


def kalshi_market(ticker: str, **changes: Any) -> Market:
    market = Market(
        key=MarketKey(KALSHI, MarketId(ticker)),
        event=EventId(ticker.rpartition("-")[0]),
        title=f"Will {ticker} happen?",
        yes=Outcome(OutcomeId("yes"), "Yes"),
        no=Outcome(OutcomeId("no"), "No"),
        ticks=(TickRange(ZERO, ONE, Micros(10_000)),),
        size_step=Micros(10_000),
        fees=KalshiFees(),
        rules="By the official result.",
        category="sports",
        closes_at=CLOSES,
    )
    return msgspec.structs.replace(market, **changes)


POLYMARKET_MARKETS = (
    polymarket_market(1),
    polymarket_market(2, "pair"),
    polymarket_market(3, "pair", fees=None),
    polymarket_market(4, status=MarketStatus.CLOSED, fees=PolymarketFees(ZERO)),
)
KALSHI_MARKETS = (
    kalshi_market("KXGAME-26FEB01-A"),
    kalshi_market("KXGAME-26FEB01-B"),
    kalshi_market("KXRATE-26FEB02-C", fees=KalshiFees(parse_micros("0.5"), maker_fees=True), category="politics"),
    kalshi_market("KXRATE-26FEB03-D", fees=None, status=MarketStatus.CLOSED, category="politics"),
)


class ScriptedWorld:
    """Tells what a test wrote into it, on the next tick; a book of every market first."""

    markets = POLYMARKET_MARKETS + KALSHI_MARKETS
    pairs = ()
    sample_interval_ms = None

    def __init__(self) -> None:
        self._due: list[WorldEvent] = [
            BookSnapshot(m.yes_key, levels(("0.40", "100"), ("0.42", "25.5")), levels(("0.45", "7"), ("0.44", "3.25"), ("0.50", "1000")))
            for m in self.markets
        ]

    def write(self, *events: WorldEvent) -> None:
        self._due += events

    def advance(self, now_ms: int) -> list[WorldEvent]:
        due, self._due = self._due, []
        return due


class Reply:
    """What a server answered to one request."""

    def __init__(self, response: h11.Response, body: bytes) -> None:
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=str)


class HttpClient:
    """One plain connection, read by h11's client side."""

    def __init__(self, app: App, now_ms: int = NOW) -> None:
        self.connection = Connection(app)
        self.now_ms = now_ms

    def request(self, target: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        lines = {"host": "venue", **(headers or {})} | ({"content-length": str(len(body))} if body else {})
        ours = h11.Connection(h11.CLIENT)
        out = ours.send(h11.Request(method=method, target=target, headers=list(lines.items()))) or b""
        if body:
            out += ours.send(h11.Data(data=body)) or b""
        out += ours.send(h11.EndOfMessage()) or b""
        self.connection.receive(out, self.now_ms)
        (reply,) = replies(self.connection.data_to_send(), ours)
        return reply


def replies(data: bytes, ours: h11.Connection | None = None, method: bytes = b"GET") -> list[Reply]:
    """Every complete response in these bytes."""
    found: list[Reply] = []
    while data:
        if ours is None:
            ours = h11.Connection(h11.CLIENT)
            ours.send(h11.Request(method=method, target="/", headers=[("host", "venue")]))
            ours.send(h11.EndOfMessage())
        ours.receive_data(data)
        response, body = None, b""
        while not isinstance(event := ours.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, "the response is incomplete"
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
        assert response is not None
        found.append(Reply(response, body))
        data, ours = ours.trailing_data[0], None
    return found


class WebSocketClient:
    """A WebSocket client by websockets' own protocol, on a connection in memory."""

    def __init__(self, app: App, path: str, headers: Mapping[str, str] | None = None, now_ms: int = NOW, *, deflate: bool = False) -> None:
        self.connection = Connection(app)
        self.now_ms = now_ms
        self.protocol = ClientProtocol(
            parse_uri(f"ws://venue{path}"), extensions=[ClientPerMessageDeflateFactory()] if deflate else None, max_size=None
        )
        self.response: Response | None = None
        self.texts: list[str] = []
        self.pings: list[bytes] = []
        self.received = b""
        request = self.protocol.connect()
        for name, value in (headers or {}).items():
            request.headers[name] = value
        self.protocol.send_request(request)
        self.pump()

    def pump(self) -> None:
        """Carry bytes both ways until there are none."""
        while True:
            for piece in self.protocol.data_to_send():
                if piece:
                    self.connection.receive(piece, self.now_ms)
            out = self.connection.data_to_send()
            if not out:
                return
            self.received += out
            self.protocol.receive_data(out)
            for event in self.protocol.events_received():
                if isinstance(event, Response):
                    self.response = event
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    self.texts.append(bytes(event.data).decode())
                elif isinstance(event, Frame) and event.opcode is Opcode.PING:
                    self.pings.append(bytes(event.data))

    def send(self, message: Any) -> None:
        """A text as it is, anything else as JSON."""
        self.protocol.send_text((message if isinstance(message, str) else json.dumps(message)).encode())
        self.pump()

    def take(self) -> list[Any]:
        """What came since the last call; array frames stay arrays."""
        self.pump()
        texts, self.texts = self.texts, []
        return [json.loads(text) for text in texts]

    def ask(self, message: Any) -> list[Any]:
        self.send(message)
        return self.take()


def sign(key: rsa.RSAPrivateKey, text: str, *, salt: int = 32) -> str:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=salt)
    return base64.b64encode(key.sign(text.encode(), pss, hashes.SHA256())).decode()


def kalshi_headers(key: rsa.RSAPrivateKey, now_ms: int = NOW, *, method: str = "GET", path: str = "/trade-api/ws/v2") -> dict[str, str]:
    return {
        "KALSHI-ACCESS-KEY": KEY_ID,
        "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
        "KALSHI-ACCESS-SIGNATURE": sign(key, f"{now_ms}{method}{path}"),
    }


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def public_pem(private_key: rsa.RSAPrivateKey) -> bytes:
    return private_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def make_sandbox(public_pem: bytes) -> Callable[..., Sandbox]:
    """Makes sandboxes that are all the same, their books told at NOW."""

    def make(world: ScriptedWorld | None = None, **options: int) -> Sandbox:
        sandbox = Sandbox(world or ScriptedWorld(), {KEY_ID: public_pem}, **options)
        sandbox.tick(NOW)
        return sandbox

    return make


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld()


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox], world: ScriptedWorld) -> Sandbox:
    """Both venues on `world`."""
    return make_sandbox(world)


@pytest.fixture
def http() -> type[HttpClient]:
    """Plain HTTP clients for an engine."""
    return HttpClient


@pytest.fixture
def websocket() -> type[WebSocketClient]:
    """WebSocket clients for an engine."""
    return WebSocketClient


@pytest.fixture
def read_replies() -> Callable[..., list[Reply]]:
    """Reads every response in some bytes."""
    return replies


@pytest.fixture
def signed(private_key: rsa.RSAPrivateKey) -> Callable[..., dict[str, str]]:
    """Kalshi's three headers for a request, by the registered key: `signed(now_ms, method=, path=)`."""
    return functools.partial(kalshi_headers, private_key)


@pytest.fixture
def polymarket(sandbox: Sandbox) -> Callable[..., WebSocketClient]:
    """Opens market sockets."""
    return functools.partial(WebSocketClient, sandbox.polymarket, "/ws/market")


@pytest.fixture
def kalshi(sandbox: Sandbox, signed: Callable[..., dict[str, str]]) -> Callable[..., WebSocketClient]:
    """Opens signed Kalshi sockets."""
    return functools.partial(WebSocketClient, sandbox.kalshi, "/trade-api/ws/v2", signed())


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The golden vectors of both venues; skips the test where they are absent."""
    path = Path(__file__).resolve().parents[2].parent / "shared" / "venue_vectors.json"
    if not path.exists():
        pytest.skip("no golden vectors here: venue_vectors.json is not beside the repository")
    vectors: dict[str, Any] = json.loads(path.read_text())
    return vectors
