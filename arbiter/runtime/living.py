"""One supervisor at run time: it starts its children, hears of their ends, restarts what crashed, stops everything in reverse.

What all kinds of groups have in common stands here; which children there are, and who goes down with whom, is `group.py`'s and
`children.py`'s affair.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import structlog
import trio

from arbiter.runtime.actor import Actor
from arbiter.runtime.context import Context
from arbiter.runtime.correlation import correlation
from arbiter.runtime.crash import one_line, report
from arbiter.runtime.due import Due
from arbiter.runtime.environment import Environment
from arbiter.runtime.inner import Inner
from arbiter.runtime.life import STOP
from arbiter.runtime.node import START_SECONDS, ActorStatus, Exit, Failure, Node, State
from arbiter.runtime.ref import Position
from arbiter.runtime.spec import AnyChild, Child, DynamicGroup, Group

PARK_SECONDS = 60.0
"""How often a parked child is tried again."""

S = TypeVar("S", Group, DynamicGroup[Any])


class SupervisorExhausted(Exception):
    """A group's children crashed more often than its intensity allows."""


class StartFailed(SupervisorExhausted):
    """A child died, or was not ready in time, before its group went on without it. The cause is what it raised."""


class Living(ABC, Generic[S]):
    """One group at run time."""

    def __init__(self, spec: S, position: Position, path: str, environment: Environment, inner: Inner) -> None:
        self.spec: S = spec
        self.path = path
        self.stopping = False
        self._stop_by = math.inf
        self._position = position
        self._environment = environment
        self._inner = inner
        self._log = structlog.get_logger(supervisor=path)
        self._exits: deque[Exit] = deque()
        self._due = Due()
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None

    # -- what a kind of group says --

    @property
    @abstractmethod
    def nodes(self) -> Iterable[Node]:
        """Its children, in start order."""

    @property
    @abstractmethod
    def parks(self) -> bool:
        """Whether a child that crashes too often is left down alone."""

    @abstractmethod
    async def _begin(self) -> None:
        """Start what belongs to the group from its beginning."""

    @abstractmethod
    def _over(self) -> None:
        """Everything has stopped."""

    @abstractmethod
    async def _drag_along(self, node: Node) -> None:
        """Stop those that go down with a child that crashed."""

    @abstractmethod
    async def _restart(self, node: Node) -> None:
        """Its time has come: bring it back, and those that went down with it."""

    @abstractmethod
    def _crashes(self, node: Node) -> deque[float]:
        """Where its crashes are counted, by their time."""

    def _retire(self, node: Node) -> None:
        """It does not come back by itself."""
        node.state = "stopped"
        if node.is_actor:
            node.spec.mailbox.close()
        else:
            self._inner[node].close()

    # -- from outside --

    def request_stop(self, by: float = math.inf) -> None:
        """Stop everything; `run` returns when it is done, and whoever is cancelled on the way has cleaned up by then."""
        self.stopping = True
        self._changed.set()
        for node in self.nodes:
            node.ready.set()  # a stop does not wait for a start
        self.hurry(by)

    def hurry(self, by: float) -> None:
        """Everything below is to be gone by then."""
        self._stop_by = min(self._stop_by, by)
        for node in self.nodes:
            node.hurry(by)
            if not node.is_actor:
                self._inner[node].hurry(by)

    def reopen(self) -> None:
        """It is to run again."""
        self.stopping = False
        self._stop_by = math.inf

    def close(self) -> None:
        """It does not come back by itself: whoever still waits for one of its actors is told."""
        for node in self.nodes:
            if node.is_actor:
                node.spec.mailbox.close()
            else:
                self._inner[node].close()

    def statuses(self) -> Iterator[ActorStatus]:
        """Of every actor below, in start order; a group that is down has a line of its own before them, which says why."""
        for node in self.nodes:
            if node.is_actor or node.is_down:
                yield node.status()
            if not node.is_actor:
                yield from self._inner[node].statuses()

    def states(self) -> Iterator[tuple[str, State]]:
        """Path and state of every actor below that is always there: what dynamic groups make for a key is left out."""
        for node in self.nodes:
            if node.is_actor:
                yield node.path, node.state
            elif not isinstance(node.spec, DynamicGroup):
                yield from self._inner[node].states()

    # -- the loop --

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Start, watch, stop. Raises SupervisorExhausted."""
        self._exits.clear()
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                await self._begin()
                task_status.started()
                await self._watch()
            except Exception as error:  # noqa: BLE001 raised below, where the nursery does not wrap it into a group
                self.request_stop()
                await self._stop_all()
                failure = error
            finally:
                self._nursery = None
                self._over()
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _watch(self) -> None:
        while True:
            if self.stopping:
                await self._stop_all()
                return
            if self._exits:
                await self._react(self._exits.popleft())
                continue
            due = self._due.take(self._environment.monotonic())
            if due is not None:
                await self._restart(due)
                continue
            self._changed = trio.Event()
            with trio.move_on_at(self._due.next_at):
                await self._changed.wait()

    async def _react(self, exit_: Exit) -> None:
        """A child ended. Decide by its restart type, the group's strategy and the intensity."""
        node, error = exit_.node, exit_.error
        if node.alive or node.over:  # it was restarted meanwhile, or is being stopped for good
            return
        if node.stays_down(error):
            self._retire(node)
            return
        now = self._environment.monotonic()
        was_quiet = node.was_ready and now - node.started_at >= self.spec.backoff.quiet
        node.in_a_row = 1 if was_quiet else node.in_a_row + 1
        if self._exhausted(node, now):
            self._give_up(node, error, now)
            return
        node.state = "backing_off"
        self._due.add(node, now + self.spec.backoff.delay(node.in_a_row, self._environment.random.random()))
        await self._drag_along(node)

    def _exhausted(self, node: Node, now: float) -> bool:
        """Count this end."""
        counted, intensity = self._crashes(node), self.spec.intensity
        counted.append(now)
        while counted and counted[0] <= now - intensity.seconds:
            counted.popleft()
        return len(counted) > intensity.restarts

    def _give_up(self, node: Node, error: Exception | None, now: float) -> None:
        if not self.parks:
            raise SupervisorExhausted(f"{node.path} ended too often: {node.last_error}") from error
        report(self._log, "child parked", child=node.path, error=node.last_error, retry_s=PARK_SECONDS)
        node.state = "parked"
        self._crashes(node).clear()
        self._due.add(node, now + PARK_SECONDS)

    # -- one child --

    def _place(self, spec: AnyChild, index: int) -> Node:
        node = Node(spec, (*self._position, index), f"{self.path}/{spec.name}")
        if not isinstance(spec, Group):  # a Group in two places is refused too, with what stands in it
            self._inner.place(spec, node.path, for_good=not self._may_passivate)
        if isinstance(spec, Child):
            spec.ref.position = node.position
            spec.ref.name = spec.mailbox.name = node.path.partition("/")[2]
        else:
            self._inner[node] = self._inner.make(spec, node.position, node.path)
        return node

    def _launch(self, node: Node) -> None:
        """Begin an incarnation. An actor has START_SECONDS to become ready."""
        if self.stopping or node.over:
            return
        assert self._nursery is not None
        self._due.drop(node)
        node.launched(self._environment.monotonic(), self._stop_by)
        if node.is_actor:
            node.spec.mailbox.reopen()
        else:
            self._inner[node].reopen()
        self._nursery.start_soon(self._run_child, node, name=node.path)

    async def _start_quietly(self, node: Node) -> bool:
        """Start a child whose failure to start is one more crash."""
        try:
            await self._start(node)
        except Exception:  # noqa: BLE001 recorded by _run_child, which queued the exit
            return False
        return True

    async def _start(self, node: Node) -> None:
        """Start and wait until ready, or until the group is to stop. Raises StartFailed when it fails before it is ready."""
        if self.stopping or node.over:
            return
        self._launch(node)
        await node.ready.wait()
        if not node.was_ready and not self.stopping and not node.over:
            assert node.failure is not None
            raise StartFailed(f"{node.path} could not start: {node.failure.text}") from node.failure.cause

    async def _run_child(self, node: Node) -> None:
        """The task of one incarnation. Lets nothing out but Cancelled and KeyboardInterrupt."""
        if correlation.get():  # whoever made it live caused no more than that
            correlation.set("")
        error: Exception | None = None
        passive = False
        context: Context[Any] | None = None
        try:
            if node.is_actor:
                spec: Child[Any] = node.spec
                context = Context(spec.ref, node.position, spec.mailbox, node.stats, may_passivate=self._may_passivate)
                actor = spec.make()
                if not isinstance(actor, Actor):
                    raise TypeError(f"{node.path}: make made no Actor but {actor!r}")
                node.cleans_up = actor.cleans_up
                spec.ref.vocabulary = actor.vocabulary
                passive = await context.run(actor, spec.shutdown, node)
            else:
                with trio.CancelScope() as scope:
                    node.begin(scope, starts_up=False)  # it takes as long as its children, each of which has its own time
                    await self._inner[node].run(node)
        except Exception as caught:  # noqa: BLE001 this is the place where crashes end
            error = caught
        except BaseExceptionGroup as group:
            crash, rest = group.split(Exception)
            if crash is not None:
                self._note(node, crash, context.in_hand if context is not None else "")
            assert rest is not None
            raise rest from None
        finally:
            self._has_ended(node, passive=passive)
        if error is not None:
            self._note(node, error, context.in_hand if context is not None else "")
        elif node.late:
            error = TimeoutError(node.last_error)
        if not node.was_ready:
            node.failure = Failure(node.ready, "it was stopped" if error is None else node.last_error, error)
        if self.stopping or node.over or node.told_to_stop:
            return
        if passive:
            self._sleep(node)
            return
        self._exits.append(Exit(node, error))
        self._changed.set()

    def _has_ended(self, node: Node, *, passive: bool) -> None:
        node.state = "stopped"
        if node.is_late:
            node.late = True
            node.last_error = f"not ready after {START_SECONDS:g} s"
        if node.is_actor:
            if not passive:
                node.spec.mailbox.fail_requests()
            node.spec.mailbox.discard_own()
        if node.ended is not None:
            node.ended.set()
        node.ready.set()

    _may_passivate = False

    def _sleep(self, node: Node) -> None:
        """It ended to be passive."""
        raise NotImplementedError

    def _note(self, node: Node, error: BaseException, in_hand: str) -> None:
        node.last_error = one_line(error)
        which = {"in_hand": in_hand} if in_hand else {}
        report(self._log, "child crashed", child=node.path, error=node.last_error, **which, exc_info=error)

    async def _stop_all(self) -> None:
        for node in reversed(list(self.nodes)):
            await self._stop_node(node)

    async def _stop_node(self, node: Node) -> None:
        """Ask it to stop, and cancel it in time to be gone when its grace is over."""
        self._due.drop(node)
        if node.alive:
            node.stop_within(node.spec.shutdown)
            if node.is_actor:
                node.spec.mailbox.put_order(STOP)
            else:
                self._inner[node].request_stop(node.stop_by)
            if node.ended is None or node.ended.is_set():  # two may wait for the same end
                node.ended = trio.Event()
            await node.ended.wait()
        node.state = "stopped"
        if self._exits:  # an exit queued by the stop itself is no crash
            self._exits = deque(exit_ for exit_ in self._exits if exit_.node is not node)
