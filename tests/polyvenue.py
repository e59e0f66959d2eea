"""A small scripted Polymarket for the connector's tests: books, catalogue and data as the test sets them, over memory.

It shares nothing with the connector but the fact sheet. `PolyStage` holds it, the program's connector, and what that tells.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import pairwise
from typing import Any

import trio
from trio.testing import memory_stream_pair

from arbiter.domain.book import Book, Side
from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey
from arbiter.domain.ladder import Level, Levels
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.market_events import Disconnected, MarketEvent
from arbiter.domain.money import ONE, Micros, parse_micros
from arbiter.runtime import Environment
from arbiter.sandbox.http import Connection, Request, Response, Socket, json_response
from arbiter.venues.base import Followed, FollowList
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts, PolymarketPace

DELAY_SECONDS = 0.01
"""What the venue says is on its way for so long."""
BIDS = "0.40x100 0.42x25.5"
ASKS = "0.45x7 0.44x3.25"
Rows = list[dict[str, str]]


def rows(text: str) -> Rows:
    """ "0.40x100 0.42x25.5" as the venue writes levels."""
    return [{"price": price, "size": size} for price, _, size in (each.partition("x") for each in text.split())]


def levels(text: str) -> Levels:
    """The same as levels, in the order given."""
    return tuple(Level(parse_micros(row["price"]), parse_micros(row["size"])) for row in rows(text))


def poly_market(number: int = 1, **fields: Any) -> Market:
    """Market number n has the tokens n001 and n002."""
    cents = TickRange(Micros(10_000), Micros(ONE - 10_000), Micros(10_000))
    values: dict[str, Any] = {
        "key": MarketKey(POLYMARKET, MarketId(f"0x{number:064x}")),
        "event": EventId(f"event-{number}"),
        "title": f"Will number {number} win?",
        "yes": Outcome(OutcomeId(f"{number}001"), "Yes"),
        "no": Outcome(OutcomeId(f"{number}002"), "No"),
        "ticks": (cents,),
        "size_step": Micros(10_000),
    }
    return Market(**values | fields)


def book_hash(book: dict[str, Any]) -> str:
    """The venue's own checksum (A4.1): SHA-1 of compact JSON in this order of keys, with an empty hash."""
    keys = ("market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size", "tick_size", "neg_risk", "last_trade_price")
    body = {key: "" if key == "hash" else book[key] for key in keys}
    return hashlib.sha1(json.dumps(body, separators=(",", ":")).encode(), usedforsecurity=False).hexdigest()


class PolySession:
    """One client of the market socket."""

    def __init__(self, venue: "PolyVenue", socket: Socket) -> None:
        self.venue = venue
        self.socket = socket
        self.tokens: set[str] = set()
        self.heard: list[dict[str, Any]] = []
        self.silent = False
        self.deaf = False
        """Answers no PING either."""

    def receive(self, text: str, now_ms: int) -> None:
        if text == "PING":
            if not self.deaf:
                self.socket.send(b"PONG")
            return
        said = json.loads(text)
        self.heard.append(said)
        if said.get("operation") == "unsubscribe":
            self.tokens -= set(said["assets_ids"])
            return
        self.tokens |= set(said["assets_ids"])
        for token in said["assets_ids"]:
            if token in self.venue.books and token not in self.venue.withheld:
                self.send(self.venue.book_event(token))

    def send(self, *events: Any) -> None:
        """Events, or bytes as they are."""
        if not self.silent:
            whole = events[0] if len(events) == 1 else list(events)
            self.socket.send(whole if isinstance(whole, bytes) else json.dumps(whole).encode())
            self.venue.wake()

    def drop(self) -> None:
        """The connection breaks."""
        self.socket.drop()
        self.venue.wake()

    def close(self) -> None:
        """The venue says goodbye."""
        self.socket.close()
        self.venue.wake()

    def closed(self) -> None:
        self.venue.sessions.remove(self)


