"""What `Venue` promises, asked of both connectors on the sandbox: who calls them need not know which one it is."""

from itertools import pairwise
from typing import Any

import pytest
import trio

from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.ids import KALSHI, POLYMARKET, MarketId
from arbiter.domain.market import Market
from arbiter.domain.market_events import Connected, Disconnected
from arbiter.domain.money import ONE
from arbiter.errors import NotFound
from arbiter.venues.base import Selection, Venue

PROMISED = {"frames", "unknown_events", "malformed_frames", "gaps", "connections"}
ROUND_TRIP = 0.1

pytestmark = pytest.mark.parametrize("name", [KALSHI, POLYMARKET])


def make(stage: Any, name: str) -> Venue:
    return stage.kalshi() if name == KALSHI else stage.polymarket()


async def listed(venue: Venue, **selection: Any) -> list[Market]:
    return [market async for page in venue.catalogue(Selection(**selection)) for market in page.markets]


async def test_the_catalogue_names_each_market_once_as_it_is_read_by_itself_and_its_event(autojump_clock, stage, name):
    async with stage.running():
        venue = make(stage, name)
        markets = await listed(venue)
        assert {market.key for market in markets} == {market.key for market in getattr(stage.world, name)}
        assert len({market.key for market in markets}) == len(markets)
        assert [await venue.market(market.key.market) for market in markets] == markets
        events = {event.id: event async for page in venue.catalogue(Selection()) for event in page.events}
        assert all(market.key.market in events[market.event].markets for market in markets)
        with pytest.raises(NotFound):
            await venue.market(MarketId("none-such"))
        assert [await venue.resolution(market) for market in markets] == [None] * len(markets)


async def test_a_limit_takes_so_many_and_an_event_takes_its_own(autojump_clock, stage, name):
    async with stage.running():
        venue = make(stage, name)
        everything = await listed(venue)
        assert len(await listed(venue, limit=2)) == 2
        chosen = everything[1].event
        assert await listed(venue, events=(chosen,)) == [market for market in everything if market.event == chosen]


async def test_counters_are_there_from_the_start_and_only_grow(autojump_clock, stage, name):
    async with stage.running():
        venue = make(stage, name)
        before = venue.statistics()
        assert set(before) >= PROMISED
        assert {before[each] for each in PROMISED} == {0}
        await stage.follow(venue)
        await trio.sleep(5)
        after = venue.statistics()
        assert after["frames"] > 0
        assert after["connections"] == 1
        assert all(after[each] >= before[each] for each in PROMISED)


async def test_each_book_comes_after_its_line_and_none_while_that_is_lost(autojump_clock, stage, shown, name):
    async with stage.running():
        follower = await stage.follow(make(stage, name))
        getattr(stage.sandbox, name).fault_drop()
        await trio.sleep(2)
        told = sorted(
            [(at, 0, event) for at, event in follower.told if isinstance(event, Connected | Disconnected)]
            + [(at, 1, outcome) for at, outcome, _ in follower.changes],
            key=lambda each: each[:2],
        )
        up: set[Any] = set()
        for _, _, what in told:
            if isinstance(what, Connected):
                up |= set(what.outcomes)
            elif isinstance(what, Disconnected):
                up.clear()
            else:
                assert what in up
        assert len(follower.of(Disconnected)) == 1
        assert shown(follower.books) == stage.truth(name)


async def test_no_is_yes_seen_from_the_other_side_where_books_are_mirrored(autojump_clock, stage, name):
    async with stage.running():
        venue = make(stage, name)
        assert venue.capabilities.mirrored_books
        follower = await stage.follow(venue)
        first = getattr(stage.world, name)[0]
        for size in range(1, 9):
            stage.world.change(first, Side.BUY if size % 2 else Side.SELL, "0.43", str(size % 3))
            await trio.sleep(ROUND_TRIP)
            yes, no = follower.books[first.yes_key], follower.books[first.no_key]
            assert [(ONE - price, held) for price, held in yes.bids()] == list(no.asks())
            assert [(ONE - price, held) for price, held in yes.asks()] == list(no.bids())


async def test_trades_are_told_as_they_happen_and_read_newest_first(autojump_clock, stage, name):
    async with stage.running():
        venue = make(stage, name)
        follower = await stage.follow(venue)
        first = getattr(stage.world, name)[0]
        began = stage.environment.unix_ms()
        for size in ("1", "2", "3", "4"):
            stage.world.trade(first, "0.44", size, Side.BUY)
            await trio.sleep(1.5)
        told = follower.of(PublicTrade)
        assert [trade.size for trade in told if trade.outcome == first.yes_key] == [size * ONE for size in (1, 2, 3, 4)]
        assert all(trade.side is Side.BUY and trade.price == 440_000 for trade in told)
        await trio.sleep(300)  # what is read may be minutes old
        read = await venue.public_trades(first, began, 3)
        assert [trade.size for trade in read] == [size * ONE for size in (4, 3, 2)]
        assert all(newer.venue_ms >= older.venue_ms for newer, older in pairwise(read))
        assert bool(read[0].id) == venue.capabilities.trade_ids
        assert await venue.public_trades(first, stage.environment.unix_ms(), 3) == ()
