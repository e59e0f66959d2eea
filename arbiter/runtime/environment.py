"""Clock and randomness, handed in: the part of the outside world that must be repeatable in a simulation."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom

import trio


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Environment:
    """What an actor may know of time and chance.

    `unix_ms` is UTC in milliseconds (may jump), `monotonic` is seconds for durations and deadlines (trio's clock, so
    the autojump clock drives it), `random` feeds ids and jitter.
    """

    unix_ms: Callable[[], int]
    monotonic: Callable[[], float]
    random: Random

    @classmethod
    def real(cls) -> "Environment":
        """The machine's clock and entropy."""
        return cls(_wall_ms, trio.current_time, SystemRandom())

    @classmethod
    def simulated(cls, seed: int, start_ms: int = 1_767_225_600_000) -> "Environment":
        """Everything follows from the seed and trio's clock; `start_ms` is the UTC time at trio's time 0."""
        return cls(lambda: start_ms + round(trio.current_time() * 1000), trio.current_time, Random(seed))  # noqa: S311 repeatable on purpose
