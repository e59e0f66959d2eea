"""How much one Telegram user may ask of the bot. The core has limits of its own; these keep one user from the others' turn."""

from arbiter.domain.limits import TokenBucket
from arbiter.runtime import Environment

BURST = 20
INTERVAL_MS = 1_000
"""What Telegram lets a bot answer in one chat, for long: more would only wait to be answered."""
REMIND_SECONDS = 10.0
MOST_USERS = 10_000


class Throttle:
    """A bucket for each user."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._buckets: dict[int, TokenBucket] = {}
        self._told: dict[int, float] = {}

    def lets_through(self, user: int) -> bool:
        """Whether it is this user's turn; that counts as one."""
        now = self._environment.monotonic()
        bucket = self._buckets.get(user)
        if bucket is None:
            _make_room(self._buckets)
            bucket = self._buckets[user] = TokenBucket(BURST, INTERVAL_MS, now)
        return not bucket.take(now)

    def may_tell(self, user: int) -> bool:
        """Whether a refusal is worth a message: this user has not been told for a while. That counts as told."""
        now = self._environment.monotonic()
        if now < self._told.get(user, -REMIND_SECONDS) + REMIND_SECONDS:
            return False
        self._told.pop(user, None)
        _make_room(self._told)
        self._told[user] = now
        return True


def _make_room(users: dict[int, TokenBucket] | dict[int, float]) -> None:
    if len(users) >= MOST_USERS:
        users.pop(next(iter(users)))
