"""Writing the audit from the front.

For a whole service: `audit.every_call(AdminService(core).service)` records each call of it, also one that is added later,
with its caller, what it was about and how it ended; the service itself does nothing for that. What the gate refused of such a
service: `audit.refused(who, method, reason)`. For one event: `await audit.note(who, what, target)`. None of them ever raises, nor
waits for longer than `AUDIT_SECONDS`.

What costs nothing to repeat fills neither table nor disk: reads, stops that changed nothing and what was refused are recorded once,
and their like are counted for a while, which `count_for_ever` tells in one record. A change is always recorded on its own.

What a call was about is read from its request, else from its reply: the first of the fields `TARGETS` that is set.
"""

import math
from collections.abc import Awaitable, Callable, Container
from typing import Any, NamedTuple

import structlog
import trio
from purerpc import Service

from arbiter.actors.auditor import Audit as Write
from arbiter.actors.auditor import AuditSoon
from arbiter.actors.auditor import Messages as AuditorMessages
from arbiter.domain.audit import OK, AuditRecord, record
from arbiter.domain.limits import TokenBucket
from arbiter.errors import ArbiterError
from arbiter.rpc.repeats import Repeats
from arbiter.rpc.request import Request
from arbiter.runtime import Environment, Ref
from arbiter.runtime.correlation import correlation

AUDIT_SECONDS = 0.5
"""How long an answer waits for its audit record to be durable; it is written later where that is not enough."""
READ_SECONDS = 60.0
"""A read (`List...`, `Get...`) that one caller repeats is recorded once in this time, and its repetitions once after it."""
STOP_SECONDS = 10.0
"""The same for a stop that stopped nothing new."""
REFUSED_SECONDS = 60.0
"""The same for what the gate refused, by caller, method and reason."""
MOST_KINDS = 1_000
"""Of each of these three, counted at once."""
REFUSED_A_MINUTE = 120
"""Records of refused calls, everybody's. Those beyond are counted in a single one."""
UNLISTED = "calls that were counted and are not listed"
COUNT_SECONDS = 5.0
TARGETS = ("user_id", "pair_id", "id", "name")

_log = structlog.get_logger(component="audit")


class Kind(NamedTuple):
    """What makes two calls each other's like."""

    who: str
    method: str
    target: str
    outcome: str


class Audit:
    """Writes records by way of the auditor."""

    def __init__(self, auditor: Ref[AuditorMessages], environment: Environment) -> None:
        self._auditor = auditor
        self._environment = environment
        self._reads: Repeats[Kind] = Repeats(READ_SECONDS, MOST_KINDS)
        self._stops: Repeats[Kind] = Repeats(STOP_SECONDS, MOST_KINDS)
        self._refused: Repeats[Kind] = Repeats(REFUSED_SECONDS, MOST_KINDS)
        self._refusals = TokenBucket.per_minute(REFUSED_A_MINUTE, environment.monotonic())
        self._unlisted = 0
        self._methods: set[str] = set()
        """Whose calls are recorded."""

    async def note(self, who: str, what: str, target: str = "", outcome: str = OK) -> None:
        """Record an event of now. `target` never holds a secret."""
        await self._write(record(self._environment.unix_ms(), who, what, target, correlation.get(), outcome))

    def note_soon(self, who: str, what: str, target: str = "", outcome: str = OK) -> None:
        """The same without waiting."""
        self._offer(record(self._environment.unix_ms(), who, what, target, correlation.get(), outcome))

    def refused(self, who: str, method: str, reason: str) -> None:
        """A call of an audited service came no further than the gate. Waits for nothing, however many there are."""
        if method not in self._methods:
            method = f"{method.partition('/')[0]}/?"  # any name can be sent
        kind, now = Kind(who, method, "", reason), self._environment.monotonic()
        times = self._refused.come(kind, now)
        if times:
            self._tell_refused(kind, times, now)

    def every_call(self, service: Service, *, stops: Container[str] = ()) -> Service:
        """The same service, each of whose unary calls is recorded. `stops`: those of its methods that no rate limit refuses."""
        for name, method in list(service.methods.items()):
            path = f"{service.name}/{name}"
            self._methods.add(path)
            service.methods[name] = method._replace(method_fn=self._recorded(path, method.method_fn, stop=name in stops))
        return service

    async def count_for_ever(self) -> None:
        """Tell what was counted, each kind when its time is over; until cancelled."""
        while True:
            await trio.sleep(COUNT_SECONDS)
            self.tell_counted(self._environment.monotonic())

    def tell_counted(self, now: float = math.inf) -> None:
        """Record what was counted until now in times that are over (monotonic seconds); by itself: in all of them."""
        for kind, times in (*self._reads.due(now), *self._stops.due(now)):
            self._offer(self._made(kind, times))
        for kind, times in self._refused.due(now):
            self._tell_refused(kind, times, self._environment.monotonic())
        for each in (self._reads, self._stops, self._refused):
            self._unlisted += each.forgotten
            each.forgotten = 0
        if self._unlisted:
            self._offer(self._made(Kind("", UNLISTED, "", OK), self._unlisted))
            self._unlisted = 0

    def _recorded(self, method: str, call: Callable[..., Awaitable[Any]], *, stop: bool) -> Callable[..., Awaitable[Any]]:
        async def recorded(message: Any, request: Request) -> Any:
            outcome, reply = "INTERNAL", None
            try:
                reply = await call(message, request=request)
                outcome = OK
            except ArbiterError as error:
                outcome = error.reason
                raise
            except trio.Cancelled:
                outcome = "CANCELLED"
                raise
            finally:
                kind = Kind(request.caller.user, method, _target(message) or _target(reply), outcome)
                times = self._times(kind, repeated_stop=stop and not request.changed)
                if times:
                    await self._record(self._made(kind, times))
            return reply

        return recorded

    def _times(self, kind: Kind, *, repeated_stop: bool) -> int:
        """For how many calls the record of this one stands; 0 where it is only counted."""
        now = self._environment.monotonic()
        if repeated_stop:
            return self._stops.come(kind, now)
        if kind.method.rpartition("/")[2].startswith(("List", "Get")):
            return self._reads.come(kind, now)
        return 1

    def _made(self, kind: Kind, times: int) -> AuditRecord:
        return record(self._environment.unix_ms(), kind.who, kind.method, kind.target, correlation.get(), kind.outcome, times)

    def _tell_refused(self, kind: Kind, times: int, now: float) -> None:
        if self._refusals.take(now):
            self._unlisted += times
        else:
            self._offer(self._made(kind, times))

    async def _record(self, made: AuditRecord) -> None:
        if made.outcome == "CANCELLED":  # nothing can be waited for
            self._offer(made)
        else:
            await self._write(made)

    async def _write(self, made: AuditRecord) -> None:
        try:
            await self._auditor.ask(Write(made), timeout=AUDIT_SECONDS)
        except ArbiterError as error:
            _log.warning("not known yet whether an audit record is durable", record=made, problem=str(error))

    def _offer(self, made: AuditRecord) -> None:
        if not self._auditor.offer(AuditSoon(made)):
            _log.error("audit record not in the store", record=made)


def _target(message: Any) -> str:
    """What a message is about, by the names of its fields."""
    if message is None:
        return ""
    known = message.DESCRIPTOR.fields_by_name
    for name in TARGETS:
        if name in known and (value := getattr(message, name)):
            return str(value)
    return ""
