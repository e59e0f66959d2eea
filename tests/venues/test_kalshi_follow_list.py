"""Kalshi's connector and a list of markets that changes at awkward times, or holds markets whose books do not come."""

import msgspec
import trio

from arbiter.domain.book import Book, Side
from arbiter.domain.ids import KALSHI
from arbiter.domain.market import MarketStatus
from arbiter.domain.market_events import Connected, StatusChanged
from arbiter.sandbox.kalshi.session import KalshiSession
from arbiter.venues.base import Followed
from arbiter.venues.kalshi.client import KalshiPace

PACE = KalshiPace()
ROUND_TRIP = 0.1


def with_other_books(follower, market) -> Followed:
    """The market is wanted with two new books."""
    followed = Followed(market, Book(market.yes_key), Book(market.no_key))
    follower.kept[market.key] = followed
    return followed


async def test_a_market_that_is_wanted_with_other_books_gets_them_at_once(autojump_clock, stage, shown):
    first, second, third = stage.world.kalshi
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        follower.told.clear()
        follower.keep([with_other_books(follower, first), follower.kept[second.key], follower.kept[third.key]])
        await trio.sleep(ROUND_TRIP)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert [event.outcomes for event in follower.of(Connected)] == [(first.yes_key, first.no_key)]
        stage.world.change(first, Side.BUY, "0.41", "7")
        await trio.sleep(ROUND_TRIP)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert (follower.lost, venue.statistics()["connections"]) == ([], 1)


async def test_a_market_that_is_dropped_and_wanted_again_in_one_go_gets_its_new_books(autojump_clock, stage, shown):
    first, second, third = stage.world.kalshi
    async with stage.running():
        follower = await stage.follow(stage.kalshi())
        others = [follower.kept[second.key], follower.kept[third.key]]
        follower.keep(others)
        follower.keep([with_other_books(follower, first), *others])
        await trio.sleep(ROUND_TRIP)
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_market_that_is_dropped_and_wanted_again_while_frames_are_on_their_way_has_its_true_book(autojump_clock, stage, shown):
    first, *others = stage.world.kalshi
    async with stage.running():
        follower = await stage.follow(stage.kalshi())
        rest = [follower.kept[market.key] for market in others]
        for step in range(30):
            stage.world.change(first, Side.BUY, "0.41", str(1 + step))
            await trio.sleep(0.005 * (step % 7))
            follower.keep(rest)
            await trio.sleep(0.003 * (step % 5))
            follower.keep([with_other_books(follower, first), *rest])
            await trio.sleep(0.004 * (step % 3))
        await trio.sleep(3 * ROUND_TRIP)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert follower.lost == []


async def test_what_is_wanted_while_the_connection_comes_about_is_not_missed(autojump_clock, stage, shown):
    """Whatever is the very moment: the list changes with each event that the connector tells."""
    first, *_ = stage.world.kalshi
    async with stage.running():
        follower = await stage.follow(stage.kalshi(), [first])
        tell = follower.tell
        everything = [Followed(market, Book(market.yes_key), Book(market.no_key)) for market in stage.world.kalshi]

        def widened(event: object) -> None:
            tell(event)
            if isinstance(event, Connected) and event.outcomes:
                follower.tell = tell
                follower.keep(everything)

        follower.tell = widened
        stage.sandbox.kalshi.fault_drop()
        await trio.sleep(1)
        assert shown(follower.books) == stage.truth(KALSHI)


async def test_a_market_whose_book_never_comes_costs_the_others_one_connection_at_most(autojump_clock, stage, shown, monkeypatch):
    silent, *others = (market.key.market for market in stage.world.kalshi)
    tell = KalshiSession._snapshots

    def without(self, subscription, tickers):
        tell(self, subscription, [ticker for ticker in tickers if ticker != silent])

    monkeypatch.setattr(KalshiSession, "_snapshots", without)
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        await trio.sleep(1_200)
        lost = len(follower.lost)
        assert lost <= 1
        assert {outcome.market for outcome in follower.books} == set(others)
        assert venue.statistics()["resubscribed"] < 30
        monkeypatch.setattr(KalshiSession, "_snapshots", tell)
        await trio.sleep(61)
        assert shown(follower.books) == stage.truth(KALSHI)
        assert len(follower.lost) == lost


async def test_books_that_never_come_at_all_are_the_connections_fault(autojump_clock, stage, monkeypatch):
    monkeypatch.setattr(KalshiSession, "_snapshots", lambda self, subscription, tickers: None)
    async with stage.running():
        follower = await stage.follow(stage.kalshi())
        await trio.sleep(300)
        assert 10 < len(follower.lost) < 40
        assert "no book within" in follower.lost[0]


async def test_a_catalogue_that_opens_a_market_of_a_halted_shard_is_contradicted(autojump_clock, stage):
    async with stage.running():
        venue = stage.kalshi()
        follower = await stage.follow(venue)
        key = stage.world.kalshi[0].key
        shard = follower.kept[key].market.shard

        def told() -> list[MarketStatus | None]:
            return [event.status for event in follower.of(StatusChanged) if event.market == key]

        def listed_as(status: MarketStatus) -> None:
            follower.keep(
                [
                    msgspec.structs.replace(each, market=msgspec.structs.replace(each.market, status=status))
                    for each in follower.kept.values()
                ]
            )

        stage.sandbox.kalshi.reads.halted.add(shard)
        await trio.sleep(PACE.status + 1)
        assert told() == [MarketStatus.PAUSED]
        listed_as(MarketStatus.PAUSED)
        await trio.sleep(PACE.status)
        assert told() == [MarketStatus.PAUSED]
        listed_as(MarketStatus.OPEN)
        await trio.sleep(PACE.status)
        assert told() == [MarketStatus.PAUSED] * 2
        listed_as(MarketStatus.PAUSED)
        stage.sandbox.kalshi.reads.halted.clear()
        await trio.sleep(PACE.status)
        assert told() == [MarketStatus.PAUSED] * 2 + [MarketStatus.OPEN]
