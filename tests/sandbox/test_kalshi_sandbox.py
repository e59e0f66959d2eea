"""The Kalshi engine against the fact sheet, through clients that are not ours."""

import json

import pytest
from websockets.protocol import State

from arbiter.domain.book import BookSnapshot, LevelChange, PublicTrade, Side
from arbiter.domain.money import parse_micros
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.kalshi.auth import TOLERANCE_MS, Authenticator

NOW = 1_767_225_600_123
LATER = NOW + 200
A, B, C = "KXGAME-26FEB01-A", "KXGAME-26FEB01-B", "KXRATE-26FEB02-C"
BASE = "/trade-api/v2"
WS = "/trade-api/ws/v2"


@pytest.fixture
def market(world):
    return next(m for m in world.markets if m.key.market == A)


@pytest.fixture
def get(sandbox, http):
    """Reads one path below the base, which must succeed."""

    def get(target):
        reply = http(sandbox.kalshi).request(BASE + target)
        assert reply.status == 200
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


def trade(market, price="0.44", size="2", side=Side.BUY):
    return PublicTrade(market.yes_key, parse_micros(price), parse_micros(size), side)


def command(cmd, id_=1, **params):
    return {"id": id_, "cmd": cmd, "params": params}


def subscribe(*channels, id_=1, **params):
    return command("subscribe", id_, channels=list(channels), **params)


def books(*tickers, **params):
    return subscribe("orderbook_delta", market_tickers=list(tickers), **params)


def error(code, text, id_=1):
    return {"id": id_, "type": "error", "msg": {"code": code, "msg": text}}


# -- authentication --


def test_the_golden_signatures_are_accepted_and_the_wrong_ones_refused(vectors):
    auth = vectors["kalshi"]["auth"]
    authenticator = Authenticator({auth["key_id"]: auth["public_key_pem"].encode()})

    def accepts(case, signature):
        headers = {
            "kalshi-access-key": auth["key_id"],
            "kalshi-access-timestamp": case["timestamp_ms"],
            "kalshi-access-signature": signature,
        }
        return authenticator.accepts(headers, case["method"], case["path"], NOW)

    assert [accepts(case, case["sample_signature_b64"]) for case in auth["cases"]] == [True] * 4
    assert [accepts(auth["cases"][0], wrong["sig_b64"]) for wrong in auth["must_reject_for_case_0"]] == [False] * 4


def test_a_golden_upgrade_opens_a_socket(vectors, world, websocket):
    auth = vectors["kalshi"]["auth"]
    case = next(case for case in auth["cases"] if case["path"] == WS)
    sandbox = Sandbox(world, {auth["key_id"]: auth["public_key_pem"].encode()})
    headers = {"KALSHI-ACCESS-KEY": auth["key_id"], "KALSHI-ACCESS-TIMESTAMP": case["timestamp_ms"]}
    client = websocket(sandbox.kalshi, WS, headers | {"KALSHI-ACCESS-SIGNATURE": case["sample_signature_b64"]})
    assert client.protocol.state is State.OPEN


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("KALSHI-ACCESS-KEY", "somebody-else"),
        ("KALSHI-ACCESS-TIMESTAMP", str(NOW + 1)),
        ("KALSHI-ACCESS-TIMESTAMP", str(NOW // 1000)),
        ("KALSHI-ACCESS-TIMESTAMP", "²³"),
        ("KALSHI-ACCESS-SIGNATURE", "bm8="),
        ("KALSHI-ACCESS-SIGNATURE", "not base64!"),
        ("KALSHI-ACCESS-SIGNATURE", ""),
    ],
)
def test_an_upgrade_with_any_wrong_header_is_unauthorized(sandbox, websocket, signed, changed, value):
    client = websocket(sandbox.kalshi, WS, signed() | {changed: value})
    assert client.response.status_code == 401
    assert json.loads(client.response.body)["error"]["code"] == "unauthorized"
    assert not sandbox.kalshi.sessions


def test_an_upgrade_without_headers_is_unauthorized(sandbox, websocket):
    assert websocket(sandbox.kalshi, WS).response.status_code == 401


