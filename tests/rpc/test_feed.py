"""Feeds: whatever is published, however slow a reader is, wherever it breaks off and comes back, it ends with what the topic holds."""

from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.actors.arb_scanner import SCANNER_STOPPED, OpportunityChanged
from arbiter.domain.arbitrage import Leg, Opportunity
from arbiter.domain.ids import KALSHI, MarketId, OpportunityId, OutcomeId, OutcomeKey, PairId
from arbiter.domain.money import MICRO, Micros
from arbiter.rpc import list_feed as module
from arbiter.rpc.change import Cursor
from arbiter.rpc.encoded import bytes_field, int_field, varint
from arbiter.rpc.feed import Source
from arbiter.rpc.list_feed import ListFeed
from arbiter.rpc.opportunity_feed import OpportunityFeed, net_per_contract
from arbiter.runtime import Topic
from arbiter.runtime import topic as topics
from arbiter.v1 import strategy_pb2, trading_pb2

NOW_MS = 1_800_000_000_000
OVER = trading_pb2.ORDER_STATE_CANCELLED
RUN = 1 << 51


@pytest.fixture(autouse=True, scope="module")
def small():
    """Limits that a few events reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topics, "TOMBSTONES", 3)
        patch.setattr(module, "LARGEST_PART", 2)
        patch.setattr(module, "MOST_WAITING", 3)
        yield


class Event(NamedTuple):
    """An order, as far as this test needs one: whose, which, and a number that never comes twice."""

    user: str
    key: str
    number: int
    over: bool = False


def encode_order(change) -> bytes:
    event = change.event
    order = trading_pb2.Order(order_id=event.key, filled_micros=event.number, state=OVER if event.over else 0)
    return trading_pb2.OrderUpdate(orders=[order], at_unix_ms=event.number).SerializeToString()


class Reader:
    """A client that comes back with the last cursor that it saw. `open_window`: it takes what is written at once."""

    def __init__(self, *, always_asks: bool = False) -> None:
        self.cursor: Cursor | None = Cursor(0, 0) if always_asks else None
        self.view: dict[str, int] = {}
        self.open_window = False
        self.messages: list[Any] = []
        self._connection = ExitStack()
        self.feed: Any = None
        self.sequence = 0

    def make(self) -> Any:
        """A feed, and the question that it answers."""
        raise NotImplementedError

    def apply(self, message: Any) -> None:
        raise NotImplementedError

    def connect(self) -> None:
        self.disconnect()
        feed, question = self.make()
        self.feed = self._connection.enter_context(feed.opened(question, self.cursor))
        self.feed.deliver = self.deliver
        self.sequence = 0

    def disconnect(self) -> None:
        self._connection.close()
        self.feed = None

    def deliver(self, change) -> None:
        if not self.open_window or self.feed.waiting:
            self.feed.hold(change)
        elif (message := self.feed.next(change)) is not None:
            assert message[:5] == b"\0" + (len(message) - 5).to_bytes(4, "big"), "framed"
            self.receive(message[5:])

    def take(self) -> bool:
        """Read one message of those that wait."""
        body = self.feed.take() if self.feed is not None else None
        if body is not None:
            self.receive(body)
        return body is not None

    def catch_up(self) -> None:
        while self.take():
            pass
        assert self.feed is None or not self.feed.waiting

    def receive(self, body: bytes) -> None:
        message = self.parse(body)
        self.messages.append(message)
        self.sequence += 1
        assert message.sequence == self.sequence
        self.cursor = Cursor(message.cursor.epoch, message.cursor.sequence)
        self.apply(message)


class Orders(Reader):
    """Reads one user's orders."""

    parse = staticmethod(trading_pb2.OrderUpdate.FromString)

    def __init__(self, source, user: str, **options) -> None:
        super().__init__(**options)
        self._source, self._user = source, user

    def make(self):
        return ListFeed(self._source, lambda: NOW_MS, (self._user,)), self._user

    def apply(self, message) -> None:
        assert len(message.orders) <= 2
        if message.snapshot:
            self.view.clear()
        for order in message.orders:
            assert order.filled_micros >= self.view.get(order.order_id, 0)  # never back to what was before
            if order.state == OVER:
                self.view.pop(order.order_id, None)
            else:
                self.view[order.order_id] = order.filled_micros


def opportunity(key: str, edge: int, state="opened", number: int = 0) -> OpportunityChanged:
    leg = Leg(OutcomeKey(KALSHI, MarketId("m"), OutcomeId("yes")), *map(Micros, (1, 1, 1, 1)))
    figures = Opportunity((leg, leg), Micros(MICRO), Micros(edge), Micros(edge))
    return OpportunityChanged(
        OpportunityId(key), state, PairId("p"), "title", figures, (1, 2), 10, number, number, "" if state != "closed" else "no_edge"
    )


