"""Messages to oneself that come later, once or again and again."""

import trio

from arbiter.runtime.mailbox import Mailbox
from arbiter.runtime.reply import Origin


class Timer(Origin):
    """A message to come. It dies with the incarnation that asked for it, also where it came already and waits."""

    __slots__ = ("_scope",)

    def __init__(self) -> None:
        super().__init__()
        self._scope = trio.CancelScope()

    def cancel(self) -> None:
        """It does not come (any more)."""
        self.over = True
        self._scope.cancel()

    async def run(self, mailbox: Mailbox, first: float, every: float | None, message: object) -> None:
        """Deliver after `first` seconds and then, unless that is None, every so many; waits for room."""
        due = trio.current_time() + first
        with self._scope:
            while True:
                await trio.sleep_until(due)
                await mailbox.put(message, self)
                if every is None:
                    return
                now = trio.current_time()
                due = due + every if due + every > now else now + every  # what was missed is not made up for
