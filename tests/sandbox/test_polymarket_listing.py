"""Polymarket's sandbox: both market generations, neg-risk groups, resolution, and the CLOB's own listing, seen from outside."""

import json

import msgspec
import pytest

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.ids import MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.money import Micros, parse_micros
from arbiter.sandbox.polymarket import clob_markets
from arbiter.sandbox.polymarket.engine import PolymarketEngine
from arbiter.sandbox.world import Details, Listed, Stage, StageChanged, TicksChanged

NOW = 1_767_225_600_123
LATER = NOW + 200
YES, NO, CONDITION = "1001", "1002", f"0x{1:064x}"
POSITION = 0x015A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A00000000000000000000000100


@pytest.fixture
def get(sandbox, http):
    """Reads one path, which must succeed, at a time."""

    def get(target, at_ms=NOW):
        reply = http(sandbox.polymarket, at_ms).request(target)
        assert reply.status == 200, reply.body
        return reply.json

    return get


@pytest.fixture
def post(sandbox, http):
    """Asks for several tokens in one go."""

    def post(target, *wanted):
        return http(sandbox.polymarket).request(target, "POST", json.dumps(list(wanted)).encode())

    return post


@pytest.fixture
def happen(sandbox, world):
    """Lets the world tell events at LATER."""

    def happen(*events, at_ms=LATER):
        world.write(*events)
        sandbox.tick(at_ms)

    return happen


@pytest.fixture
def first(world):
    return world.markets[0]


@pytest.fixture
def special(world, http):
    """An engine with a market of the second generation and a neg-risk group of two, beside a plain one."""
    plain, second, one, other = world.markets[:4]
    ids = (OutcomeId(str(POSITION)), OutcomeId(str(POSITION + 1)))
    key = MarketKey(second.key.venue, MarketId(f"0x{POSITION >> 8:062x}"))
    second = msgspec.structs.replace(second, key=key, yes=Outcome(ids[0], "Up"), no=Outcome(ids[1], "Down"))
    group = [msgspec.structs.replace(m, event="who-wins", status=plain.status) for m in (one, other)]
    details = {
        key: Details(generation="v2", tags=("crypto",), source="https://example.com/btc"),
        group[0].key: Details(group="Ann", exclusive=True),
        group[1].key: Details(group="Bo Li", exclusive=True),
    }
    engine = PolymarketEngine([plain, second, *group], details)
    return http(engine)


def pays(market: Market, stage, yes_pays=None, **options):
    return StageChanged(market.key, stage, parse_micros(yes_pays) if yes_pays else None, **options)


# -- generations and groups --


def test_a_market_of_the_second_generation_has_positions_in_a_real_array(special, vectors):
    market = special.request("/markets/500001").json
    assert (market["version"], market["clobTokenIds"]) == ("v2", None)
    assert market["positionIds"] == [str(POSITION), str(POSITION + 1)]
    assert market["conditionId"] == f"0x{POSITION >> 8:062x}"
    assert market["outcomes"] == '["Up","Down"]'
    for index, token in enumerate(map(int, market["positionIds"])):
        # the rule of A1.1, and its vector
        assert token & (((1 << 64) - 1) << 40) == 0
        assert (token >> 248, token & 0xFF) == (1, index)
    vector = vectors["polymarket"]["protocol_v2_position_id"]
    assert (market["positionIds"][1], market["conditionId"]) == (vector["decimal"], vector["conditionId"])


def test_a_market_of_the_first_generation_has_tokens_in_text(special):
    market = special.request("/markets/500000").json
    assert (market["version"], market["positionIds"]) == ("v1", None)
    assert json.loads(market["clobTokenIds"]) == [YES, NO]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("version=v2", ["500001"]),
        ("version=v1", ["500000", "500002", "500003"]),
        (f"position_ids={POSITION}", ["500001"]),
        (f"clob_token_ids={POSITION}", []),
        ("resolution_status=resolved", []),
        ("resolution_status=active&limit=1", ["500000"]),
        ("uma_resolution_status=proposed", []),
        ("slug=who-wins-bo-li", ["500003"]),
        ("start_date_min=2026-01-01", ["500000", "500001", "500002", "500003"]),
        ("start_date_max=2025-12-31", []),
    ],
)
def test_filters_know_generations_resolution_slugs_and_dates(special, query, ids):
    assert [m["id"] for m in special.request(f"/markets?{query}").json] == ids


