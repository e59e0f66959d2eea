from arbiter.v1 import market_pb2 as _market_pb2
from arbiter.v1 import strategy_pb2 as _strategy_pb2
from arbiter.v1 import user_pb2 as _user_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OrderState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_STATE_UNSPECIFIED: _ClassVar[OrderState]
    ORDER_STATE_PENDING: _ClassVar[OrderState]
    ORDER_STATE_SUBMITTING: _ClassVar[OrderState]
    ORDER_STATE_OPEN: _ClassVar[OrderState]
    ORDER_STATE_PARTIALLY_FILLED: _ClassVar[OrderState]
    ORDER_STATE_FILLED: _ClassVar[OrderState]
    ORDER_STATE_CANCELLING: _ClassVar[OrderState]
    ORDER_STATE_CANCELLED: _ClassVar[OrderState]
    ORDER_STATE_REJECTED: _ClassVar[OrderState]
    ORDER_STATE_EXPIRED: _ClassVar[OrderState]
    ORDER_STATE_UNKNOWN: _ClassVar[OrderState]

class TradingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRADING_STATE_UNSPECIFIED: _ClassVar[TradingState]
    TRADING_STATE_ACTIVE: _ClassVar[TradingState]
    TRADING_STATE_REDUCING: _ClassVar[TradingState]
    TRADING_STATE_HALTED: _ClassVar[TradingState]
ORDER_STATE_UNSPECIFIED: OrderState
ORDER_STATE_PENDING: OrderState
ORDER_STATE_SUBMITTING: OrderState
ORDER_STATE_OPEN: OrderState
ORDER_STATE_PARTIALLY_FILLED: OrderState
ORDER_STATE_FILLED: OrderState
ORDER_STATE_CANCELLING: OrderState
ORDER_STATE_CANCELLED: OrderState
ORDER_STATE_REJECTED: OrderState
ORDER_STATE_EXPIRED: OrderState
ORDER_STATE_UNKNOWN: OrderState
TRADING_STATE_UNSPECIFIED: TradingState
TRADING_STATE_ACTIVE: TradingState
TRADING_STATE_REDUCING: TradingState
TRADING_STATE_HALTED: TradingState

