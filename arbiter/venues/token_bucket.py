"""A limit of a venue as data, and the bucket that keeps it. Pure: time is told to it, in monotonic seconds."""

import msgspec

_NEARLY = 1e-6
"""What a sum of float seconds may be off, in tokens."""
_INSTANT = 1e-9
"""The same in seconds."""
_BURST_SHARE = 4


class Limit(msgspec.Struct, frozen=True):
    """At most `burst` tokens at once and `per_second` after that: in any window of `w` seconds no more than `burst + w * per_second`."""

    name: str
    per_second: float
    burst: int
    each_owner: bool = False
    """Every account has a bucket of its own; otherwise all that this machine sends shares one."""


def within(name: str, tokens: int, seconds: float) -> Limit:
    """No more than `tokens` (at least 2) in any window of so many seconds: a quarter of them at once, the rest evenly."""
    burst = max(1, tokens // _BURST_SHARE)
    return Limit(name, (tokens - burst) / seconds, burst)


class TokenBucket:
    """One limit's tokens. Full at first."""

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self._level = float(limit.burst)
        self._at = now
        """The second at which the level was so; in the future during a pause."""
        self.refused = 0
        """How often in a row the venue said that it is empty when it was not here."""

    def level(self, now: float) -> float:
        """The tokens there are. Negative after the venue told of fewer than were counted here."""
        return min(float(self.limit.burst), self._level + max(0.0, now - self._at) * self.limit.per_second)

    def has(self, now: float, cost: float) -> bool:
        """Whether so much can be taken now."""
        return cost <= self.limit.burst and self.wait(now, cost) <= 0

    def wait(self, now: float, cost: float) -> float:
        """Seconds until so many tokens will have come, if nobody takes any; more than fit in at once are counted, too."""
        pause = self._at - now if self._at - now > _INSTANT else 0.0
        missing = cost - self.level(now)
        if missing <= _NEARLY:  # else who has waited as told might have to wait again, for nothing
            return pause
        return pause + missing / self.limit.per_second if self.limit.per_second else float("inf")

    def take(self, now: float, cost: float) -> None:
        """Only after `has`."""
        self._level = self.level(now) - cost
        self._at = max(now, self._at)

    # -- what the venue tells --

    def pause(self, now: float, until: float) -> None:
        """It is empty, and stays so until then."""
        self._level = min(0.0, self.level(now))
        self._at = max(self._at, until)

    def at_most(self, now: float, remaining: float) -> None:
        """The venue counted more than we did: no more than this is left."""
        if remaining < self.level(now):
            self._level = remaining
            self._at = max(now, self._at)

    def change(self, now: float, limit: Limit) -> None:
        """Another limit from now on. What was spent stays spent."""
        spent = self.limit.burst - self.level(now)
        self.limit = limit
        self._level = limit.burst - spent
        self._at = max(now, self._at)
