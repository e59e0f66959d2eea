"""What Kalshi tells of its limits and costs, and what is kept of it where it makes no sense."""

import msgspec
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from arbiter.errors import VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.kalshi.limits import BASIC, EndpointCost, EndpointCosts, learn_limits, recosted
from arbiter.venues.limit_table import LimitTable
from arbiter.venues.limiter import Limiter
from arbiter.venues.rest import RestClient


def cost(table: LimitTable, method: str, path: str) -> int:
    (charge,) = table.charges(method, path)
    return charge.cost


def test_told_costs_replace_the_documented_ones_and_the_rest_stays():
    told = [
        EndpointCost("get", "/trade-api/v2/portfolio/orders/:order_id", 3),
        EndpointCost("POST", "/trade-api/v2/portfolio/events/orders/{order_id}/amend", 7),
        EndpointCost("GET", "/trade-api/v2/cfbenchmarks/*endpoint", 50),
        EndpointCost("GET", "/trade-api/v2/series", 0),
        EndpointCost("", "nonsense", -4),
    ]
    table = recosted(EndpointCosts(12, told))
    assert cost(table, "GET", "/portfolio/orders/abc") == 3
    assert cost(table, "POST", "/portfolio/events/orders/abc/amend") == 7
    assert cost(table, "POST", "/portfolio/events/orders") == 12
    assert cost(table, "GET", "/cfbenchmarks/history/values") == 50
    assert cost(table, "GET", "/series") == 12
    assert cost(table, "DELETE", "/portfolio/events/orders/abc") == 2


@pytest.mark.parametrize("costs", [EndpointCosts(), EndpointCosts(None, []), EndpointCosts(-1, None), EndpointCosts(0)])
def test_nothing_told_is_what_is_documented(costs):
    assert recosted(costs) == BASIC


async def learnt(limits: bytes, costs: bytes, owner: str = "key") -> Limiter:
    """A limiter that asked a venue which answers so."""
    environment = Environment.simulated(1)
    limiter = Limiter("kalshi", BASIC, environment)
    async with trio.open_nursery() as nursery:

        class Network:
            async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
                ours, theirs = memory_stream_pair()
                nursery.start_soon(answer, theirs)
                return ours

        async def answer(stream: trio.abc.Stream) -> None:
            async with stream:
                while asked := await stream.receive_some():
                    body = limits if b"/account/limits" in bytes(asked) else costs
                    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        async with RestClient("kalshi", "http://kalshi/trade-api/v2", Network(), environment, limiter=limiter) as rest:
            await learn_limits(rest, limiter, lambda method, path, body: {"KALSHI-ACCESS-KEY": owner}, owner)
    return limiter


LIMITS = {
    "usage_tier": "premier",
    "read": {"refill_rate": 1000, "bucket_capacity": 2000},
    "write": {"refill_rate": 1000, "bucket_capacity": 2000},
}


async def creates(limiter: Limiter, owner: str) -> int:
    """How many orders may go at once."""
    count = 0
    while True:
        try:
            await limiter.turn("POST", "/portfolio/events/orders", 0, owner=owner)
        except VenueUnavailable:
            return count
        count += 1


async def test_an_accounts_tier_counts_for_this_account_alone(autojump_clock: MockClock) -> None:
    limiter = await learnt(msgspec.json.encode(LIMITS), b'{"default_cost":20,"endpoint_costs":null}')
    assert await creates(limiter, "key") == 100
    assert await creates(limiter, "another") == 5


@pytest.mark.parametrize(
    "limits", [b"{}", b'{"read":{"refill_rate":-1,"bucket_capacity":10},"write":{"refill_rate":1e300,"bucket_capacity":0}}']
)
async def test_limits_that_make_no_sense_leave_the_basic_tier(autojump_clock: MockClock, limits: bytes) -> None:
    assert await creates(await learnt(limits, b"{}"), "key") == 10