class PositionsRequest(_message.Message):
    __slots__ = ("resume_after",)
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    resume_after: _market_pb2.Cursor
    def __init__(self, resume_after: _Optional[_Union[_market_pb2.Cursor, _Mapping]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("outcome", "title", "label", "size_micros", "cost_micros", "realised_pnl_micros", "fees_micros", "marked", "mark_price_micros", "unrealised_pnl_micros", "exit_value_micros")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    COST_MICROS_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_MICROS_FIELD_NUMBER: _ClassVar[int]
    FEES_MICROS_FIELD_NUMBER: _ClassVar[int]
    MARKED_FIELD_NUMBER: _ClassVar[int]
    MARK_PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_PNL_MICROS_FIELD_NUMBER: _ClassVar[int]
    EXIT_VALUE_MICROS_FIELD_NUMBER: _ClassVar[int]
    outcome: _market_pb2.OutcomeRef
    title: str
    label: str
    size_micros: int
    cost_micros: int
    realised_pnl_micros: int
    fees_micros: int
    marked: bool
    mark_price_micros: int
    unrealised_pnl_micros: int
    exit_value_micros: int
    def __init__(self, outcome: _Optional[_Union[_market_pb2.OutcomeRef, _Mapping]] = ..., title: _Optional[str] = ..., label: _Optional[str] = ..., size_micros: _Optional[int] = ..., cost_micros: _Optional[int] = ..., realised_pnl_micros: _Optional[int] = ..., fees_micros: _Optional[int] = ..., marked: _Optional[bool] = ..., mark_price_micros: _Optional[int] = ..., unrealised_pnl_micros: _Optional[int] = ..., exit_value_micros: _Optional[int] = ...) -> None: ...

class PositionsResponse(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    def __init__(self, positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ...) -> None: ...

class PositionUpdate(_message.Message):
    __slots__ = ("snapshot", "positions", "sequence", "at_unix_ms", "conflated", "cursor", "more")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    snapshot: bool
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    sequence: int
    at_unix_ms: int
    conflated: int
    cursor: _market_pb2.Cursor
    more: bool
    def __init__(self, snapshot: _Optional[bool] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., sequence: _Optional[int] = ..., at_unix_ms: _Optional[int] = ..., conflated: _Optional[int] = ..., cursor: _Optional[_Union[_market_pb2.Cursor, _Mapping]] = ..., more: _Optional[bool] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("order_id", "outcome", "side", "price_micros", "size_micros", "filled_micros", "time_in_force", "state", "reason", "created_unix_ms", "updated_unix_ms", "idempotency_key", "strategy")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    FILLED_MICROS_FIELD_NUMBER: _ClassVar[int]
    TIME_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    outcome: _market_pb2.OutcomeRef
    side: _market_pb2.Side
    price_micros: int
    size_micros: int
    filled_micros: int
    time_in_force: _market_pb2.TimeInForce
    state: OrderState
    reason: str
    created_unix_ms: int
    updated_unix_ms: int
    idempotency_key: str
    strategy: str
    def __init__(self, order_id: _Optional[str] = ..., outcome: _Optional[_Union[_market_pb2.OutcomeRef, _Mapping]] = ..., side: _Optional[_Union[_market_pb2.Side, str]] = ..., price_micros: _Optional[int] = ..., size_micros: _Optional[int] = ..., filled_micros: _Optional[int] = ..., time_in_force: _Optional[_Union[_market_pb2.TimeInForce, str]] = ..., state: _Optional[_Union[OrderState, str]] = ..., reason: _Optional[str] = ..., created_unix_ms: _Optional[int] = ..., updated_unix_ms: _Optional[int] = ..., idempotency_key: _Optional[str] = ..., strategy: _Optional[str] = ...) -> None: ...

class OrderRequest(_message.Message):
    __slots__ = ("idempotency_key", "outcome", "side", "price_micros", "size_micros", "time_in_force")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    PRICE_MICROS_FIELD_NUMBER: _ClassVar[int]
    SIZE_MICROS_FIELD_NUMBER: _ClassVar[int]
    TIME_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    outcome: _market_pb2.OutcomeRef
    side: _market_pb2.Side
    price_micros: int
    size_micros: int
    time_in_force: _market_pb2.TimeInForce
    def __init__(self, idempotency_key: _Optional[str] = ..., outcome: _Optional[_Union[_market_pb2.OutcomeRef, _Mapping]] = ..., side: _Optional[_Union[_market_pb2.Side, str]] = ..., price_micros: _Optional[int] = ..., size_micros: _Optional[int] = ..., time_in_force: _Optional[_Union[_market_pb2.TimeInForce, str]] = ...) -> None: ...

class OrderResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: Order
    def __init__(self, order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class GetOrderRequest(_message.Message):
    __slots__ = ("order_id",)
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    def __init__(self, order_id: _Optional[str] = ...) -> None: ...

class ListOrdersRequest(_message.Message):
    __slots__ = ("states", "page_size", "page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[OrderState]
    page_size: int
    page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[OrderState, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListOrdersResponse(_message.Message):
    __slots__ = ("orders", "next_page_token")
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    next_page_token: str
    def __init__(self, orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StreamOrdersRequest(_message.Message):
    __slots__ = ("resume_after",)
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    resume_after: _market_pb2.Cursor
    def __init__(self, resume_after: _Optional[_Union[_market_pb2.Cursor, _Mapping]] = ...) -> None: ...

class OrderUpdate(_message.Message):
    __slots__ = ("snapshot", "orders", "sequence", "at_unix_ms", "conflated", "cursor", "more")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    snapshot: bool
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    sequence: int
    at_unix_ms: int
    conflated: int
    cursor: _market_pb2.Cursor
    more: bool
    def __init__(self, snapshot: _Optional[bool] = ..., orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ..., sequence: _Optional[int] = ..., at_unix_ms: _Optional[int] = ..., conflated: _Optional[int] = ..., cursor: _Optional[_Union[_market_pb2.Cursor, _Mapping]] = ..., more: _Optional[bool] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("order_id",)
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    def __init__(self, order_id: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("order",)
    ORDER_FIELD_NUMBER: _ClassVar[int]
    order: Order
    def __init__(self, order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class WalletRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CashPool(_message.Message):
    __slots__ = ("venue", "cash_micros", "reserved_micros", "available_micros")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MICROS_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_MICROS_FIELD_NUMBER: _ClassVar[int]
    venue: str
    cash_micros: int
    reserved_micros: int
    available_micros: int
    def __init__(self, venue: _Optional[str] = ..., cash_micros: _Optional[int] = ..., reserved_micros: _Optional[int] = ..., available_micros: _Optional[int] = ...) -> None: ...

class WalletResponse(_message.Message):
    __slots__ = ("pools", "cash_micros", "positions_exit_micros", "realised_pnl_micros", "unrealised_pnl_micros", "unmarked_positions")
    POOLS_FIELD_NUMBER: _ClassVar[int]
    CASH_MICROS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_EXIT_MICROS_FIELD_NUMBER: _ClassVar[int]
    REALISED_PNL_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNREALISED_PNL_MICROS_FIELD_NUMBER: _ClassVar[int]
    UNMARKED_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[CashPool]
    cash_micros: int
    positions_exit_micros: int
    realised_pnl_micros: int
    unrealised_pnl_micros: int
    unmarked_positions: int
    def __init__(self, pools: _Optional[_Iterable[_Union[CashPool, _Mapping]]] = ..., cash_micros: _Optional[int] = ..., positions_exit_micros: _Optional[int] = ..., realised_pnl_micros: _Optional[int] = ..., unrealised_pnl_micros: _Optional[int] = ..., unmarked_positions: _Optional[int] = ...) -> None: ...

class EmergencyStopRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class EmergencyStopResponse(_message.Message):
    __slots__ = ("state", "durable", "cancelled_orders", "uncertain_order_ids", "disabled_strategies", "orders_unconfirmed", "strategies_unconfirmed")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_ORDERS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_ORDER_IDS_FIELD_NUMBER: _ClassVar[int]
    DISABLED_STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    ORDERS_UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    STRATEGIES_UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    state: TradingState
    durable: bool
    cancelled_orders: int
    uncertain_order_ids: _containers.RepeatedScalarFieldContainer[str]
    disabled_strategies: _containers.RepeatedScalarFieldContainer[str]
    orders_unconfirmed: bool
    strategies_unconfirmed: bool
    def __init__(self, state: _Optional[_Union[TradingState, str]] = ..., durable: _Optional[bool] = ..., cancelled_orders: _Optional[int] = ..., uncertain_order_ids: _Optional[_Iterable[str]] = ..., disabled_strategies: _Optional[_Iterable[str]] = ..., orders_unconfirmed: _Optional[bool] = ..., strategies_unconfirmed: _Optional[bool] = ...) -> None: ...

class ResumeTradingRequest(_message.Message):
    __slots__ = ("confirm",)
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    confirm: bool
    def __init__(self, confirm: _Optional[bool] = ...) -> None: ...

class ResumeTradingResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: TradingState
    def __init__(self, state: _Optional[_Union[TradingState, str]] = ...) -> None: ...

class TradingStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TradingStateResponse(_message.Message):
    __slots__ = ("state", "since_unix_ms", "reason", "by_operator", "own_state")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_OPERATOR_FIELD_NUMBER: _ClassVar[int]
    OWN_STATE_FIELD_NUMBER: _ClassVar[int]
    state: TradingState
    since_unix_ms: int
    reason: str
    by_operator: bool
    own_state: TradingState
    def __init__(self, state: _Optional[_Union[TradingState, str]] = ..., since_unix_ms: _Optional[int] = ..., reason: _Optional[str] = ..., by_operator: _Optional[bool] = ..., own_state: _Optional[_Union[TradingState, str]] = ...) -> None: ...

class OverviewRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OverviewResponse(_message.Message):
    __slots__ = ("profile", "trading", "strategies", "wallet", "positions")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    TRADING_FIELD_NUMBER: _ClassVar[int]
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    WALLET_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    profile: _user_pb2.ProfileResponse
    trading: TradingStateResponse
    strategies: _containers.RepeatedCompositeFieldContainer[_strategy_pb2.Strategy]
    wallet: WalletResponse
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    def __init__(self, profile: _Optional[_Union[_user_pb2.ProfileResponse, _Mapping]] = ..., trading: _Optional[_Union[TradingStateResponse, _Mapping]] = ..., strategies: _Optional[_Iterable[_Union[_strategy_pb2.Strategy, _Mapping]]] = ..., wallet: _Optional[_Union[WalletResponse, _Mapping]] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ...) -> None: ...
