"""What a crash leaves behind: a line in the log, a last error; and that nothing about telling of it is one more crash."""

from typing import Any

import pytest
import structlog
import trio

from arbiter.runtime import Actor, Child, Group, Intensity, Message


class Break(Message, frozen=True, tag=True):
    pass


class Breaks(Actor[Break]):
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def handle(self, message: Break) -> object:
        raise self.error


class WithoutText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def broken(error: Exception) -> tuple[Child[Break], Group]:
    """A tree of one that crashes by this error, and of another."""
    child = Child("a", lambda: Breaks(error))
    return child, Group("root", [child, Child("b", lambda: Breaks(error))], intensity=Intensity(100, 1))


async def test_an_error_that_cannot_say_what_it_is_crashes_no_more_than_its_actor(living, autojump_clock):
    child, tree = broken(WithoutText())
    async with living(tree) as supervisor:
        await child.ref.tell(Break())
        await trio.sleep(1)
        assert [(each.state, each.restarts) for each in supervisor.statuses()] == [("running", 1), ("running", 0)]
        assert supervisor.statuses()[0].last_error == "WithoutText: (it cannot say what it is)"


@pytest.mark.parametrize("exhausted", ["escalate", "park"])
async def test_a_log_that_cannot_be_written_takes_no_tree_down(exhausted, living, autojump_clock):
    def fail(*_: Any) -> Any:
        raise BrokenPipeError("nobody reads")

    child, tree = broken(ValueError("as told"))
    tree.exhausted = exhausted
    if exhausted == "park":
        tree.intensity = Intensity(0)
    async with living(tree) as supervisor:
        with_logs = structlog.get_config()["processors"]
        kept = list(with_logs)
        with_logs[:] = [fail]
        try:
            await child.ref.tell(Break())
            await trio.sleep(1)
        finally:
            with_logs[:] = kept
        states = [each.state for each in supervisor.statuses()]
        assert states == ["parked" if exhausted == "park" else "running", "running"]
        assert supervisor.statuses()[0].last_error == "ValueError: as told"


async def test_a_last_error_is_text_that_can_be_sent(living, autojump_clock):
    child, tree = broken(ValueError("bad \ud800 text\nand more"))
    async with living(tree) as supervisor:
        await child.ref.tell(Break())
        await trio.sleep(1)
        assert supervisor.statuses()[0].last_error == "ValueError: bad ? text"
