"""The Data API v2 over a scripted venue: rows in micros, pages by cursor, odd rows left out and counted."""

from decimal import Decimal
from typing import Any

import pytest

from arbiter.domain.book import PublicTrade, Side
from arbiter.domain.ids import MarketId
from arbiter.domain.money import Micros, parse_micros
from arbiter.errors import VenueRejected
from arbiter.sandbox.http import Response
from arbiter.venues.polymarket.data_api import DataApi
from arbiter.venues.polymarket.data_rows import rounded
from tests.polyvenue import PolyStage

WALLET = "0x" + "ab" * 20


def trade(**fields: Any) -> dict[str, Any]:
    row = {
        "proxy_wallet": WALLET,
        "token_id": "1002",
        "condition_id": f"0x{1:064x}",
        "side": "BUY",
        "size": 1.754383,
        "price": 0.5699998232997013,
        "timestamp": 1774166009,
        "transaction_hash": "0xfeed",
        "outcome": "No",
        "outcome_index": 1,
        "title": "Will number 1 win?",
        "event_slug": "event-1",
        "brand_new": {"deep": [1]},
    }
    return row | fields


@pytest.fixture
async def stage() -> PolyStage:
    return PolyStage(1)


def api(stage: PolyStage) -> DataApi:
    return DataApi(stage.connector.rest("http://venue"))


async def test_a_trade_is_read_in_micros_and_999_is_an_unknown_outcome(autojump_clock, stage):
    stage.venue.answers["/v2/trades"] = lambda request: {"data": [trade(), trade(outcome_index=999, side="HOLD")]}
    async with stage.running(streaming=False):
        page = await api(stage).trades(user=WALLET, taker_only=False)
    first, second = page.rows
    assert (first.price, first.size, first.side, first.outcome_index, first.seconds) == (570_000, 1_754_383, Side.BUY, 1, 1774166009)
    assert (first.wallet, first.market, first.outcome, first.transaction) == (WALLET, f"0x{1:064x}", "1002", "0xfeed")
    assert (second.outcome_index, second.side) == (None, None)
    (request,) = stage.venue.asked
    assert (request.first("user"), request.first("taker_only"), request.first("start"), request.first("limit")) == (
        WALLET,
        "false",
        "1",
        "1000",
    )


async def test_pages_follow_the_cursor_and_odd_rows_hide_no_others(autojump_clock, stage):
    pages = {
        "": ([trade(), trade(price="x"), trade(timestamp=None), 7, trade(condition_id=None)], "abc"),
        "abc": ([trade(price=0.1)], None),
    }
    stage.venue.answers["/v2/trades"] = lambda request: {
        "data": pages[request.first("cursor")][0],
        "pagination": {"limit": 5, "has_more": not request.first("cursor"), "next_cursor": pages[request.first("cursor")][1]},
    }
    async with stage.running(streaming=False):
        data = api(stage)
        first = await data.trades(markets=[MarketId("0x1")] * 30, taker_only=True, start=-5, end=9, limit=5000)
        second = await data.trades(taker_only=True, cursor=first.cursor)
    assert (len(first.rows), first.unreadable, first.cursor) == (1, 4, "abc")
    assert ([row.price for row in second.rows], second.cursor) == ([100_000], "")
    request = stage.venue.asked[0]
    assert len(request.every("condition_id")) == 20
    assert (request.first("start"), request.first("end"), request.first("limit")) == ("1", "9", "1000")


async def test_activity_of_any_kind_is_read_with_empty_ids(autojump_clock, stage):
    rows = [
        trade(type="TRADE", usdc_size=1.0),
        {
            "type": "REWARD",
            "timestamp": 5,
            "proxy_wallet": WALLET,
            "usdc_size": 2.5,
            "condition_id": "",
            "token_id": "",
            "outcome_index": 999,
        },
        {"type": "SOMETHING_NEW", "timestamp": 6, "price": None, "size": 3},
    ]
    stage.venue.answers["/v2/activity"] = lambda request: {"data": rows}
    async with stage.running(streaming=False):
        page = await api(stage).activity(WALLET, kinds=["TRADE", "REDEEM"], oldest_first=True, start=7)
    assert [(row.kind, row.cash, row.market, row.outcome_index) for row in page.rows[1:]] == [
        ("REWARD", 2_500_000, "", None),
        ("SOMETHING_NEW", 0, "", None),
    ]
    assert page.rows[0].price == 570_000
    request = stage.venue.asked[0]
    assert (request.first("type"), request.first("sort_direction"), request.first("start")) == ("TRADE,REDEEM", "ASC", "7")


