"""The server connection, byte by byte: what it answers, what it refuses, and that nothing a peer sends breaks it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.http import (
    LARGEST_BACKLOG,
    LARGEST_BODY,
    LARGEST_HEAD,
    LARGEST_MESSAGE,
    Connection,
    Request,
    Response,
    Socket,
    json_response,
    whole_number,
)

NOW = 1_767_225_600_123
GET = b"GET /thing?x=1&x=2 HTTP/1.1\r\nhost: venue\r\n\r\n"
UPGRADE = (
    b"GET /open HTTP/1.1\r\nhost: venue\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)


class Echo:
    """Answers what it was asked; a socket hears its own words."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.heard: list[str] = []
        self.ended = 0

    def handle(self, request: Request, now_ms: int) -> Response:
        told = {"method": request.method, "path": request.path, "query": request.query, "body": request.body.decode()}
        return json_response(told, headers=(("x-now", str(now_ms)),))

    def open_socket(self, request: Request, socket: Socket, now_ms: int) -> "Echo | Response":
        if request.path != "/open":
            return json_response({"error": "closed"}, 401)
        self.sockets.append(socket)
        return self

    def receive(self, text: str, now_ms: int) -> None:
        self.heard.append(text)
        self.sockets[-1].send(text.encode())

    def closed(self) -> None:
        self.ended += 1


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.fixture
def echo() -> Echo:
    return Echo()


# -- HTTP --


def test_a_request_is_the_same_in_whatever_pieces_it_comes(echo, read_replies):
    whole, pieces = Connection(echo), Connection(echo)
    post = b"POST /p HTTP/1.1\r\nhost: venue\r\ncontent-length: 5\r\n\r\nhello"
    whole.receive(post, NOW)
    for byte in post:
        pieces.receive(bytes([byte]), NOW)
    told = whole.data_to_send()
    assert told == pieces.data_to_send()
    (reply,) = read_replies(told)
    assert reply.status == 200
    assert reply.headers["x-now"] == str(NOW)
    assert reply.json == {"method": "POST", "path": "/p", "query": {}, "body": "hello"}


def test_requests_sent_in_one_go_are_answered_in_order_on_a_connection_that_stays(echo, read_replies):
    connection = Connection(echo)
    connection.receive(GET + GET.replace(b"thing", b"other"), NOW)
    first, second = read_replies(connection.data_to_send())
    assert (first.json["path"], second.json["path"]) == ("/thing", "/other")
    assert first.json["query"] == {"x": ["1", "2"]}
    assert not connection.closed


def test_a_chunked_body_is_put_together(echo, read_replies):
    connection = Connection(echo)
    connection.receive(b"POST /p HTTP/1.1\r\nhost: v\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", NOW)
    assert read_replies(connection.data_to_send())[0].json["body"] == "abcde"


def test_a_head_request_gets_no_body(echo, read_replies):
    connection = Connection(echo)
    connection.receive(GET.replace(b"GET", b"HEAD"), NOW)
    told = connection.data_to_send()
    assert told.endswith(b"\r\n\r\n")
    assert not connection.closed
    connection.receive(GET, NOW)
    assert read_replies(connection.data_to_send())[0].json["method"] == "GET"


@pytest.mark.parametrize("request_", [GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), GET.replace(b"1.1", b"1.0")])
def test_a_client_that_wants_one_answer_gets_one(echo, read_replies, request_):
    connection = Connection(echo)
    connection.receive(request_ + GET, NOW)
    assert len(read_replies(connection.data_to_send())) == 1
    assert connection.closed


