"""What every call passes before anything else: token -> account -> rate limit. Deny by default."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from arbiter.domain.account import Account, Role
from arbiter.domain.ids import UserId
from arbiter.domain.limits import TIERS, TokenBucket
from arbiter.errors import LimitExceeded, NotAllowed, NotRunning, Unauthenticated
from arbiter.rpc import health_service, reflection_service
from arbiter.rpc.core import Core
from arbiter.rpc.tokens import Claims, TokenAuthority

OPEN_METHODS = frozenset({("arbiter.v1.UserService", "Authenticate"), ("arbiter.v1.UserService", "RedeemLinkCode")})
"""Called without a token."""
OPERATOR_SERVICES = frozenset({"arbiter.v1.AdminService"})
_BOT_METHODS = {
    "UserService": ("GetProfile", "UpdateSettings", "Unlink"),
    "TradingService": (
        *("GetPositions", "PlaceOrder", "CancelOrder", "StreamPositions", "GetWallet", "GetOverview"),
        *("EmergencyStop", "ResumeTrading", "GetTradingState"),
        *("GetOrder", "ListOrders", "StreamOrders"),
    ),
    "StrategyService": ("ListStrategies", "EnableStrategy", "DisableStrategy", "GetArbOpportunities"),
    "MarketService": ("SearchMarkets", "GetMarket", "GetBook", "StreamBook", "ListPairs"),
    "AdminService": ("HaltAll",),  # for an operator's account, as everybody's calls of it
}
FOR_THE_BOT = frozenset((f"arbiter.v1.{service}", name) for service, names in _BOT_METHODS.items() for name in names)
"""All that a token of scope `bot` may call: no credentials, no codes that link further Telegram accounts, of an operator's but a stop."""
STOPPING_METHODS = frozenset(
    {
        *(("arbiter.v1.TradingService", name) for name in ("EmergencyStop", "CancelOrder", "GetTradingState")),
        ("arbiter.v1.AdminService", "HaltAll"),
    }
)
"""Have a bucket of their own, the same in every tier: stopping is never refused because of what else was asked."""
STOPS_PER_SECOND = 20
OPEN_CALLS_PER_SECOND = 50
"""Calls without a token, from everybody together."""

HEALTH_METHODS = frozenset((health_service.SERVICE, name) for name in ("Check", "List", "Watch"))
"""Called without a token, by whatever watches over this program. Their bucket is their own: they and sign-ins never hold each other up."""
REFLECTION_METHODS = frozenset((service, reflection_service.METHOD) for service in reflection_service.SERVICES)
"""Called without a token, where the setting offers them at all."""
HEALTH_PER_SECOND = 200
REFLECTION_PER_SECOND = 20

Metadata = Sequence[tuple[str, str | bytes]]


class Gate:
    """Knows the tokens, the accounts and how much each user has asked for lately."""

    def __init__(self, core: Core, tokens: TokenAuthority) -> None:
        self._core = core
        self._tokens = tokens
        self._buckets: dict[UserId, TokenBucket] = {}
        self._stops: dict[UserId, TokenBucket] = {}
        self._streams: dict[UserId, int] = {}
        now = core.environment.monotonic()
        self._open = TokenBucket.per_second(OPEN_CALLS_PER_SECOND, now)
        self._health = TokenBucket.per_second(HEALTH_PER_SECOND, now)
        self._reflection = TokenBucket.per_second(REFLECTION_PER_SECOND, now)

    def admit(self, service: str, method: str, metadata: Metadata) -> Account | None:
        """The caller's account, or None for a method that needs none.

        Raises Unauthenticated, LimitExceeded, NotAllowed, or NotRunning while the accounts are being loaded.
        """
        if (service, method) in OPEN_METHODS:
            self._spend(self._open, "too many sign-ins at once")
            return None
        if (service, method) in HEALTH_METHODS:
            self._spend(self._health, "too many calls that ask for the health at once")
            return None
        if (service, method) in REFLECTION_METHODS:
            self._spend(self._reflection, "too many calls of reflection at once")
            return None
        claims = self._tokens.claims(_bearer(metadata))
        account = self._account(claims.user)
        if claims.scope == "bot":
            _require_for_the_bot(service, method, claims, account)
        if (service, method) in STOPPING_METHODS:
            self._spend(self._stop_bucket(account.user), f"more than {STOPS_PER_SECOND} stops or cancels a second")
        else:
            self._spend_request(account)
        if service in OPERATOR_SERVICES and account.role is not Role.OPERATOR:
            raise NotAllowed("this needs the role operator")
        return account

    def _spend_request(self, account: Account) -> None:
        limits = TIERS[account.tier]
        bucket = self._buckets.get(account.user)
        if bucket is None or bucket.capacity != limits.requests_per_second * 2:
            bucket = TokenBucket.per_second(limits.requests_per_second, self._core.environment.monotonic())
            self._buckets[account.user] = bucket
        self._spend(bucket, f"more than {limits.requests_per_second} requests a second (tier {account.tier.value})")

    def _stop_bucket(self, user: UserId) -> TokenBucket:
        if user not in self._stops:
            self._stops[user] = TokenBucket.per_second(STOPS_PER_SECOND, self._core.environment.monotonic())
        return self._stops[user]

    @contextmanager
    def stream(self, account: Account) -> Iterator[None]:
        """Count a stream for as long as it lives. Raises LimitExceeded when the tier allows no more."""
        most = TIERS[account.tier].streams
        if self._streams.get(account.user, 0) >= most:
            raise LimitExceeded(f"{most} streams are open already, the most in tier {account.tier.value}", 1000)
        self._streams[account.user] = self._streams.get(account.user, 0) + 1
        try:
            yield
        finally:
            self._streams[account.user] -= 1
            if not self._streams[account.user]:
                del self._streams[account.user]

    def _account(self, user: UserId) -> Account:
        known = self._core.account_changes.get(user)
        if known is not None:
            return known.account
        if not len(self._core.account_changes):
            raise NotRunning("accounts")
        raise Unauthenticated("the account of this token does not exist")

    def _spend(self, bucket: TokenBucket, what: str) -> None:
        wait_ms = bucket.take(self._core.environment.monotonic())
        if wait_ms:
            raise LimitExceeded(what, wait_ms)


def _require_for_the_bot(service: str, method: str, claims: Claims, account: Account) -> None:
    """The Telegram account that the token was made for is still the linked one, and the bot may call this."""
    if account.telegram is None or account.telegram.telegram_id != claims.telegram_id:
        raise Unauthenticated("this Telegram account is not linked to the account any more")
    if (service, method) not in FOR_THE_BOT:
        raise NotAllowed("this cannot be done from Telegram")


def _bearer(metadata: Metadata) -> str:
    values = [value for name, value in metadata if name == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str) or not values[0].lower().startswith("bearer "):
        raise Unauthenticated("an access token is needed: send metadata `authorization: Bearer <token>`")
    return values[0][7:].strip()
