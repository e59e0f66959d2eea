"""Streams that follow a feed: written while a change is published, without a task, and closed wherever they end."""

from contextlib import contextmanager

import pytest
import trio
from h2.errors import ErrorCodes
from purerpc.grpclib.status import Status, StatusCode

from arbiter.errors import NotRunning
from arbiter.rpc.follow import Follow
from arbiter.v1.user_pb2 import AuthResponse

STREAM = "test.Service/Stream"
BODY = b""


class Feed:
    """Tells numbers; keeps the newest that could not be told."""

    look_seconds = 1.0

    def __init__(self, first=()):
        self.waiting = [str(each) for each in first]
        self.looks = 0
        self.look_fails = False
        self.failure = None
        self.deliver = self.hold
        self.wake = lambda: None

    def next(self, change):
        body = AuthResponse(user_id=change).SerializeToString()
        return b"\0" + len(body).to_bytes(4, "big") + body

    def hold(self, change):
        self.waiting = [change]
        self.wake()

    def join(self, stream, carrier):
        return False

    def fall_behind(self):
        self.deliver = self.hold

    def take(self):
        if self.failure is not None:
            raise self.failure
        return AuthResponse(user_id=self.waiting.pop(0)).SerializeToString() if self.waiting else None

    def look_again(self):
        self.looks += 1
        if self.look_fails:
            raise ValueError("a fault on purpose")


class Followed:
    """A handler whose streams follow feeds, and what became of them."""

    def __init__(self, first=()):
        self.first = first
        self.feeds = []
        self.left = 0
        self.waits_at_its_end = False

    @contextmanager
    def open(self):
        feed = Feed(self.first)
        self.feeds.append(feed)
        try:
            yield feed
        finally:
            self.feeds.remove(feed)
            self.left += 1

    async def __call__(self, message, request):
        self.request = request
        with self.open() as feed:
            try:
                yield Follow(feed)
            finally:
                if self.waits_at_its_end:
                    await trio.sleep(1)


def told(raw, number):
    """The numbers that a stream was told."""
    data = b"".join(event.data for event in raw.events if type(event).__name__ == "DataReceived" and event.stream_id == number)
    found = []
    while data:
        length = int.from_bytes(data[1:5], "big")
        found.append(AuthResponse.FromString(data[5 : 5 + length]).user_id)
        data = data[5 + length :]
    return found


async def follow(raw, **options):
    number = raw.begin(f"/{STREAM}", **options)
    raw.message(number, BODY)
    await raw.send()
    return number


async def heard(raw, number, what):
    await raw.read_until(lambda _event: told(raw, number)[-1:] == [what])


async def test_what_waits_is_told_first_and_then_each_change_as_it_is_published(served, connect_raw, eventually):
    followed = served.stream = Followed(first=(1, 2))
    async with connect_raw(served.port) as raw:
        number = await follow(raw)
        await heard(raw, number, "2")
        followed.feeds[0].deliver("3")
        followed.feeds[0].deliver("4")
        await heard(raw, number, "4")
        assert told(raw, number) == ["1", "2", "3", "4"]


async def test_many_quiet_streams_need_no_tasks(served, connect_raw, eventually):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(200):
            await heard(raw, await follow(raw), "hello")
        await eventually(lambda: len(followed.feeds) == 200)
        assert trio.lowlevel.current_statistics().tasks_living - before < 5
        assert served.server.calls == 200


@pytest.mark.parametrize("how", ["reset", "hang up", "end", "stop"])
async def test_however_a_stream_ends_its_handlers_blocks_are_left(served, connect_raw, eventually, how):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        number = await follow(raw)
        await heard(raw, number, "hello")
        if how == "reset":
            raw.h2.reset_stream(number, ErrorCodes.CANCEL)
            await raw.send()
        elif how == "hang up":
            await raw.stream.aclose()
        elif how == "end":
            followed.request.end(NotRunning("the world"))
            await raw.ended(number)
            assert raw.header_blocks(number)[-1]["grpc-status"] == "14"
        else:
            await served.server.stop(0.01)
        await eventually(lambda: followed.left == 1 and followed.feeds == [] and served.server.calls == 0)


