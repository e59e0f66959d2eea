"""One connection's bytes become lines: whatever way they were cut, packed or chunked, and without a secret."""

import gzip
import json

import pytest
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from arbiter.frames import dissect
from arbiter.frames.dissect import At, Dissector
from arbiter.frames.lines import Closed, Exchange, Gap, Line, Opened, Received, Sent
from arbiter.frames.redacted import redacted, redacted_target

GET = b"GET /markets?limit=2 HTTP/1.1\r\nhost: venue\r\nauthorization: Bearer hush\r\ncontent-length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: hush\r\nretry-after: 3\r\ncontent-length: 7\r\n\r\n"


def at(ns: int) -> At:
    return At(ns, 1_000 + ns)


@pytest.fixture
def connection() -> Dissector:
    return Dissector(4, "kalshi", "venue")


def test_a_request_and_its_answer_are_one_line_with_the_time_it_took(connection):
    assert connection.sent(GET, at(5)) == []
    assert connection.received(OK, at(7)) == []
    (line,) = connection.received(b'{"a":1}', at(9))
    assert line == Exchange(
        *(9, 1_009, "kalshi", "venue", "GET", "/markets?limit=2", 200, 4),
        answer='{"a":1}',
        headers={"content-type": "application/json", "retry-after": "3"},
    )


def test_a_connection_that_is_kept_alive_gives_a_line_for_each_request(connection):
    lines: list[Line] = []
    for number in range(3):
        lines += connection.sent(GET, at(number))
        lines += connection.sent(b"", at(number))
        lines += connection.received(OK + b'{"a":%d}' % number, at(number))
    assert [line.answer for line in lines] == ['{"a":0}', '{"a":1}', '{"a":2}']


def test_bytes_that_come_one_at_a_time_give_the_same_line():
    whole, cut = Dissector(1, "v", "h"), Dissector(1, "v", "h")
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n[1,2\r\n1\r\n]\r\n0\r\n\r\n"
    whole.sent(GET, at(1))
    for byte in GET:
        cut.sent(bytes([byte]), at(1))
    found = [line for byte in answer for line in cut.received(bytes([byte]), at(2))]
    assert found == whole.received(answer, at(2))
    assert found[0].answer == "[1,2]"


def test_a_packed_answer_is_told_unpacked(connection):
    body = gzip.compress(b'{"books":[]}')
    connection.sent(GET, at(1))
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    (line,) = connection.received(head + body, at(2))
    assert (line.answer, line.headers) == ('{"books":[]}', {})


def test_a_packed_answer_that_would_fill_the_memory_is_a_gap(connection, monkeypatch):
    monkeypatch.setattr(dissect, "LARGEST", 10_000)
    body = gzip.compress(b"0" * 1_000_000)
    connection.sent(GET, at(1))
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    lines = connection.received(head + body, at(2))
    assert isinstance(lines[0], Gap)
    assert all(len(str(line)) < 1_000 for line in lines)


def test_a_request_without_an_answer_is_told_with_status_0(connection):
    connection.sent(GET, at(1))
    (line,) = connection.received(b"", at(3))
    assert (line.status, line.target) == (0, "/markets?limit=2")


def test_garbage_is_a_gap_and_ends_the_reading_of_that_connection(connection):
    connection.sent(GET, at(1))
    lines = connection.received(b"\x00\x01 no HTTP\r\n\r\n", at(2))
    assert isinstance(lines[0], Gap)
    assert connection.received(OK, at(3)) == connection.sent(GET, at(3)) == []


# -- WebSocket --


class Pair:
    """A client and a server of the websockets library, and what a dissector sees between them."""

    def __init__(self, *, packed: bool) -> None:
        self.seen: list[Line] = []
        self.dissector = Dissector(7, "polymarket", "venue")
        self.client = ClientProtocol(
            parse_uri("ws://venue/ws/market?x=1"), extensions=[ClientPerMessageDeflateFactory()] if packed else None
        )
        self.server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()] if packed else None)
        request = self.client.connect()
        request.headers["KALSHI-ACCESS-SIGNATURE"] = "hush"
        self.client.send_request(request)
        self.move(1)
        (event,) = self.server.events_received()
        assert isinstance(event, Request)
        self.server.send_response(self.server.accept(event))
        self.move(2)

    def move(self, ns: int) -> None:
        """Everything that either has to say, at that time; the client's first."""
        for data in filter(None, self.client.data_to_send()):
            self.seen += self.dissector.sent(data, at(ns))
            self.server.receive_data(data)
        for data in filter(None, self.server.data_to_send()):
            self.seen += self.dissector.received(data, at(ns))
            self.client.receive_data(data)


