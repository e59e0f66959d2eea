"""One child at run time, as its supervisor and whoever looks at the tree sees it."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import trio

from arbiter.runtime.ref import Position
from arbiter.runtime.spec import Child, DynamicGroup, Restart
from arbiter.runtime.statistics import Statistics

State = Literal["waiting", "starting", "running", "backing_off", "parked", "stopping", "stopped", "passive"]
Kind = Literal["actor", "group"]


@dataclass(frozen=True)
class ActorStatus:
    """One line of the tree as seen from outside. `name` is the path, times in seconds. A group has no mailbox and handles nothing."""

    name: str
    state: State
    restarts: int
    last_error: str
    mailbox_depth: int
    conflated: int
    handled: int
    busy_s: float
    longest_s: float
    p99_s: float
    histogram: tuple[int, ...]
    """Handled messages by their time, see `Statistics`."""
    lost: int
    """Messages in hand when their incarnation ended."""
    kind: Kind = "actor"


WORK_SHARE = 0.75
"""Of the grace of an actor that cleans up, or of a dynamic group, whose children stop one after the other however many there are:
what is still being done then is cancelled, so that cleaning up has the rest."""

START_SECONDS = 30.0
"""An actor that is not ready by then has failed to start."""


class Node:
    """One child."""

    __slots__ = (
        "__weakref__",
        "cleaning",
        "cleans_up",
        "crashes",
        "deadline",
        "due",
        "ended",
        "failure",
        "in_a_row",
        "is_actor",
        "key",
        "last_error",
        "late",
        "over",
        "path",
        "position",
        "ready",
        "restarts",
        "scope",
        "spec",
        "start_by",
        "started_at",
        "state",
        "stats",
        "stop_by",
        "told_to_stop",
        "was_launched",
        "was_ready",
    )

    def __init__(self, spec: Any, position: Position, path: str) -> None:
        self.spec = spec
        self.is_actor = isinstance(spec, Child)
        self.position = position
        self.path = path
        self.key = ""
        """Of a dynamic child."""
        self.state: State = "waiting"
        self.restarts = 0
        self.in_a_row = 0
        self.last_error = ""
        self.failure: Failure | None = None
        """Of the last incarnation that was never ready."""
        self.started_at = 0.0
        self.due: float | None = None
        """When it is to be started again."""
        self.crashes: deque[float] | None = None
        self.stats = Statistics()
        self.scope: trio.CancelScope | None = None
        """Of the incarnation that lives, once its task runs."""
        self.deadline = math.inf
        """When that is cancelled."""
        self.start_by = math.inf
        self.stop_by = math.inf
        """Of an incarnation that is being stopped, or whose group is: when it is to be gone."""
        self.told_to_stop = False
        self.cleaning: trio.CancelScope | None = None
        """While the incarnation cleans up: in which scope."""
        self.cleans_up = isinstance(spec, DynamicGroup)
        """Whether the actor that lives overrides `stopped`; one below may, in a group on demand."""
        self.ready = trio.Event()
        self.was_launched = False
        """At least once."""
        self.was_ready = False
        self.late = False
        self.over = False
        """It stops for good: what becomes of this incarnation interests nobody."""
        self.ended: trio.Event | None = None
        """Made by who waits for it."""

    def launched(self, now: float, stop_by: float) -> None:
        """A new incarnation is to begin, now by the clock of the environment. It is to be gone by `stop_by` where its group is."""
        self.state = "starting"
        self.was_launched = True
        if self.ready.is_set():  # whoever waits for the first start waits for this very event
            self.ready = trio.Event()
        self.was_ready = self.late = self.told_to_stop = False
        self.scope = None
        self.deadline = self.start_by = math.inf
        self.stop_by = stop_by
        self.started_at = now

    def begin(self, scope: trio.CancelScope, *, starts_up: bool) -> None:
        """The incarnation runs in this scope. One that starts up has START_SECONDS to become ready."""
        self.scope = scope
        if starts_up:
            self.start_by = trio.current_time() + START_SECONDS
            self.deadline = min(self.deadline, self.start_by)
        if self.deadline != math.inf:
            scope.deadline = self.deadline

    def started(self, value: None = None) -> None:
        """It is ready (a `trio.TaskStatus`)."""
        if not self.told_to_stop and self.deadline != math.inf:  # else it is being stopped, and has its grace and no longer
            self._cancel_at(math.inf)
        self.state = "running"
        self.was_ready = True
        self.ready.set()

    def stop_within(self, grace: float) -> None:
        """Stop the incarnation that lives: what it does is cancelled in time for its cleaning up to be over by then as well."""
        now = trio.current_time()
        self.told_to_stop = True
        self.hurry(now + grace)
        if self.is_actor and self.spec.mailbox.idle:
            return  # the stop is the next that it hears of; and setting a deadline is a large part of what a stop costs
        at_work = grace * WORK_SHARE if self.cleans_up else grace
        self._cancel_at(min(self.deadline, now + at_work))

    def hurry(self, by: float) -> None:
        """Its incarnation is to be gone by then, also where it cleans up already."""
        self.stop_by = min(self.stop_by, by)
        if self.cleaning is not None:
            self.cleaning.deadline = min(self.cleaning.deadline, self.stop_by)

    def _cancel_at(self, deadline: float) -> None:
        self.deadline = deadline
        if self.scope is not None:
            self.scope.deadline = deadline

    @property
    def is_late(self) -> bool:
        """Whether the incarnation was cancelled because it was not ready in time."""
        return not self.was_ready and self.deadline == self.start_by <= trio.current_time()

    @property
    def is_down(self) -> bool:
        """It ended, and is to come back."""
        return self.state in ("backing_off", "parked")

    @property
    def alive(self) -> bool:
        return self.state in ("starting", "running")

    def stays_down(self, error: Exception | None) -> bool:
        """Whether its restart type lets an end stand."""
        restart: Restart = self.spec.restart
        return restart == "temporary" or (restart == "transient" and error is None)

    def status(self) -> ActorStatus:
        """As seen from outside."""
        if not self.is_actor:
            return ActorStatus(self.path, self.state, self.restarts, self.last_error, 0, 0, 0, 0.0, 0.0, 0.0, (), 0, "group")
        mailbox, stats = self.spec.mailbox, self.stats
        return ActorStatus(
            self.path,
            self.state,
            self.restarts,
            self.last_error,
            len(mailbox),
            mailbox.conflated,
            stats.handled,
            stats.busy_s,
            stats.longest_s,
            stats.percentile(99),
            tuple(stats.histogram or ()),
            stats.lost,
        )


class Failure(NamedTuple):
    """An incarnation ended before it was ready."""

    ready: trio.Event
    """What those wait for whom it concerns; the next incarnation has another one."""
    text: str
    cause: Exception | None


@dataclass
class Exit:
    """A child ended: by this error, or well."""

    node: Node
    error: Exception | None
