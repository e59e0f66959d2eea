"""The wire's windows both ways, and who is drained when."""

from random import Random

import pytest

from arbiter.rpc import frames
from arbiter.rpc.frames import Code, frame
from arbiter.rpc.sending import CONNECTION_WINDOW, FULL, STREAM_WINDOW
from arbiter.rpc.wire import BURIED, Broken
from tests.rpc.wires import ANSWER, LARGE, TRAILERS, calls, client, data, headers


def sizes(sent):
    """(stream, bytes) of the DATA frames."""
    return [(number, len(payload)) for kind, _, number, payload in sent if kind == frames.DATA]


# -- what we send --


def test_nothing_is_sent_beyond_a_streams_window_and_all_of_it_in_order():
    heard = calls(1, window=10)
    assert not heard.wire.send(heard.stream(1), b"0123456789abc")
    assert not heard.wire.send(heard.stream(1), b"def")
    heard.wire.finish(heard.stream(1), TRAILERS)
    assert heard.sent() == [(frames.DATA, 0, 1, b"0123456789")]
    heard.receive(frames.window_update(1, 4))
    assert heard.sent() == [(frames.DATA, 0, 1, b"abcd")]
    assert heard.told() == []
    heard.receive(frames.window_update(1, 4))
    sent = heard.sent()
    assert sent[0] == (frames.DATA, 0, 1, b"ef")
    assert [kind for kind, *_ in sent[1:]] == [frames.HEADERS, frames.RST_STREAM], "trailers come behind what waited"


def test_nothing_is_sent_beyond_the_connections_window():
    heard = calls(1, 3, window=2**20)
    heard.wire.send(heard.stream(1), bytes(60_000))
    heard.wire.send(heard.stream(3), bytes(60_000))
    assert sum(size for _, size in sizes(heard.sent())) == frames.DEFAULT_WINDOW
    heard.receive(frames.window_update(0, 100))
    assert sum(size for _, size in sizes(heard.sent())) == 100


def test_streams_that_wait_take_turns_a_frame_each():
    heard = calls(1, 3, 5, window=2**20)
    heard.wire.send(heard.stream(1), bytes(frames.DEFAULT_WINDOW))
    for number in (1, 3, 5):
        heard.wire.send(heard.stream(number), bytes(60_000))
    heard.sent()
    heard.receive(LARGE)
    assert [number for number, _ in sizes(heard.sent())] == [1, 3, 5] * 4


def test_a_message_goes_by_a_stream_without_window():
    heard = calls(1, 3, window=5)
    heard.wire.send(heard.stream(1), b"0123456789")
    assert heard.wire.send(heard.stream(3), b"abc")
    assert sizes(heard.sent()) == [(1, 5), (3, 3)]


def test_settings_change_the_windows_of_calls_that_live_below_zero_too():
    heard = calls(1, window=10)
    heard.wire.send(heard.stream(1), b"0123456789abcdef")
    heard.sent()
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 0)]))
    assert heard.stream(1).send_window == -10
    heard.receive(frames.window_update(1, 10))
    assert sizes(heard.sent()) == [], "it is at 0"
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 100), (frames.INITIAL_WINDOW_SIZE, 4)]))
    assert sizes(heard.sent()) == [(1, 4)], "the last value of a frame holds"
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 12)]), headers(3))
    assert sizes(heard.sent()) == [(1, 2)]
    assert heard.stream(3).send_window == 12
    assert heard.told()[0] == ("drained", 1)


def test_a_stream_that_waits_for_the_connection_and_loses_its_own_window_meanwhile_sends_nothing():
    heard = calls(1, 3, window=70_000)
    heard.wire.send(heard.stream(1), bytes(66_000))
    heard.wire.send(heard.stream(3), b"abc")
    heard.sent()
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 0)]), LARGE)
    assert sizes(heard.sent()) == []
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 70_000)]))
    assert sorted(sizes(heard.sent())) == [(1, 465), (3, 3)]


