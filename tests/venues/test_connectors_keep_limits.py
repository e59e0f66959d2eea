"""Both connectors keep the venue's documented limits, whoever asks and by whichever client."""

from typing import Any

import pytest
import trio

from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.domain.market import Market
from arbiter.sandbox.faults import Fault
from arbiter.venues.base import Network, Venue
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts


class OneEngine:
    """A `Network` on which Polymarket's three hosts are the one sandbox."""

    def __init__(self, inner: Network) -> None:
        self._inner = inner

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        return await self._inner.connect("polymarket", port, tls=tls)


def make(stage: Any, name: str) -> Venue:
    if name == KALSHI:
        return stage.kalshi()
    hosts = PolymarketHosts("http://gamma", "http://clob", "ws://clob", "http://data")
    return Polymarket(hosts, OneEngine(stage.network), stage.environment)


async def ask(venue: Venue, market: Market, count: int) -> float:
    """So many questions for a market at once, each by a client of its own; the seconds that they take."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(venue.market, market.key.market)
    return trio.current_time() - began


@pytest.mark.parametrize(
    ("name", "count", "at_least", "at_most"),
    [
        (KALSHI, 60, 5.0, 9.0),  # two or three requests each at 20 a second, and the first 20 at once
        (POLYMARKET, 70, 0.0, 1.0),  # 300 in any ten seconds: a quarter of them at once, the rest evenly
        (POLYMARKET, 200, 5.0, 8.0),
    ],
)
async def test_questions_beyond_the_limit_wait_their_turn(autojump_clock, stage, name, count, at_least, at_most):
    async with stage.running():
        assert at_least <= await ask(make(stage, name), getattr(stage.world, name)[0], count) <= at_most


@pytest.mark.parametrize("name", [KALSHI, POLYMARKET])
async def test_whoever_is_refused_for_too_many_stops_all_for_as_long_as_the_venue_wishes(autojump_clock, stage, name):
    async with stage.running():
        venue, market = make(stage, name), getattr(stage.world, name)[0]
        wish = {"retry_after_s": 3} if name == POLYMARKET else {}
        at_least = 2.5 if name == POLYMARKET else 0.2  # Kalshi names no time
        getattr(stage.sandbox, name).faults.begin(Fault("answer-429", count=1, **wish), stage.environment.unix_ms())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, venue, market, 1)
            await trio.sleep(0.05)
            assert at_least < await ask(venue, market, 3) < 4