def encode_opportunity(change) -> bytes:
    event = change.event
    return strategy_pb2.ArbOpportunity(
        opportunity_id=event.id, net_per_contract_micros=event.opportunity.net_per_contract, at_unix_ms=event.at_ms, reason=event.reason
    ).SerializeToString()


class Opportunities(Reader):
    """Reads what is worth it to it."""

    parse = staticmethod(strategy_pb2.ArbOpportunity.FromString)

    def __init__(self, source, least: int, **options) -> None:
        super().__init__(**options)
        self._source, self._least = source, least
        self._asks = self.cursor is not None

    def make(self):
        if not self._asks:  # a client that knows nothing of cursors forgets what it knew
            self.cursor = None
            self.view.clear()
        return OpportunityFeed(self._source, self._least), str(self._least)

    def apply(self, message) -> None:
        key, state = message.opportunity_id, strategy_pb2.OpportunityState.Name(message.state).removeprefix("OPPORTUNITY_STATE_")
        assert state != "SNAPSHOT" or self._asks
        if state == "SNAPSHOT":
            assert self.sequence == 1
            self.view.clear()
        elif state == "CLOSED":
            assert key in self.view or self._asks
            assert message.reason
            self.view.pop(key, None)
        else:
            assert (state == "UPDATED") <= (key in self.view)
            assert (state == "OPENED") <= (key not in self.view or self._asks)
            assert message.net_per_contract_micros >= self._least
            self.view[key] = message.net_per_contract_micros


OFTEN = ("publish",) * 8 + ("take",) * 4 + ("end",) * 2 + ("leave",) * 2 + ("return",) * 3
STEPS = st.lists(st.tuples(st.sampled_from((*OFTEN, "open", "shut", "start over")), st.sampled_from("abce")), min_size=10, max_size=80)
LONG = settings(max_examples=200, deadline=None)


def drive(step: str, readers: list[Reader]) -> None:
    """What readers do."""
    for reader in readers:
        if step == "take":
            reader.take()
        elif step == "leave":
            reader.disconnect()
        elif step == "return" and reader.feed is None:
            reader.connect()
        elif step in ("open", "shut"):
            reader.open_window = step == "open"


@LONG
@given(steps=STEPS)
def test_a_readers_orders_are_the_topics_whatever_happens_between(steps):
    topic: Topic[str, Event] = Topic("orders")
    source = Source(topic, encode_order, run=RUN, group_of=lambda event: event.user)
    slow, quick, bob = Orders(source, "ann"), Orders(source, "ann"), Orders(source, "bob")
    drive("return", [slow, quick, bob])
    for number, (step, argument) in enumerate(steps, 1):
        user = "bob" if argument == "e" else "ann"
        if step == "publish":
            topic.publish(argument, Event(user, argument, number))
        elif step == "end":
            topic.publish_passing(argument, Event(user, argument, number, over=True))
        elif step == "start over":
            rebuilt = topic.kept()
            topic.start_over()
            for each in rebuilt[1:]:  # one ended unseen
                topic.publish(each.key, each.event)
        drive(step, [slow, bob])
        drive(step if step in ("leave", "return", "open") else "", [quick])
        quick.catch_up()
    for reader in (slow, quick, bob):
        drive("return", [reader])
        reader.catch_up()
        mine = {each.key: each.event.number for each in topic.kept() if each.event.user == ("bob" if reader is bob else "ann")}
        assert reader.view == mine
        reader.disconnect()
    assert (topic.subscribers, source.feeds, source._feeds, source._changes) == (0, 0, {}, {})


@LONG
@given(steps=STEPS, seed=st.randoms(use_true_random=False))
def test_a_readers_opportunities_are_those_worth_it_whatever_happens_between(steps, seed):
    topic: Topic[OpportunityId, OpportunityChanged] = Topic("opportunities")
    source = Source(topic, encode_opportunity, run=RUN, measure=net_per_contract)
    readers = [Opportunities(source, least, always_asks=asks) for least in (0, 2) for asks in (False, True)]
    drive("return", readers)
    for number, (step, argument) in enumerate(steps, 1):
        if step == "publish":
            state = "opened" if topic.get(argument) is None else "updated"
            topic.publish(argument, opportunity(argument, seed.randint(0, 4), state, number))
        elif step == "end" and (live := topic.get(argument)) is not None:
            topic.publish_passing(argument, opportunity(argument, live.opportunity.net, "closed", number))
        elif step == "start over":
            topic.start_over()  # without a word of what was open
        drive(step, readers)
    for reader in readers:
        drive("return", [reader])
        reader.catch_up()
        assert reader.view == {each.key: each.event.opportunity.net for each in topic.kept() if each.event.opportunity.net >= reader._least}
        reader.disconnect()
    assert (topic.subscribers, source.feeds, source._feeds, source._changes) == (0, 0, {}, {})


