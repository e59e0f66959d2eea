"""Which children are restarted with one that crashed, and which not, also where a stop comes in between."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped
from arbiter.runtime import Backoff, Group, Supervisor
from arbiter.runtime.life import STOP
from tests.runtime.tree_world import SETTLED, Do, errors, restarts, states

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
