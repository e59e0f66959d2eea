"""Arbiter's gRPC server against an official `grpc.aio` server: the same load, the same messages, the same handlers.

    ./just bench rpc [--quick]

Ours (`rpc_core_process.py`) verifies the token of each call and asks the user's rate limit, which is raised so far that it never runs
empty; the reference (`rpc_reference_process.py`) gets the same bytes and does neither. Each is a process of its own; both stay up
and are measured in turn, round by round. Ratios are ours over the reference, medians of the rounds' ratios.

1. unary: h2load, 10 connections with 10 calls under way on each; a handler that answers at once, then one that goes through the core:
   one ask of an actor (a read, which an idle actor answers in the asking task) here, one asyncio queue to a task and back there.
2. unary, 1 in flight: a raw client on one connection, one call after the other.
3. stream: h2load, one reader of one stream, which sends one message again and again, serialised each time.
4. fan-out: 1,000 streams of GetArbOpportunities on 50 connections of a raw client; one update at a time, from before it is published
   until the last stream's copy has come.
5. quiet streams: 1,000 of them on 50 connections that are open already: growth of the process for each. Then the connections
   are closed: until the server counts no running call. A fresh server for each round.
6. beside a flood: p99 of calls as in 2, while another client reads a stream that runs flat out, over the p99 without it.
7. neighbour: p99 of calls as in 2, while another user sends twice what its rate limit allows (600/s, six at once every 10 ms; its
   burst is spent beforehand), over the p99 while that user is at rest. Ours alone: the reference has no limits.

h2load takes any answer for a success: what counts is what the servers count, calls that ended with grpc-status 0, and the bytes of
their messages must all have arrived at the client. A raw client reads the status of each call. One that failed leaves no result.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import h2load, rpc_work
from bench.report import finish, percentile
from bench.rpc_raw import message
from bench.rpc_side import BURST_SECONDS, Side

TARGETS = {
    "unary_ratio": ">= 4",
    "unary_core_ratio": ">= 1.5",
    "unary1_p50_ratio": "<= 0.7",
    "stream_ratio": ">= 15",
    "fanout_ratio": ">= 8",
    "quiet_stream_kib": "<= 10",
    "drop_all_s": "<= 0.4",
    "busy_p99_ratio": "<= 2",
    "neighbour_p99_ratio": "<= 1.2",
}


@dataclass(frozen=True)
class Plan:
    """How many rounds (`tails`: of those that look at a p99), how long h2load loads in each; how many calls, updates, fresh servers."""

    rounds: int
    tails: int
    load_seconds: float
    calls: int
    updates: int
    fresh: int
    busy_seconds: float
    """The longest that calls beside a flood are made."""


FULL = Plan(rounds=5, tails=5, load_seconds=2.0, calls=2_000, updates=30, fresh=5, busy_seconds=6.0)
QUICK = Plan(rounds=2, tails=1, load_seconds=0.4, calls=400, updates=5, fresh=1, busy_seconds=2.0)


class Bench:
    """Both sides."""

    def __init__(self, stack: ExitStack, folder: Path, plan: Plan) -> None:
        self.plan = plan
        self._body = folder / "message"
        self._body.write_bytes(message())
        self.ours = self._ours(stack)
        self.reference = self._reference(stack)

    def _ours(self, stack: ExitStack) -> Side:
        return Side(stack, "ours", "rpc_core_process", self._body)

    def _reference(self, stack: ExitStack) -> Side:
        """It gets our token too: the same bytes to read."""
        return Side(stack, "reference", "rpc_reference_process", self._body, self.ours.token)

    def in_turn(self, what: str, unit: str, one: Callable[[Side], float]) -> dict[str, float]:
        """Every round measures both sides, now one first, now the other. Ours, the reference, the median of the rounds' ratios."""
        rounds: list[dict[str, float]] = []
        for number in range(self.plan.rounds):
            order = (self.ours, self.reference) if number % 2 else (self.reference, self.ours)
            rounds.append({side.name: one(side) for side in order})
        ours, reference = (statistics.median(each[name] for each in rounds) for name in ("ours", "reference"))
        ratios = sorted(each["ours"] / each["reference"] for each in rounds)
        ratio = statistics.median(ratios)
        print(
            f"  {what:34} ours {ours:11,.3f} {unit}, reference {reference:11,.3f} {unit}: "
            f"ratio {ratio:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})",
            flush=True,
        )
        return {"ours": ours, "reference": reference, "ratio": ratio}

    def fresh(self) -> dict[str, float]:
        """Quiet streams, on servers that have done nothing else."""
        found: dict[str, list[tuple[float, float]]] = {"ours": [], "reference": []}
        for _ in range(self.plan.fresh):
            for make in (self._ours, self._reference):
                with ExitStack() as stack:
                    side = make(stack)
                    found[side.name].append(side.quiet())
        kib, drop = ({name: statistics.median(each[index] for each in rounds) for name, rounds in found.items()} for index in (0, 1))
        print(
            f"  1,000 quiet streams: each {kib['ours']:.1f} KiB, all gone after {drop['ours']:.3f} s "
            f"(reference {kib['reference']:.1f} KiB, {drop['reference']:.3f} s)",
            flush=True,
        )
        return {
            "quiet_stream_kib": kib["ours"],
            "ref_quiet_stream_kib": kib["reference"],
            "drop_all_s": drop["ours"],
            "ref_drop_all_s": drop["reference"],
        }

    def beside_flood(self, side: Side) -> float:
        """Ratio of the p99s, median of the rounds."""
        ratios, idles, busies, floods = [], [], [], []
        for _ in range(self.plan.tails):
            calls = side.latencies(self.plan.calls)
            beside, flood = side.busy_latencies(self.plan.calls, self.plan.busy_seconds)
            idles.append(percentile(calls, 99))
            busies.append(percentile(beside, 99))
            floods.append(flood)
            ratios.append(busies[-1] / idles[-1])
        ratio = statistics.median(ratios)
        print(
            f"  p99 beside a flood, {side.name:9}: {statistics.median(busies):.2f} ms, idle {statistics.median(idles):.2f} ms: "
            f"ratio {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); the flood {statistics.median(floods):.1f} MiB/s",
            flush=True,
        )
        return ratio

    def neighbour(self) -> float:
        """Ratio of the p99s, median of the rounds."""
        ratios, rests, besides, spent = [], [], [], []
        for _ in range(self.plan.tails):
            rest = self.ours.latencies(self.plan.calls)
            seconds = 1 + 4 * sum(rest) / 1000
            before = self.ours.server.ask(do="counts")["ok"]
            with self.ours.hammer(BURST_SECONDS + seconds) as hammer:
                time.sleep(BURST_SECONDS)
                beside = self.ours.latencies(self.plan.calls, 0.8 * seconds)
                assert hammer.stdout is not None
                ran = h2load.read(hammer.stdout.read())
            answered = self.ours.server.ask(do="counts")["ok"] - before - len(beside)  # and the few untimed ones
            spent.append((ran.done / ran.seconds, answered / ran.seconds))
            rests.append(percentile(rest, 99))
            besides.append(percentile(beside, 99))
            ratios.append(besides[-1] / rests[-1])
        ratio = statistics.median(ratios)
        sent, answered = (statistics.median(each[index] for each in spent) for index in (0, 1))
        print(
            f"  p99 beside a neighbour: {statistics.median(besides):.2f} ms, at rest {statistics.median(rests):.2f} ms: "
            f"ratio {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); it sent {sent:.0f}/s, "
            f"of which {answered:.0f}/s were served, its burst with them",
            flush=True,
        )
        return ratio


