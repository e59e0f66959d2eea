"""What the rpc tests share: a server with hand-made services, the whole program on a scripted world, and foreign clients."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import msgspec
import pytest
import structlog.testing
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.actors.accounts import PutNewAccount
from arbiter.app import Arbiter, compose
from arbiter.domain.account import Account, Role, Tier
from arbiter.domain.book import BookSnapshot, Level
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey, PairId, UserId
from arbiter.domain.market import KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.domain.pair import pair_markets
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.request import Request
from arbiter.rpc.server import Server
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.tls import ServerTls
from arbiter.rpc.tokens import Keys, digest, make_api_key, make_signing_key
from arbiter.rpc.totp_policy import DEFAULT_POLICY, TotpPolicy
from arbiter.runtime import Environment
from arbiter.runtime.correlation import add_correlation
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.sandbox.world import WorldEvent
from arbiter.store.base import Store
from arbiter.store.memory import MemoryStore
from arbiter.v1 import user_pb2
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

SECONDS = 10
"""The longest that anything here may take; passing tests wait for events."""
CORRELATION = "018f0000-0000-7000-8000-000000000000"
KEY_ID = "rpc-tests"
PEPPER = b"pepper of the rpc tests"
CREDENTIAL = "credential of the bridge"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something in this process that tells nobody."""
    with trio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 what is looked at has no event
            await trio.sleep(0.002)


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Any]:
    return until


# -- a server with services made of functions --

Handler = Callable[[Any, Any], Any]


class Served:
    """A running server; `handlers` may be set at any time. Messages are AuthRequest (in) and AuthResponse (out)."""

    def __init__(self, limits: ServerLimits | None = None, tls: ServerTls | None = None) -> None:
        self.admit: Callable[[str, str, Any], object] = lambda *_: "somebody"
        self.unary: Handler = _answer
        self.stream: Handler = _one
        # looked up at each call, so that a test may set it
        self.server = Server([self._service()], self._admit, lambda: CORRELATION, limits=limits, tls=tls)
        self.port = 0

    def _admit(self, call: Request) -> object:
        return self.admit(call.service_name, call.method_name, call.custom_metadata)

    def _service(self) -> Service:
        async def unary(message: Any, request: Any) -> Any:
            return await self.unary(message, request)

        async def stream(message: Any, request: Any) -> AsyncIterator[Any]:
            async with aclosing(self.stream(message, request)) as replies:
                async for reply in replies:
                    yield reply

        def signature(cardinality: Cardinality) -> RPCSignature:
            return RPCSignature(cardinality, user_pb2.AuthRequest, user_pb2.AuthResponse)

        service = Service("test.Service")
        service.add_method("Unary", unary, signature(Cardinality.UNARY_UNARY))
        service.add_method("Stream", stream, signature(Cardinality.UNARY_STREAM))
        return service

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


async def _answer(message: Any, request: Any) -> Any:
    return user_pb2.AuthResponse(user_id=message.api_key)


