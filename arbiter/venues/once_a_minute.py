"""Keeps a noisy peer from filling the log."""

from arbiter.venues.base import Surroundings


class OnceAMinute:
    """`now()` is True at most once a minute."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._monotonic = surroundings.monotonic
        self._last = float("-inf")

    def now(self) -> bool:
        """Whether to write it down this time."""
        if self._monotonic() - self._last < 60.0:
            return False
        self._last = self._monotonic()
        return True
