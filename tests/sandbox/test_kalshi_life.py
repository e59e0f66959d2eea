"""Kalshi's sandbox beyond books: combos, grids, life cycle, fee changes, the past, the cache, seen from outside."""

import msgspec
import pytest

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.ids import MarketId, MarketKey
from arbiter.domain.market import KalshiFees, TickRange
from arbiter.domain.money import ONE, ZERO, Micros, parse_micros
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.kalshi.auth import Authenticator
from arbiter.sandbox.kalshi.engine import KalshiEngine
from arbiter.sandbox.kalshi.session import MOST_COMMANDS
from arbiter.sandbox.world import Details, FeesChanged, Listed, Stage, StageChanged, TicksChanged

NOW = 1_767_225_600_123
LATER = NOW + 200
A, B, C = "KXGAME-26FEB01-A", "KXGAME-26FEB01-B", "KXRATE-26FEB02-C"
COMBO = "KXMVE-S1-X"
BASE = "/trade-api/v2"
CENT, TENTH, HUNDREDTH = Micros(10_000), Micros(1_000), Micros(100)
EDGE, FAR_EDGE = Micros(100_000), Micros(900_000)


@pytest.fixture
def get(sandbox, http):
    def get(target, at_ms=NOW, **options):
        reply = http(sandbox.kalshi, at_ms).request(BASE + target, **options)
        assert reply.status == 200, reply.body
        return reply.json

    return get


@pytest.fixture
def happen(sandbox, world):
    def happen(*events, at_ms=LATER):
        world.write(*events)
        sandbox.tick(at_ms)

    return happen


@pytest.fixture
def market(world):
    return next(m for m in world.markets if m.key.market == A)


@pytest.fixture
def life(kalshi):
    """A socket that hears the life cycle; it names a ticker, which changes nothing."""
    client = kalshi()
    client.ask({"id": 1, "cmd": "subscribe", "params": {"channels": ["market_lifecycle_v2"], "market_tickers": [B]}})
    return client


@pytest.fixture
def make(world, http):
    """A client of an engine with other options, and the engine."""

    def make(markets=None, details=None, **options):
        engine = KalshiEngine(markets or [m for m in world.markets if m.key.venue == "kalshi"], Authenticator({}), details or {}, **options)
        return http(engine), engine

    return make


def goes(market, stage, yes_pays=None, **options):
    return StageChanged(market.key, stage, parse_micros(yes_pays) if yes_pays else None, **options)


def listed(market, ticker, **changes):
    return msgspec.structs.replace(market, key=MarketKey(market.key.venue, MarketId(ticker)), **changes)


# -- what is listed --


def test_combos_are_in_the_listing_until_they_are_filtered_out(make, market):
    combo = listed(market, COMBO, event="KXMVE-S1")
    client, _ = make([combo, market], {combo.key: Details(collection="KXMVECOLL", legs=(A, B))})
    assert [m["ticker"] for m in client.request(f"{BASE}/markets?status=open").json["markets"]] == [COMBO, A]
    assert [m["ticker"] for m in client.request(f"{BASE}/markets?mve_filter=exclude").json["markets"]] == [A]
    (only,) = client.request(f"{BASE}/markets?mve_filter=only").json["markets"]
    assert only["mve_collection_ticker"] == "KXMVECOLL"
    assert [leg["market_ticker"] for leg in only["mve_selected_legs"]] == [A, B]
    assert "mve_collection_ticker" not in client.request(f"{BASE}/markets/{A}").json["market"]
    assert [e["event_ticker"] for e in client.request(f"{BASE}/events").json["events"]] == ["KXGAME-26FEB01"]
    assert [e["event_ticker"] for e in client.request(f"{BASE}/events/multivariate").json["events"]] == ["KXMVE-S1"]


