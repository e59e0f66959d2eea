"""The Polymarket engine against the fact sheet, through clients that are not ours."""

import hashlib
import json

import pytest
from websockets.protocol import State

from arbiter.domain.book import BookSnapshot, Level, LevelChange, PublicTrade, Side
from arbiter.domain.ids import MarketId
from arbiter.domain.money import Micros, parse_micros
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.polymarket.session import DUMP_BOOKS

NOW = 1_767_225_600_123
LATER = NOW + 200
YES, NO = "1001", "1002"
CONDITION = f"0x{1:064x}"


@pytest.fixture
def market(world):
    return world.markets[0]


@pytest.fixture
def get(sandbox, http):
    """Reads one path, which must succeed."""

    def get(target):
        reply = http(sandbox.polymarket).request(target)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        return reply.json

    return get


@pytest.fixture
def happen(sandbox, world):
    """Lets the world tell events at LATER."""

    def happen(*events):
        world.write(*events)
        sandbox.tick(LATER)

    return happen


def change(market, side, price, size):
    return LevelChange(market.yes_key, side, parse_micros(price), parse_micros(size))


def subscription(*assets, **options):
    return {"type": "market", "assets_ids": list(assets), **options}


def hash_of(book):
    """The rule of the sheet, from the parsed object."""
    names = "market asset_id timestamp hash bids asks min_order_size tick_size neg_risk last_trade_price"
    body = {name: "" if name == "hash" else book[name] for name in names.split()}
    return hashlib.sha1(json.dumps(body, separators=(",", ":")).encode()).hexdigest()


# -- CLOB --


def test_the_book_has_its_best_levels_last_and_the_hash_of_the_sheet(get):
    book = get(f"/book?token_id={YES}")
    assert book["market"] == CONDITION
    assert book["asset_id"] == YES
    assert book["timestamp"] == str(NOW)
    assert book["bids"] == [{"price": "0.4", "size": "100"}, {"price": "0.42", "size": "25.5"}]
    assert book["asks"] == [{"price": "0.5", "size": "1000"}, {"price": "0.45", "size": "7"}, {"price": "0.44", "size": "3.25"}]
    assert (book["min_order_size"], book["tick_size"], book["neg_risk"]) == ("5", "0.01", False)
    assert book["hash"] == hash_of(book)


def test_the_hash_rule_is_that_of_the_golden_vector(vectors):
    vector = vectors["polymarket"]["book_hash"]
    assert hash_of(vector["book"]) == vector["sha1"]
    names = ("market", "asset_id", "timestamp")
    body = {name: vector["book"][name] for name in names} | {"hash": ""} | {k: v for k, v in vector["book"].items() if k not in names}
    assert wire.book_hash(body) == vector["sha1"]


def test_the_book_of_no_is_the_mirror_of_yes(get):
    book = get(f"/book?token_id={NO}")
    assert book["bids"] == [{"price": "0.5", "size": "1000"}, {"price": "0.55", "size": "7"}, {"price": "0.56", "size": "3.25"}]
    assert book["asks"] == [{"price": "0.6", "size": "100"}, {"price": "0.58", "size": "25.5"}]


