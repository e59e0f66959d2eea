"""Topics: snapshot then changes, what happens to slow readers, one key alone, and starting over."""

import time
from collections import OrderedDict
from contextlib import ExitStack
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import Lagged, Subscription, Topic
from arbiter.runtime.topic import TOMBSTONES


@pytest.fixture
def topic() -> Topic[str, str]:
    return Topic("prices")


async def take(subscription: Subscription[Any, Any], count: int) -> list[Any]:
    return [await subscription.receive() for _ in range(count)]


async def nothing_more(subscription: Subscription[Any, Any]) -> bool:
    with trio.move_on_after(1):
        await subscription.receive()
        return False
    return True


async def test_a_subscriber_gets_the_newest_of_each_key_and_then_every_change_without_gap_or_duplicate(topic, autojump_clock):
    for key, event in (("a", "a1"), ("b", "b1"), ("a", "a2")):
        topic.publish(key, event)
    with topic.subscribe("backpressure") as (snapshot, changes):
        topic.publish("b", "b2")
        topic.publish("c", "c1")
        assert snapshot == ["a2", "b1"]
        assert await take(changes, 2) == ["b2", "c1"]
        assert await nothing_more(changes)
    assert topic.values() == ["a2", "b2", "c1"]
    assert topic.sequence == 5


async def test_a_reader_that_waits_is_woken_by_a_change(topic, nursery):
    received: list[str] = []
    with topic.subscribe() as (snapshot, changes):

        async def read() -> None:
            async for event in changes:
                received.append(event)

        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        assert (snapshot, received) == ([], [])
        for number in range(3):
            topic.publish("a", f"a{number}")
            await wait_all_tasks_blocked()
    assert received == ["a0", "a1", "a2"]
    nursery.cancel_scope.cancel()


async def test_a_receive_that_is_cancelled_loses_no_event(topic):
    with topic.subscribe("backpressure") as (_, changes):
        topic.publish("a", "a1")
        with trio.CancelScope() as scope:
            scope.cancel()
            await changes.receive()
        assert scope.cancelled_caught
        assert await changes.receive() == "a1"


async def test_conflate_keeps_the_newest_of_each_key_and_counts_what_was_missed(topic, autojump_clock):
    with topic.subscribe("conflate") as (_, changes):
        for key, event in (("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3")):
            topic.publish(key, event)
        assert await take(changes, 2) == ["a3", "b1"]
        assert changes.missed == 2
        assert await nothing_more(changes)


async def test_drop_oldest_keeps_the_newest_and_counts_what_was_missed(topic, autojump_clock):
    with topic.subscribe("drop_oldest", capacity=2) as (_, changes):
        for number in range(5):
            topic.publish("a", f"a{number}")
        assert await take(changes, 2) == ["a3", "a4"]
        assert changes.missed == 3
        assert await nothing_more(changes)


async def test_backpressure_keeps_everything_up_to_its_bound_and_one_more_ends_the_subscription_where_the_gap_begins(topic):
    with topic.subscribe("backpressure", capacity=2) as (_, changes):
        for number in range(3):
            topic.publish("a", f"a{number}")
        assert await changes.receive() == "a0"
        # there is room again, but an event is missing already
        topic.publish("a", "a3")
        assert await changes.receive() == "a1"
        for _ in range(2):
            with pytest.raises(Lagged, match="more than 2 events waited: subscribe anew"):
                await changes.receive()
        with topic.subscribe("backpressure", capacity=2) as (snapshot, anew):
            topic.publish("a", "a4")
            assert (snapshot, await anew.receive()) == (["a3"], "a4")


def test_a_policy_that_there_is_not_and_a_subscription_without_room_are_refused_at_the_call(topic):
    for policy, capacity, problem in (
        ("cut_off", 1, "one of conflate, backpressure, drop_oldest, not 'cut_off'"),
        ("conflate", 0, "not 0"),
        ("conflate", -3, "not -3"),
        ("drop_oldest", float("inf"), "a number of at least 1 event, not inf"),
        ("backpressure", 1.5, "not 1.5"),
        ("backpressure", True, "not True"),
    ):
        with pytest.raises(ValueError, match=problem):
            topic.subscribe(policy, capacity=capacity).__enter__()
    assert topic.subscribers == 0


@pytest.mark.parametrize("policy", ["conflate", "backpressure", "drop_oldest"])
async def test_a_slow_subscriber_costs_the_others_nothing(topic, policy, autojump_clock):
    with topic.subscribe(policy, capacity=1) as (_, slow), topic.subscribe("backpressure") as (_, quick):
        for number in range(3):
            topic.publish("a", f"a{number}")
        assert await take(quick, 3) == ["a0", "a1", "a2"]
        assert await slow.receive() == ("a0" if policy == "backpressure" else "a2")
    assert trio.current_time() == 0


