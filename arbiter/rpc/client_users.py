"""What a client does with its account: signing in and out, the authenticator, Telegram, settings."""

from typing import Literal

from arbiter.rpc import client_read as read
from arbiter.rpc import client_types as types
from arbiter.rpc.client_calls import Repeat, Subject
from arbiter.rpc.client_types import Profile
from arbiter.v1 import user_pb2


class Users(Subject):
    """UserService."""

    async def authenticate(self, api_key: str, *, keep_key: bool = True) -> str:
        """Sign in with an API key; the token is used from now on, and returned.

        A persistent client renews it by itself: by refreshing, and where that sign-in was ended from elsewhere or refreshing came too
        late, with the key, unless `keep_key` is False. The key is kept in memory alone. Raises AuthenticationError for a wrong key, and
        RateLimitError.
        """
        await self._calls.session.sign_in(self._calls, api_key, keep_key=keep_key)
        return self._calls.session.token

    async def refresh(self) -> str:
        """The next access token of this sign-in, used from now on, and returned. A persistent client does so by itself.

        Where no answer came, call it again within 30 s. Raises AuthenticationError where the sign-in has ended: authenticate again.
        """
        await self._calls.session.exchange(self._calls)
        return self._calls.session.token

    async def revoke_tokens(self, scope: Literal["this", "all", "others"] = "this") -> int:
        """End this sign-in, all of the caller's, or all others, with their tokens and open streams; how many ended.

        After "this" and "all" the client is signed out until `authenticate`. UnavailableError: ended, but maybe not over a restart.
        """
        request = user_pb2.RevokeTokensRequest(scope=read.REVOKE_SCOPES[scope])
        if scope != "others":
            self._calls.session.end()  # before the answer, which may get lost
        return int((await self._unary("UserService/RevokeTokens", request, user_pb2.RevokeTokensResponse)).ended)

    async def rotate_api_key(self) -> str:
        """A new API key, shown this once. The old one and all other sign-ins end; this one goes on: where the answer is lost, repeat it."""
        reply = await self._unary("UserService/RotateApiKey", user_pb2.RotateApiKeyRequest(), user_pb2.RotateApiKeyResponse)
        self._calls.session.replace_key(reply.api_key)
        return str(reply.api_key)

    # -- authenticator --

    async def enrol_totp(self) -> types.NewAuthenticator:
        """A new secret for an authenticator app; it counts from `confirm_totp` on. RefusedError where one is enrolled."""
        reply = await self._unary("UserService/EnrolTotp", user_pb2.EnrolTotpRequest(), user_pb2.EnrolTotpResponse)
        return types.NewAuthenticator(reply.secret, reply.address, reply.expires_unix_ms)

    async def confirm_totp(self, code: str) -> tuple[str, ...]:
        """The recovery codes, shown once. NotPermittedError for a wrong code."""
        request = user_pb2.ConfirmTotpRequest(code=code)
        return tuple((await self._unary("UserService/ConfirmTotp", request, user_pb2.ConfirmTotpResponse)).recovery_codes)

    async def disable_totp(self, code: str) -> None:
        """Forget the authenticator. NotPermittedError for a wrong code."""
        await self._unary("UserService/DisableTotp", user_pb2.DisableTotpRequest(code=code), user_pb2.DisableTotpResponse)

    async def get_totp_status(self) -> types.TotpStatus:
        """Whether an authenticator is enrolled."""
        reply = await self._unary(
            "UserService/GetTotpStatus", user_pb2.TotpStatusRequest(), user_pb2.TotpStatusResponse, repeat=Repeat.READ
        )
        return types.TotpStatus(reply.enrolled, reply.recovery_codes_left, reply.since_unix_ms)

    async def authenticate_bot(self, credential: str, telegram_id: int) -> tuple[str, int]:
        """For the Telegram bridge: a token for the account linked to this Telegram id, and when it expires (UTC ms).

        The token is returned, not used: see `acting_as`. Raises NotFoundError when nobody is linked.
        """
        request = user_pb2.AuthRequest(bot=user_pb2.BotLogin(credential=credential, telegram_id=telegram_id))
        reply = await self._unary("UserService/Authenticate", request, user_pb2.AuthResponse, signed=False)
        return reply.access_token, int(reply.expires_unix_ms)

    async def create_link_code(self) -> types.LinkCode:
        """A one-time code that links a Telegram account to the caller."""
        return read.link_code(
            await self._unary("UserService/CreateLinkCode", user_pb2.CreateLinkCodeRequest(), user_pb2.CreateLinkCodeResponse)
        )

    async def redeem_link_code(self, credential: str, code: str, telegram_id: int, telegram_name: str) -> str:
        """For the Telegram bridge: link; answers with the account's name. NotFoundError for a code that is not valid."""
        request = user_pb2.RedeemLinkCodeRequest(credential=credential, code=code, telegram_id=telegram_id, telegram_name=telegram_name)
        reply = await self._unary("UserService/RedeemLinkCode", request, user_pb2.RedeemLinkCodeResponse, signed=False)
        return str(reply.name)

    async def unlink(self) -> bool:
        """Take the caller's Telegram account off; whether there was one."""
        reply = await self._unary("UserService/Unlink", user_pb2.UnlinkRequest(), user_pb2.UnlinkResponse)
        return bool(reply.was_linked)

    async def get_profile(self) -> Profile:
        """Who the caller is, and what their tier allows."""
        return read.profile(
            await self._unary("UserService/GetProfile", user_pb2.ProfileRequest(), user_pb2.ProfileResponse, repeat=Repeat.READ)
        )

    async def update_settings(self, *, min_edge: int, totp_threshold: int | None = None) -> int:
        """Set the least net profit a contract worth showing (micros); answers with what is in force.

        `totp_threshold`: what an order may cost before it needs a code (micros); None leaves it. Raising it needs a code itself.
        """
        threshold = None if totp_threshold is None else user_pb2.TotpThreshold(above_micros=totp_threshold)
        settings = user_pb2.UserSettings(min_edge_micros=min_edge, totp_threshold=threshold)
        reply = await self._unary("UserService/UpdateSettings", user_pb2.SettingsRequest(settings=settings), user_pb2.SettingsResponse)
        return int(reply.settings.min_edge_micros)