def test_books_are_read_in_one_go_without_the_unknown(sandbox, http):
    client = http(sandbox.polymarket)
    wanted = json.dumps([{"token_id": NO}, {"token_id": "7"}, {"token_id": YES}]).encode()
    assert [book["asset_id"] for book in client.request("/books", "POST", wanted).json] == [NO, YES]
    assert client.request("/books", "POST", b'{"token_id":"1"}').status == 400
    assert client.request("/books", "POST", json.dumps([{"token_id": YES}] * 501).encode()).status == 400


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        (f"/price?token_id={YES}&side=BUY", {"price": "0.42"}),
        (f"/price?token_id={YES}&side=sell", {"price": "0.44"}),
        (f"/midpoint?token_id={YES}", {"mid": "0.43"}),
        (f"/spread?token_id={NO}", {"spread": "0.02"}),
        (f"/tick-size?token_id={YES}", {"minimum_tick_size": "0.01"}),
        (f"/neg-risk?token_id={YES}", {"neg_risk": False}),
        (f"/fee-rate?token_id={YES}", {"base_fee": 1000}),
        ("/fee-rate?token_id=4001", {"base_fee": 0}),
        ("/time", NOW // 1000),
        ("/version", {"version": 2}),
        ("/ok", "OK"),
    ],
)
def test_small_reads_answer_as_the_sheet_says(get, target, answer):
    # the client reads JSON numbers with a point as text: so the tick size is seen to be a number, and exact
    assert get(target) == answer


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/book?token_id=7", "GET", 404),
        ("/book", "GET", 404),
        (f"/price?token_id={YES}&side=up", "GET", 400),
        (f"/price?token_id={YES}", "POST", 405),
        ("/markets/0xdead", "GET", 404),
        ("/markets/500000", "POST", 405),
        ("/nowhere", "GET", 404),
        ("/events/keyset/more", "GET", 404),
    ],
)
def test_what_is_not_there_is_an_error_with_a_reason(sandbox, http, target, method, status):
    reply = http(sandbox.polymarket).request(target, method)
    assert reply.status == status
    assert reply.json["error"]


def test_a_market_of_the_clob_names_its_tokens(get):
    market = get(f"/markets/{CONDITION}")
    assert market["condition_id"] == CONDITION
    assert [(t["token_id"], t["outcome"], t["price"], t["winner"]) for t in market["tokens"]] == [
        (YES, "Yes", "0.42", False),
        (NO, "No", "0.56", False),
    ]


def test_clob_parameters_carry_tick_size_and_fees(get):
    parameters = get(f"/clob-markets/{CONDITION}")
    assert parameters["t"] == [{"t": YES, "o": "Yes"}, {"t": NO, "o": "No"}]
    assert (parameters["mts"], parameters["mos"], parameters["nr"]) == ("0.01", 5, False)
    assert parameters["fd"] == {"r": "0.05", "e": 1, "to": True}
    assert "fd" not in get(f"/clob-markets/0x{3:064x}")


# -- Gamma --


def test_gamma_markets_have_arrays_in_text_and_numbers_as_numbers(get):
    market = get(f"/markets?condition_ids={CONDITION}")[0]
    assert market["outcomes"] == '["Yes","No"]'
    assert market["clobTokenIds"] == f'["{YES}","{NO}"]'
    assert market["outcomePrices"] == '["0.43","0.57"]'
    assert (market["id"], market["version"], market["conditionId"]) == ("500000", "v1", CONDITION)
    assert (market["orderPriceMinTickSize"], market["orderMinSize"]) == ("0.01", 5)
    assert (market["bestBid"], market["bestAsk"], market["spread"]) == ("0.42", "0.44", "0.02")
    assert market["feesEnabled"] is True
    assert market["feeSchedule"] == {"exponent": 1, "rate": "0.05", "takerOnly": True, "rebateRate": "0.25"}
    assert market["endDate"] == "2026-02-01T12:00:00Z"
    assert (market["active"], market["closed"], market["acceptingOrders"], market["enableOrderBook"]) == (True, False, True, True)
    assert market["events"] == [{"id": "100000", "slug": "event-1", "title": "Will number 1 win?", "negRisk": False}]


def test_fees_that_are_not_known_do_not_look_free(get):
    unknown, free = get("/markets/500002"), get("/markets/500003")
    assert (unknown["feesEnabled"], unknown["feeSchedule"]) == (True, None)
    assert (free["feesEnabled"], free["feeSchedule"]["rate"]) == (False, 0)


def test_keyset_pages_lead_through_all_markets_once(get):
    seen, cursor, pages = [], "", 0
    while pages == 0 or cursor:
        page = get(f"/markets/keyset?limit=2&after_cursor={cursor}")
        seen += [market["id"] for market in page["markets"]]
        cursor, pages = page.get("next_cursor", ""), pages + 1
    assert seen == ["500000", "500001", "500002", "500003"]
    assert pages == 2