async def test_a_deadline_ends_a_stream_that_follows(served, connect_raw, eventually):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        number = await follow(raw, extra=(("grpc-timeout", "50m"),))
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "4"
        await eventually(lambda: followed.left == 1 and served.server.calls == 0)


async def test_a_reader_that_gives_no_window_is_told_the_newest_once_it_does(served, connect_raw, eventually):
    followed = served.stream = Followed()
    async with connect_raw(served.port) as raw:
        number = await follow(raw)
        await eventually(lambda: len(followed.feeds) == 1)
        (feed,) = followed.feeds
        for count in range(20):
            feed.deliver(f"{count}" + "x" * 10_000)  # the window is 65,535
        held = len(feed.waiting)
        await raw.read_until(lambda _event: len(told_whole(raw, number)) >= 6)
        raw.h2.increment_flow_control_window(200_000)
        raw.h2.increment_flow_control_window(200_000, number)
        await raw.send()
        await raw.read_until(lambda _event: any(each.startswith("19x") for each in told_whole(raw, number)))
        assert held == 1
        assert len(told_whole(raw, number)) < 10, "what newer ones replaced was not told"
        feed.deliver("end")
        await raw.read_until(lambda _event: told_whole(raw, number)[-1] == "end")


def told_whole(raw, number):
    """As `told`, of what has come whole."""
    data = b"".join(event.data for event in raw.events if type(event).__name__ == "DataReceived" and event.stream_id == number)
    found = []
    while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):
        length = int.from_bytes(data[1:5], "big")
        found.append(AuthResponse.FromString(data[5 : 5 + length]).user_id)
        data = data[5 + length :]
    return found


async def test_a_feed_that_fails_ends_its_stream_and_no_other(served, connect_raw, eventually, logged):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        await heard(raw, first := await follow(raw), "hello")
        await heard(raw, second := await follow(raw), "hello")
        failing, good = followed.feeds
        failing.failure = ValueError("a fault on purpose")
        failing.wake()
        await eventually(lambda: followed.left == 1)
        good.deliver("on")
        await heard(raw, second, "on")
        await raw.ended(first)
        assert raw.header_blocks(first)[-1]["grpc-status"] == "13"
        assert [line["event"] for line in logged] == ["call failed"]


async def test_a_handler_that_waits_at_its_end_is_told_of_and_let_go(served, connect_raw, eventually, logged):
    followed = served.stream = Followed(first=("hello",))
    followed.waits_at_its_end = True
    async with connect_raw(served.port) as raw:
        number = await follow(raw)
        await heard(raw, number, "hello")
        raw.h2.reset_stream(number, ErrorCodes.CANCEL)
        await raw.send()
        await eventually(lambda: followed.left == 1 and served.server.calls == 0)
    assert [line["event"] for line in logged] == ["a handler waits at its end, where nobody waits for it"]


async def test_a_feed_that_must_look_again_is_asked_about_once_a_second(served, connect_raw, eventually):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        await heard(raw, await follow(raw), "hello")
        await eventually(lambda: followed.feeds[0].looks > 0)


async def test_a_feed_that_fails_while_it_looks_again_ends_its_stream_and_no_other(served, connect_raw, eventually):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        await heard(raw, failing := await follow(raw), "hello")
        followed.feeds[0].look_fails = True
        await heard(raw, other := await follow(raw), "hello")
        await raw.ended(failing)
        assert raw.header_blocks(failing)[-1]["grpc-status"] == "13"
        followed.feeds[0].deliver("on")
        await heard(raw, other, "on")


async def test_a_stream_that_ended_before_its_turn_came_is_told_nothing(served, connect_raw, eventually):
    followed = served.stream = Followed(first=("hello",))
    async with connect_raw(served.port) as raw:
        await heard(raw, number := await follow(raw), "hello")
        (feed,) = followed.feeds
        (connection,) = served.server._connections
        (call,) = connection.wire.streams.values()
        following = call.following
        feed.waiting = ["late"]
        feed.wake()
        connection.end(call, Status(StatusCode.UNAVAILABLE, "over"))
        following.pump()
        assert feed.waiting == ["late"]
        await raw.ended(number)
        assert told(raw, number) == ["hello"]
