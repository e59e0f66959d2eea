"""An update of Telegram -> gRPC -> the reply sent: our bridge, natively on trio, against python-telegram-bot's own way.

    ./just bench bot [--quick] [--profile FILE]

Four processes beside this one: the core (`bot_core_process.py`: the real tree, sandbox venues, gRPC front), a sandbox Bot API with
two bots whose limits are lifted (`bot_api_process.py`), our BotBridge (`bot_bridge_process.py`), and the reference, an
Application of python-telegram-bot on asyncio with `grpc.aio` (`bot_reference_process.py`). Both answer `/status`: one
call, one message of the same text. Both stay up; they are measured in turn, round by round.

1. Latency: 10 updates/s over 50 chats, at uneven distances. From the moment when an update can be fetched to the moment when its
   reply has come in, by the Bot API's own clock.
2. Throughput: 1,000 updates over 50 chats, all there at once, until the last reply.

Each part is the median of its rounds. Every reply must be a whole status, and by the core's own count every call must end with
grpc-status 0, or there is no result.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.bot_people import CHATS
from bench.process import Process
from bench.report import finish, percentile

TARGETS = {"p50_ratio": "<= 1.0", "p99_ratio": "<= 1.0", "updates_per_s": ">= 400"}
SIDES = ("ours", "reference")
RATE = 10.0
PAUSE_SECONDS = 1.0
"""Between two parts: the core's per-second limits of an account are whole again."""


@dataclass(frozen=True)
class Plan:
    """How many rounds, each of both sides, and the updates of one that times single updates."""

    rounds: int
    updates: int
    bursts: int
    burst: int


FULL = Plan(rounds=5, updates=100, bursts=5, burst=1_000)
QUICK = Plan(rounds=2, updates=25, bursts=1, burst=300)


@dataclass
class Found:
    """One side's rounds: latencies in ms, and updates a second of the bursts."""

    rounds: list[list[float]] = field(default_factory=list)
    bursts: list[float] = field(default_factory=list)

    def latency(self, percent: float) -> float:
        """The median over the rounds."""
        return statistics.median(percentile(each, percent) for each in self.rounds)


class Bench:
    """The four processes."""

    def __init__(self, stack: ExitStack, folder: Path, groups: int, profile: Sequence[str]) -> None:
        self.core = Process(stack, "bot_core_process", folder / "core", groups)
        self.api = Process(stack, "bot_api_process")
        reached, apis = self.core.heard(), self.api.heard()

        def bot(side: str) -> tuple[object, ...]:
            return reached["server"], reached["credential"], apis[side]["url"], apis[side]["token"]

        self.bots = {
            "ours": Process(stack, "bot_bridge_process", *bot("ours"), folder, *profile),
            "reference": Process(stack, "bot_reference_process", *bot("reference")),
        }
        stack.callback(self.bots["reference"].stop)

    def round(self, side: str, group: int, count: int, rate: float, seed: int = 0) -> dict[str, Any]:
        """Raises RuntimeError for a reply that is no status: it would flatter the figures."""
        time.sleep(PAUSE_SECONDS)
        told: dict[str, Any] = self.api.ask(side=side, group=group, count=count, rate=rate, seed=seed)
        if told["bad"]:
            raise RuntimeError(f"{side}: {len(told['bad'])} of {count} replies are no status: {told['bad'][:3]}")
        return told

    def latencies(self, side: str, number: int, count: int) -> list[float]:
        told = self.round(side, 0, count, RATE, number)
        found = sorted(ns / 1e6 for ns in told["took_ns"])
        print(
            f"  {side:9} {count} at {RATE:.0f}/s: p50 {percentile(found, 50):6.2f} ms, p99 {percentile(found, 99):6.2f} ms, "
            f"worst {found[-1]:6.1f} ms; {told['calls'].get('getUpdates', 0) / count:.1f} getUpdates an update",
            flush=True,
        )
        return found

    def burst(self, side: str, group: int, count: int) -> float:
        self.round(side, group, CHATS, 0)  # signs its people in, which is not measured
        time.sleep(PAUSE_SECONDS)
        processes = {"bot": self.bots[side], "core": self.core, "Bot API": self.api}
        before = {name: process.cpu_seconds() for name, process in processes.items()}
        told = self.round(side, group, count, 0)
        seconds = told["whole_ns"] / 1e9
        cpu = ", ".join(f"{name} {process.cpu_seconds() - before[name]:.1f}" for name, process in processes.items())
        rate = count / seconds
        print(f"  {side:9} burst of {count:,} over {CHATS} chats: {rate:5.0f} updates/s; CPU seconds: {cpu}", flush=True)
        return rate


def measure(plan: Plan, folder: Path, profile: Sequence[str]) -> dict[str, object]:
    found = {side: Found() for side in SIDES}
    with ExitStack() as stack:
        bench = Bench(stack, folder, 1 + plan.bursts, profile)
        for side in SIDES:
            bench.round(side, 0, CHATS, 2 * RATE)
        for number in range(plan.rounds):
            for side in SIDES if number % 2 else SIDES[::-1]:
                found[side].rounds.append(bench.latencies(side, number, plan.updates))
        for number in range(plan.bursts):
            for side in SIDES if number % 2 else SIDES[::-1]:
                found[side].bursts.append(bench.burst(side, 1 + number, plan.burst))
        ended = bench.core.ask()
        print(f"  calls by status, as the core counts them: {ended}")
        if set(ended) != {"OK"}:
            raise RuntimeError("calls failed")
    ours, reference = found["ours"], found["reference"]
    return {
        "p50_ms": round(ours.latency(50), 2),
        "p99_ms": round(ours.latency(99), 2),
        "ref_p50_ms": round(reference.latency(50), 2),
        "ref_p99_ms": round(reference.latency(99), 2),
        "p50_ratio": round(_ratio(ours, reference, 50), 3),
        "p99_ratio": round(_ratio(ours, reference, 99), 3),
        "updates_per_s": round(statistics.median(ours.bursts)),
        "ref_updates_per_s": round(statistics.median(reference.bursts)),
        "replies_timed": sum(map(len, ours.rounds)),
    }


def _ratio(ours: Found, reference: Found, percent: float) -> float:
    """The median of the rounds' ratios: the two of a round stand side by side, while the machine's speed changes over the rounds."""
    rounds = zip(ours.rounds, reference.rounds, strict=True)
    return statistics.median(percentile(one, percent) / percentile(other, percent) for one, other in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form, under 45 s")
    parser.add_argument("--profile", metavar="FILE", help="profile our bridge into this file; the figures are then worthless")
    options = parser.parse_args()
    print("bot: update -> gRPC -> reply sent", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(QUICK if options.quick else FULL, Path(folder), [options.profile] if options.profile else [])
    finish("bot", {**figures, "quick": options.quick}, TARGETS)


if __name__ == "__main__":
    main()