class PolyVenue:
    """The venue itself: an `App`."""

    def __init__(self, unix_ms: Callable[[], int]) -> None:
        self._unix_ms = unix_ms
        self.books: dict[str, tuple[Rows, Rows]] = {}
        self.conditions: dict[str, str] = {}
        self.withheld: set[str] = set()
        """Tokens whose book does not come on the socket."""
        self.changed_ms: dict[str, int] = {}
        self.sessions: list[PolySession] = []
        self.answers: dict[str, Callable[[Request], Any]] = {}
        """What a path answers: JSON, or a Response."""
        self.asked: list[Request] = []
        self.wrong_hash: set[str] = set()
        self.rest_away = False
        self._written = trio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._written.set()
        self._written = trio.Event()

    async def written(self) -> None:
        await self._written.wait()

    def list(self, market: Market, bids: str = BIDS, asks: str = ASKS) -> None:
        """The market's books; NO has none of its own orders, so it is the mirror of YES."""
        for token, one, other in ((market.yes.id, bids, asks), (market.no.id, _mirror(asks), _mirror(bids))):
            self.conditions[token] = market.key.market
            self.put(token, one, other)

    def put(self, token: str, bids: str, asks: str) -> None:
        """The token's book is this one. Nobody is told."""
        self.books[token] = (sorted(rows(bids), key=_price), sorted(rows(asks), key=_price, reverse=True))
        self.changed_ms[token] = self._unix_ms()

    def change(self, token: str, side: Side, price: str, size: str, *, tell: bool = True, **fields: str) -> None:
        """One level is another."""
        bids, asks = self.books[token]
        mine = [row for row in (bids if side is Side.BUY else asks) if row["price"] != price]
        if float(size):
            mine.append({"price": price, "size": size})
        mine.sort(key=_price, reverse=side is Side.SELL)
        self.books[token] = (mine, asks) if side is Side.BUY else (bids, mine)
        self.changed_ms[token] = self._unix_ms()
        if tell:
            change = {"asset_id": token, "price": price, "size": size, "side": side.name, "hash": "h", **self.best(token), **fields}
            self.tell(token, {"event_type": "price_change", "market": "0x", "timestamp": str(self._unix_ms()), "price_changes": [change]})

    def best(self, token: str) -> dict[str, str]:
        bids, asks = self.books[token]
        return {"best_bid": bids[-1]["price"] if bids else "0", "best_ask": asks[-1]["price"] if asks else "1"}

    def tell(self, token: str, event: Any) -> None:
        """Tell who subscribed to this token."""
        for session in tuple(self.sessions):
            if token in session.tokens:
                session.send(event)

    def tell_all(self, event: Any) -> None:
        for session in tuple(self.sessions):
            session.send(event)

    def session_of(self, token: str) -> PolySession:
        """Who subscribed to this token."""
        return next(session for session in self.sessions if token in session.tokens)

    def book_object(self, token: str) -> dict[str, Any]:
        bids, asks = self.books[token]
        book = {
            "market": self.conditions.get(token, "0x"),
            "asset_id": token,
            "timestamp": str(self.changed_ms[token]),
            "hash": "",
            "bids": bids,
            "asks": asks,
            "min_order_size": "5",
            "tick_size": "0.01",
            "neg_risk": False,
            "last_trade_price": "0.500",
        }
        return book | {"hash": "0" * 40 if token in self.wrong_hash else book_hash(book)}

    def book_event(self, token: str) -> dict[str, Any]:
        return {"event_type": "book", **self.book_object(token)}

    # -- App --

    def handle(self, request: Request, now_ms: int) -> Response:
        self.asked.append(request)
        if self.rest_away:
            return Response(503)
        if request.path in self.answers:
            answer = self.answers[request.path](request)
            return answer if isinstance(answer, Response) else json_response(answer)
        if request.path == "/books":
            return json_response(
                [self.book_object(each["token_id"]) for each in json.loads(request.body) if each["token_id"] in self.books]
            )
        return json_response({"error": "not found"}, 404)

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> PolySession:
        session = PolySession(self, socket)
        self.sessions.append(session)
        return session


def _price(row: dict[str, str]) -> float:
    return float(row["price"])


def _mirror(text: str) -> str:
    return " ".join(f"{1 - Decimal(row['price'])}x{row['size']}" for row in rows(text))