def test_a_signature_over_another_path_or_method_is_unauthorized(sandbox, websocket, signed):
    for wrong in ({"path": WS + "?x=1"}, {"path": BASE + "/markets"}, {"method": "POST"}):
        assert websocket(sandbox.kalshi, WS, signed(**wrong)).response.status_code == 401


def test_a_query_is_no_part_of_what_is_signed(sandbox, websocket, signed):
    assert websocket(sandbox.kalshi, WS + "?x=1", signed()).protocol.state is State.OPEN


def test_a_timestamp_beyond_the_tolerance_is_unauthorized(sandbox, websocket, signed, make_sandbox):
    old = signed(NOW - TOLERANCE_MS)
    assert websocket(sandbox.kalshi, WS, old).protocol.state is State.OPEN
    assert websocket(sandbox.kalshi, WS, old, now_ms=NOW + 1).response.status_code == 401
    strict = make_sandbox(kalshi_tolerance_ms=10)
    assert websocket(strict.kalshi, WS, signed(NOW + 11)).response.status_code == 401
    assert websocket(strict.kalshi, WS, signed(NOW + 10)).protocol.state is State.OPEN


def test_public_reads_need_no_key_but_a_key_named_must_be_proved(sandbox, http, signed):
    path = BASE + "/exchange/status"
    client = http(sandbox.kalshi)
    assert client.request(path).status == 200
    assert client.request(path, headers=signed(path=path)).status == 200
    assert client.request(path, headers=signed(path=WS)).status == 401


# -- REST --


def test_the_exchange_says_that_it_is_open(get):
    status = get("/exchange/status")
    assert (status["exchange_active"], status["trading_active"]) == (True, True)
    assert [shard["exchange_index"] for shard in status["exchange_index_statuses"]] == [0]