def test_a_client_that_waits_for_100_is_told_to_go_on(echo):
    connection = Connection(echo)
    connection.receive(b"POST /p HTTP/1.1\r\nhost: v\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n", NOW)
    assert connection.data_to_send().startswith(b"HTTP/1.1 100 ")
    connection.receive(b"hi", NOW)
    assert connection.data_to_send().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: v\r\nx: " + b"a" * (LARGEST_HEAD + 10), 431),
        (b"POST / HTTP/1.1\r\nhost: v\r\ncontent-length: 9999999\r\n\r\n" + b"a" * (LARGEST_BODY + 1), 413),
        (
            b"POST / HTTP/1.1\r\nhost: v\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"80000\r\n"
            + b"a" * 0x80000
            + b"\r\n"
            + b"90000\r\n"
            + b"a" * 0x90000,
            413,
        ),
        (b"\x16\x03\x01\x02\x00 this is TLS\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno host\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\nhost: v\r\n\r\n", 400),
        (b"GET /?" + b"a&" * 3000 + b" HTTP/1.1\r\nhost: v\r\n\r\n", 400),
    ],
    ids=["head", "body", "chunks", "tls", "header", "target", "fields"],
)
def test_what_is_too_large_or_no_http_is_refused_and_cut_off(echo, read_replies, sent, status):
    connection = Connection(echo)
    connection.receive(sent, NOW)
    assert [reply.status for reply in read_replies(connection.data_to_send())] == [status]
    assert connection.closed
    connection.receive(GET, NOW)
    assert connection.data_to_send() == b""


def test_the_end_of_input_closes_the_connection(echo):
    connection = Connection(echo)
    connection.receive(b"", NOW)
    assert connection.closed
    assert connection.data_to_send() == b""


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("1767225600123", NOW), ("", None), ("-1", None), ("²", None), ("1_0", None), ("9" * 17, None)]
)
def test_a_number_is_plain_ascii_digits(text, number):
    assert whole_number(text) == number


# -- upgrades --


def test_an_upgrade_opens_a_session_dated_by_the_time_told(echo, websocket):
    client = websocket(echo, "/open")
    assert client.protocol.state is State.OPEN
    assert client.response.headers["Date"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    client.send("hello")
    assert client.texts == ["hello"]


def test_a_refused_upgrade_is_answered_as_the_app_says_and_the_connection_goes_on(echo, read_replies):
    connection = Connection(echo)
    connection.receive(UPGRADE.replace(b"/open", b"/private"), NOW)
    connection.receive(GET, NOW)
    refusal, reply = read_replies(connection.data_to_send())
    assert (refusal.status, refusal.json) == (401, {"error": "closed"})
    assert reply.status == 200
    assert echo.sockets == []


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"AAAA==", b"AA", 400),
        (b"version: 13", b"version: 8", 400),
        (b"connection: Upgrade", b"connection: close", 426),
        (b"GET", b"POST", 405),
    ],
)
def test_a_bad_handshake_opens_nothing(echo, read_replies, old, new, status):
    connection = Connection(echo)
    connection.receive(UPGRADE.replace(old, new), NOW)
    assert [reply.status for reply in read_replies(connection.data_to_send())] == [status]
    assert echo.sockets == []


def test_a_kept_connection_can_still_be_upgraded(echo, read_replies):
    connection = Connection(echo)
    connection.receive(GET, NOW)
    assert read_replies(connection.data_to_send())[0].status == 200
    connection.receive(UPGRADE, NOW)
    assert connection.data_to_send().startswith(b"HTTP/1.1 101 ")


def test_frames_that_follow_the_upgrade_in_one_packet_are_heard_after_it(echo):
    connection = Connection(echo)
    connection.receive(UPGRADE + masked(Opcode.PING, b"now") + masked(Opcode.TEXT, b"early"), NOW)
    told = connection.data_to_send()
    assert told.startswith(b"HTTP/1.1 101 ")
    assert told.partition(b"\r\n\r\n")[2] == b"\x8a\x03now\x81\x05early"


def test_garbage_after_a_refused_upgrade_is_refused_too(echo, read_replies):
    connection = Connection(echo)
    connection.receive(UPGRADE.replace(b"/open", b"/private") + b"\xff\xff\xff\xff\r\n\r\n", NOW)
    assert [reply.status for reply in read_replies(connection.data_to_send())] == [401, 400]


def test_messages_are_compressed_for_who_can_and_only_for_them(echo, websocket):
    able, unable = websocket(echo, "/open", deflate=True), websocket(echo, "/open")
    assert "permessage-deflate" in able.response.headers["Sec-WebSocket-Extensions"]
    assert "Sec-WebSocket-Extensions" not in unable.response.headers
    text = "the same again " * 200
    for socket in echo.sockets:
        socket.send(text.encode())
    able.pump(), unable.pump()
    assert able.texts == unable.texts == [text]
    assert len(able.received) < len(unable.received) // 4


