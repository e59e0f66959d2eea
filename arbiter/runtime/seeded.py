"""A scheduler whose every choice follows from a seed: for tests, and for replays that must come out the same every time."""

from collections.abc import Iterator
from contextlib import contextmanager

from trio._core import _run as scheduler

from arbiter.runtime.turns import TURNS


@contextmanager
def seeded_scheduler(seed: int) -> Iterator[None]:
    """Within, a `trio.run` schedules its tasks in an order that follows from the seed, and from nothing else.

    Sets two private names of trio (which is pinned; a test guards them) and sets them back. What the run itself leaves to chance it
    must draw from a Random of the same seed (`Environment.simulated`).
    """
    allowed, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    _schedule(allowed=True)
    scheduler._r.seed(seed)
    TURNS.sent = 0
    try:
        yield
    finally:
        _schedule(allowed=allowed)
        scheduler._r.setstate(state)


def _schedule(*, allowed: bool) -> None:
    vars(scheduler)["_ALLOW_DETERMINISTIC_SCHEDULING"] = allowed
