"""What the venue tests share: recorded data, the smallest markets that wire decoders need, and the sandbox as a stage.

On the stage the real connectors talk to the sandbox's engines over memory, under the autojump clock.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.book import Book, BookSnapshot, Level, LevelChange, Levels, PublicTrade, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.market import KalshiFees, Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.market_events import BooksInvalid, Disconnected, MarketEvent
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.runtime import Child, Environment, Group, Supervisor
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.sandbox.world import WorldEvent
from arbiter.venues.base import Followed, FollowList, Selection, Venue
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts, KalshiPace
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts, PolymarketPace

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session")
def recording() -> Callable[[str], Path]:
    """The path of a recorded file; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / "recordings" / name
        if not path.exists():
            pytest.skip(f"no recorded data here: {name} is not beside the repository")
        return path

    return find


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The golden vectors of both venues; skips the test where they are absent."""
    path = SHARED / "venue_vectors.json"
    if not path.exists():
        pytest.skip("no golden vectors here: venue_vectors.json is not beside the repository")
    return json.loads(path.read_text())


def _market(key: MarketKey, yes: str, no: str) -> Market:
    cents = (TickRange(Micros(10_000), Micros(ONE - 10_000), Micros(10_000)),)
    return Market(key, EventId("event"), "title", Outcome(OutcomeId(yes), "Up"), Outcome(OutcomeId(no), "Down"), cents, Micros(10_000))


@pytest.fixture(scope="session")
def polymarket_market() -> Callable[..., Market]:
    def make(condition: str = "0xaa", yes: str = "123", no: str = "456") -> Market:
        return _market(MarketKey(POLYMARKET, MarketId(condition)), yes, no)

    return make


@pytest.fixture(scope="session")
def kalshi_market() -> Callable[..., Market]:
    def make(ticker: str = "KXTEST-26NOV23-A") -> Market:
        return _market(MarketKey(KALSHI, MarketId(ticker)), "yes", "no")

    return make


# -- the stage --

KEY_ID = "test-key"
MARKETS_EACH = 3


def _levels(text: str) -> Levels:
    """ "0.44x10 0.45x20" as levels."""
    return tuple(Level(parse_micros(price), parse_micros(size)) for price, _, size in (each.partition("x") for each in text.split()))


def _listed(venue: Any, number: int) -> Market:
    polymarket = venue == POLYMARKET
    return Market(
        key=MarketKey(venue, MarketId(f"0x{number:064x}" if polymarket else f"KXTEST-26FEB01-{number}")),
        event=EventId(f"event-{number}" if polymarket else "KXTEST-26FEB01"),
        title=f"Will number {number} win?",
        yes=Outcome(OutcomeId(f"{number}001" if polymarket else "yes"), "Yes"),
        no=Outcome(OutcomeId(f"{number}002" if polymarket else "no"), "No"),
        ticks=(TickRange(Micros(10_000), Micros(ONE - 10_000), Micros(10_000)) if polymarket else TickRange(ZERO, ONE, Micros(10_000)),),
        size_step=Micros(10_000),
        min_size=parse_micros("5") if polymarket else ZERO,
        fees=PolymarketFees(ZERO) if polymarket else KalshiFees(),
        closes_at=datetime(2026, 2, 1, 12, tzinfo=UTC),
    )


class QuietWorld:
    """Nothing happens but what a test writes; a book of every market first."""

    pairs = ()
    sample_interval_ms = None

    def __init__(self) -> None:
        self.polymarket = tuple(_listed(POLYMARKET, number) for number in range(1, MARKETS_EACH + 1))
        self.kalshi = tuple(_listed(KALSHI, number) for number in range(1, MARKETS_EACH + 1))
        self.markets = self.polymarket + self.kalshi
        self._due: list[WorldEvent] = []
        for market in self.markets:
            self.show(market, "0.40x100 0.42x25.5", "0.45x7 0.44x3.25")

    def show(self, market: Market, bids: str, asks: str) -> None:
        """The whole book is another one."""
        self._due.append(BookSnapshot(market.yes_key, _levels(bids), _levels(asks)))

    def change(self, market: Market, side: Side, price: str, size: str) -> None:
        """One level of YES holds this now."""
        self._due.append(LevelChange(market.yes_key, side, parse_micros(price), parse_micros(size)))

    def trade(self, market: Market, price: str, size: str, side: Side) -> None:
        """Others traded YES at that price."""
        self._due.append(PublicTrade(market.yes_key, parse_micros(price), parse_micros(size), side))

    def advance(self, now_ms: int) -> list[WorldEvent]:
        due, self._due = self._due, []
        return due


class _Stream(trio.abc.Stream):
    """A stream that can fall silent, as when the peer's machine is gone and nobody says so."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.frozen = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await self._inner.receive_some(max_bytes)
        if self.frozen:
            await trio.sleep_forever()
        return bytes(data)

    async def send_all(self, data: Any) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._inner.aclose()


