"""A dynamic group at run time: children made on demand, one for each key; those that passivate, and those that come back."""

from collections import deque
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

import trio

from arbiter.errors import NotRunning
from arbiter.runtime.environment import Environment
from arbiter.runtime.inner import Inner
from arbiter.runtime.living import Living, StartFailed
from arbiter.runtime.node import Node
from arbiter.runtime.ref import Position, Ref
from arbiter.runtime.spec import Child, DynamicGroup


class LivingChildren(Living[DynamicGroup[Any]]):
    """A `DynamicGroup` at run time."""

    _may_passivate = True

    def __init__(self, spec: DynamicGroup[Any], position: Position, path: str, environment: Environment, inner: Inner) -> None:
        super().__init__(spec, position, path, environment, inner)
        self._living: dict[str, Node] = {}
        self._passive: WeakValueDictionary[str, Node] = WeakValueDictionary()
        """Kept for as long as somebody holds their ref: it leads to the mailbox, and that to the node that it wakes."""
        self._next_index = 0

    def __len__(self) -> int:
        return len(self._living)

    @property
    def nodes(self) -> Iterable[Node]:
        return self._living.values()

    @property
    def parks(self) -> bool:
        return True

    # -- for the spec --

    def find(self, key: str) -> Ref[Any] | None:
        """The ref of a child that lives or is passive."""
        node = self._known(key)
        return None if node is None or node.over else node.spec.ref

    def ref(self, key: str) -> Ref[Any]:
        """The same, started if need be. Raises NotRunning."""
        ref: Ref[Any] = self._node(key).spec.ref
        return ref

    async def start(self, key: str) -> Ref[Any]:
        """Started and ready. Raises NotRunning, StartFailed."""
        made_here = self._known(key) is None
        node = self._node(key)
        if node.state == "passive":
            self._revive(node)
        if node.state not in ("waiting", "starting", "running"):
            raise NotRunning(node.spec.ref.name, "crashed and is not back yet")
        ready = node.ready
        await ready.wait()
        failure = node.failure
        if failure is not None and failure.ready is ready:  # by now it may be tried again
            if made_here and self._living.get(key) is node:
                await self.stop(key)
            raise StartFailed(f"{node.path} could not start: {failure.text}") from failure.cause
        if not node.was_ready and node.ready is ready:  # nothing of its own: the tree stops, or was cancelled from outside
            raise StartFailed(f"{node.path} could not start: its group stops")
        ref: Ref[Any] = node.spec.ref
        return ref

    async def stop(self, key: str) -> bool:
        """Within its grace; it is forgotten, and its ref is dead. Returns when it is gone, also for the second of two who stop it."""
        passive = self._passive.pop(key, None) if self._passive else None
        if passive is not None:
            passive.spec.mailbox.close()
            passive.spec.placed = False
            return True
        node = self._living.get(key)
        if node is None:
            return False
        node.over = True
        try:
            await self._stop_node(node)
        finally:
            if not node.alive:  # else who waited for it was cancelled: it finishes, and the key is taken until it is gone
                node.spec.mailbox.close()
                self._forget(node)
        return True

    def _known(self, key: str) -> Node | None:
        node = self._living.get(key)
        return self._passive.get(key) if node is None and self._passive else node

    def _node(self, key: str) -> Node:
        node = self._known(key)
        if node is None:
            node = self._add(key)
        if node.over:
            raise NotRunning(node.spec.ref.name, "is being stopped")
        return node

    def _add(self, key: str) -> Node:
        if self.stopping or self._nursery is None:
            raise NotRunning(self.spec.name)
        self._require_room()
        child = self.spec.make(key)
        if not isinstance(child, Child) or child.name != key:  # keys differ, so its path is its own
            raise ValueError(f"{self.path}: for the key {key!r} make must make a Child of that name, not {getattr(child, 'name', child)!r}")
        node = self._place(child, self._next_index)
        child.placed = True
        self._next_index += 1
        node.key = key
        self._living[key] = node
        self._launch(node)
        return node

    def _require_room(self) -> None:
        if len(self._living) >= self.spec.capacity:
            raise NotRunning(self.spec.name, f"is full ({self.spec.capacity})")

    # -- passive children --

    def _sleep(self, node: Node) -> None:
        node.state = "passive"
        mailbox = node.spec.mailbox
        if len(mailbox):  # it came between the last look and the end
            self._revive(node)
            return
        self._forget(node)
        self._passive[node.key] = node
        mailbox.sleeper = lambda: self._revive(node)

    def _revive(self, node: Node) -> None:
        """By its first message. Where the group is full it comes back all the same: nothing that was taken is lost."""
        self._passive.pop(node.key, None)
        node.spec.mailbox.sleeper = None
        if self.stopping or self._nursery is None:
            node.spec.mailbox.close()
            return
        node.state = "waiting"
        node.ready = trio.Event()
        self._living[node.key] = node
        self._launch(node)

    # -- for the loop --

    async def _begin(self) -> None:
        self.spec.living = self

    def _over(self) -> None:
        self.spec.living = None
        for node in (*self._living.values(), *self._passive.values()):
            node.spec.mailbox.close()
            node.spec.placed = False
        self._living.clear()
        self._passive.clear()
        self._due.clear()

    def _has_ended(self, node: Node, *, passive: bool) -> None:
        super()._has_ended(node, passive=passive)
        if node.over:
            node.spec.mailbox.close()
            self._forget(node)

    def _retire(self, node: Node) -> None:
        super()._retire(node)
        self._forget(node)

    def _forget(self, node: Node) -> None:
        if self._living.get(node.key) is node:
            del self._living[node.key]
            node.spec.placed = node.state == "passive"

    async def _drag_along(self, node: Node) -> None:
        """Nobody."""

    async def _restart(self, node: Node) -> None:
        node.restarts += 1
        self._launch(node)

    def _crashes(self, node: Node) -> deque[float]:
        if node.crashes is None:
            node.crashes = deque()
        return node.crashes
