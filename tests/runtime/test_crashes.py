"""What is a crash of a child and what is not."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ArbiterError, ConfigError
from arbiter.runtime import Actor, Child, Group, Supervisor, SupervisorExhausted
from tests.runtime.tree_world import SETTLED, Do, errors, restarts, states


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
