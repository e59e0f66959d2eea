"""Streams that are told together: what each is told is what it would be told alone, whatever window it has and whenever it leaves."""

import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.rpc.feed import Source
from arbiter.rpc.flusher import TURN, Flusher
from arbiter.rpc.follow import Following
from arbiter.rpc.frames import DATA
from arbiter.rpc.messages import MessageReader
from arbiter.rpc.opportunity_feed import net_per_contract
from arbiter.rpc.sending import FULL, Sender, Stream
from arbiter.runtime import Topic
from tests.rpc.test_feed import RUN, Opportunities, encode_opportunity, opportunity
from tests.rpc.wires import frames_of

WIDE = 10**6


class Followed(Stream):
    """A stream with a feed; `drained` as a call has it."""

    __slots__ = ("carrier", "following", "heard")

    def drained(self):
        self.carrier.pump_soon(self.following)


class Carrier:
    """A connection that is all windows and no socket."""

    def __init__(self):
        self.wire = Sender(client=False)
        self.wire._send_window = WIDE
        self.pumps = []
        self.told_to_send = 0
        self.failed = []

    def open(self, window=WIDE):
        stream = Followed(1 + 2 * len(self.wire.streams), window, True)
        stream.carrier, stream.heard = self, MessageReader()
        self.wire.streams[stream.id] = stream
        return stream

    def soon(self):
        pass

    def soon_with_others(self):
        self.told_to_send += 1

    def pump_soon(self, following):
        if not following.due:
            following.due = True
            self.pumps.append(following)

    def follower_failed(self, stream, error):
        self.failed.append((stream, error))

    def turn(self):
        """All that the writer would do, and what each stream reads of it."""
        read = []
        while self.pumps or self.wire.out:
            pumps, self.pumps = self.pumps, []
            for following in pumps:
                following.pump()
            for kind, _, number, payload in frames_of(self.wire.take()):
                assert kind == DATA
                read += [(number, body) for _, body in self.wire.streams[number].heard.feed(payload)]
        return read


class Joined(Opportunities):
    """The reader of `test_feed.py` on a stream of its own, whose window is now open, now shut."""

    def __init__(self, source, least, carrier, **options):
        super().__init__(source, least, **options)
        self.carrier, self.stream = carrier, None

    def connect(self):
        super().connect()
        self.stream = self.carrier.open(WIDE if self.open_window else 0)
        self.stream.following = Following(self.stream, self.carrier, self.feed, None)
        self.stream.following.pump()

    def disconnect(self):
        if self.stream is not None:
            self.carrier.wire.forget(self.stream)
            self.carrier.wire.streams[self.stream.id] = self.stream  # for its number alone
            self.stream = None
        super().disconnect()

    def take(self):
        """Room for about one message more."""
        if self.stream is not None:
            self.grow(30)

    def shut(self, *, shut):
        self.open_window = not shut
        if self.stream is not None:
            self.grow(-self.stream.send_window if shut else WIDE)

    def grow(self, more):
        wire, stream = self.carrier.wire, self.stream
        stream.send_window += more
        if stream.pending and stream.send_window > 0:
            wire._ready[stream.id] = stream
            wire._drain()

    @property
    def together(self):
        return self.feed is not None and self.feed._joined is not None


def hear(readers):
    """What was written reaches the readers."""
    for carrier in {reader.carrier for reader in readers}:
        for number, body in carrier.turn():
            for reader in readers:
                if reader.carrier is carrier and reader.stream is not None and reader.stream.id == number:
                    reader.receive(body)


OFTEN = ("publish",) * 8 + ("take",) * 3 + ("end",) * 2 + ("leave",) * 2 + ("return",) * 3
STEPS = st.lists(
    st.tuples(st.sampled_from((*OFTEN, "open", "open", "shut", "start over")), st.sampled_from("abce"), st.integers(0, 63)),
    min_size=10,
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, seed=st.randoms(use_true_random=False))
def test_readers_that_are_told_together_end_with_what_the_topic_holds_whatever_happens_between(steps, seed):
    topic = Topic("opportunities")
    source = Source(topic, encode_opportunity, run=RUN, measure=net_per_contract)
    carriers = [Carrier(), Carrier()]
    readers = [Joined(source, least, carriers[asks], always_asks=asks) for least in (0, 0, 2) for asks in (False, True)]
    for reader in readers:
        reader.open_window = True
        reader.connect()
    hear(readers)
    for number, (step, argument, mask) in enumerate(steps, 1):
        if step == "publish":
            state = "opened" if topic.get(argument) is None else "updated"
            topic.publish(argument, opportunity(argument, seed.randint(0, 4), state, number))
        elif step == "end" and (live := topic.get(argument)) is not None:
            topic.publish_passing(argument, opportunity(argument, live.opportunity.net, "closed", number))
        elif step == "start over":
            topic.start_over()
        for place, reader in enumerate(readers):
            if not mask >> place & 1:
                continue
            if step == "take":
                reader.take()
            elif step == "leave":
                reader.disconnect()
            elif step == "return" and reader.feed is None:
                reader.connect()
            elif step in ("open", "shut"):
                reader.shut(shut=step == "shut")
        hear(readers)
    for reader in readers:
        reader.shut(shut=False)
        if reader.feed is None:
            reader.connect()
    hear(readers)
    topic.publish("z", opportunity("z", 4, "opened", 99))  # who heard that the publisher begins anew joins again at the next change
    hear(readers)
    for reader in readers:
        assert reader.together
        assert reader.view == {each.key: each.event.opportunity.net for each in topic.kept() if each.event.opportunity.net >= reader._least}
        reader.disconnect()
    assert (topic.subscribers, source.feeds, source._feeds, source._changes, source.in_step) == (0, 0, {}, {}, {})
    assert [carrier.failed for carrier in carriers] == [[], []]


