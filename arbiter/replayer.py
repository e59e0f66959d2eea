"""`arbiter replay --speed max`: a recording through the real connectors, feeds and scanner, in lockstep.

Nothing is left to chance: one thing happens, the program comes to rest, the next one happens. The clock stands at the recorded time,
the order of tasks and every random choice follow from a fixed seed. So one recording gives the same opportunities, byte for byte.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec
import trio

from arbiter.actors.arb_scanner import ArbScanner, OpportunityChanged, mailbox_key
from arbiter.actors.market_feed import FRESH_SECONDS, MarketData, MarketFeed
from arbiter.domain.book import BookSnapshot
from arbiter.domain.ids import OpportunityId
from arbiter.domain.pair import Pair
from arbiter.errors import ConfigError
from arbiter.frames.file import is_frames_file
from arbiter.frames.lockstep import StandingClock, Steps, drive
from arbiter.played import KEY_ID, RecordedFrames, throwaway_key
from arbiter.runtime import Child, Conflate, Environment, Group, Supervisor, Topic
from arbiter.runtime.seeded import seeded_scheduler
from arbiter.sandbox.exchange import Sandbox
from arbiter.sandbox.recording import Recording
from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake
from arbiter.sandbox.world import WorldEvent
from arbiter.venues.base import Venue
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts

SEED = 1
BOOKS_START_MS = 1_767_225_600_000
"""When a recording of books plays: it says nothing of its date."""
LEAD_SECONDS = 1.0
"""The connectors are up before the first book."""
TICK_SECONDS = 1.0
"""How often the sandbox's own time goes on between books: its heartbeats."""

Write = Callable[[bytes], object]


@dataclass
class Summary:
    """What a replay did. `counts`: what the playback had to say."""

    opened: int = 0
    updated: int = 0
    closed: int = 0
    restarts: int = 0
    recorded_seconds: float = 0.0
    took_seconds: float = 0.0
    truncated: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    venues: dict[str, dict[str, int]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """For a person. What went wrong is said, what did not is not."""
        still = self.opened - self.closed
        told = [
            f"{self.recorded_seconds:,.0f} s replayed in {self.took_seconds:.1f} s",
            f"opportunities: {self.opened:,} opened, {self.updated:,} changes, {self.closed:,} closed, {still:,} open at the end",
        ]
        told += [f"{venue}: " + ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) for venue, counts in self.venues.items()]
        words = {
            "undelivered": "messages reached nobody: the program had ended their connection",
            "unanswered": "requests were not in the recording; they got a 503",
            "refused": "connections were not in the recording; they got a 503",
            "gaps": "gaps in the recording",
        }
        told += [f"{self.counts[name]:,} {text}" for name, text in words.items() if self.counts.get(name)]
        told += ["the end of the file is missing; what is there was replayed"] if self.truncated else []
        return told + ([f"{self.restarts:,} restarts of actors: see the log"] if self.restarts else [])


class _Source(Steps, Protocol):
    """A recording of either kind."""

    pairs: tuple[Pair, ...]
    fresh_seconds: float
    pace: float
    """Recorded seconds in one of the program's."""
    start_ms: int

    def venues(self, environment: Environment, nursery: trio.Nursery) -> list[Venue]: ...

    def sum_up(self, summary: Summary) -> None: ...


def replay(path: Path, write: Write, pairs: tuple[Pair, ...] | None = None) -> Summary:
    """Play it whole; `write` gets each step of each opportunity as a JSON line. Raises ConfigError.

    `pairs`: instead of the recording's own.
    """
    source: _Source = _Frames(path) if is_frames_file(path) else _Books(path)
    if pairs is not None:
        source.pairs = pairs
    clock, began = StandingClock(), time.monotonic()
    with seeded_scheduler(SEED):
        summary = trio.run(_play, source, clock, write, clock=clock)
    summary.took_seconds = time.monotonic() - began
    return summary


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """From a file with a JSON list, as in the first line of a recording of frames. Raises ConfigError."""
    try:
        return tuple(msgspec.json.decode(path.read_bytes(), type=list[Pair]))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}", "check the path") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no list of pairs: {error}", "docs/recordings.md shows one") from None


