"""What `ArbiterClient` returns of markets: plain frozen structs. Money in micros, times UTC ms, 0 where there is none."""

import msgspec

from arbiter.domain.book import Level, Side
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import KalshiFees, PolymarketFees, TickRange
from arbiter.domain.money import Micros


class ResolutionInfo(msgspec.Struct, frozen=True):
    """How a market came out. `yes_payout`: what one YES pays; None: void, money is given back. Not `final`: it may still change."""

    yes_payout: Micros | None
    final: bool
    at_ms: int


class TickerInfo(msgspec.Struct, frozen=True):
    """What the venue said last of a market as a whole, prices of YES; 0: it does not say."""

    best_bid: Micros
    best_ask: Micros
    last_price: Micros
    volume: Micros
    open_interest: Micros
    at_ms: int


class TradeInfo(msgspec.Struct, frozen=True):
    """A trade between others. `taker_side` is on `outcome`; `id` is empty where the venue gives none."""

    outcome: OutcomeKey
    price: Micros
    size: Micros
    taker_side: Side
    at_ms: int
    id: str


class MarketInfo(msgspec.Struct, frozen=True):
    """A market. `fees` is None where they are not known, or of a kind that this client does not know; `fees_text` says it for a person.

    `status` is upcoming, open, paused, closed or resolved. `last_trades`: the newest of YES and NO, in `get_market` alone.
    """

    venue: str
    market_id: str
    title: str
    yes: OutcomeKey
    no: OutcomeKey
    status: str
    tradable: bool
    event_id: str = ""
    yes_label: str = ""
    no_label: str = ""
    rules: str = ""
    category: str = ""
    opens_ms: int = 0
    closes_ms: int = 0
    resolves_ms: int = 0
    settlement_seconds: int = 0
    settlement_sources: tuple[str, ...] = ()
    resolution: ResolutionInfo | None = None
    fees: PolymarketFees | KalshiFees | None = None
    fees_text: str = ""
    ticks: tuple[TickRange, ...] = ()
    size_step: Micros = Micros(0)
    min_size: Micros = Micros(0)
    min_notional: Micros = Micros(0)
    notional_step: Micros = Micros(0)
    payout: Micros = Micros(0)
    volume: Micros = Micros(0)
    ticker: TickerInfo | None = None
    generation: str = ""
    negative_risk: bool = False
    shard: int = 0
    taker_delay_ms: int = 0
    last_trades: tuple[TradeInfo, ...] = ()


class EventMarketInfo(msgspec.Struct, frozen=True):
    market_id: str
    title: str
    status: str


class EventInfo(msgspec.Struct, frozen=True):
    """What a venue groups markets by. `markets` are the first 1,000 of `market_count`.

    `at_most_one`: the venue says that no two resolve YES; `at_least_one`: it says that one must. False: it does not say so.
    """

    venue: str
    event_id: str
    title: str
    category: str
    series: str
    at_most_one: bool
    at_least_one: bool
    settlement_sources: tuple[str, ...]
    closes_ms: int
    markets: tuple[EventMarketInfo, ...]
    market_count: int


class BookInfo(msgspec.Struct, frozen=True):
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    fresh: bool
    age_ms: int
    outcome: OutcomeKey
    last_trade: TradeInfo | None = None
    """In `get_book` alone."""


class BooksUpdate(msgspec.Struct, frozen=True):
    """All books that were asked for and have been seen, or those that changed, each whole."""

    snapshot: bool
    books: "tuple[BookInfo, ...]"
    sequence: int
    conflated: int
    more: bool = False
    resumed: bool = False


class TradesUpdate(msgspec.Struct, frozen=True):
    """The newest trade of each outcome that was asked for and has seen one (`snapshot`), or what was traded.

    `conflated`: so many trades since the last update are not told, as newer ones of the same outcome took their place.
    """

    snapshot: bool
    trades: tuple[TradeInfo, ...]
    sequence: int
    conflated: int
    more: bool = False
    resumed: bool = False


class PairInfo(msgspec.Struct, frozen=True):
    """The same proposition on two venues. `equals`: YES of the first market with what pays when it pays, then NO with its own."""

    id: str
    title: str
    titles: tuple[str, str]
    equals: tuple[tuple[OutcomeKey, OutcomeKey], ...]


class FeedLineInfo(msgspec.Struct, frozen=True):
    """One connection to a venue. `alive_age_ms`: since its last sign of life; None: there was none."""

    line: int
    connected: bool
    alive_age_ms: int | None
    problem: str
    books: int
    trusted: int
    fresh: int
    oldest_proof_ms: int


class FeedInfo(msgspec.Struct, frozen=True):
    """How the market data of one venue is. Of its `books` so many are `trusted` (no doubt about them) and `fresh` (may be acted on).

    `oldest_proof_ms`: of the trusted books, the one that was last proved to be true longest ago. `catalogue_age_ms`: None before it
    was read whole once. `counters` are the connector's since its start, and empty for who is no operator.
    """

    venue: str
    connected: bool
    problem: str
    markets: int
    followed: int
    books: int
    trusted: int
    fresh: int
    oldest_proof_ms: int
    catalogue_age_ms: int | None
    catalogue_problem: str
    lines: tuple[FeedLineInfo, ...]
    counters: dict[str, int]
