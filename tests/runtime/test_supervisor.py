"""The tree: start and stop in order, restart by strategy and type, intensity, backoff, parking, dynamic children."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, ArbiterError, ConfigError, NotRunning
from arbiter.runtime import Actor, Backoff, Child, DynamicGroup, Environment, Group, Intensity, Message, Supervisor, SupervisorExhausted
from arbiter.runtime.life import STOP
from arbiter.runtime.living import PARK_SECONDS, START_SECONDS

EAGER = Intensity(1000, 1.0)
"""For tests that are not about the intensity."""
SETTLED = 1.0
"""Longer than a first backoff and everything that follows it."""


class Do(Message, frozen=True, tag=True):
    what: str


class Part(Actor[Do]):
    """Writes down its life in the world, which also says how it starts and ends."""

    def __init__(self, name: str, world: "World") -> None:
        self.name = name
        self.world = world
        if name in world.cannot_be_made:
            raise ValueError(f"{name} cannot be made")

    async def started(self) -> None:
        await trio.sleep(self.world.start_seconds.get(self.name, 0))
        if self.name in self.world.cannot_start:
            self.world.note("x", self.name)
            raise ValueError(f"{self.name} cannot start")
        self.world.note("+", self.name)

    async def handle(self, message: Do) -> object:
        match message.what:
            case "crash":
                raise ValueError(f"{self.name} crashed")
            case "group":
                raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("more", [KeyError("two")])])
            case "interrupt":
                raise KeyboardInterrupt
            case "interrupt and crash":
                raise BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError("and this")])
            case "hang":
                await trio.sleep_forever()
            case "work":
                await trio.sleep(1)
        self.world.note("did ", self.name)

    async def stopped(self) -> None:
        await trio.sleep(self.world.stop_seconds.get(self.name, 0))
        self.world.note("-", self.name)
        if self.name in self.world.cannot_stop:
            raise ValueError(f"{self.name} cannot stop")


class World:
    """What happened, in order and with its time, and how the parts behave."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.times: list[tuple[float, str]] = []
        self.children: dict[str, Child[Do]] = {}
        self.start_seconds: dict[str, float] = {}
        self.stop_seconds: dict[str, float] = {}
        self.cannot_start: set[str] = set()
        self.cannot_stop: set[str] = set()
        self.cannot_be_made: set[str] = set()
        self.noted = trio.Event()

    def note(self, what: str, name: str) -> None:
        self.story.append(f"{what}{name}")
        self.times.append((trio.current_time(), f"{what}{name}"))
        self.noted.set()

    async def until(self, last: str) -> None:
        """Wait for this to be the last that happened."""
        while self.story[-1] != last:
            self.noted = trio.Event()
            await self.noted.wait()

    def child(self, name: str, **how: Any) -> Child[Do]:
        child: Child[Do] = Child(name, lambda: Part(name, self), **how)
        self.children[name] = child
        return child

    def group(self, names: str, name: str = "root", **how: Any) -> Group:
        how.setdefault("intensity", EAGER)
        return Group(name, [self.child(each) for each in names], **how)

    def tell(self, name: str, what: str = "crash") -> None:
        assert self.children[name].ref.offer(Do(what))

    async def crash(self, name: str) -> list[str]:
        """Let it crash; what happened until everything was settled again."""
        self.story.clear()
        self.tell(name)
        await trio.sleep(SETTLED)
        return list(self.story)

    async def crash_until_exhausted(self, name: str) -> None:
        await wait_all_tasks_blocked()
        for _ in range(4):
            self.tell(name)
            await trio.sleep(SETTLED)


@pytest.fixture
def world() -> World:
    return World()


def states(supervisor: Supervisor) -> dict[str, str]:
    return {status.name.rpartition("/")[2]: status.state for status in supervisor.statuses()}


def restarts(supervisor: Supervisor) -> dict[str, int]:
    return {status.name.rpartition("/")[2]: status.restarts for status in supervisor.statuses()}


def errors(supervisor: Supervisor) -> dict[str, str]:
    return {status.name.rpartition("/")[2]: status.last_error for status in supervisor.statuses()}


# -- start and stop --


async def test_children_start_in_order_each_when_the_one_before_is_ready_and_stop_in_reverse(world, living, autojump_clock):
    world.start_seconds = {"a": 3, "b": 1}
    inner = Group("inner", [world.child("b"), world.child("c")])
    async with living(Group("root", [world.child("a"), inner, world.child("d")])) as supervisor:
        assert [(when, what) for when, what in world.times] == [(3, "+a"), (4, "+b"), (4, "+c"), (4, "+d")]
        names = [status.name for status in supervisor.statuses()]
        assert names == ["root/a", "root/inner/b", "root/inner/c", "root/d"]
        assert set(states(supervisor).values()) == {"running"}
        assert world.children["c"].ref.name == "inner/c"
    assert world.story[4:] == ["-d", "-c", "-b", "-a"]
    assert set(states(supervisor).values()) == {"stopped"}


