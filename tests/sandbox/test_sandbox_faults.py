"""Each fault of both sandboxes, seen by clients that are not ours."""

import json

import h11
import pytest
import trio
from websockets.protocol import State

from arbiter.domain.book import LevelChange, PublicTrade, Side
from arbiter.domain.money import parse_micros
from arbiter.sandbox.faults import ANSWERS, FRAMES, NOW, Fault
from arbiter.sandbox.faults.mangle import mangled
from arbiter.sandbox.http import Connection
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake, serve_sockets

START = 1_767_225_600_123
LATER = START + 200
YES, CONDITION = "1001", f"0x{1:064x}"
A = "KXGAME-26FEB01-A"
BASE = "/trade-api/v2"
BOOKS = {"id": 1, "cmd": "subscribe", "params": {"channels": ["orderbook_delta"], "market_tickers": [A]}}


@pytest.fixture
def poly(polymarket):
    """A market socket that follows YES of the first market, its first book taken."""
    client = polymarket()
    client.ask({"type": "market", "assets_ids": [YES]})
    return client


@pytest.fixture
def kal(kalshi):
    """A Kalshi socket that follows the books of A, its snapshot taken."""
    client = kalshi()
    client.ask(BOOKS)
    return client


@pytest.fixture
def change(sandbox, world):
    """Changes a bid of the first market of each venue; another size each time."""
    count = 0

    def change(at_ms=LATER):
        nonlocal count
        count += 1
        markets = (world.markets[0], next(m for m in world.markets if m.key.market == A))
        world.write(*(LevelChange(m.yes_key, Side.BUY, parse_micros("0.41"), parse_micros(str(count))) for m in markets))
        sandbox.tick(at_ms)

    return change


@pytest.fixture
def begin(sandbox):
    """Begins a fault at both venues."""

    def begin(what, at_ms=START, **options):
        sandbox.polymarket.faults.begin(Fault(what, **options), at_ms)
        sandbox.kalshi.faults.begin(Fault(what, **options), at_ms)

    return begin


def seqs(messages):
    return [message["seq"] for message in messages]


# -- the next events --


def test_a_dropped_frame_is_a_gap_in_kalshis_sequence_and_nothing_at_all_at_polymarket(poly, kal, begin, change):
    begin("drop-frame")
    change(), change()
    assert [event["price_changes"][0]["size"] for event in poly.take()] == ["2"]
    assert seqs(kal.take()) == [3]


def test_a_duplicated_frame_comes_twice_with_the_same_number(poly, kal, begin, change):
    begin("duplicate-frame", count=2)
    change(), change(), change()
    assert [event["price_changes"][0]["size"] for event in poly.take()] == ["1", "1", "2", "2", "3"]
    assert seqs(kal.take()) == [2, 2, 3, 3, 4]


def test_a_fault_may_last_for_a_time_instead_of_a_number_of_events(kal, begin, change):
    begin("drop-frame", for_ms=500)
    change(START + 499), change(START + 500)
    assert seqs(kal.take()) == [3]


def test_faults_that_begin_together_follow_one_another(kal, begin, change):
    begin("drop-frame"), begin("duplicate-frame")
    change(), change(), change()
    assert seqs(kal.take()) == [3, 3, 4]


def test_a_socket_that_opens_later_is_not_befallen(polymarket, poly, begin, change):
    begin("drop-frame", count=10)
    late = polymarket()
    late.ask({"type": "market", "assets_ids": [YES]})
    change()
    assert (len(poly.take()), len(late.take())) == (0, 1)


def test_unknown_values_stand_where_one_of_a_few_words_should(poly, kal, begin, change):
    begin("unknown-enum")
    change()
    assert poly.take()[0]["price_changes"][0]["side"] == "sideways"
    (delta,) = kal.take()
    assert (delta["type"], delta["msg"]["side"]) == ("orderbook_delta", "sideways")


def test_arrays_are_null_inside_a_message_and_a_frame_of_several_stays_an_array(polymarket, poly, kal, begin, change):
    begin("null-arrays", count=1)
    change()
    assert poly.take()[0]["price_changes"] is None
    begin("null-arrays", count=2)
    ((book,),) = poly.ask({"operation": "subscribe", "assets_ids": [YES]})
    assert (book["bids"], book["asks"]) == (None, None)
    snapshot = kal.ask({"id": 2, "cmd": "update_subscription", "params": {"sid": 1, "action": "get_snapshot", "market_tickers": [A]}})[-1]
    assert (snapshot["msg"]["yes_dollars_fp"], snapshot["msg"]["no_dollars_fp"]) == (None, None)


