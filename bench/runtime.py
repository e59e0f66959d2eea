"""The actor runtime against what trio itself allows, and against pykka.

    ./just bench runtime [--quick]

Every comparison is made in turn, round by round, in one process on one core; a figure is the median of the rounds' ratios.

1. tell: one producer, one actor that counts, against a task that sends into a bare memory channel of the same capacity and one
   that receives from it.
2. ask: one asker, one actor, against a request that carries a one-slot memory channel for its reply (`ask_ratio`: through the
   mailbox, two task switches, as the bare one), and against pykka's `ask` of a threading actor (`ask_vs_pykka`: a read, which an
   idle actor answers at once; `ask_in_turn_vs_pykka`: through the mailbox).
3. publish: a topic with 1,000 subscribers that conflate, against 1,000 bare `send_nowait`; what was sent is taken out between.
4. idle actors: how much the process grew by 50,000 of them, each started, ready and having handled a message; beside 50,000
   bare tasks that wait on a channel of their own.
5. spawn: dynamic children started (ready) and stopped again, one after the other.
6. restart: from the message that crashes an actor to its next incarnation having handled the next message; no backoff.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pykka
import structlog
import trio
import trio.testing

from arbiter.errors import ActorStopped
from arbiter.runtime import (
    Actor,
    Backoff,
    Backpressure,
    Child,
    DynamicGroup,
    Environment,
    Group,
    Intensity,
    Message,
    Request,
    Supervisor,
    Topic,
)
from bench.report import finish

TARGETS = {
    "tell_ratio": ">= 0.8",
    "ask_ratio": ">= 0.9",
    "ask_vs_pykka": ">= 3",
    "publish_ratio": "<= 1.5",
    "idle_actor_kib": "<= 8",
    "spawn_per_s": ">= 8000",
    "restart_ms": "<= 1",
}
CAPACITY = 1024
SUBSCRIBERS = 1_000


class Tick(Message, frozen=True, tag=True):
    """Counts one."""


class Crash(Message, frozen=True, tag=True):
    """Kills who handles it."""


class GetCount(Request[int], frozen=True, tag=True):
    """How many ticks were handled."""


class GetCountInTurn(Request[int], frozen=True, tag=True):
    """The same, but never answered at once: through the mailbox and two task switches."""


Protocol = Tick | Crash | GetCount | GetCountInTurn


class Counter(Actor[Protocol]):
    """Counts what it is told; says so when it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def answer(self, request: Protocol) -> object:
        return self.count if type(request) is GetCount else NotImplemented

    async def handle(self, message: Protocol) -> object:
        if type(message) is Tick:
            self.count += 1
            return None
        if type(message) is Crash:
            raise RuntimeError("as ordered")
        return self.count


class PykkaCounter(pykka.ThreadingActor):
    """The same for pykka."""

    def on_receive(self, _message: object) -> int:
        return 1


