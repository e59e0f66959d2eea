"""What the actor tests share: a scene of two venues under a test's control, with the real actors in a real tree on top."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import msgspec
import pytest
import structlog.testing
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.accounts import Accounts
from arbiter.actors.arb_scanner import ArbScanner
from arbiter.actors.arb_scanner import mailbox_key as scanner_key
from arbiter.actors.brake import Brake, Latch
from arbiter.actors.journal import Journal
from arbiter.actors.market_feed import MarketData, MarketFeed, Wanted, everything
from arbiter.actors.paper_desk import PaperDesk
from arbiter.actors.paper_desk import mailbox_key as desk_key
from arbiter.actors.position_tracker import GetPositions, PositionTracker
from arbiter.actors.user_session import GetOrders, PlaceOrder, UserSession
from arbiter.domain.account import Account, Tier
from arbiter.domain.book import Book, BookSnapshot, Level, LevelChange, Levels, PublicTrade, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId, OutcomeKey, PairId, UserId, VenueId
from arbiter.domain.market import Event, Market, Outcome, PolymarketFees, Resolution, TickRange
from arbiter.domain.market_events import MarketEvent
from arbiter.domain.money import ZERO, Micros, parse_micros
from arbiter.domain.order import Order, TimeInForce
from arbiter.domain.pair import pair_markets
from arbiter.errors import NotFound, StoreError, VenueUnavailable
from arbiter.runtime import Child, Conflate, DynamicGroup, Environment, Group, Ref, Supervisor, Topic
from arbiter.runtime.testing import confuse
from arbiter.store.base import Committed, PutAccount, Refused, Writes
from arbiter.store.memory import MemoryStopMarker, MemoryStore
from arbiter.venues.base import Capabilities, CataloguePage, FollowList, Listener, Selection

ANN = UserId("ann")


def make_market(venue: VenueId, name: str, **changes: Any) -> Market:
    market = Market(
        key=MarketKey(venue, MarketId(name)),
        event=EventId(f"event of {name}"),
        title=f"Will {name} win?",
        yes=Outcome(OutcomeId("yes"), "Yes"),
        no=Outcome(OutcomeId("no"), "No"),
        ticks=(TickRange(Micros(10_000), Micros(990_000), Micros(10_000)),),
        size_step=Micros(10_000),
        fees=PolymarketFees(ZERO),
    )
    return msgspec.structs.replace(market, **changes)


def levels(text: str) -> Levels:
    """ "0.44x10 0.45x20" as levels."""
    return tuple(Level(parse_micros(price), parse_micros(size)) for price, _, size in (each.partition("x") for each in text.split()))


Told = MarketEvent | BookSnapshot | tuple[LevelChange, ...] | Callable[[Listener], None] | str
"""What a scripted venue tells: an event, a book, changes of one frame, anything at all, or the reason why it is away."""


class ScriptedVenue:
    """A `Venue` that tells what a test tells it, and a proof of life every two seconds while `alive`."""

    capabilities = Capabilities(
        nets_outcomes=False, sequenced=False, line_proves_books=True, mirrored_books=False, announces_resolution=False, trade_ids=False
    )

    def __init__(self, name: VenueId, markets: Sequence[Market]) -> None:
        self.name = name
        self.markets = list(markets)
        self.events: list[Event] = []
        self.unlisted: dict[MarketId, Market] = {}
        """Markets that can be read one by one and are in no catalogue."""
        self.resolutions: dict[MarketKey, Resolution] = {}
        self.books: dict[OutcomeKey, BookSnapshot] = {}
        """Told first on each new connection."""
        self.alive = True
        self.ping_seconds = 2.0
        self.venue_ms = 0
        """What it says of each frame's time."""
        self.problem = ""
        """While set, the venue cannot be reached, for this reason."""
        self.attempts: list[float] = []
        self.catalogues = 0
        self.asked: list[MarketKey] = []
        """The markets whose outcome was asked for."""
        self.follow = FollowList()
        self._events: trio.MemorySendChannel[Told] | None = None

    async def catalogue(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        await trio.lowlevel.checkpoint()
        self.catalogues += 1
        self._require_reachable()
        for market in self.markets:
            yield CataloguePage((market,), tuple(self.events))

    async def market(self, market: MarketId) -> Market:
        await trio.lowlevel.checkpoint()
        if market not in self.unlisted:
            raise NotFound(f"no market {market}")
        return self.unlisted[market]

    async def resolution(self, market: Market) -> Resolution | None:
        await trio.lowlevel.checkpoint()
        self.asked.append(market.key)
        return self.resolutions.get(market.key)

    async def public_trades(self, market: Market, since_ms: int, limit: int) -> tuple[PublicTrade, ...]:
        await trio.lowlevel.checkpoint()
        return ()

    async def stream(self, follow: FollowList, listener: Listener) -> NoReturn:
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        self._require_reachable()
        self.follow = follow
        self._events, events = trio.open_memory_channel[Told](10_000)
        listener.alive(0)
        for book in self.books.values():
            self._pass_on(book, listener)
        try:
            while True:
                told: Told | None = None
                with trio.move_on_after(self.ping_seconds):
                    told = await events.receive()
                if isinstance(told, str):
                    raise VenueUnavailable(self.name, told)
                if told is not None:
                    self._pass_on(told, listener)
                if self.alive:
                    listener.alive(0)
        finally:
            self._events = None

    def statistics(self) -> dict[str, int]:
        return {}

    def tell(self, told: Told) -> None:
        assert self._events is not None, "nobody is connected"
        self._events.send_nowait(told)

    def _pass_on(self, told: Told, listener: Listener) -> None:
        if isinstance(told, BookSnapshot):
            book = self._book(told.outcome)
            if book is not None:
                book.apply_snapshot(told)
                listener.changed(book, told.venue_ms or self.venue_ms)
        elif isinstance(told, tuple):
            self._change(told, listener)
        elif callable(told):
            told(listener)
        else:
            listener.tell(told)

    def _change(self, changes: tuple[LevelChange, ...], listener: Listener) -> None:
        touched: dict[OutcomeKey, Book] = {}
        for change in changes:
            book = self._book(change.outcome)
            if book is not None and book.trusted:
                book.apply_change(change)
                touched[change.outcome] = book
        for book in touched.values():
            listener.changed(book, self.venue_ms)

    def _book(self, outcome: OutcomeKey) -> Book | None:
        followed = self.follow.markets.get(outcome.market_key)
        if followed is None:
            return None
        return followed.yes if outcome == followed.market.yes_key else followed.no

    def _require_reachable(self) -> None:
        if self.problem:
            raise VenueUnavailable(self.name, self.problem)


class ControlledStore(MemoryStore):
    """A store whose commits a test can hold back or let fail."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[int] = []
        """How many groups each commit had."""
        self.failures = 0
        """So many commits, the next ones, fail."""
        self.refuse: Callable[[Sequence[Writes]], bool] = lambda _groups: False
        """Commits that fail beside those."""
        self.gate: trio.Event | None = None
        """Commits wait for it."""

    async def commit(self, groups: Sequence[Writes]) -> list[Committed | Refused]:
        if self.gate is not None:
            await self.gate.wait()
        if self.failures or self.refuse(groups):
            self.failures = max(0, self.failures - 1)
            raise StoreError("the store could not write: the disk is full")
        if any(groups):
            self.commits.append(len(groups))
        return await super().commit(groups)


class Scene:
    """Two venues with one market each that are a pair, a user, a store, and the tree that `running` brings to life."""

    def __init__(self) -> None:
        self.market, self.other = make_market(POLYMARKET, "P"), make_market(KALSHI, "K")
        self.yes, self.no = self.market.yes_key, self.market.no_key
        self.k_yes, self.k_no = self.other.yes_key, self.other.no_key
        self.polymarket = ScriptedVenue(POLYMARKET, [self.market])
        self.kalshi = ScriptedVenue(KALSHI, [self.other])
        self.pair = pair_markets(PairId("pair"), "P or K", self.market, self.other, inverted=False)
        self.store: Any = ControlledStore()
        self.marker: Any = MemoryStopMarker()
        self.environment = Environment.simulated(7)
        self.add_accounts = [Account(ANN, "Ann", Tier.PRO)]
        self.selected: Wanted = everything

    def _build(self) -> None:
        environment, store = self.environment, self.store
        self.data = data = MarketData()
        self.account_changes: Topic[Any, Any] = Topic("accounts")
        self.position_changes: Topic[Any, Any] = Topic("positions")
        self.order_changes: Topic[Any, Any] = Topic("orders")
        self.opportunities: Topic[Any, Any] = Topic("opportunities")
        self.journal = Child("journal", lambda: Journal(store))
        journal = self.journal.ref
        self.latch = latch = Latch()
        self.accounts = Child("accounts", lambda: Accounts(store, journal, self.account_changes, latch, environment))
        self.brake = Child("brake", lambda: Brake(store, journal, latch, environment, self.marker))
        venues = (self.polymarket, self.kalshi)
        self.feeds = {v.name: Child(f"{v.name}_feed", lambda v=v: MarketFeed(v, data, environment, self.selected)) for v in venues}
        self.tracker = Child("position_tracker", lambda: PositionTracker(store, data, self.position_changes, environment))

        def desk(name: VenueId) -> Child[Any]:
            make = lambda: PaperDesk(name, store, journal, self.tracker.ref, data, self.order_changes, latch, environment)  # noqa: E731
            return Child(f"{name}_desk", make, mailbox=Conflate(desk_key))

        self.desks = {v.name: desk(v.name) for v in venues}
        refs = {name: child.ref for name, child in self.desks.items()}

        def session(user: str) -> Child[Any]:
            return Child(
                user,
                lambda: UserSession(
                    UserId(user), store, journal, self.accounts.ref, self.tracker.ref, refs, data, self.order_changes, latch, environment
                ),
            )

        self.sessions = DynamicGroup("sessions", session)
        self.scanner = Child(
            "arb_scanner",
            lambda: ArbScanner((self.pair,), data, self.opportunities, environment),
            mailbox=Conflate(scanner_key),
        )

    def _make_tree(self) -> None:
        inputs = Group("inputs", [self.accounts, *self.feeds.values()], exhausted="park")
        trading = Group("trading", [self.tracker, *self.desks.values(), self.sessions], strategy="rest_for_one")
        strategies = Group("strategies", [self.scanner], exhausted="park")
        root = Group("root", [self.journal, self.brake, inputs, trading, strategies], strategy="rest_for_one")
        self.supervisor = Supervisor(root, self.environment)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The tree, new in memory, on what the store holds; both venues are connected."""
        await self.store.open()
        if self.add_accounts:
            await self.store.commit([(PutAccount(account),) for account in self.add_accounts])
        self._build()
        self._make_tree()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.supervisor.run)
            await wait_all_tasks_blocked()
            try:
                yield
            finally:
                gate = getattr(self.store, "gate", None)
                if gate is not None:  # the journal's write is shielded: a test that fails must not hang in it
                    gate.set()
            self.supervisor.stop()
        await self.store.close()

    # -- the venues --

    def venue_of(self, outcome: OutcomeKey) -> ScriptedVenue:
        return self.polymarket if outcome.venue == POLYMARKET else self.kalshi

    async def quote(self, outcome: OutcomeKey, bids: str = "", asks: str = "") -> None:
        """The venue tells a new book of this outcome, and everyone who cares has seen it."""
        book = BookSnapshot(outcome, levels(bids), levels(asks))
        venue = self.venue_of(outcome)
        venue.books[outcome] = book
        venue.tell(book)
        await wait_all_tasks_blocked()

    # -- a user --

    def session(self, user: UserId = ANN) -> Ref[Any]:
        return self.sessions.ref(user)

    def wanted(
        self,
        side: Side,
        price: str,
        size: str,
        tif: TimeInForce = TimeInForce.GTC,
        *,
        key: str = "key",
        outcome: OutcomeKey | None = None,
    ) -> PlaceOrder:
        return PlaceOrder(key, outcome or self.yes, side, parse_micros(price), parse_micros(size), tif)

    async def place(self, *args: Any, user: UserId = ANN, **named: Any) -> Order:
        """`wanted`, asked of the user's session."""
        return await self.session(user).ask(self.wanted(*args, **named), timeout=60)

    async def orders(self, user: UserId = ANN) -> list[Order]:
        return list(await self.session(user).ask(GetOrders(), timeout=60))

    async def held(self, user: UserId = ANN) -> dict[OutcomeKey, Micros]:
        """Sizes by outcome."""
        return {c.position.outcome: c.position.size for c in await self.tracker.ref.ask(GetPositions(user), timeout=60)}

    # -- trouble --

    async def crash(self, child: Child[Any]) -> None:
        """Send what the actor cannot understand, and wait until it is back."""
        confuse(child.ref)
        await trio.sleep(1)
        await wait_all_tasks_blocked()


@pytest.fixture(autouse=True)
def log() -> Iterator[list[Any]]:
    """What was logged, kept out of the output: crashes are on purpose here."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def new_market() -> Callable[..., Market]:
    """Makes markets: `new_market(venue, name, **changes)`."""
    return make_market


@pytest.fixture
def book_levels() -> Callable[[str], Levels]:
    """Reads "0.44x10 0.45x20"."""
    return levels
