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
    __slots__ = ("outcome_id", "label")
    OUTCOME_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    outcome_id: str
    label: str
    def __init__(self, outcome_id: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("venue", "market_id", "event_id", "title", "yes", "no", "price_ranges", "min_size_micros", "size_step_micros", "status", "closes_unix_ms", "tradable", "rules")
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
    def __init__(self, venue: _Optional[str] = ..., market_id: _Optional[str] = ..., event_id: _Optional[str] = ..., title: _Optional[str] = ..., yes: _Optional[_Union[MarketOutcome, _Mapping]] = ..., no: _Optional[_Union[MarketOutcome, _Mapping]] = ..., price_ranges: _Optional[_Iterable[_Union[PriceRange, _Mapping]]] = ..., min_size_micros: _Optional[int] = ..., size_step_micros: _Optional[int] = ..., status: _Optional[str] = ..., closes_unix_ms: _Optional[int] = ..., tradable: _Optional[bool] = ..., rules: _Optional[str] = ...) -> None: ...

class SearchMarketsRequest(_message.Message):
    __slots__ = ("words", "limit")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    words: str
    limit: int
    def __init__(self, words: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class SearchMarketsResponse(_message.Message):
    __slots__ = ("markets",)
    MARKETS_FIELD_NUMBER: _ClassVar[int]
    markets: _containers.RepeatedCompositeFieldContainer[Market]
    def __init__(self, markets: _Optional[_Iterable[_Union[Market, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("outcome", "bids", "asks", "fresh", "age_ms")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    outcome: OutcomeRef
    bids: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    asks: _containers.RepeatedCompositeFieldContainer[PriceLevel]
    fresh: bool
    age_ms: int
    def __init__(self, outcome: _Optional[_Union[OutcomeRef, _Mapping]] = ..., bids: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[PriceLevel, _Mapping]]] = ..., fresh: _Optional[bool] = ..., age_ms: _Optional[int] = ...) -> None: ...