def test_settings_that_make_a_window_too_large_end_the_connection():
    heard = calls(1, window=10)
    heard.receive(frames.window_update(1, 2**31 - 1 - 10))
    with pytest.raises(Broken) as caught:
        heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 11)]))
    assert caught.value.code is Code.FLOW_CONTROL_ERROR


def test_a_window_may_be_as_large_as_can_be():
    heard = calls(1)
    heard.receive(frames.window_update(1, 2**31 - 1 - 65_535), frames.window_update(0, 2**31 - 1 - 65_535))
    assert heard.stream(1).send_window == 2**31 - 1
    assert heard.told() == []


def test_what_a_peer_does_not_read_waits_in_the_streams_and_out_stays_bounded():
    heard = calls(*range(1, 41, 2), window=2**30)
    heard.receive(LARGE)
    for _ in range(3):
        for number in range(1, 41, 2):
            heard.wire.send(heard.stream(number), bytes(100_000))
    assert len(heard.wire.out) < FULL + 2**14 + 9
    assert sum(size for _, size in sizes(heard.sent())) == 20 * 3 * 100_000, "it goes on as room is made"
    assert [event for event in heard.told() if event[0] == "drained"] != []


def test_who_asks_for_answers_and_does_not_read_them_is_cut_off():
    heard = calls(1)
    heard.wire.out += bytes(BURIED + 1)
    with pytest.raises(Broken) as caught:
        heard.receive(frame(frames.PING, 0, 0, bytes(8)))
    assert caught.value.code is Code.ENHANCE_YOUR_CALM


def test_many_answers_to_one_read_are_not_held_against_it():
    heard = calls(*range(1, 2000, 2))
    for stream in tuple(heard.wire.streams.values()):
        heard.wire.headers(stream, ANSWER + b"\x00\x01a\x7f\x81\x05" + bytes(768), ended=True)
    assert len(heard.wire.out) > BURIED
    heard.sent()
    heard.receive(headers(2001))


def test_cutting_a_call_drops_what_waits():
    heard = calls(1, window=5)
    heard.wire.send(heard.stream(1), b"0123456789")
    stream = heard.stream(1)
    heard.wire.cut(stream, TRAILERS)
    sent = heard.sent()
    assert [kind for kind, *_ in sent] == [frames.DATA, frames.HEADERS, frames.RST_STREAM]
    assert (stream.pending, stream.waiting, heard.wire.streams) == (None, 0, {})
    heard.receive(frames.window_update(1, 100), LARGE)
    assert heard.sent() == []


def test_a_client_ends_its_request_behind_what_waits():
    heard = client()
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, 3)]))
    stream = heard.open()
    heard.wire.send(stream, b"abcdef")
    heard.wire.finish(stream)
    heard.receive(frames.window_update(1, 100))
    assert [(flags, payload) for kind, flags, _, payload in heard.sent() if kind == frames.DATA] == [
        (0, b"abc"),
        (0, b"def"),
        (frames.END_STREAM, b""),
    ]


class Peer:
    """What a peer with windows makes of our frames: nothing may come that it gave no window for."""

    def __init__(self, window):
        self.first = window
        self.connection = frames.DEFAULT_WINDOW
        self.windows = {}
        self.bytes = {}
        self.ended = {}

    def take(self, sent):
        for kind, flags, number, payload in sent:
            if kind == frames.DATA:
                assert payload, "nothing is no frame"
                assert number not in self.ended
                self.connection -= len(payload)
                self.windows[number] -= len(payload)
                assert self.connection >= 0
                assert self.windows[number] >= 0
                self.bytes[number] += payload
            elif kind == frames.HEADERS and flags & frames.END_STREAM:
                self.ended[number] = len(self.bytes[number])