async def _play(source: _Source, clock: StandingClock, write: Write) -> Summary:
    environment = Environment(
        lambda: source.start_ms + round(clock.now * source.pace * 1000),
        trio.current_time,
        Random(SEED),  # noqa: S311 repeatable on purpose
    )
    data, summary = MarketData(fresh_seconds=source.fresh_seconds), Summary()
    opportunities: Topic[OpportunityId, OpportunityChanged] = Topic("opportunities")
    scanner = Child(
        "arb_scanner",
        lambda: ArbScanner(source.pairs, data, opportunities, environment),
        mailbox=Conflate(mailbox_key),
    )

    def note(change: OpportunityChanged) -> None:
        setattr(summary, change.state, getattr(summary, change.state) + 1)
        write(msgspec.json.encode(_in_recorded_time(change, source.pace)) + b"\n")

    async with trio.open_nursery() as nursery:
        venues = source.venues(environment, nursery)
        feeds = [Child(f"{venue.name}_feed", lambda venue=venue: MarketFeed(venue, data, environment)) for venue in venues]  # type: ignore[misc]
        supervisor = Supervisor(Group("root", [Group("inputs", [*feeds], exhausted="park"), scanner]), environment)
        with opportunities.deliver_to(note):
            nursery.start_soon(supervisor.run)
            await drive(clock, source)
        summary.restarts = sum(status.restarts for status in supervisor.statuses())
        nursery.cancel_scope.cancel()
    summary.venues = {venue.name: venue.statistics() for venue in venues}
    source.sum_up(summary)
    return summary


def _in_recorded_time(change: OpportunityChanged, pace: float) -> OpportunityChanged:
    if pace == 1:
        return change
    first, second = change.ages_ms
    return msgspec.structs.replace(change, duration_ms=change.at_ms - change.opened_ms, ages_ms=(round(first * pace), round(second * pace)))


class _Frames:
    """A recording of frames."""

    pace = 1.0
    fresh_seconds = FRESH_SECONDS

    def __init__(self, path: Path) -> None:
        self._frames = RecordedFrames(path)
        self._playback = self._frames.playback
        self.pairs, self.start_ms = self._frames.pairs, self._frames.started_ms
        self.next_at, self.moved_to, self.step = self._playback.next_at, self._playback.moved_to, self._playback.step

    def venues(self, environment: Environment, nursery: trio.Nursery) -> list[Venue]:
        return self._frames.venues(environment)

    def sum_up(self, summary: Summary) -> None:
        summary.recorded_seconds = self._playback.length_ns / 1e9
        summary.truncated, summary.counts = self._playback.truncated, dict(self._playback.counts)


class _Books:
    """A recording of books, through the sandbox's venues.

    One that was sampled seldom is played faster, so that two samples lie at most half of what counts as fresh apart: days of silence
    would cost an hour, and prove nothing.
    """

    fresh_seconds = FRESH_SECONDS
    start_ms = BOOKS_START_MS

    def __init__(self, path: Path) -> None:
        recording = Recording.load(path)
        self.pairs = recording.pairs
        self.pace = max(1.0, recording.sample_interval_ms / 1000 / (FRESH_SECONDS / 2))
        self._length_ms = recording.length_ms
        self._world = _StepWorld(recording)
        self._shell: Shell[Sandbox] | None = None
        self._moments = [(ms, [event for _, event in events]) for ms, events in groupby(recording.events, key=lambda event: event[0])]
        self._next = 0
        self._tick_at = 0.0
        self._now = 0.0

    def _unix_ms(self) -> int:
        return self.start_ms + round(self._now * self.pace * 1000)

    def venues(self, environment: Environment, nursery: trio.Nursery) -> list[Venue]:
        signer, public = throwaway_key()
        sandbox = Sandbox(self._world, {KEY_ID: public})
        self._shell = Shell(sandbox, self._unix_ms, Wake())
        network = MemoryNetwork(self._shell, {"polymarket": sandbox.polymarket, "kalshi": sandbox.kalshi}, nursery)
        polymarket = PolymarketHosts("http://polymarket", "http://polymarket", "ws://polymarket")
        kalshi = KalshiHosts("http://kalshi/trade-api/v2", "ws://kalshi")
        return [Polymarket(polymarket, network, environment), Kalshi(kalshi, signer, network, environment)]

    def next_at(self) -> float | None:
        if self._next >= len(self._moments):
            return None
        return min(self._tick_at, self._moment_at())

    def _moment_at(self) -> float:
        ms: int = self._moments[self._next][0]
        return LEAD_SECONDS + ms / 1000 / self.pace

    def moved_to(self, seconds: float) -> None:
        self._now = seconds

    def step(self) -> None:
        """The books of one instant change together; in between only the sandbox's own time goes on."""
        self._tick_at = self._now + TICK_SECONDS
        if self._now >= self._moment_at():
            self._world.events += self._moments[self._next][1]
            self._next += 1
        if self._shell is not None:
            self._shell.sandbox.tick(self._unix_ms())
            self._shell.wake.all()

    def sum_up(self, summary: Summary) -> None:
        summary.recorded_seconds = self._length_ms / 1000


class _StepWorld:
    """`World` that tells what was put into it, whatever the time."""

    def __init__(self, recording: Recording) -> None:
        self.markets, self.pairs = recording.markets, recording.pairs
        self.sample_interval_ms: int | None = recording.sample_interval_ms
        self.events: list[WorldEvent] = [BookSnapshot(market.yes_key, (), ()) for market in self.markets]

    def advance(self, now_ms: int) -> list[WorldEvent]:
        """See `World.advance`."""
        events, self.events = self.events, []
        return events