def test_a_market_has_dollar_text_and_count_text(get):
    market = get(f"/markets/{A}")["market"]
    assert (market["ticker"], market["event_ticker"], market["status"]) == (A, "KXGAME-26FEB01", "active")
    assert (market["yes_bid_dollars"], market["yes_ask_dollars"]) == ("0.4200", "0.4400")
    assert (market["no_bid_dollars"], market["no_ask_dollars"]) == ("0.5600", "0.5800")
    assert (market["yes_bid_size_fp"], market["yes_ask_size_fp"]) == ("25.50", "3.25")
    assert market["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
    assert (market["notional_value_dollars"], market["close_time"], market["result"]) == ("1.0000", "2026-02-01T12:00:00Z", "")
    assert market["rules_primary"] == "By the official result."


def test_an_order_book_is_bids_of_both_sides_with_the_best_last(get):
    book = get(f"/markets/{A}/orderbook")["orderbook_fp"]
    assert book["yes_dollars"] == [["0.4000", "100.00"], ["0.4200", "25.50"]]
    assert book["no_dollars"] == [["0.5000", "1000.00"], ["0.5500", "7.00"], ["0.5600", "3.25"]]
    assert get(f"/markets/{A}/orderbook?depth=1")["orderbook_fp"] == {
        "yes_dollars": [["0.4200", "25.50"]],
        "no_dollars": [["0.5600", "3.25"]],
    }


def test_several_order_books_are_read_in_one_go(get):
    told = get(f"/markets/orderbooks?tickers={B}&tickers={A},NOPE")["orderbooks"]
    assert [each["ticker"] for each in told] == [B, A]
    assert told[1]["orderbook_fp"] == get(f"/markets/{A}/orderbook")["orderbook_fp"]


@pytest.mark.parametrize(
    ("query", "tickers"),
    [
        ("", "ABCD"),
        ("status=open", "ABC"),
        ("status=closed", "D"),
        ("status=settled", ""),
        ("status=unopened", ""),
        ("event_ticker=KXGAME-26FEB01", "AB"),
        ("series_ticker=KXRATE", "CD"),
        (f"tickers={C},{A}", "AC"),
        ("mve_filter=exclude&series_ticker=KXGAME", "AB"),
        ("mve_filter=only", ""),
        ("min_close_ts=1769947200", "ABCD"),
        ("min_close_ts=1769947201", ""),
        ("max_close_ts=1769947199", ""),
    ],
)
def test_filters_choose_markets(get, query, tickers):
    assert "".join(market["ticker"][-1] for market in get(f"/markets?{query}")["markets"]) == tickers


def test_pages_lead_through_all_markets_once_and_end_with_an_empty_cursor(get):
    seen, cursor, pages = "", "", 0
    while pages == 0 or cursor:
        page = get(f"/markets?limit=3&cursor={cursor}")
        seen += "".join(market["ticker"][-1] for market in page["markets"])
        cursor, pages = page["cursor"], pages + 1
    assert (seen, pages) == ("ABCD", 2)


def test_events_nest_their_markets_when_asked(get):
    page = get("/events?limit=2&with_nested_markets=true")
    assert [(e["event_ticker"], [m["ticker"][-1] for m in e["markets"]]) for e in page["events"]] == [
        ("KXGAME-26FEB01", ["A", "B"]),
        ("KXRATE-26FEB02", ["C"]),
    ]
    rest = get(f"/events?limit=2&cursor={page['cursor']}")
    (last,) = rest["events"]
    assert (last["event_ticker"], rest["cursor"]) == ("KXRATE-26FEB03", "")
    assert "markets" not in last
    assert get("/events?status=closed")["events"] == [last]


def test_one_event_has_its_markets_inside_and_none_beside(get):
    told = get("/events/KXGAME-26FEB01")
    assert [market["ticker"] for market in told["event"]["markets"]] == [A, B]
    assert told["markets"] == []
    assert (told["event"]["series_ticker"], told["event"]["mutually_exclusive"]) == ("KXGAME", False)


def test_series_carry_the_fees_and_events_what_differs_from_them(get):
    game, rate = get("/series")["series"]
    assert (game["ticker"], game["fee_type"], game["fee_multiplier"]) == ("KXGAME", "quadratic", 1)
    assert (rate["ticker"], rate["fee_type"], rate["fee_multiplier"]) == ("KXRATE", "quadratic_with_maker_fees", "0.5")
    assert get("/series/KXRATE")["series"] == rate
    assert get("/series?category=politics")["series"] == [rate]
    usual, other = get("/events/KXRATE-26FEB02")["event"], get("/events/KXRATE-26FEB03")["event"]
    assert (usual["fee_type_override"], usual["fee_multiplier_override"]) == (None, None)
    # the fees of market D are not known: nothing that a client could compute with, so nothing that looks free
    assert (other["fee_type_override"], other["fee_multiplier_override"]) == ("flat", 1)


def test_trades_are_listed_newest_first_in_pages(get, happen, market):
    happen(*(trade(market, size=str(size)) for size in range(1, 6)), trade(market, "0.42", "6", Side.SELL))
    page = get(f"/markets/trades?ticker={A}&limit=4")
    assert [t["count_fp"] for t in page["trades"]] == ["6.00", "5.00", "4.00", "3.00"]
    happen(trade(market, size="7"))
    assert [t["count_fp"] for t in get(f"/markets/trades?limit=4&cursor={page['cursor']}")["trades"]] == ["2.00", "1.00"]
    assert get(f"/markets/trades?ticker={B}") == {"trades": [], "cursor": ""}
    assert len(get(f"/markets/trades?min_ts={LATER // 1000}")["trades"]) == 7
    assert get(f"/markets/trades?max_ts={LATER // 1000 - 1}")["trades"] == []
    assert page["trades"][0] == {
        "ticker": A,
        "trade_id": "trade-00000006",
        "yes_price_dollars": "0.4200",
        "no_price_dollars": "0.5800",
        "count_fp": "6.00",
        "taker_outcome_side": "no",
        "taker_book_side": "ask",
        "is_block_trade": False,
        "created_time": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        (f"{BASE}/markets/NOPE", 404, "market_not_found"),
        (f"{BASE}/markets/NOPE/orderbook", 404, "market_not_found"),
        (f"{BASE}/markets/{A}/history", 404, "not_found"),
        (f"{BASE}/events/NOPE", 404, "not_found"),
        (f"{BASE}/series/NOPE", 404, "not_found"),
        (f"{BASE}/nowhere", 404, "not_found"),
        ("/markets", 404, "not_found"),
        (f"{BASE}/markets?status=active", 400, "bad_request"),
        (f"{BASE}/events?status=active", 400, "bad_request"),
        (f"{BASE}/markets?mve_filter=some", 400, "bad_request"),
        (f"{BASE}/markets?limit=1001", 400, "bad_request"),
        (f"{BASE}/events?limit=201", 400, "bad_request"),
        (f"{BASE}/markets?cursor=x", 400, "bad_request"),
        (f"{BASE}/markets?min_close_ts=soon", 400, "bad_request"),
        (f"{BASE}/markets/trades?limit=0", 400, "bad_request"),
        (f"{BASE}/markets/orderbooks", 400, "bad_request"),
        (f"{BASE}/markets/{A}/orderbook?depth=101", 400, "bad_request"),
    ],
)
def test_a_refusal_has_a_code_a_message_and_details(sandbox, http, target, status, code):
    reply = http(sandbox.kalshi).request(target)
    assert reply.status == status
    assert reply.json["error"]["code"] == code
    assert set(reply.json["error"]) == {"code", "message", "details"}