class FreezableNetwork:
    """A `Network` over another whose open streams can be frozen."""

    def __init__(self, inner: MemoryNetwork) -> None:
        self.inner = inner
        self._streams: list[_Stream] = []

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        stream = _Stream(await self.inner.connect(host, port, tls=tls))
        self._streams.append(stream)
        return stream

    def freeze(self) -> None:
        """Nothing arrives any more on what is open now; what is opened later is well."""
        for stream in self._streams:
            stream.frozen = True


class Follower:
    """A `Listener`: what one `stream` told, with the second of each event, and the books that it keeps."""

    def __init__(self, markets: Sequence[Market]) -> None:
        self.kept = {market.key: Followed(market, Book(market.yes_key), Book(market.no_key)) for market in markets}
        """As they are wanted now."""
        self.list = FollowList(self.kept.values())
        self.told: list[tuple[float, MarketEvent]] = []
        self.changes: list[tuple[float, OutcomeKey, bool]] = []
        """Of each change: when, of which book, whether that was trusted."""
        self.alive_at: list[float] = []
        self.proved_at: list[tuple[float, OutcomeKey]] = []

    def changed(self, book: Book, venue_ms: int) -> None:
        self.changes.append((trio.current_time(), book.outcome, book.trusted))

    def proved(self, outcomes: Iterable[OutcomeKey], at: float) -> None:
        self.proved_at += [(at, outcome) for outcome in outcomes]

    def alive(self, line: int) -> None:
        self.alive_at.append(trio.current_time())

    def tell(self, event: MarketEvent) -> None:
        self.told.append((trio.current_time(), event))
        if isinstance(event, BooksInvalid):
            for outcome in event.outcomes:
                self._book(outcome).invalidate()
        elif isinstance(event, Disconnected):
            for each in self.kept.values():
                each.yes.invalidate()
                each.no.invalidate()

    def follow(self, markets: Sequence[Market]) -> None:
        """These from now on."""
        self.keep(self.kept.get(market.key) or Followed(market, Book(market.yes_key), Book(market.no_key)) for market in markets)

    def keep(self, followed: Iterable[Followed]) -> None:
        """These from now on, with just these books."""
        self.kept = {each.market.key: each for each in followed}
        self.list.set(self.kept.values())

    def _book(self, outcome: OutcomeKey) -> Book:
        followed = self.kept[outcome.market_key]
        return followed.yes if outcome == followed.market.yes_key else followed.no

    @property
    def books(self) -> dict[OutcomeKey, Book]:
        """Those that can be trusted."""
        return {book.outcome: book for each in self.kept.values() for book in (each.yes, each.no) if book.trusted}

    @property
    def events(self) -> list[MarketEvent]:
        return [event for _, event in self.told]

    def of(self, kind: Any) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def lost(self) -> list[str]:
        """Why connections were lost."""
        return [event.reason for event in self.of(Disconnected)]

    @property
    def longest_silence(self) -> float:
        """Between two proofs of life, or the last one and now."""
        times = sorted([*self.alive_at, *(at for at, _, _ in self.changes), trio.current_time()])
        return max(later - earlier for earlier, later in pairwise(times))


