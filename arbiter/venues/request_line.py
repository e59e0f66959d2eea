"""Who waits for which buckets, and who goes next. Pure: time is told to it, in monotonic seconds; nothing here waits.

One line for all requests to a host. A request goes when all its buckets have what it takes, and takes it of all of them
at once. Nobody overtakes where both wait for the same bucket, but who waits for `/book` holds up no one else.
"""

from bisect import insort
from collections.abc import Sequence
from enum import IntEnum

from arbiter.venues.token_bucket import TokenBucket

MOST_WAITING = 250
"""One more is refused: who comes last would wait too long anyway."""

Takings = tuple[tuple[TokenBucket, int], ...]
"""The buckets of a request and what it takes of each."""


class Lane(IntEnum):
    """Who goes first among those who wait."""

    URGENT = 0
    ORDINARY = 1


class WaitTooLong(Exception):
    """A request could not go in time. `seconds`: how long it would have to wait; infinite where it takes more than a bucket holds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Ticket:
    """A place in the line."""

    __slots__ = ("_order", "gone", "takings")

    def __init__(self, lane: Lane, number: int, takings: Takings) -> None:
        self._order = (lane, number)
        self.takings = takings
        self.gone = False
        """It has what it waited for."""

    def __lt__(self, other: "Ticket") -> bool:
        return self._order < other._order


class RequestLine:
    """The line itself."""

    def __init__(self) -> None:
        self._waiting: list[Ticket] = []
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, now: float, takings: Takings, patience: float, lane: Lane = Lane.ORDINARY) -> Ticket:
        """A place, which may be `gone` at once. Raises WaitTooLong, where the wait would be longer than `patience` seconds."""
        self._numbers += 1
        ticket = Ticket(lane, self._numbers, takings)
        seconds = self._wait(now, ticket)
        if seconds > patience or len(self._waiting) >= MOST_WAITING:
            raise WaitTooLong(seconds)
        insort(self._waiting, ticket)
        self.go(now)
        return ticket

    def _wait(self, now: float, ticket: Ticket) -> float:
        """How long it would be until the buckets gave what this and all before it take; what comes later may prolong it."""
        if any(cost > bucket.limit.burst for bucket, cost in ticket.takings):
            return float("inf")
        ahead: dict[int, float] = {}
        for other in self._waiting:
            if other < ticket:
                for bucket, cost in other.takings:
                    ahead[id(bucket)] = ahead.get(id(bucket), 0.0) + cost
        return max((bucket.wait(now, cost + ahead.get(id(bucket), 0.0)) for bucket, cost in ticket.takings), default=0.0)

    def leave(self, ticket: Ticket) -> None:
        """Someone gave up. Who is `gone` has left already."""
        if not ticket.gone:
            self._waiting.remove(ticket)

    def go(self, now: float) -> Sequence[Ticket]:
        """Let all go who may go now."""
        held: set[int] = set()
        going: list[Ticket] = []
        for ticket in self._waiting:
            short = [bucket for bucket, cost in ticket.takings if id(bucket) in held or not bucket.has(now, cost)]
            if short:
                held.update(map(id, short))
                continue
            for bucket, cost in ticket.takings:
                bucket.take(now, cost)
            ticket.gone = True
            going.append(ticket)
        if going:
            self._waiting = [ticket for ticket in self._waiting if not ticket.gone]
        return going

    def wanted(self) -> set[int]:
        """The identities of the buckets that someone waits for."""
        return {id(bucket) for ticket in self._waiting for bucket, _ in ticket.takings}

    def next_in(self, now: float) -> float:
        """In how many seconds `go` is worth calling again; infinite where nobody waits."""
        held: dict[int, float] = {}  # by bucket: for how long someone further ahead waits for it
        earliest = float("inf")
        for ticket in self._waiting:
            wait = 0.0
            for bucket, cost in ticket.takings:
                held[id(bucket)] = until = max(held.get(id(bucket), 0.0), bucket.wait(now, cost))
                wait = max(wait, until)
            earliest = min(earliest, wait)
        return earliest