@pytest.mark.parametrize("how", ["subscribe", "deliver_to", "deliver_key_to"])
def test_leaving_the_block_unsubscribes_also_by_an_error(topic, how):
    blocks = {
        "subscribe": topic.subscribe(),
        "deliver_to": topic.deliver_to(print),
        "deliver_key_to": topic.deliver_key_to("a", print),
    }

    def fail_inside() -> None:
        with blocks[how]:
            assert topic.subscribers == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail_inside()
    assert topic.subscribers == 0


def test_delivery_hands_over_the_snapshot_and_then_the_changes(topic):
    received: list[str] = []
    topic.publish("a", "a1")
    topic.publish("b", "b1")
    with topic.deliver_to(received.append):
        topic.publish("a", "a2")
    topic.publish("a", "a3")
    assert received == ["a1", "b1", "a2"]


def test_following_one_key_hears_of_that_key_alone_until_it_is_left(topic):
    received: list[str] = []
    topic.publish("a", "a1")
    topic.publish("b", "b1")
    with topic.deliver_key_to("a", received.append):
        topic.publish("a", "a2")
        topic.publish("b", "b2")
        with topic.deliver_key_to("a", received.append):
            assert topic.subscribers == 2
        topic.publish("a", "a3")
    topic.publish("a", "a4")
    assert received == ["a1", "a2", "a2", "a3"]
    assert topic.subscribers == 0


def test_following_a_key_that_has_no_event_yet_begins_with_its_first(topic):
    received: list[str] = []
    with topic.deliver_key_to("a", received.append):
        assert received == []
        topic.publish("a", "a1")
    assert received == ["a1"]


def test_a_follower_hears_only_of_changes_that_matter_to_it_and_of_every_beginning(topic):
    received: list[str] = []

    def other_letter(before: str, now: str) -> bool:
        return before[0] != now[0]

    topic.publish("k", "a1")
    with topic.deliver_key_to("k", received.append, other_letter):
        for event in ("a2", "a3", "b1", "b2", "a4"):
            topic.publish("k", event)
        topic.publish_passing("k", "a5")  # an end
        topic.publish("k", "a6")  # a beginning
    assert received == ["a1", "b1", "a4", "a5", "a6"]


def test_a_key_in_hand_is_the_same_key_also_where_it_ended_and_began_anew(topic):
    key = topic.key("k")
    received: list[str] = []
    assert (key.newest, len(topic)) == (None, 0)
    with topic.deliver_to(received.append):
        key.publish("k1")
        topic.publish("k", "k2")
        assert key.newest == topic.get("k") == "k2"
        topic.publish_passing("k", "k3")
        topic.start_over()
        key.publish("k4")
    assert received == ["k1", "k2", "k3", "k4"]
    assert (topic.values(), topic.sequence) == (["k4"], 1)


def test_keys_that_nobody_holds_or_follows_leave_nothing_behind(topic):
    with topic.deliver_key_to("followed", [].append):
        for number in range(100):
            topic.publish(f"k{number}", "begun")
            topic.publish_passing(f"k{number}", "over")
        topic.publish_passing("passing", "by")
        assert set(topic._keys) == {"followed"}
    topic.publish("kept", "until the publisher starts over")
    topic.start_over()
    assert not topic._keys


def test_a_follower_that_leaves_while_its_key_ends_takes_no_later_key_with_it(topic):
    leaving = ExitStack()
    leaving.enter_context(topic.deliver_key_to("k", lambda event: leaving.close() if event == "over" else None))
    topic.publish("k", "begun")
    with topic.deliver_key_to("k", lambda event: topic.publish("k", "anew") if event == "over" else None):
        topic.publish_passing("k", "over")
    assert topic.get("k") == "anew"


def test_a_passing_event_reaches_subscribers_and_ends_its_key(topic):
    received: list[str] = []
    topic.publish("a", "a1")
    with topic.deliver_to(received.append):
        topic.publish_passing("a", "a is over")
        topic.publish_passing("b", "never retained")
    assert received == ["a1", "a is over", "never retained"]
    assert topic.get("a") is None
    assert len(topic) == 0


async def test_starting_over_begins_an_epoch_with_nothing_retained_and_keeps_the_subscribers(topic):
    topic.publish("a", "a1")
    topic.publish("b", "b1")
    with topic.subscribe("backpressure") as (_, changes):
        topic.start_over()
        assert (topic.epoch, topic.sequence, topic.values()) == (1, 0, [])
        topic.publish("a", "a rebuilt")
        assert await changes.receive() == "a rebuilt"
        assert (topic.epoch, topic.sequence, topic.get("b")) == (1, 1, None)


# -- what subscribers do while they are handed something --


