"""The wire against every rule of RFC 9113 that it decides: each wrong frame with its code, and whom that ends."""

import pytest

from arbiter.rpc import frames
from arbiter.rpc.frames import Code, frame
from arbiter.rpc.header_blocks import LONGEST_BLOCK
from arbiter.rpc.sending import CONNECTION_WINDOW, STREAM_WINDOW
from arbiter.rpc.wire import MOST_CONTINUATIONS, Broken
from tests.rpc.wires import ANSWER, LITERAL, REQUEST, TRAILERS, Heard, client, data, frames_of, headers, server

FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a"), (b":authority", b"t")]
PADDED, END_HEADERS, END_STREAM, WITH_PRIORITY = frames.PADDED, frames.END_HEADERS, frames.END_STREAM, frames.WITH_PRIORITY


def two_calls():
    """1 is open, 3 is half closed (its request has ended), 5 was reset; 7 would be next."""
    heard = server()
    heard.receive(headers(1), headers(3, end=True), headers(5), frames.reset(5, Code.CANCEL))
    heard.told()
    heard.sent()
    return heard


def broken(heard, *parts):
    """The code that this ends the connection with, as raised and as told to the peer."""
    with pytest.raises(Broken) as caught:
        heard.receive(*parts)
    kind, _, stream, payload = heard.sent()[-1]
    assert (kind, stream) == (frames.GOAWAY, 0)
    last = 0 if heard.wire._client else heard.wire.last
    assert frames.read_number(payload) == last
    assert int.from_bytes(payload[4:8], "big") == caught.value.code
    heard.receive(headers(101))  # nothing is read any more
    assert heard.sent() == []
    return caught.value.code