async def test_one_that_stops_slowly_is_waited_for_before_the_one_it_depends_on_stops(world, living, autojump_clock):
    world.stop_seconds = {"c": 1.5, "b": 1}
    async with living(world.group("abc")):
        pass
    assert world.times[3:] == [(1.5, "-c"), (2.5, "-b"), (2.5, "-a")]


async def test_one_that_does_not_stop_within_its_grace_is_cancelled(world, living, autojump_clock):
    children = [world.child("a"), world.child("b", shutdown=4), world.child("c", shutdown=3)]
    async with living(Group("root", children)) as supervisor:
        world.tell("b", "hang")
        world.tell("c", "work")
        await wait_all_tasks_blocked()
        assert states(supervisor)["b"] == "running"
    assert world.times[3:] == [(1, "did c"), (1, "-c"), (4, "-b"), (4, "-a")]
    assert errors(supervisor) == {"a": "", "b": "", "c": ""}


async def test_a_group_has_the_grace_of_all_its_children(world, living, autojump_clock):
    inner = Group("inner", [world.child("a", shutdown=3), world.child("b", shutdown=4)])
    assert inner.shutdown == 7.5
    async with living(Group("root", [inner])):
        world.tell("a", "hang")
        world.tell("b", "hang")
        await wait_all_tasks_blocked()
    assert world.times[2:] == [(3, "-b"), (5.25, "-a")]


async def test_one_that_fails_while_it_stops_does_not_keep_the_others_from_stopping(world, living, autojump_clock):
    world.cannot_stop = {"b"}
    async with living(world.group("abc")) as supervisor:
        pass
    assert world.story[3:] == ["-c", "-b", "-a"]
    assert errors(supervisor)["b"] == "ValueError: b cannot stop"


async def test_an_earlier_one_that_crashes_while_a_later_one_stops_comes_back_for_it(world, living, autojump_clock):
    world.stop_seconds = {"b": 1.5}
    inner = Group("inner", [world.child("a")])
    async with living(Group("root", [Group("outer", [inner, world.child("b")])])) as supervisor:
        supervisor.stop()
        await trio.sleep(0.5)
        world.tell("a")
    assert world.story == ["+a", "+b", "-a", "+a", "-b", "-a"]
    assert restarts(supervisor) == {"a": 1, "b": 0}


async def test_no_task_outlives_the_tree(world, living, autojump_clock):
    before = trio.lowlevel.current_statistics().tasks_living
    sessions: DynamicGroup[Do] = DynamicGroup("sessions", world.child)
    async with living(Group("root", [world.group("ab", "inner"), world.child("c"), sessions])):
        sessions.ref("d")
        world.tell("a", "crash")
        world.tell("b", "hang")
        world.tell("c", "crash")
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living > before
    assert trio.lowlevel.current_statistics().tasks_living == before


def test_two_children_of_one_name_are_refused(environment):
    with pytest.raises(ValueError, match="two children of one name"):
        Supervisor(World().group("aa"), environment)


# -- a start that fails --


async def test_a_first_start_that_fails_stops_what_was_started_and_names_the_cause(world, environment, autojump_clock):
    world.cannot_start = {"c"}
    supervisor = Supervisor(world.group("abcd"), environment)
    with pytest.raises(SupervisorExhausted, match="root/c could not start: ValueError: c cannot start") as caught:
        await supervisor.run()
    assert caught.value.__cause__ is not None
    assert world.story == ["+a", "+b", "xc", "-c", "-b", "-a"]
    assert states(supervisor) == dict.fromkeys("abcd", "stopped")


async def test_a_first_start_that_fails_deep_in_the_tree_ends_the_run_with_that_error_in_its_causes(world, environment, autojump_clock):
    world.cannot_be_made = {"c"}
    tree = Group("root", [world.child("a"), Group("inner", [Group("deep", [world.child("b"), world.child("c")])])])
    with pytest.raises(SupervisorExhausted, match="root/inner could not start") as caught:
        await Supervisor(tree, environment).run()
    causes: list[BaseException | None] = [caught.value]
    while causes[-1] is not None:
        causes.append(causes[-1].__cause__)
    assert str(causes[-2]) == "c cannot be made"
    assert world.story == ["+a", "+b", "-b", "-a"]


async def test_whoever_waits_for_the_first_start_hears_that_it_failed(world, environment, autojump_clock):
    world.cannot_start = {"a"}
    async with trio.open_nursery() as nursery:
        with pytest.raises(SupervisorExhausted, match="root/a could not start"):
            await nursery.start(Supervisor(world.group("a"), environment).run)


