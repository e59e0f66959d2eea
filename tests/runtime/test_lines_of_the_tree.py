"""What a tree says of itself from outside: the line of a group that is down, and whose restarts are counted."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.runtime import Actor, Child, DynamicGroup, Group, Intensity, Message
from arbiter.runtime.living import PARK_SECONDS

AT_ONCE = 0.01
SETTLED = 2.0
"""Longer than a first backoff."""


class Crash(Message, frozen=True, tag=True):
    pass


class Part(Actor[Crash]):
    def __init__(self, name: str, broken: set[str]) -> None:
        self.name = name
        self.broken = broken

    async def started(self) -> None:
        if self.name in self.broken:
            raise ValueError(f"{self.name} cannot start")

    async def handle(self, message: Crash) -> object:
        raise ValueError(f"{self.name} crashed")


class Parts(dict[str, Child[Crash]]):
    """The children of a tree by their name, and which of them cannot start."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()

    def make(self, name: str) -> Child[Crash]:
        self[name] = Child(name, lambda: Part(name, self.broken))
        return self[name]

    def inner(self, names: str) -> Group:
        return Group("inner", [self.make(name) for name in names], intensity=Intensity(0, 5))

    async def crash(self, name: str, seconds: float = SETTLED) -> None:
        await wait_all_tasks_blocked()
        assert self[name].ref.offer(Crash())
        await trio.sleep(seconds)


@pytest.fixture
def parts():
    return Parts()


def lines(supervisor):
    return [(each.name, each.kind, each.state, each.restarts) for each in supervisor.statuses()]


async def test_a_group_that_backs_off_or_is_parked_has_a_line_before_its_actors_that_says_why(parts, living, autojump_clock):
    tree = Group("root", [parts.make("a"), parts.inner("b")], exhausted="park", intensity=Intensity(1, 3600))
    async with living(tree) as supervisor:
        assert lines(supervisor) == [("root/a", "actor", "running", 0), ("root/inner/b", "actor", "running", 0)]
        await parts.crash("b", AT_ONCE)
        assert lines(supervisor)[1:] == [("root/inner", "group", "backing_off", 0), ("root/inner/b", "actor", "stopped", 0)]
        line = supervisor.statuses()[1]
        assert line.last_error == "SupervisorExhausted: root/inner/b ended too often: ValueError: b crashed"
        assert (line.mailbox_depth, line.handled, line.lost, line.histogram) == (0, 0, 0, ())
        await trio.sleep(SETTLED)
        assert lines(supervisor)[1:] == [("root/inner/b", "actor", "running", 1)]
        await parts.crash("b")
        assert lines(supervisor)[1:] == [("root/inner", "group", "parked", 1), ("root/inner/b", "actor", "stopped", 1)]
        await trio.sleep(PARK_SECONDS)
        assert lines(supervisor)[1:] == [("root/inner/b", "actor", "running", 2)]
    assert {state for _, _, state, _ in lines(supervisor)} == {"stopped"}


async def test_groups_that_went_down_with_an_earlier_sibling_have_a_line_until_they_are_back(parts, living, autojump_clock):
    on_demand = DynamicGroup("on_demand", parts.make)
    tree = Group("root", [parts.make("a"), parts.inner("b"), on_demand], strategy="rest_for_one")
    async with living(tree) as supervisor:
        await on_demand.start("x")
        await parts.crash("a", AT_ONCE)
        assert [(name, state) for name, kind, state, _ in lines(supervisor) if kind == "group"] == [
            ("root/inner", "backing_off"),
            ("root/on_demand", "backing_off"),
        ]
        await trio.sleep(SETTLED)
        assert lines(supervisor) == [("root/a", "actor", "running", 1), ("root/inner/b", "actor", "running", 1)]


async def test_who_comes_back_with_its_group_was_restarted_and_who_never_ran_before_was_not(parts, living, autojump_clock):
    parts.broken.add("b")
    tree = Group("root", [Group("outer", [parts.inner("bc")], exhausted="park", intensity=Intensity(9, 3600)), parts.make("d")])
    async with living(tree) as supervisor:
        await wait_all_tasks_blocked()
        assert lines(supervisor)[0] == ("root/outer/inner", "group", "backing_off", 0)
        parts.broken.clear()
        await trio.sleep(SETTLED)
        assert lines(supervisor) == [
            ("root/outer/inner/b", "actor", "running", 1),
            ("root/outer/inner/c", "actor", "running", 0),
            ("root/d", "actor", "running", 0),
        ]
        await parts.crash("c")
        assert [restarts for _, _, _, restarts in lines(supervisor)] == [2, 1, 0]
