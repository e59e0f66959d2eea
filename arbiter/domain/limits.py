"""What each tier may do, and the token bucket that counts it."""

from types import MappingProxyType

import msgspec

from arbiter.domain.account import Tier
from arbiter.domain.money import MICRO, Micros


class TierLimits(msgspec.Struct, frozen=True):
    """The limits of one tier. Money in micros of a dollar; `requests_per_second` allows bursts of twice that."""

    requests_per_second: int
    orders_per_minute: int
    open_positions: int
    largest_position: Micros
    copy_trades: int
    streams: int
    arbitrage_execution: bool


TIERS: MappingProxyType[Tier, TierLimits] = MappingProxyType(
    {
        Tier.FREE: TierLimits(10, 10, 5, Micros(100 * MICRO), 1, 2, False),
        Tier.PRO: TierLimits(60, 60, 25, Micros(1_000 * MICRO), 10, 10, True),
        Tier.ENTERPRISE: TierLimits(300, 600, 100, Micros(10_000 * MICRO), 50, 50, True),
    }
)


class TokenBucket:
    """`capacity` tokens at first, one more each `interval_ms`, never more than `capacity`. Time in monotonic seconds."""

    __slots__ = ("_at_ms", "_missing_ms", "capacity", "interval_ms")

    def __init__(self, capacity: int, interval_ms: int, now: float) -> None:
        if capacity < 1 or interval_ms < 1:
            raise ValueError("a bucket needs a capacity and an interval of at least 1")
        self.capacity = capacity
        self.interval_ms = interval_ms
        self._at_ms = int(now * 1000)
        self._missing_ms = 0

    @classmethod
    def per_second(cls, rate: int, now: float, *, burst: int = 2) -> "TokenBucket":
        """`rate` a second with bursts of `burst` times that."""
        return cls(rate * burst, max(1, 1000 // rate), now)

    @classmethod
    def per_minute(cls, rate: int, now: float) -> "TokenBucket":
        """`rate` a minute, all of which may come at once."""
        return cls(rate, max(1, 60_000 // rate), now)

    def take(self, now: float, tokens: int = 1) -> int:
        """Take `tokens` and answer 0, or take nothing and answer the milliseconds until they would be there."""
        wait_ms = self.wait_ms(now, tokens)
        if not wait_ms:
            self._missing_ms += tokens * self.interval_ms
        return wait_ms

    def charge(self, now: float, tokens: int) -> None:
        """Take `tokens` whether they are there or not: what is missing is waited for by who takes next."""
        self.wait_ms(now)
        self._missing_ms += tokens * self.interval_ms

    def wait_ms(self, now: float, tokens: int = 1) -> int:
        """The milliseconds until `tokens` would be there; 0 where they are. Takes nothing."""
        now_ms = int(now * 1000)
        self._missing_ms = max(0, self._missing_ms - max(0, now_ms - self._at_ms))
        self._at_ms = now_ms
        return max(0, self._missing_ms + (tokens - self.capacity) * self.interval_ms)