async def test_one_that_is_not_ready_in_time_has_failed_to_start(world, environment, autojump_clock):
    world.start_seconds = {"b": START_SECONDS + 1}
    with pytest.raises(SupervisorExhausted, match="root/b could not start: not ready after 30 s") as caught:
        await Supervisor(world.group("ab"), environment).run()
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert trio.current_time() == START_SECONDS
    assert world.story == ["+a", "-b", "-a"]


async def test_a_restart_that_is_not_ready_in_time_is_one_more_crash(world, living, autojump_clock):
    async with living(world.group("ab")) as supervisor:
        world.start_seconds = {"b": START_SECONDS + 1}
        world.tell("b")
        await trio.sleep(START_SECONDS)
        assert states(supervisor) == {"a": "running", "b": "starting"}
        world.start_seconds = {}
        await trio.sleep(SETTLED)
        assert states(supervisor) == {"a": "running", "b": "running"}
        assert restarts(supervisor) == {"a": 0, "b": 2}
        assert errors(supervisor)["b"] == "not ready after 30 s"


async def test_one_that_is_not_ready_in_time_and_fails_as_it_is_cancelled_is_still_restarted(world, living, autojump_clock):
    async with living(world.group("a")) as supervisor:
        world.start_seconds, world.cannot_stop = {"a": START_SECONDS + 1}, {"a"}
        world.tell("a")
        await trio.sleep(START_SECONDS)
        world.start_seconds, world.cannot_stop = {}, set()
        await trio.sleep(SETTLED)
        assert states(supervisor) == {"a": "running"}


async def test_one_that_is_never_ready_in_time_waits_ever_longer(world, living, autojump_clock):
    async with living(world.group("a", backoff=Backoff(first=8, longest=1000))):
        world.start_seconds = {"a": 1000}
        world.tell("a")
        await trio.sleep(1000)
    ends = [when for when, what in world.times if what == "-a"]
    waits = [later - earlier - START_SECONDS for earlier, later in pairwise(ends)]
    for number, wait in enumerate(waits[:4]):
        assert 8 * 2**number / 2 <= wait <= 8 * 2**number


async def test_one_that_dies_at_its_first_message_was_ready_all_the_same(world, living, autojump_clock):
    group = world.group("ab")
    world.tell("a", "crash")
    world.tell("a", "note")
    async with living(group) as supervisor:
        await trio.sleep(SETTLED)
        assert states(supervisor) == {"a": "running", "b": "running"}
        assert restarts(supervisor) == {"a": 1, "b": 0}
    assert world.story[:5] == ["+a", "-a", "+b", "+a", "did a"]


# -- strategies --


async def test_one_for_one_restarts_the_one_that_crashed(world, living, autojump_clock):
    async with living(world.group("abc")) as supervisor:
        assert await world.crash("b") == ["-b", "+b"]
        assert restarts(supervisor) == {"a": 0, "b": 1, "c": 0}


async def test_rest_for_one_restarts_also_everything_started_after_it(world, living, autojump_clock):
    async with living(world.group("abcd", strategy="rest_for_one")) as supervisor:
        assert await world.crash("b") == ["-b", "-d", "-c", "+b", "+c", "+d"]
        assert restarts(supervisor) == {"a": 0, "b": 1, "c": 1, "d": 1}
        assert await world.crash("d") == ["-d", "+d"]


async def test_one_for_all_restarts_everything(world, living, autojump_clock):
    async with living(world.group("abc", strategy="one_for_all")) as supervisor:
        assert await world.crash("b") == ["-b", "-c", "-a", "+a", "+b", "+c"]
        assert restarts(supervisor) == {"a": 1, "b": 1, "c": 1}


async def test_one_for_one_restarts_several_beside_each_other(world, living, autojump_clock):
    async with living(world.group("abc")):
        world.start_seconds = dict.fromkeys("abc", 3)
        for name in "abc":
            world.tell(name)
        await trio.sleep(3.2)
        assert sorted(world.story[-3:]) == ["+a", "+b", "+c"]


async def test_groups_are_stopped_and_restarted_like_any_child(world, living, autojump_clock):
    tree = Group("root", [world.child("a"), world.group("bc", "inner"), world.child("d")], strategy="rest_for_one")
    async with living(tree):
        assert await world.crash("a") == ["-a", "-d", "-c", "-b", "+a", "+b", "+c", "+d"]
        assert await world.crash("c") == ["-c", "+c"]


@pytest.mark.parametrize("order", ["ab", "ba", "cba", "bca"])
@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
async def test_those_that_crash_in_the_same_instant_come_back_together_and_in_order(world, living, strategy, order, autojump_clock):
    async with living(world.group("abcd", strategy=strategy)) as supervisor:
        await wait_all_tasks_blocked()
        world.story.clear()
        for name in order:
            world.tell(name)
        await trio.sleep(SETTLED)
        assert [what for what in world.story if what.startswith("+")] == ["+a", "+b", "+c", "+d"]
        assert set(restarts(supervisor).values()) == {1}