@pytest.mark.parametrize("seed", range(60))
def test_random_sending_never_exceeds_a_window_and_loses_nothing(seed):
    random = Random(seed)
    window = random.choice((0, 1, 100, 65_535))
    heard, peer = calls(window=window), Peer(window)
    said = {}
    for step in range(random.randint(20, 120)):
        match random.randrange(7):
            case 0:
                number = heard.wire.last + 2 if heard.wire.last else 1
                heard.receive(headers(number, end=random.random() < 0.5))
                peer.windows[number], peer.bytes[number], said[number] = peer.first, b"", b""
            case 1 | 2 if said:
                number = random.choice(list(said))
                if number in heard.wire.streams and heard.stream(number).trailer is None:
                    body = bytes([step % 256]) * random.choice((1, 5, 90, 3000, 40_000))
                    said[number] += body
                    heard.wire.send(heard.stream(number), body)
            case 3 if said:
                number, more = random.choice(list(said)), random.choice((1, 50, 20_000))
                heard.receive(frames.window_update(number, more))
                peer.windows[number] += more
            case 4:
                more = random.choice((1, 1000, 60_000))
                heard.receive(frames.window_update(0, more))
                peer.connection += more
            case 5:
                peer.take(heard.sent())  # a new window holds from its acknowledgement on
                new = random.choice((0, 1, 100, 65_535, 200_000))
                heard.receive(
                    frames.settings([(frames.INITIAL_WINDOW_SIZE, random.choice((0, 7, 2**20))), (frames.INITIAL_WINDOW_SIZE, new)])
                )
                peer.windows = {number: window + new - peer.first for number, window in peer.windows.items()}
                peer.first = new
            case 6 if said:
                number = random.choice(list(said))
                if number in heard.wire.streams and heard.stream(number).trailer is None:
                    heard.wire.finish(heard.stream(number), TRAILERS)
        if random.random() < 0.7:
            peer.take(heard.sent())
    peer.take(heard.sent())
    more = frames.window_update(0, 2**30)
    heard.receive(more, *(frames.window_update(number, 2**29) for number in said))
    peer.connection += 2**30
    peer.windows = {number: window + 2**29 for number, window in peer.windows.items()}
    peer.take(heard.sent())
    assert peer.bytes == said
    assert all(length == len(said[number]) for number, length in peer.ended.items()), "ends come behind all bytes"
    assert all(not stream.pending for stream in heard.wire.streams.values())


# -- what we take --


def test_window_is_given_back_before_it_is_used_up_and_only_for_what_was_taken():
    heard = calls(1)
    heard.takes = False
    given = 0
    for _ in range(STREAM_WINDOW // 16_384):
        heard.receive(data(1, bytes(16_384)))
        assert [frame for frame in heard.sent() if frame[2] == 1] == []
    heard.receive(data(1, b"x"))
    assert heard.wire.streams == {}
    assert heard.told()[-1] == ("reset", 1, Code.FLOW_CONTROL_ERROR)
    heard.takes = True
    heard.receive(headers(3))
    for _ in range(10 * STREAM_WINDOW // 16_384):
        heard.receive(data(3, bytes(16_384)))
        given += sum(
            frames.read_number(payload) for kind, _, number, payload in heard.sent() if (kind, number) == (frames.WINDOW_UPDATE, 3)
        )
    assert 9 * STREAM_WINDOW < given <= 10 * STREAM_WINDOW


def test_the_connections_window_is_given_back_for_calls_that_nobody_wants_too():
    heard = calls(1)
    heard.receive(frames.reset(1, 8))
    heard.sent()
    given = 0
    for _ in range(3 * CONNECTION_WINDOW // 16_384):
        heard.receive(data(1, bytes(16_384)))
        given += sum(
            frames.read_number(payload) for kind, _, number, payload in heard.sent() if (kind, number) == (frames.WINDOW_UPDATE, 0)
        )
    assert given >= 2 * CONNECTION_WINDOW


def test_more_than_the_connections_window_ends_it():
    heard = calls(1)
    heard.wire._receive_window = 10
    with pytest.raises(Broken) as caught:
        heard.receive(data(1, bytes(11)))
    assert caught.value.code is Code.FLOW_CONTROL_ERROR


def test_padding_counts_against_the_windows():
    heard = calls(1)
    heard.takes = False
    padded = frame(frames.DATA, frames.PADDED, 1, bytes([255]) + bytes(16_128) + bytes(255))
    for _ in range(STREAM_WINDOW // 16_384 - 1):
        heard.receive(padded)
    assert heard.stream(1).owed == (STREAM_WINDOW // 16_384 - 1) * 256
