"""Writing the audit from the front.

For a whole service: `audit.every_call(AdminService(core).service)` records each call of it, also one that is added later,
with its caller, what it was about and how it ended; the service itself does nothing for that. For one event: `await
audit.note(who, what, target)`. Neither ever raises, nor waits for longer than `AUDIT_SECONDS`.

What a call was about is read from its request, else from its reply: the first of the fields `TARGETS` that is set.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import trio
from purerpc import Service

from arbiter.actors.auditor import Audit as Write
from arbiter.actors.auditor import AuditSoon
from arbiter.actors.auditor import Messages as AuditorMessages
from arbiter.domain.audit import OK, AuditRecord, record
from arbiter.errors import ArbiterError
from arbiter.rpc.request import Request
from arbiter.runtime import Environment, Ref
from arbiter.runtime.correlation import correlation

AUDIT_SECONDS = 0.5
"""How long an answer waits for its audit record to be durable; it is written later where that is not enough."""
READ_EACH_MS = 60_000
"""A read (`List...`, `Get...`) that one caller repeats is recorded once in this time, with the number of times since the last record."""
MOST_READERS = 1_000
TARGETS = ("user_id", "pair_id", "id", "name")

_log = structlog.get_logger(component="audit")


class Audit:
    """Writes records by way of the auditor."""

    def __init__(self, auditor: Ref[AuditorMessages], environment: Environment) -> None:
        self._auditor = auditor
        self._environment = environment
        self._reads: dict[tuple[str, str, str, str], tuple[int, int]] = {}
        """(who, method, target, outcome) -> when it was recorded last, and how often it came since."""

    async def note(self, who: str, what: str, target: str = "", outcome: str = OK) -> None:
        """Record an event of now. `target` never holds a secret."""
        await self._write(record(self._environment.unix_ms(), who, what, target, correlation.get(), outcome))

    def note_soon(self, who: str, what: str, target: str = "", outcome: str = OK) -> None:
        """The same without waiting."""
        self._offer(record(self._environment.unix_ms(), who, what, target, correlation.get(), outcome))

    def every_call(self, service: Service) -> Service:
        """The same service, each of whose unary calls is recorded."""
        for name, method in list(service.methods.items()):
            service.methods[name] = method._replace(method_fn=self._recorded(f"{service.name}/{name}", method.method_fn))
        return service

    def _recorded(self, method: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
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
                await self._record_call(request.caller.user, method, _target(message) or _target(reply), outcome)
            return reply

        return recorded

    async def _record_call(self, who: str, method: str, target: str, outcome: str) -> None:
        times = 1
        if method.rpartition("/")[2].startswith(("List", "Get")) and not (times := self._times(who, method, target, outcome)):
            return
        made = record(self._environment.unix_ms(), who, method, target, correlation.get(), outcome, times)
        if outcome == "CANCELLED":  # nothing can be waited for
            self._offer(made)
        else:
            await self._write(made)

    def _times(self, *read: str) -> int:
        """For how many reads the record of this one stands; 0 where it is only counted."""
        who, method, target, outcome = read
        now = self._environment.unix_ms()
        last, more = self._reads.get((who, method, target, outcome), (0, 0))
        if 0 <= now - last < READ_EACH_MS:
            self._reads[who, method, target, outcome] = (last, more + 1)
            return 0
        if len(self._reads) >= MOST_READERS:
            self._reads.pop(next(iter(self._reads)))
        self._reads[who, method, target, outcome] = (now, 0)
        return more + 1

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
