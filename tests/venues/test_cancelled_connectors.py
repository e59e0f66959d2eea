"""Both connectors, cancelled at every turn: no connection stays open, no task stays behind, and the next stream works."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from arbiter.actors.book_keeper import BookKeeper
from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.domain.book import Book, Levels, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, OutcomeKey
from arbiter.runtime import Child, Group, Supervisor
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


@pytest.mark.parametrize("name", [KALSHI, POLYMARKET])
async def test_a_feed_that_crashes_twice_with_its_streams_in_flight_has_one_stream_and_true_books(
    autojump_clock, stage, until, name, monkeypatch
):
    crash = Crash(monkeypatch)
    async with counted(stage) as network:
        data = MarketData()
        venue = make(stage, name)
        supervisor = Supervisor(Group("root", [Child("feed", lambda: MarketFeed(venue, data, stage.environment))]), stage.environment)
        truth = stage.truth(name)

        def shown() -> dict[OutcomeKey, tuple[Levels, Levels]]:
            books = {outcome: data.books.get(outcome) for outcome in truth}
            return {outcome: (book.bids, book.asks) for outcome, book in books.items() if book is not None and book.trusted}

        async with trio.open_nursery() as tree:
            await tree.start(supervisor.run)
            await until(lambda: shown() == truth, 2)
            streams = len(network.open)
            for restarts in (1, 2):
                crash.due = True
                stage.world.change(getattr(stage.world, name)[0], Side.BUY, "0.41", str(restarts))
                await until(lambda: not crash.due, 2)
                await until(lambda: shown() == {}, 2)
                await until(lambda: shown() == stage.truth(name), 5)
                assert [status.restarts for status in supervisor.statuses()] == [restarts]
                assert len(network.open) == streams
            supervisor.stop()
        assert network.open == set()


@pytest.mark.parametrize("name", [KALSHI, POLYMARKET])
async def test_who_asks_while_there_is_a_stream_uses_its_connections(autojump_clock, stage, name):
    async with counted(stage) as network:
        venue, market = make(stage, name), getattr(stage.world, name)[0]
        follower = await stage.follow(venue, [market])
        before = network.dialled
        for _ in range(10):
            assert (await venue.market(market.key.market)).key == market.key
            assert await venue.resolution(market) is None
            assert len(await venue.public_trades(market, 0, 5)) <= 5
        assert network.dialled <= before + 1
        assert follower.lost == []


class Crash:
    """A bug in the keeper: it raises at the next change when it is `due`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.due = False
        changed = BookKeeper.changed

        def buggy(keeper: BookKeeper, book: Book, venue_ms: int) -> None:
            if self.due:
                self.due = False
                raise ZeroDivisionError
            changed(keeper, book, venue_ms)

        monkeypatch.setattr(BookKeeper, "changed", buggy)


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
