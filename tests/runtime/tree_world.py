"""A tree whose parts write down their lives, and start, work and end as a test says."""

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import Actor, Child, Group, Intensity, Message, Supervisor

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


def states(supervisor: Supervisor) -> dict[str, str]:
    return {status.name.rpartition("/")[2]: status.state for status in supervisor.statuses()}


def restarts(supervisor: Supervisor) -> dict[str, int]:
    return {status.name.rpartition("/")[2]: status.restarts for status in supervisor.statuses()}


def errors(supervisor: Supervisor) -> dict[str, str]:
    return {status.name.rpartition("/")[2]: status.last_error for status in supervisor.statuses()}
