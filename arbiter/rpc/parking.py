"""A place for one task to wait at until another calls it: what trio.Event is for, made to be used again and again."""

from typing import Any

import outcome
import trio


class Parking:
    """One task waits at a time. A wake-up with nobody there is forgotten, so look at the condition before waiting."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None

    @property
    def taken(self) -> bool:
        """Whether somebody waits."""
        return self._task is not None

    async def wait(self) -> Any:
        """Wait for `wake`; what it hands over."""
        assert self._task is None
        self._task = trio.lowlevel.current_task()

        def leave(_raise_cancel: Any) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(leave)

    def wake(self, value: object = None) -> bool:
        """Let it go on; whether somebody waited."""
        task, self._task = self._task, None
        if task is None:
            return False
        trio.lowlevel.reschedule(task, outcome.Value(value))
        return True