def test_filters_know_questions_and_tags(special):
    market = special.request("/markets/500001").json
    for query in (f"question_ids={market['questionID']}", f"tag_id={market['tags'][1]['id']}"):
        assert [m["id"] for m in special.request(f"/markets/keyset?{query}").json["markets"]] == ["500001"]
    assert [tag["slug"] for tag in market["tags"]] == ["sports", "crypto"]
    assert {"sports", "crypto"} == {tag["slug"] for tag in special.request("/tags").json}


def test_a_neg_risk_event_groups_its_markets_and_each_says_which_it_is(special):
    event = special.request("/events/slug/who-wins").json
    assert (event["negRisk"], event["negRiskMarketID"][:2]) == (True, "0x")
    assert [(m["groupItemTitle"], m["slug"], m["negRisk"]) for m in event["markets"]] == [
        ("Ann", "who-wins-ann", True),
        ("Bo Li", "who-wins-bo-li", True),
    ]
    requests = {m["negRiskRequestID"] for m in event["markets"]}
    assert len(requests) == 2
    assert special.request("/events/keyset?slug=who-wins").json["events"] == [event]
    token = json.loads(event["markets"][0]["clobTokenIds"])[0]
    assert special.request(f"/neg-risk?token_id={token}").json == {"neg_risk": True}
    assert special.request(f"/book?token_id={token}").json["neg_risk"] is True
    plain = special.request("/markets/500000").json
    assert plain["negRisk"] is False
    assert "negRiskRequestID" not in plain


def test_who_settles_is_told(special):
    assert special.request("/markets/500001").json["resolutionSource"] == "https://example.com/btc"


# -- the CLOB --


def test_several_prices_midpoints_spreads_and_last_trades_are_read_in_one_go(post, happen, first):
    assert post("/prices", {"token_id": YES, "side": "BUY"}, {"token_id": YES, "side": "SELL"}, {"token_id": NO, "side": "BUY"}).json == {
        YES: {"BUY": "0.42", "SELL": "0.44"},
        NO: {"BUY": "0.56"},
    }
    wanted = [{"token_id": YES}, {"token_id": "7"}, {"token_id": NO}]
    assert post("/midpoints", *wanted).json == {YES: "0.43", NO: "0.57"}
    assert post("/spreads", *wanted).json == {YES: "0.02", NO: "0.02"}
    happen(PublicTrade(first.yes_key, parse_micros("0.44"), parse_micros("2"), Side.BUY))
    assert post("/last-trades-prices", *wanted).json == [
        {"token_id": YES, "price": "0.44", "side": "BUY"},
        {"token_id": NO, "price": "0.5", "side": ""},
    ]
    assert post("/prices", {"token_id": YES, "side": "UP"}).status == 400
    assert post("/midpoints", *[{"token_id": YES}] * 501).status == 400


def test_the_last_trade_of_a_token_has_no_side_until_there_is_one(get, happen, first):
    assert get(f"/last-trade-price?token_id={YES}") == {"price": "0.5", "side": ""}
    happen(PublicTrade(first.yes_key, parse_micros("0.42"), parse_micros("2"), Side.SELL))
    assert get(f"/last-trade-price?token_id={YES}") == {"price": "0.42", "side": "SELL"}


def test_the_clobs_markets_come_in_pages_until_the_end_cursor(get, monkeypatch):
    monkeypatch.setattr(clob_markets, "PAGE", 3)
    page = get("/clob/markets")
    assert (page["limit"], page["count"], page["next_cursor"]) == (3, 3, "Mw==")
    last = get(f"/markets?next_cursor={page['next_cursor']}")
    assert (last["count"], last["next_cursor"]) == (1, "LTE=")
    assert len({m["condition_id"] for m in page["data"] + last["data"]}) == 4
    assert get("/markets?next_cursor=MA==") == page


@pytest.mark.parametrize("cursor", ["LTE=", "x", "LTI="])
def test_a_cursor_that_leads_nowhere_is_refused(sandbox, http, cursor):
    assert http(sandbox.polymarket).request(f"/markets?next_cursor={cursor}").status == 400


def test_sampling_markets_are_those_that_trade_and_simplified_ones_have_less(get):
    assert [m["closed"] for m in get("/clob/markets")["data"]] == [False, False, False, True]
    assert [m["closed"] for m in get("/sampling-markets")["data"]] == [False] * 3
    simplified = get("/simplified-markets")["data"][0]
    assert set(simplified) == {"condition_id", "tokens", "active", "closed", "archived", "accepting_orders", "rewards"}


def test_a_token_leads_to_its_market(get, sandbox, http):
    assert get(f"/markets-by-token/{NO}") == {"condition_id": CONDITION, "primary_token_id": YES, "secondary_token_id": NO}
    assert http(sandbox.polymarket).request("/markets-by-token/7").status == 404


