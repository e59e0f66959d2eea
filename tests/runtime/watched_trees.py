"""Supervisors that are held against what is known without them: the checker of orders, intensity and graces.

Inside of `watched(world)` every supervisor is made of a kind that notes each launch, stop and reaction, and says to the world what of
it is wrong: something starts twice or out of order, outlives what it stands below, takes longer than its grace, or is restarted,
parked or given up otherwise than an independent count says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import trio

from arbiter.runtime import Group, Intensity, SupervisorExhausted
from arbiter.runtime import supervisor as supervisor_module
from arbiter.runtime.children import LivingChildren
from arbiter.runtime.group import LivingGroup
from arbiter.runtime.node import Exit, Node
from tests.runtime.random_world import World


class Watched:
    """Holds a supervisor against what is known without it."""

    world: World
    _living: Any
    nodes: Any
    path: str
    stopping: bool
    parks: bool
    spec: Any

    async def run(self, task_status: Any) -> None:
        self.world.note("begin", self.path)
        self.ends: WeakKeyDictionary[Any, list[float]] = WeakKeyDictionary()
        self.retired: set[str] = set()
        self.parked: set[str] = set()
        """They come back alone: their siblings notice nothing."""
        self.beginning = True
        try:
            with self.world.living(self.path, "group"):
                await super().run(task_status)  # type: ignore[misc]
        finally:
            self.world.check(not self.world.lives(self.path), "something outlives", self.path, *self.world.live)
            self.world.ended_at[self.path] = trio.current_time()
            self.world.note("over", self.path)

    async def _watch(self) -> None:
        self.beginning = False
        self.begun_at = trio.current_time()
        await super()._watch()  # type: ignore[misc]

    @property
    def ordered(self) -> bool:
        return isinstance(self.spec, Group)

    def _later(self, node: Node) -> list[Node]:
        return [each for each in self.nodes if each.position > node.position]

    def _launch(self, node: Node) -> None:
        if not (self.stopping or node.over):
            self.world.note("launch", node.path)
            self.world.check(not self.world.lives(node.path), node.path, "starts while it is still there")
            alone = self.spec.strategy == "one_for_one" or node.path in self.parked if self.ordered else True
            if (self.beginning and self.ordered) or not alone:
                for later in self._later(node):
                    self.world.check(not self.world.lives(later.path), node.path, "starts while a later one lives:", later.path)
            for earlier in self.nodes if self.beginning and self.ordered else ():
                if earlier.position < node.position:
                    ready = earlier.was_ready or not self.world.lives(earlier.path)
                    self.world.check(ready, node.path, "starts before the earlier one is ready:", earlier.path)
            self.retired.discard(node.path)
            self.parked.discard(node.path)
        super()._launch(node)  # type: ignore[misc]

    async def _stop_node(self, node: Node) -> None:
        self.world.note("stop", node.path)
        if self.ordered:
            for later in self._later(node):
                self.world.check(not self.world.lives(later.path), node.path, "is stopped before the later one:", later.path)
        stop_by = trio.current_time() + node.spec.shutdown + 1e-6
        await super()._stop_node(node)  # type: ignore[misc]
        self.world.check(trio.current_time() <= stop_by, node.path, "took longer to stop than its grace")
        # somebody may have started a new one of its key in that instant: that it began after this one's end is checked at its launch
        anew = any(each.path == node.path and each is not node for each in self.nodes)
        self.world.check(anew or not self.world.lives(node.path), node.path, "was stopped and is still there")

    def _retire(self, node: Node) -> None:
        self.retired.add(node.path)
        super()._retire(node)  # type: ignore[misc]

    async def _react(self, exit_: Exit) -> None:
        node, now = exit_.node, trio.current_time()
        expected = self._expected(node, exit_.error, now)
        self.world.note("react", node.path, expected)
        if expected != "ignored" and not (self.ordered and self.spec.strategy != "one_for_one"):
            ended = self.world.ended_at[node.path]
            self.world.check(now == max(ended, self.begun_at), node.path, "ended at", ended, "and is noticed late")
        try:
            await super()._react(exit_)  # type: ignore[misc]
        except SupervisorExhausted:
            found = "escalated"
        else:
            found = {"stopped": "retired", "backing_off": "restarted", "parked": "parked"}.get(node.state, "ignored")
        self.world.check(found == expected, node.path, "should be", expected, "and is", found)
        if found == "escalated":
            raise SupervisorExhausted(node.path)

    def _expected(self, node: Node, error: Exception | None, now: float) -> str:
        if self.world.lives(node.path) or node.over:
            return "ignored"
        if node.spec.restart == "temporary" or (node.spec.restart == "transient" and error is None):
            return "retired"
        counted = self.ends.setdefault(node if self.parks else self, [])
        counted.append(now)
        intensity: Intensity = self.spec.intensity
        if sum(when > now - intensity.seconds for when in counted) <= intensity.restarts:
            return "restarted"
        if not self.parks:
            return "escalated"
        counted.clear()
        self.parked.add(node.path)
        return "parked"

    def all_up(self) -> None:
        """Everything below that is to live lives."""
        for node in self.nodes:
            if node.path in self.retired:
                continue
            self.world.check(self.world.lives(node.path), node.path, "is down after the calm:", node.state)
            if not node.is_actor and self.world.lives(node.path):
                self._inner[node].all_up()  # type: ignore[attr-defined]
        for node in getattr(self, "_passive", {}).values():
            self.world.check(len(node.spec.mailbox) == 0, node.path, "is passive while something waits for it")


class WatchedGroup(Watched, LivingGroup):  # type: ignore[misc]
    pass


class WatchedChildren(Watched, LivingChildren):  # type: ignore[misc]
    pass


@contextmanager
def watched(world: World) -> Iterator[None]:
    """Every supervisor made in this block is."""
    kinds = (LivingGroup, LivingChildren)
    Watched.world = world
    supervisor_module.LivingGroup, supervisor_module.LivingChildren = WatchedGroup, WatchedChildren  # type: ignore[misc, attr-defined]
    try:
        yield
    finally:
        supervisor_module.LivingGroup, supervisor_module.LivingChildren = kinds  # type: ignore[misc, attr-defined]
