"""What every call passes before anything else: token -> account -> rate limit. Deny by default.

A token counts while the sign-in that it belongs to does: its family has not ended, or, where it has none, the account's
sign-ins were not all ended since. That is looked up at each call, so a revocation bites with the next one; a stream that
is open ends by `watch`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from arbiter.domain.account import Account, Role
from arbiter.domain.families import lives
from arbiter.domain.ids import UserId
from arbiter.domain.limits import TIERS, TokenBucket
from arbiter.errors import ArbiterError, LimitExceeded, NotAllowed, NotRunning, Overloaded, Unauthenticated
from arbiter.rpc import health_service, reflection_service
from arbiter.rpc.core import Core
from arbiter.rpc.failures import AddressBuckets, Failures
from arbiter.rpc.request import Request
from arbiter.rpc.tokens import LONGEST_TOKEN, NOT_VALID, Claims, TokenAuthority

OPEN_METHODS = frozenset(("arbiter.v1.UserService", name) for name in ("Authenticate", "RefreshToken", "RedeemLinkCode"))
"""Called without a token. They are not limited here: what fails is counted by address, what succeeds by user."""
OPERATOR_SERVICES = frozenset({"arbiter.v1.AdminService"})
_BOT_METHODS = {
    "UserService": ("GetProfile", "UpdateSettings", "Unlink"),
    "TradingService": (
        *("GetPositions", "PlaceOrder", "CancelOrder", "StreamPositions", "GetWallet", "GetOverview"),
        *("EmergencyStop", "ResumeTrading", "GetTradingState"),
        *("GetOrder", "ListOrders", "StreamOrders"),
    ),
    "StrategyService": ("ListStrategies", "EnableStrategy", "DisableStrategy", "GetArbOpportunities"),
    "MarketService": (
        *("SearchMarkets", "GetMarket", "ListEvents", "GetEvent", "GetBook", "StreamBook", "StreamTrades"),
        *("ListFeeds", "ListPairs"),
    ),
    "AdminService": ("HaltAll",),  # for an operator's account, as everybody's calls of it
}
FOR_THE_BOT = frozenset((f"arbiter.v1.{service}", name) for service, names in _BOT_METHODS.items() for name in names)
"""All that a token of scope `bot` may call: no credentials, no codes that link further Telegram accounts, of an operator's but a stop."""
CANCEL = ("arbiter.v1.TradingService", "CancelOrder")
STOPS = frozenset({("arbiter.v1.TradingService", "EmergencyStop"), ("arbiter.v1.AdminService", "HaltAll")})
"""Never refused for their number: who could spend a bucket could keep a stop out. Many at once are merged (stops.py)."""
STOPPING_METHODS = STOPS | {CANCEL}
"""Taken also while the program is too far behind for anything else, and whatever else was asked before."""
CANCELS_PER_SECOND = 20
"""The same in every tier, in a bucket of its own."""
HEALTH_METHODS = frozenset((health_service.SERVICE, name) for name in ("Check", "List", "Watch"))
"""Called without a token, by whatever watches over this program. They have a bucket of their own, each address one."""
REFLECTION_METHODS = frozenset((service, reflection_service.METHOD) for service in reflection_service.SERVICES)
"""The same, where the setting offers them at all."""
HEALTH_PER_SECOND = 200
"""From one address."""
REFLECTION_PER_SECOND = 20
"""The same."""

ENDED = "this sign-in has ended; authenticate again"

CHARGED_BYTES = 64 * 1024

Metadata = Sequence[tuple[str, str | bytes]]


