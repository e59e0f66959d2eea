"""Polymarket's stream over a scripted venue in memory: what it makes of frames, lines that end, lists that change."""

from itertools import pairwise

import msgspec
import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET, MarketId
from arbiter.domain.market import Resolution, TickRange
from arbiter.domain.market_events import (
    BooksInvalid,
    Connected,
    Disconnected,
    GridChanged,
    MarketListed,
    MarketResolved,
    PublicTrade,
    Ticker,
)
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from tests.polyvenue import PolyStage, levels

ROUND_TRIP = 0.1


@pytest.mark.parametrize(("tokens_per_socket", "sockets"), [(400, 1), (4, 2), (2, 3)])
async def test_books_come_whole_and_changes_lead_to_the_books_of_the_venue(autojump_clock, tokens_per_socket, sockets):
    async with PolyStage(tokens_per_socket=tokens_per_socket).running() as stage:
        assert stage.all_trusted
        for price, size in [("0.41", "7"), ("0.42", "1.5"), ("0.40", "0")]:
            stage.venue.change("1001", Side.BUY, price, size)
            await trio.sleep(ROUND_TRIP)
        assert stage.shown() == stage.truth()
        assert stage.book(1).best_bid == levels("0.42x1.5")[0]
        assert stage.connector.statistics()["connections"] == len(stage.venue.sessions) == sockets
        assert stage.heard.of(BooksInvalid) == []


async def test_a_frame_tells_each_book_once_after_all_of_its_changes(autojump_clock):
    async with PolyStage(1).running() as stage:
        before = len(stage.heard.changes)
        both = [
            {"asset_id": "1001", "price": "0.41", "size": "1", "side": "BUY"},
            {"asset_id": "1002", "price": "0.59", "size": "1", "side": "SELL"},
            {"asset_id": "1001", "price": "0.43", "size": "2", "side": "BUY"},
        ]
        stage.venue.tell_all({"event_type": "price_change", "timestamp": "77", "price_changes": both})
        await trio.sleep(ROUND_TRIP)
        market = stage.markets[0]
        assert [(outcome, ms) for _, outcome, ms in stage.heard.changes[before:]] == [(market.yes_key, 77), (market.no_key, 77)]
        assert stage.book(1).best_bid == levels("0.43x2")[0]


async def test_both_tokens_of_a_market_share_a_socket_and_each_socket_tells_whose_books_it_brings(autojump_clock):
    async with PolyStage(tokens_per_socket=3).running() as stage:
        told = sorted(stage.heard.of(Connected), key=lambda event: event.line)
        assert [event.line for event in told] == [0, 1, 2]
        assert [{key.market for key in event.outcomes} for event in told] == [{market.key.market} for market in stage.markets]
        assert all(len(event.outcomes) == 2 for event in told)


# -- lines that end --


@pytest.mark.parametrize("how", ["drop", "close"])
async def test_a_line_that_ends_is_connected_again_by_itself_and_no_other_notices(autojump_clock, how):
    async with PolyStage(tokens_per_socket=2).running() as stage:
        await trio.sleep(20)
        getattr(stage.venue.session_of("1001"), how)()
        await trio.sleep(0.05)
        (lost,) = stage.heard.of(Disconnected)
        assert (lost.venue, lost.line) == (POLYMARKET, 0)
        assert [stage.book(number).trusted for number in (1, 2, 3)] == [False, True, True]
        await trio.sleep(0.5 + ROUND_TRIP)
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
        assert len(stage.heard.of(Connected)) == 4


async def test_an_unreachable_venue_is_tried_again_ever_more_seldom_and_jittered(autojump_clock):
    stage = PolyStage(1)
    stage.reachable = False
    async with stage.running():
        await trio.sleep(300)
        attempts = [at for at, event in stage.heard.told if isinstance(event, Disconnected)]
        pauses = [later - earlier for earlier, later in pairwise(attempts)]
        assert 0.25 <= pauses[0] <= 0.5
        assert 15 <= max(pauses) <= 30
        assert len({round(pause, 3) for pause in pauses}) == len(pauses)
        assert "no route" in stage.heard.of(Disconnected)[0].reason
        stage.reachable = True
        await trio.sleep(31)
        assert stage.all_trusted


