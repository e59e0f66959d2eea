"""The methods of `SyncArbiterClient`, by subject: those of `ArbiterClient`, whose docstrings say more."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Literal

from arbiter.domain.book import Side
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.rpc import client_market_types as markets
from arbiter.rpc import client_types as types
from arbiter.rpc.client_streams import BookChanges, OpportunityChanges, OrderChanges, PositionChanges, TradeChanges
from arbiter.rpc.client_types import Opportunity, OrderInfo, OrdersUpdate, PositionInfo, PositionsUpdate, Profile
from arbiter.rpc.sync_calls import SyncCalls, SyncChanges


class SyncUsers(SyncCalls):
    """UserService."""

    def authenticate(self, api_key: str, *, keep_key: bool = True) -> str:
        """Sign in with an API key; the token is used from now on, and returned."""
        return self._run(lambda: self._client.authenticate(api_key, keep_key=keep_key))

    def refresh(self) -> str:
        """The next access token of this sign-in, used from now on, and returned. A persistent client does so by itself."""
        return self._run(self._client.refresh)

    def revoke_tokens(self, scope: Literal["this", "all", "others"] = "this") -> int:
        """End this sign-in, all of the caller's, or all others, with their tokens and open streams; how many ended."""
        return self._run(lambda: self._client.revoke_tokens(scope))

    def rotate_api_key(self) -> str:
        """A new API key, shown this once. The old one and all other sign-ins end; this one goes on: where the answer is lost, repeat it."""
        return self._run(self._client.rotate_api_key)

    def enrol_totp(self) -> types.NewAuthenticator:
        """A new secret for an authenticator app; it counts from `confirm_totp` on. RefusedError where one is enrolled."""
        return self._run(self._client.enrol_totp)

    def confirm_totp(self, code: str) -> tuple[str, ...]:
        """The recovery codes, shown once. NotPermittedError for a wrong code."""
        return self._run(lambda: self._client.confirm_totp(code))

    def disable_totp(self, code: str) -> None:
        """Forget the authenticator. NotPermittedError for a wrong code."""
        self._run(lambda: self._client.disable_totp(code))

    def get_totp_status(self) -> types.TotpStatus:
        """Whether an authenticator is enrolled."""
        return self._run(self._client.get_totp_status)

    def authenticate_bot(self, credential: str, telegram_id: int) -> tuple[str, int]:
        """For the Telegram bridge: a token for the account linked to this Telegram id, and when it expires (UTC ms)."""
        return self._run(lambda: self._client.authenticate_bot(credential, telegram_id))

    def create_link_code(self) -> types.LinkCode:
        """A one-time code that links a Telegram account to the caller."""
        return self._run(self._client.create_link_code)

    def redeem_link_code(self, credential: str, code: str, telegram_id: int, telegram_name: str) -> str:
        """For the Telegram bridge: link; answers with the account's name. NotFoundError for a code that is not valid."""
        return self._run(lambda: self._client.redeem_link_code(credential, code, telegram_id, telegram_name))

    def unlink(self) -> bool:
        """Take the caller's Telegram account off; whether there was one."""
        return self._run(self._client.unlink)

    def get_profile(self) -> Profile:
        """Who the caller is, and what their tier allows."""
        return self._run(self._client.get_profile)

    def update_settings(self, *, min_edge: int, totp_threshold: int | None = None) -> int:
        """Set the least net profit a contract worth showing (micros); answers with what is in force."""
        return self._run(lambda: self._client.update_settings(min_edge=min_edge, totp_threshold=totp_threshold))