def test_numbers_come_as_text_and_text_as_numbers_with_every_digit_kept(poly, kal, begin, change):
    begin("swapped-numbers")
    change()
    poly.pump(), kal.pump()
    assert '"price":0.41,"size":1,' in poly.texts[0]
    assert f'"asset_id":{YES}' in poly.texts[0]
    assert '"seq":"2"' in kal.texts[0]
    assert '"price_dollars":0.4100' in kal.texts[0]
    assert f'"ts_ms":"{LATER}"' in kal.texts[0]


def test_long_ids_and_what_is_no_json_stay_as_they_are():
    token = "7" * 77
    assert mangled("swapped-numbers", f'{{"asset_id":"{token}","p":1.50}}'.encode()) == f'{{"asset_id":"{token}","p":"1.50"}}'.encode()
    assert mangled("null-arrays", b"PONG") == b"PONG"


# -- at once --


def test_a_stall_silences_the_events_and_leaves_the_life_signs(sandbox, poly, kal, begin, change):
    begin("stall")
    change()
    sandbox.tick(START + 10_000)
    poly.send("PING")
    assert poly.texts == ["PONG"]
    kal.pump()
    assert (kal.texts, kal.pings) == ([], [b"heartbeat"])
    assert kal.ask({"id": 5, "cmd": "list_subscriptions"})[0]["id"] == 5


def test_a_stall_may_end_and_then_the_gap_shows(kal, begin, change):
    begin("stall", for_ms=1_000)
    change(START + 999), change(START + 1_000)
    assert seqs(kal.take()) == [3]


def test_a_disconnect_cuts_and_a_close_says_goodbye(polymarket, kalshi, poly, kal, begin):
    begin("disconnect")
    assert (poly.connection.cut, kal.connection.cut) == (True, True)
    again = [polymarket(), kalshi()]
    begin("close", status=1012)
    for client in again:
        client.pump()
        assert client.protocol.close_rcvd.code == 1012


@pytest.mark.parametrize("what", ["garbage", "broken-json"])
def test_text_that_is_no_json_comes_to_every_socket(poly, kal, begin, what):
    begin(what)
    for client in (poly, kal):
        client.pump()
        with pytest.raises(json.JSONDecodeError):
            json.loads(client.texts[0])
        assert client.protocol.state is State.OPEN


def test_half_a_frame_comes_and_then_the_end(poly, kal, begin):
    begin("half-frame")
    for client in (poly, kal):
        before = len(client.received)
        client.pump()
        assert len(client.received) > before
        assert (client.texts, client.connection.closed) == ([], True)


def test_a_huge_message_is_one_json_text_of_five_megabytes(poly, kal, begin):
    begin("huge-message")
    for client in (poly, kal):
        client.pump()
        (text,) = client.texts
        assert len(json.loads(text)["filler"]) == 5 * 1024 * 1024


def test_a_message_may_be_made_of_another_size(poly, begin):
    begin("huge-message", size=1_000)
    poly.pump()
    assert 1_000 < len(poly.texts[0]) < 1_100


def test_an_unknown_event_comes_to_every_socket(poly, kal, begin):
    begin("unknown-event")
    assert poly.take()[0]["event_type"] == kal.take()[0]["type"] == "moon_phase"


def test_a_level_below_zero_comes_in_an_otherwise_good_message(poly, kal, begin, change):
    begin("negative-level")
    (event,) = poly.take()
    assert (event["event_type"], event["price_changes"][0]["asset_id"], event["price_changes"][0]["size"]) == ("price_change", YES, "-5")
    (delta,) = kal.take()
    # the best bid is 0.42 with 25.50
    assert (delta["seq"], delta["msg"]["price_dollars"], delta["msg"]["delta_fp"]) == (2, "0.4200", "-30.50")
    change()
    assert seqs(kal.take()) == [3]


def test_a_crossed_book_has_a_bid_at_its_best_ask(poly, kal, begin, http, sandbox):
    begin("crossed-book")
    (book,) = poly.take()
    assert (book["event_type"], book["bids"][-1]["price"], book["asks"][-1]["price"]) == ("book", "0.44", "0.44")
    (delta,) = kal.take()
    assert (delta["seq"], delta["msg"]["side"], delta["msg"]["price_dollars"], delta["msg"]["delta_fp"]) == (2, "yes", "0.4400", "10.00")
    # the venue's own book is as it was
    assert http(sandbox.polymarket).request(f"/book?token_id={YES}").json["bids"][-1]["price"] == "0.42"


