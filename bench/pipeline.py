"""From the bytes of a WebSocket frame to the scanner's decision, over the production connectors, feeds, books and scanner.

    ./just bench pipeline [--quick] [--profile]

The venues are another process on another core (`venue_process.py`), which sends frames made in advance over real
WebSockets on loopback: 1,000 markets, 500 pairs, the mix that `frames.py` states. The measured process has one core.

1. Throughput: frames as fast as the sockets take them. Here a book may be replaced by a newer one before the scanner
   comes to it (its mailbox conflates), so `decisions_per_frame` is told beside `frames_per_s`.
2. Latency: 5,000 frames/s, each at its own time. From the moment before the frame is written to the socket in the other
   process to the end of the scanner's last decision about it. Both processes read the same monotonic clock. Frames that
   lead to no decision (public trades) or carry no time (Kalshi's snapshots) have no latency.
3. The share of JSON decoding: the CPU time that msgspec takes for such frames, over all CPU time a frame costs in 1.
4. First opportunity: the real program as a subprocess, from its start to the first opportunity a gRPC client receives.
"""

import argparse
import cProfile
import json
import mmap
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arbiter.actors.arb_scanner import ArbScanner, GetScanStatistics, OpportunityChanged, ScanStatistics, mailbox_key
from arbiter.actors.market_feed import BookUpdated, MarketData, MarketFeed
from arbiter.domain.ids import KALSHI, POLYMARKET, OpportunityId
from arbiter.domain.market import Market
from arbiter.runtime import Child, Conflate, Environment, Group, Supervisor, Topic
from arbiter.runtime.collector import settle
from arbiter.venues.base import CataloguePage, Selection, Venue
from arbiter.venues.kalshi import wire as kalshi_wire
from arbiter.venues.kalshi.client import Kalshi, KalshiHosts, KalshiPace
from arbiter.venues.kalshi.signing import KalshiSigner
from arbiter.venues.network import SocketNetwork
from arbiter.venues.polymarket import wire as polymarket_wire
from arbiter.venues.polymarket.client import Polymarket, PolymarketHosts
from bench.first_opportunity import first_opportunity_seconds
from bench.frames import BASE_MS, MIX, Traffic
from bench.report import finish, percentile

TARGETS = {"frames_per_s": ">= 20000", "p99_ms": "<= 1", "conflated": "<= 0", "first_opportunity_s": "<= 10"}
PACED_RATE = 5_000
DECODED = 5_000
"""Frames of the sample on which decoding alone is timed."""
DEADLINE_SECONDS = 120.0


@dataclass(frozen=True)
class Plan:
    """How many frames each part sends."""

    warm_up: int
    rounds: int
    burst: int
    paced_rounds: int
    paced: int
    starts: int

    @property
    def frames(self) -> int:
        return self.warm_up + self.rounds * self.burst + self.paced_rounds * self.paced


FULL = Plan(warm_up=20_000, rounds=5, burst=40_000, paced_rounds=5, paced=20_000, starts=3)
QUICK = Plan(warm_up=10_000, rounds=3, burst=20_000, paced_rounds=2, paced=12_500, starts=1)


