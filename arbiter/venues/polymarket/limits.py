"""Polymarket's rate limits (A10). Cloudflare counts by address in windows of 10 s; the order limits count by signer, Standard tier."""

from arbiter.venues.limit_table import Charge, LimitTable, Rule
from arbiter.venues.token_bucket import Limit, within

WINDOW_SECONDS = 10.0


def _cloudflare(**tokens: int) -> tuple[Limit, ...]:
    return tuple(within(name, count, WINDOW_SECONDS) for name, count in tokens.items())


def _rules(general: str, **paths: str) -> tuple[Rule, ...]:
    """Limits with the paths (space between) that they count; what counts for one of them counts in general, too."""
    everything = Charge(general)
    narrow = [Rule(path, (Charge(name), everything)) for name, listed in paths.items() for path in listed.split()]
    return (Rule("/", (everything,)), *narrow)


GAMMA = LimitTable(
    _cloudflare(gamma=4000, events=500, markets=300, search=350),
    _rules("gamma", events="/events /events/", markets="/markets /markets/", search="/public-search"),
)
DATA = LimitTable(
    _cloudflare(data=1000, trades=200, positions=150),
    _rules("data", trades="/trades /v2/trades", positions="/positions /v2/positions"),
)
_BRIEFLY, _LONG = WINDOW_SECONDS, 600.0
_ORDERS, _CANCELS = Charge("orders", each=True), Charge("cancels", each=True)


def _order_rule(method: str, path: str, signers: Charge, name: str) -> Rule:
    """What the signer has left first: the headers of the answer tell of that."""
    return Rule(path, (signers, Charge(name), Charge(f"{name}_long"), Charge("clob")), method)


CLOB = LimitTable(
    (
        *_cloudflare(
            **dict.fromkeys(("book", "price", "midpoint"), 1500),
            **dict.fromkeys(("books", "prices", "midpoints", "spreads"), 500),
            **{"clob": 9000, "history": 1000, "tick": 200, "own": 500, "balance": 200, "refresh": 50, "notifications": 125, "keys": 100},
        ),
        # of the tables that disagree the newest, which is also the lowest
        *(within("post_order", 3500, _BRIEFLY), within("post_order_long", 36_000, _LONG)),
        *(within("delete_order", 3000, _BRIEFLY), within("delete_order_long", 30_000, _LONG)),
        *(within("post_orders", 1000, _BRIEFLY), within("post_orders_long", 15_000, _LONG)),
        Limit("orders", per_second=40, burst=60, each_owner=True),
        Limit("cancels", per_second=80, burst=120, each_owner=True),
    ),
    (
        *_rules(
            "clob",
            **{name: f"/{name}" for name in ("book", "price", "midpoint", "books", "prices", "midpoints", "spreads")},
            history="/prices-history",
            tick="/tick-size",
            own="/data/",
            balance="/balance-allowance",
            refresh="/balance-allowance/update",
            notifications="/notifications",
            keys="/auth/",
        ),
        _order_rule("POST", "/order", _ORDERS, "post_order"),
        _order_rule("POST", "/orders", _ORDERS, "post_orders"),
        *(_order_rule("DELETE", path, _CANCELS, "delete_order") for path in ("/order", "/orders", "/cancel-all", "/cancel-market-orders")),
    ),
)