async def test_positions_values_and_places_are_read(autojump_clock, stage):
    position = {
        "proxy_wallet": WALLET, "token_id": "1001", "condition_id": "0x1", "current_size": 10.5, "avg_price": 0.4, "total_cost_usdc": 4.25,
        "entry_fees_usdc": 0.05, "current_price": 0.5, "current_value": 5.25, "realized_pnl": -1.5, "unrealized_pnl": 1.0, "status": "OPEN",
        "redeemable": None, "mergeable": True, "outcome_index": 0, "opposite_token_id": "1002",
    }  # fmt: skip
    leader = {"rank": 1, "user_id": WALLET, "pnl": 12.5, "volume": 1e9, "user_name": None, "verified": True}
    stage.venue.answers |= {
        "/v2/positions": lambda request: {"data": [position, {"token_id": "x"}]},
        "/v2/leaderboard": lambda request: {"data": [leader]},
        "/v2/value": lambda request: {"data": [{"proxy_wallet": WALLET, "value": 7.123456789}]},
    }
    async with stage.running(streaming=False):
        data = api(stage)
        held = await data.positions(WALLET, status="OPEN")
        (best,) = (await data.leaderboard(by_volume=True, category="SPORTS")).rows
        assert await data.value(WALLET) == 7_123_457
        stage.venue.answers["/v2/value"] = lambda request: {"data": {"value": 2}}
        assert await data.value(WALLET) == 2_000_000
        for nothing in ([], None):
            stage.venue.answers["/v2/value"] = lambda request, nothing=nothing: {"data": nothing}
            assert await data.value(WALLET) is None
    (row,) = held.rows
    assert (row.size, row.average_price, row.cost, row.fees, row.realized) == (10_500_000, 400_000, 4_250_000, 50_000, -1_500_000)
    assert (row.redeemable, row.mergeable, row.opposite, held.unreadable) == (False, True, "1002", 1)
    assert (best.rank, best.wallet, best.pnl, best.volume, best.name) == (1, WALLET, 12_500_000, 10**15, "")


async def test_an_answer_that_is_no_envelope_is_refused(autojump_clock, stage):
    stage.venue.answers["/v2/trades"] = lambda request: Response(200, b"[]")
    async with stage.running(streaming=False):
        with pytest.raises(VenueRejected, match="not what the API promises"):
            await api(stage).trades(taker_only=True)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999999", "1e13"])
def test_a_number_of_a_size_that_does_not_occur_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        rounded(Decimal(text))


# -- public trades --


async def test_public_trades_are_the_takers_newest_first_and_not_older_than_asked(autojump_clock, stage):
    market = stage.markets[0]
    pages = {
        "": [trade(timestamp=103), trade(timestamp=105, token_id="1001", side="SELL"), trade(token_id="stranger")],
        "2": [trade(timestamp=104, side=None), trade(timestamp=99), trade(timestamp=102, price=7)],
    }
    stage.venue.answers["/v2/trades"] = lambda request: {
        "data": pages[request.first("cursor")],
        "pagination": {"has_more": True, "next_cursor": "2"},
    }
    async with stage.running(streaming=False):
        found = await stage.connector.public_trades(market, 100_500, 10)
        newest = await stage.connector.public_trades(market, 100_500, 1)
    price, size = parse_micros("0.57"), Micros(1_754_383)
    assert found == (
        PublicTrade(market.yes_key, price, size, Side.SELL, 105_000),
        PublicTrade(market.no_key, price, size, Side.BUY, 103_000),
    )
    assert newest == found[:1]
    request = stage.venue.asked[0]
    assert (request.first("taker_only"), request.first("start"), request.every("condition_id")) == ("true", "100", [market.key.market])