async def test_a_rest_for_one_restart_that_fails_halfway_goes_on_from_there_in_order(world, living, autojump_clock):
    async with living(world.group("abcd", strategy="rest_for_one")) as supervisor:
        world.cannot_start = {"c"}
        world.story.clear()
        world.tell("b")
        await trio.sleep(0.06)
        assert world.story == ["-b", "-d", "-c", "+b", "xc", "-c"]
        assert states(supervisor) == {"a": "running", "b": "running", "c": "backing_off", "d": "backing_off"}
        world.cannot_start = set()
        await trio.sleep(SETTLED)
        assert world.story[6:] == ["+c", "+d"]


async def test_a_crash_during_a_rest_for_one_restart_begins_it_anew(world, living, autojump_clock):
    async with living(world.group("abc", strategy="rest_for_one")):
        world.start_seconds = {"b": 1}
        world.story.clear()
        world.tell("a")
        await trio.sleep(0.5)
        world.tell("a")
        await trio.sleep(5)
        assert world.story == ["-a", "-c", "-b", "+a", "-a", "+b", "+c", "-c", "-b", "+a", "+b", "+c"]


async def test_one_dragged_along_that_does_not_stop_is_cancelled_after_its_grace_and_restarted(world, living, autojump_clock):
    async with living(world.group("ab", strategy="rest_for_one")) as supervisor:
        world.tell("b", "hang")
        await wait_all_tasks_blocked()
        world.tell("a")
        await trio.sleep(5)
        assert world.times[2:] == [(0, "-a"), (1.5, "-b"), (1.5, "+a"), (1.5, "+b")]
        assert states(supervisor) == {"a": "running", "b": "running"}
        assert errors(supervisor) == {"a": "ValueError: a crashed", "b": ""}


async def test_a_crash_of_an_earlier_one_takes_along_one_that_backs_off_and_brings_both_back_in_order(world, living, autojump_clock):
    async with living(world.group("abc", strategy="rest_for_one", backoff=Backoff(first=8, longest=8))) as supervisor:
        world.story.clear()
        world.tell("b")
        await trio.sleep(1)
        world.tell("a")
        await trio.sleep(20)
        assert world.story == ["-b", "-c", "-a", "+a", "+b", "+c"]
        assert restarts(supervisor) == {"a": 1, "b": 1, "c": 1}


# -- a stop in the middle --


async def test_a_stop_during_a_rest_for_one_restart_does_not_wait_for_the_rest_of_it(world, living, autojump_clock):
    async with living(world.group("abcd", strategy="rest_for_one")) as supervisor:
        world.start_seconds = {"b": 20, "c": 20}
        world.story.clear()
        world.tell("b")
        await trio.sleep(5)
        assert states(supervisor) == {"a": "running", "b": "starting", "c": "backing_off", "d": "backing_off"}
    assert world.story == ["-b", "-d", "-c", "-b", "-a"]
    assert restarts(supervisor) == {"a": 0, "b": 1, "c": 0, "d": 0}
    assert trio.current_time() == pytest.approx(6.5, abs=0.01)


async def test_a_stop_during_the_first_start_ends_the_run_without_an_error(world, environment, nursery, autojump_clock):
    world.start_seconds = {"b": 20}
    supervisor = Supervisor(Group("root", [world.child("a"), world.group("bc", "inner"), world.child("d")]), environment)

    async def stop_soon() -> None:
        await trio.sleep(5)
        supervisor.stop()

    nursery.start_soon(stop_soon)
    await supervisor.run()
    assert world.story == ["+a", "-b", "-a"]
    assert trio.current_time() == 6.5


async def test_a_stop_before_the_run_is_not_forgotten(world, environment, autojump_clock):
    supervisor = Supervisor(world.group("ab"), environment)
    supervisor.stop()
    await supervisor.run()
    assert world.story == []


async def test_a_stop_during_the_backoff_restarts_nothing(world, living, autojump_clock):
    async with living(world.group("ab", backoff=Backoff(first=10, longest=10))) as supervisor:
        world.tell("b")
        await trio.sleep(1)
        assert states(supervisor) == {"a": "running", "b": "backing_off"}
    assert world.story == ["+a", "+b", "-b", "-a"]
    assert trio.current_time() == 1


@pytest.mark.parametrize("turns", range(8))
async def test_a_stop_in_any_instant_of_a_restart_lets_nothing_start_after_its_stop(world, living, turns, autojump_clock):
    async with living(world.group("ab", backoff=Backoff(first=1e-9, longest=1e-9))) as supervisor:
        world.tell("b")
        await wait_all_tasks_blocked()
        await trio.sleep(1e-9)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        supervisor.stop()
    assert world.story[-1] == "-a"
    assert world.story.count("+b") == world.story.count("-b")


# -- restart types --


