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
