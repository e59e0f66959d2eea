"""Kalshi's rate limits (B10): tokens a second by tier, until `/account/limits` and `/account/endpoint_costs` say better."""

from arbiter.venues.limit_table import Charge, LimitTable, Rule
from arbiter.venues.token_bucket import Limit

_READ, _WRITE = "read", "write"
_CANCEL = Charge(_WRITE, 2, each=True)
_ORDER = "/portfolio/events/orders"

BASIC = LimitTable(
    (Limit(_READ, per_second=200, burst=200, each_owner=True), Limit(_WRITE, per_second=100, burst=100, each_owner=True)),
    (
        Rule("/", (Charge(_READ, 10),), "GET"),
        Rule("/", (Charge(_WRITE, 10, each=True),)),
        Rule("/portfolio/orders/", (Charge(_READ, 2),), "GET"),
        Rule("/portfolio/orders/queue_positions", (Charge(_READ, 10),), "GET"),
        Rule(_ORDER, (_CANCEL,), "DELETE"),
        Rule(f"{_ORDER}/", (_CANCEL,), "DELETE"),
    ),
)
"""A batch costs what its items cost. Requests that no key signs count as the Basic tier's."""
