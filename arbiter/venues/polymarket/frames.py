"""What arrives on a market socket, written into the books and told to the listener. No I/O; time is told to it.

One reader for each line. The way of a `price_change` is the one that counts: nearly every frame is one. What can be looked
at later is left to `look`, which is called about twice a second.
"""

from collections.abc import Callable, Iterable

from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.ids import POLYMARKET, MarketId
from arbiter.domain.market import Resolution, TickRange
from arbiter.domain.market_events import GridChanged, MarketListed, MarketResolved, Ticker
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Listener
from arbiter.venues.polymarket import wire
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.repairs import Repairs
from arbiter.venues.polymarket.tokens import FollowedMarket, Token
from arbiter.venues.polymarket.wire import PriceChange, fast_size, learn_price, learn_size
from arbiter.venues.wire_numbers import UNDECODABLE, price_micros

MOST_LISTED = 1000
"""Markets whose appearance is remembered, so that it is told once although every line hears of it."""
MOST_EVENTS = wire.MOST_EVENTS
_prices = wire.PRICES
_sizes = wire.SIZES
_decode = wire.decode
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}


class FrameReader:
    """Reads the frames of one line, whose tokens are in `tokens`."""

    def __init__(
        self,
        tokens: dict[str, Token],
        listener: Listener,
        repairs: Repairs,
        counters: Counters,
        listed: dict[str, None],
        on_pong: Callable[[], None],
        on_wrong_hash: Callable[[Token, wire.BookEvent], None],
    ) -> None:
        self._tokens = tokens
        self._listener = listener
        self._repairs = repairs
        self._counters = counters
        self._listed = listed
        self._on_pong = on_pong
        self._on_wrong_hash = on_wrong_hash
        self._lately: dict[Token, wire.Change | wire.BestBidAsk | None] = {}
        """The tokens that something was told of since the last look, and what was last said of their best prices."""
        self._frames = 0
        self.now = 0.0
        """The monotonic second of the last look."""
        self.told_at = 0.0
        """When a frame came last, seen at a look."""
        self.books = 0
        """Books that came."""

    def read(self, frame: bytes) -> None:
        """One frame. Raises VenueUnavailable where it makes no sense and does not say whose it is: all books are in doubt then."""
        self._frames += 1
        try:
            event = _decode(frame)
        except UNDECODABLE:
            self._unusual(frame)
            return
        if type(event) is PriceChange:
            self._price_change(event, frame)
        elif isinstance(event, list):
            if len(event) > MOST_EVENTS:
                self._odd(wire.Oddity("too_large", f"{len(event)} events"), frame)
            for each in event:
                self._event(each, frame)
        else:
            self._event(event, frame)

    # -- changes of books --

    def _price_change(self, event: PriceChange, frame: bytes) -> None:
        """A change whose numbers make no sense costs its token the book, and the others nothing."""
        tokens, lately = self._tokens, self._lately
        first: Token | None = None
        more: dict[Token, None] | None = None
        if event.price_changes is None:
            self._lost_changes(frame)
            return
        if len(event.price_changes) > MOST_EVENTS:
            self._odd(wire.Oddity("too_large", f"{len(event.price_changes)} changes"), frame)
        for change in event.price_changes:
            token = tokens.get(change.asset_id)
            if token is None or not token.book.trusted:
                self._passed_over(token)
                continue
            try:
                price = _prices.get(change.price)
                if price is None:
                    price = learn_price(change.price)
                size = _sizes.get(change.size)
                if size is None:
                    size = learn_size(change.size)
                if change.side == "BUY":
                    token.bids.put(price, size)
                elif change.side == "SELL":
                    token.asks.put(price, size)
                else:
                    raise ValueError(f"a side {change.side[:20]!r}")
            except ValueError as error:
                self._bad_field((token,), error, frame)
                lately.pop(token, None)
                continue
            lately[token] = change
            if first is None:
                first = token
            elif token is not first:
                more = more or {}
                more[token] = None
        if first is None:
            return
        first.venue_ms = ms = event.timestamp
        self._listener.changed(first.book, ms)
        for token in more or ():
            token.venue_ms = ms
            self._listener.changed(token.book, ms)

    def _passed_over(self, token: Token | None) -> None:
        if token is None:
            self._counters.strange_tokens += 1
        else:
            token.skipped += 1

    def _book(self, token: Token, event: wire.BookEvent) -> None:
        """Raises ValueError, before anything is changed."""
        bids, asks = wire.levels_of(event.bids), wire.levels_of(event.asks)
        self.books += 1
        if event.hash and (right := wire.hash_of(event)) is not None and right != event.hash:
            self._counters.hash_mismatches += 1
            self._on_wrong_hash(token, event)
            return
        token.book.replace(bids, asks)
        self.accept(token, wire.milliseconds(event.timestamp))

    def accept(self, token: Token, venue_ms: int) -> None:
        """Its book has just been replaced by one to be trusted."""
        token.venue_ms = venue_ms
        token.told_at = token.proved_at = self.now
        token.doubted_at = None
        self._lately[token] = None
        self._repairs.came(token, self.now)
        self._listener.changed(token.book, venue_ms)

    def count_frames(self) -> None:
        """Add those that came since the last time."""
        self._counters.frames += self._frames
        self._frames = 0

    # -- is it true? --

    def look(self, now: float) -> None:
        """Look around: which tokens told something since the last look, and does what was said of their best prices hold?"""
        self.now = now
        if self._frames:
            self.told_at = now
            self.count_frames()
        lately, self._lately = self._lately, {}
        for token, said in lately.items():
            if token.book.trusted:
                token.told_at = token.proved_at = now
                self._look_at(token, said)

    def _look_at(self, token: Token, said: wire.Change | wire.BestBidAsk | None) -> None:
        if not token.book.crossed:
            token.crossed_at = None
        elif token.crossed_at is None:
            token.crossed_at = self.now
            self._repairs.suspect(token)
        if said is None or not (said.best_bid or said.best_ask):
            return
        try:
            agrees = wire.best_price(said.best_bid) == token.bids.highest and wire.best_price(said.best_ask) == token.asks.lowest
        except ValueError as error:
            self._counters.odd("bad_best_price", str(error))
            return
        if agrees:
            token.doubted_at = None
        elif token.doubted_at is None:
            token.doubted_at = self.now
            self._repairs.suspect(token)

    # -- everything else --

    def _event(self, event: wire.SocketEvent, frame: bytes) -> None:
        if isinstance(event, PriceChange):
            self._price_change(event, frame)
        elif isinstance(event, wire.NewMarket):
            self._new_market(event)
        elif isinstance(event, wire.Resolved):
            self._resolved(event)
        elif (token := self._tokens.get(event.asset_id)) is None:
            self._counters.strange_tokens += 1
        else:
            try:
                self._of_token(token, event)
            except ValueError as error:
                self._bad_field((token,), error, frame)

    def _of_token(self, token: Token, event: wire.BookEvent | wire.LastTrade | wire.TickSizeChange | wire.BestBidAsk) -> None:
        match event:
            case wire.BookEvent():
                self._book(token, event)
            case wire.LastTrade():
                self._trade(token, event)
            case wire.TickSizeChange():
                self._tick_size(token.market, price_micros(event.new_tick_size))
            case wire.BestBidAsk():
                self._best(token, event)

    def _trade(self, token: Token, event: wire.LastTrade) -> None:
        """REST says "" for the side where it does not know; a trade without a side moves nothing."""
        side = _SIDES.get(event.side)
        if side is None:
            self._counters.unknown("trade_without_side")
            return
        price, size = price_micros(event.price), fast_size(event.size)
        self._listener.tell(PublicTrade(token.key, price, size, side, event.timestamp))

    def _tick_size(self, market: FollowedMarket, tick: Micros) -> None:
        """The event comes for each token; books of the old grid are dropped once, the venue sends new ones by itself (A7.2)."""
        if not 0 < tick < ONE:
            raise ValueError(f"a tick size of {tick} micros")
        if tick == market.tick:
            return
        market.tick = tick
        self._listener.tell(GridChanged(market.market.key, (TickRange(tick, Micros(ONE - tick), tick),)))
        self._repairs.distrust(market.tokens, "the tick size changed", self.now, seconds=self._repairs.pace.after_tick_change)

    def _best(self, token: Token, event: wire.BestBidAsk) -> None:
        bid, ask = wire.best_price(event.best_bid), wire.best_price(event.best_ask)
        if token.book.trusted:
            self._lately[token] = event
        if token.is_yes:
            self._listener.tell(Ticker(token.market.market.key, bid, ask, venue_ms=event.timestamp))

    def _new_market(self, event: wire.NewMarket) -> None:
        condition = event.condition_id or event.market
        if not condition or condition in self._listed:
            return
        if len(self._listed) >= MOST_LISTED:
            del self._listed[next(iter(self._listed))]
        self._listed[condition] = None
        self._listener.tell(MarketListed(POLYMARKET, MarketId(condition)))

    def _resolved(self, event: wire.Resolved) -> None:
        """Not final: nothing says that the venue cannot change it, and the event may not come at all (A12)."""
        token = self._tokens.get(event.winning_asset_id or "")
        if token is None:
            self._counters.strange_tokens += 1
            return
        resolution = Resolution(ONE if token.is_yes else ZERO, final=False)
        if token.market.resolution != resolution:
            token.market.resolution = resolution
            self._listener.tell(MarketResolved(token.market.market.key, resolution))

    # -- what makes no sense --

    def _unusual(self, frame: bytes) -> None:
        if frame == wire.PONG:
            self._frames -= 1
            self._on_pong()
            return
        for event in wire.read_unusual(frame):
            if isinstance(event, wire.UnknownEvent):
                self._counters.unknown(event.name)
            elif isinstance(event, wire.Oddity):
                self._odd(event, frame)
            else:
                self._event(event, frame)

    def _odd(self, oddity: wire.Oddity, frame: bytes) -> None:
        if not oddity.assets:
            self._counters.odd(oddity.kind, oddity.problem, frame)
            raise VenueUnavailable(POLYMARKET, "a malformed frame")
        known = {token.id: token for asset in oddity.assets if (token := self._tokens.get(asset)) is not None}
        self._bad_field(known.values(), ValueError(oddity.problem), frame)

    def _lost_changes(self, frame: bytes) -> None:
        """Changes that are null are changes that we do not know: the market that they are of has other books than we have."""
        market = wire.market_without_changes(frame)
        fallen = [token for token in self._tokens.values() if token.market.market.key.market == market]
        self._bad_field(fallen, ValueError("null where changes belong"), frame)

    def _bad_field(self, tokens: Iterable[Token], error: ValueError, frame: bytes) -> None:
        self._counters.odd("bad_field", str(error), frame)
        self._repairs.distrust(tokens, "a malformed frame", self.now)
