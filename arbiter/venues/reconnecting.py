"""How connections to a venue are kept: for ever, each by itself, with jittered backoff.

One line is one connection with what it follows. It is lost and comes back alone: the others go on.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import NoReturn

import structlog
import trio

from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Surroundings

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 30.0
"""The bounds that Polymarket's own client keeps (A7.1)."""
SETTLED_SECONDS = 10.0
"""A connection that lived this long ends the backoff."""
LONGEST_WISH_SECONDS = 300.0
"""A venue that wants to be left alone for longer is asked all the same."""
LOG_SECONDS = 60.0


class Backoff:
    """How long to wait after each loss: doubled while connections do not last, jittered so that lines do not come back together. Pure."""

    def __init__(
        self,
        random: Random,
        first: float = FIRST_RETRY_SECONDS,
        longest: float = LONGEST_RETRY_SECONDS,
        settled: float = SETTLED_SECONDS,
    ) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        self._settled = settled
        self.failures = 0
        """Losses in a row of connections that did not last."""

    def after(self, lived: float, wish: float = 0.0) -> float:
        """Seconds to wait, after a connection that lived so many; never less than the venue's wish, within a bound."""
        self.failures = 1 if lived >= self._settled else self.failures + 1
        longest = min(self._longest, self._first * 2.0 ** min(self.failures, 30))
        return max(min(wish, LONGEST_WISH_SECONDS), longest * (0.5 + self._random.random() / 2))


async def keep_connected(
    run: Callable[[], Awaitable[object]],
    lost: Callable[[str], None],
    surroundings: Surroundings,
    *,
    venue: str,
    line: int = 0,
    backoff: Backoff | None = None,
) -> NoReturn:
    """One line for ever: `run` connects, subscribes and follows until the connection ends; `lost` is told why, and it runs anew.

    `run` subscribes to everything each time, since neither venue replays. Ends with what is neither VenueUnavailable nor VenueRejected.
    """
    backoff = backoff or Backoff(surroundings.random)
    log, logged_at = structlog.get_logger(venue=venue, line=line), float("-inf")
    while True:
        began = surroundings.monotonic()
        problem, wish = "the stream ended", 0.0
        try:
            await run()
        except VenueUnavailable as error:
            problem, wish = str(error), (error.retry_after_ms or 0) / 1000
        except VenueRejected as error:
            problem = str(error)
        lost(problem)
        now = surroundings.monotonic()
        wait = backoff.after(now - began, wish)
        if now - logged_at >= LOG_SECONDS:
            logged_at = now
            log.warning("line lost", problem=problem, failures=backoff.failures, retry_seconds=round(wait, 2))
        await trio.sleep(wait)
