"""One word a minute in the log for each kind of trouble, however often it comes: what goes wrong at a venue may do so without end."""

from collections import Counter
from collections.abc import Callable

LOG_SECONDS = 60.0


class Seldom:
    """Kinds are a few words of ours. `monotonic` tells seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._said_at: dict[str, float] = {}
        self._counts: Counter[str] = Counter()

    def due(self, kind: str) -> int:
        """It happened once more: how often since it was said last, or 0 where that is less than a minute ago."""
        self._counts[kind] += 1
        now = self._monotonic()
        if now - self._said_at.get(kind, float("-inf")) < LOG_SECONDS:
            return 0
        self._said_at[kind] = now
        return self._counts.pop(kind)