ENDS_THE_CONNECTION = {
    # 6.1 DATA
    "data of the connection": (data(0, b"x"), Code.PROTOCOL_ERROR),
    "data of a stream that was never opened": (data(7, b"x"), Code.PROTOCOL_ERROR),
    "data of a stream that only we could open": (data(2, b"x"), Code.PROTOCOL_ERROR),
    "data with more padding than frame": (frame(frames.DATA, PADDED, 1, b"\x05abcd"), Code.PROTOCOL_ERROR),
    "data with as much padding as frame": (frame(frames.DATA, PADDED, 1, b"\x01"), Code.PROTOCOL_ERROR),
    "data without the length of its padding": (frame(frames.DATA, PADDED, 1), Code.FRAME_SIZE_ERROR),
    "data with too much padding for a call that is over": (frame(frames.DATA, PADDED, 5, b"\x05ab"), Code.PROTOCOL_ERROR),
    # 6.2 HEADERS
    "headers of the connection": (headers(0), Code.PROTOCOL_ERROR),
    "headers with an even number": (headers(8), Code.PROTOCOL_ERROR),
    "headers with more padding than frame": (frame(frames.HEADERS, PADDED | END_HEADERS, 7, b"\x09" + LITERAL[:8]), Code.PROTOCOL_ERROR),
    "headers with padding that reaches into the priority": (
        frame(frames.HEADERS, PADDED | WITH_PRIORITY | END_HEADERS, 7, b"\x02abcdef"),
        Code.FRAME_SIZE_ERROR,
    ),
    "headers with a priority cut short": (frame(frames.HEADERS, WITH_PRIORITY | END_HEADERS, 7, b"abcd"), Code.FRAME_SIZE_ERROR),
    "headers that depend on themselves": (
        frame(frames.HEADERS, WITH_PRIORITY | END_HEADERS, 7, b"\0\0\0\x07\x10" + LITERAL),
        Code.PROTOCOL_ERROR,
    ),
    "headers that cannot be unpacked": (headers(7, b"\xff\xff\xff\xff\xff\xff\xff"), Code.COMPRESSION_ERROR),
    "headers of a call that is over that cannot be unpacked": (headers(5, b"\x80"), Code.COMPRESSION_ERROR),
    # 6.3 PRIORITY (a connection error where a stream error is enough: nobody honest sends these)
    "a priority of the connection": (frame(frames.PRIORITY, 0, 0, b"\0\0\0\x01\x10"), Code.PROTOCOL_ERROR),
    "a priority of another size": (frame(frames.PRIORITY, 0, 1, b"\0\0\0\x01"), Code.FRAME_SIZE_ERROR),
    "a stream that depends on itself": (frame(frames.PRIORITY, 0, 1, b"\0\0\0\x01\x10"), Code.PROTOCOL_ERROR),
    # 6.4 RST_STREAM
    "a reset of the connection": (frames.reset(0, 8), Code.PROTOCOL_ERROR),
    "a reset of a stream that was never opened": (frames.reset(7, 8), Code.PROTOCOL_ERROR),
    "a reset of another size": (frame(frames.RST_STREAM, 0, 1, b"abc"), Code.FRAME_SIZE_ERROR),
    # 6.5 SETTINGS
    "settings of a stream": (frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "settings in an acknowledgement": (frame(frames.SETTINGS, frames.ACK, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    "settings cut short": (frame(frames.SETTINGS, 0, 0, bytes(5)), Code.FRAME_SIZE_ERROR),
    "settings with a window too large": (frames.settings([(frames.INITIAL_WINDOW_SIZE, 2**31)]), Code.FLOW_CONTROL_ERROR),
    "settings with a frame size too small": (frames.settings([(frames.MAX_FRAME_SIZE, 2**14 - 1)]), Code.PROTOCOL_ERROR),
    "settings with a frame size too large": (frames.settings([(frames.MAX_FRAME_SIZE, 2**24)]), Code.PROTOCOL_ERROR),
    "settings with a push that is neither on nor off": (frames.settings([(frames.ENABLE_PUSH, 2)]), Code.PROTOCOL_ERROR),
    "settings without end": (frames.settings([(0x99, 1)] * 65), Code.ENHANCE_YOUR_CALM),
    # 6.6 PUSH_PROMISE
    "a push by a client": (frame(frames.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + LITERAL), Code.PROTOCOL_ERROR),
    # 6.7 PING
    "a ping of a stream": (frame(frames.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "a ping of another size": (frame(frames.PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    # 6.8 GOAWAY
    "a goaway of a stream": (frame(frames.GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "a goaway cut short": (frame(frames.GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    # 6.9 WINDOW_UPDATE
    "a window update of another size": (frame(frames.WINDOW_UPDATE, 0, 1, bytes(3)), Code.FRAME_SIZE_ERROR),
    "a window of the connection that grows by nothing": (frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    "a window of the connection too large": (frames.window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "a window update of a stream that was never opened": (frames.window_update(7, 1), Code.PROTOCOL_ERROR),
    # 6.10 CONTINUATION
    "a continuation of nothing": (frame(frames.CONTINUATION, END_HEADERS, 1, b""), Code.PROTOCOL_ERROR),
    "a continuation of another stream": (
        frame(frames.HEADERS, 0, 7, LITERAL) + frame(frames.CONTINUATION, END_HEADERS, 1, b""),
        Code.PROTOCOL_ERROR,
    ),
    "a frame within a header block": (frame(frames.HEADERS, 0, 7, LITERAL) + frame(frames.PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
    "an unknown frame within a header block": (frame(frames.HEADERS, 0, 7, LITERAL) + frame(0x77, 0, 7, b""), Code.PROTOCOL_ERROR),
    # 4.2
    "a frame larger than we take": (frame(frames.DATA, 0, 1, bytes(16_385)), Code.FRAME_SIZE_ERROR),
    "the head of a frame larger than we take": (b"\x00\x40\x01\x00\x00\0\0\0\x01", Code.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize(("wrong", "code"), ENDS_THE_CONNECTION.values(), ids=ENDS_THE_CONNECTION.keys())
def test_a_frame_that_is_wrong_for_all_ends_the_connection_with_its_code(wrong, code):
    assert broken(two_calls(), wrong) is code


ENDS_ITS_CALL = {
    "a window that grows by nothing": (frames.window_update(1, 0), 1, Code.PROTOCOL_ERROR),
    "a window too large": (frames.window_update(1, 2**31 - 1), 1, Code.FLOW_CONTROL_ERROR),
    "data behind the end": (data(3, b"x"), 3, Code.STREAM_CLOSED),
    "headers behind the end": (headers(3, end=True), 3, Code.STREAM_CLOSED),
    "a second block that is no end": (headers(1), 1, Code.PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("wrong", "number", "code"), ENDS_ITS_CALL.values(), ids=ENDS_ITS_CALL.keys())
def test_a_frame_that_is_wrong_for_one_call_ends_that_alone(wrong, number, code):
    heard = two_calls()
    heard.receive(wrong)
    assert heard.told() == [("reset", number, code)]
    assert heard.sent() == [(frames.RST_STREAM, 0, number, frames.number(code))]
    heard.receive(headers(7, end=True), data(5, b"late"))
    assert [event[:2] for event in heard.told()] == [("opened", 7)]
    assert number not in heard.wire.streams
    assert len(heard.wire.streams) == 2


HARMLESS = {
    "data of a call that is over": data(5, b"x", end=True),
    "headers of a call that is over": headers(5, end=True),
    "a window update of a call that is over": frames.window_update(5, 10),
    "a reset of a call that is over": frames.reset(5, 8),
    "a priority of a stream that was never opened": frame(frames.PRIORITY, 0, 9, b"\0\0\0\x01\x10"),
    "an unknown frame": frame(0x77, 0xFF, 77, b"anything"),
    "an unknown setting": frames.settings([(0x99, 2**32 - 1)]),
    "the reserved bit of a stream's number": frame(frames.WINDOW_UPDATE, 0, 1 | 2**31, frames.number(1)),
    "the reserved bit of a window update": frame(frames.WINDOW_UPDATE, 0, 0, frames.number(1 | 2**31)),
    "flags that a frame does not know": frame(frames.WINDOW_UPDATE, 0xFF, 0, frames.number(1)),
    "an acknowledgement of settings": frame(frames.SETTINGS, frames.ACK, 0),
    "a goaway with a text that is no text": frame(frames.GOAWAY, 0, 0, bytes(8) + b"\xff\x00\n"),
    "frames of no length": data(1) + data(1),
}


@pytest.mark.parametrize("harmless", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_is_late_or_unknown_is_let_pass(harmless):
    heard = two_calls()
    heard.receive(harmless, frame(frames.PING, 0, 0, b"12345678"))
    assert heard.sent()[-1] == (frames.PING, frames.ACK, 0, b"12345678")
    assert set(heard.wire.streams) == {1, 3}


# -- the beginning --


@pytest.mark.parametrize("cut", range(1, 24, 5))
def test_the_preface_may_come_in_pieces(cut):
    heard = Heard()
    whole = frames.PREFACE + frames.settings([]) + headers(1)
    for at in range(0, len(whole), cut):
        heard.receive(whole[at : at + cut])
    assert [event[0] for event in heard.told()] == ["opened"]


@pytest.mark.parametrize("wrong", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", b"\0", frames.PREFACE[1:]])
def test_another_preface_ends_the_connection(wrong):
    assert broken(Heard(), wrong) is Code.PROTOCOL_ERROR


def test_settings_must_come_first():
    assert broken(Heard(), frames.PREFACE, headers(1)) is Code.PROTOCOL_ERROR
    assert broken(Heard(), frames.PREFACE, frame(frames.SETTINGS, frames.ACK, 0)) is Code.PROTOCOL_ERROR
    assert broken(Heard(client=True), frame(frames.PING, 0, 0, bytes(8))) is Code.PROTOCOL_ERROR


def test_a_server_tells_its_limits_and_opens_its_windows():
    first, second = Heard(most_streams=7).sent()
    assert first[0] == frames.SETTINGS
    assert dict(frames.read_settings(first[3])) == {
        frames.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        frames.MAX_HEADER_LIST_SIZE: 16 * 1024,
        frames.MAX_CONCURRENT_STREAMS: 7,
    }
    assert second == (frames.WINDOW_UPDATE, 0, 0, frames.number(CONNECTION_WINDOW - frames.DEFAULT_WINDOW))


def test_a_client_greets_first_and_forbids_pushes():
    heard = Heard(client=True)
    assert heard.wire.take().startswith(frames.PREFACE)
    heard = Heard(client=True)
    assert dict(frames.read_settings(heard.sent()[0][3]))[frames.ENABLE_PUSH] == 0
    assert broken(client(), frames.settings([(frames.ENABLE_PUSH, 1)])) is Code.PROTOCOL_ERROR
    heard = client()
    heard.open()
    assert broken(heard, frame(frames.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + LITERAL)) is Code.PROTOCOL_ERROR


def test_settings_and_pings_are_answered_in_their_order():
    heard = server()
    heard.receive(frame(frames.PING, 0, 0, b"11111111"), frames.settings([(1, 0)]), frame(frames.PING, 0, 0, b"22222222"))
    assert heard.sent() == [
        (frames.PING, frames.ACK, 0, b"11111111"),
        (frames.SETTINGS, frames.ACK, 0, b""),
        (frames.PING, frames.ACK, 0, b"22222222"),
    ]
    heard.receive(frame(frames.PING, frames.ACK, 0, bytes(8)))
    assert heard.told() == [("pong",)]
    assert heard.sent() == []


# -- calls --


def test_a_request_is_told_as_it_was_sent_in_any_pieces():
    whole = headers(1) + data(1, b"abc") + data(1, b"", end=True) + headers(3, end=True) + headers(5) + headers(5, TRAILERS, end=True)
    expected = [
        ("opened", 1, FIELDS, False),
        ("data", 1, b"abc", False),
        ("data", 1, b"", True),
        ("opened", 3, FIELDS, True),
        ("opened", 5, FIELDS, False),
        ("headers", 5, [(b"grpc-status", b"0")], True),
    ]
    for size in (1, 2, 7, 10, 1000):
        heard = server()
        for at in range(0, len(whole), size):
            heard.receive(whole[at : at + size])
        assert heard.told() == expected


def test_padding_and_priority_are_taken_off():
    heard = server()
    heard.receive(
        frame(frames.HEADERS, PADDED | WITH_PRIORITY | END_HEADERS, 1, b"\x03\x80\0\0\0\x10" + LITERAL + b"\0\0\0"),
        frame(frames.DATA, PADDED | END_STREAM, 1, b"\x02abc\0\0"),
        frame(frames.HEADERS, PADDED | END_HEADERS, 3, b"\x00" + LITERAL),
        frame(frames.DATA, PADDED, 3, b"\x03\0\0\0"),
    )
    assert heard.told() == [
        ("opened", 1, FIELDS, False),
        ("data", 1, b"abc", True),
        ("opened", 3, FIELDS, False),
        ("data", 3, b"", False),
    ]
    assert heard.stream(3).owed == 4, "padding is given back"


def test_a_block_may_be_continued_so_often_and_so_long():
    heard = server()
    pieces = [frame(frames.CONTINUATION, 0, 1, b"") for _ in range(MOST_CONTINUATIONS - 2)]
    heard.receive(frame(frames.HEADERS, 0, 1, LITERAL[:3]), *pieces, frame(frames.CONTINUATION, END_HEADERS, 1, LITERAL[3:]))
    assert heard.told() == [("opened", 1, FIELDS, False)]
    heard.receive(frame(frames.HEADERS, 0, 3, LITERAL))
    assert broken(heard, frame(frames.CONTINUATION, 0, 3, b"") * MOST_CONTINUATIONS) is Code.ENHANCE_YOUR_CALM
    heard = server()
    many = [frame(frames.CONTINUATION, 0, 1, bytes(16_384))] * (LONGEST_BLOCK // 16_384)
    assert broken(heard, frame(frames.HEADERS, 0, 1, LITERAL), *many) is Code.ENHANCE_YOUR_CALM


def test_when_a_block_was_begun_is_known_until_it_is_finished():
    heard = server()
    assert heard.wire.half_since == float("inf")
    heard.now = 5.0
    heard.receive(frame(frames.HEADERS, 0, 1, LITERAL[:3]))
    heard.now = 9.0
    heard.receive(frame(frames.CONTINUATION, 0, 1, b""))
    assert heard.wire.half_since == 5.0
    heard.receive(frame(frames.CONTINUATION, END_HEADERS, 1, LITERAL[3:]))
    assert heard.wire.half_since == float("inf")


def test_calls_beyond_the_limit_are_refused_and_hpack_keeps_in_step():
    heard = server(most_streams=1)
    heard.receive(headers(1), headers(3, REQUEST), headers(5, b"\x83\x86\xbe\x01\x01t"))  # 3 puts the path into the table
    assert [event[:2] for event in heard.told()] == [("opened", 1)]
    refused = frames.number(Code.REFUSED_STREAM)
    assert heard.sent() == [(frames.RST_STREAM, 0, 3, refused), (frames.RST_STREAM, 0, 5, refused)]
    heard.receive(frames.reset(1, 8), headers(7, b"\x83\x86\xbe\x01\x01t"))
    assert heard.told()[1] == ("opened", 7, FIELDS, False)


def test_hpack_keeps_in_step_with_calls_that_are_over():
    heard = server()
    heard.receive(headers(1), frames.reset(1, 8), headers(1, REQUEST, end=True), headers(3, b"\x83\x86\xbe\x01\x01t"))
    assert heard.told()[-1] == ("opened", 3, FIELDS, False)


def test_a_connection_that_goes_away_refuses_new_calls_and_carries_the_old_on():
    heard = two_calls()
    heard.wire.go_away(text="bye")
    ((kind, _, _, payload),) = heard.sent()
    assert (kind, payload) == (frames.GOAWAY, bytes((0, 0, 0, 5, 0, 0, 0, 0)) + b"bye")
    heard.receive(headers(7, end=True), data(1, b"x", end=True))
    assert heard.told() == [("data", 1, b"x", True)]
    assert heard.sent() == [(frames.RST_STREAM, 0, 7, frames.number(Code.REFUSED_STREAM))]
    heard.wire.headers(heard.stream(1), ANSWER + TRAILERS, ended=True)
    assert heard.sent()[0][:3] == (frames.HEADERS, END_HEADERS | END_STREAM, 1)


def test_an_early_answer_ends_in_a_reset_that_blames_nobody():
    heard = two_calls()
    heard.wire.finish(heard.stream(1), TRAILERS)
    (answer, reset) = heard.sent()
    assert answer[:3] == (frames.HEADERS, END_HEADERS | END_STREAM, 1)
    assert reset == (frames.RST_STREAM, 0, 1, frames.number(Code.NO_ERROR))
    heard.wire.finish(heard.stream(3), TRAILERS)
    assert [frame[0] for frame in heard.sent()] == [frames.HEADERS], "its request had ended"
    assert heard.wire.streams == {}
    heard.receive(data(1, b"what was under way", end=True))
    assert (heard.told(), heard.sent()) == ([], [])


def test_what_a_handler_says_to_a_call_that_is_over_is_not_sent():
    heard = two_calls()
    one, three = heard.stream(1), heard.stream(3)
    heard.receive(frames.reset(1, 8))
    heard.wire.finish(three, TRAILERS)
    heard.sent()
    for stream in (one, three):
        heard.wire.headers(stream, ANSWER)
        assert not heard.wire.send(stream, b"abc")
        assert not heard.wire.send(stream, bytes(100_000))
        heard.wire.took(stream, STREAM_WINDOW)
        heard.wire.reset(stream, Code.CANCEL)
        heard.wire.cut(stream, TRAILERS)
    assert heard.sent() == []
    assert heard.wire._ready == {}


def test_a_long_block_is_sent_in_continuations():
    heard = two_calls()
    block = b"\x00\x01a\x7f\xe1\xff\x01" + bytes(32_864)
    heard.wire.headers(heard.stream(1), block)
    kinds = [(kind, flags, len(payload)) for kind, flags, _, payload in heard.sent()]
    assert kinds == [(1, 0, 16_384), (9, 0, 16_384), (9, END_HEADERS, len(block) + 1 - 32_768)]


def test_a_client_hears_its_answer_and_forgets_the_call():
    heard = client()
    stream = heard.open()
    heard.wire.send(stream, b"abc")
    heard.wire.finish(stream)
    assert [(kind, flags, number) for kind, flags, number, _ in heard.sent()] == [(1, 4, 1), (0, 0, 1), (0, 1, 1)]
    heard.receive(headers(1, ANSWER), data(1, b"xyz"), headers(1, TRAILERS, end=True))
    assert heard.told() == [
        ("headers", 1, [(b":status", b"200")], False),
        ("data", 1, b"xyz", False),
        ("headers", 1, [(b"grpc-status", b"0")], True),
    ]
    assert heard.wire.streams == {}
    assert heard.open().id == 3


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (headers(2, ANSWER), Code.PROTOCOL_ERROR),
        (headers(3, ANSWER), Code.PROTOCOL_ERROR),
        (data(3, b"x"), Code.PROTOCOL_ERROR),
        (frames.reset(3, 1), Code.PROTOCOL_ERROR),
        (frames.window_update(3, 1), Code.PROTOCOL_ERROR),
    ],
)
def test_a_server_that_answers_what_was_not_asked_is_broken_with(wrong, code):
    heard = client()
    heard.open()
    assert broken(heard, wrong) is code


def test_a_client_takes_as_many_calls_as_its_server_says():
    heard = Heard(client=True)
    assert heard.wire.peer_streams == 100, "until it says"
    heard.receive(frames.settings([]))
    assert heard.wire.peer_streams == frames.LARGEST_ID
    heard.receive(frames.settings([(frames.MAX_CONCURRENT_STREAMS, 3)]))
    assert heard.wire.peer_streams == 3


def test_the_first_block_tells_that_no_table_is_used():
    heard = two_calls()
    heard.wire.headers(heard.stream(1), ANSWER)
    heard.wire.headers(heard.stream(3), ANSWER)
    assert [payload for *_, payload in heard.sent()] == [b"\x20" + ANSWER, ANSWER]


def test_frames_can_be_read_back():
    assert frames_of(frames.goaway(5, 2, "x" * 300))[0][3] == bytes((0, 0, 0, 5, 0, 0, 0, 2)) + b"x" * 200
