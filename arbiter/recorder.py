"""`arbiter record`: what both venues send to the production connectors, and what they are asked, into files of frames.

The connectors are driven by their feeds, as in the program; there are no users, orders or strategies. Each file stands by itself: a new
one begins with new connections and a catalogue of its own.
"""

import math
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import click
import msgspec
import trio

from arbiter.actors.market_feed import MarketData, MarketFeed
from arbiter.config import Settings
from arbiter.domain.ids import KALSHI, POLYMARKET, VenueId
from arbiter.domain.pair import Pair
from arbiter.errors import ConfigError
from arbiter.frames.file import Counts, FrameWriter
from arbiter.frames.lines import Header
from arbiter.frames.tap import Tap
from arbiter.runtime import Child, Environment, Group, Supervisor
from arbiter.simulated import Wrap, load_script, make_world, start_venues
from arbiter.venues.base import Network, Venue
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts
from arbiter.venues.kalshi.hosts import DEMO
from arbiter.venues.kalshi.hosts import PRODUCTION as KALSHI_PRODUCTION
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.network import SocketNetwork
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts
from arbiter.venues.polymarket.hosts import PRODUCTION as POLYMARKET_PRODUCTION

PROGRESS_SECONDS = 10.0
LOOK_SECONDS = 0.2
LARGEST_KEY_FILE = 64 * 1024
Which = Literal["sandbox", "production", "demo"]


@dataclass(frozen=True)
class Wanted:
    """What to record. `seconds`: in all; `file_bytes`, `file_seconds`: of one file. `only`: one venue of the two."""

    path: Path
    venues: Which = "sandbox"
    only: str = ""
    seconds: float = math.inf
    file_bytes: float = math.inf
    file_seconds: float = math.inf


@dataclass(frozen=True)
class RealVenues:
    """Where the real venues are, and who signs for Kalshi."""

    polymarket: PolymarketHosts | None
    kalshi: KalshiHosts | None
    signer: KalshiSigner | None

    @classmethod
    def of(cls, settings: Settings, wanted: Wanted) -> "RealVenues":
        """By the table of known hosts. Raises ConfigError where Kalshi's key is missing: its sockets want a signature."""
        polymarket = None if wanted.only == KALSHI else POLYMARKET_PRODUCTION
        if wanted.only == POLYMARKET:
            return cls(polymarket, None, None)
        signer = KalshiSigner(settings.kalshi_key_id, _read_key(settings)) if settings.kalshi_key_id else None
        if signer is None:
            raise ConfigError(
                "Kalshi's books need an API key, and kalshi_key_id is not set",
                "set kalshi_key_id and kalshi_key_file, or record with --only polymarket",
            )
        return cls(polymarket, DEMO if wanted.venues == "demo" else KALSHI_PRODUCTION, signer)

    def connect(self, environment: Environment, wrap: Wrap) -> list[Venue]:
        """The connectors."""
        made: list[Venue] = []
        if self.polymarket is not None:
            made.append(Polymarket(self.polymarket, wrap(POLYMARKET, self.polymarket, SocketNetwork()), environment))
        if self.kalshi is not None and self.signer is not None:
            made.append(Kalshi(self.kalshi, self.signer, wrap(KALSHI, self.kalshi, SocketNetwork()), environment))
        return made


def _read_key(settings: Settings) -> bytes:
    path = Path(settings.kalshi_key_file).expanduser()
    if not settings.kalshi_key_file:
        raise ConfigError("kalshi_key_id is set, but no kalshi_key_file", "name the file with the private key (PEM)")
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_KEY_FILE)
    except OSError as error:
        raise ConfigError(f"cannot read the Kalshi key {path}: {error.strerror or error}", "check kalshi_key_file") from None


async def record(settings: Settings, wanted: Wanted, real: RealVenues | None = None) -> None:
    """Until the time is over or a signal comes. Raises ConfigError where it cannot begin, or go on."""
    if real is None and wanted.venues != "sandbox":
        real = RealVenues.of(settings, wanted)
    done: list[tuple[Path, Counts]] = []
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                ending = Ending(trio.current_time() + wanted.seconds)
                nursery.start_soon(_end_on_signal, signals, ending, nursery.cancel_scope)
                for number in count(1):
                    await _record_file(settings, wanted, real, numbered(wanted.path, number), ending, done)
                    if ending.due:
                        break
                nursery.cancel_scope.cancel()
    finally:
        for path, counts in done:
            _say(f"{path}: {_shown(counts)}")