def measure(plan: Plan, folder: Path) -> dict[str, object]:
    with ExitStack() as stack:
        bench = Bench(stack, folder, plan)
        print(f"  the token has {len(bench.ours.token)} bytes", flush=True)
        wallet, positions = rpc_work.wallet(), rpc_work.trading_pb2.PositionsResponse()
        for side in (bench.ours, bench.reference):
            side.latencies(500)
        unary = bench.in_turn("unary, 100 in flight", "calls/s", lambda side: side.unary_rate(rpc_work.AT_ONCE, wallet, plan.load_seconds))
        core = bench.in_turn(
            "the same through the core", "calls/s", lambda side: side.unary_rate(rpc_work.THROUGH_THE_CORE, positions, plan.load_seconds)
        )
        single = bench.in_turn("unary, 1 in flight, p50", "ms", lambda side: statistics.median(side.latencies(plan.calls)))
        stream = bench.in_turn("stream, one reader", "messages/s", lambda side: side.stream_rate(plan.load_seconds))
        cpu_us = {
            f"{prefix}{name}_cpu_us": round(side.cpu_us(path), 1)
            for name, path in (("unary", rpc_work.AT_ONCE), ("unary_core", rpc_work.THROUGH_THE_CORE), ("stream", rpc_work.FLOOD))
            for prefix, side in (("", bench.ours), ("ref_", bench.reference))
        }
        print("  CPU of the server, us: " + ", ".join(f"{name[:-7]} {us:,.1f}" for name, us in cpu_us.items()), flush=True)
        last_ms: dict[str, list[float]] = {"ours": [], "reference": []}

        def fan_out(side: Side) -> float:
            rate, last = side.fan_out(plan.updates)
            last_ms[side.name].append(last)
            return rate

        fanout = bench.in_turn("fan-out to 1,000 streams", "messages/s", fan_out)
        last = {name: statistics.median(each) for name, each in last_ms.items()}
        print(f"  an update's last copy: ours {last['ours']:.2f} ms, reference {last['reference']:.2f} ms", flush=True)
        quiet = bench.fresh()
        busy = {side.name: bench.beside_flood(side) for side in (bench.ours, bench.reference)}
        neighbour = bench.neighbour()
    return {
        "unary_ratio": round(unary["ratio"], 3),
        "unary_core_ratio": round(core["ratio"], 3),
        "unary1_p50_ratio": round(single["ratio"], 3),
        "stream_ratio": round(stream["ratio"], 3),
        "fanout_ratio": round(fanout["ratio"], 3),
        **{name: round(figure, 3) for name, figure in quiet.items()},
        "busy_p99_ratio": round(busy["ours"], 3),
        "ref_busy_p99_ratio": round(busy["reference"], 3),
        "neighbour_p99_ratio": round(neighbour, 3),
        "unary_per_s": round(unary["ours"]),
        "ref_unary_per_s": round(unary["reference"]),
        "unary_core_per_s": round(core["ours"]),
        "ref_unary_core_per_s": round(core["reference"]),
        "unary1_p50_ms": round(single["ours"], 3),
        "ref_unary1_p50_ms": round(single["reference"], 3),
        "stream_per_s": round(stream["ours"]),
        "ref_stream_per_s": round(stream["reference"]),
        "fanout_per_s": round(fanout["ours"]),
        "ref_fanout_per_s": round(fanout["reference"]),
        "fanout_last_ms": round(last["ours"], 2),
        "ref_fanout_last_ms": round(last["reference"], 2),
        **cpu_us,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form, under 45 s")
    options = parser.parse_args()
    h2load.require()
    print("rpc: Arbiter's server against grpc.aio", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(QUICK if options.quick else FULL, Path(folder))
    finish("rpc", {**figures, "quick": options.quick}, TARGETS)


if __name__ == "__main__":
    main()