async def test_a_venue_that_answers_no_ping_any_more_is_lost_within_the_limits_of_the_pace(autojump_clock):
    async with PolyStage(1).running() as stage:
        await trio.sleep(30)
        stage.venue.sessions[0].silent = stage.venue.sessions[0].deaf = True
        await trio.sleep(15 + 5 + ROUND_TRIP)
        assert stage.heard.losses == ["no PONG for 15 s"]
        await trio.sleep(1)
        assert stage.all_trusted


async def test_a_line_that_brings_no_book_at_all_is_lost_and_lives_are_told_as_pongs_come(autojump_clock):
    stage = PolyStage(1)
    stage.venue.withheld = {"1001", "1002"}
    async with stage.running():
        await trio.sleep(16)
        assert stage.heard.losses == ["no book within 15 s"]
        assert [line for _, line in stage.heard.lives[:3]] == [0, 0, 0]


# -- lists that change --


async def test_what_is_followed_later_is_subscribed_on_a_line_with_room_and_then_on_a_new_one(autojump_clock):
    stage = PolyStage(1, 2, 3, 4, tokens_per_socket=4)
    later = stage.markets[1:]
    del stage.markets[1:]
    async with stage.running():
        assert len(stage.venue.sessions) == 1
        for market in later:
            stage.markets.append(market)
            stage.follow.add([stage.followed(market)])
            await trio.sleep(0.5)
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
        assert sorted(sorted(session.tokens) for session in stage.venue.sessions) == [
            ["1001", "1002", "2001", "2002"],
            ["3001", "3002", "4001", "4002"],
        ]
        assert stage.connector.statistics()["connections"] == 2
        assert stage.heard.of(Disconnected) == []
        assert len(stage.heard.of(Connected)[1].outcomes) == 4


async def test_what_is_dropped_is_unsubscribed_makes_room_and_is_written_no_more(autojump_clock):
    async with PolyStage(tokens_per_socket=4).running() as stage:
        first, second, third = stage.markets
        stage.follow.set([stage.followed(second), stage.followed(third)])
        await trio.sleep(ROUND_TRIP)
        session = stage.venue.session_of("2001")
        assert sorted(session.tokens) == ["2001", "2002"]
        before = stage.book(1).packed()
        session.send({"event_type": "price_change", "price_changes": [{"asset_id": "1001", "price": "0.41", "size": "9", "side": "BUY"}]})
        await trio.sleep(1)
        assert stage.book(1).packed() == before
        assert stage.connector.statistics()["strange_tokens"] == 1
        stage.follow.add([stage.followed(first)])
        await trio.sleep(0.5)
        assert stage.all_trusted
        assert len(stage.venue.sessions) == 2


async def test_a_line_with_nothing_left_to_follow_is_given_up_and_its_number_is_free_again(autojump_clock):
    async with PolyStage(tokens_per_socket=2).running() as stage:
        stage.follow.set([stage.followed(stage.markets[2])])
        await trio.sleep(1)
        assert len(stage.venue.sessions) == 1
        assert sorted(event.line for event in stage.heard.of(Disconnected)) == [0, 1]
        stage.follow.add([stage.followed(stage.markets[0])])
        await trio.sleep(0.5)
        assert stage.heard.of(Connected)[-1].line == 0
        assert stage.book(1).trusted


async def test_another_description_of_a_followed_market_changes_nothing_on_its_line(autojump_clock):
    async with PolyStage(1).running() as stage:
        market = msgspec.structs.replace(stage.markets[0], title="other")
        heard = len(stage.venue.sessions[0].heard)
        stage.follow.set([stage.followed(market)])
        await trio.sleep(1)
        assert len(stage.venue.sessions[0].heard) == heard
        assert stage.all_trusted


async def test_a_market_that_is_wanted_with_other_books_is_subscribed_anew_at_once(autojump_clock):
    async with PolyStage(1, 2).running() as stage:
        before = stage.book(1)
        for key in (stage.markets[0].yes_key, stage.markets[0].no_key):
            del stage.books[key]
        stage.follow.set([stage.followed(market) for market in stage.markets])
        await trio.sleep(0.5)
        assert stage.book(1) is not before
        assert stage.all_trusted
        assert not before.trusted
        assert stage.shown() == stage.truth()