@given(steps=st.lists(st.tuples(st.sampled_from(["publish", "take", "open", "shut"]), st.sampled_from("abc")), max_size=60))
def test_what_is_told_and_what_is_counted_as_conflated_are_all_changes_of_this_readers_own(steps):
    topic: Topic[str, Event] = Topic("orders")
    source = Source(topic, encode_order, run=RUN, group_of=lambda event: event.user)
    topic.publish("a", Event("ann", "a", 0))
    reader = Orders(source, "ann")
    reader.connect()
    own = 1
    for number, (step, key) in enumerate(steps, 1):
        if step == "publish":
            user = "ann" if key in "ab" else "bob"
            own += user == "ann"
            topic.publish(key, Event(user, key, number))
        drive(step, [reader])
    reader.catch_up()
    told = sum(len(message.orders) for message in reader.messages)
    assert told + sum(message.conflated for message in reader.messages) == own


# -- one by one --


class Scene:
    """A topic of opportunities with its source."""

    def __init__(self) -> None:
        self.topic: Topic[OpportunityId, OpportunityChanged] = Topic("opportunities")
        self.encoded: list[str] = []
        self.source = Source(self.topic, self._encode, run=RUN, measure=net_per_contract)

    def _encode(self, change) -> bytes:
        self.encoded.append(change.key)
        return encode_opportunity(change)

    def publish(self, key: str, edge: int, state="updated", number: int = 0) -> None:
        change = opportunity(key, edge, state, number)
        if state == "closed":
            self.topic.publish_passing(change.id, change)
        else:
            self.topic.publish(change.id, change)

    def reader(self, least: int = 0, **options) -> Opportunities:
        reader = Opportunities(self.source, least, **options)
        reader.connect()
        return reader


@pytest.fixture
def scene() -> Scene:
    return Scene()


def states(reader) -> list[str]:
    told = [strategy_pb2.OpportunityState.Name(each.state).removeprefix("OPPORTUNITY_STATE_") for each in reader.messages]
    reader.messages.clear()
    return told


def test_a_change_is_encoded_once_for_all_readers_and_for_the_snapshots_after_it(scene):
    readers = [scene.reader() for _ in range(5)]
    for reader in readers:
        reader.open_window = True
    scene.publish("a", 1)
    assert [states(reader) for reader in readers] == [["OPENED"]] * 5
    late = scene.reader()
    late.catch_up()
    assert states(late) == ["OPENED"]
    assert scene.encoded == ["a"]


def test_what_no_reader_wants_is_not_encoded(scene):
    reader = scene.reader(least=5)
    reader.open_window = True
    scene.publish("a", 4)
    assert (states(reader), scene.encoded) == ([], [])


def test_what_came_and_went_while_the_reader_was_slow_is_not_told_and_counted(scene):
    reader = scene.reader()
    scene.publish("a", 1)
    scene.publish("a", 1, "closed")
    scene.publish("b", 1)
    reader.catch_up()
    assert [(each.opportunity_id, each.conflated) for each in reader.messages] == [("b", 1)]


def test_who_comes_back_is_told_what_ended_and_what_fell_below_its_edge_meanwhile(scene):
    for key in "abc":
        scene.publish(key, 5)
    reader = scene.reader(least=3, always_asks=True)
    reader.catch_up()
    assert states(reader) == ["SNAPSHOT", "OPENED", "OPENED", "OPENED"]
    reader.disconnect()
    scene.publish("a", 5, "closed")
    scene.publish("b", 1)
    scene.publish("d", 4)
    reader.connect()
    reader.catch_up()
    assert [(each.opportunity_id, each.reason) for each in reader.messages] == [("a", "no_edge"), ("b", "below_min_edge"), ("d", "")]
    assert states(reader) == ["CLOSED", "CLOSED", "OPENED"]
    reader.open_window = True
    scene.publish("c", 1)  # told before the break: its end is told too
    assert states(reader) == ["CLOSED"]