def test_prices_over_time_are_the_middle_of_the_book_by_the_minute(get, happen, first):
    happen(LevelChange(first.yes_key, Side.BUY, parse_micros("0.43"), parse_micros("1")), at_ms=NOW + 60_000)
    minute = NOW // 60_000 * 60
    points = get(f"/prices-history?market={YES}&interval=1h", NOW + 60_000)["history"]
    assert points == [{"t": minute, "p": "0.43"}, {"t": minute + 60, "p": "0.435"}]
    assert get(f"/prices-history?market={NO}&interval=max", NOW + 60_000)["history"][0]["p"] == "0.57"
    assert get(f"/prices-history?market={YES}&startTs={minute + 100}&endTs={minute + 200}", NOW + 60_000)["history"] == [points[1]]
    assert len(get(f"/prices-history?market={YES}&interval=1d&fidelity=60", NOW + 60_000)["history"]) == 1


@pytest.mark.parametrize("query", ["market=7", f"market={YES}&interval=1y", f"market={YES}&startTs=9&endTs=9", f"market={YES}&fidelity=0"])
def test_a_bad_question_about_the_past_is_refused(sandbox, http, query):
    assert http(sandbox.polymarket).request(f"/prices-history?{query}").status == 400


def test_each_interface_can_be_named_by_a_path_or_by_the_host(sandbox, http):
    client = http(sandbox.polymarket)
    assert isinstance(client.request("/gamma/markets").json, list)
    assert client.request("/gamma/book").status == 404
    assert client.request("/markets", headers={"host": "clob.polymarket.com"}).json["limit"] == clob_markets.PAGE
    assert isinstance(client.request("/markets", headers={"host": "gamma-api.polymarket.com"}).json, list)
    assert client.request("/data/v2/leaderboard").status == 200
    assert client.request("/clob/version").json == {"version": 2}


# -- life --


def test_a_market_that_appears_is_told_to_who_asked_for_the_custom_features(polymarket, happen, get, first):
    custom, plain = polymarket(), polymarket()
    custom.ask({"type": "market", "assets_ids": [NO], "custom_feature_enabled": True})
    plain.ask({"type": "market", "assets_ids": [NO]})
    ids = (OutcomeId("9001"), OutcomeId("9002"))
    key = MarketKey(first.key.venue, MarketId(f"0x{9:064x}"))
    listing = msgspec.structs.replace(first, key=key, yes=Outcome(ids[0], "Up"), no=Outcome(ids[1], "Down"))
    happen(Listed(listing, Details(group="Noon", tags=("fast",))), BookSnapshot(listing.yes_key, (), ()))
    (told,) = custom.take()
    assert plain.take() == []
    assert (told["event_type"], told["id"], told["market"], told["slug"]) == ("new_market", "500004", key.market, "event-1-noon")
    assert told["assets_ids"] == told["clob_token_ids"] == ["9001", "9002"]
    assert (told["outcomes"], told["group_item_title"], told["tags"]) == (["Up", "Down"], "Noon", ["sports", "fast"])
    assert (told["order_price_min_tick_size"], told["fee_schedule"]["rate"], told["active"]) == ("0.01", 0.05, True)
    assert get("/markets/500004")["startDate"] == "2026-01-01T00:00:00Z"
    custom.now_ms = LATER
    ((book,),) = custom.ask({"operation": "subscribe", "assets_ids": ["9001"]})
    assert (book["asset_id"], book["bids"]) == ("9001", [])


def test_gamma_may_have_a_new_market_before_the_clob(http, first):
    engine = PolymarketEngine([], clob_lag_ms=1_000)
    engine.apply(Listed(first), NOW)
    engine.apply(BookSnapshot(first.yes_key, (), ()), NOW)
    early, late = http(engine, NOW + 999), http(engine, NOW + 1_000)
    assert early.request("/markets/500000").json["clobTokenIds"] == "[]"
    assert early.request(f"/book?token_id={YES}").status == 404
    assert late.request("/markets/500000").json["clobTokenIds"] == f'["{YES}","{NO}"]'
    assert late.request(f"/book?token_id={YES}").status == 200


