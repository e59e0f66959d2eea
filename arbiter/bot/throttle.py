"""How much one Telegram user may ask of the bot. The core has limits of its own; these keep one user from the others' turn."""

from arbiter.domain.limits import TokenBucket
from arbiter.runtime import Environment

BURST = 20
INTERVAL_MS = 500
MOST_USERS = 10_000


class Throttle:
    """A bucket for each user."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._buckets: dict[int, TokenBucket] = {}
        self._refused: set[int] = set()

    def wait_ms(self, user: int) -> int | None:
        """None: go on. Otherwise when to come back."""
        now = self._environment.monotonic()
        bucket = self._buckets.get(user)
        if bucket is None:
            if len(self._buckets) >= MOST_USERS:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[user] = TokenBucket(BURST, INTERVAL_MS, now)
        wait = bucket.take(now)
        if not wait:
            self._refused.discard(user)
            return None
        return wait

    def first_refusal(self, user: int) -> bool:
        """Whether this user has not been told yet since they were last let through."""
        told = user in self._refused
        if not told and len(self._refused) < MOST_USERS:
            self._refused.add(user)
        return not told
