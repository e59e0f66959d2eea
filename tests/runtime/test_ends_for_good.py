"""What ended for good says so to everybody who still has a ref, and no end takes longer than who stops it allows."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import ActorStopped, NotRunning
from arbiter.runtime import (
    Actor,
    Backpressure,
    Child,
    Conflate,
    DynamicGroup,
    Environment,
    Group,
    Intensity,
    Message,
    ReplySlot,
    Request,
    StartFailed,
    Supervisor,
)


class Do(Message, frozen=True, tag=True):
    what: str


class Say(Request[str], frozen=True, tag=True):
    pass


class Part(Actor[Do | Say]):
    async def handle(self, message: Do | Say) -> str | None:
        if isinstance(message, Say):
            return "here"
        match message.what:
            case "crash":
                raise ValueError("as told")
            case "work":
                await trio.sleep(1.5)
        return None


class Cleaner(Part):
    async def stopped(self) -> None:
        await trio.sleep(20)


# -- a temporary group --


async def says_that_it_is_gone(child: Child[Do | Say]) -> None:
    assert child.ref.offer(Do("nothing")) is False
    with pytest.raises(NotRunning):
        await child.ref.ask(Say(), timeout=5)
    with trio.fail_after(5):
        for _ in range(100):
            with pytest.raises(NotRunning):
                await child.ref.tell(Do("nothing"))


async def test_the_actors_of_a_temporary_group_that_ended_are_gone_to_whoever_sends_to_them(living, autojump_clock):
    child = Child("a", Part, mailbox=Backpressure(10))
    inner = Group("inner", [Group("within", [child], intensity=Intensity(0, 1))], intensity=Intensity(0, 1), restart="temporary")
    async with living(Group("root", [inner])):
        child.ref.offer(Do("crash"))
        await trio.sleep(1)
        await says_that_it_is_gone(child)


async def test_a_temporary_group_that_goes_down_with_another_is_gone_and_comes_back_with_its_own_group(living, autojump_clock):
    first, child = Child("first", Part), Child("a", Part, mailbox=Backpressure(10))
    inner = Group("inner", [child], restart="temporary")
    middle = Group("middle", [first, inner], strategy="rest_for_one", intensity=Intensity(1, 100))
    async with living(Group("root", [middle])):
        first.ref.offer(Do("crash"))
        await trio.sleep(1)
        await says_that_it_is_gone(child)
        first.ref.offer(Do("crash"))  # once more than its group allows
        await trio.sleep(1)
        assert await child.ref.ask(Say(), timeout=1) == "here"
        with pytest.raises(ValueError, match="stands in a tree already"):
            Supervisor(Group("other", [child]), Environment.simulated(0))


# -- a stop while something cleans up already --


@pytest.mark.parametrize("stopped", ["tree", "key"])
async def test_a_stop_that_comes_while_a_crashed_one_cleans_up_takes_no_longer_than_its_grace(stopped, environment, autojump_clock):
    shutdown, of_child = (3, 25) if stopped == "tree" else (30, 10)
    group: DynamicGroup[Do | Say] = DynamicGroup("group", lambda key: Child(key, Cleaner, shutdown=of_child), shutdown=shutdown)
    supervisor = Supervisor(Group("root", [group]), environment)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        (await group.start("a")).offer(Do("crash"))
        await trio.sleep(1)
        if stopped == "key":
            assert await group.stop("a")
            assert trio.current_time() == 10  # since the crash: its own grace was running out before that of the stop
        supervisor.stop()
    assert trio.current_time() == (4 if stopped == "tree" else 10)


async def test_a_stop_of_the_tree_shortens_the_cleaning_up_of_a_child_that_is_stopped_already(environment, autojump_clock):
    group: DynamicGroup[Do | Say] = DynamicGroup("group", lambda key: Child(key, Cleaner, shutdown=25), shutdown=3)
    supervisor = Supervisor(Group("root", [Group("inner", [group])]), environment)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        await group.start("a")
        nursery.start_soon(group.stop, "a")
        await trio.sleep(1)
        supervisor.stop()
    assert trio.current_time() == pytest.approx(4)


# -- a stop that is cancelled, a start that is --


@pytest.mark.parametrize("mailbox", [Backpressure(10), Conflate(lambda message: message.what)], ids=["backpressure", "conflate"])
async def test_a_message_in_hand_is_finished_though_who_stopped_the_child_was_cancelled_and_its_timer_goes_on(
    mailbox, living, logs, autojump_clock
):
    finished: list[float] = []

    class Ticking(Part):
        async def started(self) -> None:
            self.context.send_every(0.2, Do("tick"))

        async def handle(self, message: Do | Say) -> str | None:
            await super().handle(message)
            if message == Do("work"):
                finished.append(trio.current_time())
            return None

    group: DynamicGroup[Do | Say] = DynamicGroup("group", lambda key: Child(key, Ticking, mailbox=mailbox, shutdown=4), shutdown=9)
    async with living(Group("root", [group])):
        ref = await group.start("a")
        ref.offer(Do("work"))
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.1):
            await group.stop("a")
        await trio.sleep(5)
        assert finished == [1.5]
        assert [each for each in logs if each["event"] == "child crashed"] == []
        assert (len(group), ref.offer(Do("too late"))) == (0, False)
        with pytest.raises((NotRunning, ActorStopped)):
            await ref.ask(Say(), timeout=1)


async def test_a_start_in_a_tree_that_is_cancelled_from_outside_has_failed(environment, autojump_clock):
    class Slow(Part):
        async def started(self) -> None:
            await trio.sleep(5)

    group: DynamicGroup[Do | Say] = DynamicGroup("group", lambda key: Child(key, Slow))
    scope = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await Supervisor(Group("root", [group]), environment).run(task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        trio.lowlevel.spawn_system_task(cancel_after, 1, scope)
        with pytest.raises(StartFailed, match="root/group/a could not start: its group stops"):
            await group.start("a")
    assert trio.current_time() == 1


async def cancel_after(seconds: float, scope: trio.CancelScope) -> None:
    await trio.sleep(seconds)
    scope.cancel()


async def test_a_supervisor_runs_once(environment, autojump_clock):
    tree = Group("root", [Child("a", Part)])
    supervisor = Supervisor(tree, environment)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        supervisor.stop()
    with pytest.raises(RuntimeError, match="the tree root was run before: make another Supervisor"):
        await supervisor.run()


async def test_one_that_owes_an_answer_does_not_become_passive(living, autojump_clock):
    class Owing(Part):
        async def handle(self, message: Do | Say) -> str | None:
            if isinstance(message, Say):
                self.context.start_task(self.answer_in_a_while, self.context.answer_later())
            self.context.passivate()
            return None

        async def answer_in_a_while(self, slot: ReplySlot) -> None:
            await trio.sleep(1)
            slot.answer("late")

    group: DynamicGroup[Do | Say] = DynamicGroup("group", lambda key: Child(key, Owing))
    async with living(Group("root", [group])):
        ref = await group.start("a")
        assert await ref.ask(Say(), timeout=5) == "late"
        assert len(group) == 1
        ref.offer(Do("nothing"))
        await wait_all_tasks_blocked()
        assert len(group) == 0