async def _one(message: Any, request: Any) -> AsyncIterator[Any]:
    yield user_pb2.AuthResponse(user_id=message.api_key)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A server on loopback."""
    served = Served()
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        served.port = port_of(listener)
        nursery.start_soon(served.server.serve, listener)
        yield served
        nursery.cancel_scope.cancel()


# -- clients that are not ours --


class Official:
    """The official client, run in worker threads. Every call is by path, so that nothing of ours is generated for it."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.channel = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)

    def unary(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        return self._callable("unary_unary", path, reply)(request, timeout=options.pop("timeout", SECONDS), **options)

    def with_call(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        return self._callable("unary_unary", path, reply).with_call(request, timeout=SECONDS, **options)

    def stream(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        return self._callable("unary_stream", path, reply)(request, **options)

    def _callable(self, kind: str, path: str, reply: Any) -> Any:
        serialize = lambda message: message.SerializeToString()  # noqa: E731
        return getattr(self.channel, kind)(f"/{path}", request_serializer=serialize, response_deserializer=reply.FromString)

    async def call(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        """Answer of a unary call; grpc.RpcError as the official client raises it."""
        with trio.fail_after(SECONDS):
            return await trio.to_thread.run_sync(lambda: self.unary(path, request, reply, **options), abandon_on_cancel=True)

    async def refusal(self, path: str, request: Any, reply: Any = user_pb2.AuthResponse, **options: Any) -> Any:
        """The error of a call that must fail."""
        with pytest.raises(grpc.RpcError) as caught:
            await self.call(path, request, reply, **options)
        return caught.value

    async def first(self, call: Any) -> Any:
        """The next message of a streaming call."""
        with trio.fail_after(SECONDS):
            return await trio.to_thread.run_sync(next, call, abandon_on_cancel=True)


@pytest.fixture
def make_official() -> Iterator[Callable[..., Official]]:
    """Official clients, closed at the end."""
    made: list[Official] = []

    def make(address: str, credentials: grpc.ChannelCredentials | None = None) -> Official:
        made.append(Official(address, credentials))
        return made[-1]

    yield make
    for each in made:
        each.channel.close()


@pytest.fixture
def official(served: Served, make_official: Callable[[str], Official]) -> Official:
    return make_official(served.address)


class Raw:
    """HTTP/2 by hand, to do what no well-behaved client does. `events` holds all that came."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []

    def begin(self, path: str, *, end: bool = False, extra: tuple[tuple[str, str], ...] = ()) -> int:
        number = self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test")]
        headers += [("te", "trailers"), ("content-type", "application/grpc"), *extra]
        self.h2.send_headers(number, headers, end_stream=end)
        return number

    def message(self, number: int, body: bytes, *, compressed: bool = False, end: bool = True) -> None:
        self.h2.send_data(number, bytes([compressed]) + len(body).to_bytes(4, "big") + body, end_stream=end)

    async def send(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def read_until(self, done: Callable[[h2.events.Event], bool]) -> h2.events.Event:
        """The first event, of those that came and those that will, for which `done`."""
        with trio.fail_after(SECONDS):
            while True:
                for event in self.events:
                    if done(event):
                        return event
                data = await self.stream.receive_some(65_536)
                assert data, f"the server hung up after {self.events}"
                self.events += self.h2.receive_data(bytes(data))
                await self.send()

    async def ended(self, number: int) -> None:
        await self.read_until(lambda event: isinstance(event, h2.events.StreamEnded) and event.stream_id == number)

    def header_blocks(self, number: int) -> list[dict[str, str]]:
        kinds = (h2.events.ResponseReceived, h2.events.TrailersReceived)
        return [dict(e.headers) for e in self.events if isinstance(e, kinds) and e.stream_id == number]

    async def hung_up(self) -> None:
        """Until the server has closed the connection."""
        with trio.fail_after(SECONDS), pytest.raises((AssertionError, trio.BrokenResourceError)):
            await self.read_until(lambda event: False)


@pytest.fixture
def connect_raw() -> Callable[[int], Any]:
    """`async with connect_raw(port) as raw`."""

    @asynccontextmanager
    async def connect(port: int) -> AsyncIterator[Raw]:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            yield Raw(stream)

    return connect


def from_info(_logger: Any, _method: str, event: Any) -> Any:
    """What the program tells unless it is asked for more."""
    if event["level"] == "debug":
        raise structlog.DropEvent
    return event


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged from INFO on, as dictionaries, with the correlation id where there is one."""
    with structlog.testing.capture_logs([structlog.processors.add_log_level, from_info, add_correlation]) as lines:
        yield lines


# -- the whole program --

CENT = Micros(10_000)
POLY = Market(
    MarketKey(POLYMARKET, MarketId(f"0x{1:064x}")),
    EventId("final"),
    "Will the Reds win the final?",
    Outcome(OutcomeId("1001"), "Yes"),
    Outcome(OutcomeId("1002"), "No"),
    (TickRange(CENT, Micros(ONE - CENT), CENT),),
    CENT,
    min_size=parse_micros("5"),
    fees=PolymarketFees(parse_micros("0.05")),
    rules="By the official result.",
    closes_at=datetime(2027, 2, 1, 12, tzinfo=UTC),
)
KALS = Market(
    MarketKey(KALSHI, MarketId("KXFINAL-27FEB01-RED")),
    EventId("KXFINAL-27FEB01"),
    "Reds to win the final?",
    Outcome(OutcomeId("yes"), "Yes"),
    Outcome(OutcomeId("no"), "No"),
    (TickRange(ZERO, ONE, CENT),),
    CENT,
    fees=KalshiFees(),
    rules="By the official result.",
    closes_at=datetime(2027, 2, 1, 12, tzinfo=UTC),
)


def book(outcome: OutcomeKey, bid: str, ask: str, size: str = "500") -> BookSnapshot:
    level = lambda price: (Level(parse_micros(price), parse_micros(size)),)  # noqa: E731
    return BookSnapshot(outcome, level(bid), level(ask))


class ScriptedWorld:
    """One proposition on both venues, without arbitrage until `open_gap`."""

    markets = (POLY, KALS)
    pairs = (pair_markets(PairId("final"), "The Reds win the final", POLY, KALS, inverted=False),)
    sample_interval_ms = None

    def __init__(self) -> None:
        self._due: list[WorldEvent] = [book(POLY.yes_key, "0.44", "0.46"), book(KALS.yes_key, "0.44", "0.46")]

    def advance(self, now_ms: int) -> list[WorldEvent]:
        due, self._due = self._due, []
        return due

    def write(self, *events: WorldEvent) -> None:
        self._due += events

    def open_gap(self, bid: str = "0.60", ask: str = "0.62") -> None:
        """Kalshi's YES becomes dear: buying YES here and NO there pays."""
        self.write(book(KALS.yes_key, bid, ask))

    def close_gap(self) -> None:
        self.write(book(KALS.yes_key, "0.44", "0.46"))


ACCOUNTS = {
    "free": Account(UserId("free"), "Fay", Tier.FREE),
    "pro": Account(UserId("pro"), "Pat", Tier.PRO),
    "enterprise": Account(UserId("enterprise"), "Eve", Tier.ENTERPRISE),
    "operator": Account(UserId("operator"), "Oz", Tier.PRO, Role.OPERATOR),
}


class Program:
    """The composed tree, serving, with one account of each kind."""

    def __init__(self, arbiter: Arbiter, world: ScriptedWorld, port: int, api_keys: dict[str, str], store: Store) -> None:
        self.arbiter = arbiter
        self.store = store
        self.world = world
        self.port = port
        self.api_keys = api_keys
        self.poly, self.kalshi = POLY, KALS

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def token(self, user: str) -> str:
        account = self.arbiter.core.account_changes.get(UserId(user))
        return self.arbiter.front.tokens.issue(UserId(user), epoch=account.account.session_epoch if account else 0)[0]

    def bearer(self, user: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token(user)}"),)


@pytest.fixture(scope="session")
def kalshi_key() -> tuple[bytes, bytes]:
    """A private and a public key (PEM) for Kalshi's sockets."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
async def program(start_program: Callable[..., Any]) -> AsyncIterator[Program]:
    """Everything but sockets to the venues and a database: those are in memory. The clock is the real one."""
    async with start_program(MemoryStore()) as program:
        yield program


@pytest.fixture
def start_program(keys: Keys, kalshi_key: tuple[bytes, bytes]) -> Callable[..., Any]:
    """`async with start_program(store, totp=..., later=...) as program`; on a store that was used before, what it holds is there."""
    return lambda store, **options: run_program(store, keys, kalshi_key, **options)


class Later:
    """The real clocks, and so many seconds more on the one that tells the time of day."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def environment(self) -> Environment:
        real = Environment.real()
        return Environment(lambda: real.unix_ms() + round(self.seconds * 1000), real.monotonic, real.random)


@asynccontextmanager
async def run_program(
    store: Store, keys: Keys, kalshi_key: tuple[bytes, bytes], *, totp: TotpPolicy = DEFAULT_POLICY, later: Later | None = None
) -> AsyncIterator[Program]:
    environment, world = (later or Later()).environment(), ScriptedWorld()
    private, public = kalshi_key
    sandbox = Sandbox(world, {KEY_ID: public})
    shell = Shell(sandbox, environment.unix_ms, Wake())
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(shell.tick_for_ever)
        network = MemoryNetwork(shell, {"polymarket": sandbox.polymarket, "kalshi": sandbox.kalshi}, nursery)
        hosts = PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket")
        kalshi_hosts = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
        venues = [
            Polymarket(hosts, network, environment),
            Kalshi(kalshi_hosts, KalshiSigner(KEY_ID, private), network, environment),
        ]
        await store.open()
        arbiter = compose(environment, store, venues, world.pairs, keys, listener, totp=totp)
        server = arbiter.front.server
        server.limits = msgspec.structs.replace(server.limits, overloaded_seconds=SECONDS)  # this machine may have other work too
        await nursery.start(arbiter.supervisor.run)
        api_keys = {}
        for user, account in ACCOUNTS.items() if not await store.accounts() else ():
            api_keys[user], stored = make_api_key(PEPPER)
            await arbiter.core.accounts.ask(PutNewAccount(msgspec.structs.replace(account, api_key=stored)), timeout=5)
        books = arbiter.core.data.books
        await until(lambda: all(books.get(m.yes_key) and books.get(m.no_key) for m in world.markets))
        await until(lambda: all(each.state in ("running", "passive") for each in arbiter.core.statuses()))
        yield Program(arbiter, world, port_of(listener), api_keys, store)
        arbiter.supervisor.stop()
        with trio.move_on_after(SECONDS):
            while any(status.state == "running" for status in arbiter.core.statuses()):  # noqa: ASYNC110 it tells nobody
                await trio.sleep(0.002)
        nursery.cancel_scope.cancel()
    await store.close()


@pytest.fixture
def later() -> Later:
    """A clock for `start_program` that a test can set forward."""
    return Later()


# -- keys and clocks --


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys(make_signing_key(), PEPPER, "arbiter:sandbox:rpc-tests", digest(CREDENTIAL, PEPPER))


class Clock:
    """Both clocks, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    @property
    def environment(self) -> Environment:
        return Environment(lambda: round(self.seconds * 1000), lambda: self.seconds, Random(1))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def core(clock: Clock, keys: Keys) -> Any:
    """The core of a program that does not run, on the clock turned by hand."""
    return compose(clock.environment, MemoryStore(), [], (), keys, None).core  # type: ignore[arg-type]  # nothing listens


# -- official clients whose generated modules would be in the way here --


class Probes:
    """`official_probes.py` as processes of their own."""

    def __init__(self) -> None:
        self._command = [sys.executable, str(Path(__file__).parent / "official_probes.py")]

    async def lines(self, what: str, address: str, *arguments: str) -> list[str]:
        """All that it tells until it ends."""
        with trio.fail_after(3 * SECONDS):
            done = await trio.run_process(
                [*self._command, what, address, *arguments], capture_stdout=True, capture_stderr=True, check=False
            )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    @asynccontextmanager
    async def telling(self, what: str, address: str, *arguments: str) -> AsyncIterator[Callable[[], Any]]:
        """Within, it runs; what is yielded waits for its next line."""
        async with trio.open_nursery() as nursery:
            start = partial(trio.run_process, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            process = await nursery.start(start, [*self._command, what, address, *arguments])
            buffered = bytearray()

            async def line() -> str:
                with trio.fail_after(3 * SECONDS):
                    while b"\n" not in buffered:
                        data = await process.stdout.receive_some()
                        assert data, "it ended"
                        buffered.extend(data)
                first, _, rest = buffered.partition(b"\n")
                buffered[:] = rest
                return first.decode()

            yield line
            nursery.cancel_scope.cancel()


@pytest.fixture
def probes() -> Probes:
    return Probes()
