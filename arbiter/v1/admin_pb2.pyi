from arbiter.v1 import trading_pb2 as _trading_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListActorsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Actor(_message.Message):
    __slots__ = ("name", "state", "restarts", "last_error", "mailbox_depth", "handled", "busy_us", "longest_us", "conflated", "p99_us", "histogram", "kind", "lost")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAILBOX_DEPTH_FIELD_NUMBER: _ClassVar[int]
    HANDLED_FIELD_NUMBER: _ClassVar[int]
    BUSY_US_FIELD_NUMBER: _ClassVar[int]
    LONGEST_US_FIELD_NUMBER: _ClassVar[int]
    CONFLATED_FIELD_NUMBER: _ClassVar[int]
    P99_US_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    restarts: int
    last_error: str
    mailbox_depth: int
    handled: int
    busy_us: int
    longest_us: int
    conflated: int
    p99_us: int
    histogram: _containers.RepeatedScalarFieldContainer[int]
    kind: str
    lost: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., restarts: _Optional[int] = ..., last_error: _Optional[str] = ..., mailbox_depth: _Optional[int] = ..., handled: _Optional[int] = ..., busy_us: _Optional[int] = ..., longest_us: _Optional[int] = ..., conflated: _Optional[int] = ..., p99_us: _Optional[int] = ..., histogram: _Optional[_Iterable[int]] = ..., kind: _Optional[str] = ..., lost: _Optional[int] = ...) -> None: ...

class ListActorsResponse(_message.Message):
    __slots__ = ("actors",)
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[Actor]
    def __init__(self, actors: _Optional[_Iterable[_Union[Actor, _Mapping]]] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("user_id", "name", "tier", "role", "suspended", "telegram_linked", "strategies", "own_state")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    TELEGRAM_LINKED_FIELD_NUMBER: _ClassVar[int]
    STRATEGIES_FIELD_NUMBER: _ClassVar[int]
    OWN_STATE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    name: str
    tier: str
    role: str
    suspended: bool
    telegram_linked: bool
    strategies: _containers.RepeatedScalarFieldContainer[str]
    own_state: _trading_pb2.TradingState
    def __init__(self, user_id: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[str] = ..., role: _Optional[str] = ..., suspended: _Optional[bool] = ..., telegram_linked: _Optional[bool] = ..., strategies: _Optional[_Iterable[str]] = ..., own_state: _Optional[_Union[_trading_pb2.TradingState, str]] = ...) -> None: ...

class CreateUserRequest(_message.Message):
    __slots__ = ("user_id", "name", "tier", "role")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    name: str
    tier: str
    role: str
    def __init__(self, user_id: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[str] = ..., role: _Optional[str] = ...) -> None: ...

class CreateUserResponse(_message.Message):
    __slots__ = ("user", "api_key")
    USER_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    user: User
    api_key: str
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ..., api_key: _Optional[str] = ...) -> None: ...

class SetTierRequest(_message.Message):
    __slots__ = ("user_id", "tier")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    tier: str
    def __init__(self, user_id: _Optional[str] = ..., tier: _Optional[str] = ...) -> None: ...

class SetTierResponse(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: User
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users", "next_page_token")
    USERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    next_page_token: str
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SuspendUserRequest(_message.Message):
    __slots__ = ("user_id", "suspended")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    suspended: bool
    def __init__(self, user_id: _Optional[str] = ..., suspended: _Optional[bool] = ...) -> None: ...

class SuspendUserResponse(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: User
    def __init__(self, user: _Optional[_Union[User, _Mapping]] = ...) -> None: ...

class ForgetAuthenticatorRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class ForgetAuthenticatorResponse(_message.Message):
    __slots__ = ("had_one",)
    HAD_ONE_FIELD_NUMBER: _ClassVar[int]
    had_one: bool
    def __init__(self, had_one: _Optional[bool] = ...) -> None: ...

class HaltAllRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class HaltAllResponse(_message.Message):
    __slots__ = ("state", "durable", "cancelled_orders", "uncertain_order_ids", "uncertain_orders", "unconfirmed_venues")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_ORDERS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_ORDER_IDS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAIN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_VENUES_FIELD_NUMBER: _ClassVar[int]
    state: _trading_pb2.TradingState
    durable: bool
    cancelled_orders: int
    uncertain_order_ids: _containers.RepeatedScalarFieldContainer[str]
    uncertain_orders: int
    unconfirmed_venues: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, state: _Optional[_Union[_trading_pb2.TradingState, str]] = ..., durable: _Optional[bool] = ..., cancelled_orders: _Optional[int] = ..., uncertain_order_ids: _Optional[_Iterable[str]] = ..., uncertain_orders: _Optional[int] = ..., unconfirmed_venues: _Optional[_Iterable[str]] = ...) -> None: ...

class ResumeAllRequest(_message.Message):
    __slots__ = ("confirm",)
    CONFIRM_FIELD_NUMBER: _ClassVar[int]
    confirm: bool
    def __init__(self, confirm: _Optional[bool] = ...) -> None: ...

class ResumeAllResponse(_message.Message):
    __slots__ = ("state", "still_halted")
    STATE_FIELD_NUMBER: _ClassVar[int]
    STILL_HALTED_FIELD_NUMBER: _ClassVar[int]
    state: _trading_pb2.TradingState
    still_halted: int
    def __init__(self, state: _Optional[_Union[_trading_pb2.TradingState, str]] = ..., still_halted: _Optional[int] = ...) -> None: ...