# -- the socket: books --


def test_a_subscription_is_acknowledged_and_followed_by_a_snapshot_of_each_market(kalshi):
    told, first, second = kalshi().ask(books(A, B))
    assert told == {"id": 1, "type": "subscribed", "msg": {"channel": "orderbook_delta", "sid": 1}}
    assert [(m["type"], m["sid"], m["seq"], m["msg"]["market_ticker"]) for m in (first, second)] == [
        ("orderbook_snapshot", 1, 1, A),
        ("orderbook_snapshot", 1, 2, B),
    ]
    assert first["msg"]["yes_dollars_fp"] == [["0.4000", "100.00"], ["0.4200", "25.50"]]
    assert first["msg"]["no_dollars_fp"] == [["0.5000", "1000.00"], ["0.5500", "7.00"], ["0.5600", "3.25"]]


def test_an_empty_side_is_left_out_of_a_snapshot(kalshi, happen, market):
    client = kalshi()
    client.ask(books(A))
    happen(BookSnapshot(market.yes_key, (), ()))
    (told,) = client.take()
    assert (told["type"], told["seq"]) == ("orderbook_snapshot", 2)
    assert set(told["msg"]) == {"market_ticker", "market_id"}


def test_a_delta_is_the_signed_change_of_a_bid_on_either_side(kalshi, happen, market):
    client = kalshi()
    client.ask(books(A))
    happen(change(market, Side.BUY, "0.42", "0"), change(market, Side.SELL, "0.44", "10.25"), change(market, Side.BUY, "0.30", "1"))
    first, second, third = client.take()
    assert [m["seq"] for m in (first, second, third)] == [2, 3, 4]
    assert {name: first["msg"][name] for name in ("price_dollars", "delta_fp", "side", "ts_ms")} == {
        "price_dollars": "0.4200",
        "delta_fp": "-25.50",
        "side": "yes",
        "ts_ms": LATER,
    }
    assert (second["msg"]["price_dollars"], second["msg"]["delta_fp"], second["msg"]["side"]) == ("0.5600", "7.00", "no")
    assert (third["msg"]["price_dollars"], third["msg"]["delta_fp"], third["msg"]["side"]) == ("0.3000", "1.00", "yes")


def test_a_change_that_changes_nothing_is_not_told(kalshi, happen, market):
    client = kalshi()
    client.ask(books(A))
    happen(change(market, Side.BUY, "0.42", "25.5"), change(market, Side.BUY, "0.10", "0"))
    assert client.take() == []


def test_deltas_folded_into_the_snapshot_give_the_book_that_rest_shows(kalshi, happen, market, get):
    client = kalshi()
    _, snapshot = client.ask(books(A))
    folded = {side: dict(snapshot["msg"][f"{side}_dollars_fp"]) for side in ("yes", "no")}
    happen(*(change(market, side, price, size) for side in Side for price, size in (("0.43", "4"), ("0.42", "0"), ("0.43", "9.75"))))
    for delta in (m["msg"] for m in client.take()):
        side, price = folded[delta["side"]], delta["price_dollars"]
        left = parse_micros(side.get(price, "0.00")) + parse_micros(delta["delta_fp"])
        assert left >= 0
        side[price] = f"{left // 1_000_000}.{left % 1_000_000 // 10_000:02d}"
    shown = get(f"/markets/{A}/orderbook")["orderbook_fp"]
    for side in ("yes", "no"):
        assert sorted((p, s) for p, s in folded[side].items() if s != "0.00") == [tuple(level) for level in shown[f"{side}_dollars"]]