def test_an_end_that_nobody_told_before_the_publisher_began_anew_is_told_to_each_reader(scene):
    reader = scene.reader()
    scene.publish("a", 5)
    reader.catch_up()
    scene.topic.start_over()
    scene.publish("b", 5)
    reader.catch_up()
    assert [each.reason for each in reader.messages] == ["", SCANNER_STOPPED, ""]
    assert states(reader) == ["OPENED", "CLOSED", "OPENED"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda scene: scene.reader(least=1), id="another question"),
        pytest.param(lambda scene: scene.topic.start_over(), id="the publisher began anew"),
        pytest.param(lambda scene: setattr(scene.source, "_run", RUN + 7), id="the program began anew"),
        pytest.param(lambda scene: [scene.publish(f"k{n}", 1, "closed") for n in range(4)], id="away for longer than tombstones reach"),
    ],
)
def test_a_cursor_that_does_not_fit_begins_with_a_snapshot(scene, other):
    scene.publish("a", 5)
    reader = scene.reader(always_asks=True)
    reader.catch_up()
    states(reader)
    cursor = reader.cursor
    reader.disconnect()
    asker = other(scene)
    if isinstance(asker, Opportunities):
        asker.disconnect()
        asker.cursor, asker._asks, reader = cursor, True, asker
    reader.connect()
    reader.catch_up()
    assert states(reader)[:1] == ["SNAPSHOT"]


def test_the_cursor_never_passes_what_still_waits(scene):
    reader = scene.reader()
    scene.publish("a", 1)
    scene.publish("b", 1)
    scene.publish("a", 2)  # keeps its place
    reader.take()
    assert (reader.messages[0].opportunity_id, reader.cursor.sequence) == ("a", 1)
    reader.take()
    assert (reader.messages[1].opportunity_id, reader.cursor.sequence) == ("b", 3)


def test_a_reader_with_too_much_waiting_gets_a_fresh_snapshot_and_nothing_queues_without_bound():
    topic: Topic[str, Event] = Topic("orders")
    source = Source(topic, encode_order, run=RUN, group_of=lambda event: event.user)
    reader = Orders(source, "ann")
    reader.connect()
    reader.catch_up()
    for number in range(1, 51):
        topic.publish_passing(f"{number}", Event("ann", f"{number}", number, over=True))
        assert len(reader.feed._waiting) <= 3
    topic.publish("lives", Event("ann", "lives", 99))
    reader.messages.clear()
    reader.catch_up()
    assert [(each.snapshot, [order.order_id for order in each.orders]) for each in reader.messages] == [(True, ["lives"])]
    assert reader.messages[0].conflated >= 50


def test_a_long_snapshot_comes_in_parts_of_which_each_but_the_last_says_that_more_follows():
    topic: Topic[str, Event] = Topic("orders")
    source = Source(topic, encode_order, run=RUN)
    for number in range(5):
        topic.publish(f"{number}", Event("ann", f"{number}", number))
    reader = Orders(source, None)
    reader.make = lambda: (ListFeed(source, lambda: NOW_MS), "all")
    reader.connect()
    topic.publish("0", Event("ann", "0", 7))  # a change meanwhile goes into its place
    reader.catch_up()
    assert [(m.snapshot, len(m.orders), m.more, m.at_unix_ms, m.conflated) for m in reader.messages] == [
        (True, 2, True, NOW_MS, 1),
        (False, 2, True, NOW_MS, 0),
        (False, 1, False, NOW_MS, 0),
    ]
    assert reader.view["0"] == 7


def test_a_reader_that_fails_ends_alone_with_its_fault(scene):
    broken, whole = scene.reader(), scene.reader()
    whole.open_window = True

    def fault(_change):
        raise ZeroDivisionError

    broken.feed.deliver = fault
    scene.publish("a", 1)
    scene.publish("a", 2)
    assert states(whole) == ["OPENED", "UPDATED"]
    with pytest.raises(ZeroDivisionError):
        broken.feed.take()


# -- bytes --


@given(number=st.integers(1, 2**29 - 1), value=st.integers(-(2**63), 2**64 - 1))
def test_numbers_are_written_as_protobuf_writes_them(number, value):
    expected = bytearray()
    for part in (number << 3, value & (2**64 - 1)):
        sevens = [part >> shift & 0x7F for shift in range(0, max(1, part.bit_length()), 7)]
        expected += bytes(each | 0x80 for each in sevens[:-1]) + bytes(sevens[-1:])
    assert int_field(number, value) == bytes(expected)
    assert bytes_field(number, b"abc").endswith(varint(3) + b"abc")


def test_a_field_that_is_appended_counts_and_the_body_stays():
    body = strategy_pb2.ArbOpportunity(opportunity_id="a", state=1, net_micros=-7).SerializeToString()
    read = strategy_pb2.ArbOpportunity.FromString(body + int_field(2, 3) + bytes_field(14, b"why"))
    assert (read.opportunity_id, read.state, read.net_micros, read.reason) == ("a", 3, -7, "why")