def test_a_bad_level_can_be_aimed_at_one_market(kalshi, begin):
    client = kalshi()
    client.ask({"id": 1, "cmd": "subscribe", "params": {"channels": ["orderbook_delta"], "market_tickers": [A, "KXGAME-26FEB01-B"]}})
    begin("negative-level", market="KXGAME-26FEB01-B")
    assert [m["msg"]["market_ticker"] for m in client.take()] == ["KXGAME-26FEB01-B"]


def test_error_25_ends_kalshis_subscriptions_and_is_no_fault_of_polymarket(sandbox, kal, change):
    sandbox.kalshi.faults.begin(Fault("error-25"), START)
    change()
    assert [(m["type"], m["msg"]["code"]) for m in kal.take()] == [("error", 25)]
    with pytest.raises(ValueError, match="this venue has no error-25"):
        sandbox.polymarket.faults.begin(Fault("error-25"), START)


# -- answers --


def test_too_many_requests_is_worded_by_each_venue(sandbox, http, begin):
    begin("answer-429", retry_after_s=7)
    poly, kal = http(sandbox.polymarket), http(sandbox.kalshi)
    refused = poly.request("/time")
    assert (refused.status, refused.headers["retry-after"], refused.headers["poly-ratelimit-remaining"]) == (429, "7", "0")
    assert (refused.headers["poly-ratelimit-reset"], refused.headers["poly-ratelimit-tier"]) == ("7", "standard")
    refused = kal.request(f"{BASE}/exchange/status")
    assert (refused.status, refused.json, "retry-after" in refused.headers) == (429, {"error": "too many requests"}, False)
    assert poly.request("/time").status == kal.request(f"{BASE}/exchange/status").status == 200


def test_unavailable_lasts_for_its_time_and_meets_upgrades_too(sandbox, http, websocket, signed):
    sandbox.polymarket.faults.begin(Fault("answer-503", for_ms=1_000, retry_after_s=3), START)
    sandbox.kalshi.faults.begin(Fault("answer-503", for_ms=1_000), START)
    refused = http(sandbox.polymarket, START + 999).request("/time")
    assert (refused.status, refused.headers["retry-after"]) == (503, "3")
    assert http(sandbox.kalshi, START).request(f"{BASE}/markets").json["error"]["code"] == "service_unavailable"
    assert websocket(sandbox.polymarket, "/ws/market").response.status_code == 503
    assert websocket(sandbox.kalshi, "/trade-api/ws/v2", signed()).response.status_code == 503
    assert http(sandbox.polymarket, START + 1_000).request("/time").status == 200


def test_a_fault_on_one_path_leaves_the_others(sandbox, http):
    sandbox.polymarket.faults.begin(Fault("answer-html", path="/book", count=2), START)
    client = http(sandbox.polymarket)
    assert client.request("/time").status == 200
    reply = client.request(f"/book?token_id={YES}")
    assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert b"<html>" in reply.body
    sandbox.polymarket.faults.begin(Fault("answer-html", status=502), START)
    assert [client.request(f"/book?token_id={YES}").status for _ in range(3)] == [200, 502, 200]


def test_an_answer_may_be_garbage_or_huge(sandbox, http):
    for what in ("answer-garbage", "answer-huge"):
        sandbox.kalshi.faults.begin(Fault(what), START)
    client = http(sandbox.kalshi)
    garbage = client.request(f"{BASE}/markets")
    with pytest.raises(ValueError, match=r"."):
        json.loads(garbage.body)
    assert len(client.request(f"{BASE}/markets").body) > 5 * 1024 * 1024


def test_half_an_answer_comes_and_then_the_end(sandbox, read_replies):
    sandbox.kalshi.faults.begin(Fault("answer-half"), START)
    connection = Connection(sandbox.kalshi)
    connection.receive(f"GET {BASE}/markets HTTP/1.1\r\nhost: v\r\n\r\n".encode(), START)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "v")]))
    client.send(h11.EndOfMessage())
    client.receive_data(connection.data_to_send())
    assert connection.closed
    assert isinstance(client.next_event(), h11.Response)
    assert isinstance(client.next_event(), h11.Data)
    client.receive_data(b"")
    with pytest.raises(h11.RemoteProtocolError, match="without sending complete"):
        client.next_event()


