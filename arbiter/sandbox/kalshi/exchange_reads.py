"""What Kalshi tells of itself: its status by shard, its hours, an account's limits (sheet, B5, B10)."""

from typing import Any

from arbiter.sandbox.kalshi.paging import Item

READ_PER_SECOND, WRITE_PER_SECOND = 200, 100
"""Tokens of the Basic tier; a request costs 10 unless listed otherwise."""
DEFAULT_COST = 10
_ALL_DAY = [{"open_time": "00:00", "close_time": "00:00"}]
_MAINTENANCE = [{"open_time": "00:00", "close_time": "03:00"}, {"open_time": "05:00", "close_time": "00:00"}]
"""Thursdays, New York time."""
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def status(shards: list[int], halted: set[int]) -> Item:
    """`halted`: shards on which nothing is traded just now. Each halts by itself."""
    each = [{"exchange_index": shard, "exchange_active": True, "trading_active": shard not in halted} for shard in shards]
    return {
        "exchange_active": True,
        "trading_active": any(shard["trading_active"] for shard in each),
        "intra_exchange_transfers_active": True,
        "exchange_estimated_resume_time": None,
        "exchange_index_statuses": each,
    }


def schedule() -> Item:
    """Open all the week but for the weekly maintenance."""
    hours: dict[str, Any] = {day: _MAINTENANCE if day == "thursday" else _ALL_DAY for day in _DAYS}
    hours |= {"start_time": "2024-12-01T00:00:00Z", "end_time": "2200-12-01T00:00:00Z"}
    return {"schedule": {"standard_hours": [hours], "maintenance_windows": []}}


def limits() -> Item:
    """Of the account that asked. The sheet names the figures, not the fields."""
    return {"usage_tier": "basic", "read_limit": READ_PER_SECOND, "write_limit": WRITE_PER_SECOND}


def endpoint_costs() -> Item:
    """What costs something else than `DEFAULT_COST`."""
    cheap = (("DELETE", "/trade-api/v2/portfolio/events/orders/{order_id}"), ("GET", "/trade-api/v2/portfolio/orders/{order_id}"))
    costs = [{"method": method, "path": path, "cost": 2} for method, path in cheap]
    return {"default_cost": DEFAULT_COST, "endpoint_costs": costs}
