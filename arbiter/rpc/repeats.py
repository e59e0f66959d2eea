"""What comes again and again, told once in a while with the number of times. Pure: the time is handed in, in seconds."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Repeats(Generic[K]):
    """The first of its kind opens a window of `seconds`; its like are counted until that is over. At most `most` kinds at once."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._open: dict[K, tuple[float, int]] = {}
        """When each window was opened, the oldest first, and how many came since."""
        self.forgotten = 0
        """How many were counted of kinds that had to make room, and are told by nobody."""

    def __len__(self) -> int:
        return len(self._open)

    def come(self, key: K, now: float) -> int:
        """One more. For how many a record stands that is made now; 0: it is only counted."""
        since, more = self._open.get(key, (now, 0))
        if key in self._open and now - since < self._seconds:
            self._open[key] = since, more + 1
            return 0
        self._begin(key, now)
        return more + 1

    def _begin(self, key: K, now: float) -> None:
        self._open.pop(key, None)
        if len(self._open) >= self._most:
            self.forgotten += self._open.pop(next(iter(self._open)))[1]
        self._open[key] = now, 0

    def due(self, now: float) -> list[tuple[K, int]]:
        """What was counted in windows that are over by now. They are forgotten."""
        over = []
        while self._open:
            key, (since, more) = next(iter(self._open.items()))
            if now - since < self._seconds:
                break
            del self._open[key]
            if more:
                over.append((key, more))
        return over
