"""Waiting for one's turn: keeps a host's rate limits and learns from what the host says of them.

One limiter for each host, shared by everything that asks it. What it decides is in `request_line.py`; here is the waiting.
"""

from collections.abc import Mapping
from typing import NamedTuple

import trio

from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Surroundings
from arbiter.venues.limit_table import LimitTable
from arbiter.venues.request_line import Lane, RequestLine, Takings, Ticket, WaitTooLong
from arbiter.venues.token_bucket import Limit, TokenBucket

TOO_MANY = 429
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 16.0
"""After a 429 that names no time: doubled with each in a row, jittered."""
LONGEST_WISH_SECONDS = 600.0
"""No wish of a peer stops us for longer than this."""
MOST_BUCKETS = 10_000
_UNIX_SECONDS = 1e6
"""A `Reset` beyond this is a Unix time, below it a number of seconds: which one the venue means is not documented."""


class Passage(NamedTuple):
    """What a request took: handed back with the answer, so that the answer can be learnt from."""

    takings: Takings


class Limiter:
    """The limits of one host. `owner` is whose bucket an account's limit is; empty for requests of nobody in particular."""

    def __init__(self, venue: str, table: LimitTable, surroundings: Surroundings) -> None:
        self._venue = venue
        self._table = table
        self._limits = {limit.name: limit for limit in table.limits}
        self._surroundings = surroundings
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._line = RequestLine()
        self._waiters: dict[Ticket, trio.Event] = {}
        """What wakes each; the first in it keeps time for all."""
        self.warnings = 0
        """Answers in which the venue warned that a limit is near."""

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._line)

    async def turn(
        self, method: str, path: str, patience: float, *, parts: int = 1, owner: str = "", lane: Lane = Lane.ORDINARY
    ) -> Passage:
        """Wait until this request may be sent, at most `patience` seconds.

        Raises VenueUnavailable at once where that is not to be expected (`retry_after_ms` says when it is), and
        VenueRejected where the parts of a batch are more than the limit ever allows at once.
        """
        takings = self._takings(method, path, parts, owner)
        try:
            ticket = self._line.enter(self._now(), takings, patience, lane)
        except WaitTooLong as error:
            raise self._refused(error.seconds, parts) from None
        if not ticket.gone:
            await self._wait(ticket, patience)
        return Passage(takings)

    def _refused(self, seconds: float, parts: int) -> VenueUnavailable | VenueRejected:
        if seconds == float("inf"):
            return VenueRejected(self._venue, f"{parts} parts are more than its rate limit allows in one request", "too_many_parts")
        return VenueUnavailable(self._venue, f"its rate limit is used up for {seconds:.1f} s", round(seconds * 1000))

    async def _wait(self, ticket: Ticket, patience: float) -> None:
        """The first of the waiters looks after the line for all when time is due, so there is no task behind this."""
        self._wake_first()  # this one may be due before what it sleeps for
        self._waiters[ticket] = woken = trio.Event()
        try:
            with trio.move_on_after(patience):
                while not ticket.gone:
                    first = next(iter(self._waiters)) is ticket
                    with trio.move_on_after(self._line.next_in(self._now()) if first else float("inf")):
                        await woken.wait()
                    self._waiters[ticket] = woken = trio.Event()
                    self._go()
        finally:
            del self._waiters[ticket]
            if not ticket.gone:
                self._line.leave(ticket)
                self._go()  # someone may have waited behind this one only
            self._wake_first()
        if not ticket.gone:
            raise VenueUnavailable(self._venue, f"its rate limit left no room within {patience:.1f} s")

    def _wake_first(self) -> None:
        for woken in self._waiters.values():
            woken.set()
            return

    def _go(self) -> None:
        for ticket in self._line.go(self._now()):
            if (woken := self._waiters.get(ticket)) is not None:
                woken.set()

    def _now(self) -> float:
        return self._surroundings.monotonic()

    # -- the buckets --

    def _takings(self, method: str, path: str, parts: int, owner: str) -> Takings:
        charges = self._table.charges(method, path)
        return tuple((self._bucket(charge.limit, owner), charge.cost * (parts if charge.each else 1)) for charge in charges)

    def _bucket(self, name: str, owner: str) -> TokenBucket:
        limit = self._limits[name]
        key = (name, owner if limit.each_owner else "")
        if key not in self._buckets:
            if len(self._buckets) >= MOST_BUCKETS:
                self._forget_full()
            self._buckets[key] = TokenBucket(limit, self._now())
        return self._buckets[key]

    def _forget_full(self) -> None:
        """A full bucket that nobody waits for is as good as none."""
        now, wanted = self._now(), self._line.wanted()
        self._buckets = {key: each for key, each in self._buckets.items() if id(each) in wanted or not each.has(now, each.limit.burst)}

    def change(self, name: str, *, per_second: float, burst: int, owner: str = "") -> None:
        """The venue told another limit (of this owner, if the limit is an account's). Who waits is looked at anew."""
        bucket = self._bucket(name, owner)
        bucket.change(self._now(), Limit(name, per_second, max(1, burst), bucket.limit.each_owner))
        if not bucket.limit.each_owner:
            self._limits[name] = bucket.limit
        self._go()
        self._wake_first()

    def recost(self, table: LimitTable) -> None:
        """The venue told what requests cost. The table's limits are those that there are; what was learnt of them stays."""
        self._limits = {limit.name: limit for limit in table.limits} | self._limits
        self._table = table

    # -- what answers tell --

    def learn(self, passage: Passage, status: int, headers: Mapping[str, str]) -> int | None:
        """Take in an answer (header names in lower case). The milliseconds for which to leave the venue alone, where it refused."""
        if headers.get("poly-ratelimit-warning"):
            self.warnings += 1
        wish = retry_after(headers)
        if not passage.takings:
            return None if wish is None else round(wish * 1000)
        narrowest = passage.takings[0][0]
        now = self._now()
        if status != TOO_MANY:
            narrowest.refused = 0
            self._learn_remaining(narrowest, headers, now)
            return None if wish is None else round(wish * 1000)
        if wish is None:
            wish = self._backoff(narrowest)
        narrowest.pause(now, now + min(wish, LONGEST_WISH_SECONDS))
        return round(wish * 1000)

    def _backoff(self, bucket: TokenBucket) -> float:
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(bucket.refused, 20))
        bucket.refused += 1
        return longest * (0.5 + self._surroundings.random.random() / 2)

    def _learn_remaining(self, bucket: TokenBucket, headers: Mapping[str, str], now: float) -> None:
        remaining = _number(headers.get("poly-ratelimit-remaining"))
        if remaining is None:
            return
        bucket.at_most(now, remaining)
        reset = _number(headers.get("poly-ratelimit-reset"))
        if remaining < 1 and reset is not None:
            seconds = reset - self._surroundings.unix_ms() / 1000 if reset >= _UNIX_SECONDS else reset
            bucket.pause(now, now + min(max(seconds, 0.0), LONGEST_WISH_SECONDS))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds; its other form, a date, no venue uses and no clock here could trust."""
    return _number(headers.get("retry-after"))


def _number(text: str | None) -> float | None:
    """A plain number of a sensible size."""
    if not text or len(text) > 14 or not text.isascii() or not text.replace(".", "", 1).isdigit():
        return None
    return float(text)