def test_a_market_keeps_its_id_under_any_filter(get):
    assert [m["id"] for m in get("/markets?clob_token_ids=3002&clob_token_ids=2001")] == ["500001", "500002"]
    assert [m["id"] for m in get("/markets/keyset?closed=true")["markets"]] == ["500003"]


def test_the_older_listing_pages_by_offset_and_hides_closed_markets(get):
    assert [m["id"] for m in get("/markets?limit=2&offset=1")] == ["500001", "500002"]
    assert [m["id"] for m in get("/markets")] == ["500000", "500001", "500002"]
    assert [m["id"] for m in get("/markets?closed=true")] == ["500003"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("slug=pair", [500001, 500002]),
        ("id=500002,500000", [500000, 500002]),
        ("active=false", []),
        ("version=v2", []),
        ("version=v1&limit=1", [500000]),
        ("end_date_min=2026-02-01T12:00:00Z", [500000, 500001, 500002]),
        ("end_date_min=2026-02-01T12:00:01Z", []),
        ("end_date_max=2026-01-31", []),
        ("order=id&ascending=false", [500002, 500001, 500000]),
        ("order=volumeNum,id&ascending=true", [500000, 500001, 500002]),
        ("liquidity_num_min=1", [500000, 500001, 500002]),
        ("volume_num_min=1", []),
    ],
)
def test_filters_and_orders_choose_markets(get, query, ids):
    assert [int(m["id"]) for m in get(f"/markets?{query}")] == ids


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "after_cursor=x",
        "after_cursor=YmVmb3JlOjE=",
        "offset=0",
        "closed=perhaps",
        "order=luck",
        "end_date_min=soon",
    ],
)
def test_a_query_that_does_not_parse_is_refused(sandbox, http, query):
    reply = http(sandbox.polymarket).request(f"/markets/keyset?{query}")
    assert reply.status == 422
    assert reply.json["type"] == "validation error"


def test_events_group_their_markets(get):
    first, second, third = get("/events/keyset?limit=100")["events"]
    assert [event["slug"] for event in (first, second, third)] == ["event-1", "pair", "event-4"]
    assert [market["id"] for market in second["markets"]] == ["500001", "500002"]
    assert (second["closed"], third["closed"]) == (False, True)
    assert get("/events/100001") == get("/events/slug/pair") == second
    assert get("/events?slug=pair") == [second]


def test_one_market_is_found_by_id_and_by_slug(get):
    assert get("/markets/500001")["conditionId"] == f"0x{2:064x}"
    assert get("/markets/slug/event-1")["id"] == "500000"


# -- the market socket --


def test_the_first_frame_is_answered_with_an_array_of_books(polymarket, get):
    client = polymarket()
    (dump,) = client.ask(subscription(YES, NO, "unknown"))
    assert [(book["event_type"], book["asset_id"]) for book in dump] == [("book", YES), ("book", NO)]
    assert {name: value for name, value in dump[0].items() if name != "event_type"} == get(f"/book?token_id={YES}")


def test_a_long_list_is_told_in_several_frames(sandbox, polymarket, world):
    client = polymarket()
    sandbox.polymarket.by_asset.update({f"x{n}": sandbox.polymarket.by_asset[YES] for n in range(2 * DUMP_BOOKS)})
    frames = client.ask(subscription(*(f"x{n}" for n in range(2 * DUMP_BOOKS)), YES, YES))
    assert [len(frame) for frame in frames] == [DUMP_BOOKS, DUMP_BOOKS, 1]


def test_a_client_may_do_without_the_initial_books(polymarket):
    assert polymarket().ask(subscription(YES, initial_dump=False)) == []


def test_a_change_is_told_for_both_outcomes_with_absolute_sizes_and_the_new_books_hash(polymarket, happen, market, get):
    client = polymarket()
    client.ask(subscription(YES, NO))
    happen(change(market, Side.BUY, "0.43", "12.5"))
    (event,) = client.take()
    assert (event["event_type"], event["market"], event["timestamp"]) == ("price_change", CONDITION, str(LATER))
    yes, no = event["price_changes"]
    assert (yes["asset_id"], yes["side"], yes["price"], yes["size"]) == (YES, "BUY", "0.43", "12.5")
    assert (no["asset_id"], no["side"], no["price"], no["size"]) == (NO, "SELL", "0.57", "12.5")
    assert (yes["best_bid"], yes["best_ask"]) == ("0.43", "0.44")
    assert (no["best_bid"], no["best_ask"]) == ("0.56", "0.57")
    assert yes["hash"] == get(f"/book?token_id={YES}")["hash"]
    assert no["hash"] == get(f"/book?token_id={NO}")["hash"]