async def test_a_permanent_child_is_restarted_also_when_it_ended_well(world, living, autojump_clock):
    async with living(Group("root", [world.child("a")])) as supervisor:
        world.children["a"].mailbox.put_order(STOP)
        await trio.sleep(SETTLED)
        assert (states(supervisor), restarts(supervisor)) == ({"a": "running"}, {"a": 1})


async def test_a_transient_child_is_restarted_when_it_crashed_and_not_when_it_ended_well(world, living, autojump_clock):
    async with living(Group("root", [world.child("a", restart="transient"), world.child("b")])) as supervisor:
        assert await world.crash("a") == ["-a", "+a"]
        world.children["a"].mailbox.put_order(STOP)
        await trio.sleep(SETTLED)
        assert states(supervisor) == {"a": "stopped", "b": "running"}
        assert await world.crash("b") == ["-b", "+b"]
        assert not world.children["a"].ref.offer(Do("never"))


async def test_a_temporary_child_is_never_restarted_and_whoever_asks_it_is_told_that_it_is_gone(world, living, autojump_clock):
    async with living(Group("root", [world.child("a", restart="temporary"), world.child("b")])) as supervisor:
        assert await world.crash("a") == ["-a"]
        assert states(supervisor) == {"a": "stopped", "b": "running"}
        with pytest.raises(ActorStopped):
            await world.children["a"].ref.tell(Do("never"))


@pytest.mark.parametrize("together", [False, True], ids=["alive", "crashed in the same instant"])
async def test_a_temporary_child_is_not_restarted_by_a_siblings_crash_either(world, living, together, autojump_clock):
    children = [world.child("a"), world.child("b", restart="temporary"), world.child("c")]
    async with living(Group("root", children, strategy="rest_for_one")) as supervisor:
        if together:
            world.tell("b")
        story = await world.crash("a")
        assert [what for what in story if what.startswith("+")] == ["+a", "+c"]
        assert states(supervisor) == {"a": "running", "b": "stopped", "c": "running"}


async def test_a_child_that_was_over_lives_again_when_its_whole_group_is_restarted(world, living, autojump_clock):
    inner = Group("inner", [world.child("b", restart="temporary"), world.child("c")])
    async with living(Group("root", [world.child("a"), inner], strategy="rest_for_one")) as supervisor:
        await world.crash("b")
        await world.crash("a")
        assert states(supervisor) == {"a": "running", "b": "running", "c": "running"}
        assert world.children["b"].ref.offer(Do("note"))


# -- intensity --


async def test_as_many_restarts_as_the_intensity_allows_are_no_exhaustion(world, living, autojump_clock):
    async with living(world.group("a", intensity=Intensity(3, 5), backoff=Backoff(longest=0.05))) as supervisor:
        for _ in range(3):
            for _ in range(3):
                world.tell("a")
                await trio.sleep(0.5)
            await trio.sleep(3.6)
        assert (states(supervisor), restarts(supervisor)) == ({"a": "running"}, {"a": 9})


async def test_one_more_ends_the_run_with_exhaustion_after_an_ordered_stop(world, environment, nursery, autojump_clock):
    supervisor = Supervisor(world.group("abc", intensity=Intensity(3, 5)), environment)
    nursery.start_soon(world.crash_until_exhausted, "b")
    with pytest.raises(SupervisorExhausted, match="root/b ended too often: ValueError: b crashed") as caught:
        await supervisor.run()
    assert caught.value.__cause__ is not None
    assert world.story[3:] == [*["-b", "+b"] * 3, "-b", "-c", "-a"]


async def test_the_intensity_of_a_group_counts_the_crashes_of_all_its_children(world, environment, nursery, autojump_clock):
    supervisor = Supervisor(world.group("abcd", intensity=Intensity(3, 5)), environment)

    async def crash_each() -> None:
        await wait_all_tasks_blocked()
        for name in "abcd":
            world.tell(name)
            await trio.sleep(SETTLED)

    nursery.start_soon(crash_each)
    with pytest.raises(SupervisorExhausted, match="root/d ended too often"):
        await supervisor.run()


async def test_an_exhausted_group_is_a_crash_for_its_own_supervisor_and_begins_to_count_anew(world, living, autojump_clock):
    tree = Group("root", [world.child("a"), world.group("bc", "inner", intensity=Intensity(1, 60)), world.child("d")])
    async with living(tree) as supervisor:
        for _ in range(3):
            assert await world.crash("b") == ["-b", "+b"]
            assert await world.crash("b") == ["-b", "-c", "+b", "+c"]
        assert states(supervisor) == dict.fromkeys("abcd", "running")
        assert world.story.count("-a") == 0