def test_a_market_is_closed_before_it_is_resolved_and_its_prices_are_final_only_then(polymarket, happen, get, first):
    client = polymarket()
    client.ask({"type": "market", "assets_ids": [NO], "custom_feature_enabled": True})
    happen(pays(first, Stage.PAUSED))
    market = get("/markets/500000")
    assert (market["closed"], market["acceptingOrders"]) == (False, False)
    happen(pays(first, Stage.ACTIVE), pays(first, Stage.CLOSED))
    market = get("/markets/500000")
    assert (market["closed"], market["acceptingOrders"], market["outcomePrices"]) == (True, False, '["0.43","0.57"]')
    assert (market["umaResolutionStatus"], market["closedTime"]) == ("requested", "2026-01-01 00:00:00+00")
    happen(pays(first, Stage.DETERMINED, "1"))
    assert get("/markets/500000")["umaResolutionStatus"] == "proposed"
    assert client.take() == []
    happen(pays(first, Stage.SETTLED, "1"))
    market = get("/markets/500000")
    assert (market["outcomePrices"], market["umaResolutionStatus"], market["resolutionStatus"]) == ('["1","0"]', "resolved", "resolved")
    assert market["resolvedBy"].startswith("0x")
    assert [(t["price"], t["winner"]) for t in get(f"/markets/{CONDITION}")["tokens"]] == [(1, True), (0, False)]
    (told,) = client.take()
    assert (told["event_type"], told["id"], told["winning_asset_id"], told["winning_outcome"]) == ("market_resolved", "500000", YES, "Yes")
    assert get("/v2/resolutions?condition_id=" + CONDITION)["data"][0]["payouts"] == [1_000_000, 0]


def test_a_split_resolution_has_no_winner_and_half_prices(polymarket, happen, get, first):
    client = polymarket()
    client.ask({"type": "market", "assets_ids": [YES], "custom_feature_enabled": True})
    happen(pays(first, Stage.SETTLED, "0.5", void=True))
    assert get("/markets/500000")["outcomePrices"] == '["0.5","0.5"]'
    assert [t["winner"] for t in get(f"/markets/{CONDITION}")["tokens"]] == [False, False]
    assert client.take()[0]["winning_asset_id"] == ""


def test_some_resolutions_are_not_delivered(world, websocket, first):
    engine = PolymarketEngine(world.markets[:2], lost_resolutions=2)
    client = websocket(engine, "/ws/market")
    client.ask({"type": "market", "assets_ids": [YES, "2001"], "custom_feature_enabled": True, "initial_dump": False})
    for market in world.markets[:2]:
        engine.apply(pays(market, Stage.SETTLED, "1"), LATER)
    assert [event["market"] for event in client.take()] == [CONDITION]


def test_a_resolution_is_not_told_to_who_did_not_ask_for_the_custom_features(polymarket, happen, first):
    client = polymarket()
    client.ask({"type": "market", "assets_ids": [YES]})
    happen(pays(first, Stage.SETTLED, "1"))
    assert client.take() == []


def test_the_worlds_new_grid_is_a_tick_size_change_for_both_outcomes(polymarket, happen, first):
    client = polymarket()
    client.ask({"type": "market", "assets_ids": [YES, NO]})
    tick = Micros(1_000)
    happen(TicksChanged(first.key, (TickRange(tick, Micros(999_000), tick),)))
    assert [(e["event_type"], e["asset_id"]) for e in client.take()] == [
        ("tick_size_change", YES),
        ("tick_size_change", NO),
        ("book", YES),
        ("book", NO),
    ]


def test_the_golden_changes_lead_to_the_golden_book(vectors, polymarket, happen, get, first):
    """What a naive client folds from our frames, and what REST shows, is the vector's result."""
    example = vectors["polymarket"]["ws_book_apply"]
    client = polymarket()
    client.ask({"type": "market", "assets_ids": [YES]})

    def rows(side):
        return tuple(Level(parse_micros(row["price"]), parse_micros(row["size"])) for row in side)

    happen(BookSnapshot(first.yes_key, rows(example["snapshot"]["bids"]), rows(example["snapshot"]["asks"])))
    (book,) = client.take()
    folded = {side: {row["price"]: row["size"] for row in book[side]} for side in ("bids", "asks")}
    for row in example["price_changes"]:
        side = Side.BUY if row["side"] == "BUY" else Side.SELL
        happen(LevelChange(first.yes_key, side, parse_micros(row["price"]), parse_micros(row["size"])))
    told = [change for event in client.take() for change in event["price_changes"]]
    assert [{name: change[name] for name in ("price", "size", "side")} for change in told] == example["price_changes"]
    for change in told:
        side = folded["bids" if change["side"] == "BUY" else "asks"]
        side[change["price"]] = change["size"]
        if change["size"] == "0":
            del side[change["price"]]
    result = {side: {row["price"]: row["size"] for row in example["result"][side]} for side in ("bids", "asks")}
    shown = get(f"/book?token_id={YES}")
    assert folded == result == {side: {row["price"]: row["size"] for row in shown[side]} for side in ("bids", "asks")}