def test_with_yes_prices_the_no_levels_say_what_yes_costs_there(kalshi, happen, market):
    client, other = kalshi(), kalshi()
    _, snapshot = client.ask(books(A, use_yes_price=True))
    other.ask(books(A, use_yes_price=False))
    assert snapshot["msg"]["yes_dollars_fp"] == [["0.4000", "100.00"], ["0.4200", "25.50"]]
    assert snapshot["msg"]["no_dollars_fp"] == [["0.5000", "1000.00"], ["0.4500", "7.00"], ["0.4400", "3.25"]]
    happen(change(market, Side.SELL, "0.44", "1"), change(market, Side.BUY, "0.42", "1"))
    assert [m["msg"]["price_dollars"] for m in client.take()] == ["0.4400", "0.4200"]
    assert [m["msg"]["price_dollars"] for m in other.take()] == ["0.5600", "0.4200"]


def test_a_client_hears_only_its_markets(kalshi, happen, market):
    client = kalshi()
    client.ask(books(B))
    happen(change(market, Side.BUY, "0.42", "1"))
    assert client.take() == []


# -- the socket: commands --


def test_channels_have_their_own_sids_and_sequences(kalshi, happen, market):
    client = kalshi()
    told = client.ask(subscribe("trade", "ticker", "orderbook_delta", market_tickers=[A]))
    assert [(m["type"], m["msg"].get("channel"), m["msg"].get("sid")) for m in told[:3]] == [
        ("subscribed", "trade", 1),
        ("subscribed", "ticker", 2),
        ("subscribed", "orderbook_delta", 3),
    ]
    happen(trade(market), change(market, Side.SELL, "0.44", "1.25"), trade(market))
    assert [(m["type"], m["sid"], m.get("seq")) for m in client.take()] == [
        ("trade", 1, 1),
        ("ticker", 2, None),
        ("orderbook_delta", 3, 2),
        ("ticker", 2, None),
        ("trade", 1, 2),
        ("ticker", 2, None),
    ]


def test_subscribing_again_merges_into_the_same_sid_and_takes_a_number(kalshi):
    client = kalshi()
    client.ask(books(A))
    told, snapshot = client.ask(books(A, B, id_=2))
    assert told == {"id": 2, "type": "ok", "sid": 1, "seq": 2, "msg": {"market_tickers": [A, B]}}
    assert (snapshot["seq"], snapshot["msg"]["market_ticker"]) == (3, B)


def test_markets_are_added_and_deleted_and_snapshots_fetched_in_sequence(kalshi, happen, market):
    client = kalshi()
    client.ask(books(A))
    ok, snapshot = client.ask(command("update_subscription", 2, sids=[1], action="add_markets", market_tickers=[B, A]))
    assert ok == {"id": 2, "type": "ok", "sid": 1, "seq": 2, "msg": {"market_tickers": [A, B]}}
    assert (snapshot["type"], snapshot["seq"], snapshot["msg"]["market_ticker"]) == ("orderbook_snapshot", 3, B)
    ok, snapshot = client.ask(command("update_subscription", 3, sid=1, action="get_snapshot", market_tickers=[A]))
    assert (ok["seq"], snapshot["seq"], snapshot["msg"]["market_ticker"]) == (4, 5, A)
    (ok,) = client.ask(command("update_subscription", 4, sid=1, action="delete_markets", market_tickers=[A]))
    assert (ok["seq"], ok["msg"]) == (6, {"market_tickers": [B]})
    happen(change(market, Side.BUY, "0.42", "1"))
    assert client.take() == []


def test_adding_markets_to_another_channel_brings_no_books(kalshi):
    client = kalshi()
    client.ask(subscribe("trade", market_tickers=[A]))
    (told,) = client.ask(command("update_subscription", 2, sid=1, action="add_markets", market_tickers=[B]))
    assert told == {"id": 2, "type": "ok", "sid": 1, "seq": 1, "msg": {"market_tickers": [A, B]}}