async def test_exhaustion_climbs_to_the_root_and_ends_the_run(world, environment, nursery, autojump_clock):
    inner = world.group("b", "inner", intensity=Intensity(0, 5))
    supervisor = Supervisor(Group("root", [world.child("a"), inner], intensity=Intensity(0, 5)), environment)
    nursery.start_soon(world.crash_until_exhausted, "b")
    with pytest.raises(SupervisorExhausted, match="root/inner ended too often: SupervisorExhausted: root/inner/b ended too often"):
        await supervisor.run()
    assert world.story == ["+a", "+b", "-b", "-a"]
    nursery.cancel_scope.cancel()


# -- parking --


async def test_a_parked_child_is_left_down_retried_each_minute_and_its_siblings_notice_nothing(world, living, autojump_clock):
    group = world.group("abc", exhausted="park", intensity=Intensity(3, 5))
    async with living(group) as supervisor:
        world.cannot_start = {"b"}
        world.tell("b")
        await trio.sleep(5)
        assert states(supervisor) == {"a": "running", "b": "parked", "c": "running"}
        assert world.story.count("xb") == 3
        parked_at = world.times[-1][0]
        await trio.sleep(PARK_SECONDS)
        assert world.story.count("xb") > 3
        assert world.times[-1][0] >= parked_at + PARK_SECONDS
        world.cannot_start = set()
        await trio.sleep(2 * PARK_SECONDS)
        assert states(supervisor) == {"a": "running", "b": "running", "c": "running"}
        assert restarts(supervisor) | {"b": 0} == {"a": 0, "b": 0, "c": 0}
        assert {what for what in world.story if "b" not in what} == {"+a", "+c"}


async def test_a_parking_group_comes_up_without_the_child_that_cannot_start_and_takes_it_in_later(world, living, logs, autojump_clock):
    world.cannot_start = {"a"}
    async with living(world.group("ab", exhausted="park", intensity=Intensity(0, 5))) as supervisor:
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"a": "parked", "b": "running"}
        assert [entry["retry_s"] for entry in logs if entry["event"] == "child parked"] == [60]
        world.cannot_start = set()
        await trio.sleep(PARK_SECONDS - 1)
        assert states(supervisor)["a"] == "parked"
        await trio.sleep(2)
        assert states(supervisor)["a"] == "running"


async def test_a_parking_group_counts_for_each_child_on_its_own(world, living, autojump_clock):
    async with living(world.group("ab", exhausted="park", intensity=Intensity(1, 60))) as supervisor:
        for name in "aab":
            await world.crash(name)
        assert states(supervisor) == {"a": "parked", "b": "running"}


async def test_a_parked_child_that_is_tried_again_has_its_whole_intensity_again(world, living, autojump_clock):
    async with living(world.group("a", exhausted="park", intensity=Intensity(1, 600))) as supervisor:
        for _ in range(2):
            await world.crash("a")
            assert states(supervisor) == {"a": "running"}
            await world.crash("a")
            assert states(supervisor) == {"a": "parked"}
            await trio.sleep(PARK_SECONDS)


async def test_a_parking_group_that_its_own_supervisor_restarts_begins_to_count_anew(world, living, autojump_clock):
    inner = world.group("b", "inner", exhausted="park", intensity=Intensity(1, 600))
    async with living(Group("root", [world.child("a"), inner], strategy="rest_for_one", intensity=EAGER)) as supervisor:
        await world.crash("b")
        await world.crash("a")
        await world.crash("b")
        assert states(supervisor) == {"a": "running", "b": "running"}
        await world.crash("b")
        assert states(supervisor) == {"a": "running", "b": "parked"}


# -- backoff --


@given(in_a_row=st.integers(1, 10_000), chance=st.floats(0, 1), first=st.floats(0.001, 10), longest=st.floats(0.001, 100))
def test_a_delay_doubles_up_to_the_longest_less_up_to_half_by_chance(in_a_row, chance, first, longest):
    delay = Backoff(first, longest).delay(in_a_row, chance)
    whole = min(longest, first * 2 ** min(in_a_row - 1, 30))
    assert whole / 2 <= delay <= whole
    assert Backoff(first, longest).delay(in_a_row, 0.0) == whole


async def test_restarts_in_a_row_wait_longer_with_jitter_until_one_ran_quietly(world, living, autojump_clock):
    waits: list[float] = []
    async with living(world.group("a", backoff=Backoff(first=1, longest=8, quiet=30))):
        for run_seconds in (0, 0, 0, 0, 0, 29, 31, 0):
            await trio.sleep(run_seconds)
            began = trio.current_time()
            world.tell("a")
            await wait_all_tasks_blocked()
            await world.until("+a")
            waits.append(trio.current_time() - began)
    for wait, whole in zip(waits, (1, 2, 4, 8, 8, 8, 1, 2), strict=True):
        assert whole / 2 <= wait <= whole
    assert len(set(waits)) == len(waits)


