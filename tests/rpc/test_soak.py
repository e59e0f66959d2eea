"""A long time of bad weather over the composed program: whatever its clients did, nothing of it is left.

SOAK_SECONDS says how long (30). The clients are processes of their own (`soak_load.py`), so that what is measured here is the
server's alone. A first part makes all that is made once and fills what is kept up to a bound; the second is measured. What then
still comes and goes: up to 1,000 scopes whose deadlines trio forgets late, and the last connection that was looked at.
"""

import gc
import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from arbiter.runtime import Topic, topic

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
FIRST_PART = 0.3
"""Of the time, at most 60 s."""
GROWTH_MIB = 4.0
"""Resident memory, from the first quarter of the second part to the last. Python's allocator moves it by 1 or 2 of them."""
PER_MINUTE_MIB = 0.25
"""The slope of it over the second part, where that is long enough for a slope to mean something."""
LONG_SECONDS = 120.0
TOMBSTONES = 32
"""Ended keys that a topic remembers here: so many end in the first part. With the 1,024 that it has otherwise, ended opportunities
would be 1.5 MiB more in the course of a soak, which nothing is wrong with.
"""
GROWTH_OBJECTS = 100
"""Of our own classes, over the second part: one for each call, or for each connection, would be thousands, or hundreds."""
TO_BE_QUIET_SECONDS = 30.0
"""Much longer than it takes, since this machine may have other work too."""
GET_THROUGH = 0.1
"""Of the calls that ask for what they may have, at least: the faster the machine, the more of them are over a limit. How many there are
says how busy the machine is, and nothing of the server.
"""
LOADS = ("official", "ours", "rude")

FINE = {
    "OK",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "UNAUTHENTICATED",
    "RESOURCE_EXHAUSTED",
    "LIMIT_EXCEEDED",
    "the server hung up",
    "was let go",
}
"""What may come of what a client does; and `was kept to the end`, where the end came before the server's patience did."""


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def living_tasks() -> Counter[str]:
    found: Counter[str] = Counter()
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is not None:
            found[task.name] += 1
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def living_objects() -> Counter[str]:
    """By their class."""
    gc.collect()
    kinds = map(type, gc.get_objects())
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)


async def settled(look: Callable[[], Any], wanted: object) -> Any:
    """What is seen once it is as wanted, or will not be any more."""
    with trio.move_on_after(TO_BE_QUIET_SECONDS):
        while look() != wanted:  # noqa: ASYNC110 what is looked at tells nobody
            await trio.sleep(0.01)
    return look()


class Watch:
    """What may not be left, and the memory."""

    def __init__(self, program) -> None:
        self._program = program
        self.mib: list[tuple[float, float]] = []

    def left(self) -> dict[str, int]:
        server, core = self._program.arbiter.front.server, self._program.arbiter.core
        topics = [topic for topic in vars(core).values() if isinstance(topic, Topic)]
        assert len(topics) >= 4
        return {
            "connections": server.connections,
            "calls": server.calls,
            "held bytes": server.held,
            **{f"subscribers of {topic.name}": topic.subscribers for topic in topics},
        }

    async def sample(self) -> None:
        while True:
            await trio.sleep(min(1.0, SOAK_SECONDS / 60))
            self.mib.append((trio.current_time(), resident_mib()))


async def change_the_market(world) -> None:
    """So that the streams have something to say."""
    while True:
        world.open_gap()
        await trio.sleep(0.05)
        world.open_gap("0.59", "0.61")
        await trio.sleep(0.05)
        world.close_gap()
        await trio.sleep(0.05)


async def load(program, seconds: float, seed: int) -> Counter[str]:
    """Every kind of client at once, for so long; what came of what they did."""
    seen: Counter[str] = Counter()
    tokens = "\n".join(program.token(user) for user in ("enterprise", "enterprise", "pro", "free"))

    async def one(kind: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("soak_load.py")), kind, program.address, str(seconds), str(seed)]
        done = await trio.run_process(command, stdin=tokens.encode(), capture_stdout=True, capture_stderr=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        seen.update(json.loads(done.stdout))

    with trio.fail_after(seconds + 60):
        async with trio.open_nursery() as nursery:
            for kind in LOADS:
                nursery.start_soon(one, kind)
    return seen


@pytest.mark.xdist_group("soak")
async def test_after_a_soak_nothing_of_it_is_left(program, logged, monkeypatch):
    monkeypatch.setattr(topic, "TOMBSTONES", TOMBSTONES)
    watch = Watch(program)
    nobody = watch.left()
    first = min(60.0, FIRST_PART * SOAK_SECONDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(change_the_market, program.world)
        await load(program, first, 1)
        assert await settled(watch.left, nobody) == nobody
        before, objects = living_tasks(), living_objects()
        nursery.start_soon(watch.sample)
        seen = await load(program, SOAK_SECONDS - first, 2)
        nursery.cancel_scope.cancel()
    assert await settled(watch.left, nobody) == nobody
    more = living_objects() - objects
    ours = Counter({kind: count for kind, count in more.items() if kind.startswith("arbiter.")})
    grown, slope = growth(watch.mib), per_minute(watch.mib)
    report = "\n".join(f"{count:8} {what}" for what, count in sorted(seen.items()))
    print(f"{report}\nmemory: {watch.mib[0][1]:.1f} -> {watch.mib[-1][1]:.1f} MiB, {grown:+.2f} by quarters, {slope:+.3f} a minute")
    print(f"objects: {objects.total()} before, then more by {more.most_common(5)}")
    assert await settled(lambda: living_tasks() - before, Counter()) == Counter()
    assert [line for line in logged if line["level"] != "warning"] == []
    check(seen)
    assert ours.total() <= GROWTH_OBJECTS, ours
    assert grown <= GROWTH_MIB
    if SOAK_SECONDS - first >= LONG_SECONDS:
        assert slope <= PER_MINUTE_MIB


def check(seen: Counter[str]) -> None:
    """Each step had its due, and each kind of client got through."""
    outcomes = {(step, outcome) for step, _, outcome in (what.partition(": ") for what, count in seen.items() if count)}
    odd = sorted((step, outcome) for step, outcome in outcomes if outcome not in FINE and outcome != "was kept to the end")
    assert odd == []
    assert {step for step, outcome in outcomes if outcome == "OK"} >= {
        "official_unary",
        "our_unary",
        "asks_and_vanishes",
        "gives_no_window",
    }
    stolen = {outcome for step, outcome in outcomes if step.endswith("_stolen")}
    assert {"UNAUTHENTICATED"} <= stolen <= {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED"}  # the latter: throttled
    for asked in ("our_unary", "official_unary"):
        assert seen[f"{asked}: OK"] > GET_THROUGH * sum(count for what, count in seen.items() if what.startswith(f"{asked}: "))


def growth(mib: list[tuple[float, float]]) -> float:
    quarter = max(1, len(mib) // 4)
    return statistics.median(each for _, each in mib[-quarter:]) - statistics.median(each for _, each in mib[:quarter])


def per_minute(mib: list[tuple[float, float]]) -> float:
    return statistics.linear_regression([at / 60 for at, _ in mib], [each for _, each in mib]).slope
