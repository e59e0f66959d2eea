"""The tree: its children start and stop in order, or the run ends with the cause."""

from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import Backoff, DynamicGroup, Group, Supervisor, SupervisorExhausted
from arbiter.runtime.living import START_SECONDS
from tests.runtime.tree_world import SETTLED, Do, World, errors, restarts, states

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