class SyncTrading(SyncCalls):
    """TradingService."""

    def get_overview(self) -> types.Overview:
        """Profile, trading state, strategies, wallet and positions in one call."""
        return self._run(self._client.get_overview)

    def get_positions(self) -> list[PositionInfo]:
        """The open positions, valued now."""
        return self._run(self._client.get_positions)

    def place_order(
        self, outcome: OutcomeKey, side: Side, price: int, size: int, *, idempotency_key: str, tif: TimeInForce = TimeInForce.IOC
    ) -> OrderInfo:
        """Place an order (micros); answers when it and its first fills are durable."""
        return self._run(lambda: self._client.place_order(outcome, side, price, size, idempotency_key=idempotency_key, tif=tif))

    def cancel_order(self, order_id: str) -> OrderInfo:
        """Take an order back; a final one is returned as it ended."""
        return self._run(lambda: self._client.cancel_order(order_id))

    def get_order(self, order_id: str) -> OrderInfo:
        """One order. NotFoundError where it is not the caller's."""
        return self._run(lambda: self._client.get_order(order_id))

    def list_orders(self, states: Iterable[OrderState] = (), *, page_size: int = 0) -> Iterator[OrderInfo]:
        """The caller's orders, newest first, only those in one of these states where any are given; fetched a page at a time."""
        return self._pages(self._client.list_orders(states, page_size=page_size))

    def get_wallet(self) -> types.Wallet:
        """Cash by venue, and what the positions are worth."""
        return self._run(self._client.get_wallet)

    def emergency_stop(self, reason: str = "") -> types.StopReport:
        """Stop all trading of the caller: no new orders, open orders cancelled, strategies off. Safe to repeat."""
        return self._run(lambda: self._client.emergency_stop(reason))

    def resume_trading(self) -> None:
        """Lift an emergency stop. Strategies stay off. Trading stays stopped where operators stopped it for everybody."""
        self._run(self._client.resume_trading)

    def get_trading_state(self) -> types.TradingStateInfo:
        """Whether the caller's trading goes on."""
        return self._run(self._client.get_trading_state)

    def stream_positions(self) -> AbstractContextManager[SyncChanges[OutcomeKey, PositionInfo, PositionsUpdate]]:
        """All positions first, then each change, over lost connections too; the stream ends with the block. See `Changes`."""
        return self._stream(lambda: PositionChanges(self._client._calls))

    def stream_orders(self) -> AbstractContextManager[SyncChanges[str, OrderInfo, OrdersUpdate]]:
        """The open orders first, then each as it changes, its final state included; the same otherwise."""
        return self._stream(lambda: OrderChanges(self._client._calls))


class SyncStrategies(SyncCalls):
    """StrategyService."""

    def list_strategies(self) -> dict[str, bool]:
        """Every strategy by name, and whether the caller has it switched on."""
        return self._run(self._client.list_strategies)

    def enable_strategy(self, name: str) -> bool:
        """Switch a strategy on for the caller; answers with what is in force. NotPermittedError where the tier does not have it."""
        return self._run(lambda: self._client.enable_strategy(name))

    def disable_strategy(self, name: str) -> bool:
        """Switch it off; answers with what is in force. Works in every tier and while trading is stopped."""
        return self._run(lambda: self._client.disable_strategy(name))

    def set_arb_enabled(self, enabled: bool) -> bool:
        """Switch arbitrage on or off for the caller; answers with what is in force."""
        return self._run(lambda: self._client.set_arb_enabled(enabled))

    def stream_opportunities(self, *, min_net_per_contract: int = 0) -> AbstractContextManager[SyncChanges[str, Opportunity, Opportunity]]:
        """What is open first, then each opening, change and end, over lost connections too; the stream ends with the block."""
        return self._stream(lambda: OpportunityChanges(self._client._calls, min_net_per_contract))


