"""Kalshi's rate limits (B10): tokens a second by tier, until `/account/limits` and `/account/endpoint_costs` say better.

The shapes of those two answers are third-party knowledge, so what is odd in them is passed over and the documented costs stay.
"""

import re

import msgspec

from arbiter.venues.limit_table import Charge, LimitTable, Rule
from arbiter.venues.limiter import Limiter
from arbiter.venues.rest import RestClient, Sign
from arbiter.venues.token_bucket import Limit

READ, WRITE = "read", "write"
_ROOT = "/trade-api/v2"
_ORDERS = "/portfolio/events/orders"
_PARAMETER = re.compile(r"/(?::[^/]+|\{[^/]+\})")
_REST_OF_PATH = re.compile(r"/\*[^/]+$")
_MOST = 100_000.0


def _rule(method: str, path: str, cost: int) -> Rule:
    """A batch of orders costs what its orders cost."""
    return Rule(path, (Charge(READ, cost) if method == "GET" else Charge(WRITE, cost, each=True),), method)


BASIC = LimitTable(
    (Limit(READ, per_second=200, burst=200, each_owner=True), Limit(WRITE, per_second=100, burst=100, each_owner=True)),
    (
        *(_rule(method, "/", 10) for method in ("GET", "POST", "PUT", "DELETE")),
        _rule("GET", "/portfolio/orders/*", 2),
        _rule("GET", "/portfolio/orders/queue_positions", 10),
        _rule("DELETE", _ORDERS, 2),
        _rule("DELETE", f"{_ORDERS}/*", 2),
    ),
)
"""Requests that no key signs count as the Basic tier's."""


class _Bucket(msgspec.Struct):
    refill_rate: float = 0.0
    bucket_capacity: float = 0.0


class AccountLimits(msgspec.Struct):
    """`GET /account/limits`: tokens a second and at most, of each bucket."""

    read: _Bucket = msgspec.field(default_factory=_Bucket)
    write: _Bucket = msgspec.field(default_factory=_Bucket)


class EndpointCost(msgspec.Struct):
    """One request that costs something else than the default. The path is from the root, with `:name` or `{name}` for parameters."""

    method: str = ""
    path: str = ""
    cost: int = 0


class EndpointCosts(msgspec.Struct):
    """`GET /account/endpoint_costs`."""

    default_cost: int | None = None
    endpoint_costs: list[EndpointCost] | None = None


def recosted(costs: EndpointCosts) -> LimitTable:
    """The table with the costs that the venue told; those that it does not tell of stay as documented."""
    default = costs.default_cost or 0
    rules = {(rule.method, rule.path): rule for rule in BASIC.rules}
    told = [(method, "/", default) for method in ("GET", "POST", "PUT", "DELETE")]
    told += [(each.method.upper(), _pattern(each.path), each.cost) for each in costs.endpoint_costs or ()]
    for method, path, cost in told:
        if cost > 0 and path.startswith("/"):
            rules[method, path] = _rule(method, path, cost)
    return LimitTable(BASIC.limits, tuple(rules.values()))


def _pattern(path: str) -> str:
    """`/trade-api/v2/portfolio/orders/:order_id` as `/portfolio/orders/*`; a last `*rest` stands for all below."""
    return _REST_OF_PATH.sub("/", _PARAMETER.sub("/*", path.removeprefix(_ROOT)))


async def learn_limits(rest: RestClient, limiter: Limiter, sign: Sign, owner: str) -> None:
    """Ask for this account's limits and for all costs, and keep them from now on. Raises VenueUnavailable, VenueRejected."""
    limits = await rest.get("/account/limits", AccountLimits, sign=sign, owner=owner)
    for name, bucket in ((READ, limits.read), (WRITE, limits.write)):
        if 0 < bucket.refill_rate <= _MOST and 1 <= bucket.bucket_capacity <= _MOST:
            limiter.change(name, per_second=bucket.refill_rate, burst=int(bucket.bucket_capacity), owner=owner)
    limiter.recost(recosted(await rest.get("/account/endpoint_costs", EndpointCosts, sign=sign, owner=owner)))