def test_a_slow_answer_comes_when_it_is_due_and_says_what_was_true_before(sandbox, change, read_replies):
    sandbox.polymarket.faults.begin(Fault("answer-slow", delay_ms=3_000), START)
    connection = Connection(sandbox.polymarket)
    connection.receive(f"GET /book?token_id={YES} HTTP/1.1\r\nhost: v\r\n\r\n".encode(), START)
    change(START + 2_999)
    connection.resume(START + 2_999)
    assert connection.data_to_send() == b""
    sandbox.tick(START + 3_000)
    connection.resume(START + 3_000)
    (reply,) = read_replies(connection.data_to_send())
    assert reply.json["timestamp"] == str(START)


def test_answers_may_have_unknown_values_null_arrays_and_swapped_numbers(sandbox, http):
    client = http(sandbox.kalshi)
    for what in ("answer-unknown-enum", "answer-null-arrays", "answer-swapped-numbers"):
        sandbox.kalshi.faults.begin(Fault(what), START)
    assert client.request(f"{BASE}/markets/{A}").json["market"]["status"] == "sideways"
    assert client.request(f"{BASE}/markets").json["markets"] is None
    swapped = client.request(f"{BASE}/markets/{A}")
    assert b'"yes_bid_dollars":0.4200' in swapped.body
    assert b'"exchange_index":"0"' in swapped.body


# -- what a fault is told --


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        ("stal", {}, "nearest is 'stall'"),
        ("drop-frames", {}, "nearest is 'drop-frame'"),
        ("stall", {"count": 2}, "stall does not take count; it takes for_ms"),
        ("garbage", {"path": "/x"}, "it takes nothing more"),
        ("drop-frame", {"count": 1, "for_ms": 1}, "not both"),
        ("answer-slow", {}, "needs delay_ms"),
    ],
)
def test_a_fault_that_is_none_is_refused_with_what_would_be_one(what, options, said):
    with pytest.raises(ValueError, match=said):
        Fault(what, **options)


def test_every_fault_can_befall_both_venues(make_sandbox):
    for what in sorted(NOW | FRAMES | ANSWERS):
        sandbox = make_sandbox()
        fault = Fault(what, delay_ms=1) if what == "answer-slow" else Fault(what)
        sandbox.kalshi.faults.begin(fault, START)
        if what != "error-25":
            sandbox.polymarket.faults.begin(fault, START)


def test_a_socket_that_ended_is_forgotten(sandbox, polymarket, begin):
    for _ in range(5):
        client = polymarket()
        client.connection.drop()
        client.connection.end()
    begin("garbage")
    assert sandbox.polymarket.faults.open_sockets == 0


# -- the shells --


async def test_a_half_answer_and_half_a_frame_end_the_connection_in_memory_and_on_sockets(make_sandbox, nursery):
    for kind in ("memory", "socket"):
        sandbox = make_sandbox()
        shell = Shell(sandbox, lambda: START, Wake())
        if kind == "memory":
            stream = await MemoryNetwork(shell, {"venue": sandbox.polymarket}, nursery).connect("venue", 443, tls=True)
        else:
            port = await nursery.start(serve_sockets, shell, sandbox.polymarket, 0)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        sandbox.polymarket.faults.begin(Fault("answer-half"), START)
        with trio.fail_after(5):
            async with stream:
                await stream.send_all(b"GET /version HTTP/1.1\r\nhost: v\r\n\r\n")
                received = b""
                while chunk := await stream.receive_some():
                    received += bytes(chunk)
        assert received.endswith(b'\r\n\r\n{"vers')
    nursery.cancel_scope.cancel()


async def test_a_slow_answer_comes_through_a_shell_that_ticks(make_sandbox, nursery, autojump_clock):
    sandbox = make_sandbox()
    shell = Shell(sandbox, lambda: START + int(trio.current_time() * 1000), Wake())
    nursery.start_soon(shell.tick_for_ever)
    sandbox.polymarket.faults.begin(Fault("answer-slow", delay_ms=2_000), shell.unix_ms())
    stream = await MemoryNetwork(shell, {"venue": sandbox.polymarket}, nursery).connect("venue", 443, tls=True)
    with trio.fail_after(5):
        begun = trio.current_time()
        await stream.send_all(b"GET /version HTTP/1.1\r\nhost: v\r\n\r\n")
        assert b'{"version":2}' in bytes(await stream.receive_some())
    assert 1.9 <= trio.current_time() - begun <= 2.2
    nursery.cancel_scope.cancel()


def test_trades_are_events_too(poly, world, sandbox, begin):
    begin("drop-frame")
    world.write(PublicTrade(world.markets[0].yes_key, parse_micros("0.44"), parse_micros("1"), Side.BUY))
    sandbox.tick(LATER)
    assert [event["event_type"] for event in poly.take()] == ["book"]