class SyncMarkets(SyncCalls):
    """MarketService."""

    def search_markets(self, words: str = "", limit: int = 0) -> list[markets.MarketInfo]:
        """Markets that have not ended whose titles hold every word, by title; at most `limit` (0: 50). See `list_markets`."""
        return self._run(lambda: self._client.search_markets(words, limit))

    def list_markets(
        self,
        words: str = "",
        *,
        venue: str = "",
        event: str = "",
        category: str = "",
        statuses: Iterable[str] = (),
        closes_after_ms: int = 0,
        closes_before_ms: int = 0,
        page_size: int = 0,
    ) -> Iterator[markets.MarketInfo]:
        """All markets for which everything given holds, by title; fetched a page at a time. Without `statuses`: what has not ended."""
        return self._pages(
            self._client.list_markets(
                words,
                venue=venue,
                event=event,
                category=category,
                statuses=statuses,
                closes_after_ms=closes_after_ms,
                closes_before_ms=closes_before_ms,
                page_size=page_size,
            )
        )

    def list_events(self, words: str = "", *, venue: str = "", category: str = "", page_size: int = 0) -> Iterator[markets.EventInfo]:
        """What groups the markets, by title, where everything given holds; fetched a page at a time."""
        return self._pages(self._client.list_events(words, venue=venue, category=category, page_size=page_size))

    def get_event(self, venue: str, event_id: str) -> markets.EventInfo:
        """One event with its markets. Raises NotFoundError."""
        return self._run(lambda: self._client.get_event(venue, event_id))

    def list_feeds(self) -> list[markets.FeedInfo]:
        """How the market data of each venue is. The connectors' counters are for operators."""
        return self._run(self._client.list_feeds)

    def get_market(self, venue: str, market_id: str) -> markets.MarketInfo:
        """One market. Raises NotFoundError."""
        return self._run(lambda: self._client.get_market(venue, market_id))

    def get_book(self, outcome: OutcomeKey) -> markets.BookInfo:
        """An outcome's book as it is now. NotFoundError where none has been seen yet."""
        return self._run(lambda: self._client.get_book(outcome))

    def list_pairs(self, *, page_size: int = 0) -> Iterator[markets.PairInfo]:
        """The pairs that are scanned for arbitrage, by id; fetched a page at a time."""
        return self._pages(self._client.list_pairs(page_size=page_size))

    def stream_book(
        self, outcomes: Iterable[OutcomeKey]
    ) -> AbstractContextManager[SyncChanges[OutcomeKey, markets.BookInfo, markets.BooksUpdate]]:
        """The books of up to 50 outcomes first, then each as it changes, whole; the stream ends with the block. See `Changes`."""
        return self._stream(lambda: BookChanges(self._client._calls, tuple(outcomes)))

    def stream_trades(
        self, outcomes: Iterable[OutcomeKey]
    ) -> AbstractContextManager[SyncChanges[OutcomeKey, markets.TradeInfo, markets.TradesUpdate]]:
        """The newest public trade of up to 50 outcomes first, then each as it happens; the stream ends with the block. See `Changes`."""
        return self._stream(lambda: TradeChanges(self._client._calls, tuple(outcomes)))


class SyncAdmin(SyncCalls):
    """AdminService, for operators."""

    def list_actors(self) -> list[types.ActorInfo]:
        """The supervision tree, for operators."""
        return self._run(self._client.list_actors)

    def create_user(self, name: str, *, user: str = "", tier: str = "", role: str = "") -> types.NewUser:
        """A new account with its API key. `user`: its id, made where empty; tier free and role trader where they are empty."""
        return self._run(lambda: self._client.create_user(name, user=user, tier=tier, role=role))

    def set_tier(self, user: str, tier: str) -> types.UserInfo:
        """Holds from the user's next call on. Raises NotFoundError."""
        return self._run(lambda: self._client.set_tier(user, tier))

    def list_users(self, *, page_size: int = 0) -> Iterator[types.UserInfo]:
        """Every account, by id; fetched a page at a time."""
        return self._pages(self._client.list_users(page_size=page_size))

    def suspend_user(self, user: str, *, suspended: bool = True) -> types.UserInfo:
        """End every sign-in of the user, who may then only read, cancel and reduce; or lift that. Raises NotFoundError."""
        return self._run(lambda: self._client.suspend_user(user, suspended=suspended))

    def forget_authenticator(self, user: str) -> bool:
        """Forget a user's lost authenticator and recovery codes; whether there was one. Raises NotFoundError."""
        return self._run(lambda: self._client.forget_authenticator(user))

    def halt_all(self, reason: str = "") -> types.HaltReport:
        """Stop all trading of everybody, until `resume_all`. Safe to repeat."""
        return self._run(lambda: self._client.halt_all(reason))

    def resume_all(self) -> int:
        """Lift `halt_all`; how many users still have stopped their own trading, which only they can lift."""
        return self._run(self._client.resume_all)
