"""The groups within the groups of one tree."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import trio

from arbiter.runtime.node import ActorStatus, Node, State
from arbiter.runtime.ref import Position
from arbiter.runtime.spec import Child, DynamicGroup, Group


class Within(Protocol):
    """What a group needs of one that stands in it (`living.py` says what each means)."""

    async def run(self, task_status: trio.TaskStatus[None]) -> None: ...

    def request_stop(self, by: float) -> None: ...

    def hurry(self, by: float) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...

    def statuses(self) -> Iterator[ActorStatus]: ...

    def states(self) -> Iterator[tuple[str, State]]: ...


class Inner(dict[Node, Within]):
    """The groups within groups, and how one is made: the kinds of groups do not know each other."""

    def __init__(self, make: Callable[[Group | DynamicGroup[Any], Position, str, "Inner"], Within]) -> None:
        super().__init__()
        self.placed: dict[Child[Any] | DynamicGroup[Any], str] = {}
        """Where those stand that are known from the beginning, by their path: each in one place."""
        self._make = make

    def place(self, spec: Child[Any] | DynamicGroup[Any], path: str, *, for_good: bool) -> None:
        """It is to stand there, `for_good` or until it is gone. Raises ValueError where it stands somewhere already."""
        if spec in self.placed or spec.placed:
            where = self.placed.get(spec) or (spec.ref.name if isinstance(spec, Child) else spec.name)
            raise ValueError(f"{path}: this {type(spec).__name__} stands in a tree already, as {where}; each needs one of its own")
        if for_good:
            self.placed[spec] = path.partition("/")[2]

    def make(self, spec: Group | DynamicGroup[Any], position: Position, path: str) -> Within:
        """The group at run time."""
        return self._make(spec, position, path, self)
