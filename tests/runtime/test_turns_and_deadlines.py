"""No start and no stop lasts longer than it may, and nobody who tells in a loop keeps the others from their turn."""

import time

import pytest
import trio

from arbiter.runtime import (
    Actor,
    Backpressure,
    Child,
    Conflate,
    DropOldest,
    DynamicGroup,
    Environment,
    Group,
    Message,
    Request,
    StartFailed,
    Supervisor,
)
from arbiter.runtime.living import START_SECONDS


class Note(Message, frozen=True, tag=True):
    pass


class Read(Request[int], frozen=True, tag=True):
    pass


class Idle(Actor[Note]):
    async def handle(self, message: Note) -> object:
        return None


class Taker(Idle):
    def take(self, message: Note) -> bool:
        return True


class Slow(Idle):
    async def started(self) -> None:
        await trio.sleep(20)


class Hangs(Idle):
    async def started(self) -> None:
        await trio.sleep_forever()


class SlowThenHangs(Actor[Note]):
    async def started(self) -> None:
        await trio.sleep(10)

    async def handle(self, message: Note) -> object:
        await trio.sleep_forever()


@pytest.mark.parametrize(
    "mailbox", [Backpressure(10**6), DropOldest(10), Conflate(lambda _: 1), "take"], ids=["backpressure", "drop_oldest", "conflate", "take"]
)
async def test_whoever_tells_in_a_loop_lets_the_others_have_their_turn_whatever_the_mailbox(mailbox, living, autojump_clock):
    child = Child("told", Taker) if mailbox == "take" else Child("told", Idle, mailbox=mailbox)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with living(Group("root", [child])), trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(1000):
            await child.ref.tell(Note())
        assert turns >= 10
        nursery.cancel_scope.cancel()


class Reads(Actor[Note | Read]):
    """Answers at once."""

    def answer(self, request: Note | Read) -> object:
        return 1

    async def handle(self, message: Note | Read) -> object:
        return 1


@pytest.mark.parametrize("how", ["tell", "ask"])
async def test_whoever_sends_to_many_in_turn_lets_the_others_have_their_turn(how, living, autojump_clock):
    children = [Child(f"told {number}", Reads) for number in range(1000)]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with living(Group("root", children)), trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for child in children:
            if how == "tell":
                await child.ref.tell(Note())
            else:
                assert await child.ref.ask(Read(), timeout=1) == 1
        assert turns >= 10
        nursery.cancel_scope.cancel()


def test_a_deadline_ends_a_loop_of_tells_to_a_mailbox_that_always_has_room():
    async def main() -> None:
        child = Child("told", Idle, mailbox=DropOldest(10))
        supervisor = Supervisor(Group("root", [child]), Environment.real())
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            give_up = time.monotonic() + 5
            with trio.move_on_after(0.01) as scope:
                while time.monotonic() < give_up:
                    await child.ref.tell(Note())
            assert scope.cancelled_caught
            supervisor.stop()

    trio.run(main)


async def test_a_group_within_a_group_takes_as_long_to_start_as_its_children(living, autojump_clock):
    inner = Group("inner", [Child("a", Slow), Child("b", Slow)])
    async with living(Group("root", [inner])) as supervisor:
        assert trio.current_time() == 40
        assert {each.state for each in supervisor.statuses()} == {"running"}


async def test_a_parking_group_within_a_group_comes_up_without_the_child_that_hangs_at_its_start(living, autojump_clock):
    inner = Group("inner", [Child("a", Idle), Child("b", Hangs)], exhausted="park")
    async with living(Group("root", [inner])) as supervisor:
        assert trio.current_time() == START_SECONDS
        assert [each.state for each in supervisor.statuses()] == ["running", "backing_off"]


async def test_a_child_that_hangs_at_its_start_fails_its_group_within_a_group(environment, autojump_clock):
    inner = Group("inner", [Child("a", Idle), Child("b", Hangs)])
    with pytest.raises(StartFailed, match="root/inner could not start: StartFailed: root/inner/b could not start: not ready after 30 s"):
        await Supervisor(Group("root", [inner]), environment).run()
    assert trio.current_time() == START_SECONDS


async def test_a_stop_whose_end_falls_on_the_end_of_the_start_ends_with_its_grace(living, autojump_clock):
    group: DynamicGroup[Note] = DynamicGroup("group", lambda key: Child(key, SlowThenHangs, shutdown=25))
    async with living(Group("root", [group])):
        group.ref("a").offer_urgent(Note())
        await trio.sleep(5)  # 25 s before its time to start is over
        with trio.fail_after(100):
            assert await group.stop("a")
        assert trio.current_time() == START_SECONDS


class Busy(Actor[Note]):
    """Begins each message by offering itself another; handles one in 10 ms."""

    def __init__(self) -> None:
        self.handled = 0

    async def handle(self, message: Note) -> object:
        self.context.ref.offer(Note())
        await trio.sleep(0.01)
        return None


async def test_a_tell_that_waits_for_room_is_overtaken_by_nobody(living, autojump_clock):
    child = Child("busy", Busy, mailbox=Backpressure(4))
    async with living(Group("root", [child])):
        while child.ref.offer(Note()):
            pass
        await trio.sleep(0.005)
        with trio.fail_after(0.1):  # its turn comes with the next message
            await child.ref.tell(Note())