def test_a_removed_level_has_size_zero_and_an_empty_side_its_bounds(polymarket, happen, market):
    client = polymarket()
    client.ask(subscription(YES))
    happen(change(market, Side.BUY, "0.4", "0"), change(market, Side.BUY, "0.42", "0"))
    first, last = (event["price_changes"][0] for event in client.take())
    assert (first["price"], first["size"]) == ("0.4", "0")
    assert (last["best_bid"], last["best_ask"]) == ("0", "0.44")


def test_a_client_hears_only_the_outcomes_it_named(polymarket, happen, market):
    both, one, none = polymarket(), polymarket(), polymarket()
    both.ask(subscription(YES, NO)), one.ask(subscription(NO)), none.ask(subscription("2001"))
    happen(change(market, Side.SELL, "0.44", "9"))
    assert [len(event["price_changes"]) for event in both.take()] == [2]
    assert [[c["asset_id"] for c in event["price_changes"]] for event in one.take()] == [[NO]]
    assert none.take() == []


def test_later_frames_add_and_remove_assets_and_naming_one_again_brings_its_book(polymarket, happen, market):
    client = polymarket()
    client.ask(subscription(YES))
    for _ in range(2):
        ((book,),) = client.ask({"operation": "subscribe", "assets_ids": [NO]})
        assert (book["event_type"], book["asset_id"]) == ("book", NO)
    assert client.ask({"operation": "unsubscribe", "assets_ids": [YES]}) == []
    happen(change(market, Side.BUY, "0.41", "1"))
    assert [[c["asset_id"] for c in event["price_changes"]] for event in client.take()] == [[NO]]


def test_a_trade_is_told_and_then_the_books_it_touched(polymarket, happen, market, get):
    client = polymarket()
    client.ask(subscription(YES, NO))
    happen(PublicTrade(market.yes_key, parse_micros("0.44"), parse_micros("2"), Side.BUY))
    trade, yes, no = client.take()
    assert (trade["event_type"], trade["asset_id"], trade["price"], trade["size"], trade["side"]) == (
        "last_trade_price",
        YES,
        "0.44",
        "2",
        "BUY",
    )
    assert (trade["fee_rate_bps"], trade["timestamp"]) == ("0", str(LATER))
    assert [(book["event_type"], book["asset_id"], book["last_trade_price"]) for book in (yes, no)] == [
        ("book", YES, "0.44"),
        ("book", NO, ""),
    ]
    listed = get("/markets/500000")
    assert (listed["lastTradePrice"], listed["volumeNum"], listed["volume"]) == ("0.44", "0.88", "0.88")


def test_a_replaced_book_is_told_whole(polymarket, happen, market):
    client = polymarket()
    client.ask(subscription(YES))
    happen(BookSnapshot(market.yes_key, (Level(parse_micros("0.3"), parse_micros("1")),), ()))
    (book,) = client.take()
    assert (book["event_type"], book["bids"], book["asks"]) == ("book", [{"price": "0.3", "size": "1"}], [])


def test_best_prices_are_told_to_who_asked_for_the_custom_features(polymarket, happen, market):
    custom, plain = polymarket(), polymarket()
    custom.ask(subscription(NO, custom_feature_enabled=True)), plain.ask(subscription(NO))
    happen(change(market, Side.BUY, "0.41", "5"), change(market, Side.BUY, "0.43", "5"))
    assert [event["event_type"] for event in plain.take()] == ["price_change", "price_change"]
    *_, best = events = custom.take()
    assert [event["event_type"] for event in events] == ["price_change", "price_change", "best_bid_ask"]
    assert best == {
        "event_type": "best_bid_ask",
        "market": CONDITION,
        "asset_id": NO,
        "best_bid": "0.56",
        "best_ask": "0.57",
        "spread": "0.01",
        "timestamp": str(LATER),
    }


