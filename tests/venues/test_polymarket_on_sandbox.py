"""Polymarket's connector and the sandbox's venue, which were written apart: catalogue, books, faults, and the real feed on top."""

import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET
from arbiter.domain.market_events import BooksInvalid, Disconnected, GridChanged, Ticker
from arbiter.errors import NotFound
from arbiter.venues.polymarket.client import PolymarketHosts

ROUND_TRIP = 0.1
"""The sandbox ticks every 20 ms."""


async def test_the_catalogue_is_the_sandboxes_and_a_limit_ends_it(autojump_clock, stage):
    async with stage.running():
        venue = stage.polymarket()
        listed = await stage.listed(venue)
        assert [(m.key, m.yes, m.no, m.ticks, m.closes_at) for m in listed] == [
            (m.key, m.yes, m.no, m.ticks, m.closes_at) for m in stage.world.polymarket
        ]
        assert len(await stage.listed(venue, limit=2)) == 2
        assert [m.key for m in await stage.listed(venue, events=(listed[1].event,))] == [listed[1].key]
        assert await venue.market(listed[0].key.market) == listed[0]
        with pytest.raises(NotFound):
            await venue.market(listed[0].yes.id)


async def test_changes_lead_to_the_books_of_the_sandbox_and_quiet_books_are_proved(autojump_clock, stage, shown):
    async with stage.running():
        venue = stage.polymarket(tokens_per_socket=4)
        follower = await stage.follow(venue)
        for price, size in [("0.41", "7"), ("0.42", "1.5"), ("0.40", "0")]:
            stage.world.change(stage.world.polymarket[0], Side.BUY, price, size)
            await trio.sleep(ROUND_TRIP)
        assert shown(follower.books) == stage.truth(POLYMARKET)
        await trio.sleep(60)
        assert {outcome for at, outcome in follower.proved_at if at > trio.current_time() - 9} == set(stage.truth(POLYMARKET))
        assert follower.of(Disconnected) == follower.of(BooksInvalid) == []
        statistics = venue.statistics()
        assert statistics["malformed_frames"] == statistics["unknown_events"] == statistics["hash_mismatches"] == 0
        assert follower.of(Ticker)


@pytest.mark.parametrize("fault", ["fault_stall", "fault_malformed", "fault_drop", "fault_close"])
async def test_the_feed_distrusts_its_books_after_a_fault_and_trusts_them_again(autojump_clock, stage, until, fault):
    async with stage.running(), stage.feed(stage.polymarket()) as data:
        outcomes = list(stage.truth(POLYMARKET))

        def trusted() -> list[bool]:
            return [(book := data.books.get(outcome)) is not None and book.trusted for outcome in outcomes]

        await until(lambda: all(trusted()), 2)
        for size in range(1, 4):
            await trio.sleep(11)
            getattr(stage.sandbox.polymarket, fault)()
            stage.world.change(stage.world.polymarket[0], Side.BUY, "0.41", str(size))
            await until(lambda: not any(trusted()), 9)
            await until(lambda: all(trusted()), 1)
            await until(
                lambda: {each: (data.books.get(each).bids, data.books.get(each).asks) for each in outcomes} == stage.truth(POLYMARKET), 1
            )


async def test_a_new_grid_of_the_sandbox_is_understood(autojump_clock, stage, shown):
    async with stage.running():
        follower = await stage.follow(stage.polymarket())
        market = stage.world.polymarket[0]
        stage.sandbox.polymarket.change_tick(market.key.market, 1_000, stage.environment.unix_ms())
        await trio.sleep(3)
        assert shown(follower.books) == stage.truth(POLYMARKET)
        assert [event.market for event in follower.of(GridChanged)] == [market.key]
        assert {key for event in follower.of(BooksInvalid) for key in event.outcomes} == {market.yes_key, market.no_key}


def test_a_sandbox_never_reads_productions_data() -> None:
    assert PolymarketHosts().data == "https://data-api.polymarket.com"
    assert PolymarketHosts("http://here", "http://here", "ws://here").data == "http://here"