def test_an_unsubscription_takes_the_last_number_and_ends_the_sid(kalshi, happen, market):
    client = kalshi()
    client.ask(books(A)), client.ask(subscribe("ticker", market_tickers=[A], id_=2))
    told = client.ask(command("unsubscribe", 3, sids=[1, 2, 9]))
    assert told == [
        {"id": 3, "type": "unsubscribed", "sid": 1, "seq": 2},
        {"id": 3, "type": "unsubscribed", "sid": 2},
        error(7, "Unknown subscription ID", 3),
    ]
    happen(change(market, Side.BUY, "0.42", "1"))
    assert client.take() == []
    assert client.ask(books(A, id_=4))[0]["msg"]["sid"] == 3


def test_subscriptions_are_listed(kalshi):
    client = kalshi()
    client.ask(subscribe("orderbook_delta", "ticker", market_ticker=A))
    assert client.ask({"id": 7, "cmd": "list_subscriptions"}) == [
        {"id": 7, "type": "ok", "msg": [{"channel": "orderbook_delta", "sid": 1}, {"channel": "ticker", "sid": 2}]}
    ]


def test_a_new_connection_counts_from_one_again(kalshi, happen, market):
    client = kalshi()
    client.ask(books(A)), happen(change(market, Side.BUY, "0.42", "1"))
    told, snapshot = kalshi().ask(books(A))
    assert (told["msg"]["sid"], snapshot["seq"]) == (1, 1)


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        ({"id": 1, "cmd": "dance", "params": {}}, 5, "Unknown command"),
        ({"id": 1, "cmd": "subscribe"}, 2, "Params required"),
        (subscribe(), 3, "Channels required"),
        (subscribe("weather"), 8, "Unknown channel name"),
        (subscribe("orderbook_delta"), 14, "Market Ticker required"),
        (books("NOPE"), 16, "Market not found"),
        (command("unsubscribe"), 4, "Subscription IDs required"),
        (command("unsubscribe", sids=[2]), 7, "Unknown subscription ID"),
        (command("update_subscription", action="add_markets", market_tickers=[B]), 12, "Exactly one subscription ID is required"),
        (command("update_subscription", sids=[1, 2], action="add_markets"), 12, "Exactly one subscription ID is required"),
        (command("update_subscription", sid=2, action="add_markets", market_tickers=[B]), 7, "Unknown subscription ID"),
        (command("update_subscription", sid=1, market_tickers=[B]), 15, "Action required"),
        (command("update_subscription", sid=1, action="add_markets"), 14, "Market Ticker required"),
        (command("update_subscription", sid=1, action="add_markets", market_tickers=["NOPE"]), 16, "Market not found"),
        (command("update_subscription", sid=1, action="paint", market_tickers=[B]), 13, "Unsupported action"),
        (command("update_subscription", sid=1, action="get_snapshot", market_tickers=[B]), 11, "Invalid parameter"),
    ],
)
def test_a_bad_command_is_answered_with_its_code_and_changes_nothing(kalshi, sent, code, text):
    client = kalshi()
    client.ask(books(A, id_=9))
    assert client.ask(sent) == [error(code, text)]
    assert client.ask({"id": 2, "cmd": "list_subscriptions"})[0]["msg"] == [{"channel": "orderbook_delta", "sid": 1}]


@pytest.mark.parametrize(("sent", "code"), [("{", 1), ("PING", 1), ('{"id":1,"cmd":"subscribe","params":{"channels":"trade"}}', 11)])
def test_what_is_no_command_is_answered_without_an_id(kalshi, sent, code):
    client = kalshi()
    client.send(sent)
    (told,) = client.take()
    assert (told["type"], told["msg"]["code"]) == ("error", code)
    assert "id" not in told


def test_an_id_of_zero_counts_as_absent(kalshi):
    assert kalshi().ask(subscribe("ticker", id_=0)) == [{"type": "subscribed", "msg": {"channel": "ticker", "sid": 1}}]


# -- the socket: trades, tickers, life --