async def per_second(count: int, work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return count / (time.perf_counter() - began)


# -- 1 and 2: one to one --


async def tell(counter: Child[Protocol], count: int) -> None:
    message = Tick()
    send = counter.ref.tell
    for _ in range(count):
        await send(message)
    await counter.ref.ask(GetCount(), timeout=60)


async def tell_bare(count: int) -> None:
    send, receive = trio.open_memory_channel[Tick](CAPACITY)
    message, counted = Tick(), 0

    async def consume() -> None:
        nonlocal counted
        async for _ in receive:
            counted += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        async with send:
            for _ in range(count):
                await send.send(message)
    assert counted == count


async def ask(counter: Child[Protocol], count: int, request: GetCount | GetCountInTurn) -> None:
    for _ in range(count):
        await counter.ref.ask(request, timeout=60)


async def ask_bare(count: int) -> None:
    send, receive = trio.open_memory_channel[tuple[GetCount, trio.MemorySendChannel[int]]](CAPACITY)
    request = GetCount()

    async def answer() -> None:
        async for _, reply in receive:
            await reply.send(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        async with send:
            for _ in range(count):
                replies, reply = trio.open_memory_channel[int](1)
                with trio.fail_after(60):
                    await send.send((request, replies))
                    await reply.receive()


def ask_pykka(count: int) -> float:
    actor = PykkaCounter.start()
    began = time.perf_counter()
    for _ in range(count):
        actor.ask("count", timeout=60)
    rate = count / (time.perf_counter() - began)
    actor.stop()
    return rate


# -- 3: publish --


async def publish(count: int) -> tuple[float, float]:
    """Seconds for so many events to 1,000 subscribers, and for as many bare `send_nowait` to as many channels."""
    topic: Topic[int, Tick] = Topic("bench")
    event = Tick()
    with_topic = bare = 0.0
    subscribers = [topic.subscribe() for _ in range(SUBSCRIBERS)]
    subscriptions = [each.__enter__()[1] for each in subscribers]
    channels = [trio.open_memory_channel[Tick](CAPACITY) for _ in range(SUBSCRIBERS)]
    for number in range(count):
        began = time.perf_counter()
        topic.publish(number, event)
        with_topic += time.perf_counter() - began
        began = time.perf_counter()
        for send, _ in channels:
            send.send_nowait(event)
        bare += time.perf_counter() - began
        for subscription in subscriptions:
            await subscription.receive()
        for _, receive in channels:
            receive.receive_nowait()
    for each in subscribers:
        each.__exit__(None, None, None)
    return with_topic, bare


# -- 4, 5, 6 --


def _counter(key: str) -> Child[Protocol]:
    return Child(key, Counter)


async def idle(count: int, *, bare: bool) -> float:
    """KiB that the process grew by for each idle actor, or bare task with a channel."""
    gc.collect()
    before = resident_kib()
    async with trio.open_nursery() as nursery:
        if bare:
            ends = []
            for _ in range(count):
                send, receive = trio.open_memory_channel[Tick](CAPACITY)
                ends.append(send)
                nursery.start_soon(receive.receive)
        else:
            group = DynamicGroup("idle", _counter, capacity=count)
            supervisor = Supervisor(Group("root", [group]), Environment.real())
            await nursery.start(supervisor.run)
            for number in range(count):
                await (await group.start(str(number))).tell(Tick())
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        grown = resident_kib() - before
        nursery.cancel_scope.cancel()
    return grown / count


def idle_apart(count: int, kind: str) -> float:
    """In a process of its own, since memory that was used once is not given back."""
    done = subprocess.run([sys.executable, "-m", "bench.runtime", "--idle", kind, str(count)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def resident_kib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def spawn(group: DynamicGroup[Protocol], count: int) -> None:
    for number in range(count):
        await group.start(str(number))
        await group.stop(str(number))


async def restart(counter: Child[Protocol], count: int) -> list[float]:
    """Milliseconds of each restart."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        await counter.ref.tell(Crash())
        while True:
            try:
                await counter.ref.ask(GetCount(), timeout=5)
                break
            except ActorStopped:  # it stood behind the crash and failed with it
                continue
        took.append((time.perf_counter() - began) * 1000)
    return took


async def measure(quick: bool) -> dict[str, object]:
    rounds, share = (3, 0.2) if quick else (7, 1.0)
    often = Intensity(restarts=10**9, seconds=1)
    one: Child[Protocol] = Child("counter", Counter, mailbox=Backpressure(CAPACITY))
    fragile: Child[Protocol] = Child("fragile", Counter)
    group = DynamicGroup("many", _counter, capacity=100)
    tree = Group("root", [one, Group("fragile", [fragile], intensity=often, backoff=Backoff(first=0.0)), group])
    supervisor = Supervisor(tree, Environment.real())
    tells, asks, publishes, spawns = (int(number * share) for number in (200_000, 100_000, 400, 20_000))
    ratios: dict[str, list[float]] = {name: [] for name in ("tell", "ask", "pykka", "in_turn", "publish", "spawn")}
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        for number in range(rounds + 1):
            tell_rate = await per_second(tells, lambda: tell(one, tells))
            bare_tell = await per_second(tells, lambda: tell_bare(tells))
            ask_rate = await per_second(asks, lambda: ask(one, asks, GetCountInTurn()))
            read_rate = await per_second(asks, lambda: ask(one, asks, GetCount()))
            bare_ask = await per_second(asks, lambda: ask_bare(asks))
            pykka_rate = ask_pykka(asks // 10)
            topic, bare = await publish(publishes)
            spawn_rate = await per_second(spawns, lambda: spawn(group, spawns))
            micros = 1e6 / publishes
            print(
                f"  {'warm-up ' if not number else ''}tell {tell_rate:,.0f}/s (bare {bare_tell:,.0f}), "
                f"ask {ask_rate:,.0f}/s in turn, {read_rate:,.0f} at once (bare {bare_ask:,.0f}, pykka {pykka_rate:,.0f}), "
                f"publish to {SUBSCRIBERS:,} {topic * micros:,.0f} us (bare {bare * micros:,.0f}), start and stop {spawn_rate:,.0f}/s",
                flush=True,
            )
            if number:
                found = (
                    tell_rate / bare_tell,
                    ask_rate / bare_ask,
                    read_rate / pykka_rate,
                    ask_rate / pykka_rate,
                    topic / bare,
                    spawn_rate,
                )
                for each, figure in zip(ratios.values(), found, strict=True):
                    each.append(figure)
        restarts = await restart(fragile, 40 if quick else 400)
        supervisor.stop()
    middle = {name: statistics.median(each) for name, each in ratios.items()}
    return {
        "tell_ratio": round(middle["tell"], 2),
        "ask_ratio": round(middle["ask"], 2),
        "ask_vs_pykka": round(middle["pykka"], 2),
        "ask_in_turn_vs_pykka": round(middle["in_turn"], 2),
        "publish_ratio": round(middle["publish"], 2),
        "spawn_per_s": round(middle["spawn"]),
        "restart_ms": round(statistics.median(restarts), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short form, under 45 s")
    parser.add_argument("--idle", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    if options.idle:
        kind, count = options.idle
        print(trio.run(lambda: idle(int(count), bare=kind == "bare")))
        return
    print("runtime: actors against bare trio and pykka", flush=True)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    figures = trio.run(measure, options.quick)
    many = 10_000 if options.quick else 50_000
    idle_kib, bare_kib = idle_apart(many, "actor"), idle_apart(many, "bare")
    print(f"  {many:,} idle: {idle_kib:.1f} KiB an actor, {bare_kib:.1f} KiB a bare task with a channel", flush=True)
    finish(
        "runtime", {**figures, "idle_actor_kib": round(idle_kib, 1), "idle_task_kib": round(bare_kib, 1), "quick": options.quick}, TARGETS
    )


if __name__ == "__main__":
    main()