class Scene:
    """Readers of one topic on two connections."""

    def __init__(self):
        self.topic = Topic("opportunities")
        self.fails = False
        self.source = Source(self.topic, self._encode, run=RUN, measure=net_per_contract)
        self.carriers = [Carrier(), Carrier()]

    def _encode(self, change):
        if self.fails:
            raise ZeroDivisionError
        return encode_opportunity(change)

    def readers(self, *leasts):
        made = []
        for place, least in enumerate(leasts):
            reader = Joined(self.source, least, self.carriers[place % 2])
            reader.open_window = True
            reader.connect()
            made.append(reader)
        return made

    def publish(self, key, edge, number=1):
        self.topic.publish(key, opportunity(key, edge, "updated", number))


@pytest.fixture
def scene():
    return Scene()


def test_a_change_makes_each_connection_send_once_whatever_number_of_streams_it_has(scene):
    readers = scene.readers(*[0] * 20)
    scene.publish("a", 1)
    assert [carrier.told_to_send for carrier in scene.carriers] == [1, 1]
    hear(readers)
    assert [reader.view for reader in readers] == [{"a": 1}] * 20


def test_readers_of_another_least_edge_are_told_apart(scene):
    low, high = scene.readers(0, 3)
    scene.publish("a", 5)
    scene.publish("a", 1)
    hear([low, high])
    assert (low.view, high.view) == ({"a": 1}, {})
    assert [each.reason for each in high.messages] == ["", "below_min_edge"]


def test_who_has_no_window_is_told_alone_until_it_has_caught_up(scene):
    slow, quick = scene.readers(0, 0)
    slow.shut(shut=True)
    for number in range(1, 4):
        scene.publish("a", number, number)
        hear([slow, quick])
    assert (slow.together, quick.together) == (False, True)
    assert (len(slow.messages), len(quick.messages)) == (0, 3)
    slow.shut(shut=False)
    hear([slow, quick])
    assert [each.conflated for each in slow.messages] == [0, 1]  # the first waited in the stream, the newest in the feed
    assert slow.together
    scene.publish("a", 4)
    hear([slow, quick])
    assert [reader.messages[-1].sequence for reader in (slow, quick)] == [3, 4]


def test_a_change_that_cannot_be_encoded_ends_the_streams_that_it_is_lost_to(scene):
    readers = scene.readers(0, 0, 9)
    scene.fails = True
    scene.publish("a", 1)
    hear(readers)
    failed = [stream for carrier in scene.carriers for stream, _ in carrier.failed]
    assert failed == [readers[0].stream, readers[1].stream]
    scene.fails = False
    scene.publish("b", 9)
    hear(readers)
    assert readers[2].view == {"b": 9}


@given(
    streams=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 200), st.booleans()), max_size=12),
    window=st.integers(0, 1500),
    room=st.integers(0, 1500),
)
def test_what_is_sent_to_each_is_what_sending_to_one_after_the_other_gives(streams, window, room):
    def made():
        sender = Sender(client=False)
        sender._send_window = 10**9
        sender.out += bytes(FULL - room)
        each = [Stream(1 + 2 * place, 0 if waits else mine, True) for place, (mine, _, waits) in enumerate(streams)]
        for stream, (mine, _, waits) in zip(each, streams, strict=True):
            sender.streams[stream.id] = stream
            if waits:
                sender.send(stream, b"before")
                stream.send_window = mine
        sender._send_window = window
        return sender, each

    def state(sender, each):
        return (
            *(bytes(sender.out), sender._send_window, sender._credit, sender.waiting, list(sender._ready)),
            *[(stream.send_window, list(stream.pending or ()), stream.waiting, stream.sent) for stream in each],
        )

    one, ones = made()
    all_, alls = made()
    messages = [bytes([place]) * length for place, (_, length, _) in enumerate(streams)]
    left = [place for place, message in enumerate(messages) if not one.send(ones[place], message)]
    assert all_.send_each(alls, messages) == left
    assert state(all_, alls) == state(one, ones)


class Written:
    """A connection that counts."""

    def __init__(self, log, fails=False):
        self.log, self.fails = log, fails

    def flush(self):
        self.log.append("write")
        if self.fails:
            raise ValueError("a fault on purpose")

    def close(self):
        self.log.append("close")


async def test_connections_are_written_together_and_others_have_their_turn_between(nursery, autojump_clock, logged):
    flusher, log = Flusher(), []
    assert not flusher.add(Written(log)), "nobody writes yet"
    nursery.start_soon(flusher.run)
    await trio.testing.wait_all_tasks_blocked()
    for place in range(TURN + 1):
        assert flusher.add(Written(log, fails=place == 1))

    async def other():
        log.append("other")

    nursery.start_soon(other)
    await trio.testing.wait_all_tasks_blocked()
    assert log.count("write") == TURN + 1
    assert log.index("other") in (0, TURN + 1)
    assert log[2] == "close" or log[3] == "close"
    assert [line["event"] for line in logged] == ["connection dropped"]


async def test_a_server_that_serves_in_several_places_goes_on_writing_when_one_ends(nursery, autojump_clock):
    flusher, log, scopes = Flusher(), [], [trio.CancelScope(), trio.CancelScope()]

    async def run(scope):
        with scope:
            await flusher.run()

    for scope in scopes:
        nursery.start_soon(run, scope)
    for scope in scopes:
        await trio.testing.wait_all_tasks_blocked()
        assert flusher.add(Written(log))
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert log == ["write", "write"]
    assert not flusher.add(Written(log))
