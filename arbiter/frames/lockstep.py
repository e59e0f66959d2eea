"""A trio clock that stands still until it is told to go on, and who moves it: from one thing to the next, the program at rest between."""

from typing import Protocol

import trio


class StandingClock(trio.abc.Clock):
    """Starts at 0. Deadlines pass as the time is moved over them, and no real time is waited for."""

    def __init__(self) -> None:
        self.now = 0.0

    def start_clock(self) -> None:
        """Nothing runs by itself."""

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0 if deadline <= self.now else float("inf")


class Steps(Protocol):
    """What happens outside of the program: a `Playback`."""

    def next_at(self) -> float | None:
        """Seconds since the start; None: nothing more."""

    def moved_to(self, seconds: float) -> None:
        """The time went on."""

    def step(self) -> None:
        """Do the next thing, and one only."""


async def drive(clock: StandingClock, steps: Steps) -> None:
    """Each thing at its time, the program at rest before the next; its own timers fire on the way. Returns at the end."""
    # imported here: `trio.testing` imports pytest where there is one
    from trio.testing import wait_all_tasks_blocked

    await wait_all_tasks_blocked()
    while (at := steps.next_at()) is not None:
        due = clock.now + trio.lowlevel.current_statistics().seconds_to_next_deadline
        clock.now = max(clock.now, min(at, due))
        steps.moved_to(clock.now)
        if at <= due:
            steps.step()
        await wait_all_tasks_blocked()
