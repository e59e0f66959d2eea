"""UserService: signing in and out, authenticator, profile, settings, links to Telegram."""

import structlog

from arbiter.actors.accounts import ChangeSettings, CreateLinkCode, RedeemLinkCode, Unlink
from arbiter.actors.second_factors import Confirm, Disable, Enrol, GetFactor
from arbiter.domain.account import Account, UserSettings
from arbiter.domain.money import MAX_MICROS, ONE, Micros
from arbiter.errors import InvalidInput, NotAllowed
from arbiter.rpc import codec
from arbiter.rpc.audit import Audit
from arbiter.rpc.codec import text_in
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.gate import Gate
from arbiter.rpc.request import Request
from arbiter.rpc.sign_in import SignIn
from arbiter.rpc.totp_calls import LONGEST_CODE, code_audited, require_totp, require_totp_if_enrolled
from arbiter.v1 import user_pb2
from arbiter.v1.user_grpc import UserServiceServicer

_log = structlog.get_logger(component="accounts")


class UserService(UserServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/user.proto`."""

    def __init__(self, core: Core, gate: Gate, sign_in: SignIn, audit: Audit) -> None:
        self._core = core
        self._gate = gate
        self._sign_in = sign_in
        self._audit = audit

    # -- signing in and out --

    async def Authenticate(self, message: user_pb2.AuthRequest, request: Request) -> user_pb2.AuthResponse:
        if message.HasField("bot"):
            _require_proven(request)
            session = await self._sign_in.by_bot(message.bot.credential, message.bot.telegram_id, request.peer)
        else:
            session = await self._sign_in.by_api_key(message.api_key, request.peer)
        return user_pb2.AuthResponse(
            access_token=session.access,
            expires_unix_ms=session.expires_ms,
            user_id=session.user,
            refresh_token=session.refresh,
            refresh_expires_unix_ms=session.refresh_expires_ms,
        )

    async def RefreshToken(self, message: user_pb2.RefreshTokenRequest, request: Request) -> user_pb2.RefreshTokenResponse:
        session = await self._sign_in.refresh(message.refresh_token, request.peer)
        return user_pb2.RefreshTokenResponse(
            access_token=session.access,
            expires_unix_ms=session.expires_ms,
            refresh_token=session.refresh,
            refresh_expires_unix_ms=session.refresh_expires_ms,
        )

    async def RevokeTokens(self, message: user_pb2.RevokeTokensRequest, request: Request) -> user_pb2.RevokeTokensResponse:
        claims = self._gate.claims(request)
        match message.scope:
            case user_pb2.REVOKE_SCOPE_THIS:
                ended = await self._sign_in.end_this(claims)
            case user_pb2.REVOKE_SCOPE_ALL | user_pb2.REVOKE_SCOPE_OTHERS:
                ended = await self._sign_in.end_all(claims, but_this=message.scope == user_pb2.REVOKE_SCOPE_OTHERS)
            case _:
                raise InvalidInput("scope", "must be REVOKE_SCOPE_THIS, _ALL or _OTHERS")
        return user_pb2.RevokeTokensResponse(ended=ended)

    async def RotateApiKey(self, message: user_pb2.RotateApiKeyRequest, request: Request) -> user_pb2.RotateApiKeyResponse:
        claims = self._gate.claims(request)
        await require_totp_if_enrolled(self._core, request)
        return user_pb2.RotateApiKeyResponse(api_key=await self._sign_in.rotate_api_key(claims))

    # -- the authenticator --

    async def EnrolTotp(self, message: user_pb2.EnrolTotpRequest, request: Request) -> user_pb2.EnrolTotpResponse:
        account: Account = request.caller
        made = await self._core.second_factors.ask(Enrol(account.user, account.name or account.user), timeout=ASK_SECONDS)
        await self._audit.note(account.user, "secret of an authenticator shown")
        return user_pb2.EnrolTotpResponse(secret=made.secret, address=made.address, expires_unix_ms=made.expires_ms)

    async def ConfirmTotp(self, message: user_pb2.ConfirmTotpRequest, request: Request) -> user_pb2.ConfirmTotpResponse:
        user, code = request.caller.user, text_in("code", message.code, LONGEST_CODE)
        async with code_audited(self._core, user, code):
            codes = await self._core.second_factors.ask(Confirm(user, code), timeout=ASK_SECONDS)
        await self._audit.note(user, "authenticator enrolled")
        return user_pb2.ConfirmTotpResponse(recovery_codes=codes)

    async def DisableTotp(self, message: user_pb2.DisableTotpRequest, request: Request) -> user_pb2.DisableTotpResponse:
        user, code = request.caller.user, text_in("code", message.code, LONGEST_CODE)
        async with code_audited(self._core, user, code):
            await self._core.second_factors.ask(Disable(user, code), timeout=ASK_SECONDS)
        await self._audit.note(user, "authenticator disabled")
        return user_pb2.DisableTotpResponse()

    async def GetTotpStatus(self, message: user_pb2.TotpStatusRequest, request: Request) -> user_pb2.TotpStatusResponse:
        status = await self._core.second_factors.ask(GetFactor(request.caller.user), timeout=ASK_SECONDS)
        return user_pb2.TotpStatusResponse(
            enrolled=status.enrolled, recovery_codes_left=status.recovery_codes_left, since_unix_ms=status.since_ms
        )

    # -- links to Telegram --

    async def CreateLinkCode(self, message: user_pb2.CreateLinkCodeRequest, request: Request) -> user_pb2.CreateLinkCodeResponse:
        made = await self._core.accounts.ask(CreateLinkCode(request.caller.user), timeout=ASK_SECONDS)
        return user_pb2.CreateLinkCodeResponse(code=made.code, expires_unix_ms=made.expires_ms)

    async def RedeemLinkCode(self, message: user_pb2.RedeemLinkCodeRequest, request: Request) -> user_pb2.RedeemLinkCodeResponse:
        _require_proven(request)
        self._sign_in.require_bot(message.credential, request.peer)
        if message.telegram_id <= 0:
            raise InvalidInput("telegram_id", "must be above 0")
        wanted = RedeemLinkCode(text_in("code", message.code), message.telegram_id, message.telegram_name)
        account = await self._core.accounts.ask(wanted, timeout=ASK_SECONDS)
        await self._audit.note("bot", "Telegram account linked", account.user)
        _log.info("Telegram account linked", user=account.user, telegram_id=message.telegram_id)
        return user_pb2.RedeemLinkCodeResponse(user_id=account.user, name=account.name)

    async def Unlink(self, message: user_pb2.UnlinkRequest, request: Request) -> user_pb2.UnlinkResponse:
        was_linked = await self._core.accounts.ask(Unlink(request.caller.user), timeout=ASK_SECONDS)
        if was_linked:
            await self._audit.note(request.caller.user, "Telegram account unlinked")
        return user_pb2.UnlinkResponse(was_linked=was_linked)

    # -- profile and settings --

    async def GetProfile(self, message: user_pb2.ProfileRequest, request: Request) -> user_pb2.ProfileResponse:
        return codec.profile_out(request.caller)

    async def UpdateSettings(self, message: user_pb2.SettingsRequest, request: Request) -> user_pb2.SettingsResponse:
        if not message.HasField("settings"):
            raise InvalidInput("settings", "is required")
        edge = message.settings.min_edge_micros
        if not 0 <= edge <= ONE:
            raise InvalidInput("settings.min_edge_micros", "must be from 0 to 1,000,000")
        before = request.caller.settings.totp_above
        above = message.settings.totp_threshold.above_micros if message.settings.HasField("totp_threshold") else before
        if not 0 <= above <= MAX_MICROS:
            raise InvalidInput("settings.totp_threshold.above_micros", f"must be from 0 to {MAX_MICROS:,}")
        if above > before:
            await require_totp(self._core, request)
        change = ChangeSettings(request.caller.user, UserSettings(min_edge=Micros(edge), totp_above=Micros(above)))
        account = await self._core.accounts.ask(change, timeout=ASK_SECONDS)
        return user_pb2.SettingsResponse(settings=codec.settings_out(account.settings))


def _require_proven(request: Request) -> None:
    """The bridge's credential names any linked account, so it is looked at only where the connection proves who is there."""
    if not request.verified_peer:
        raise NotAllowed("the bot's credential is taken from this machine or over mutual TLS only")
