"""ArbiterClient: Arbiter's API for trio programs, typed. The bot, `watch` and the examples are built on it.

    async with ArbiterClient.open("127.0.0.1:50051") as client:
        await client.authenticate(api_key)
        for position in await client.get_positions():
            print(position.title, position.size)

Over the network always with TLS: `ArbiterClient.open("https://arbiter.example.com:50051")`, or with `ca=` (and `cert=`, `key=` where the
server wants a client certificate) for an authority of one's own. There is no way to leave the verification away.

Money is `int` micros, as everywhere. Errors are those of `client_errors`. A call made under `caused_by(id)` sends that id
along, so that the server's log lines of it can be found.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, TypeVar

import trio

from arbiter.domain.book import Side
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.order import TimeInForce
from arbiter.rpc import client_types as types
from arbiter.rpc.answer_blocks import CORRELATION_METADATA
from arbiter.rpc.channel import Channel, connect, connect_local
from arbiter.rpc.client_address import read_address
from arbiter.rpc.client_errors import (
    ArbiterClientError,
    AuthenticationError,
    InvalidRequestError,
    NotConnected,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
)
from arbiter.rpc.client_tls import ClientTls
from arbiter.rpc.client_types import Opportunity, OrderInfo, PositionInfo, PositionsUpdate, Profile
from arbiter.runtime.correlation import correlation
from arbiter.v1 import admin_pb2, market_pb2, strategy_pb2, trading_pb2, user_pb2

__all__ = [
    "ArbiterClient",
    "ArbiterClientError",
    "AuthenticationError",
    "InvalidRequestError",
    "NotConnected",
    "NotFoundError",
    "NotPermittedError",
    "Opportunity",
    "OrderInfo",
    "PositionInfo",
    "PositionsUpdate",
    "Profile",
    "RateLimitError",
    "RefusedError",
    "UnavailableError",
    "UncertainError",
]

M = TypeVar("M")
R = TypeVar("R")

CALL_SECONDS = 10.0
ARBITRAGE = "arbitrage"


class ArbiterClient:
    """One connection with a managed life. `open` is the short form of `connect` and `close`.

    The address is `host:port` in clear, `https://host:port` over TLS, or `unix:` and the path of a socket file. `ca`, `cert` and `key`
    name PEM files (see `client_tls.py`) and mean TLS too; they are read at each `connect`.
    """

    def __init__(
        self, address: str, *, token: str = "", call_seconds: float = CALL_SECONDS, ca: str = "", cert: str = "", key: str = ""
    ) -> None:
        self._text = address
        self._address = read_address(address)
        self._tls = ClientTls(ca, cert, key)
        self._token = token
        self._refresh_token = ""
        self._code = ""
        self._seconds = call_seconds
        self._stack: AsyncExitStack | None = None
        self._channel: Channel | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, address: str, *, token: str = "", call_seconds: float = CALL_SECONDS, ca: str = "", cert: str = "", key: str = ""
    ) -> AsyncIterator["ArbiterClient"]:
        """A connected client for the length of the block."""
        client = cls(address, token=token, call_seconds=call_seconds, ca=ca, cert=cert, key=key)
        await client.connect()
        try:
            yield client
        finally:
            await client.close()

    async def connect(self) -> None:
        """Connect; again after `close`. Raises NotConnected, and ArbiterClientError where a PEM file cannot be used."""
        await self.close()
        stack, address = AsyncExitStack(), self._address
        if address.path:
            channel = connect_local(address.path)
        else:
            secure = address.tls or any(self._tls)
            context = await trio.to_thread.run_sync(self._tls.context, abandon_on_cancel=True) if secure else None
            channel = connect(address.host, address.port, context)
        self._channel = await stack.enter_async_context(channel)
        self._stack = stack

    async def close(self) -> None:
        """End the connection and every call on it. Nothing happens where there is none."""
        stack, self._stack, self._channel = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    # -- users --

    async def authenticate(self, api_key: str) -> str:
        """Sign in with an API key; the token is used from now on, and returned. See `refresh`."""
        reply = await self._unary("UserService/Authenticate", user_pb2.AuthRequest(api_key=api_key), user_pb2.AuthResponse)
        self._token, self._refresh_token = reply.access_token, reply.refresh_token
        return self._token

    async def refresh(self) -> str:
        """The next access token of this sign-in, used from now on, and returned. Call it one at a time, before 15 minutes are over.

        Where no answer came, call it again within 30 s. Raises AuthenticationError where the sign-in has ended: authenticate again.
        """
        request = user_pb2.RefreshTokenRequest(refresh_token=self._refresh_token)
        reply = await self._unary("UserService/RefreshToken", request, user_pb2.RefreshTokenResponse)
        self._token, self._refresh_token = reply.access_token, reply.refresh_token
        return self._token

    async def revoke_tokens(self, scope: Literal["this", "all", "others"] = "this") -> int:
        """End this sign-in, all of the caller's, or all others, with their tokens and open streams; how many ended."""
        request = user_pb2.RevokeTokensRequest(scope=types.REVOKE_SCOPES[scope])
        return int((await self._unary("UserService/RevokeTokens", request, user_pb2.RevokeTokensResponse)).ended)

    async def rotate_api_key(self) -> str:
        """A new API key. The old one and all other sign-ins end; this one goes on, so that a lost answer can be repeated."""
        return str((await self._unary("UserService/RotateApiKey", user_pb2.RotateApiKeyRequest(), user_pb2.RotateApiKeyResponse)).api_key)

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
        reply = await self._unary("UserService/GetTotpStatus", user_pb2.TotpStatusRequest(), user_pb2.TotpStatusResponse)
        return types.TotpStatus(reply.enrolled, reply.recovery_codes_left, reply.since_unix_ms)

    def with_code(self, code: str) -> "ArbiterClient":
        """A client on this same connection that sends a code of the authenticator, for one call. Close only this one."""
        other = self.acting_as(self._token)
        other._code = code
        return other

    async def authenticate_bot(self, credential: str, telegram_id: int) -> tuple[str, int]:
        """For the Telegram bridge: a token for the account linked to this Telegram id, and when it expires (UTC ms).

        The token is returned, not used: see `acting_as`. Raises NotFoundError when nobody is linked.
        """
        request = user_pb2.AuthRequest(bot=user_pb2.BotLogin(credential=credential, telegram_id=telegram_id))
        reply = await self._unary("UserService/Authenticate", request, user_pb2.AuthResponse)
        return reply.access_token, int(reply.expires_unix_ms)

    def acting_as(self, token: str) -> "ArbiterClient":
        """A client on this same connection that sends another token. It ends with this one; close only this one."""
        other = ArbiterClient(self._text, token=token, call_seconds=self._seconds)
        other._channel = self._channel
        return other

    async def create_link_code(self) -> types.LinkCode:
        """A one-time code that links a Telegram account to the caller."""
        return types.link_code(
            await self._unary("UserService/CreateLinkCode", user_pb2.CreateLinkCodeRequest(), user_pb2.CreateLinkCodeResponse)
        )

    async def redeem_link_code(self, credential: str, code: str, telegram_id: int, telegram_name: str) -> str:
        """For the Telegram bridge: link; answers with the account's name. NotFoundError for a code that is not valid."""
        request = user_pb2.RedeemLinkCodeRequest(credential=credential, code=code, telegram_id=telegram_id, telegram_name=telegram_name)
        reply = await self._unary("UserService/RedeemLinkCode", request, user_pb2.RedeemLinkCodeResponse)
        return str(reply.name)

    async def unlink(self) -> bool:
        """Take the caller's Telegram account off; whether there was one."""
        reply = await self._unary("UserService/Unlink", user_pb2.UnlinkRequest(), user_pb2.UnlinkResponse)
        return bool(reply.was_linked)

    async def get_profile(self) -> Profile:
        """Who the caller is, and what their tier allows."""
        return types.profile(await self._unary("UserService/GetProfile", user_pb2.ProfileRequest(), user_pb2.ProfileResponse))

    async def update_settings(self, *, min_edge: int) -> int:
        """Set the least net profit a contract worth showing (micros); answers with what is in force."""
        settings = user_pb2.UserSettings(min_edge_micros=min_edge)
        reply = await self._unary("UserService/UpdateSettings", user_pb2.SettingsRequest(settings=settings), user_pb2.SettingsResponse)
        return int(reply.settings.min_edge_micros)

    async def get_overview(self) -> types.Overview:
        """Profile, trading state, strategies, wallet and positions in one call."""
        return types.overview(await self._unary("TradingService/GetOverview", trading_pb2.OverviewRequest(), trading_pb2.OverviewResponse))

    # -- trading --

    async def get_positions(self) -> list[PositionInfo]:
        """The open positions, valued now."""
        reply = await self._unary("TradingService/GetPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionsResponse)
        return [types.position(each) for each in reply.positions]

    async def place_order(
        self, outcome: OutcomeKey, side: Side, price: int, size: int, *, idempotency_key: str, tif: TimeInForce = TimeInForce.IOC
    ) -> OrderInfo:
        """Place an order (micros). The same key returns the same order, so a call may be repeated after an UncertainError."""
        request = trading_pb2.OrderRequest(
            idempotency_key=idempotency_key,
            outcome=types.outcome_ref(outcome),
            side=types.SIDES[side],
            price_micros=price,
            size_micros=size,
            time_in_force=types.TIFS[tif],
        )
        return types.order((await self._unary("TradingService/PlaceOrder", request, trading_pb2.OrderResponse)).order)

    async def cancel_order(self, order_id: str) -> OrderInfo:
        """Take an order back; a final one is returned as it ended."""
        request = trading_pb2.CancelRequest(order_id=order_id)
        return types.order((await self._unary("TradingService/CancelOrder", request, trading_pb2.CancelResponse)).order)

    async def get_wallet(self) -> types.Wallet:
        """Cash by venue, and what the positions are worth."""
        return types.wallet(await self._unary("TradingService/GetWallet", trading_pb2.WalletRequest(), trading_pb2.WalletResponse))

    async def emergency_stop(self, reason: str = "") -> types.StopReport:
        """Stop all trading of the caller: no new orders, open orders cancelled, strategies off. Safe to repeat."""
        request = trading_pb2.EmergencyStopRequest(reason=reason)
        return types.stop_report(await self._unary("TradingService/EmergencyStop", request, trading_pb2.EmergencyStopResponse))

    async def resume_trading(self) -> None:
        """Lift an emergency stop. Strategies stay off. Trading stays stopped where operators stopped it for everybody."""
        request = trading_pb2.ResumeTradingRequest(confirm=True)
        await self._unary("TradingService/ResumeTrading", request, trading_pb2.ResumeTradingResponse)

    async def get_trading_state(self) -> types.TradingStateInfo:
        """Whether the caller's trading goes on."""
        request = trading_pb2.TradingStateRequest()
        return types.trading_state(await self._unary("TradingService/GetTradingState", request, trading_pb2.TradingStateResponse))

    @asynccontextmanager
    async def stream_positions(self) -> AsyncIterator[AsyncIterator[PositionsUpdate]]:
        """All positions first, then each change; the call ends with the block."""
        request = trading_pb2.PositionsRequest()
        async with self._stream("TradingService/StreamPositions", request, trading_pb2.PositionUpdate, types.positions_update) as updates:
            yield updates

    # -- strategies --

    async def list_strategies(self) -> dict[str, bool]:
        """Every strategy by name, and whether the caller has it switched on."""
        reply = await self._unary("StrategyService/ListStrategies", strategy_pb2.ListRequest(), strategy_pb2.StrategiesResponse)
        return types.strategies(reply.strategies)

    async def set_arb_enabled(self, enabled: bool) -> bool:
        """Switch arbitrage on or off for the caller; answers with what is in force."""
        verb: Literal["Enable", "Disable"] = "Enable" if enabled else "Disable"
        request = strategy_pb2.StrategyRequest(name=ARBITRAGE)
        reply = await self._unary(f"StrategyService/{verb}Strategy", request, strategy_pb2.StrategyResponse)
        return bool(reply.strategy.enabled)

    @asynccontextmanager
    async def stream_opportunities(self, *, min_net_per_contract: int = 0) -> AsyncIterator[AsyncIterator[Opportunity]]:
        """What is open first, then each opening, change and end; the call ends with the block."""
        request = strategy_pb2.ArbRequest(min_net_per_contract_micros=min_net_per_contract)
        async with self._stream("StrategyService/GetArbOpportunities", request, strategy_pb2.ArbOpportunity, types.opportunity) as updates:
            yield updates

    # -- markets, operators --

    async def search_markets(self, words: str = "", limit: int = 0) -> list[types.MarketInfo]:
        """Markets whose titles hold every word."""
        request = market_pb2.SearchMarketsRequest(words=words, limit=limit)
        reply = await self._unary("MarketService/SearchMarkets", request, market_pb2.SearchMarketsResponse)
        return [types.market(each) for each in reply.markets]

    async def get_market(self, venue: str, market_id: str) -> types.MarketInfo:
        """One market."""
        request = market_pb2.GetMarketRequest(venue=venue, market_id=market_id)
        return types.market(await self._unary("MarketService/GetMarket", request, market_pb2.Market))

    async def get_book(self, outcome: OutcomeKey) -> types.BookInfo:
        """An outcome's book as it is now."""
        request = market_pb2.GetBookRequest(outcome=types.outcome_ref(outcome))
        return types.book(await self._unary("MarketService/GetBook", request, market_pb2.Book))

    async def list_actors(self) -> list[types.ActorInfo]:
        """The supervision tree, for operators."""
        reply = await self._unary("AdminService/ListActors", admin_pb2.ListActorsRequest(), admin_pb2.ListActorsResponse)
        return [types.actor(each) for each in reply.actors]

    # -- calls --

    async def _unary(self, path: str, request: Any, reply: type[M]) -> M:
        return await self._connected().unary(f"arbiter.v1.{path}", request, reply, self._metadata(), self._seconds)

    @asynccontextmanager
    async def _stream(self, path: str, request: Any, reply: type[M], read: Callable[[M], R]) -> AsyncIterator[AsyncIterator[R]]:
        async with self._connected().stream(f"arbiter.v1.{path}", request, reply, self._metadata(), read) as messages:
            yield messages

    def _connected(self) -> Channel:
        if self._channel is None:
            raise NotConnected("the client is not connected; call connect() first")
        return self._channel

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        cause = correlation.get()
        token = (("authorization", f"Bearer {self._token}"),) if self._token else ()
        code = (("x-totp", self._code),) if self._code else ()
        return (*token, *code, (CORRELATION_METADATA, cause)) if cause else (*token, *code)