# -- WebSocket --


def test_fragments_make_one_message_and_binary_ones_are_passed_over(echo):
    connection = Connection(echo)
    connection.receive(UPGRADE, NOW)
    connection.receive(masked(Opcode.BINARY, b"no", fin=False) + masked(Opcode.CONT, b"ise"), NOW)
    connection.receive(masked(Opcode.TEXT, b"one ", fin=False) + masked(Opcode.PING, b"") + masked(Opcode.CONT, b"message"), NOW)
    assert echo.heard == ["one message"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (masked(Opcode.TEXT, b"\xff\xfe"), CloseCode.INVALID_DATA),
        (masked(Opcode.TEXT, b"a" * (LARGEST_MESSAGE + 1)), CloseCode.MESSAGE_TOO_BIG),
        (masked(Opcode.TEXT, b"a" * LARGEST_MESSAGE, fin=False) + masked(Opcode.CONT, b"a"), CloseCode.MESSAGE_TOO_BIG),
        (Frame(Opcode.TEXT, b"unmasked").serialize(mask=False), CloseCode.PROTOCOL_ERROR),
    ],
    ids=["utf8", "message", "fragments", "mask"],
)
def test_a_message_that_must_not_be_ends_the_connection_with_its_code(echo, frames, code):
    connection = Connection(echo)
    connection.receive(UPGRADE, NOW)
    connection.data_to_send()
    connection.receive(frames, NOW)
    told = connection.data_to_send()
    assert told[0] == 0x80 | Opcode.CLOSE
    assert int.from_bytes(told[2:4]) == code
    assert connection.closed
    assert echo.heard == []


def test_a_small_frame_that_inflates_to_a_huge_message_is_refused(echo, websocket):
    client = websocket(echo, "/open", deflate=True)
    client.protocol.send_text(b"a" * (8 * LARGEST_MESSAGE))
    client.pump()
    assert client.connection.closed
    assert echo.heard == []


def test_a_close_is_answered_and_the_session_learns_its_end_once(echo, websocket):
    client = websocket(echo, "/open")
    client.protocol.send_close(1000)
    client.pump()
    assert client.connection.closed
    assert client.protocol.close_rcvd.code == 1000
    client.connection.end(), client.connection.end()
    assert echo.ended == 1


def test_a_close_by_the_engine_waits_for_the_peers_half(echo):
    connection = Connection(echo)
    connection.receive(UPGRADE, NOW)
    echo.sockets[0].close(1001)
    echo.sockets[0].send(b"too late")
    assert connection.data_to_send().endswith(b"\x88\x02\x03\xe9")
    assert connection.closing
    assert not connection.closed
    connection.receive(masked(Opcode.CLOSE, b"\x03\xe9"), NOW)
    assert connection.closed
    assert not connection.closing


def test_a_dropped_connection_forgets_what_was_unsent(echo):
    connection = Connection(echo)
    connection.receive(UPGRADE, NOW)
    echo.sockets[0].drop()
    echo.sockets[0].send(b"unheard"), echo.sockets[0].ping(b""), echo.sockets[0].close()
    assert connection.cut
    assert connection.closed
    assert connection.data_to_send() == b""


