"""Children that are started when they are first asked for."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, NotRunning
from arbiter.runtime import DynamicGroup, Group
from arbiter.runtime.living import PARK_SECONDS
from tests.runtime.tree_world import SETTLED, Do, restarts, states


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
