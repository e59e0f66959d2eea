"""Floods: what is cut off, and what honest clients do that must not be."""

import pytest

from arbiter.rpc import frames
from arbiter.rpc.frames import Code, frame
from arbiter.rpc.wire import MOST_CREDIT, Broken
from tests.rpc.wires import LARGE, LITERAL, calls, data, headers, server

PING = frame(frames.PING, 0, 0, bytes(8))
ACKS = {"pings": PING, "acknowledged pings": frame(frames.PING, 1, 0, bytes(8)), "settings": frames.settings([])}
FLOODS = {
    **{name: (each, 1000, 100) for name, each in ACKS.items()},
    "settings acknowledged": (frame(frames.SETTINGS, 1, 0), 1000, 100),
    "goaways": (frames.goaway(0, 0), 1000, 100),
    "window updates of the connection": (frames.window_update(0, 1), 10_000, 5_000),
    "window updates of a call": (frames.window_update(1, 1), 10_000, 5_000),
    "empty data": (data(1), 10_000, 5_000),
    "padded empty data": (frame(frames.DATA, frames.PADDED, 1, b"\x00"), 10_000, 5_000),
    "priorities": (frame(frames.PRIORITY, 0, 9, b"\0\0\0\x01\x10"), 10_000, 5_000),
    "unknown frames": (frame(0x77, 0, 9), 10_000, 5_000),
    "data of a call that is over": (data(3, b"x"), 10_000, 5_000),
    "headers of a call that is over": (headers(3), 10_000, 5_000),
}


@pytest.mark.parametrize(("each", "at_once", "a_second"), FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_is_cut_off_and_the_same_at_leisure_is_not(each, at_once, a_second):
    def flooded():
        heard = calls(1, 3)
        heard.receive(frames.reset(3, 8))
        heard.now = 1.0
        return heard

    heard = flooded()
    heard.receive(each * (at_once - 10))
    with pytest.raises(Broken) as caught:
        heard.receive(each * (at_once // 2 + 20))
    assert caught.value.code is Code.ENHANCE_YOUR_CALM
    heard = flooded()
    for _ in range(10):
        heard.now += 1.0
        heard.receive(each * a_second)
        heard.sent()
    heard.now += 1000.0
    with pytest.raises(Broken):  # as much as comes at once at most, whatever was saved up
        heard.receive(each * (2 * at_once + 20))


def rapid_reset(number):
    return headers(number) + frames.reset(number, Code.CANCEL)


def malformed(number):
    return headers(number) + frames.window_update(number, 0)


def refused(number):
    return headers(number)


@pytest.mark.parametrize("attack", [rapid_reset, malformed, refused])
def test_calls_that_are_given_up_as_fast_as_they_come_are_cut_off(attack):
    heard = calls(1, most_streams=1 if attack is refused else 100)
    heard.receive(*map(attack, range(3, 301, 2)))
    flood = b"".join(map(attack, range(301, 601, 2)))
    with pytest.raises(Broken) as caught:
        heard.receive(flood)
    assert caught.value.code is Code.ENHANCE_YOUR_CALM


def test_an_honest_client_may_cancel_seven_hundred_calls_a_second():
    heard, number = server(), 1
    for tick in range(100):
        heard.now = tick / 10
        for _ in range(70):
            heard.receive(headers(number), frames.reset(number, Code.CANCEL))
            number += 2


def test_an_honest_client_may_give_up_all_its_calls_at_once_twice():
    heard = calls(*range(1, 2001, 2))
    heard.receive(*(frames.reset(number, Code.CANCEL) for number in range(1, 2001, 2)))
    heard.receive(*(headers(number) + frames.reset(number, Code.CANCEL) for number in range(2001, 4001, 2)))


def test_a_client_that_reads_a_stream_may_send_two_window_updates_and_a_ping_for_each_read():
    """What grpc-go and gRPC's core do to measure the connection; on loopback thousands of times a second."""
    heard = calls(1, window=2**20)
    heard.receive(LARGE)
    for _ in range(20_000):
        heard.wire.send(heard.stream(1), bytes(100))
        heard.wire.take()
        heard.receive(frames.window_update(1, 100), frames.window_update(0, 100), PING)
    heard.wire.take()
    with pytest.raises(Broken):  # what was sent is no licence for ever
        heard.receive(PING * (MOST_CREDIT + 2000))


def test_many_changes_of_the_window_in_one_frame_cost_one_look_at_the_calls():
    heard = calls(*range(1, 2001, 2))
    looked = 0

    class Counting(dict):
        def values(self):
            nonlocal looked
            looked += 1
            return super().values()

    heard.wire.streams = Counting(heard.wire.streams)
    heard.receive(frames.settings([(frames.INITIAL_WINDOW_SIZE, size) for size in range(64)]))
    assert looked == 1


def test_a_block_of_a_call_costs_no_decoding_the_second_time_and_is_read_anew_when_the_table_has_changed():
    heard = calls()
    parsed = []
    heard.wire._blocks._parse = lambda fields: parsed.append(fields) or fields
    heard.receive(headers(1), headers(3), headers(5))
    assert len(parsed) == 1
    heard.receive(headers(7, b"\x83\x86\x44\x02/b\x01\x01t"), headers(9, LITERAL))
    assert len(parsed) == 3