def test_a_trade_has_the_id_that_rest_shows(kalshi, happen, market, get):
    client = kalshi()
    client.ask(subscribe("trade"))
    happen(trade(market, "0.44", "2.5"))
    (told,) = client.take()
    assert told == {
        "type": "trade",
        "sid": 1,
        "seq": 1,
        "msg": {
            "market_ticker": A,
            "trade_id": get("/markets/trades")["trades"][0]["trade_id"],
            "yes_price_dollars": "0.4400",
            "no_price_dollars": "0.5600",
            "count_fp": "2.50",
            "taker_outcome_side": "yes",
            "taker_book_side": "bid",
            "is_block_trade": False,
            "taker_side": "yes",
            "ts": LATER // 1000,
            "ts_ms": LATER,
        },
    }


def test_a_ticker_follows_the_touch_and_the_trades(kalshi, happen, market):
    client = kalshi()
    client.ask(subscribe("ticker"))
    happen(change(market, Side.BUY, "0.10", "1"))
    assert client.take() == []
    happen(change(market, Side.BUY, "0.43", "6"), trade(market, "0.44", "2.5"))
    touched, traded = (m["msg"] for m in client.take())
    assert (touched["yes_bid_dollars"], touched["yes_bid_size_fp"], touched["price_dollars"]) == ("0.4300", "6.00", "0.0000")
    assert (traded["price_dollars"], traded["last_trade_size_fp"], traded["volume_fp"], traded["dollar_volume"]) == (
        "0.4400",
        "2.50",
        "2.50",
        1,
    )
    assert (traded["ts_ms"], traded["time"]) == (LATER, "2026-01-01T00:00:00Z")


def test_a_ticker_subscription_may_begin_with_what_is(kalshi):
    told, first = kalshi().ask(subscribe("ticker", market_tickers=[A], send_initial_snapshot=True))
    assert told["type"] == "subscribed"
    assert (first["type"], first["msg"]["market_ticker"], first["msg"]["yes_ask_dollars"]) == ("ticker", A, "0.4400")


def test_a_heartbeat_ping_comes_every_ten_seconds(sandbox, kalshi):
    client = kalshi()
    for ms in range(0, 30_001, 1_000):
        sandbox.tick(NOW + ms)
        client.pump()
    assert client.pings == [b"heartbeat"] * 3
    assert client.protocol.state is State.OPEN


def test_a_closed_session_is_forgotten(sandbox, kalshi):
    client = kalshi()
    assert len(sandbox.kalshi.sessions) == 1
    client.connection.end()
    assert not sandbox.kalshi.sessions


# -- faults --


def test_a_gap_skips_a_number_in_every_subscription(sandbox, kalshi, happen, market):
    client = kalshi()
    client.ask(books(A)), client.ask(subscribe("trade", id_=2))
    sandbox.kalshi.fault_gap()
    happen(change(market, Side.BUY, "0.42", "1"), trade(market))
    assert [(m["type"], m["seq"]) for m in client.take()] == [("orderbook_delta", 3), ("trade", 2)]


def test_an_overflow_ends_the_subscriptions_and_leaves_the_connection(sandbox, kalshi, happen, market):
    client = kalshi()
    client.ask(books(A))
    sandbox.kalshi.fault_overflow()
    happen(change(market, Side.BUY, "0.42", "1"))
    (told,) = client.take()
    assert (told["type"], told["sid"], told["msg"]["code"]) == ("error", 1, 25)
    assert client.ask(books(A, id_=2))[0]["msg"]["sid"] == 2


def test_sessions_are_dropped_without_a_word_or_closed_with_a_code(sandbox, kalshi):
    cut, closed = kalshi(), kalshi()
    cut.connection.drop()
    sandbox.kalshi.fault_close()
    closed.pump()
    assert closed.protocol.close_rcvd.code == 1001
    another = kalshi()
    sandbox.kalshi.fault_drop()
    assert another.connection.cut
    assert another.connection.data_to_send() == b""


def test_unknown_and_malformed_frames_go_to_every_session(sandbox, kalshi):
    client = kalshi()
    sandbox.kalshi.fault_unknown_type()
    (told,) = client.take()
    assert told["type"] not in {"orderbook_snapshot", "orderbook_delta", "trade", "ticker", "ok", "error", "subscribed"}
    sandbox.kalshi.fault_malformed()
    client.pump()
    with pytest.raises(json.JSONDecodeError):
        json.loads(client.texts[0])
