"""How often and how fast children are restarted: intensity, parking, backoff."""

from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import Backoff, Group, Intensity, Supervisor, SupervisorExhausted
from arbiter.runtime.living import PARK_SECONDS
from tests.runtime.tree_world import EAGER, SETTLED, restarts, states

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
