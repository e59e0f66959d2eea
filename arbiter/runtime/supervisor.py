"""The supervision tree: starts children in order, restarts what crashes, stops in reverse.

A tree is data: `Group`s of `Child`ren (and of further groups), built top to bottom, so that a child's `ref` exists
before the actors that need it. `Supervisor(group).run()` brings it to life. Semantics:

- one_for_one restarts the child that ended; rest_for_one also everything started after it; one_for_all all of them.
- A group that restarts more often than its intensity allows is exhausted. It then *escalates* (ends with
  `SupervisorExhausted`, a crash for its own supervisor) or, with `exhausted="park"`, leaves the child that did it
  down, retries it each minute, and nothing else notices.
- `Exception` (an ExceptionGroup of a child's nursery too) is a crash. `Cancelled` and `KeyboardInterrupt` pass.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import structlog
import trio

from arbiter.errors import ActorStopped, NotRunning
from arbiter.runtime.actor import STOP, Actor, Context, Statistics
from arbiter.runtime.environment import Environment
from arbiter.runtime.mailbox import Backpressure, Mailbox, Policy
from arbiter.runtime.ref import Position, Ref

M = TypeVar("M")

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]
State = Literal["waiting", "starting", "running", "backing_off", "parked", "stopped"]

START_SECONDS = 30.0
"""A child that is not ready by then has failed to start."""
PARK_SECONDS = 60.0
"""How often a parked child is tried again."""


class SupervisorExhausted(Exception):
    """A group's children crashed more often than its intensity allows."""


@dataclass(frozen=True)
class Intensity:
    """At most `restarts` in any `seconds`; one more exhausts the group."""

    restarts: int = 3
    seconds: float = 5.0


@dataclass(frozen=True)
class Backoff:
    """Before the n-th restart in a row wait `first * 2^(n-1)` seconds, at most `longest`, less up to half by chance.

    A child that ran for `quiet` seconds starts counting anew.
    """

    first: float = 0.05
    longest: float = 5.0
    quiet: float = 30.0

    def delay(self, in_a_row: int, chance: float) -> float:
        return min(self.longest, self.first * 2.0 ** min(in_a_row - 1, 30)) * (1 - chance / 2)


@dataclass(frozen=True)
class ActorStatus:
    """One line of the tree as seen from outside. `name` is the path, times in seconds."""

    name: str
    state: State
    restarts: int
    last_error: str
    mailbox_depth: int
    handled: int
    busy_s: float
    longest_s: float


class Child(Generic[M]):
    """The spec of one actor: how to make it, what its mailbox is, when to restart it. Owns the mailbox and the ref."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Actor[M]],
        *,
        mailbox: Policy | None = None,
        restart: Restart = "permanent",
        shutdown: float = 2.0,
    ) -> None:
        self.name = name
        self.make = make
        self.restart: Restart = restart
        self.shutdown = shutdown
        self.mailbox = Mailbox(name, mailbox or Backpressure())
        self.ref: Ref[M] = Ref(name, self.mailbox)


@dataclass
class Group:
    """The spec of one supervisor. A child group is always permanent; its shutdown is the sum of its children's."""

    name: str
    children: "list[Child[Any] | Group | DynamicGroup[Any]]"
    strategy: Strategy = "one_for_one"
    intensity: Intensity = field(default_factory=Intensity)
    exhausted: Literal["escalate", "park"] = "escalate"
    backoff: Backoff = field(default_factory=Backoff)
    restart: Restart = "permanent"

    @property
    def shutdown(self) -> float:
        return sum(child.shutdown for child in self.children) + 0.5


class DynamicGroup(Generic[M]):
    """Children made on demand, one for each key, at most `capacity`. A crashed one is restarted on its own."""

    restart: Restart = "permanent"
    shutdown = 3.0

    def __init__(self, name: str, make: Callable[[str], Child[M]], *, capacity: int = 10_000) -> None:
        self.name = name
        self.capacity = capacity
        self._make = make
        self._running: _Running | None = None

    def ref(self, key: str) -> Ref[M]:
        """The ref of the key's actor, starting it if need be. Raises NotRunning while the group is down or full."""
        running = self._running
        if running is None:
            raise NotRunning(self.name)
        node = running.dynamic.get(key)
        if node is None:
            if running.stopping:
                raise NotRunning(self.name)
            if len(running.dynamic) >= self.capacity:
                raise NotRunning(self.name, f"is full ({self.capacity})")
            node = running.add_dynamic(key, self._make(key))
        ref: Ref[M] = node.spec.ref
        return ref


