"""Dynamic children: start, stop and look-up by key; passivation, and revival with no message lost."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, NotRunning
from arbiter.runtime import (
    Actor,
    Backoff,
    Backpressure,
    Child,
    Conflate,
    DropOldest,
    DynamicGroup,
    Group,
    Intensity,
    Message,
    Request,
    StartFailed,
    Topic,
)

QUIET = 1.0
"""Longer than a first backoff."""


class Say(Message, frozen=True, tag=True):
    text: str


class Tell(Request[str], frozen=True, tag=True):
    text: str


class Guest(Actor[Say | Tell]):
    """Does what its words say; its house knows how long it takes to come and to go."""

    def __init__(self, key: str, house: "House") -> None:
        self.key = key
        self.house = house

    async def started(self) -> None:
        self.house.note(f"+{self.key}")
        await trio.sleep(self.house.start_seconds)
        for action in self.house.at_start:
            action(self)
        if self.key in self.house.cannot_start:
            raise ValueError(f"{self.key} cannot start")

    async def handle(self, message: Say | Tell) -> object:
        self.house.note(f"{self.key}: {message.text}")
        match message.text:
            case "crash":
                raise ValueError("as told")
            case "rest":
                self.context.passivate()
            case "rest, not yet":
                self.context.passivate()
                await trio.sleep(1)
            case "end":
                self.context.stop()
            case "hang":
                await trio.sleep_forever()
        return f"{message.text}!"

    async def stopped(self) -> None:
        await trio.sleep(self.house.stop_seconds)
        self.house.note(f"-{self.key}")


class House:
    """A dynamic group of guests, and what happened."""

    def __init__(self, **how: Any) -> None:
        self.story: list[str] = []
        self.start_seconds = 0.0
        self.stop_seconds = 0.0
        self.cannot_start: set[str] = set()
        self.at_start: list[Callable[[Guest], object]] = []
        self.mailbox: Any = Backpressure(10)
        self.restart: Any = "permanent"
        self.group: DynamicGroup[Say | Tell] = DynamicGroup("guests", self.make, backoff=Backoff(first=0.1), **how)
        self.tree = Group("root", [self.group])

    def make(self, key: str) -> Child[Say | Tell]:
        return Child(key, lambda: Guest(key, self), mailbox=self.mailbox, restart=self.restart)

    def note(self, what: str) -> None:
        self.story.append(what)


@pytest.fixture
def house() -> House:
    return House(capacity=2)


# -- start, stop, find --


async def test_start_returns_when_the_child_is_ready(house, living, autojump_clock):
    house.start_seconds = 3
    async with living(house.tree):
        ref = await house.group.start("a")
        assert (trio.current_time(), house.story) == (3, ["+a"])
        assert await house.group.start("a") is ref
        assert house.group.find("a") is ref
        assert (house.group.find("b"), len(house.group)) == (None, 1)
        assert trio.current_time() == 3


async def test_several_who_start_the_same_child_wait_for_the_same_start(house, living, autojump_clock):
    house.start_seconds = 3
    refs: set[Any] = set()

    async def start() -> None:
        refs.add(await house.group.start("a"))

    async with living(house.tree):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(start)
        assert (len(refs), trio.current_time(), house.story) == (1, 3, ["+a"])


async def test_a_start_that_dies_first_says_so_with_its_cause_and_the_child_is_forgotten(house, living, autojump_clock):
    house.cannot_start = {"a"}
    async with living(house.tree):
        with pytest.raises(StartFailed, match="root/guests/a could not start: ValueError: a cannot start") as caught:
            await house.group.start("a")
        assert isinstance(caught.value.__cause__, ExceptionGroup)
        assert (house.group.find("a"), len(house.group)) == (None, 0)
        house.cannot_start = set()
        await trio.sleep(100)
        assert house.story == ["+a", "-a"]
        assert await (await house.group.start("a")).ask(Tell("hello"), timeout=1) == "hello!"


async def test_a_start_that_is_not_ready_in_time_has_died_too(house, living, autojump_clock):
    house.start_seconds = 1000
    async with living(house.tree):
        with pytest.raises(StartFailed, match="not ready after 30 s"):
            await house.group.start("a")
        assert (trio.current_time(), len(house.group)) == (30, 0)


async def test_a_start_of_one_that_crashed_and_is_not_back_is_refused_and_changes_nothing(house, living, autojump_clock):
    async with living(house.tree):
        ref = await house.group.start("a")
        assert ref.offer(Say("crash"))
        await wait_all_tasks_blocked()
        with pytest.raises(NotRunning, match="crashed and is not back yet"):
            await house.group.start("a")
        await trio.sleep(QUIET)
        assert await house.group.start("a") is ref
        assert house.story == ["+a", "a: crash", "-a", "+a"]


async def test_a_stopped_child_finishes_its_message_fails_what_waits_and_leaves_a_dead_ref(house, living, nursery, autojump_clock):
    house.stop_seconds = 0.5
    waiting: list[object] = []
    async with living(house.tree):
        ref = await house.group.start("a")
        ref.offer(Say("rest, not yet"))

        async def ask() -> None:
            with pytest.raises(ActorStopped) as caught:
                await ref.ask(Tell("waits"), timeout=60)
            waiting.append(caught.value.actor)

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert await house.group.stop("a") is True
        await wait_all_tasks_blocked()
        assert (trio.current_time(), waiting) == (1.5, ["guests/a"])
        assert (house.group.find("a"), len(house.group)) == (None, 0)
        assert not ref.offer(Say("too late"))
        with pytest.raises(NotRunning):
            await ref.ask(Tell("too late"), timeout=1)
        assert await house.group.start("a") is not ref
    assert "a: waits" not in house.story


async def test_a_child_that_does_not_stop_in_its_grace_is_cancelled(house, living, autojump_clock):
    async with living(house.tree):
        (await house.group.start("a")).offer(Say("hang"))
        await wait_all_tasks_blocked()
        assert await house.group.stop("a")
        assert (trio.current_time(), house.story) == (1.5, ["+a", "a: hang", "-a"])  # the last quarter is for cleaning up


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize(("cleaning", "gone"), [(0.4, True), (1.9, False), (10, False)])
async def test_a_stop_ends_within_the_grace_and_cleaning_up_has_what_is_left_of_it(house, living, busy, cleaning, gone, autojump_clock):
    house.stop_seconds = cleaning
    async with living(house.tree):
        (await house.group.start("a")).offer(Say("hang" if busy else "nothing"))
        await wait_all_tasks_blocked()
        assert await house.group.stop("a")
        assert trio.current_time() == pytest.approx(min(2, cleaning + 1.5 * busy))
        assert ("-a" in house.story) == (gone or (not busy and cleaning < 2))


async def test_one_that_crashes_while_it_is_stopped_cleans_up_in_what_the_stop_has_left(house, living, autojump_clock):
    house.stop_seconds = 10
    house.at_start = [lambda guest: guest.context.start_task(crash_after, 3)]
    async with living(house.tree):
        (await house.group.start("a")).offer(Say("hang"))
        await trio.sleep(2)
        assert await house.group.stop("a")
        assert trio.current_time() == 4


async def test_a_group_of_many_that_hang_is_gone_within_its_own_grace_with_their_cleaning_up_in_it(living, autojump_clock):
    house = House(capacity=9, shutdown=4.0)
    house.stop_seconds = 0.9
    async with living(house.tree):
        for key in "abcdefghi":
            (await house.group.start(key)).offer(Say("hang"))
        await wait_all_tasks_blocked()
    # the first had its own grace of 2 s, too short for its cleaning up; the others were cancelled after three quarters of the group's
    assert trio.current_time() == pytest.approx(3.9)
    assert sum(each.startswith("-") for each in house.story) == 8


async def crash_after(seconds: float) -> None:
    await trio.sleep(seconds)
    raise ValueError("in a task")


async def test_stopping_what_is_not_there_changes_nothing_and_says_so(house, living, autojump_clock):
    async with living(house.tree):
        assert await house.group.stop("a") is False
        await house.group.start("a")
        assert await house.group.stop("a") is True
        assert await house.group.stop("a") is False


async def test_while_a_child_is_being_stopped_its_key_is_taken_and_not_found(house, living, nursery, autojump_clock):
    house.stop_seconds = 1
    async with living(house.tree):
        await house.group.start("a")
        nursery.start_soon(house.group.stop, "a")
        await wait_all_tasks_blocked()
        assert house.group.find("a") is None
        with pytest.raises(NotRunning, match="guests/a is being stopped"):
            house.group.ref("a")
        with pytest.raises(NotRunning, match="guests/a is being stopped"):
            await house.group.start("a")
        await trio.sleep(1.1)
        assert await (await house.group.start("a")).ask(Tell("again"), timeout=1) == "again!"


async def test_a_child_that_is_stopped_while_it_backs_off_does_not_come_back(house, living, autojump_clock):
    async with living(house.tree):
        (await house.group.start("a")).offer(Say("crash"))
        await wait_all_tasks_blocked()
        assert await house.group.stop("a")
        await trio.sleep(100)
        assert house.story == ["+a", "a: crash", "-a"]


async def test_a_child_that_is_stopped_while_it_starts_is_told_to_who_started_it(house, living, nursery, autojump_clock):
    house.start_seconds = 20
    told: list[str] = []

    async def start() -> None:
        with pytest.raises(StartFailed) as caught:
            await house.group.start("a")
        told.append(str(caught.value))

    async with living(house.tree):
        nursery.start_soon(start)
        await trio.sleep(1)
        assert await house.group.stop("a")
        await wait_all_tasks_blocked()
        assert len(told) == 1
        assert trio.current_time() == 2.5
        assert house.story == ["+a", "-a"]


async def test_two_who_stop_the_same_child_both_hear_of_its_end(house, living, nursery, autojump_clock):
    house.stop_seconds = 1
    stopped: list[bool] = []

    async def stop() -> None:
        stopped.append(await house.group.stop("a"))

    async with living(house.tree) as supervisor:
        await house.group.start("a")
        nursery.start_soon(stop)
        await wait_all_tasks_blocked()
        supervisor.stop()
    await wait_all_tasks_blocked()
    assert stopped == [True]
    assert house.story == ["+a", "-a"]


async def test_a_second_stop_returns_when_the_child_is_gone_also_where_who_stopped_it_first_was_cancelled(
    house, living, nursery, autojump_clock
):
    house.stop_seconds = 1
    heard: list[tuple[bool, float]] = []

    async def stop(patience: float) -> None:
        with trio.move_on_after(patience):
            heard.append((await house.group.stop("a"), trio.current_time()))

    async with living(house.tree):
        await house.group.start("a")
        for patience in (0.5, 5, 5):
            nursery.start_soon(stop, patience)
        await trio.sleep(0.7)
        assert await house.group.stop("a") is True
        assert (trio.current_time(), house.story) == (1, ["+a", "-a"])
        await wait_all_tasks_blocked()
        assert heard == [(True, 1), (True, 1)]
        assert await house.group.stop("a") is False
        assert (await house.group.start("a")).offer(Say("again"))


async def test_a_key_stays_taken_until_its_child_is_gone_though_who_stopped_it_was_cancelled(house, living, autojump_clock):
    house.stop_seconds = 1.5
    async with living(house.tree):
        await house.group.start("a")
        with trio.move_on_after(1):
            await house.group.stop("a")
        with pytest.raises(NotRunning, match="is being stopped"):
            await house.group.start("a")
        await trio.sleep(1)
        assert len(house.group) == 0
        await house.group.start("a")
        assert house.story == ["+a", "-a", "+a"]


async def test_a_child_that_becomes_ready_while_it_is_stopped_has_its_grace_and_no_longer(house, living, autojump_clock):
    house.start_seconds = 1
    async with living(house.tree):
        house.group.ref("a").offer_urgent(Say("hang"))
        await wait_all_tasks_blocked()
        assert await house.group.stop("a")
        assert (trio.current_time(), house.story) == (1.5, ["+a", "a: hang", "-a"])


async def test_the_states_name_what_is_always_there_and_leave_out_what_was_made_for_a_key(house, living, autojump_clock):
    async with living(Group("root", [Child("fixed", lambda: Guest("fixed", house)), house.tree])) as supervisor:
        await house.group.start("a")
        assert len(supervisor.statuses()) == 2
        assert supervisor.states() == [("root/fixed", "running")]


async def test_a_stop_makes_room(house, living, autojump_clock):
    async with living(house.tree):
        for key in "ab":
            await house.group.start(key)
        with pytest.raises(NotRunning, match=r"guests is full \(2\)"):
            await house.group.start("c")
        await house.group.stop("a")
        await house.group.start("c")
        assert len(house.group) == 2


async def test_a_dynamic_group_that_is_down_has_nobody_and_starts_nobody(house):
    assert (house.group.find("a"), len(house.group)) == (None, 0)
    with pytest.raises(NotRunning):
        await house.group.start("a")
    with pytest.raises(NotRunning):
        await house.group.stop("a")


# -- ending oneself --


async def test_an_actor_that_ends_itself_comes_back_where_it_is_permanent_with_what_waited(house, living, autojump_clock):
    async with living(house.tree):
        ref = await house.group.start("a")
        for text in ("end", "waits"):
            ref.offer(Say(text))
        await trio.sleep(QUIET)
        assert house.story == ["+a", "a: end", "-a", "+a", "a: waits"]


@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_an_actor_that_ends_itself_stays_down_where_it_is_not_permanent(house, living, restart, autojump_clock):
    house.restart = restart
    async with living(house.tree):
        ref = await house.group.start("a")
        ref.offer(Say("end"))
        await trio.sleep(QUIET)
        assert house.story == ["+a", "a: end", "-a"]
        assert not ref.offer(Say("too late"))
        assert await house.group.start("a") is not ref


# -- passivation --


async def rest(house: House, key: str = "a") -> Any:
    """A child that is passive, and its ref."""
    ref = await house.group.start(key)
    assert ref.offer(Say("rest"))
    await trio.sleep(house.stop_seconds + 0.01)
    house.story.clear()
    return ref


async def test_a_passive_child_is_gone_from_the_tree_and_its_next_message_makes_it_live_again(house, living, autojump_clock):
    async with living(house.tree) as supervisor:
        ref = await rest(house)
        assert (len(house.group), supervisor.statuses()) == (0, [])
        await ref.tell(Say("hello"))
        await wait_all_tasks_blocked()
        assert house.story == ["+a", "a: hello"]
        (status,) = supervisor.statuses()
        assert (status.state, status.restarts, status.handled) == ("running", 0, 2)
        assert house.group.ref("a") is ref


async def test_every_tell_and_ask_to_a_passive_child_is_handled_in_order(house, living, nursery, autojump_clock):
    house.start_seconds = 1
    answers: list[str] = []

    async def ask(ref: Any, text: str) -> None:
        answers.append(await ref.ask(Tell(text), timeout=5))

    async with living(house.tree):
        ref = await rest(house)
        assert ref.offer(Say("one"))
        nursery.start_soon(ask, ref, "two")
        await wait_all_tasks_blocked()
        await ref.tell(Say("three"))
        await trio.sleep(1.5)
        assert house.story == ["+a", "a: one", "a: two", "a: three"]
        assert answers == ["two!"]


@pytest.mark.parametrize("mailbox", [Backpressure(1), Conflate(lambda m: m.text, 1), DropOldest(1)], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("urgent", [False, True], ids=["", "urgent"])
async def test_a_message_of_any_lane_makes_a_passive_child_live_again(house, living, mailbox, urgent, autojump_clock):
    house.mailbox = mailbox
    async with living(house.tree):
        ref = await rest(house)
        (ref.offer_urgent if urgent else ref.offer)(Say("hello"))
        await wait_all_tasks_blocked()
        assert house.story == ["+a", "a: hello"]


async def test_a_child_that_would_be_passive_goes_on_when_something_waits(house, living, autojump_clock):
    async with living(house.tree):
        ref = await house.group.start("a")
        ref.offer(Say("rest, not yet"))
        await wait_all_tasks_blocked()
        ref.offer(Say("came meanwhile"))
        await trio.sleep(2)
        assert house.story == ["+a", "a: rest, not yet", "a: came meanwhile"]


async def test_a_message_between_the_last_look_and_the_end_makes_it_live_again_at_once(house, living, autojump_clock):
    house.stop_seconds = 1
    async with living(house.tree):
        ref = await house.group.start("a")
        ref.offer(Say("rest"))
        await trio.sleep(0.5)
        assert ref.offer(Say("nearly missed"))
        await trio.sleep(1)
        assert house.story == ["+a", "a: rest", "-a", "+a", "a: nearly missed"]
        assert house.group.find("a") is ref


async def test_an_ask_between_the_last_look_and_the_end_is_answered_by_the_next_incarnation(house, living, autojump_clock):
    house.stop_seconds = 1
    async with living(house.tree):
        ref = await house.group.start("a")
        ref.offer(Say("rest"))
        await trio.sleep(0.5)
        assert await ref.ask(Tell("nearly missed"), timeout=5) == "nearly missed!"


async def test_a_passive_child_whose_ref_nobody_holds_is_forgotten(house, living, autojump_clock):
    async with living(house.tree):
        ref = await rest(house)
        assert house.group.find("a") is ref
        del ref
        gc.collect()  # a mailbox and its node know each other
        assert house.group.find("a") is None
        assert await (await house.group.start("a")).ask(Tell("anew"), timeout=1) == "anew!"


async def test_looking_a_passive_child_up_does_not_wake_it_and_starting_it_does(house, living, autojump_clock):
    async with living(house.tree):
        ref = await rest(house)
        assert house.group.find("a") is ref
        assert house.group.ref("a") is ref
        await wait_all_tasks_blocked()
        assert house.story == []
        assert await house.group.start("a") is ref
        assert house.story == ["+a"]


async def test_one_that_crashes_at_its_revival_is_restarted_and_handles_what_woke_it(house, living, autojump_clock):
    async with living(house.tree) as supervisor:
        ref = await rest(house)
        house.cannot_start = {"a"}
        assert ref.offer(Say("hello"))
        await wait_all_tasks_blocked()
        house.cannot_start = set()
        await trio.sleep(QUIET)
        assert house.story == ["+a", "-a", "+a", "a: hello"]
        (status,) = supervisor.statuses()
        assert status.restarts == 1


async def test_an_ask_whose_revival_crashes_is_told_that_the_actor_stopped(house, living, autojump_clock):
    async with living(house.tree):
        ref = await rest(house)
        house.cannot_start = {"a"}
        with pytest.raises(ActorStopped):
            await ref.ask(Tell("hello"), timeout=60)
        assert trio.current_time() < 1


async def test_a_passive_child_is_dead_once_its_group_has_stopped(house, living, autojump_clock):
    async with living(house.tree):
        ref = await rest(house)
    assert not ref.offer(Say("too late"))
    with pytest.raises(NotRunning):
        await ref.ask(Tell("too late"), timeout=1)
    assert house.story == []


async def test_a_passive_child_that_is_stopped_is_dead_without_being_woken(house, living, autojump_clock):
    async with living(house.tree):
        ref = await rest(house)
        assert await house.group.stop("a") is True
        assert (house.group.find("a"), ref.offer(Say("too late"))) == (None, False)
        assert await house.group.start("a") is not ref


async def test_passive_children_take_no_room_and_come_back_all_the_same_when_there_is_none(house, living, autojump_clock):
    async with living(house.tree):
        ref = await rest(house)
        for key in "bc":
            await house.group.start(key)
        assert await ref.ask(Tell("hello"), timeout=1) == "hello!"
        assert len(house.group) == 3
        with pytest.raises(NotRunning, match="full"):
            await house.group.start("d")


async def test_what_a_passive_child_followed_does_not_wake_it_and_its_timers_died_with_it(house, living, autojump_clock):
    topic: Topic[str, Say] = Topic("news")
    house.at_start = [lambda guest: guest.context.follow(topic), lambda guest: guest.context.send_every(5, Say("tick"))]
    async with living(house.tree):
        ref = await rest(house)
        topic.publish("x", Say("news"))
        await trio.sleep(20)
        assert (house.story, topic.subscribers) == ([], 0)
        assert await ref.ask(Tell("hello"), timeout=1) == "hello!"
        assert house.story == ["+a", "a: hello", "a: news"]


async def test_a_child_may_rest_and_come_back_as_often_as_it_likes_and_that_is_no_crash(living, autojump_clock):
    house = House(intensity=Intensity(0, 60))
    async with living(house.tree) as supervisor:
        ref = await house.group.start("a")
        for _ in range(10):
            assert await ref.ask(Tell("rest"), timeout=1) == "rest!"
        await trio.sleep(1)
        assert (house.story.count("+a"), len(house.group)) == (10, 0)
        assert await ref.ask(Tell("hello"), timeout=1) == "hello!"
        (status,) = supervisor.statuses()
        assert status.restarts == 0


async def test_only_a_dynamic_child_may_be_passive(house, living, autojump_clock):
    child = house.make("a")
    async with living(Group("root", [child])) as supervisor:
        child.ref.offer(Say("rest"))
        await trio.sleep(QUIET)
        (status,) = supervisor.statuses()
        assert status.last_error == "RuntimeError: a stands in no dynamic group, so nothing would make it live again"
