"""When those that are down come back."""

import math

from arbiter.runtime.node import Node


class Due:
    """The children of one supervisor that are to be started again, each at its time (`Node.due`, by the environment's clock)."""

    def __init__(self) -> None:
        self._nodes: set[Node] = set()

    def add(self, node: Node, when: float) -> None:
        """Not before `when`."""
        node.due = when
        self._nodes.add(node)

    def drop(self, node: Node) -> None:
        """Not by itself."""
        node.due = None
        self._nodes.discard(node)

    def clear(self) -> None:
        """Nobody comes back."""
        self._nodes.clear()

    @property
    def next_at(self) -> float:
        """When the first of them is to come back; infinite where there is none."""
        return min(map(_when, self._nodes), default=math.inf)

    def take(self, now: float) -> Node | None:
        """The next whose time has come, those of the same time in start order; it is not due any more."""
        first = min(self._nodes, key=lambda node: (_when(node), node.position), default=None)
        if first is None or _when(first) > now:
            return None
        self.drop(first)
        return first


def _when(node: Node) -> float:
    return math.inf if node.due is None else node.due
