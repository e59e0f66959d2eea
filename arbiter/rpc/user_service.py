"""UserService: signing in, profile, settings."""

import hmac

import structlog

from arbiter.actors.accounts import ChangeSettings, CreateLinkCode, FindApiKey, FindTelegram, RedeemLinkCode, Unlink
from arbiter.domain.account import UserSettings
from arbiter.domain.money import ONE, Micros
from arbiter.errors import InvalidInput, NotAllowed, NotFound, Unauthenticated
from arbiter.rpc import codec
from arbiter.rpc.codec import text_in
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.request import Request
from arbiter.rpc.tokens import Keys, TokenAuthority, digest, split_api_key
from arbiter.v1 import user_pb2
from arbiter.v1.user_grpc import UserServiceServicer

_log = structlog.get_logger(component="accounts")


class UserService(UserServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/user.proto`."""

    def __init__(self, core: Core, tokens: TokenAuthority, keys: Keys) -> None:
        self._core = core
        self._tokens = tokens
        self._keys = keys

    async def Authenticate(self, message: user_pb2.AuthRequest, request: Request) -> user_pb2.AuthResponse:
        if message.HasField("bot"):
            return await self._authenticate_bot(message.bot, request)
        key_id, secret = split_api_key(message.api_key)
        given = digest(secret, self._keys.pepper)
        try:
            account = await self._core.accounts.ask(FindApiKey(key_id), timeout=ASK_SECONDS)
            expected = account.api_key.digest if account.api_key else b""
        except NotFound:
            account, expected = None, b""
        # compared also when there is no such key, so that time tells nothing
        if not hmac.compare_digest(given, expected) or account is None:
            raise Unauthenticated("the API key is not valid")
        token, expires = self._tokens.issue(account.user)
        return user_pb2.AuthResponse(access_token=token, expires_unix_ms=expires, user_id=account.user)

    async def _authenticate_bot(self, login: user_pb2.BotLogin, request: Request) -> user_pb2.AuthResponse:
        self._require_bot(login.credential, request)
        try:
            account = await self._core.accounts.ask(FindTelegram(login.telegram_id), timeout=ASK_SECONDS)
        except NotFound:
            raise NotFound("this Telegram account is not linked") from None
        token, expires = self._tokens.issue_to_bot(account.user, login.telegram_id)
        _log.info("token issued to the bot", user=account.user, telegram_id=login.telegram_id)
        return user_pb2.AuthResponse(access_token=token, expires_unix_ms=expires, user_id=account.user)

    def _require_bot(self, credential: str, request: Request) -> None:
        """The credential names any linked account, so it is looked at only where the connection proves who is there."""
        if not request.verified_peer:
            raise NotAllowed("the bot's credential is taken from this machine or over mutual TLS only")
        known = self._keys.bot_credential
        given = digest(credential, self._keys.pepper)
        if not hmac.compare_digest(given, known or bytes(len(given))) or not known or not credential:
            raise Unauthenticated("the bot's credential is not valid")

    async def CreateLinkCode(self, message: user_pb2.CreateLinkCodeRequest, request: Request) -> user_pb2.CreateLinkCodeResponse:
        made = await self._core.accounts.ask(CreateLinkCode(request.caller.user), timeout=ASK_SECONDS)
        return user_pb2.CreateLinkCodeResponse(code=made.code, expires_unix_ms=made.expires_ms)

    async def RedeemLinkCode(self, message: user_pb2.RedeemLinkCodeRequest, request: Request) -> user_pb2.RedeemLinkCodeResponse:
        self._require_bot(message.credential, request)
        if message.telegram_id <= 0:
            raise InvalidInput("telegram_id", "must be above 0")
        wanted = RedeemLinkCode(text_in("code", message.code), message.telegram_id, message.telegram_name)
        account = await self._core.accounts.ask(wanted, timeout=ASK_SECONDS)
        _log.info("Telegram account linked", user=account.user, telegram_id=message.telegram_id)
        return user_pb2.RedeemLinkCodeResponse(user_id=account.user, name=account.name)

    async def Unlink(self, message: user_pb2.UnlinkRequest, request: Request) -> user_pb2.UnlinkResponse:
        was_linked = await self._core.accounts.ask(Unlink(request.caller.user), timeout=ASK_SECONDS)
        return user_pb2.UnlinkResponse(was_linked=was_linked)

    async def GetProfile(self, message: user_pb2.ProfileRequest, request: Request) -> user_pb2.ProfileResponse:
        return codec.profile_out(request.caller)

    async def UpdateSettings(self, message: user_pb2.SettingsRequest, request: Request) -> user_pb2.SettingsResponse:
        if not message.HasField("settings"):
            raise InvalidInput("settings", "is required")
        edge = message.settings.min_edge_micros
        if not 0 <= edge <= ONE:
            raise InvalidInput("settings.min_edge_micros", "must be from 0 to 1,000,000")
        change = ChangeSettings(request.caller.user, UserSettings(min_edge=Micros(edge)))
        account = await self._core.accounts.ask(change, timeout=ASK_SECONDS)
        return user_pb2.SettingsResponse(settings=codec.settings_out(account.settings))
