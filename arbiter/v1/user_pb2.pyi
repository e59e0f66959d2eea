from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RevokeScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVOKE_SCOPE_UNSPECIFIED: _ClassVar[RevokeScope]
    REVOKE_SCOPE_THIS: _ClassVar[RevokeScope]
    REVOKE_SCOPE_ALL: _ClassVar[RevokeScope]
    REVOKE_SCOPE_OTHERS: _ClassVar[RevokeScope]
REVOKE_SCOPE_UNSPECIFIED: RevokeScope
REVOKE_SCOPE_THIS: RevokeScope
REVOKE_SCOPE_ALL: RevokeScope
REVOKE_SCOPE_OTHERS: RevokeScope

class AuthRequest(_message.Message):
    __slots__ = ("api_key", "bot")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    BOT_FIELD_NUMBER: _ClassVar[int]
    api_key: str
    bot: BotLogin
    def __init__(self, api_key: _Optional[str] = ..., bot: _Optional[_Union[BotLogin, _Mapping]] = ...) -> None: ...

class BotLogin(_message.Message):
    __slots__ = ("credential", "telegram_id")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    TELEGRAM_ID_FIELD_NUMBER: _ClassVar[int]
    credential: str
    telegram_id: int
    def __init__(self, credential: _Optional[str] = ..., telegram_id: _Optional[int] = ...) -> None: ...

class AuthResponse(_message.Message):
    __slots__ = ("access_token", "expires_unix_ms", "user_id", "refresh_token", "refresh_expires_unix_ms")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REFRESH_EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    expires_unix_ms: int
    user_id: str
    refresh_token: str
    refresh_expires_unix_ms: int
    def __init__(self, access_token: _Optional[str] = ..., expires_unix_ms: _Optional[int] = ..., user_id: _Optional[str] = ..., refresh_token: _Optional[str] = ..., refresh_expires_unix_ms: _Optional[int] = ...) -> None: ...

class RefreshTokenRequest(_message.Message):
    __slots__ = ("refresh_token",)
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    refresh_token: str
    def __init__(self, refresh_token: _Optional[str] = ...) -> None: ...

class RefreshTokenResponse(_message.Message):
    __slots__ = ("access_token", "expires_unix_ms", "refresh_token", "refresh_expires_unix_ms")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REFRESH_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REFRESH_EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    expires_unix_ms: int
    refresh_token: str
    refresh_expires_unix_ms: int
    def __init__(self, access_token: _Optional[str] = ..., expires_unix_ms: _Optional[int] = ..., refresh_token: _Optional[str] = ..., refresh_expires_unix_ms: _Optional[int] = ...) -> None: ...

class RevokeTokensRequest(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: RevokeScope
    def __init__(self, scope: _Optional[_Union[RevokeScope, str]] = ...) -> None: ...

class RevokeTokensResponse(_message.Message):
    __slots__ = ("ended",)
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ended: int
    def __init__(self, ended: _Optional[int] = ...) -> None: ...

class RotateApiKeyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotateApiKeyResponse(_message.Message):
    __slots__ = ("api_key",)
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    api_key: str
    def __init__(self, api_key: _Optional[str] = ...) -> None: ...

class EnrolTotpRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EnrolTotpResponse(_message.Message):
    __slots__ = ("secret", "address", "expires_unix_ms")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    secret: str
    address: str
    expires_unix_ms: int
    def __init__(self, secret: _Optional[str] = ..., address: _Optional[str] = ..., expires_unix_ms: _Optional[int] = ...) -> None: ...

class ConfirmTotpRequest(_message.Message):
    __slots__ = ("code",)
    CODE_FIELD_NUMBER: _ClassVar[int]
    code: str
    def __init__(self, code: _Optional[str] = ...) -> None: ...

class ConfirmTotpResponse(_message.Message):
    __slots__ = ("recovery_codes",)
    RECOVERY_CODES_FIELD_NUMBER: _ClassVar[int]
    recovery_codes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, recovery_codes: _Optional[_Iterable[str]] = ...) -> None: ...

class DisableTotpRequest(_message.Message):
    __slots__ = ("code",)
    CODE_FIELD_NUMBER: _ClassVar[int]
    code: str
    def __init__(self, code: _Optional[str] = ...) -> None: ...

class DisableTotpResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TotpStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TotpStatusResponse(_message.Message):
    __slots__ = ("enrolled", "recovery_codes_left", "since_unix_ms")
    ENROLLED_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_CODES_LEFT_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    enrolled: bool
    recovery_codes_left: int
    since_unix_ms: int
    def __init__(self, enrolled: _Optional[bool] = ..., recovery_codes_left: _Optional[int] = ..., since_unix_ms: _Optional[int] = ...) -> None: ...

class ProfileRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Limits(_message.Message):
    __slots__ = ("requests_per_second", "orders_per_minute", "open_positions", "largest_position_micros", "copy_trades", "streams", "arbitrage_execution")
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ORDERS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    OPEN_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    LARGEST_POSITION_MICROS_FIELD_NUMBER: _ClassVar[int]
    COPY_TRADES_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    ARBITRAGE_EXECUTION_FIELD_NUMBER: _ClassVar[int]
    requests_per_second: int
    orders_per_minute: int
    open_positions: int
    largest_position_micros: int
    copy_trades: int
    streams: int
    arbitrage_execution: bool
    def __init__(self, requests_per_second: _Optional[int] = ..., orders_per_minute: _Optional[int] = ..., open_positions: _Optional[int] = ..., largest_position_micros: _Optional[int] = ..., copy_trades: _Optional[int] = ..., streams: _Optional[int] = ..., arbitrage_execution: _Optional[bool] = ...) -> None: ...

class TotpThreshold(_message.Message):
    __slots__ = ("above_micros",)
    ABOVE_MICROS_FIELD_NUMBER: _ClassVar[int]
    above_micros: int
    def __init__(self, above_micros: _Optional[int] = ...) -> None: ...

class UserSettings(_message.Message):
    __slots__ = ("min_edge_micros", "totp_threshold")
    MIN_EDGE_MICROS_FIELD_NUMBER: _ClassVar[int]
    TOTP_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    min_edge_micros: int
    totp_threshold: TotpThreshold
    def __init__(self, min_edge_micros: _Optional[int] = ..., totp_threshold: _Optional[_Union[TotpThreshold, _Mapping]] = ...) -> None: ...

class ProfileResponse(_message.Message):
    __slots__ = ("user_id", "name", "tier", "role", "suspended", "limits", "settings", "telegram_linked", "telegram_name")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    TELEGRAM_LINKED_FIELD_NUMBER: _ClassVar[int]
    TELEGRAM_NAME_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    name: str
    tier: str
    role: str
    suspended: bool
    limits: Limits
    settings: UserSettings
    telegram_linked: bool
    telegram_name: str
    def __init__(self, user_id: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[str] = ..., role: _Optional[str] = ..., suspended: _Optional[bool] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., settings: _Optional[_Union[UserSettings, _Mapping]] = ..., telegram_linked: _Optional[bool] = ..., telegram_name: _Optional[str] = ...) -> None: ...

class SettingsRequest(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: UserSettings
    def __init__(self, settings: _Optional[_Union[UserSettings, _Mapping]] = ...) -> None: ...

class SettingsResponse(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: UserSettings
    def __init__(self, settings: _Optional[_Union[UserSettings, _Mapping]] = ...) -> None: ...

class CreateLinkCodeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateLinkCodeResponse(_message.Message):
    __slots__ = ("code", "expires_unix_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    code: str
    expires_unix_ms: int
    def __init__(self, code: _Optional[str] = ..., expires_unix_ms: _Optional[int] = ...) -> None: ...

class RedeemLinkCodeRequest(_message.Message):
    __slots__ = ("credential", "code", "telegram_id", "telegram_name")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TELEGRAM_ID_FIELD_NUMBER: _ClassVar[int]
    TELEGRAM_NAME_FIELD_NUMBER: _ClassVar[int]
    credential: str
    code: str
    telegram_id: int
    telegram_name: str
    def __init__(self, credential: _Optional[str] = ..., code: _Optional[str] = ..., telegram_id: _Optional[int] = ..., telegram_name: _Optional[str] = ...) -> None: ...

class RedeemLinkCodeResponse(_message.Message):
    __slots__ = ("user_id", "name")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    name: str
    def __init__(self, user_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class UnlinkRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UnlinkResponse(_message.Message):
    __slots__ = ("was_linked",)
    WAS_LINKED_FIELD_NUMBER: _ClassVar[int]
    was_linked: bool
    def __init__(self, was_linked: _Optional[bool] = ...) -> None: ...
