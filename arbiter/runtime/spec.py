"""What a tree is before it lives: data. Children with their mailboxes, groups of them, and how each reacts to crashes.

A tree is built top to bottom, so that a child's `ref` exists before the actors that need it. What cannot be right is
refused here, when it is built, and not when it runs.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import MethodType
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

from arbiter.errors import NotRunning
from arbiter.runtime.actor import Actor
from arbiter.runtime.mailbox import Backpressure, Mailbox, Policy
from arbiter.runtime.ref import Ref

C = TypeVar("C", contravariant=True)
M = TypeVar("M")

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
Exhausted = Literal["escalate", "park"]
_RESTARTS = get_args(Restart)
_KEEP_ALL = Backpressure()


@dataclass(frozen=True)
class Intensity:
    """At most `restarts` in any `seconds`; one more exhausts the group."""

    restarts: int = 3
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not _is_count(self.restarts) or self.restarts < 0 or not _is_seconds(self.seconds) or self.seconds == 0:
            raise ValueError(f"an intensity of {self.restarts} restarts in {self.seconds} s makes no sense")


@dataclass(frozen=True)
class Backoff:
    """Before the n-th restart in a row wait `first * 2^(n-1)` seconds, at most `longest`, less up to half by chance.

    A child that ran for `quiet` seconds starts counting anew.
    """

    first: float = 0.05
    longest: float = 5.0
    quiet: float = 30.0

    def __post_init__(self) -> None:
        if not all(map(_is_seconds, (self.first, self.longest, self.quiet))):
            raise ValueError(f"a backoff from {self.first} to {self.longest} s, quiet {self.quiet} s, makes no sense")

    def delay(self, in_a_row: int, chance: float) -> float:
        return min(self.longest, self.first * 2.0 ** min(in_a_row - 1, 30)) * (1 - chance / 2)


class Child(Generic[M]):
    """The spec of one actor: how to make it, what its mailbox is, when to restart it. Owns the mailbox and the ref.

    `shutdown` is its grace, in seconds: a stop takes no longer, its cleaning up (`Actor.stopped`) included.
    Raises ValueError or TypeError for what cannot be right.
    """

    __slots__ = ("mailbox", "make", "name", "placed", "ref", "restart", "shutdown")

    def __init__(
        self,
        name: str,
        make: Callable[[], Actor[M]],
        *,
        mailbox: Policy | None = None,
        restart: Restart = "permanent",
        shutdown: float = 2.0,
    ) -> None:
        _require_name(name)
        if not callable(make):
            raise TypeError(f"{name}: make must be a function that makes the actor, not {make!r}")
        if isinstance(make, type) and not issubclass(make, Actor):
            raise TypeError(f"{name}: make must make an Actor, and {make.__name__} is none")
        _require_arguments(name, make, 0)
        _require_one_of(name, "restart", restart, _RESTARTS)
        if not 0 <= shutdown < math.inf:
            raise ValueError(f"{name}: a shutdown of {shutdown} s makes no sense")
        self.name = name
        self.make = make
        self.restart: Restart = restart
        self.shutdown = shutdown
        self.mailbox = Mailbox(name, _KEEP_ALL if mailbox is None else mailbox)
        self.ref: Ref[M] = Ref(name, self.mailbox)
        if isinstance(make, type) and issubclass(make, Actor):
            self.ref.vocabulary = make.vocabulary
        self.placed = False
        """It stands in a tree: two incarnations at once would share its mailbox."""


@dataclass
class Group:
    """The spec of one supervisor. Its shutdown is the sum of its children's."""

    name: str
    children: "Iterable[AnyChild]"
    strategy: Strategy = "one_for_one"
    intensity: Intensity = field(default_factory=Intensity)
    exhausted: Exhausted = "escalate"
    backoff: Backoff = field(default_factory=Backoff)
    restart: Restart = "permanent"

    def __post_init__(self) -> None:
        self.children = list(self.children)
        self.require_sense()

    def require_sense(self) -> None:
        """Raises TypeError or ValueError for what cannot be right; called again when the tree is made, since a spec may be changed."""
        _require_name(self.name)
        _require_one_of(self.name, "strategy", self.strategy, get_args(Strategy))
        _require_one_of(self.name, "exhausted", self.exhausted, get_args(Exhausted))
        _require_one_of(self.name, "restart", self.restart, _RESTARTS)
        _require_a(self.name, "intensity", self.intensity, Intensity)
        _require_a(self.name, "backoff", self.backoff, Backoff)
        if self.exhausted == "park" and self.strategy != "one_for_one":
            raise ValueError(f"{self.name}: a child is parked alone, so strategy must be one_for_one and not {self.strategy} with it")
        for child in self.children:
            if not isinstance(child, Child | Group | DynamicGroup):
                raise TypeError(f"{self.name}: {child!r} is no Child, Group or DynamicGroup")
        names = [child.name for child in self.children]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name} has two children of one name: {sorted(names)}")

    @property
    def shutdown(self) -> float:
        return sum(child.shutdown for child in self.children) + 0.5


