"""What MarketService tells of markets, events, trades and feeds, and how its lists are narrowed and paged."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
import trio

from arbiter.actors.feed_report import FeedReport, LineReport
from arbiter.actors.market_data import MarketData
from arbiter.actors.market_feed import MarketFeed
from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Event, KalshiFees, Market, Outcome, PolymarketFees, Resolution, TickRange
from arbiter.domain.market_events import Ticker
from arbiter.domain.money import ONE, Micros
from arbiter.errors import ArbiterError, InvalidInput
from arbiter.rpc import client_market_read as read
from arbiter.rpc import market_codec
from arbiter.rpc.client import ArbiterClient, InvalidRequestError, NotFoundError
from arbiter.rpc.market_service import LARGEST_PAGE_BYTES, fitting
from arbiter.v1 import market_pb2

SECONDS = 20


@pytest.fixture
def open_client(program):
    @asynccontextmanager
    async def open_as(user="pro"):
        with trio.fail_after(SECONDS):
            async with ArbiterClient.open(program.address) as client:
                await client.authenticate(program.api_keys[user])
                yield client

    return open_as


@pytest.fixture
def data(program):
    return program.arbiter.core.data


@pytest.fixture
def market_told():
    cent = Micros(10_000)
    return Market(
        MarketKey(KALSHI, MarketId("KX-RED")),
        EventId("KX"),
        "Reds?",
        Outcome(OutcomeId("yes"), "Yes"),
        Outcome(OutcomeId("no"), "No"),
        (TickRange(Micros(0), ONE, cent),),
        cent,
        fees=KalshiFees(),
        rules="By the official result.",
        closes_at=datetime(2027, 2, 1, tzinfo=UTC),
    )


def trade(outcome, number=1):
    return PublicTrade(outcome, Micros(450_000), Micros(number * ONE), Side.SELL, 1_800_000_000_000 + number, f"t{number}")


# -- a market, as the client reads what the server wrote --


def told(market, ticker=None):
    return read.market(market_pb2.Market.FromString(market_codec.market_out(market, ticker).SerializeToString()))


def test_every_fact_of_a_market_arrives(market_told):
    at = datetime(2027, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    market = msgspec.structs.replace(
        market_told,
        category="Sports",
        opens_at=at,
        resolves_at=at,
        settlement_seconds=3_600,
        settlement_sources=("the league",),
        min_notional=ONE,
        notional_step=Micros(10_000),
        taker_delay_ms=250,
        volume=Micros(7 * ONE),
        generation="v2",
        negative_risk=True,
        shard=3,
    )
    info = told(market, Ticker(market.key, Micros(440_000), Micros(460_000), None, Micros(9), None, 77))
    assert (info.event_id, info.category, info.rules, info.generation) == (market.event, "Sports", market.rules, "v2")
    assert (info.opens_ms, info.resolves_ms) == (1_798_859_045_678, 1_798_859_045_678)
    assert info.closes_ms == int(market.closes_at.timestamp()) * 1000
    assert (info.settlement_seconds, info.settlement_sources) == (3_600, ("the league",))
    assert (info.ticks, info.size_step, info.min_size) == (market.ticks, market.size_step, market.min_size)
    assert (info.min_notional, info.notional_step, info.payout, info.volume) == (ONE, 10_000, ONE, 7 * ONE)
    assert (info.negative_risk, info.shard, info.taker_delay_ms, info.tradable) == (True, 3, 250, True)
    ticker = info.ticker
    assert (ticker.best_bid, ticker.best_ask, ticker.last_price, ticker.volume, ticker.open_interest) == (440_000, 460_000, 0, 9, 0)
    assert (info.resolution, info.last_trades) == (None, ())
    assert told(market).ticker is None


@pytest.mark.parametrize("resolution", [Resolution(Micros(0), True), Resolution(ONE, False), Resolution(None, True)])
def test_how_a_market_came_out_is_told_and_void_is_no_loss(market_told, resolution):
    info = told(msgspec.structs.replace(market_told, resolution=resolution)).resolution
    assert (info.yes_payout, info.final, info.at_ms) == (resolution.yes_payout, resolution.final, 0)


@pytest.mark.parametrize(
    ("fees", "text"),
    [
        (PolymarketFees(Micros(72_000)), "taker: 0.072 x shares x (price x (1 - price)); maker: nothing"),
        (PolymarketFees(Micros(30_000), 2), "taker: 0.03 x shares x (price x (1 - price)) ^ 2; maker: nothing"),
        (PolymarketFees(Micros(0)), "no fees"),
        (KalshiFees(), "taker: 0.07 x contracts x price x (1 - price); maker: nothing"),
        (
            KalshiFees(Micros(500_000), True, Micros(100)),
            "taker: 0.035 x contracts x price x (1 - price); maker: 0.00875 x contracts x price x (1 - price)",
        ),
        (None, "not known: this market is not traded"),
    ],
)
def test_fees_are_told_as_terms_and_in_words_and_unknown_ones_are_not_traded(market_told, fees, text):
    info = told(msgspec.structs.replace(market_told, fees=fees))
    assert (info.fees, info.fees_text, info.tradable) == (fees, text, fees is not None)


def test_a_number_of_the_venues_that_fits_nowhere_costs_no_answer(market_told):
    assert told(msgspec.structs.replace(market_told, shard=10**30, settlement_seconds=-(10**30))).shard == 2**63 - 1


async def test_a_market_and_its_book_tell_the_newest_trades_and_the_ticker(open_client, program, data):
    data.trades.publish(program.kalshi.yes_key, trade(program.kalshi.yes_key))
    data.tickers.publish(program.kalshi.key, Ticker(program.kalshi.key, last_price=Micros(450_000)))
    async with open_client() as client:
        market = await client.get_market("kalshi", program.kalshi.key.market)
        assert [(each.outcome, each.size, each.taker_side, each.id) for each in market.last_trades] == [
            (program.kalshi.yes_key, ONE, Side.SELL, "t1")
        ]
        assert market.ticker.last_price == 450_000
        assert (await client.get_book(program.kalshi.yes_key)).last_trade == market.last_trades[0]
        assert (await client.get_book(program.poly.yes_key)).last_trade is None


# -- lists --


async def test_markets_come_by_title_over_as_many_pages_as_it_takes(open_client, program):
    async with open_client() as client:
        everything = [program.kalshi.title, program.poly.title]
        assert [market.title async for market in client.list_markets(page_size=1)] == everything
        assert [market.title for market in await client.search_markets("reds", 1)] == everything[:1]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"venue": "kalshi"}, 1),
        ({"event": "final"}, 1),
        ({"category": "sports"}, 0),
        ({"statuses": ["resolved", "closed"]}, 0),
        ({"statuses": ["open"]}, 2),
        ({"closes_before_ms": 1_801_483_200_000}, 0),
        ({"closes_after_ms": 1_801_483_200_000}, 2),
        ({"words": "final", "venue": "polymarket", "closes_before_ms": 1_801_483_200_001}, 1),
    ],
)
async def test_markets_are_narrowed_by_all_that_is_given(open_client, wanted, count):
    async with open_client() as client:
        assert len([market async for market in client.list_markets(**wanted)]) == count


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"statuses": ["shut"]}, "statuses"),
        ({"closes_after_ms": -1}, "closes_after_unix_ms"),
        ({"closes_before_ms": 2**62}, "closes_before_unix_ms"),
        ({"category": "x" * 201}, "category"),
        ({"event": "x" * 201}, "event_id"),
        ({"page_size": 201}, "limit"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused_naming_its_field(open_client, wanted, field):
    async with open_client() as client:
        with pytest.raises(InvalidRequestError) as caught:
            await anext(client.list_markets(**wanted))
        assert caught.value.field == field


async def test_an_unknown_venue_is_not_found_by_lists_either(open_client):
    async with open_client() as client:
        for listed in (client.list_markets(venue="elsewhere"), client.list_events(venue="elsewhere")):
            with pytest.raises(NotFoundError):
                await anext(listed)


@pytest.mark.parametrize("token", ["x", "eA==", "WzFd", "é", "A" * 5_000])
def test_a_page_token_that_nobody_gave_is_refused(token):
    with pytest.raises(InvalidInput, match="page_token"):
        market_codec.place_in(token)


def test_a_place_survives_its_token():
    place = ("Éire — über \n title", KALSHI, "KX-1")
    assert market_codec.place_in(market_codec.place_out(place)) == place


async def test_a_page_holds_no_more_bytes_than_a_client_takes_and_one_entry_at_least():
    small, large = market_pb2.Market(title="s"), market_pb2.Market(rules="x" * (LARGEST_PAGE_BYTES // 2))
    huge = market_pb2.Market(rules="x" * (LARGEST_PAGE_BYTES + 1))
    assert await fitting([small, large, large, small], 10) == [small, large]
    assert await fitting([huge, small], 10) == [huge]
    assert await fitting([small] * 5, 3) == [small] * 3


async def test_events_come_with_their_markets(open_client, program, data):
    async with open_client() as client:
        event = await client.get_event("kalshi", program.kalshi.event)
        assert event in [each async for each in client.list_events(page_size=1)]
        assert [(each.market_id, each.title, each.status) for each in event.markets] == [
            (program.kalshi.key.market, program.kalshi.title, "open")
        ]
        assert [each.venue async for each in client.list_events(venue="kalshi")] == ["kalshi"]
        with pytest.raises(NotFoundError, match="kalshi lists no event 'none'"):
            await client.get_event("kalshi", "none")


def test_an_event_names_the_first_of_its_markets_and_counts_all(market_told):
    data, names = MarketData(), [MarketId(f"m{number}") for number in range(1_003)]
    for name in names:
        key = market_told.key._replace(market=name)
        data.markets.publish(key, msgspec.structs.replace(market_told, key=key))
    event = Event(market_told.key.venue, EventId("e"), "E", markets=(*names, MarketId("unknown")), at_most_one=True)
    info = read.event(market_codec.event_out(event, data))
    assert (len(info.markets), info.market_count, info.at_most_one, info.at_least_one) == (1_000, 1_003, True, False)


# -- trades --


async def test_trades_stream_as_the_newest_of_each_outcome_and_then_each_as_it_happens(open_client, program, data):
    mine, other = program.kalshi.yes_key, program.poly.yes_key
    data.trades.publish(mine, trade(mine))
    async with open_client() as client, client.stream_trades([mine]) as changes:
        first = await anext(changes)
        assert (first.snapshot, [each.id for each in first.trades]) == (True, ["t1"])
        data.trades.publish(other, trade(other, 5))
        data.trades.publish(mine, trade(mine, 2))
        update = await anext(changes)
        assert (update.snapshot, [each.id for each in update.trades]) == (False, ["t2"])
        assert changes.view[mine].size == 2 * ONE


async def test_a_trade_that_is_told_once_more_when_its_market_is_dropped_happened_once(open_client, program, data):
    mine = program.kalshi.yes_key
    async with open_client() as client, client.stream_trades([mine]) as changes:
        assert (await anext(changes)).trades == ()
        newest = trade(mine)
        data.trades.publish(mine, newest)
        data.trades.publish_passing(mine, newest)
        data.trades.publish(mine, trade(mine))  # alike, and another one
        data.trades.publish(mine, trade(mine, 9))
        told = 0
        while changes.view.get(mine) is None or changes.view[mine].id != "t9":
            update = await anext(changes)
            told += len(update.trades) + update.conflated
        assert told == 3


async def test_a_stream_of_trades_of_what_nobody_lists_is_not_found(open_client, program):
    async with open_client() as client:
        with pytest.raises(NotFoundError, match="lists no such outcome"):
            async with client.stream_trades([program.kalshi.yes_key._replace(outcome="maybe")]) as changes:
                await anext(changes)


# -- feeds --


async def test_how_the_feeds_are_is_told_to_everybody_and_what_they_count_to_operators(open_client, program):
    async with open_client() as client, open_client("operator") as operator:
        polymarket, kalshi = await client.list_feeds()
        for feed in (polymarket, kalshi):
            assert (feed.connected, feed.problem, feed.markets, feed.followed, feed.books, feed.trusted) == (True, "", 1, 1, 2, 2)
            assert feed.catalogue_age_ms is not None
            assert feed.lines[0].alive_age_ms is not None
            assert feed.counters == {}
        assert kalshi.fresh == 2
        for feed in await operator.list_feeds():
            assert feed.counters["frames"] >= 0  # Polymarket counts them at its next look
            assert feed.counters["crossings"] == 0


async def test_a_feed_that_does_not_answer_is_told_as_down_and_costs_no_other(open_client, monkeypatch):
    async def broken(self):
        raise ArbiterError("no time")

    monkeypatch.setattr(MarketFeed, "_look_at_itself", broken)
    async with open_client() as client:
        assert [(feed.connected, feed.problem, feed.lines) for feed in await client.list_feeds()] == [(False, "no time", ())] * 2


def test_the_first_problem_is_the_feeds():
    lines = (LineReport(0, True, 5, ""), LineReport(1, False, None, "cut", 4, 2, 1, 9))
    report = FeedReport(KALSHI, 3, 2, None, "HTML", lines, {"frames": 1})
    info = read.feed(market_codec.feed_out(report, counters=True))
    assert (info.connected, info.problem, info.catalogue_problem, info.catalogue_age_ms) == (True, "cut", "HTML", None)
    assert (info.books, info.trusted, info.fresh, info.oldest_proof_ms, info.counters) == (4, 2, 1, 9, {"frames": 1})
    assert [(line.line, line.alive_age_ms) for line in info.lines] == [(0, 5), (1, None)]
