"""The supervision tree, alive: starts children in order, restarts what crashes, stops in reverse.

A tree is data (`spec.py`): `Group`s of `Child`ren, of `DynamicGroup`s and of further groups. `Supervisor(group).run()` brings it
to life. Semantics, each line of which is a test (docs/runtime.md):

- one_for_one restarts the child that ended; rest_for_one also everything started after it; one_for_all all of them.
- A group that restarts more often than its intensity allows is exhausted. It then *escalates* (ends with
  `SupervisorExhausted`, a crash for its own supervisor) or, with `exhausted="park"`, leaves the child that did it
  down, retries it each minute, and nothing else notices.
- `Exception` (an ExceptionGroup of a child's nursery too) is a crash. `Cancelled` and `KeyboardInterrupt` pass.
"""

from typing import Any

import trio

from arbiter.runtime.children import LivingChildren
from arbiter.runtime.environment import Environment
from arbiter.runtime.group import LivingGroup
from arbiter.runtime.inner import Inner
from arbiter.runtime.living import Living
from arbiter.runtime.node import ActorStatus, State
from arbiter.runtime.ref import Position
from arbiter.runtime.spec import DynamicGroup, Group


class Supervisor:
    """The living tree under one root group."""

    def __init__(self, root: Group, environment: Environment) -> None:
        def make(spec: Group | DynamicGroup[Any], position: Position, path: str, inner: Inner) -> Living[Any]:
            kind = LivingGroup if isinstance(spec, Group) else LivingChildren
            return kind(spec, position, path, environment, inner)  # type: ignore[arg-type]  # each kind gets its own spec

        self._inner = Inner(make)
        self._name = root.name
        self._ran = False
        self._root = make(root, (), root.name, self._inner)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything (then `task_status` says so) and watch over it until `stop` or exhaustion.

        Raises SupervisorExhausted when the root is exhausted, StartFailed (one of those) when its first start fails; its cause is what
        a child raised. Once: for another run make another Supervisor; RuntimeError says so.
        """
        if self._ran:
            raise RuntimeError(f"the tree {self._name} was run before: make another Supervisor")
        for each, path in self._inner.placed.items():
            if each.placed:
                raise ValueError(f"{path} stands in a tree that runs already")
        self._ran = True
        for each in self._inner.placed:
            each.placed = True
        try:
            await self._root.run(task_status)
        finally:
            self._root.close()
            for each in self._inner.placed:
                each.placed = False

    def stop(self) -> None:
        """Stop everything in reverse order, each child within its grace. `run` returns when it is done."""
        self._root.request_stop()

    def statuses(self) -> list[ActorStatus]:
        """Every actor of the tree, in start order; and each group that is parked or backing off, before what stands in it."""
        return list(self._root.statuses())

    def states(self) -> list[tuple[str, State]]:
        """Path and state of every actor that is always there, in start order: cheap, however many sessions there are."""
        return list(self._root.states())