AnyChild = Child[Any] | Group | DynamicGroup[Any]


class _Node:
    """One child at run time."""

    def __init__(self, spec: Any, position: Position, path: str) -> None:
        self.spec = spec
        self.position = position
        self.path = path
        self.state: State = "waiting"
        self.restarts = 0
        self.in_a_row = 0
        self.last_error = ""
        self.started_at = 0.0
        self.due: float | None = None
        self.crashes: deque[float] = deque()
        self.stats = Statistics()
        self.scope = trio.CancelScope()
        self.ready = trio.Event()
        self.was_ready = False
        self.late = False
        self.ended = trio.Event()
        self.ended.set()
        self.group: _Running | None = None

    @property
    def alive(self) -> bool:
        return self.state in ("starting", "running")


@dataclass
class _Exit:
    node: _Node
    error: Exception | None


class Supervisor:
    """The living tree under one root group."""

    def __init__(self, root: Group, environment: Environment) -> None:
        self._node = _Node(root, (), root.name)
        self._running = _Running(self._node, environment)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start everything (then `task_status` says so) and watch over it until `stop` or exhaustion.

        Raises SupervisorExhausted when the root is exhausted or its first start fails; its cause is what a child raised.
        """
        try:
            await self._running.run(task_status)
        finally:
            self._running.close()

    def stop(self) -> None:
        """Stop everything in reverse order, each child within its grace. `run` returns when it is done."""
        self._running.request_stop()

    def statuses(self) -> list[ActorStatus]:
        """Every actor of the tree, in start order."""
        return list(self._running.statuses())


class _Running:
    """One group at run time: its nodes, the loop that reacts to their ends, and the due restarts."""

    def __init__(self, node: _Node, environment: Environment) -> None:
        self.spec: Group | DynamicGroup[Any] = node.spec
        self.node = node
        self.environment = environment
        self.log = structlog.get_logger(supervisor=node.path)
        specs: list[AnyChild] = node.spec.children if isinstance(node.spec, Group) else []
        names = [child.name for child in specs]
        if len(set(names)) != len(names):
            raise ValueError(f"{node.path} has two children of one name: {sorted(names)}")
        self.nodes = [self._place(child, index) for index, child in enumerate(specs)]
        self.dynamic: dict[str, _Node] = {}
        self._restarts: deque[float] = deque()
        self._exits: deque[_Exit] = deque()
        self._changed = trio.Event()
        self.stopping = False
        self._nursery: trio.Nursery | None = None

    def _place(self, spec: AnyChild, index: int) -> _Node:
        node = _Node(spec, (*self.node.position, index), f"{self.node.path}/{spec.name}")
        if isinstance(spec, Child):
            spec.ref.position = node.position
            spec.ref.name = spec.mailbox.name = node.path.partition("/")[2]
        else:
            node.group = _Running(node, self.environment)
        return node

    # -- from outside --

    def request_stop(self) -> None:
        self.stopping = True
        self._changed.set()
        for node in [*self.nodes, *self.dynamic.values()]:
            node.ready.set()  # a stop does not wait for a start

    def close(self) -> None:
        """The tree is gone for good: whoever still waits for one of its actors is told."""
        for node in self.nodes:
            if node.group is not None:
                node.group.close()
            else:
                node.spec.mailbox.close()

    def statuses(self) -> Iterator[ActorStatus]:
        for node in [*self.nodes, *self.dynamic.values()]:
            if node.group is not None:
                yield from node.group.statuses()
            else:
                stats = node.stats
                yield ActorStatus(
                    node.path,
                    node.state,
                    node.restarts,
                    node.last_error,
                    len(node.spec.mailbox),
                    stats.handled,
                    stats.busy_s,
                    stats.longest_s,
                )

    def add_dynamic(self, key: str, child: Child[Any]) -> _Node:
        """Start a child now; messages wait in its mailbox until it is ready."""
        assert self._nursery is not None
        node = self._place(child, len(self.dynamic))
        self.dynamic[key] = node
        self._nursery.start_soon(self._start_quietly, node)
        return node

    # -- the loop --

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        self._exits.clear()
        self._restarts.clear()
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if isinstance(self.spec, DynamicGroup):
                self.spec._running = self
            try:
                for node in self.nodes:
                    await self._start_first(node)
                task_status.started()
                await self._watch()
            except Exception as error:  # noqa: BLE001 raised below, where the nursery does not wrap it into a group
                self.request_stop()
                await self._stop_from(0)
                failure = error
            finally:
                self._nursery = None
                if isinstance(self.spec, DynamicGroup):
                    self.spec._running = None
                    for node in self.dynamic.values():
                        node.spec.mailbox.close()
                    self.dynamic.clear()
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _watch(self) -> None:
        while True:
            if self.stopping:
                await self._stop_from(0)
                return
            if self._exits:
                await self._react(self._exits.popleft())
                continue
            due = self._next_due()
            if due is not None and due.due is not None and due.due <= self.environment.monotonic():
                await self._restart(due)
                continue
            self._changed = trio.Event()
            with trio.move_on_at(due.due if due is not None and due.due is not None else float("inf")):
                await self._changed.wait()

    def _next_due(self) -> _Node | None:
        waiting = [node for node in [*self.nodes, *self.dynamic.values()] if node.due is not None]
        return min(waiting, key=lambda node: node.due or 0.0, default=None)

    async def _react(self, exit_: _Exit) -> None:
        """A child ended. Decide by its restart type, the group's strategy and the intensity."""
        node, error = exit_.node, exit_.error
        if node.alive:  # it was restarted meanwhile
            return
        if _stays_down(node, error):
            self._retire(node)
            return
        now = self.environment.monotonic()
        backoff = self.spec.backoff if isinstance(self.spec, Group) else Backoff()
        was_quiet = node.was_ready and now - node.started_at >= backoff.quiet
        node.in_a_row = 1 if was_quiet else node.in_a_row + 1
        if self._exhausted(node, now):
            await self._give_up(node, error, now)
            return
        node.state = "backing_off"
        node.due = now + backoff.delay(node.in_a_row, self.environment.random.random())
        for later in self._dragged_along(node):
            await self._stop_node(later)
            if later.spec.restart == "temporary":
                self._retire(later)
            else:
                later.state = "backing_off"

    def _retire(self, node: _Node) -> None:
        """It does not come back, unless the whole group does (or, for a dynamic child, its key is asked for again)."""
        node.state = "stopped"
        if isinstance(node.spec, Child):
            node.spec.mailbox.close()
        self.dynamic = {key: each for key, each in self.dynamic.items() if each is not node}

    def _exhausted(self, node: _Node, now: float) -> bool:
        """Count this end. A parking or dynamic group counts for each child, the others in all."""
        intensity = self.spec.intensity if isinstance(self.spec, Group) else Intensity()
        counted = node.crashes if self._parks else self._restarts
        counted.append(now)
        while counted and counted[0] <= now - intensity.seconds:
            counted.popleft()
        return len(counted) > intensity.restarts

    @property
    def _parks(self) -> bool:
        return isinstance(self.spec, DynamicGroup) or self.spec.exhausted == "park"

    async def _give_up(self, node: _Node, error: Exception | None, now: float) -> None:
        if not self._parks:
            raise SupervisorExhausted(f"{node.path} ended too often: {node.last_error}") from error
        self.log.error("child parked", child=node.path, error=node.last_error, retry_s=PARK_SECONDS)
        node.state = "parked"
        node.crashes.clear()
        node.due = now + PARK_SECONDS

    def _dragged_along(self, node: _Node) -> list[_Node]:
        """Which siblings stop with it, in stopping order."""
        if isinstance(self.spec, DynamicGroup) or self.spec.strategy == "one_for_one":
            return []
        index = self.nodes.index(node)
        affected = self.nodes[index + 1 :] if self.spec.strategy == "rest_for_one" else [n for n in self.nodes if n is not node]
        # one that crashed in the same instant is still to be reacted to: it comes back in its place, not on its own
        crashed = [exit_.node for exit_ in self._exits if not _stays_down(exit_.node, exit_.error)]
        return [n for n in reversed(affected) if n in crashed or n.state not in ("stopped", "waiting")]

    async def _restart(self, node: _Node) -> None:
        """Bring back a child and, by the strategy, everything that was stopped with it, in start order."""
        node.due = None
        if isinstance(self.spec, DynamicGroup) or self.spec.strategy == "one_for_one":
            node.restarts += 1
            assert self._nursery is not None
            self._nursery.start_soon(self._start_quietly, node)
            return
        first = self.nodes.index(node) if self.spec.strategy == "rest_for_one" else 0
        for each in self.nodes[first:]:
            if self.stopping:
                return
            if each.state == "backing_off" and each.due is None:
                each.restarts += 1
                if not await self._start_quietly(each):
                    return  # its end is in the queue and starts the next attempt

    # -- one child --

    async def _start_first(self, node: _Node) -> None:
        """At the group's own start: a group that parks its children comes up without the one that cannot."""
        if self._parks:
            await self._start_quietly(node)
        else:
            await self._start(node)

    async def _start_quietly(self, node: _Node) -> bool:
        """Start a child whose failure to start is one more crash."""
        try:
            await self._start(node)
        except Exception:  # noqa: BLE001 recorded by _run_child, which queued the exit
            return False
        return True

    async def _start(self, node: _Node) -> None:
        """Start and wait until ready, or until the group is to stop. Raises SupervisorExhausted when it fails before it is ready."""
        if self.stopping:
            return
        assert self._nursery is not None
        node.state = "starting"
        node.due = None
        node.ready = trio.Event()
        node.was_ready = node.late = False
        if node.group is not None:
            node.group.stopping = False
        else:
            node.spec.mailbox.reopen()
        node.scope = trio.CancelScope()
        node.ended = trio.Event()
        node.started_at = self.environment.monotonic()
        self._nursery.start_soon(self._run_child, node, name=node.path)
        with trio.move_on_after(START_SECONDS):
            await node.ready.wait()
        if not node.ready.is_set():
            node.late = True
            node.last_error = f"not ready after {START_SECONDS:g} s"
            node.scope.cancel()
            await node.ended.wait()
        if not node.was_ready and not self.stopping:
            raise SupervisorExhausted(f"{node.path} could not start: {node.last_error}") from self._error_of(node)

    def _error_of(self, node: _Node) -> Exception | None:
        return next((exit_.error for exit_ in reversed(self._exits) if exit_.node is node), None)

    async def _run_child(self, node: _Node) -> None:
        """The task of one incarnation. Lets nothing out but Cancelled and KeyboardInterrupt."""
        error: Exception | None = None
        try:
            with node.scope:
                await self._incarnation(node, _Ready(node))
        except Exception as caught:  # noqa: BLE001 this is the place where crashes end
            error = caught
        except BaseExceptionGroup as group:
            crash, rest = group.split(Exception)
            if crash is not None:
                self._note(node, crash)
            assert rest is not None
            raise rest from None
        finally:
            node.state = "stopped"
            if isinstance(node.spec, Child):
                node.spec.mailbox.fail_requests(ActorStopped(node.spec.ref.name))
                node.spec.mailbox.discard(STOP)
            node.ended.set()
            node.ready.set()
        if error is not None:
            self._note(node, error)
        elif node.late:
            error = TimeoutError(node.last_error)
        if not self.stopping and (node.late or not node.scope.cancel_called):
            self._exits.append(_Exit(node, error))
            self._changed.set()

    async def _incarnation(self, node: _Node, status: "_Ready") -> None:
        if isinstance(node.spec, Child):
            context = Context(node.spec.ref.name, node.position, node.spec.ref, node.spec.mailbox, node.stats)
            await context.run(node.spec.make(), node.spec.shutdown, status)
        else:
            assert node.group is not None
            await node.group.run(status)

    def _note(self, node: _Node, error: BaseException) -> None:
        node.last_error = _one_line(error)
        self.log.error("child crashed", child=node.path, error=node.last_error, exc_info=error)

    async def _stop_from(self, first: int) -> None:
        for node in reversed(list(self.dynamic.values())):
            await self._stop_node(node)
        for node in reversed(self.nodes[first:]):
            await self._stop_node(node)

    async def _stop_node(self, node: _Node) -> None:
        """Ask it to stop, wait its grace, then cancel it."""
        node.due = None
        if node.alive:
            if isinstance(node.spec, Child):
                node.spec.mailbox.put_last_urgent(STOP)
            elif node.group is not None:
                node.group.request_stop()
            with trio.move_on_after(node.spec.shutdown):
                await node.ended.wait()
            node.scope.cancel()
            await node.ended.wait()
        node.state = "stopped"
        # an exit queued by the stop itself is no crash
        self._exits = deque(exit_ for exit_ in self._exits if exit_.node is not node)


class _Ready(trio.TaskStatus[None]):
    """Tells the supervisor that a child is ready."""

    def __init__(self, node: _Node) -> None:
        self._node = node

    def started(self, value: None = None) -> None:
        self._node.state = "running"
        self._node.was_ready = True
        self._node.ready.set()


def _stays_down(node: _Node, error: Exception | None) -> bool:
    """Whether its restart type lets an end stand."""
    restart: Restart = node.spec.restart
    return restart == "temporary" or (restart == "transient" and error is None)


def _one_line(error: BaseException) -> str:
    """The innermost single error of a group, as one line."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