@pytest.mark.parametrize(
    ("ticks", "structure"),
    [
        ((TickRange(ZERO, ONE, CENT),), "linear_cent"),
        ((TickRange(ZERO, ONE, TENTH),), "deci_cent"),
        ((TickRange(ZERO, EDGE, TENTH), TickRange(EDGE, FAR_EDGE, CENT), TickRange(FAR_EDGE, ONE, TENTH)), "tapered_deci_cent"),
        (
            (TickRange(ZERO, EDGE, HUNDREDTH), TickRange(EDGE, FAR_EDGE, TENTH), TickRange(FAR_EDGE, ONE, HUNDREDTH)),
            "center_deci_edge_centi_cent",
        ),
    ],
)
def test_all_four_grids_are_told_as_ranges_with_four_decimals(make, market, ticks, structure):
    client, _ = make([msgspec.structs.replace(market, ticks=ticks)])
    told = client.request(f"{BASE}/markets/{A}").json["market"]
    assert told["price_level_structure"] == structure
    assert [tuple(r.values()) for r in told["price_ranges"]] == [tuple(f"{x / 10**6:.4f}" for x in (t.start, t.end, t.step)) for t in ticks]


def test_an_exclusive_event_says_so_and_its_markets_what_each_is(make, world):
    markets = [m for m in world.markets if m.key.market in (A, B)]
    details = {
        m.key: Details(group=name, exclusive=True, shard=3, source="https://example.com") for m, name in zip(markets, "XY", strict=True)
    }
    client, _ = make(markets, details)
    event = client.request(f"{BASE}/events/KXGAME-26FEB01").json["event"]
    assert (event["mutually_exclusive"], event["collateral_return_type"], event["exchange_index"]) == (True, "MECNET", 3)
    assert [(m["yes_sub_title"], m["exchange_index"]) for m in event["markets"]] == [("X", 3), ("Y", 3)]
    assert event["settlement_sources"][0]["url"] == "https://example.com"
    status = client.request(f"{BASE}/exchange/status").json
    assert [s["exchange_index"] for s in status["exchange_index_statuses"]] == [0, 3]


def test_series_are_found_by_tags(make, market):
    client, _ = make([market], {market.key: Details(tags=("Tennis",))})
    assert client.request(f"{BASE}/series/KXGAME").json["series"]["tags"] == ["Tennis"]
    assert len(client.request(f"{BASE}/series?tags=Tennis").json["series"]) == 1
    assert client.request(f"{BASE}/series?tags=Golf").json["series"] == []


def test_one_shard_may_halt_by_itself(make, market):
    client, engine = make([market], {market.key: Details(shard=2)})
    engine.reads.halted.add(2)
    status = client.request(f"{BASE}/exchange/status").json
    assert status["trading_active"] is True
    assert [s["trading_active"] for s in status["exchange_index_statuses"]] == [True, False]


def test_the_schedule_has_the_thursday_pause(get):
    (hours,) = get("/exchange/schedule")["schedule"]["standard_hours"]
    assert [h["close_time"] for h in hours["thursday"]] == ["03:00", "00:00"]
    assert len(hours["friday"]) == 1


def test_an_accounts_limits_need_a_key(sandbox, http, signed):
    client = http(sandbox.kalshi)
    assert client.request(f"{BASE}/account/limits").status == 401
    path = f"{BASE}/account/limits"
    told = client.request(path, headers=signed(path=path)).json
    assert (told["read_limit"], told["write_limit"]) == (200, 100)
    path = f"{BASE}/account/endpoint_costs"
    assert {each["cost"] for each in client.request(path, headers=signed(path=path)).json["endpoint_costs"]} == {2}


# -- life --


def test_a_pause_and_its_end_are_told_to_everyone_with_numbers(life, happen, get, market):
    happen(goes(market, Stage.PAUSED))
    assert get(f"/markets/{A}")["market"]["status"] == "inactive"
    assert [m["ticker"] for m in get("/markets?status=paused")["markets"]] == [A]
    happen(goes(market, Stage.ACTIVE))
    paused, active = life.take()
    assert (paused["type"], paused["seq"], paused["msg"]["event_type"]) == ("market_lifecycle_v2", 1, "deactivated")
    assert (active["seq"], active["msg"]["event_type"], active["msg"]["market_ticker"]) == (2, "activated", A)
    assert (paused["msg"]["is_deactivated"], active["msg"]["is_deactivated"]) == (True, False)