class ListedPolymarket(Polymarket):
    """The production connector; only its catalogue is given instead of read, since that is not measured."""

    listed: Sequence[Market] = ()

    async def catalogue(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        yield CataloguePage(tuple(self.listed))


class ListedKalshi(Kalshi):
    """The same for Kalshi."""

    listed: Sequence[Market] = ()

    async def catalogue(self, selection: Selection) -> AsyncGenerator[CataloguePage]:
        yield CataloguePage(tuple(self.listed))


class TimedScanner(ArbScanner):
    """The production scanner, and the monotonic nanosecond at which it was done with each frame's books."""

    decided: memoryview

    def _look_at(self, book: BookUpdated) -> None:
        super()._look_at(book)
        number = book.venue_ms - BASE_MS
        if 0 <= number < len(self.decided):
            self.decided[number] = time.monotonic_ns()


class Generator:
    """The other process, from here."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ports: dict[str, int] = json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the generator ended")
        return line

    def order(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    async def wait_done(self) -> None:
        await trio.to_thread.run_sync(self._line)


@dataclass(frozen=True)
class Round:
    """One burst: frames a second of wall time and of this process's CPU time, decisions and replaced books a frame."""

    per_s: float
    per_cpu_s: float
    decisions: float
    conflated: float


@dataclass(frozen=True)
class Paced:
    """One paced round: latencies in ms, ascending, and what was conflated away."""

    latencies: list[float]
    conflated: int
    cpu_share: float


class Pipeline:
    """The feeds and the scanner of the real program, in a tree of their own."""

    def __init__(self, generator: Generator, traffic: Traffic, decided: memoryview) -> None:
        self.generator = generator
        self._environment = Environment.real()
        self.data = MarketData()
        self.venues = _venues(generator.ports, traffic.markets, self._environment)
        opportunities: Topic[OpportunityId, OpportunityChanged] = Topic("opportunities")

        def scanner() -> TimedScanner:
            made = TimedScanner(traffic.pairs, self.data, opportunities, self._environment)
            made.decided = decided
            return made

        self.scanner = Child("arb_scanner", scanner, mailbox=Conflate(mailbox_key))
        feeds = [_feed(venue, self.data, self._environment) for venue in self.venues]
        self.supervisor = Supervisor(Group("root", [*feeds, self.scanner]), self._environment)

    @property
    def frames(self) -> int:
        return sum(venue.statistics()["frames"] for venue in self.venues)

    async def statistics(self) -> ScanStatistics:
        return await self.scanner.ref.ask(GetScanStatistics(), timeout=10.0)

    async def wait_ready(self, outcomes: int) -> None:
        """Until every book has come once."""
        await self._until(lambda: len(self.data.books) == outcomes and all(book.trusted for book in self.data.books.values()))

    async def burst(self, count: int) -> Round:
        frames, before, conflated = self.frames, await self.statistics(), self.scanner.mailbox.conflated
        began, cpu = time.perf_counter(), time.process_time()
        self.generator.order(f"burst {count}")
        await self._until(lambda: self.frames >= frames + count and not len(self.scanner.mailbox))
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        await self.generator.wait_done()
        decisions = (await self.statistics()).decisions - before.decisions
        return Round(count / elapsed, count / cpu, decisions / count, (self.scanner.mailbox.conflated - conflated) / count)

    async def pace(self, first: int, count: int, sent: memoryview, decided: memoryview) -> Paced:
        frames, conflated = self.frames, self.scanner.mailbox.conflated
        began, cpu = time.perf_counter(), time.process_time()
        self.generator.order(f"pace {count} {PACED_RATE}")
        await trio.sleep(count / PACED_RATE)
        await self._until(lambda: self.frames >= frames + count and not len(self.scanner.mailbox))
        share = (time.process_time() - cpu) / (time.perf_counter() - began)
        await self.generator.wait_done()
        latencies = sorted((decided[n] - sent[n]) / 1e6 for n in range(first, first + count) if decided[n])
        return Paced(latencies, self.scanner.mailbox.conflated - conflated, share)

    async def _until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110 what is waited for has no event, and must not pay for one
                await trio.sleep(0.005)

    def check(self) -> None:
        """Nothing may have gone wrong on the way: a lost connection would flatter the figures."""
        for venue in self.venues:
            said = venue.statistics()
            wrong = {name: said[name] for name in ("unknown_events", "malformed_frames", "gaps", "resubscribed") if said[name]}
            if wrong:
                raise RuntimeError(f"{venue.name}: {wrong}")
        if not all(book.trusted for book in self.data.books.values()):
            raise RuntimeError("a book broke")


def _venues(ports: dict[str, int], markets: Sequence[Market], environment: Environment) -> list[Venue]:
    network = SocketNetwork()
    http, ws = (f"{scheme}://127.0.0.1:{ports['polymarket']}" for scheme in ("http", "ws"))
    polymarket = ListedPolymarket(PolymarketHosts(http, http, ws), network, environment)
    polymarket.listed = [market for market in markets if market.key.venue == POLYMARKET]
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    hosts = KalshiHosts(f"http://127.0.0.1:{ports['kalshi']}/trade-api/v2", f"ws://127.0.0.1:{ports['kalshi']}")
    # the generator's frames are numbered in advance, so it cannot answer a question in between
    kalshi = ListedKalshi(hosts, KalshiSigner("bench", pem), network, environment, KalshiPace(probe=0))
    kalshi.listed = [market for market in markets if market.key.venue == KALSHI]
    return [polymarket, kalshi]


def _feed(venue: Venue, data: MarketData, environment: Environment) -> Child[object]:
    return Child(f"{venue.name}_feed", lambda: MarketFeed(venue, data, environment))  # type: ignore[arg-type, return-value]


@asynccontextmanager
async def _running(plan: Plan, folder: Path, core: int) -> AsyncIterator[tuple[Pipeline, memoryview, memoryview]]:
    """The generator and the tree, ready for the first burst; when each frame was sent; when it was decided."""
    sent_file = folder / "sent"
    sent_file.write_bytes(bytes(plan.frames * 8))
    command = [sys.executable, "-m", "bench.venue_process", str(core), str(plan.frames), str(sent_file)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 before anything runs
    with sent_file.open("r+b") as file, process:
        sent = memoryview(mmap.mmap(file.fileno(), plan.frames * 8)).cast("q")
        decided = memoryview(bytearray(plan.frames * 8)).cast("q")
        generator = Generator(process)
        traffic = Traffic()
        pipeline = Pipeline(generator, traffic, decided)
        async with trio.open_nursery() as nursery:
            await nursery.start(pipeline.supervisor.run)
            await pipeline.wait_ready(2 * len(traffic.markets))
            generator.order("prepare")
            await generator.wait_done()
            settle()  # as the program does when it has loaded its books
            yield pipeline, sent, decided
            pipeline.supervisor.stop()
        generator.order("end")


async def measure(plan: Plan, folder: Path, core: int, *, profile: bool) -> dict[str, object]:
    """Parts 1 to 3."""
    async with _running(plan, folder, core) as (pipeline, sent, decided):
        print(f"warming up with {plan.warm_up:,} frames", flush=True)
        await pipeline.burst(plan.warm_up)
        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        rounds = [await pipeline.burst(plan.burst) for _ in range(plan.rounds)]
        for each in rounds:
            print(
                f"  burst of {plan.burst:,}: {each.per_s:8,.0f} frames/s, {each.per_cpu_s:8,.0f} per CPU second, "
                f"{each.decisions:.2f} decisions a frame, {each.conflated:.2f} books replaced while they waited",
                flush=True,
            )
        if profile:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
            profiler.clear()
            profiler.enable()
        first, paced = plan.warm_up + plan.rounds * plan.burst, []
        for number in range(plan.paced_rounds):
            each_paced = await pipeline.pace(first + number * plan.paced, plan.paced, sent, decided)
            found = each_paced.latencies
            print(
                f"  {plan.paced:,} frames at {PACED_RATE:,}/s: p50 {percentile(found, 50):.3f} ms, p99 {percentile(found, 99):.3f} ms, "
                f"worst {found[-1]:.1f} ms of {len(found):,}; {each_paced.conflated} conflated, core {each_paced.cpu_share:.0%} busy",
                flush=True,
            )
            paced.append(each_paced)
        profiler.disable()
        pipeline.check()
        print(f"  scanner: {await pipeline.statistics()}")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
    json_us = _decoding_us()
    frame_us = 1e6 / statistics.median(each.per_cpu_s for each in rounds)
    print(f"  CPU a frame {frame_us:.1f} us, of which JSON decoding {json_us:.2f} us")
    return {
        "frames_per_s": round(statistics.median(each.per_s for each in rounds)),
        "frames_per_cpu_s": round(statistics.median(each.per_cpu_s for each in rounds)),
        "decisions_per_frame": round(statistics.median(each.decisions for each in rounds), 3),
        "p50_ms": round(statistics.median(percentile(each.latencies, 50) for each in paced), 3),
        "p99_ms": round(statistics.median(percentile(each.latencies, 99) for each in paced), 3),
        "p99_ms_rounds": [round(percentile(each.latencies, 99), 3) for each in paced],
        "conflated": sum(each.conflated for each in paced),
        "frames_timed": sum(len(each.latencies) for each in paced),
        "decode_share": round(json_us / frame_us, 3),
    }


def _decoding_us() -> float:
    """CPU microseconds a frame of msgspec alone, into the connectors' own types. The best of seven."""
    traffic = Traffic()
    traffic.kalshi_snapshots()
    frames = [frame.text for frame in traffic.stream(DECODED)]
    decoders = [polymarket_wire.decode if b"event_type" in text else kalshi_wire.decode_known for text in frames]
    seconds = []
    for _ in range(7):
        began = time.process_time()
        for decode, text in zip(decoders, frames, strict=True):
            decode(text)
        seconds.append(time.process_time() - began)
    return min(seconds) / DECODED * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form, under 45 s")
    parser.add_argument("--profile", action="store_true", help="profile bursts and paced frames; the figures are then worthless")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    cores = sorted(os.sched_getaffinity(0))
    print(f"pipeline: WebSocket frame bytes -> book -> scanner's decision\n  1,000 markets, 500 pairs; {MIX}")
    print(f"  measured process on core {cores[0]}, generator on core {cores[-1]}", flush=True)
    os.sched_setaffinity(0, cores[:1])
    with tempfile.TemporaryDirectory() as folder:
        figures = trio.run(lambda: measure(plan, Path(folder), cores[-1], profile=options.profile))
    os.sched_setaffinity(0, cores)
    starts = []
    for _ in range(plan.starts):
        starts.append(trio.run(first_opportunity_seconds))
        print(f"  start to first streamed opportunity: {starts[-1]:.2f} s", flush=True)
    figures["first_opportunity_s"] = round(statistics.median(starts), 2)
    finish("pipeline", {**figures, "quick": options.quick}, TARGETS)


if __name__ == "__main__":
    main()