async def test_one_that_begins_to_follow_while_an_event_is_handed_out_gets_it_once(topic):
    received: dict[str, list[str]] = {"key": [], "all": []}
    with ExitStack() as stack:

        def join(event: str) -> None:
            if event == "a1":
                stack.enter_context(topic.deliver_key_to("a", received["key"].append))
                stack.enter_context(topic.deliver_to(received["all"].append))

        stack.enter_context(topic.deliver_to(join))
        stack.enter_context(topic.deliver_key_to("a", lambda _: None))
        topic.publish("a", "a1")
        topic.publish("a", "a2")
    assert received == {"key": ["a1", "a2"], "all": ["a1", "a2"]}


def test_one_that_left_while_an_event_is_handed_out_does_not_get_it_any_more(topic):
    received: list[str] = []
    with ExitStack() as stack, ExitStack() as leaving:
        stack.enter_context(topic.deliver_to(lambda event: leaving.close() if event == "a1" else None))
        leaving.enter_context(topic.deliver_to(received.append))
        leaving.enter_context(topic.deliver_key_to("a", received.append))
        stack.enter_context(topic.deliver_to(received.append))
        topic.publish("a", "a0")
        received.clear()
        topic.publish("a", "a1")
        assert received == ["a1"]
        assert topic.subscribers == 2


def test_what_a_subscriber_publishes_is_handed_out_after_what_it_was_handed_so_that_all_see_one_order(topic):
    received: list[str] = []
    late: list[str] = []

    def answer(event: str) -> None:
        if event == "a1":
            topic.publish("a", "a2")
            assert topic.get("a") == "a1"
            topic.publish_passing("b", "b over")
            stack.enter_context(topic.deliver_to(late.append))

    with ExitStack() as stack:
        stack.enter_context(topic.deliver_to(answer))
        stack.enter_context(topic.deliver_to(received.append))
        stack.enter_context(topic.deliver_key_to("a", received.append))
        topic.publish("a", "a1")
        assert received == ["a1", "a1", "a2", "a2", "b over"]
        assert late == ["a1", "a2", "b over"]
        assert (topic.get("a"), topic.sequence) == ("a2", 3)


def test_subscribers_that_answer_each_other_without_end_are_stopped(topic, logs):
    with topic.deliver_to(lambda event: topic.publish("a", f"{len(event)} times")):
        topic.publish("a", "begin")
    assert [each["error"] for each in logs] == ["RuntimeError: the subscribers of prices answer each other's events without end"]
    assert topic.subscribers == 0


def test_a_subscriber_that_fails_is_cut_off_and_told_of_and_the_publisher_and_the_others_notice_nothing(topic, logs):
    received: list[str] = []
    with topic.deliver_to(lambda _: 1 / 0), topic.deliver_key_to("a", lambda _: 1 / 0), topic.deliver_to(received.append):
        topic.publish("a", "a1")
        assert topic.subscribers == 1
        topic.publish("a", "a2")
    assert (received, topic.subscribers) == (["a1", "a2"], 0)
    assert [(each["event"], each["topic"], each["error"]) for each in logs] == [
        ("subscriber cut off", "prices", "ZeroDivisionError: division by zero")
    ] * 2


async def test_a_conflating_subscriber_takes_as_long_for_each_of_many_keys_as_for_each_of_few():
    async def seconds_each(keys: int) -> float:
        topic: Topic[int, int] = Topic("many")
        with topic.subscribe() as (_, changes):
            for key in range(keys):
                topic.publish(key, key)
            began = time.process_time()
            for key in range(keys):
                assert await changes.receive() == key
            return (time.process_time() - began) / keys

    few = min([await seconds_each(2_000) for _ in range(3)])
    assert await seconds_each(100_000) < 3.5 * few


@pytest.mark.parametrize("seed", range(20))
async def test_a_conflating_subscriber_gets_of_many_keys_the_newest_in_the_order_in_which_they_first_waited(topic, seed):
    chance, waiting, missed = Random(seed), OrderedDict(), 0
    with topic.subscribe() as (_, changes):
        for number in range(2_000):
            if waiting and chance.random() < (0.2, 0.7)[number // 500 % 2]:
                assert await changes.receive() == waiting.popitem(last=False)[1]
            else:
                key = str(chance.randrange(300))
                missed += key in waiting
                waiting[key] = number
                topic.publish(key, number)
        assert changes.missed == missed


EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=30)


@given(events=EVENTS, joins=st.lists(st.integers(0, 30), max_size=4))
def test_snapshot_and_changes_are_the_whole_story_wherever_one_joins(events, joins):
    topic: Topic[str, tuple[str, int]] = Topic("prices")
    heard: list[tuple[int, list[tuple[str, int]]]] = []
    with ExitStack() as stack:
        for number, (key, value) in enumerate(events):
            for _ in range(joins.count(number)):
                received: list[tuple[str, int]] = []
                stack.enter_context(topic.deliver_to(received.append))
                heard.append((number, received))
            topic.publish(key, (key, value))
    for joined, received in heard:
        before = dict(events[:joined])
        assert received == [*before.items(), *events[joined:]]


