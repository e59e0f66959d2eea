"""Two actors under a supervisor: a counter, and a reporter that asks it. One message kills the counter, and nobody is lost.

    .venv/bin/python examples/counter.py

docs/runtime.md goes through it.
"""

from typing import assert_never

import structlog
import trio

from arbiter.errors import ActorStopped
from arbiter.runtime import Actor, Child, Environment, Group, Message, Ref, Request, Supervisor

ASK_SECONDS = 1.0


class Add(Message, frozen=True, tag=True):
    """Count so many more; a number below zero is a bug of the sender that the counter does not survive."""

    number: int


class GetTotal(Request[int], frozen=True, tag=True):
    """What was counted since the counter began."""


class Counter(Actor[Add | GetTotal]):
    """Counts. Its total lives in the incarnation and dies with it."""

    async def started(self) -> None:
        self.total = 0

    async def handle(self, message: Add | GetTotal) -> int | None:
        match message:
            case Add(number):
                if number < 0:
                    raise ValueError(f"cannot add {number}")
                self.total += number
                return None
            case GetTotal():
                return self.total
            case _:
                assert_never(message)


class Report(Request[str], frozen=True, tag=True):
    """The total in words."""


class Reporter(Actor[Report]):
    """Stands after the counter in the tree, so it may wait for it."""

    def __init__(self, counter: Ref[Add | GetTotal]) -> None:
        self._counter = counter

    async def handle(self, message: Report) -> str:
        return f"counted {await self._counter.ask(GetTotal(), timeout=ASK_SECONDS)}"


async def main() -> None:
    counter = Child("counter", Counter)
    reporter = Child("reporter", lambda: Reporter(counter.ref))
    supervisor = Supervisor(Group("root", [counter, reporter]), Environment.real())
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        await counter.ref.tell(Add(2))
        await counter.ref.tell(Add(3))
        print(await reporter.ref.ask(Report(), timeout=ASK_SECONDS))

        await counter.ref.tell(Add(-1))  # kills it
        await counter.ref.tell(Add(10))  # waits in the mailbox, which outlives it
        try:
            await counter.ref.ask(GetTotal(), timeout=ASK_SECONDS)
        except ActorStopped as stopped:
            print(f"asked too early: {stopped}")
        await trio.sleep(0.1)  # longer than the first backoff
        print(await reporter.ref.ask(Report(), timeout=ASK_SECONDS))
        for status in supervisor.statuses():
            print(f"{status.name}: {status.state}, {status.handled} handled, {status.restarts} restarts {status.last_error}".rstrip())
        supervisor.stop()


if __name__ == "__main__":
    structlog.configure(processors=[lambda _logger, _method, event: f"log: {event['event']}: {event['child']}: {event['error']}"])
    trio.run(main)