class Gate:
    """Knows the tokens, the accounts and how much each user has asked for lately."""

    def __init__(self, core: Core, tokens: TokenAuthority) -> None:
        self._core = core
        self._tokens = tokens
        self._buckets: dict[UserId, TokenBucket] = {}
        self._cancels: dict[UserId, TokenBucket] = {}
        self._streams: dict[UserId, int] = {}
        self._health = AddressBuckets(HEALTH_PER_SECOND, core.environment)
        self._reflection = AddressBuckets(REFLECTION_PER_SECOND, core.environment)
        self.failures = Failures(core.environment)
        self.overloaded: Callable[[], bool] = lambda: False
        """Whether the program is too far behind to begin anything but a stop."""
        self.refused: Callable[[UserId, str, str], object] = lambda _user, _method, _reason: None
        """Told of each call of an operators' service that a known account makes and that is refused: who, which method, why."""

    def admit(self, service: str, method: str, metadata: Metadata, peer: str = "") -> Account | None:
        """The caller's account, or None for a method that needs none. `peer`: the address that the call comes from.

        Raises Unauthenticated, LimitExceeded, NotAllowed, Overloaded, or NotRunning while the accounts are being loaded.
        """
        if (service, method) in OPEN_METHODS:
            if self.overloaded():
                raise Overloaded
            return None
        if (service, method) in HEALTH_METHODS:
            _require_no_wait(self._health.take(peer), "too many calls that ask for the health at once")
            return None
        if (service, method) in REFLECTION_METHODS:
            _require_no_wait(self._reflection.take(peer), "too many calls of reflection at once")
            return None
        claims = self._claims(metadata, peer)
        account = self._account(claims.user)
        try:
            self._let_in(service, method, claims, account)
        except ArbiterError as error:
            self._tell_refused(service, method, account, error)
            raise
        return account

    def _let_in(self, service: str, method: str, claims: Claims, account: Account) -> None:
        self._require_signed_in(service, method, claims, account)
        if (service, method) == CANCEL:
            self._spend(self._cancel_bucket(account.user), f"more than {CANCELS_PER_SECOND} cancels a second")
        elif (service, method) not in STOPS:
            if self.overloaded():
                raise Overloaded
            self._spend_request(account)
        _require_role(service, account)

    def _require_signed_in(self, service: str, method: str, claims: Claims, account: Account) -> None:
        if claims.scope == "bot":
            _require_for_the_bot(service, method, claims, account)
        if not self._holds(claims, account):
            raise Unauthenticated(ENDED)

    def _tell_refused(self, service: str, method: str, account: Account, error: ArbiterError) -> None:
        if service in OPERATOR_SERVICES:
            self.refused(account.user, f"{service}/{method}", error.reason)

    def charge(self, request: Request, size: int) -> None:
        """A message of `size` bytes counts as one more request for each CHARGED_BYTES: reading it costs as much."""
        bucket = self._buckets.get(request.caller.user) if request.caller is not None else None
        if bucket is not None:
            bucket.charge(self._core.environment.monotonic(), size // CHARGED_BYTES)

    def admit_again(self, request: Request) -> Account | None:
        """The caller as of now, for a call that was admitted and begins only later. Spends nothing; raises as `admit` does."""
        if request.caller is None:
            return None
        claims = self.claims(request)
        account = self._account(claims.user)
        service, method = request.service_name, request.method_name
        try:
            self._require_signed_in(service, method, claims, account)
            _require_role(service, account)
        except ArbiterError as error:
            self._tell_refused(service, method, account, error)
            raise
        return account

    def _spend_request(self, account: Account) -> None:
        limits = TIERS[account.tier]
        bucket = self._buckets.get(account.user)
        if bucket is None or bucket.capacity != limits.requests_per_second * 2:
            bucket = TokenBucket.per_second(limits.requests_per_second, self._core.environment.monotonic())
            self._buckets[account.user] = bucket
        self._spend(bucket, f"more than {limits.requests_per_second} requests a second (tier {account.tier.value})")

    def claims(self, request: Request) -> Claims:
        """What the token of an admitted call says. Raises Unauthenticated where it has expired since."""
        return self._tokens.claims(_bearer(request.custom_metadata))

    def _claims(self, metadata: Metadata, peer: str) -> Claims:
        """A token that was seen before costs a look-up. Of the others, those that have expired are no failure: their owner refreshes."""
        token = _bearer(metadata)
        known = self._tokens.known(token)
        if known is not None:
            return known
        if len(token) <= LONGEST_TOKEN:
            if self._tokens.is_past(token):
                raise Unauthenticated(NOT_VALID)
            self.failures.require_check(peer)
        try:
            return self._tokens.claims(token)
        except Unauthenticated as error:
            raise self.failures.charge(peer, error) from None

    def _holds(self, claims: Claims, account: Account) -> bool:
        """Whether the sign-in that a token belongs to has not ended. Raises NotRunning while that is not known."""
        if not claims.family:
            return claims.epoch == account.session_epoch and _is_linked(claims, account)
        families = self._core.families
        family = families.get(claims.family)
        if family is None:
            if not families.loaded:
                raise NotRunning("credentials")
            return False
        return family.user == account.user and lives(family, account, self._core.environment.unix_ms())

    def watch(self, request: Request, revoked: Callable[[], object]) -> "_Watched":
        """Call `revoked` as soon as the caller's sign-in ends, within the block: once, without waiting, from whatever task ends it.

        A token that expires ends nothing here, nor does a family that expires until it is pruned.
        """
        return _Watched(self._core, self._holds, self.claims(request), revoked)

    def _cancel_bucket(self, user: UserId) -> TokenBucket:
        if user not in self._cancels:
            self._cancels[user] = TokenBucket.per_second(CANCELS_PER_SECOND, self._core.environment.monotonic())
        return self._cancels[user]

    def stream(self, request: Request) -> "_OpenStream":
        """Count a stream for the length of the block, and end its call with UNAUTHENTICATED when the caller's sign-in ends.

        The block raises LimitExceeded when the tier allows no more.
        """
        return _OpenStream(self.watch(request, lambda: request.end(Unauthenticated(ENDED))), self._streams, request.caller)

    def _account(self, user: UserId) -> Account:
        known = self._core.account_changes.get(user)
        if known is not None:
            return known.account
        if not len(self._core.account_changes):
            raise NotRunning("accounts")
        raise Unauthenticated("the account of this token does not exist")

    def _spend(self, bucket: TokenBucket, what: str) -> None:
        _require_no_wait(bucket.take(self._core.environment.monotonic()), what)


class _Watched:
    """See `Gate.watch`. No generator: there is one for each stream."""

    __slots__ = ("_claims", "_core", "_deliveries", "_holds", "_revoked")

    def __init__(self, core: Core, holds: Callable[[Claims, Account], bool], claims: Claims, revoked: Callable[[], object]) -> None:
        self._core = core
        self._holds = holds
        self._claims = claims
        self._revoked: Callable[[], object] | None = revoked
        self._deliveries: tuple[AbstractContextManager[None], ...] = ()

    def __enter__(self) -> None:
        claims, core = self._claims, self._core
        deliveries: list[AbstractContextManager[None]] = [core.account_changes.deliver_key_to(claims.user, self._look)]
        if claims.family:
            deliveries.append(core.families.ended.deliver_key_to(claims.family, self._look))
        self._deliveries = tuple(deliveries)
        for each in deliveries:
            each.__enter__()

    def __exit__(self, *_: object) -> None:
        for each in self._deliveries:
            each.__exit__(None, None, None)
        self._deliveries = ()
        self._revoked = None  # it leads to the call, which leads here

    def _look(self, _event: object) -> None:
        known, revoked = self._core.account_changes.get(self._claims.user), self._revoked
        if revoked is not None and known is not None and not self._holds(self._claims, known.account):
            self._revoked = None
            revoked()


class _OpenStream:
    """See `Gate.stream`."""

    __slots__ = ("_account", "_streams", "_watched")

    def __init__(self, watched: _Watched, streams: dict[UserId, int], account: Account) -> None:
        self._watched = watched
        self._streams = streams
        self._account = account

    def __enter__(self) -> None:
        user, most = self._account.user, TIERS[self._account.tier].streams
        if self._streams.get(user, 0) >= most:
            raise LimitExceeded(f"{most} streams are open already, the most in tier {self._account.tier.value}", 1000)
        self._streams[user] = self._streams.get(user, 0) + 1
        self._watched.__enter__()

    def __exit__(self, *_: object) -> None:
        self._watched.__exit__()
        user = self._account.user
        self._streams[user] -= 1
        if not self._streams[user]:
            del self._streams[user]


def _is_linked(claims: Claims, account: Account) -> bool:
    """Whether the Telegram account that a token was made for, if it was for one, is still the linked one."""
    if claims.scope != "bot":
        return True
    return account.telegram is not None and account.telegram.telegram_id == claims.telegram_id


def _require_for_the_bot(service: str, method: str, claims: Claims, account: Account) -> None:
    """The Telegram account that the token was made for is still the linked one, and the bot may call this."""
    if not _is_linked(claims, account):
        raise Unauthenticated("this Telegram account is not linked to the account any more")
    if (service, method) not in FOR_THE_BOT:
        raise NotAllowed("this cannot be done from Telegram")


def _require_no_wait(wait_ms: int, what: str) -> None:
    if wait_ms:
        raise LimitExceeded(what, wait_ms)


def _require_role(service: str, account: Account) -> None:
    if service in OPERATOR_SERVICES and account.role is not Role.OPERATOR:
        raise NotAllowed("this needs the role operator")


def _bearer(metadata: Metadata) -> str:
    values = [value for name, value in metadata if name == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str) or not values[0].lower().startswith("bearer "):
        raise Unauthenticated("an access token is needed: send metadata `authorization: Bearer <token>`")
    return values[0][7:].strip()