def numbered(path: Path, number: int) -> Path:
    """`a.zst`, then `a-2.zst`, `a-3.zst` ..."""
    if number == 1:
        return path
    name, dot, ending = path.name.partition(".")
    return path.with_name(f"{name}-{number}{dot}{ending}")


class Ending:
    """When the whole recording is over: at a second of trio's clock, or by a signal."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.signal = trio.Event()

    @property
    def due(self) -> bool:
        return self.signal.is_set() or trio.current_time() >= self.at

    async def wait(self, seconds: float) -> None:
        """At most so long."""
        with trio.move_on_at(min(self.at, trio.current_time() + seconds)):
            await self.signal.wait()


async def _record_file(
    settings: Settings, wanted: Wanted, real: RealVenues | None, path: Path, ending: Ending, done: list[tuple[Path, Counts]]
) -> None:
    environment = Environment.real()
    tap = Tap(environment.monotonic, environment.unix_ms)
    hosts: dict[str, dict[str, str]] = {}

    def tapped(venue: VenueId, of: object, network: Network) -> Network:
        hosts[venue] = msgspec.to_builtins(of)
        return tap.on(venue, network)

    async with trio.open_nursery() as nursery:
        venues, pairs = await _venues(settings, real, environment, nursery, tapped)
        writer = FrameWriter(path, Header("arbiter-frames-1", environment.unix_ms(), hosts, list(pairs)))
        try:
            tap.start(writer)
            _say(f"recording {' and '.join(venue.name for venue in venues)} into {path}; Ctrl-C ends it")
            async with trio.open_nursery() as program:
                program.start_soon(_run_feeds, [v for v in venues if wanted.only in ("", v.name)], environment)
                await _watch(writer, wanted, ending)
                tap.stop()
                program.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await trio.to_thread.run_sync(writer.close)
                finally:
                    done.append((path, writer.counts()))
        nursery.cancel_scope.cancel()


async def _venues(
    settings: Settings, real: RealVenues | None, environment: Environment, nursery: trio.Nursery, wrap: Wrap
) -> tuple[list[Venue], tuple[Pair, ...]]:
    if real is not None:
        return real.connect(environment, wrap), ()
    world = await make_world(settings, environment.unix_ms())
    return await start_venues(world, load_script(settings), environment, nursery, settings, wrap=wrap), world.pairs


async def _run_feeds(venues: list[Venue], environment: Environment) -> None:
    data = MarketData()
    feeds = [Child(f"{venue.name}_feed", lambda venue=venue: MarketFeed(venue, data, environment)) for venue in venues]  # type: ignore[misc]
    await Supervisor(Group("root", [*feeds], exhausted="park"), environment).run()


async def _watch(writer: FrameWriter, wanted: Wanted, ending: Ending) -> None:
    """Say how it goes; return when it is over, the file is full, or can be written on no more."""
    began = told = trio.current_time()
    while writer.failed is None and not ending.due:
        await ending.wait(LOOK_SECONDS)
        now, counts = trio.current_time(), writer.counts()
        if counts.bytes >= wanted.file_bytes or now - began >= wanted.file_seconds:
            return
        if now - told >= PROGRESS_SECONDS:
            told = now
            _say(f"{now - began:,.0f} s: {_shown(counts)}")


async def _end_on_signal(signals: AsyncIterator[int], ending: Ending, scope: trio.CancelScope) -> None:
    """The first ends it in order; another one, as it is."""
    async for _ in signals:
        if ending.signal.is_set():
            scope.cancel()
        ending.signal.set()


def _shown(counts: Counts) -> str:
    gaps = f", {counts.gaps:,} gaps" if counts.gaps else ""
    return f"{counts.frames:,} messages, {counts.exchanges:,} answers, {counts.bytes / 1_048_576:,.1f} MiB{gaps}"


def _say(text: str) -> None:
    """To the person; a terminal that went away is no reason to lose a recording."""
    try:
        click.echo(text, err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 for the rest of the program's life
