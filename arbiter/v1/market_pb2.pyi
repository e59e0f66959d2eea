from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Side(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_UNSPECIFIED: _ClassVar[Side]
    SIDE_BUY: _ClassVar[Side]
    SIDE_SELL: _ClassVar[Side]

class TimeInForce(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIME_IN_FORCE_UNSPECIFIED: _ClassVar[TimeInForce]
    TIME_IN_FORCE_GTC: _ClassVar[TimeInForce]
    TIME_IN_FORCE_IOC: _ClassVar[TimeInForce]
    TIME_IN_FORCE_FOK: _ClassVar[TimeInForce]
SIDE_UNSPECIFIED: Side
SIDE_BUY: Side
SIDE_SELL: Side
TIME_IN_FORCE_UNSPECIFIED: TimeInForce
TIME_IN_FORCE_GTC: TimeInForce
TIME_IN_FORCE_IOC: TimeInForce
TIME_IN_FORCE_FOK: TimeInForce

class OutcomeRef(_message.Message):
    __slots__ = ("venue", "market_id", "outcome_id")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    MARKET_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_ID_FIELD_NUMBER: _ClassVar[int]
    venue: str
    market_id: str
    outcome_id: str
    def __init__(self, venue: _Optional[str] = ..., market_id: _Optional[str] = ..., outcome_id: _Optional[str] = ...) -> None: ...

class PriceLevel(_message.Message):
    __slots__ = ("price_micros", "size_micros")
    PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    price_micros: int
    size_micros: int
    def __init__(self, price_micros: _Optional[int] = ..., size_micros: _Optional[int] = ...) -> None: ...

class MarketOutcome(_message.Message):
    __slots__ = ("outcome_id", "label", "last_trade")
    OUTCOME_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LAST_TRADE_FIELD_NUMBER: _ClassVar[int]
    outcome_id: str
    label: str
    last_trade: PublicTrade
    def __init__(self, outcome_id: _Optional[str] = ..., label: _Optional[str] = ..., last_trade: _Optional[_Union[PublicTrade, _Mapping]] = ...) -> None: ...

class PriceRange(_message.Message):
    __slots__ = ("start_micros", "end_micros", "step_micros")
    START_MICROS_FIELD_NUMBER: _ClassVar[int]
    END_MICROS_FIELD_NUMBER: _ClassVar[int]
    STEP_MICROS_FIELD_NUMBER: _ClassVar[int]
    start_micros: int
    end_micros: int
    step_micros: int
    def __init__(self, start_micros: _Optional[int] = ..., end_micros: _Optional[int] = ..., step_micros: _Optional[int] = ...) -> None: ...

class Market(_message.Message):
    __slots__ = ("venue", "market_id", "event_id", "title", "yes", "no", "price_ranges", "min_size_micros", "size_step_micros", "status", "closes_unix_ms", "tradable", "rules", "category", "opens_unix_ms", "resolves_unix_ms", "settlement_seconds", "settlement_sources", "resolution", "fees", "min_notional_micros", "notional_step_micros", "payout_micros", "volume_micros", "ticker", "generation", "negative_risk", "shard", "taker_delay_ms")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    MARKET_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    YES_FIELD_NUMBER: _ClassVar[int]
    NO_FIELD_NUMBER: _ClassVar[int]
    PRICE_RANGES_FIELD_NUMBER: _ClassVar[int]
    MIN_SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    SIZE_STEP_MICROS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TRADABLE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    OPENS_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    RESOLVES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_SOURCES_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    MIN_NOTIONAL_MICROS_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_STEP_MICROS_FIELD_NUMBER: _ClassVar[int]
    PAYOUT_MICROS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_MICROS_FIELD_NUMBER: _ClassVar[int]
    TICKER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_RISK_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    TAKER_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    venue: str
    market_id: str
    event_id: str
    title: str
    yes: MarketOutcome
    no: MarketOutcome
    price_ranges: _containers.RepeatedCompositeFieldContainer[PriceRange]
    min_size_micros: int
    size_step_micros: int
    status: str
    closes_unix_ms: int
    tradable: bool
    rules: str
    category: str
    opens_unix_ms: int
    resolves_unix_ms: int
    settlement_seconds: int
    settlement_sources: _containers.RepeatedScalarFieldContainer[str]
    resolution: Resolution
    fees: FeeSchedule
    min_notional_micros: int
    notional_step_micros: int
    payout_micros: int
    volume_micros: int
    ticker: Ticker
    generation: str
    negative_risk: bool
    shard: int
    taker_delay_ms: int
    def __init__(self, venue: _Optional[str] = ..., market_id: _Optional[str] = ..., event_id: _Optional[str] = ..., title: _Optional[str] = ..., yes: _Optional[_Union[MarketOutcome, _Mapping]] = ..., no: _Optional[_Union[MarketOutcome, _Mapping]] = ..., price_ranges: _Optional[_Iterable[_Union[PriceRange, _Mapping]]] = ..., min_size_micros: _Optional[int] = ..., size_step_micros: _Optional[int] = ..., status: _Optional[str] = ..., closes_unix_ms: _Optional[int] = ..., tradable: _Optional[bool] = ..., rules: _Optional[str] = ..., category: _Optional[str] = ..., opens_unix_ms: _Optional[int] = ..., resolves_unix_ms: _Optional[int] = ..., settlement_seconds: _Optional[int] = ..., settlement_sources: _Optional[_Iterable[str]] = ..., resolution: _Optional[_Union[Resolution, _Mapping]] = ..., fees: _Optional[_Union[FeeSchedule, _Mapping]] = ..., min_notional_micros: _Optional[int] = ..., notional_step_micros: _Optional[int] = ..., payout_micros: _Optional[int] = ..., volume_micros: _Optional[int] = ..., ticker: _Optional[_Union[Ticker, _Mapping]] = ..., generation: _Optional[str] = ..., negative_risk: _Optional[bool] = ..., shard: _Optional[int] = ..., taker_delay_ms: _Optional[int] = ...) -> None: ...

class Resolution(_message.Message):
    __slots__ = ("final", "void", "yes_payout_micros", "at_unix_ms")
    FINAL_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    YES_PAYOUT_MICROS_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    final: bool
    void: bool
    yes_payout_micros: int
    at_unix_ms: int
    def __init__(self, final: _Optional[bool] = ..., void: _Optional[bool] = ..., yes_payout_micros: _Optional[int] = ..., at_unix_ms: _Optional[int] = ...) -> None: ...

class FeeSchedule(_message.Message):
    __slots__ = ("known", "text", "polymarket", "kalshi")
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    POLYMARKET_FIELD_NUMBER: _ClassVar[int]
    KALSHI_FIELD_NUMBER: _ClassVar[int]
    known: bool
    text: str
    polymarket: PolymarketFees
    kalshi: KalshiFees
    def __init__(self, known: _Optional[bool] = ..., text: _Optional[str] = ..., polymarket: _Optional[_Union[PolymarketFees, _Mapping]] = ..., kalshi: _Optional[_Union[KalshiFees, _Mapping]] = ...) -> None: ...

class PolymarketFees(_message.Message):
    __slots__ = ("rate_micros", "exponent")
    RATE_MICROS_FIELD_NUMBER: _ClassVar[int]
    EXPONENT_FIELD_NUMBER: _ClassVar[int]
    rate_micros: int
    exponent: int
    def __init__(self, rate_micros: _Optional[int] = ..., exponent: _Optional[int] = ...) -> None: ...

class KalshiFees(_message.Message):
    __slots__ = ("multiplier_micros", "maker_fees", "balance_unit_micros")
    MULTIPLIER_MICROS_FIELD_NUMBER: _ClassVar[int]
    MAKER_FEES_FIELD_NUMBER: _ClassVar[int]
    BALANCE_UNIT_MICROS_FIELD_NUMBER: _ClassVar[int]
    multiplier_micros: int
    maker_fees: bool
    balance_unit_micros: int
    def __init__(self, multiplier_micros: _Optional[int] = ..., maker_fees: _Optional[bool] = ..., balance_unit_micros: _Optional[int] = ...) -> None: ...

class Ticker(_message.Message):
    __slots__ = ("best_bid_micros", "best_ask_micros", "last_price_micros", "volume_micros", "open_interest_micros", "at_unix_ms")
    BEST_BID_MICROS_FIELD_NUMBER: _ClassVar[int]
    BEST_ASK_MICROS_FIELD_NUMBER: _ClassVar[int]
    LAST_PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_MICROS_FIELD_NUMBER: _ClassVar[int]
    OPEN_INTEREST_MICROS_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    best_bid_micros: int
    best_ask_micros: int
    last_price_micros: int
    volume_micros: int
    open_interest_micros: int
    at_unix_ms: int
    def __init__(self, best_bid_micros: _Optional[int] = ..., best_ask_micros: _Optional[int] = ..., last_price_micros: _Optional[int] = ..., volume_micros: _Optional[int] = ..., open_interest_micros: _Optional[int] = ..., at_unix_ms: _Optional[int] = ...) -> None: ...

class PublicTrade(_message.Message):
    __slots__ = ("outcome", "price_micros", "size_micros", "taker_side", "at_unix_ms", "trade_id")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    TAKER_SIDE_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    outcome: OutcomeRef
    price_micros: int
    size_micros: int
    taker_side: Side
    at_unix_ms: int
    trade_id: str
    def __init__(self, outcome: _Optional[_Union[OutcomeRef, _Mapping]] = ..., price_micros: _Optional[int] = ..., size_micros: _Optional[int] = ..., taker_side: _Optional[_Union[Side, str]] = ..., at_unix_ms: _Optional[int] = ..., trade_id: _Optional[str] = ...) -> None: ...

class SearchMarketsRequest(_message.Message):
    __slots__ = ("words", "limit", "venue", "event_id", "category", "statuses", "closes_after_unix_ms", "closes_before_unix_ms", "page_token")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    CLOSES_AFTER_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_BEFORE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    words: str
    limit: int
    venue: str
    event_id: str
    category: str
    statuses: _containers.RepeatedScalarFieldContainer[str]
    closes_after_unix_ms: int
    closes_before_unix_ms: int
    page_token: str
    def __init__(self, words: _Optional[str] = ..., limit: _Optional[int] = ..., venue: _Optional[str] = ..., event_id: _Optional[str] = ..., category: _Optional[str] = ..., statuses: _Optional[_Iterable[str]] = ..., closes_after_unix_ms: _Optional[int] = ..., closes_before_unix_ms: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SearchMarketsResponse(_message.Message):
    __slots__ = ("markets", "next_page_token")
    MARKETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    markets: _containers.RepeatedCompositeFieldContainer[Market]
    next_page_token: str
    def __init__(self, markets: _Optional[_Iterable[_Union[Market, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("venue", "words", "category", "page_size", "page_token")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    venue: str
    words: str
    category: str
    page_size: int
    page_token: str
    def __init__(self, venue: _Optional[str] = ..., words: _Optional[str] = ..., category: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetEventRequest(_message.Message):
    __slots__ = ("venue", "event_id")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    venue: str
    event_id: str
    def __init__(self, venue: _Optional[str] = ..., event_id: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("venue", "event_id", "title", "category", "series", "at_most_one", "at_least_one", "settlement_sources", "closes_unix_ms", "markets", "market_count")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_ONE_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_ONE_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_SOURCES_FIELD_NUMBER: _ClassVar[int]
    CLOSES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    MARKETS_FIELD_NUMBER: _ClassVar[int]
    MARKET_COUNT_FIELD_NUMBER: _ClassVar[int]
    venue: str
    event_id: str
    title: str
    category: str
    series: str
    at_most_one: bool
    at_least_one: bool
    settlement_sources: _containers.RepeatedScalarFieldContainer[str]
    closes_unix_ms: int
    markets: _containers.RepeatedCompositeFieldContainer[EventMarket]
    market_count: int
    def __init__(self, venue: _Optional[str] = ..., event_id: _Optional[str] = ..., title: _Optional[str] = ..., category: _Optional[str] = ..., series: _Optional[str] = ..., at_most_one: _Optional[bool] = ..., at_least_one: _Optional[bool] = ..., settlement_sources: _Optional[_Iterable[str]] = ..., closes_unix_ms: _Optional[int] = ..., markets: _Optional[_Iterable[_Union[EventMarket, _Mapping]]] = ..., market_count: _Optional[int] = ...) -> None: ...

class EventMarket(_message.Message):
    __slots__ = ("market_id", "title", "status")
    MARKET_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    market_id: str
    title: str
    status: str
    def __init__(self, market_id: _Optional[str] = ..., title: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class ListFeedsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFeedsResponse(_message.Message):
    __slots__ = ("feeds",)
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    feeds: _containers.RepeatedCompositeFieldContainer[Feed]
    def __init__(self, feeds: _Optional[_Iterable[_Union[Feed, _Mapping]]] = ...) -> None: ...

class Feed(_message.Message):
    __slots__ = ("venue", "connected", "problem", "markets", "followed_markets", "books", "trusted_books", "fresh_books", "catalogue_read", "catalogue_age_ms", "catalogue_problem", "lines", "counters", "oldest_proof_ms")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VENUE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    MARKETS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWED_MARKETS_FIELD_NUMBER: _ClassVar[int]
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_BOOKS_FIELD_NUMBER: _ClassVar[int]
    FRESH_BOOKS_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_READ_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PROOF_MS_FIELD_NUMBER: _ClassVar[int]
    venue: str
    connected: bool
    problem: str
    markets: int
    followed_markets: int
    books: int
    trusted_books: int
    fresh_books: int
    catalogue_read: bool
    catalogue_age_ms: int
    catalogue_problem: str
    lines: _containers.RepeatedCompositeFieldContainer[FeedLine]
    counters: _containers.ScalarMap[str, int]
    oldest_proof_ms: int
    def __init__(self, venue: _Optional[str] = ..., connected: _Optional[bool] = ..., problem: _Optional[str] = ..., markets: _Optional[int] = ..., followed_markets: _Optional[int] = ..., books: _Optional[int] = ..., trusted_books: _Optional[int] = ..., fresh_books: _Optional[int] = ..., catalogue_read: _Optional[bool] = ..., catalogue_age_ms: _Optional[int] = ..., catalogue_problem: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[FeedLine, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ..., oldest_proof_ms: _Optional[int] = ...) -> None: ...

class FeedLine(_message.Message):
    __slots__ = ("line", "connected", "seen_alive", "alive_age_ms", "problem", "books", "trusted_books", "fresh_books", "oldest_proof_ms")
    LINE_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SEEN_ALIVE_FIELD_NUMBER: _ClassVar[int]
    ALIVE_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_BOOKS_FIELD_NUMBER: _ClassVar[int]
    FRESH_BOOKS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PROOF_MS_FIELD_NUMBER: _ClassVar[int]
    line: int
    connected: bool
    seen_alive: bool
    alive_age_ms: int
    problem: str
    books: int
    trusted_books: int
    fresh_books: int
    oldest_proof_ms: int
    def __init__(self, line: _Optional[int] = ..., connected: _Optional[bool] = ..., seen_alive: _Optional[bool] = ..., alive_age_ms: _Optional[int] = ..., problem: _Optional[str] = ..., books: _Optional[int] = ..., trusted_books: _Optional[int] = ..., fresh_books: _Optional[int] = ..., oldest_proof_ms: _Optional[int] = ...) -> None: ...

class GetMarketRequest(_message.Message):
    __slots__ = ("venue", "market_id")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    MARKET_ID_FIELD_NUMBER: _ClassVar[int]
    venue: str
    market_id: str
    def __init__(self, venue: _Optional[str] = ..., market_id: _Optional[str] = ...) -> None: ...

class GetBookRequest(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: OutcomeRef
    def __init__(self, outcome: _Optional[_Union[OutcomeRef, _Mapping]] = ...) -> None: ...

class Cursor(_message.Message):
    __slots__ = ("epoch", "sequence")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class StreamBookRequest(_message.Message):
    __slots__ = ("outcomes", "resume_after")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[OutcomeRef]
    resume_after: Cursor
    def __init__(self, outcomes: _Optional[_Iterable[_Union[OutcomeRef, _Mapping]]] = ..., resume_after: _Optional[_Union[Cursor, _Mapping]] = ...) -> None: ...

class BookUpdate(_message.Message):
    __slots__ = ("snapshot", "books", "sequence", "at_unix_ms", "conflated", "cursor", "more")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    snapshot: bool
    books: _containers.RepeatedCompositeFieldContainer[Book]
    sequence: int
    at_unix_ms: int
    conflated: int
    cursor: Cursor
    more: bool
    def __init__(self, snapshot: _Optional[bool] = ..., books: _Optional[_Iterable[_Union[Book, _Mapping]]] = ..., sequence: _Optional[int] = ..., at_unix_ms: _Optional[int] = ..., conflated: _Optional[int] = ..., cursor: _Optional[_Union[Cursor, _Mapping]] = ..., more: _Optional[bool] = ...) -> None: ...

class StreamTradesRequest(_message.Message):
    __slots__ = ("outcomes", "resume_after")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[OutcomeRef]
    resume_after: Cursor
    def __init__(self, outcomes: _Optional[_Iterable[_Union[OutcomeRef, _Mapping]]] = ..., resume_after: _Optional[_Union[Cursor, _Mapping]] = ...) -> None: ...

class TradeUpdate(_message.Message):
    __slots__ = ("snapshot", "trades", "sequence", "at_unix_ms", "conflated", "cursor", "more")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    snapshot: bool
    trades: _containers.RepeatedCompositeFieldContainer[PublicTrade]
    sequence: int
    at_unix_ms: int
    conflated: int
    cursor: Cursor
    more: bool
    def __init__(self, snapshot: _Optional[bool] = ..., trades: _Optional[_Iterable[_Union[PublicTrade, _Mapping]]] = ..., sequence: _Optional[int] = ..., at_unix_ms: _Optional[int] = ..., conflated: _Optional[int] = ..., cursor: _Optional[_Union[Cursor, _Mapping]] = ..., more: _Optional[bool] = ...) -> None: ...

class ListPairsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class PairedOutcome(_message.Message):
    __slots__ = ("outcome", "label", "same_as", "same_label")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SAME_AS_FIELD_NUMBER: _ClassVar[int]
    SAME_LABEL_FIELD_NUMBER: _ClassVar[int]
    outcome: OutcomeRef
    label: str
    same_as: OutcomeRef
    same_label: str
    def __init__(self, outcome: _Optional[_Union[OutcomeRef, _Mapping]] = ..., label: _Optional[str] = ..., same_as: _Optional[_Union[OutcomeRef, _Mapping]] = ..., same_label: _Optional[str] = ...) -> None: ...

class Pair(_message.Message):
    __slots__ = ("pair_id", "title", "title_a", "title_b", "outcomes")
    PAIR_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TITLE_A_FIELD_NUMBER: _ClassVar[int]
    TITLE_B_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    pair_id: str
    title: str
    title_a: str
    title_b: str
    outcomes: _containers.RepeatedCompositeFieldContainer[PairedOutcome]
    def __init__(self, pair_id: _Optional[str] = ..., title: _Optional[str] = ..., title_a: _Optional[str] = ..., title_b: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[PairedOutcome, _Mapping]]] = ...) -> None: ...

class ListPairsResponse(_message.Message):
    __slots__ = ("pairs", "next_page_token")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[Pair]
    next_page_token: str
    def __init__(self, pairs: _Optional[_Iterable[_Union[Pair, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Book(_message.Message):
    __slots__ = ("outcome", "bids", "asks", "fresh", "age_ms", "last_trade")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_TRADE_FIELD_NUMBER: _ClassVar[int]
    outcome: OutcomeRef
    bids: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    asks: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    fresh: bool
    age_ms: int
    last_trade: PublicTrade
    def __init__(self, outcome: _Optional[_Union[OutcomeRef, _Mapping]] = ..., bids: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ..., fresh: _Optional[bool] = ..., age_ms: _Optional[int] = ..., last_trade: _Optional[_Union[PublicTrade, _Mapping]] = ...) -> None: ...