def test_closing_is_told_by_nothing_and_settling_takes_two_steps(life, happen, get, market):
    happen(goes(market, Stage.CLOSED))
    assert life.take() == []
    assert get(f"/markets/{A}")["market"]["status"] == "closed"
    happen(goes(market, Stage.DETERMINED, "1"))
    assert get(f"/markets/{A}")["market"]["result"] == "yes"
    assert A in [m["ticker"] for m in get("/markets?status=closed")["markets"]]
    happen(goes(market, Stage.SETTLED, "1"))
    shown = get(f"/markets/{A}")["market"]
    assert (shown["status"], shown["settlement_value_dollars"], shown["settlement_ts"]) == ("finalized", "1.0000", "2026-01-01T00:00:00Z")
    assert [m["ticker"] for m in get("/markets?status=settled")["markets"]] == [A]
    determined, settled = (m["msg"] for m in life.take())
    assert determined == {
        "event_type": "determined",
        "market_ticker": A,
        "determination_ts": LATER // 1000,
        "result": "yes",
        "settlement_value": "1.0000",
    }
    assert settled == {"event_type": "settled", "market_ticker": A, "settled_ts": LATER // 1000}


@pytest.mark.parametrize(
    ("pays", "void", "result"), [("1", False, "yes"), ("0", False, "no"), ("0.25", False, "scalar"), ("0.43", True, "void")]
)
def test_a_result_is_yes_no_scalar_or_void(happen, get, market, pays, void, result):
    happen(goes(market, Stage.DETERMINED, pays, void=void))
    assert get(f"/markets/{A}")["market"]["result"] == result


def test_a_disputed_market_is_among_the_closed(happen, get, market):
    happen(goes(market, Stage.DISPUTED))
    assert get(f"/markets/{A}")["market"]["status"] == "disputed"
    assert A in [m["ticker"] for m in get("/markets?status=closed")["markets"]]


def test_a_market_that_appears_is_told_and_its_event_once(life, happen, get, market):
    first, second = (listed(market, f"KXNEW-26FEB05-{n}", event="KXNEW-26FEB05") for n in "12")
    happen(Listed(first, Details(group="One")), BookSnapshot(first.yes_key, (), ()), Listed(second), BookSnapshot(second.yes_key, (), ()))
    told = life.take()
    assert [(m["type"], m["seq"]) for m in told] == [("event_lifecycle", 1), ("market_lifecycle_v2", 2), ("market_lifecycle_v2", 3)]
    assert (told[0]["msg"]["event_ticker"], told[0]["msg"]["series_ticker"]) == ("KXNEW-26FEB05", "KXNEW")
    made = told[1]["msg"]
    assert (made["event_type"], made["market_ticker"], made["open_ts"]) == ("created", "KXNEW-26FEB05-1", LATER // 1000)
    assert (made["price_level_structure"], made["additional_metadata"]["yes_sub_title"]) == ("linear_cent", "One")
    assert get("/markets/KXNEW-26FEB05-2")["market"]["open_time"] == "2026-01-01T00:00:00Z"


def test_a_new_grid_is_told_and_listed(life, happen, get, market):
    happen(TicksChanged(market.key, (TickRange(ZERO, ONE, TENTH),)))
    (told,) = life.take()
    assert (told["msg"]["event_type"], told["msg"]["price_level_structure"]) == ("price_level_structure_updated", "deci_cent")
    assert (
        told["msg"]["price_ranges"]
        == get(f"/markets/{A}")["market"]["price_ranges"]
        == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    )


def test_a_fee_override_is_the_whole_events_and_stands_in_the_changes(life, happen, get, market):
    happen(FeesChanged(market.key, KalshiFees(parse_micros("0.5"), maker_fees=True)))
    (told,) = life.take()
    assert (told["type"], told["seq"]) == ("event_fee_update", 1)
    body = {"event_ticker": "KXGAME-26FEB01", "fee_type_override": "quadratic_with_maker_fees", "fee_multiplier_override": 0.5}
    assert told["msg"] == body
    event = get("/events/KXGAME-26FEB01")["event"]
    assert (event["fee_type_override"], event["fee_multiplier_override"]) == ("quadratic_with_maker_fees", "0.5")
    assert get("/series/KXGAME")["series"]["fee_type"] == "quadratic"
    assert get("/events/fee_changes")["event_fee_change_arr"] == []
    (change,) = get("/events/fee_changes?show_historical=true")["event_fee_change_arr"]
    assert (change["event_ticker"], change["fee_multiplier_override"], change["scheduled_ts"]) == (
        "KXGAME-26FEB01",
        "0.5",
        "2026-01-01T00:00:00Z",
    )
    assert get("/events/fee_changes?show_historical=true&event_ticker=OTHER")["event_fee_change_arr"] == []
    # the override is lifted again
    happen(FeesChanged(market.key, KalshiFees()))
    assert (life.take()[0]["msg"]["fee_type_override"], get("/events/KXGAME-26FEB01")["event"]["fee_multiplier_override"]) == (None, None)


def test_series_fee_changes_are_empty_without_the_past(get):
    assert get("/series/fee_changes")["series_fee_change_arr"] == []
    changes = get("/series/fee_changes?show_historical=true")["series_fee_change_arr"]
    assert [(c["series_ticker"], c["fee_type"]) for c in changes] == [("KXGAME", "quadratic"), ("KXRATE", "quadratic_with_maker_fees")]
    assert len(get("/series/fee_changes?show_historical=true&series_ticker=KXRATE")["series_fee_change_arr"]) == 1


# -- the past --


def test_candlesticks_are_bids_asks_and_trades_by_the_minute(happen, get, market):
    happen(LevelChange(market.yes_key, Side.BUY, parse_micros("0.43"), parse_micros("1")))
    happen(PublicTrade(market.yes_key, parse_micros("0.44"), parse_micros("2.5"), Side.BUY), at_ms=NOW + 60_000)
    minute = NOW // 60_000 * 60
    body = get(f"/series/KXGAME/markets/{A}/candlesticks?start_ts={minute}&end_ts={minute + 120}&period_interval=1", NOW + 60_000)
    first, second = body["candlesticks"]
    assert (first["end_period_ts"], second["end_period_ts"]) == (minute + 60, minute + 120)
    assert first["yes_bid"] == {
        "open_dollars": "0.4200",
        "high_dollars": "0.4300",
        "low_dollars": "0.4200",
        "close_dollars": "0.4300",
    }
    assert (first["price"]["close_dollars"], first["volume_fp"]) == (None, "0.00")
    assert (second["price"]["close_dollars"], second["volume_fp"], second["yes_bid"]["open_dollars"]) == ("0.4400", "2.50", "0.4300")
    hour = get(f"/series/KXGAME/markets/{A}/candlesticks?start_ts={minute - 3600}&end_ts={minute + 7200}&period_interval=60", NOW + 60_000)
    assert [c["volume_fp"] for c in hour["candlesticks"]] == ["2.50"]


@pytest.mark.parametrize(
    "query",
    ["", "start_ts=9&end_ts=9&period_interval=1", "start_ts=1&end_ts=9&period_interval=5", "start_ts=1&end_ts=9000000&period_interval=1"],
)
def test_a_bad_question_for_candlesticks_is_refused(sandbox, http, query):
    assert http(sandbox.kalshi).request(f"{BASE}/series/KXGAME/markets/{A}/candlesticks?{query}").status == 400


def test_what_settled_moves_to_the_past_and_for_a_while_is_in_both(make, market):
    client, engine = make(archived_ms=1_000)
    engine.apply(PublicTrade(market.yes_key, parse_micros("0.44"), parse_micros("1"), Side.BUY), NOW)
    engine.apply(goes(market, Stage.SETTLED, "1"), NOW)

    def where(ms):
        client.now_ms = NOW + ms
        live = client.request(f"{BASE}/markets?status=settled").json["markets"]
        past = client.request(f"{BASE}/historical/markets").json["markets"]
        trades = client.request(f"{BASE}/historical/trades").json["trades"]
        return len(live), len(past), len(trades)

    assert [where(ms) for ms in (999, 1_001, 1_999, 2_000)] == [(1, 0, 0), (1, 1, 1), (1, 1, 1), (0, 1, 1)]
    assert client.request(f"{BASE}/historical/markets/{A}").json["market"]["result"] == "yes"
    assert client.request(f"{BASE}/historical/markets/{B}").status == 404
    assert client.request(f"{BASE}/historical/cutoff").json["market_settled_ts"] == "2026-01-01T00:00:01Z"


def test_rest_books_are_kept_at_the_edge_for_as_long_as_is_set(make, market):
    client, engine = make(cache_ms=15_000)

    def best(path, ms):
        client.now_ms = NOW + ms
        body = client.request(BASE + path).json
        return (body.get("orderbook_fp") or body["orderbooks"][0]["orderbook_fp"])["yes_dollars"]

    one, several = f"/markets/{A}/orderbook", f"/markets/orderbooks?tickers={A}"
    assert best(one, 0) == best(several, 0) == []
    engine.apply(LevelChange(market.yes_key, Side.BUY, parse_micros("0.4"), parse_micros("1")), NOW)
    assert best(one, 14_999) == best(several, 14_999) == []
    assert best(one + "?depth=1", 14_999) == [["0.4000", "1.00"]]
    assert best(one, 15_000) == best(several, 15_000) == [["0.4000", "1.00"]]
    # what is not a book is always fresh, and errors are not kept
    assert client.request(f"{BASE}/markets/{A}").json["market"]["yes_bid_dollars"] == "0.4000"
    assert client.request(f"{BASE}/markets/NOPE/orderbook").status == 404


# -- the socket --


def test_an_ok_leaves_the_tickers_out_for_who_does_without_them(kalshi):
    client = kalshi()
    params = {"channels": ["orderbook_delta"], "market_tickers": [A], "skip_ticker_ack": True}
    client.ask({"id": 1, "cmd": "subscribe", "params": params})
    (ok,) = client.ask({"id": 2, "cmd": "subscribe", "params": params})
    assert (ok["type"], ok["seq"], ok["msg"]) == ("ok", 2, {})


def test_too_many_commands_in_a_second_are_refused(kalshi):
    client = kalshi()
    session_text = '{"id":1,"cmd":"list_subscriptions"}'
    session = client.connection._session
    for _ in range(MOST_COMMANDS):
        session.receive(session_text, NOW)
    client.pump()
    client.texts.clear()
    session.receive(session_text, NOW)
    client.pump()
    assert '"code":27' in client.texts[0]
    session.receive(session_text, NOW + 1_000)
    client.pump()
    assert '"type":"ok"' in client.texts[1]


# -- what is refused --


def test_all_three_shapes_of_errors_are_here(sandbox, http):
    client = http(sandbox.kalshi)
    retired = client.request(f"{BASE}/portfolio/orders", "POST", b"{}")
    assert (retired.status, retired.json["error"]["code"]) == (410, "deprecated_v1_order_endpoint")
    assert client.request(f"{BASE}/portfolio/orders/1", "DELETE").status == 410
    flat = client.request(f"{BASE}/portfolio/events/orders", "POST", b"{")
    assert (flat.status, set(flat.json)) == (400, {"code", "message", "details"})


def test_the_golden_frames_are_those_that_the_engine_tells(vectors, public_pem, websocket, signed, world):
    """The worked example of the fact sheet, told by our engine: snapshot, delta, ok, delta."""
    example = vectors["kalshi"]["ws_book_apply"]
    ticker = example["frames"][0]["msg"]["market_ticker"]
    market = listed(next(m for m in world.markets if m.key.venue == "kalshi"), ticker, event="KXTEST-26NOV23")
    world.markets = (market,)
    sandbox = Sandbox(world, {"3f0c5c1e-0000-4222-8333-944455556666": public_pem})

    def rows(bids):
        return [Level(parse_micros(price), parse_micros(size)) for price, size in bids]

    first = example["frames"][0]["msg"]
    bids, asks = rows(first["yes_dollars_fp"]), [Level(Micros(ONE - price), size) for price, size in rows(first["no_dollars_fp"])]
    sandbox.kalshi.apply(BookSnapshot(market.yes_key, tuple(bids), tuple(asks)), NOW)
    client = websocket(sandbox.kalshi, "/trade-api/ws/v2", signed())
    subscribe = {"channels": ["orderbook_delta"], "market_tickers": [ticker]}
    frames = client.ask({"id": 1, "cmd": "subscribe", "params": subscribe})[1:]
    sandbox.kalshi.apply(LevelChange(market.yes_key, Side.BUY, parse_micros("0.42"), ZERO), 1767225600200)
    frames += client.ask({"id": 9, "cmd": "update_subscription", "params": {"sid": 1, "action": "add_markets", "market_tickers": [ticker]}})
    sandbox.kalshi.apply(LevelChange(market.yes_key, Side.SELL, parse_micros("0.44"), parse_micros("3.25")), 1767225600300)
    frames += client.take()
    for frame in frames:
        frame["msg"].pop("ts", None)
        if "market_id" in frame["msg"]:
            frame["msg"]["market_id"] = "m1"
    assert frames == example["frames"]
