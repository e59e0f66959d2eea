"""Random trees under random crashes, messages, stops and cancellations, on schedules that a seed repeats.

Here are who drives a tree from outside, and the runs. The trees are `random_trees.py`'s and the actors `random_actors.py`'s; what must
hold is known to `random_world.py` (messages), `random_news.py` (topics), the actors (timers) and `watched_trees.py` (supervisors).

`RUNTIME_SEEDS` says how many (the nightly recipe: 2,000). A failure names its seed: `run_tree(SEED)` repeats it, and `World.trace`
is its story. What is held, for every seed:

- no task outlives its supervisor, and no incarnation begins before the one before it is gone
- no message is handled twice; what a mailbox took was handled, waits in it, or was dropped by its policy and counted
- a subscriber sees the snapshot and then what its policy promises of the changes, none twice and none too late, whoever crashes
- a timer comes to the incarnation that set it and to no other, not too early, no more often than it was set for
- no ask takes longer than its deadline, each answer is that request's own, an ask whose handler crashed is told in that instant
- children start in order and stop in reverse, also when their strategy restarts them, each within its grace
- each end of a child is reacted to in time and as an independent count of the intensity says
- once the crashes cease, everything that is to live does, and answers
- the same seed gives the same trace, byte for byte, whatever the hash seed
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
import trio

from arbiter.errors import NotRunning
from arbiter.runtime import Child, Environment, StartFailed, Supervisor, SupervisorExhausted
from arbiter.runtime.testing import run_seeded
from tests.runtime.random_trees import Planter
from tests.runtime.random_world import Mail, World, settle_accounts
from tests.runtime.watched_trees import watched

SEEDS = int(os.environ.get("RUNTIME_SEEDS", "400"))
BLOCKS = 8
CALM_SECONDS = 400.0
"""Longer than all backoffs, a few retries of what is parked, and any handler."""


# -- the drivers --


async def drive(world: World, number: int) -> None:
    """Somebody outside of the tree who sends, starts and stops."""
    random = world.chance("driver", number)
    for _ in range(random.randint(5, 30)):
        await trio.sleep(random.choice((0, 0, 0.01, 0.3, 1)))
        child = await pick(world, random)
        if child is None:
            continue
        match random.randrange(5):
            case 0:
                await world.tell(child, random.choice((0, 0.1, 5)))
            case 1 | 2:
                world.offer(child, urgent=random.random() < 0.2)
            case 3:
                with trio.move_on_after(random.choice((0.2, 100))):
                    await world.ask(child.ref, random.choice((0.05, 1, 10)))
            case 4:
                for _ in range(5):
                    world.offer(child, urgent=False)


async def pick(world: World, random: Random) -> Child[Mail] | None:
    if world.static and (not world.dynamic or random.random() < 0.6):
        return random.choice(world.static)
    if not world.dynamic:
        return None
    group, key, roll = random.choice(world.dynamic), random.choice("xyz"), random.random()
    try:
        if roll < 0.1:
            world.note("dynamic stop", group.name, key, await group.stop(key))
            return None
        if roll < 0.3:
            ref = await group.start(key)
            world.note("dynamic start", ref.name)
        elif roll < 0.5:
            found = group.find(key)
            if found is None:
                return None
            ref = found
        else:
            ref = group.ref(key)
    except (NotRunning, StartFailed) as error:
        world.note("dynamic refused", type(error).__name__, group.name, key)
        return None
    return next(each for each in world.children.values() if each.ref is ref)


async def live(world: World) -> None:
    tree = Planter(world).root()
    supervisor = Supervisor(tree, Environment.simulated(world.seed))
    before = trio.lowlevel.current_statistics().tasks_living
    ending = world.random.choice(("calm", "calm", "stop", "cancel"))
    scope = trio.CancelScope()
    over = trio.Event()

    async def run() -> None:
        with scope:
            try:
                await supervisor.run()
            except SupervisorExhausted:
                world.note("exhausted")
        over.set()

    async with trio.open_nursery() as outer:
        outer.start_soon(run)
        async with trio.open_nursery() as drivers:
            for number in range(world.random.randint(1, 5)):
                drivers.start_soon(drive, world, number)
            if ending != "calm":
                await trio.sleep(world.random.choice((0, 0.5, 3, 10)))
                world.note(ending)
                supervisor.stop() if ending == "stop" else scope.cancel()
        if ending == "calm":
            await calm(world, supervisor, over)
        if ending != "cancel":
            supervisor.stop()
        with trio.move_on_after(100) as patience:
            await over.wait()
        world.check(not patience.cancelled_caught, "the tree does not end")
        outer.cancel_scope.cancel()
    world.check(not world.live, "still there at the end:", *world.live)
    world.check(trio.lowlevel.current_statistics().tasks_living == before, "tasks are left over")


async def calm(world: World, supervisor: Supervisor, over: trio.Event) -> None:
    world.calm = True
    world.note("calm")
    with trio.move_on_after(CALM_SECONDS):
        await over.wait()
        return
    root: Any = supervisor._root
    root.all_up()
    for settled in (*world.subjects.values(), *(reading for paper in world.papers for reading in paper.readings)):
        settled.settle()
    for child in world.static:
        if any(path == f"root/{child.ref.name}" for path, _ in world.live):
            world.check(await world.ask(child.ref, 5), child.ref.name, "does not answer after the calm")


# -- the run --


def run_tree(seed: int) -> World:
    world = World(seed)
    with structlog.testing.capture_logs(), watched(world):
        run_seeded(seed, live, world)
    settle_accounts(world)
    return world


def digest(seeds: range) -> str:
    return hashlib.sha256("\n".join(line for seed in seeds for line in run_tree(seed).trace).encode()).hexdigest()


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_random_tree_keeps_its_promises_under_any_schedule(block):
    for seed in range(block, SEEDS, BLOCKS):
        world = run_tree(seed)
        assert not world.wrong, f"seed {seed}: {world.wrong[0]}\n" + "\n".join(world.trace[-60:])


def test_the_same_seed_gives_the_same_trace_byte_for_byte():
    for seed in range(0, SEEDS, 15):
        assert run_tree(seed).trace == run_tree(seed).trace, f"seed {seed}"


def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed():
    seeds = range(8)
    script = f"import tests.runtime.test_random_trees as t; print(t.digest({seeds!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.strip() == digest(seeds)