# -- who comes back --


def catch_up(view: dict[str, Any], topic: Topic[str, Any], sequence: int, ended: str) -> dict[str, Any]:
    """What a reader has who applies what it missed; an ended key's last event is `ended`."""
    missed = topic.since(sequence)
    assert missed is not None
    view = view | {each.key: each.event for each in missed}
    return {key: event for key, event in view.items() if event != ended}


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["new", "end", "leave"])), max_size=40))
def test_who_comes_back_gets_each_key_newer_than_what_it_saw_and_the_last_word_of_those_that_ended(steps):
    topic: Topic[str, Any] = Topic("prices")
    left: list[tuple[int, dict[str, Any]]] = [(0, {})]
    for number, (key, what) in enumerate(steps):
        if what == "new":
            topic.publish(key, number)
        elif what == "end":
            topic.publish_passing(key, "over")
        else:
            left.append((topic.sequence, {each.key: each.event for each in topic.kept()}))
    now = {each.key: each.event for each in topic.kept()}
    for sequence, view in left:
        assert catch_up(view, topic, sequence, "over") == now
        missed = topic.since(sequence)
        assert [each.sequence for each in missed] == sorted(each.sequence for each in missed if each.sequence > sequence)
        assert topic.since(sequence, "ab") == [each for each in missed if each.key in "ab"]
    assert topic.since(topic.sequence) == []


def test_of_ended_keys_a_bounded_number_is_remembered_and_who_was_away_longer_needs_a_snapshot(topic):
    topic.publish("lives", "on")
    for number in range(TOMBSTONES + 1):
        topic.publish_passing(f"k{number}", "over")
    assert topic.since(1) is None
    missed = topic.since(2)
    assert [each.key for each in missed] == [f"k{number}" for number in range(1, TOMBSTONES + 1)]
    assert topic.since(topic.sequence + 1) is None  # of another run
    topic.start_over()
    assert topic.since(0) == []


def test_a_key_that_ended_and_lives_again_is_told_once_as_it_lives(topic):
    topic.publish_passing("k", "over")
    topic.publish("k", "anew")
    assert [(each.event, each.sequence) for each in topic.since(0)] == [("anew", 2)]


def test_who_follows_on_hears_of_a_start_over_before_what_comes_after_it(topic):
    heard: list[Any] = []
    topic.publish("a", "before")
    with topic.follow_on(lambda key, event: heard.append((key, event)), lambda: heard.append(topic.epoch)):
        topic.publish("a", "a1")
        topic.start_over()
        topic.publish("a", "a2")
    topic.start_over()
    topic.publish("a", "a3")
    assert heard == [("a", "a1"), 1, ("a", "a2")]
    assert topic.subscribers == 0


def test_what_a_subscriber_publishes_during_its_snapshot_comes_once_and_after_it(topic):
    topic.publish("a", "a1")
    topic.publish("b", "b1")
    got: list[tuple[str, str]] = []

    def sink(key: str, event: str) -> None:
        got.append((key, event))
        if event == "a1":
            topic.publish("b", "b2")

    with topic.deliver_each_to(sink):
        assert got == [("a", "a1"), ("b", "b1"), ("b", "b2")]
        topic.publish("b", "b3")
    assert got[3:] == [("b", "b3")]


def test_one_that_fails_in_its_snapshot_is_gone_and_what_it_published_is_published(topic):
    topic.publish("a", "a1")
    got: list[tuple[str, str]] = []

    def sink(key: str, event: str) -> None:
        got.append((key, event))
        topic.publish("b", "b1")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), topic.deliver_each_to(sink):
        pass
    assert (got, topic.get("b"), topic.subscribers) == ([("a", "a1")], "b1", 0)


@pytest.mark.parametrize("fault", ["event", "start over"])
def test_one_that_follows_on_and_fails_is_cut_off_and_the_publisher_notices_nothing(topic, fault, logs):
    heard: list[str] = []

    def fail(*_: object) -> None:
        heard.append("failed")
        raise ValueError("mine")

    def hear(*_: object) -> None:
        heard.append("heard")

    with topic.follow_on(*((fail, hear) if fault == "event" else (hear, fail))):
        for _ in range(2):
            if fault == "event":
                topic.publish("a", "a1")
            topic.start_over()
        topic.publish("a", "a2")
        assert topic.subscribers == 0
    assert heard == ["failed"]
    assert [each["event"] for each in logs] == ["subscriber cut off"]
