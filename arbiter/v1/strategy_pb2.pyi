from arbiter.v1 import market_pb2 as _market_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpportunityState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPPORTUNITY_STATE_UNSPECIFIED: _ClassVar[OpportunityState]
    OPPORTUNITY_STATE_OPENED: _ClassVar[OpportunityState]
    OPPORTUNITY_STATE_UPDATED: _ClassVar[OpportunityState]
    OPPORTUNITY_STATE_CLOSED: _ClassVar[OpportunityState]
    OPPORTUNITY_STATE_SNAPSHOT: _ClassVar[OpportunityState]
OPPORTUNITY_STATE_UNSPECIFIED: OpportunityState
OPPORTUNITY_STATE_OPENED: OpportunityState
OPPORTUNITY_STATE_UPDATED: OpportunityState
OPPORTUNITY_STATE_CLOSED: OpportunityState
OPPORTUNITY_STATE_SNAPSHOT: OpportunityState

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Strategy(_message.Message):
    __slots__ = ("name", "description", "enabled", "disabled_reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    enabled: bool
    disabled_reason: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., enabled: _Optional[bool] = ..., disabled_reason: _Optional[str] = ...) -> None: ...

class StrategiesResponse(_message.Message):
    __slots__ = ("strategies",)
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    strategies: _containers.RepeatedCompositeFieldContainer[Strategy]
    def __init__(self, strategies: _Optional[_Iterable[_Union[Strategy, _Mapping]]] = ...) -> None: ...

class StrategyRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class StrategyResponse(_message.Message):
    __slots__ = ("strategy",)
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    strategy: Strategy
    def __init__(self, strategy: _Optional[_Union[Strategy, _Mapping]] = ...) -> None: ...

class ArbRequest(_message.Message):
    __slots__ = ("min_net_per_contract_micros", "resume_after")
    MIN_NET_PER_CONTRACT_MICROS_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    min_net_per_contract_micros: int
    resume_after: _market_pb2.Cursor
    def __init__(self, min_net_per_contract_micros: _Optional[int] = ..., resume_after: _Optional[_Union[_market_pb2.Cursor, _Mapping]] = ...) -> None: ...

class OpportunityLeg(_message.Message):
    __slots__ = ("outcome", "title", "label", "limit_price_micros", "size_micros", "cost_micros", "fee_micros")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEE_MICROS_FIELD_NUMBER: _ClassVar[int]
    outcome: _market_pb2.OutcomeRef
    title: str
    label: str
    limit_price_micros: int
    size_micros: int
    cost_micros: int
    fee_micros: int
    def __init__(self, outcome: _Optional[_Union[_market_pb2.OutcomeRef, _Mapping]] = ..., title: _Optional[str] = ..., label: _Optional[str] = ..., limit_price_micros: _Optional[int] = ..., size_micros: _Optional[int] = ..., cost_micros: _Optional[int] = ..., fee_micros: _Optional[int] = ...) -> None: ...

class ArbOpportunity(_message.Message):
    __slots__ = ("opportunity_id", "state", "pair_id", "title", "legs", "size_micros", "gross_micros", "net_micros", "net_per_contract_micros", "book_age_ms", "opened_unix_ms", "at_unix_ms", "duration_ms", "reason", "sequence", "conflated", "cursor")
    OPPORTUNITY_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAIR_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    GROSS_MICROS_FIELD_NUMBER: _ClassVar[int]
    NET_MICROS_FIELD_NUMBER: _ClassVar[int]
    NET_PER_CONTRACT_MICROS_FIELD_NUMBER: _ClassVar[int]
    BOOK_AGE_MS_FIELD_NUMBER: _ClassVar[int]
    OPENED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    opportunity_id: str
    state: OpportunityState
    pair_id: str
    title: str
    legs: _containers.RepeatedCompositeFieldContainer[OpportunityLeg]
    size_micros: int
    gross_micros: int
    net_micros: int
    net_per_contract_micros: int
    book_age_ms: _containers.RepeatedScalarFieldContainer[int]
    opened_unix_ms: int
    at_unix_ms: int
    duration_ms: int
    reason: str
    sequence: int
    conflated: int
    cursor: _market_pb2.Cursor
    def __init__(self, opportunity_id: _Optional[str] = ..., state: _Optional[_Union[OpportunityState, str]] = ..., pair_id: _Optional[str] = ..., title: _Optional[str] = ..., legs: _Optional[_Iterable[_Union[OpportunityLeg, _Mapping]]] = ..., size_micros: _Optional[int] = ..., gross_micros: _Optional[int] = ..., net_micros: _Optional[int] = ..., net_per_contract_micros: _Optional[int] = ..., book_age_ms: _Optional[_Iterable[int]] = ..., opened_unix_ms: _Optional[int] = ..., at_unix_ms: _Optional[int] = ..., duration_ms: _Optional[int] = ..., reason: _Optional[str] = ..., sequence: _Optional[int] = ..., conflated: _Optional[int] = ..., cursor: _Optional[_Union[_market_pb2.Cursor, _Mapping]] = ...) -> None: ...
