"""Both connectors, cancelled at every turn: no connection stays open, no task stays behind, and the next stream works."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.venues.base import Network, Selection

MOMENTS = [0.0, 0.001, 0.02, 0.021, 0.04, 0.06, 0.1, 0.3, 0.51, 1.0, 4.1]
TURNS = 14


class CountingNetwork:
    """A `Network` that knows which of its streams are open."""

    def __init__(self, inner: Network) -> None:
        self.inner = inner
        self.open: set[trio.abc.Stream] = set()
        self.dialled = 0

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        self.dialled += 1
        await trio.lowlevel.checkpoint()
        stream = await self.inner.connect(host, port, tls=tls)
        self.open.add(stream)
        close = stream.aclose

        async def aclose() -> None:
            self.open.discard(stream)
            await close()

        stream.aclose = aclose  # type: ignore[method-assign]
        return stream


def make(stage: Any, name: str) -> Any:
    return stage.kalshi() if name == KALSHI else stage.polymarket()


@asynccontextmanager
async def counted(stage: Any) -> AsyncIterator[CountingNetwork]:
    async with stage.running():
        network = CountingNetwork(stage.network)
        stage.network = network
        yield network
        stage.network = network.inner


async def cut_off(what: Callable[[], Awaitable[object]], moment: float, turns: int) -> None:
    """Run it until so many turns of the loop after that moment."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(what)
        await trio.sleep(moment)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", [KALSHI, POLYMARKET])
async def test_a_stream_leaves_nothing_behind(autojump_clock, stage, shown, name, moment):
    async with counted(stage) as network:
        venue = make(stage, name)
        markets = getattr(stage.world, name)
        await trio.sleep(0.1)
        tasks = len(stage.nursery.child_tasks)
        for turns in range(TURNS):
            follower = stage.follower(markets)
            await cut_off(lambda follower=follower: venue.stream(follower.list, follower), moment, turns)
            assert network.open == set()
        await trio.sleep(1)
        assert len(stage.nursery.child_tasks) == tasks, "the venue sees the end of each connection, too"
        assert network.dialled >= TURNS - 3
        follower = await stage.follow(venue, markets)
        assert shown(follower.books) == stage.truth(name)


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.02, 0.04])
@pytest.mark.parametrize("call", ["catalogue", "market", "resolution", "public_trades"])
@pytest.mark.parametrize("name", [KALSHI, POLYMARKET])
async def test_a_read_leaves_nothing_behind(autojump_clock, stage, name, call, moment):
    async with counted(stage) as network:
        venue = make(stage, name)
        market = getattr(stage.world, name)[0]

        async def read() -> object:
            match call:
                case "catalogue":
                    async with aclosing(venue.catalogue(Selection())) as pages:
                        return [page async for page in pages]
                case "market":
                    return await venue.market(market.key.market)
                case "resolution":
                    return await venue.resolution(market)
                case _:
                    return await venue.public_trades(market, 0, 10)

        for turns in range(TURNS):
            await cut_off(read, moment, turns)
            assert network.open == set()
        with trio.fail_after(30):
            assert await read() is not False
        assert network.open == set()
