"""What one actor did since the program started, over all its incarnations."""

BUCKETS = 24
"""Powers of two of microseconds: the last one holds everything from 4 s on."""


class Statistics:
    """Counts and handling times, in seconds. `histogram[n]`: how many messages took less than `2^n` and at least `2^(n-1)` microseconds."""

    __slots__ = ("busy_s", "handled", "histogram", "longest_s", "lost")

    def __init__(self) -> None:
        self.handled = 0
        self.busy_s = 0.0
        self.longest_s = 0.0
        self.lost = 0
        """Messages that were in hand when their incarnation ended by an error or was cancelled: not delivered again."""
        self.histogram: list[int] | None = None

    def record(self, seconds: float) -> None:
        """One message was handled."""
        self.handled += 1
        self.busy_s += seconds
        if seconds > self.longest_s:
            self.longest_s = seconds
        if self.histogram is None:  # an actor that never handled anything needs none
            self.histogram = [0] * BUCKETS
        bucket = int(seconds * 1e6).bit_length()
        self.histogram[bucket if bucket < BUCKETS else -1] += 1

    def percentile(self, percent: float) -> float:
        """An upper bound of the handling time in seconds that so many percent of the messages stayed below; 0 where there were none."""
        wanted, seen = self.handled * percent / 100, 0
        for bucket, count in enumerate(self.histogram or ()):
            seen += count
            if seen >= wanted and seen:
                return min(2.0**bucket / 1e6, self.longest_s) if bucket < BUCKETS - 1 else self.longest_s
        return 0.0