def test_a_reader_too_slow_for_the_bound_is_dropped(echo):
    connection = Connection(echo)
    connection.receive(UPGRADE, NOW)
    megabyte = b"a" * 1024 * 1024
    for _ in range(LARGEST_BACKLOG // len(megabyte) - 1):
        echo.sockets[0].send(megabyte)
    assert not connection.closed
    echo.sockets[0].send(megabyte), echo.sockets[0].send(megabyte)
    assert connection.cut
    assert connection.data_to_send() == b""


def test_many_small_requests_for_large_answers_are_bounded_too(sandbox):
    connection = Connection(sandbox.polymarket)
    sent = b"GET /markets/keyset HTTP/1.1\r\nhost: v\r\n\r\n" * 1000
    for _ in range(40):
        connection.receive(sent, NOW)
    assert connection.cut


# -- anything at all --

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.sampled_from(
    [b"GET", b"POST", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\r\n\r\n", b"host: v", b"upgrade: websocket", b"content-length: 3", b":"]
)


@FUZZ
@given(chunks=st.lists(st.binary(max_size=60) | st.lists(words, max_size=12).map(b"".join), max_size=8))
def test_no_bytes_raise_out_of_a_fresh_connection(chunks):
    connection = Connection(Echo())
    for chunk in chunks:
        connection.receive(chunk, NOW)
        connection.data_to_send()


def _frame(first: int, data: bytes) -> bytes:
    """Any first byte: final or not, reserved bits, unknown opcodes. The mask is zero."""
    return bytes([first, 0x80 | len(data)]) + bytes(4) + data


frames = st.builds(
    _frame, st.sampled_from([0x81, 0x01, 0x80, 0x00, 0x82, 0x88, 0x89, 0x8A, 0xC1]) | st.integers(0, 255), st.binary(max_size=20)
)


@FUZZ
@given(chunks=st.lists(frames | st.binary(max_size=60), max_size=8))
def test_no_bytes_raise_out_of_an_open_websocket(chunks):
    connection = Connection(Echo())
    connection.receive(UPGRADE, NOW)
    for chunk in chunks:
        connection.receive(chunk, NOW)
        connection.data_to_send()
    connection.receive(b"", NOW)
    assert connection.closed


KALSHI = "/trade-api/v2"
PATHS = [
    *(
        "/markets",
        "/markets/keyset",
        "/markets/500000",
        "/markets/0x1",
        "/markets/slug/pair",
        "/events",
        "/events/keyset",
        "/events/100000",
    ),
    *("/book", "/books", "/price", "/midpoint", "/spread", "/tick-size", "/neg-risk", "/fee-rate", "/time", "/ok", "/clob-markets/0x1"),
    *(KALSHI + path for path in ("/exchange/status", "/series", "/series/KXGAME", "/events", "/events/KXGAME-26FEB01", "/markets")),
    *(KALSHI + "/markets" + path for path in ("/trades", "/orderbooks", "/KXGAME-26FEB01-A", "/KXGAME-26FEB01-A/orderbook")),
    *("/", "//", KALSHI, KALSHI + "/"),
]
NAMES = [
    *("token_id", "side", "limit", "after_cursor", "offset", "cursor", "status", "closed", "active", "order", "ascending"),
    *("end_date_min", "volume_num_min", "id", "slug", "depth", "tickers", "min_ts", "max_close_ts", "mve_filter"),
]
values = st.sampled_from(
    ["1001", "BUY", "true", "0", "1", "100", "open", "volumeNum", "²", "-1", "YWZ0ZXI6MQ==", "2026-01-01", "999999999999"]
) | st.text(max_size=8)


@FUZZ
@given(
    path=st.sampled_from(PATHS),
    query=st.dictionaries(st.sampled_from(NAMES), values, max_size=3),
    method=st.sampled_from(["GET", "POST", "HEAD", "DELETE", "CONNECT"]),
    body=st.sampled_from([b"", b"[]", b'[{"token_id":"1001"}]', b"[" * 5000, b"{", b"null", b"\xff"]),
)
def test_every_request_gets_an_answer_below_500_from_both_engines(sandbox: Sandbox, path, query, method, body):
    for engine in (sandbox.polymarket, sandbox.kalshi):
        request = Request(method, path, {name: [value] for name, value in query.items()}, {"kalshi-access-timestamp": "²"}, body)
        response = engine.handle(request, NOW)
        assert 200 <= response.status < 500
        json.loads(response.body)


FIELDS = [
    *("id", "cmd", "params", "channels", "market_tickers", "market_ticker", "sid", "sids", "action", "use_yes_price"),
    *("type", "operation", "assets_ids", "custom_feature_enabled"),
]
commands = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.sampled_from(["1001", "KXGAME-26FEB01-A", "orderbook_delta", "ticker", "market", "subscribe"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@FUZZ
@given(texts=st.lists(commands.map(json.dumps) | st.text(max_size=30) | st.just("[" * 100_000) | st.just('{"x":' * 100_000), max_size=4))
def test_no_text_raises_out_of_a_session(sandbox: Sandbox, polymarket, kalshi, texts):
    for client in (polymarket(), kalshi()):
        for text in texts:
            client.send(text)
        assert client.protocol.state is State.OPEN
        client.connection.end()
