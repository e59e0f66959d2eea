"""Messages to come: once or periodic, and dead with the incarnation that asked for them."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from arbiter.runtime import Actor, Backoff, Backpressure, Child, Group, Intensity, Message, Request, Timer
from arbiter.runtime.testing import running


class Note(Message, frozen=True, tag=True):
    text: str


class Never(Request[None], frozen=True, tag=True):
    """A timer cannot answer it."""


class Clock(Actor[Note]):
    """Sets its timers when it starts and writes down what comes, with its time."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk

    async def started(self) -> None:
        for action in self.desk.at_start:
            self.desk.timers.append(action(self.context))

    async def handle(self, message: Note) -> object:
        self.desk.came.append((trio.current_time(), message.text))
        if message.text == "crash":
            raise ValueError("as told")
        if message.text == "slow":
            await trio.sleep(10)
        return None


class Desk:
    def __init__(self) -> None:
        self.at_start: list[Callable[[Any], Timer]] = []
        self.timers: list[Timer] = []
        self.came: list[tuple[float, str]] = []

    def make(self) -> Clock:
        return Clock(self)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_message_sent_after_a_while_comes_once_and_then(desk, autojump_clock):
    desk.at_start = [lambda context: context.send_after(3, Note("later")), lambda context: context.send_after(0, Note("at once"))]
    async with running(desk.make):
        await trio.sleep(100)
    assert desk.came == [(0, "at once"), (3, "later")]


async def test_a_periodic_message_comes_every_so_often_the_first_after_as_long(desk, autojump_clock):
    desk.at_start = [lambda context: context.send_every(2, Note("tick"))]
    async with running(desk.make):
        await trio.sleep(7)
    assert desk.came == [(2, "tick"), (4, "tick"), (6, "tick")]


async def test_a_timer_that_is_cancelled_does_not_come_any_more(desk, autojump_clock):
    desk.at_start = [lambda context: context.send_every(2, Note("tick")), lambda context: context.send_after(3, Note("later"))]
    async with running(desk.make):
        await trio.sleep(2.5)
        for timer in desk.timers:
            timer.cancel()
            timer.cancel()
        await trio.sleep(100)
    assert desk.came == [(2, "tick")]


async def test_timers_die_with_their_incarnation_and_the_next_has_only_its_own(desk, living, autojump_clock):
    desk.at_start = [lambda context: context.send_every(10, Note("tick")), lambda context: context.send_after(15, Note("later"))]
    child = Child("clock", desk.make)
    async with living(Group("root", [child], backoff=Backoff(first=0))):
        await trio.sleep(5)
        child.ref.offer(Note("crash"))
        await trio.sleep(21)
    assert desk.came == [(5, "crash"), (15, "tick"), (20, "later"), (25, "tick")]


async def test_a_timer_waits_for_room_and_none_is_added_to_one_that_waits(desk, autojump_clock):
    desk.at_start = [lambda context: context.send_every(1, Note("tick"))]
    async with running(desk.make, mailbox=Backpressure(1)) as clock:
        clock.offer(Note("slow"))
        await trio.sleep(0.5)
        clock.offer(Note("waits"))
        await trio.sleep(11)
    assert desk.came == [(0, "slow"), (10, "waits"), (10, "tick"), (11, "tick")]


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
async def test_a_timer_that_makes_no_sense_is_refused(desk, seconds, autojump_clock):
    for verb in ("send_after", "send_every"):
        desk.at_start = [lambda context, verb=verb: getattr(context, verb)(seconds, Note("never"))]
        with pytest.raises(ValueError, match="makes no sense"):
            await live(desk)
    desk.at_start = [lambda context: context.send_every(0, Note("a storm"))]
    with pytest.raises(ValueError, match="every 0 s makes no sense"):
        await live(desk)


@pytest.mark.parametrize("message", ["text", Never()])
async def test_a_timer_sends_messages_alone(desk, message, autojump_clock):
    desk.at_start = [lambda context: context.send_after(1, message)]
    with pytest.raises(TypeError):
        await live(desk)


async def live(desk: Desk) -> None:
    async with running(desk.make):
        pass


async def test_a_timer_of_a_storm_of_restarts_leaves_nothing_behind(desk, living, autojump_clock):
    desk.at_start = [lambda context: context.send_after(1, Note("crash"))]
    before = trio.lowlevel.current_statistics().tasks_living
    async with living(Group("root", [Child("clock", desk.make)], intensity=Intensity(1000, 1), backoff=Backoff(first=0))):
        await trio.sleep(50.5)
        assert len(desk.came) == 50
    assert trio.lowlevel.current_statistics().tasks_living == before