class PolyFollower:
    """A `Listener` that keeps what it was told, with the second of each."""

    def __init__(self) -> None:
        self.told: list[tuple[float, MarketEvent]] = []
        self.changes: list[tuple[float, OutcomeKey, int]] = []
        self.proofs: dict[OutcomeKey, list[float]] = {}
        self.proof_ages: list[float] = []
        """How old each comparison with REST was when it was told."""
        self.lives: list[tuple[float, int]] = []

    def changed(self, book: Book, venue_ms: int) -> None:
        self.changes.append((trio.current_time(), book.outcome, venue_ms))
        self.proofs.setdefault(book.outcome, []).append(trio.current_time())

    def proved(self, outcomes: Iterable[OutcomeKey], at: float) -> None:
        self.proof_ages.append(trio.current_time() - at)
        for outcome in outcomes:
            self.proofs.setdefault(outcome, []).append(at)

    def alive(self, line: int) -> None:
        self.lives.append((trio.current_time(), line))

    def tell(self, event: MarketEvent) -> None:
        self.told.append((trio.current_time(), event))

    def of(self, kind: Any) -> list[Any]:
        """The events of one kind."""
        return [event for _, event in self.told if isinstance(event, kind)]

    @property
    def losses(self) -> list[str]:
        """Why lines were lost."""
        return [event.reason.removeprefix("polymarket is unavailable: ") for event in self.of(Disconnected)]

    def oldest_proof(self, outcome: OutcomeKey, since: float) -> float:
        """The longest time between two proofs of this book, or the last one and now."""
        times = [since, *(at for at in self.proofs.get(outcome, ()) if at > since), trio.current_time()]
        return max(later - earlier for earlier, later in pairwise(times))


class PolyStage:
    """The venue in memory, and the connector to it that follows `follow`."""

    def __init__(self, *numbers: int, **pace: Any) -> None:
        self.environment = Environment.simulated(1)
        self.venue = PolyVenue(self.environment.unix_ms)
        self.markets = [poly_market(number) for number in numbers or (1, 2, 3)]
        for market in self.markets:
            self.venue.list(market)
        self.connector = Polymarket(
            PolymarketHosts("http://venue", "http://venue", "ws://venue", "http://venue"), self, self.environment, PolymarketPace(**pace)
        )
        self.follow = FollowList()
        self.heard = PolyFollower()
        self.books: dict[OutcomeKey, Book] = {}
        self.reachable = True
        self.connects = 0
        self.nursery: trio.Nursery

    def followed(self, market: Market) -> Followed:
        """With the books that were kept of it, if it was followed before."""
        yes, no = (self.books.setdefault(key, Book(key)) for key in (market.yes_key, market.no_key))
        return Followed(market, yes, no)

    def book(self, number: int, *, no: bool = False) -> Book:
        """The n-th market's book."""
        market = self.markets[number - 1]
        return self.books[market.no_key if no else market.yes_key]

    @asynccontextmanager
    async def running(self, *, streaming: bool = True) -> AsyncIterator["PolyStage"]:
        """With everything followed, and half a second for the books to come."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            if streaming:
                self.follow.set(self.followed(market) for market in self.markets)
                nursery.start_soon(self.connector.stream, self.follow, self.heard)
                await trio.sleep(0.5)
            yield self
            nursery.cancel_scope.cancel()

    def truth(self) -> dict[str, tuple[Levels, Levels]]:
        """Every followed token's book as the venue has it."""
        return {
            key.outcome: tuple(  # type: ignore[misc]
                tuple(Level(parse_micros(row["price"]), parse_micros(row["size"])) for row in reversed(side))
                for side in self.venue.books[key.outcome]
            )
            for key in self.books
        }

    def shown(self) -> dict[str, tuple[Levels, Levels]]:
        return {key.outcome: (book.bids(), book.asks()) for key, book in self.books.items()}

    @property
    def all_trusted(self) -> bool:
        return all(book.trusted for book in self.books.values())

    # -- Network --

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.connects += 1
        if not self.reachable:
            raise OSError(f"no route to {host}:{port}")
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        connection = Connection(self.venue)
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._write, connection, stream, nursery.cancel_scope)
                while not connection.closed:
                    connection.receive(bytes(await stream.receive_some(65536)), self.environment.unix_ms())
                    self.venue.wake()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            connection.end()

    async def _write(self, connection: Connection, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        while True:
            data = connection.data_to_send()
            if data:
                await stream.send_all(data)
            elif connection.closed:
                scope.cancel()
                return
            await self.venue.written()
            await trio.sleep(DELAY_SECONDS)
