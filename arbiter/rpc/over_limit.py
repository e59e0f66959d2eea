"""A connection whose calls are more than somebody may make: what that costs everybody else is kept small.

What is refused for its number is refused again until there can be room, without asking the gate; and such a connection gets less of
the loop: one call, then turns in which another connection's call is read and answered. Nothing waits by a clock, so a program that
has nothing else to do is not slower for it, and a stop behind a hundred such calls is some milliseconds away.
"""

import math

from arbiter.errors import LimitExceeded
from arbiter.rpc import answer_blocks
from arbiter.rpc.call import Ending
from arbiter.rpc.call_head import CallHead

CALLS_A_TURN = 128
"""Begun by one connection, before the others have a turn. Less would divide what an honest client has under way, and cost twice as much."""
REFUSALS_FOR_A_CALL = 8
"""Cost as much as a call, where the gate is not asked. So whoever else calls through the same connection waits the less for them."""
TURNS_OF_OTHERS = 2
"""After each call of a connection that is over a limit: a call is read in one turn and runs in the next."""
OVER_SECONDS = 1.0
"""So long after a refusal a connection counts as over a limit."""
BARRED_SECONDS = 0.02
"""So long at most a refusal stands: by so much the time to wait that it tells may be too long, and a sign-in that has ended may be told
of too late.
"""


class OverLimit:
    """Of one connection. Times are trio's, in seconds; `now` is when the turn began."""

    __slots__ = ("_left", "_until", "now")

    def __init__(self) -> None:
        self._until = -math.inf
        self._left = 0
        """What this turn may still bring, in refusals."""
        self.now = -math.inf

    @property
    def over(self) -> bool:
        """Whether the connection was over a limit lately."""
        return self.now < self._until

    def begin_turn(self, now: float) -> None:
        """A turn of the connection begins."""
        self.now = now
        self._left = REFUSALS_FOR_A_CALL * (1 if self.over else CALLS_A_TURN)

    def turns_of_others(self) -> int:
        """How many turns to leave to others before the next."""
        return TURNS_OF_OTHERS if self.over else 1

    def begin_call(self) -> bool:
        """A call is about to begin; whether it is the last one of this turn."""
        self._left -= REFUSALS_FOR_A_CALL
        return self._left <= 0

    def refused_again(self) -> bool:
        """A call was answered with `CallHead.barred`; whether it is the last one of this turn."""
        self._until = self.now + OVER_SECONDS
        self._left -= 1
        return self._left <= 0

    def refused(self, head: CallHead, error: LimitExceeded, ending: Ending, *, bar: bool) -> None:
        """The gate has refused a call for its number. `bar`: refuse its like without asking, while there cannot be room."""
        self._until = self.now + OVER_SECONDS
        status, trailers = ending
        if bar and status is not None:
            head.barred = answer_blocks.refusal(status, trailers)
            # limits count in whole milliseconds, so the last one may be over sooner
            head.barred_until = self.now + min((error.retry_after_ms - 1) / 1000, BARRED_SECONDS)
