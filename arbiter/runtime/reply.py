"""What a message has beside it in a mailbox: where its answer arrives, or what it came from."""

from typing import Any

import trio


class Origin:
    """What brought a message to an actor on its own behalf: a timer, a topic that it follows. Over with the incarnation at the latest."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False
        """What it brought and still waits is not handled any more."""


class ReplySlot:
    """One waiting asker. The first answer counts; an answer to an asker that left is dropped."""

    __slots__ = ("_debts", "_error", "_task", "_value", "answered")

    def __init__(self) -> None:
        self.answered = False
        self._task: trio.lowlevel.Task | None = None
        self._value: Any = None
        self._error: Exception | None = None
        self._debts: set[ReplySlot] | None = None

    def answer(self, value: Any) -> None:
        """Give the reply."""
        if not self.answered:
            self._value = value
            self._finish()

    def fail(self, error: Exception) -> None:
        """Let the ask raise."""
        if not self.answered:
            self._error = error
            self._finish()

    def owe(self, debts: "set[ReplySlot]") -> None:
        """Stay in `debts` for as long as somebody waits for the answer."""
        if not self.answered:
            self._debts = debts
            debts.add(self)

    def _finish(self) -> None:
        self._settle()
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    async def wait(self) -> Any:
        """The reply, or the error it failed with. At most one task may wait."""
        if not self.answered:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abandon)
        if self._error is not None:
            raise self._error
        return self._value

    def _abandon(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._task = None
        self._settle()
        return trio.lowlevel.Abort.SUCCEEDED

    def _settle(self) -> None:
        self.answered = True
        if self._debts is not None:
            self._debts.discard(self)
            self._debts = None
