"""A group of children that are known from the beginning: ordered start, and the strategies."""

from collections import deque

from arbiter.runtime.environment import Environment
from arbiter.runtime.inner import Inner
from arbiter.runtime.living import Living
from arbiter.runtime.node import Node
from arbiter.runtime.ref import Position
from arbiter.runtime.spec import Group


class LivingGroup(Living[Group]):
    """A `Group` at run time."""

    def __init__(self, spec: Group, position: Position, path: str, environment: Environment, inner: Inner) -> None:
        super().__init__(spec, position, path, environment, inner)
        spec.require_sense()
        self._nodes = [self._place(child, index) for index, child in enumerate(spec.children)]
        self._restarts: deque[float] = deque()

    @property
    def nodes(self) -> list[Node]:
        return self._nodes

    @property
    def parks(self) -> bool:
        return self.spec.exhausted == "park"

    def _crashes(self, node: Node) -> deque[float]:
        """A parking group counts for each child, the others in all."""
        if not self.parks:
            return self._restarts
        if node.crashes is None:
            node.crashes = deque()
        return node.crashes

    async def _begin(self) -> None:
        self._restarts.clear()
        for node in self._nodes:
            node.crashes = None
            if node.was_launched and not self.stopping:  # the group ran before, and comes back with it
                node.restarts += 1
            if self.parks:  # it comes up without the one that cannot
                await self._start_quietly(node)
            else:
                await self._start(node)

    def _over(self) -> None:
        pass

    async def _drag_along(self, node: Node) -> None:
        for later in self._affected_by(node):
            await self._stop_node(later)
            if later.spec.restart == "temporary":
                self._retire(later)
            else:
                later.state = "backing_off"

    def _affected_by(self, node: Node) -> list[Node]:
        """Which siblings stop with it, in stopping order."""
        if self.spec.strategy == "one_for_one":
            return []
        index = self._nodes.index(node)
        affected = self._nodes[index + 1 :] if self.spec.strategy == "rest_for_one" else [n for n in self._nodes if n is not node]
        # one that crashed in the same instant is still to be reacted to: it comes back in its place, not on its own
        crashed = [exit_.node for exit_ in self._exits if not exit_.node.stays_down(exit_.error)]
        return [n for n in reversed(affected) if n in crashed or n.state not in ("stopped", "waiting")]

    async def _restart(self, node: Node) -> None:
        """By the strategy, everything that was stopped with it comes back too, in start order."""
        if self.spec.strategy == "one_for_one":
            node.restarts += 1
            self._launch(node)
            return
        node.state = "backing_off"
        first = self._nodes.index(node) if self.spec.strategy == "rest_for_one" else 0
        for each in self._nodes[first:]:
            if self.stopping:
                return
            if each.state == "backing_off" and each.due is None:
                each.restarts += 1
                if not await self._start_quietly(each):
                    return  # its end is in the queue and starts the next attempt