@pytest.mark.parametrize("packed", [False, True])
def test_messages_of_both_sides_are_told_whole_and_unpacked(packed):
    pair = Pair(packed=packed)
    pair.client.send_text(b'{"assets_ids":["71"]}')
    pair.move(3)
    for number in range(3):  # a packed one refers to those before
        pair.server.send_text(b'{"event_type":"book","number":%d}' % number)
    pair.server.send_text(b"half ", fin=False)
    pair.server.send_continuation(b"and half", fin=True)
    pair.server.send_ping(b"hey")
    pair.move(4)
    pair.move(5)  # the pong
    pair.server.send_close(1001, "away")
    pair.move(6)
    assert pair.seen == [
        Opened(2, 1_002, 7, "polymarket", "venue", "/ws/market?x=1"),
        Sent(3, 1_003, 7, '{"assets_ids":["71"]}'),
        *(Received(4, 1_004, 7, f'{{"event_type":"book","number":{number}}}') for number in range(3)),
        Received(4, 1_004, 7, "half and half"),
        Received(4, 1_004, 7, "hey", op="ping"),
        Sent(5, 1_005, 7, "hey", op="pong"),
        Closed(6, 1_006, 7, "venue", 1001, "away"),
    ]


def test_messages_that_came_in_one_piece_with_the_upgrade_are_told_too():
    pair = Pair(packed=False)
    first, head = Dissector(1, "v", "h"), b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    request = b"GET /ws HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    first.sent(request, at(1))
    opened, message = first.received(head + Frame(Opcode.TEXT, b"early").serialize(mask=False), at(2))
    assert isinstance(opened, Opened)
    assert message == Received(2, 1_002, 1, "early")
    assert isinstance(pair.seen[0], Opened)


def test_bytes_that_are_no_text_are_kept_as_they_are():
    pair = Pair(packed=False)
    pair.server.send_binary(b"\xff\x00")
    pair.move(3)
    assert pair.seen[-1] == Received(3, 1_003, 7, data=b"\xff\x00", op="binary")
    assert pair.seen[-1].payload == b"\xff\x00"


def test_our_end_is_told_once():
    pair = Pair(packed=False)
    assert pair.dissector.closed(at(8)) == [Closed(8, 1_008, 7, "client")]
    assert pair.dissector.closed(at(9)) == []


def test_a_refused_upgrade_is_an_exchange(connection):
    connection.sent(b"GET /ws HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", at(1))
    (line,) = connection.received(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", at(2))
    assert (line.status, line.target) == (401, "/ws")


# -- secrets --


def test_no_secret_of_a_header_body_message_or_query_is_in_any_line():
    pair = Pair(packed=True)
    for message in (
        {"type": "user", "auth": {"apiKey": "hush", "secret": "hush", "passphrase": "hush"}, "markets": ["0x1"]},
        {"id": 1, "params": [{"deep": {"Private-Key": "hush", "access_token": "hush"}}]},
    ):
        pair.client.send_text(json.dumps(message).encode())
    pair.client.send_text(b"auth hush")
    pair.server.send_text(b'{"type":"created","api_key":"hush"}')
    pair.move(3)
    lines = [*pair.seen]
    rest = Dissector(2, "kalshi", "h")
    body = b'{"user":"me","password":"hush"}'
    head = f"POST /login?signature=hush&limit=3 HTTP/1.1\r\nhost: h\r\nPOLY_SIGNATURE: hush\r\ncontent-length: {len(body)}\r\n\r\n"
    lines += rest.sent(head.encode() + body, at(4))
    lines += rest.received(OK.replace(b"7", b"16") + b'{"jwt" : "hush"}', at(5))
    assert "hush" not in repr(lines)
    assert "0x1" in repr(lines)
    assert lines[-1].target == "/login?signature=%2A%2A%2A&limit=3"


HARMLESS = [b'{"token_id": "71",  "author":"a"}', b"PING", b"[1, 2", b'{"token":"71"}', b"<html>Authorization required"]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_names_no_secret_stays_as_it_is_byte_for_byte(text):
    assert redacted(text, ours=False) == text


def test_a_query_that_names_no_secret_stays_as_it_is():
    assert redacted_target("/a?b=%20c+d&token_id=7") == "/a?b=%20c+d&token_id=7"