def test_a_text_ping_is_answered_with_a_text_pong(polymarket):
    client = polymarket()
    client.send("PING")
    assert client.texts == ["PONG"]


@pytest.mark.parametrize(
    "frame", ["hello", "{", '{"operation":"subscribe","assets_ids":["1001"]}', '{"type":"user"}', '{"type":"market","assets_ids":"1001"}']
)
def test_a_frame_that_is_no_subscription_subscribes_to_nothing(polymarket, happen, market, frame):
    client = polymarket()
    client.send(frame)
    assert client.texts == ["INVALID OPERATION"]
    happen(change(market, Side.BUY, "0.41", "5"))
    assert client.texts == ["INVALID OPERATION"]
    assert client.protocol.state is State.OPEN


def test_other_socket_paths_are_not_found(sandbox, websocket):
    client = websocket(sandbox.polymarket, "/ws/user")
    assert client.response.status_code == 404
    assert not sandbox.polymarket.sessions


def test_a_closed_session_is_forgotten(sandbox, polymarket):
    client = polymarket()
    assert len(sandbox.polymarket.sessions) == 1
    client.connection.end()
    assert not sandbox.polymarket.sessions


# -- faults --


def test_a_stalled_session_answers_ping_and_tells_nothing_while_new_ones_work(sandbox, polymarket, happen, market):
    stalled = polymarket()
    stalled.ask(subscription(YES))
    sandbox.polymarket.fault_stall()
    fresh = polymarket()
    fresh.ask(subscription(YES))
    happen(change(market, Side.BUY, "0.41", "5"))
    assert stalled.take() == []
    assert stalled.ask({"operation": "subscribe", "assets_ids": [NO]}) == []
    assert len(fresh.take()) == 1
    stalled.send("PING")
    assert stalled.texts == ["PONG"]


def test_dropped_sessions_are_cut_without_a_word(sandbox, polymarket):
    clients = [polymarket(), polymarket()]
    sandbox.polymarket.fault_drop()
    assert all(client.connection.cut for client in clients)
    assert [client.connection.data_to_send() for client in clients] == [b"", b""]


def test_closed_sessions_are_told_the_code(sandbox, polymarket):
    client = polymarket()
    sandbox.polymarket.fault_close()
    client.pump()
    assert client.protocol.close_rcvd.code == 1001
    assert client.connection.closed


def test_unknown_malformed_and_repeated_frames_go_to_every_session(sandbox, polymarket, happen, market):
    client = polymarket()
    client.ask(subscription(YES))
    happen(change(market, Side.BUY, "0.41", "5"))
    (told,) = client.take()
    sandbox.polymarket.fault_duplicate()
    assert client.take() == [told]
    sandbox.polymarket.fault_unknown_event()
    assert client.take()[0]["event_type"] not in {"book", "price_change", "last_trade_price", "tick_size_change", "best_bid_ask"}
    sandbox.polymarket.fault_unknown_fields()
    (book,) = client.take()
    assert book["event_type"] == "book"
    assert "to_come" in book
    sandbox.polymarket.fault_malformed()
    client.pump()
    with pytest.raises(json.JSONDecodeError):
        json.loads(client.texts[0])


def test_a_new_tick_size_is_told_and_followed_by_a_book_that_has_it(sandbox, polymarket, get):
    client = polymarket()
    client.ask(subscription(YES))
    sandbox.polymarket.change_tick(MarketId(CONDITION), Micros(1_000), LATER)
    told, book = client.take()
    assert told == {
        "event_type": "tick_size_change",
        "market": CONDITION,
        "asset_id": YES,
        "old_tick_size": "0.01",
        "new_tick_size": "0.001",
        "timestamp": str(LATER),
    }
    assert (book["event_type"], book["tick_size"]) == ("book", "0.001")
    assert get(f"/tick-size?token_id={NO}") == {"minimum_tick_size": "0.001"}