async def test_the_jitter_follows_from_the_seed_alone(world, living, autojump_clock):
    chance = Random(7).random()
    async with living(world.group("a", backoff=Backoff(first=4))):
        world.tell("a")
        await trio.sleep(5)
    (down, _), (up, _) = world.times[1:3]
    assert up - down == pytest.approx(Backoff(first=4).delay(1, chance))


# -- what is a crash and what is not --


async def test_an_exception_group_is_a_crash(world, living, autojump_clock):
    async with living(world.group("ab")) as supervisor:
        world.tell("a", "group")
        await trio.sleep(SETTLED)
        assert (states(supervisor), restarts(supervisor)) == ({"a": "running", "b": "running"}, {"a": 1, "b": 0})
        assert errors(supervisor)["a"].startswith("ExceptionGroup: several")


@pytest.mark.parametrize("what", ["interrupt", "interrupt and crash"])
async def test_an_interrupt_passes_through_the_tree_and_everything_ends(world, environment, nursery, what, autojump_clock):
    supervisor = Supervisor(Group("root", [world.child("a"), world.group("b", "inner")]), environment)
    before = trio.lowlevel.current_statistics().tasks_living

    async def interrupt() -> None:
        await wait_all_tasks_blocked()
        world.tell("b", what)

    nursery.start_soon(interrupt)
    with pytest.raises(BaseExceptionGroup) as caught:
        await supervisor.run()
    assert only_interrupts(caught.value)
    assert sorted(world.story) == ["+a", "+b", "-a", "-b"]
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert errors(supervisor)["b"] == ("" if what == "interrupt" else "ValueError: and this")