class Children(Protocol[C]):
    """What a living dynamic group offers to its spec."""

    def find(self, key: str) -> Ref[C] | None:
        """The ref of a child that lives or is passive."""

    def ref(self, key: str) -> Ref[C]:
        """The same, started if need be."""

    async def start(self, key: str) -> Ref[C]:
        """Started and ready."""

    async def stop(self, key: str) -> bool:
        """Stopped and forgotten."""

    def __len__(self) -> int: ...


class DynamicGroup(Generic[M]):
    """Children made on demand, one for each key, at most `capacity` at a time. A crashed one is restarted on its own.

    A child may passivate (`Context.passivate`): it ends, its ref stays good, and the next message makes it live again.
    """

    restart: Restart = "permanent"

    def __init__(
        self,
        name: str,
        make: Callable[[str], Child[M]],
        *,
        capacity: int = 10_000,
        intensity: Intensity | None = None,
        backoff: Backoff | None = None,
        shutdown: float = 3.0,
    ) -> None:
        _require_name(name)
        if not callable(make):
            raise TypeError(f"{name}: make must be a function that makes the Child of a key, not {make!r}")
        _require_arguments(name, make, 1)
        if not _is_count(capacity) or capacity < 1:
            raise ValueError(f"{name}: a capacity of {capacity!r} makes no sense")
        _require_a(name, "intensity", intensity, Intensity | None)
        _require_a(name, "backoff", backoff, Backoff | None)
        _require_grace(name, shutdown)
        self.name = name
        self.capacity = capacity
        self.make = make
        self.intensity = intensity or Intensity()
        self.backoff = backoff or Backoff()
        self.shutdown = shutdown
        self.living: Children[M] | None = None
        """Set while the group runs."""
        self.placed = False
        """It stands in a tree that runs."""

    def __len__(self) -> int:
        """How many live; passive ones do not count."""
        return 0 if self.living is None else len(self.living)

    def find(self, key: str) -> Ref[M] | None:
        """The ref of the key's actor where there is one, living or passive."""
        return None if self.living is None else self.living.find(key)

    def ref(self, key: str) -> Ref[M]:
        """The ref of the key's actor, starting it if need be; messages wait until it is ready.

        Raises NotRunning while the group is down or full, or this child is being stopped.
        """
        return self._require().ref(key)

    async def start(self, key: str) -> Ref[M]:
        """Like `ref`, and wait until it is ready. Raises StartFailed when it dies first: then it is forgotten."""
        return await self._require().start(key)

    async def stop(self, key: str) -> bool:
        """Stop the key's actor within its grace and forget it: its ref is dead. Returns when it is gone; False where there was none."""
        return await self._require().stop(key)

    def _require(self) -> Children[M]:
        if self.living is None:
            raise NotRunning(self.name)
        return self.living


AnyChild = Child[Any] | Group | DynamicGroup[Any]


def _require_name(name: str) -> None:
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"{name!r} is no name for a part of the tree: names are parts of a path")


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_seconds(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < math.inf


def _require_grace(name: str, shutdown: object) -> None:
    if not _is_seconds(shutdown):
        raise ValueError(f"{name}: a shutdown of {shutdown!r} s makes no sense")


def _require_a(name: str, what: str, value: object, kind: Any) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: {what} must be {'an' if what[0] in 'aeiou' else 'a'} {what.capitalize()}, not {value!r}")


def _require_arguments(name: str, make: Callable[..., object], count: int) -> None:
    """Raises TypeError where `make` cannot be called with so many. What hides that, as a partial does, shows it at the start."""
    function: Any = make.__init__ if isinstance(make, type) else make  # type: ignore[misc]  # it is only looked at
    given = count + 1 if function is not make or isinstance(make, MethodType) else count
    code = getattr(function, "__code__", None)
    if code is None:
        return
    with_names = code.co_kwonlyargcount - len(getattr(function, "__kwdefaults__", None) or ())
    needed = code.co_argcount - len(getattr(function, "__defaults__", None) or ())
    if needed > given or with_names > 0 or (given > code.co_argcount and not code.co_flags & inspect.CO_VARARGS):
        raise TypeError(f"{name}: make cannot be called with {('no argument', 'the key alone')[count]}: {make!r}")


def _require_one_of(name: str, what: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: {what} must be one of {', '.join(allowed)}, not {value!r}")
