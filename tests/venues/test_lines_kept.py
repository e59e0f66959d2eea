"""Real market sockets as kept lines against the sandbox: what happens to one of them does not happen to the others."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from arbiter.domain.book import BookDelta, BooksInvalid, BookSnapshot, Connected, MarketEvent
from arbiter.domain.ids import POLYMARKET, OutcomeKey
from arbiter.venues.limiter import Limiter
from arbiter.venues.polymarket.connection import Connection, Shared
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.limits import CLOB
from arbiter.venues.reconnecting import keep_connected, shards
from arbiter.venues.rest import RestClient
from arbiter.venues.tally import Tally


class Lines:
    """One line a market, and what each told."""

    def __init__(self, stage) -> None:
        self.stage = stage
        self.keys = shards([(market.yes_key, market.no_key) for market in stage.world.polymarket], 2)
        self.events: list[MarketEvent] = []
        self.tally = Tally(POLYMARKET, stage.environment)

    def connected(self) -> list[int]:
        return [event.line for event in self.events if isinstance(event, Connected)]

    def invalid(self) -> set[OutcomeKey]:
        return {key for event in self.events if isinstance(event, BooksInvalid) for key in event.outcomes}

    def books(self) -> set[OutcomeKey]:
        return {event.outcome for event in self.events if isinstance(event, BookSnapshot)}

    async def run(self) -> None:
        environment, network = self.stage.environment, self.stage.network
        limiter = Limiter(POLYMARKET, CLOB, environment)
        async with (
            RestClient(POLYMARKET, "http://polymarket", network, environment, limiter=limiter) as clob,
            trio.open_nursery() as nursery,
        ):
            shared = Shared("ws://polymarket", network, environment, PolymarketPace(), self.tally, clob, self.events.append)
            for line, keys in enumerate(self.keys):
                nursery.start_soon(self._keep, shared, line, keys)

    async def _keep(self, shared: Shared, line: int, keys: list[OutcomeKey]) -> None:
        outcomes = {key.outcome: key for key in keys}
        await keep_connected(
            lambda: Connection(shared, line, outcomes).run(),
            self.events.append,
            lambda: keys,
            self.stage.environment,
            venue=POLYMARKET,
            line=line,
        )

    @contextmanager
    def since(self) -> Iterator[None]:
        """Only what is told from here on."""
        self.events.clear()
        yield


@pytest.fixture
def lines(stage) -> Lines:
    return Lines(stage)


async def test_a_cut_line_comes_back_with_its_books_and_the_others_never_stop(autojump_clock: MockClock, stage, lines: Lines) -> None:
    async with stage.running():
        stage.nursery.start_soon(lines.run)
        await trio.sleep(12)
        assert sorted(lines.connected()) == [0, 1, 2]
        sessions = list(stage.sandbox.polymarket.sessions)
        hurt = next(session for session in sessions if lines.keys[1][0].outcome in session.assets)
        with lines.since():
            hurt.socket.drop()
            await trio.sleep(1.5)
            assert lines.connected() == [1]
            assert lines.invalid() == lines.books() == set(lines.keys[1])
        assert {each for each in sessions if each not in stage.sandbox.polymarket.sessions} == {hurt}


async def test_a_venue_that_refuses_for_a_while_gets_every_line_back_at_its_own_time(autojump_clock, stage, lines: Lines, until) -> None:
    async with stage.running():
        stage.nursery.start_soon(lines.run)
        await trio.sleep(12)
        stage.network.inner.reachable = False
        with lines.since():
            stage.sandbox.polymarket.fault_drop()
            await trio.sleep(20)
            assert lines.connected() == []
            stage.network.inner.reachable = True
            await until(lambda: len(lines.connected()) == 3, 31)
        every = {key for keys in lines.keys for key in keys}
        await until(lambda: lines.books() == every, 1)


async def test_garbage_on_one_line_is_its_own_affair(autojump_clock: MockClock, stage, lines: Lines) -> None:
    async with stage.running():
        stage.nursery.start_soon(lines.run)
        await trio.sleep(12)
        hurt = next(session for session in stage.sandbox.polymarket.sessions if lines.keys[2][0].outcome in session.assets)
        with lines.since():
            hurt.socket.send(b'{"event_type":"book","market":"0x')
            await trio.sleep(2)
            assert lines.connected() == [2]
            assert lines.invalid() == set(lines.keys[2])
            assert not any(isinstance(event, BookDelta) for event in lines.events)
        assert lines.tally.statistics()["malformed_frames"] == 1