class Stage:
    """The sandbox in memory, and the program's connectors to it."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self.world = QuietWorld()
        self.environment = Environment.simulated(1)
        public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._signer = KalshiSigner(KEY_ID, pem)
        self.sandbox = Sandbox(self.world, {KEY_ID: public})
        self.network: FreezableNetwork
        self.nursery: trio.Nursery

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            shell = Shell(self.sandbox, self.environment.unix_ms, Wake())
            nursery.start_soon(shell.tick_for_ever)
            engines = {"polymarket": self.sandbox.polymarket, "kalshi": self.sandbox.kalshi}
            self.network = FreezableNetwork(MemoryNetwork(shell, engines, nursery))
            await trio.sleep(0.1)
            yield
            nursery.cancel_scope.cancel()

    def polymarket(self, **pace: Any) -> Polymarket:
        hosts = PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket")
        return Polymarket(hosts, self.network, self.environment, PolymarketPace(**pace))

    def kalshi(self, **pace: Any) -> Kalshi:
        hosts = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
        return Kalshi(hosts, self._signer, self.network, self.environment, KalshiPace(**pace))

    async def follow(self, venue: Venue, markets: Sequence[Market] = ()) -> Follower:
        """Follow these markets, or the catalogue's; half a second later their books have come."""
        follower = self.follower(markets or await self.listed(venue))
        self.nursery.start_soon(venue.stream, follower.list, follower)
        await trio.sleep(0.5)
        return follower

    def follower(self, markets: Sequence[Market]) -> Follower:
        """A listener that nothing is told yet."""
        return Follower(markets)

    async def listed(self, venue: Venue, **selection: Any) -> list[Market]:
        """The catalogue's markets."""
        return [market async for page in venue.catalogue(Selection(**selection)) for market in page.markets]

    def truth(self, venue: str) -> dict[OutcomeKey, tuple[Levels, Levels]]:
        """Every book as the venue itself has it."""
        if venue == POLYMARKET:
            listed = list({id(books): books for books in self.sandbox.polymarket.by_asset.values()}.values())
        else:
            listed = list(self.sandbox.kalshi.books.values())
        return {book.outcome: (book.bids(), book.asks()) for each in listed for book in (each.yes, each.no)}

    @asynccontextmanager
    async def feed(self, venue: Venue) -> AsyncIterator[MarketData]:
        """The real feed of this venue in a real tree. Afterwards it was never restarted."""
        data = MarketData()
        child = Child("feed", lambda: MarketFeed(venue, data, self.environment))
        supervisor = Supervisor(Group("root", [child]), self.environment)
        async with trio.open_nursery() as tree:
            await tree.start(supervisor.run)
            yield data
            assert [status.restarts for status in supervisor.statuses()] == [0]
            supervisor.stop()


def _shown(books: dict[OutcomeKey, Book]) -> dict[OutcomeKey, tuple[Levels, Levels]]:
    return {outcome: (book.bids(), book.asks()) for outcome, book in books.items()}


@pytest.fixture
def shown() -> Callable[[dict[OutcomeKey, Book]], dict[OutcomeKey, tuple[Levels, Levels]]]:
    """Books in the form of `Stage.truth`."""
    return _shown


@pytest.fixture
def until() -> Callable[..., Any]:
    """Waits until something holds, at most so many seconds, and returns how many it took."""

    async def until(holds: Callable[[], bool], seconds: float) -> float:
        began = trio.current_time()
        with trio.fail_after(seconds):
            while not holds():  # noqa: ASYNC110 what is waited for has no event
                await trio.sleep(0.005)
        return trio.current_time() - began

    return until


@pytest.fixture(scope="session")
def venue_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def stage(venue_key: rsa.RSAPrivateKey) -> Stage:
    """`async with stage.running():`, then connectors by `stage.polymarket()` and `stage.kalshi()`."""
    return Stage(venue_key)