def only_interrupts(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(only_interrupts, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


async def test_a_cancellation_from_outside_passes_and_restarts_nothing(world, environment, autojump_clock):
    supervisor = Supervisor(Group("root", [world.child("a"), world.group("bc", "inner")]), environment)
    with trio.move_on_after(3) as scope:
        await supervisor.run()
    assert scope.cancelled_caught
    assert sorted(world.story) == ["+a", "+b", "+c", "-a", "-b", "-c"]
    assert restarts(supervisor) == {"a": 0, "b": 0, "c": 0}
    assert set(states(supervisor).values()) == {"stopped"}


class Stubborn(Actor[Do]):
    """Answers a cancellation with an error, beside a task that takes it as it should."""

    async def handle(self, message: Do) -> object:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(self._fail)
        return None

    async def _fail(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("instead of being cancelled")


@pytest.mark.parametrize("how", ["cancelled from outside", "stopped beyond its grace"])
async def test_of_a_group_of_a_cancellation_and_an_error_the_error_is_noted_and_the_cancellation_passes(
    world, environment, nursery, how, logs, autojump_clock
):
    stubborn: Child[Do] = Child("stubborn", Stubborn)
    supervisor = Supervisor(Group("root", [world.child("a"), stubborn]), environment)
    stubborn.ref.offer(Do("wait"))
    with trio.move_on_after(3) as scope:
        if how == "stopped beyond its grace":
            scope.deadline = 100
            await nursery.start(supervisor.run)
            await wait_all_tasks_blocked()
            supervisor.stop()
            await world.until("-a")
        else:
            await supervisor.run()
    assert scope.cancelled_caught is (how == "cancelled from outside")
    assert world.story == ["+a", "-a"]
    assert errors(supervisor) == {"a": "", "stubborn": "ValueError: instead of being cancelled"}
    assert restarts(supervisor) == {"a": 0, "stubborn": 0}
    assert [entry["child"] for entry in logs if entry["event"] == "child crashed"] == ["root/stubborn"]


async def test_the_cleaning_up_of_a_cancelled_child_has_its_grace(world, environment, autojump_clock):
    world.stop_seconds = {"a": 1, "b": 100}
    with trio.move_on_after(3):
        await Supervisor(world.group("ab"), environment).run()
    assert world.times[2:] == [(4, "-a")]
    assert trio.current_time() == 5


async def test_a_config_error_at_the_start_can_be_found_in_the_causes(environment):
    class Unfit(Actor[Do]):
        async def started(self) -> None:
            raise ConfigError("no key", "make one")

    with pytest.raises(SupervisorExhausted, match="could not start: ConfigError: no key; make one") as caught:
        await Supervisor(Group("root", [Child("unfit", Unfit)]), environment).run()
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.__cause__.subgroup(ArbiterError) is not None


# -- dynamic children --


@pytest.fixture
def sessions(world) -> DynamicGroup[Do]:
    return DynamicGroup("sessions", world.child, capacity=3)


async def test_a_dynamic_child_is_started_when_its_ref_is_first_asked_for(world, living, sessions, autojump_clock):
    world.start_seconds = {"x": 1}
    async with living(Group("root", [world.child("a"), sessions])) as supervisor:
        ref = sessions.ref("x")
        assert ref.offer(Do("note"))
        assert sessions.ref("x") is ref
        assert ref.name == "sessions/x"
        await trio.sleep(SETTLED + 1)
        assert world.story == ["+a", "+x", "did x"]
        assert [status.name for status in supervisor.statuses()] == ["root/a", "root/sessions/x"]
    assert world.story[3:] == ["-x", "-a"]


async def test_dynamic_children_stop_in_reverse(world, living, sessions, autojump_clock):
    async with living(Group("root", [sessions])):
        for key in "xyz":
            sessions.ref(key)
            await wait_all_tasks_blocked()
    assert world.story == ["+x", "+y", "+z", "-z", "-y", "-x"]


async def test_a_dynamic_group_that_is_full_or_down_says_so_and_that_nothing_was_sent(world, living, sessions, autojump_clock):
    down = r"^sessions is not running just now; nothing was sent to it: try again in a moment$"
    with pytest.raises(NotRunning, match=down):
        sessions.ref("x")
    async with living(Group("root", [sessions])):
        refs = [sessions.ref(key) for key in "xyz"]
        with pytest.raises(NotRunning, match=r"^sessions is full \(3\); nothing was sent to it: try again in a moment$"):
            sessions.ref("w")
        assert sessions.ref("x") is refs[0]
    with pytest.raises(NotRunning, match=down):
        sessions.ref("x")
    for ref in refs:
        assert not ref.offer(Do("note"))
        with pytest.raises(NotRunning, match=r"^sessions/. is not running just now; nothing was sent"):
            await ref.tell(Do("note"))


async def test_nothing_new_is_started_while_a_dynamic_group_stops(world, living, sessions, autojump_clock):
    async with living(Group("root", [sessions])) as supervisor:
        sessions.ref("x").offer(Do("hang"))
        await wait_all_tasks_blocked()
        supervisor.stop()
        await wait_all_tasks_blocked()
        with pytest.raises(NotRunning):
            sessions.ref("y")
    assert world.story == ["+x", "-x"]


async def test_a_dynamic_child_that_crashes_is_restarted_on_its_own_and_keeps_its_ref(world, living, sessions, autojump_clock):
    async with living(Group("root", [sessions])) as supervisor:
        ref = sessions.ref("x")
        sessions.ref("y")
        await wait_all_tasks_blocked()
        assert await world.crash("x") == ["-x", "+x"]
        assert sessions.ref("x") is ref
        assert restarts(supervisor) == {"x": 1, "y": 0}


async def test_a_dynamic_child_that_crashes_too_often_is_parked_alone(world, living, sessions, autojump_clock):
    async with living(Group("root", [sessions])) as supervisor:
        world.cannot_start = {"x"}
        sessions.ref("x")
        sessions.ref("y")
        await trio.sleep(5)
        assert states(supervisor) == {"x": "parked", "y": "running"}
        world.cannot_start = set()
        await trio.sleep(PARK_SECONDS)
        assert states(supervisor) == {"x": "running", "y": "running"}


async def test_a_dynamic_group_that_is_restarted_begins_empty_and_ends_its_old_refs(world, living, sessions, autojump_clock):
    async with living(Group("root", [world.child("a"), sessions], strategy="rest_for_one")) as supervisor:
        old = sessions.ref("x")
        await wait_all_tasks_blocked()
        assert await world.crash("a") == ["-a", "-x", "+a"]
        assert not old.offer(Do("note"))
        assert states(supervisor) == {"a": "running"}
        assert sessions.ref("x") is not old
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"a": "running", "x": "running"}


async def test_a_temporary_dynamic_child_that_ended_is_made_anew_when_it_is_asked_for(world, living, autojump_clock):
    sessions: DynamicGroup[Do] = DynamicGroup("sessions", lambda key: world.child(key, restart="temporary"), capacity=1)
    async with living(Group("root", [sessions])):
        old = sessions.ref("x")
        await wait_all_tasks_blocked()
        assert await world.crash("x") == ["-x"]
        with pytest.raises(ActorStopped):
            await old.tell(Do("note"))
        assert sessions.ref("x").offer(Do("note"))
        await wait_all_tasks_blocked()
        assert world.story == ["-x", "+x", "did x"]


# -- the environment --


async def test_a_simulated_environment_follows_from_its_seed_and_trios_clock(autojump_clock):
    one, same, other = Environment.simulated(1), Environment.simulated(1), Environment.simulated(2)
    began = one.unix_ms()
    await trio.sleep(1.5)
    assert one.unix_ms() - began == 1500
    assert one.monotonic() == trio.current_time()
    assert one.random.random() == same.random.random() != other.random.random()


async def test_the_real_environment_tells_milliseconds_of_utc():
    environment = Environment.real()
    assert 1_700_000_000_000 < environment.unix_ms() < 10_000_000_000_000
    assert environment.monotonic() == pytest.approx(trio.current_time(), abs=5)
    assert 0 <= environment.random.random() < 1