async def test_a_stream_with_nothing_to_follow_waits_for_something(autojump_clock):
    stage = PolyStage(1)
    (market,) = stage.markets
    stage.markets.clear()
    async with stage.running():
        await trio.sleep(100)
        assert stage.venue.sessions == []
        stage.follow.add([stage.followed(market)])
        await trio.sleep(0.5)
        assert stage.all_trusted


# -- events of markets --


async def test_trades_best_prices_new_markets_and_outcomes_are_told_in_our_words(autojump_clock):
    async with PolyStage(tokens_per_socket=2).running() as stage:
        market = stage.markets[0]
        trade = {
            "event_type": "last_trade_price",
            "asset_id": "1002",
            "price": "0.52",
            "size": "3",
            "side": "SELL",
            "timestamp": "5",
            "fee_rate_bps": "",
        }
        best = {
            "event_type": "best_bid_ask",
            "asset_id": "1001",
            "best_bid": "0.42",
            "best_ask": "0.44",
            "spread": "0.02",
            "timestamp": "6",
        }
        listed = {
            "event_type": "new_market",
            "id": "9",
            "market": "0xnew",
            "assets_ids": ["7", "8"],
            "event_message": {"id": "1"},
            "timestamp": "7",
        }
        ended = {
            "event_type": "market_resolved",
            "id": "9",
            "market": "0x",
            "assets_ids": ["1001", "1002"],
            "winning_asset_id": "1002",
            "timestamp": "8",
        }
        for event in (trade, best, listed, ended, ended):
            stage.venue.tell_all(event)
        await trio.sleep(ROUND_TRIP)
        assert stage.heard.of(PublicTrade) == [PublicTrade(market.no_key, parse_micros("0.52"), parse_micros("3"), Side.SELL, 5)]
        assert stage.heard.of(Ticker) == [Ticker(market.key, parse_micros("0.42"), parse_micros("0.44"), venue_ms=6)]
        assert stage.heard.of(MarketListed) == [MarketListed(POLYMARKET, MarketId("0xnew"))], "once, although each line hears of it"
        assert stage.heard.of(MarketResolved) == [MarketResolved(market.key, Resolution(ZERO, final=False))]


async def test_the_first_subscription_asks_for_the_custom_events(autojump_clock):
    async with PolyStage(1).running() as stage:
        assert stage.venue.sessions[0].heard == [{"type": "market", "assets_ids": ["1001", "1002"], "custom_feature_enabled": True}]


@pytest.mark.parametrize("venue_sends_books", [True, False])
async def test_a_new_price_grid_invalidates_the_books_of_its_market_once_until_the_next_ones(autojump_clock, venue_sends_books):
    async with PolyStage(1, 2).running() as stage:
        market = stage.markets[0]
        if not venue_sends_books:
            stage.venue.withheld = {"1001", "1002"}
        for token in ("1001", "1002"):
            stage.venue.tell(
                token, {"event_type": "tick_size_change", "asset_id": token, "old_tick_size": "0.01", "new_tick_size": "0.001"}
            )
            if venue_sends_books:
                stage.venue.tell(token, stage.venue.book_event(token))
        await trio.sleep(0.05)
        grid = (TickRange(Micros(1_000), Micros(ONE - 1_000), Micros(1_000)),)
        assert stage.heard.of(GridChanged) == [GridChanged(market.key, grid)]
        assert [set(event.outcomes) for event in stage.heard.of(BooksInvalid)] == [{market.yes_key, market.no_key}]
        assert stage.book(2).trusted
        assert stage.book(1).trusted == venue_sends_books
        stage.venue.withheld.clear()
        await trio.sleep(2)
        assert stage.all_trusted
        assert stage.connector.statistics()["resubscribed"] == (0 if venue_sends_books else 2)


async def test_changes_of_a_book_that_is_not_there_are_passed_over(autojump_clock):
    stage = PolyStage(1, 2)
    stage.venue.withheld = {"1001"}
    async with stage.running():
        stage.venue.change("1001", Side.BUY, "0.41", "7")
        await trio.sleep(ROUND_TRIP)
        assert not stage.book(1).trusted
        assert stage.book(1).bids() == ()
        stage.venue.withheld.clear()
        await trio.sleep(16)
        assert stage.all_trusted
        assert stage.shown() == stage.truth()
