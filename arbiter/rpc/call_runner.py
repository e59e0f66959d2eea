"""The calls of one connection that run: a task for each, kept for the next, since making one costs more than the rest of a call.

A call ends in one place, whatever ends it: its handler, its client, its deadline, the connection, the server.
"""

import math
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, Protocol

import outcome
import structlog
import trio
from purerpc import RpcFailedError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.errors import ArbiterError, Overloaded
from arbiter.rpc import answer_blocks
from arbiter.rpc.call import Call, Ending
from arbiter.rpc.call_head import CallHead
from arbiter.rpc.messages import framed
from arbiter.rpc.request import Request, cannot_end
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.status import ANSWERS_UNREAD, own_status, status_of
from arbiter.rpc.wire import Wire
from arbiter.runtime.correlation import correlation

IDLE_WORKERS = 16
"""Kept by a connection."""
CHARGED_BYTES = 64 * 1024
"""A message from this length on is told to `Host.charge`."""
TOO_LATE = own_status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed", "DEADLINE_EXCEEDED")
"""The same reason as a client finds that did not wait for this: which of the two is first is chance."""
UNREAD = own_status(StatusCode.RESOURCE_EXHAUSTED, "too many answers on this connection are not read", ANSWERS_UNREAD)

_log = structlog.get_logger(component="grpc")


class Host(Protocol):
    """The server, as far as calls concern it."""

    limits: ServerLimits
    calls: int
    """Handlers that run, of all connections."""
    waiting: int
    """Those of them whose message has not come."""
    strangers: int
    """Those whose message has come and that nobody in particular makes."""

    def admit_again(self, request: Request) -> object:
        """The caller as of now, of a call whose message came later than its head. Raises as `admit` does."""

    def charge(self, request: Request, size: int) -> None:
        """A long message was read."""


class CallRunner(ABC):
    """Half of a connection: it runs what the other half reads, and says how each call ended."""

    wire: Wire[CallHead]

    def __init__(self, host: Host) -> None:
        self._host = host
        self.running = 0
        """Handlers that run. A call that was reset counts until its handler has ended."""
        self.quiet_since = trio.current_time()
        """Since when there has been no call; infinite while there is one."""
        self.unary = 0
        """Unary calls that were started and have not ended."""
        self.fresh: list[Call] = []
        """Begun by what was just read, and not started yet."""
        self.nursery: trio.Nursery | None = None
        self._strangers_waiting = 0
        """Calls of nobody whose message has not come."""
        self._idle: list[trio.lowlevel.Task] = []
        self._unneeded = 0
        """The fewest that were idle at once since the last `trim`."""
        self._log = _log.bind()
        """Bound once: the lazy one looks up its configuration at each line, also where that says to drop it."""

    @abstractmethod
    def flush(self) -> None:
        """See that what is in `wire.out` is sent."""

    @abstractmethod
    def charge_refused(self, error: BaseException) -> None:
        """A call that the gate had let in ended with this: a key that is wrong, a sign-in that has ended before its message came."""

    def end(self, call: Call, status: Status) -> None:
        """End a call from outside: its handler is cancelled and its client told, whether it reads or not."""
        self.end_by(call, (status, ()))

    def end_by(self, call: Call, ending: Ending) -> None:
        """The same, with its trailers."""
        call.ended_by = ending
        if call.scope is not None:
            call.scope.cancel()
        elif call.id in self.wire.streams:
            if call.following is not None:
                self.let_go(call)
            self._tell_ended(call, ending)
            self.finish(call, ending)
            self.flush()

    def start_fresh(self) -> None:
        """Run what was just read."""
        fresh, self.fresh = self.fresh, []
        nursery = self.nursery
        assert nursery is not None
        for call in fresh:
            if call.id not in self.wire.streams:
                continue  # reset by what came right behind it
            assert call.head.method is not None
            if call.first is None and not call.head.method.many_requests:
                if not self._may_wait(call):
                    self.finish(call, ending_of(Overloaded("too many calls wait for their message"), call.request))
                    continue
                call.waits = True  # counted here, since a single read may bring a thousand of them
                self._host.waiting += 1
                self._strangers_waiting += call.request.caller is None
            self.running += 1
            self._host.calls += 1
            if not call.head.method.many_replies:
                self.unary += 1
            if self._idle:
                trio.lowlevel.reschedule(self._idle.pop(), outcome.Value(call))
            else:
                nursery.start_soon(self._work, call)
        self._unneeded = min(self._unneeded, len(self._idle))

    def _may_wait(self, call: Call) -> bool:
        """Whether one more call may wait for its message."""
        limits = self._host.limits
        if call.request.caller is None and self._strangers_waiting >= limits.strangers_waiting:
            return False
        return call.never_refused or self._host.waiting < limits.waiting

    def _waits_no_more(self, call: Call) -> None:
        if call.waits:
            call.waits = False
            self._host.waiting -= 1
            self._strangers_waiting -= call.request.caller is None

    async def _work(self, call: Call | None) -> None:
        """Run one call after another. They share a scope, which is made anew when it was cancelled."""
        task = trio.lowlevel.current_task()
        try:
            while True:
                with trio.CancelScope() as scope:
                    while True:
                        if call is None:
                            if len(self._idle) >= IDLE_WORKERS:
                                return
                            call = await self._next(task)
                            if call is None:
                                return
                        ending = await self._run(call, scope)
                        ended, call = call, None
                        if ended.following is not None:
                            self._detach(ended)
                            if self._idle:  # streams come in numbers and stay: one task to begin the next is enough
                                return
                        else:
                            self._ended(ended, ending)
                if call is not None:  # cancelled, or else the scope was so after its call had ended
                    ended, call = call, None
                    self._ended(ended, self._why_cancelled(ended))
        finally:
            if call is not None:  # the connection ends
                self._count_out(call)

    def _detach(self, call: Call) -> None:
        """From now on no task waits for what the call follows, unless it has ended meanwhile."""
        call.scope = None
        if call.id not in self.wire.streams:
            self.let_go(call)
        elif call.ended_by is not None:
            self.end_by(call, call.ended_by)

    async def _next(self, task: trio.lowlevel.Task) -> Call | None:
        """Wait for the next call to run; None where there will be none soon."""
        self._idle.append(task)

        def leave(_raise_cancel: Any) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        call: Call | None = await trio.lowlevel.wait_task_rescheduled(leave)
        return call

    def trim(self) -> None:
        """End the tasks that nothing has needed since the last time."""
        for task in self._idle[: self._unneeded]:
            trio.lowlevel.reschedule(task, outcome.Value(None))
        del self._idle[: self._unneeded]
        self._unneeded = len(self._idle)

    async def _run(self, call: Call, scope: trio.CancelScope) -> Ending | None:
        """Run the handler in its scope and say how it ended; None where the call ended before."""
        if call.id not in self.wire.streams or call.ended_by is not None:
            return None
        call.scope = scope
        if call.deadline != math.inf:
            scope.deadline = call.deadline
        correlation.set(call.request.correlation_id)
        ending = await self._outcome(call)
        if call.deadline != math.inf:
            scope.deadline = math.inf
        return ending

    def _ended(self, call: Call, ending: Ending | None) -> None:
        """The handler has ended. An ending of None: the client wants no answer."""
        self._count_out(call)
        if ending is not None:
            self._tell_ended(call, ending)
            if call.id in self.wire.streams:
                self.finish(call, ending)
        self.flush()

    def _count_out(self, call: Call) -> None:
        call.scope = None
        self._waits_no_more(call)
        self.running -= 1
        self._host.calls -= 1
        if call.stranger:
            call.stranger = False
            self._host.strangers -= 1
        assert call.head.method is not None
        if not call.head.method.many_replies:
            self.unary -= 1

    def _why_cancelled(self, call: Call) -> Ending | None:
        """None where the client reset it and wants no answer."""
        if call.ended_by is not None:
            return call.ended_by
        if trio.current_time() >= call.deadline:
            return TOO_LATE, ()
        return None

    async def _outcome(self, call: Call) -> Ending | None:
        """Run the handler and say how it ended; None where it follows a feed from now on."""
        method, request = call.head.method, call.request
        assert method is not None
        try:
            message = call.messages() if method.many_requests else await self._message(call)
            if request.caller is None:
                self._count_stranger(call)
            if method.many_replies:
                return await self._send_all(call, method.call(message, request=request))
            reply = await method.call(message, request=request)
            call.reply = framed(reply.SerializeToString())
        except Exception as error:  # noqa: BLE001 the edge: whatever a handler raised must not reach the client
            self.charge_refused(only(error))
            return ending_of(error, request)
        return None, request.trailing_metadata

    def _count_stranger(self, call: Call) -> None:
        if self._host.strangers >= self._host.limits.strangers:
            raise Overloaded("too many calls of nobody run already")
        call.stranger = True
        self._host.strangers += 1

    async def _send_all(self, call: Call, replies: Any) -> Ending | None:
        """Send what the handler yields; None where it follows a feed from now on."""
        request = call.request
        request.end = lambda error: self.end_by(call, ending_of(error, request))
        try:
            await call.send_all(replies)
            if call.following is not None and call.deadline != math.inf:
                await trio.sleep_forever()  # its scope knows the deadline
        finally:
            if call.following is None or call.deadline != math.inf:
                call.following = None
                request.end = cannot_end  # or the two would hold each other
                await replies.aclose()
        return None if call.following is not None else (None, request.trailing_metadata)

    async def _message(self, call: Call) -> Any:
        """The message of a request that has one. Raises what the call ends with where it does not come, or comes too late."""
        message = await self._late_message(call) if call.waits else await call.message()
        if message is None:
            raise RpcFailedError(own_status(StatusCode.INTERNAL, "the request has no message", "BAD_MESSAGE"))
        if call.size >= CHARGED_BYTES:
            self._host.charge(call.request, call.size)
        if call.deadline != math.inf and trio.current_time() >= call.deadline:
            raise RpcFailedError(TOO_LATE)  # an actor that answers at once would never notice
        return message

    async def _late_message(self, call: Call) -> Any:
        """A message that did not come with its head: by now the caller may have lost what let the call in."""
        request, host = call.request, self._host
        seconds = host.limits.strangers_body_seconds if request.caller is None else host.limits.body_seconds
        with trio.move_on_after(seconds) as scope:
            message = await call.message()
        self._waits_no_more(call)
        if scope.cancelled_caught:
            raise RpcFailedError(own_status(StatusCode.DEADLINE_EXCEEDED, "the request's message did not come", "MESSAGE_LATE"))
        request.caller = host.admit_again(request)
        return message

    def let_go(self, call: Call) -> None:
        """End the handler of a call that follows a feed and has no task."""
        following, call.following = call.following, None
        assert following is not None
        call.request.end = cannot_end  # or the two would hold each other
        self._count_out(call)
        close_now(following.replies, call.head.path)

    def finish(self, call: Call, ending: Ending) -> None:
        """Send the end, after what waits; a call that is cut off ends at once."""
        status, metadata = ending
        if call.reply is not None and self.wire.waiting + len(call.reply) > self._host.limits.held_by_one:
            call.reply, status = None, UNREAD
        block = answer_blocks.trailers(status, call.request.correlation_id, metadata)
        if status is None and call.reply is not None:
            call.started = True
            self.wire.answer(call, call.head_block(), call.reply, block)
            self.over(call)
            return
        if not call.started:
            if call.request.initial_metadata:
                call.start()  # a client takes all that stands in a single block for trailers
            else:
                block = answer_blocks.HEAD + block
        if call.pending and status is not None and (call.ended_by is not None or status.status_code is StatusCode.DEADLINE_EXCEEDED):
            self.wire.cut(call, block)
        else:
            self.wire.finish(call, block)
        self.over(call)

    def over(self, call: Call) -> None:
        call.over()
        if not self.wire.streams:
            self.quiet_since = trio.current_time()

    def _tell_ended(self, call: Call, ending: Ending) -> None:
        self._log.debug("call", method=call.head.path, status="OK" if ending[0] is None else ending[0].status_code.name)


def close_now(replies: Any, path: str) -> None:
    """End a handler that waits for nothing where it stands, which is what `Follow` asks for."""
    closing = replies.aclose()
    try:
        closing.send(None)
    except StopIteration:
        return
    except Exception:  # noqa: BLE001 the stream has ended all the same
        _log.exception("a handler failed at its end", method=path)
        return
    with suppress(GeneratorExit, Exception):  # what comes out is what goes in
        closing.throw(GeneratorExit())
    _log.error("a handler waits at its end, where nobody waits for it", method=path)


def ending_of(error: Exception, request: Request) -> Ending:
    """What a call ends with that raised this."""
    single = only(error)
    if isinstance(single, RpcFailedError):
        return single.status, request.trailing_metadata
    if isinstance(single, ArbiterError) and (told := status_of(single)) is not None:
        status, trailers = told
        return status, (*trailers, *request.trailing_metadata)
    _log.error("call failed", method=request.path, exc_info=error)
    return own_status(StatusCode.INTERNAL, f"internal error; quote {request.correlation_id} when you report it", "INTERNAL"), ()


def only(error: BaseException) -> BaseException:
    """What a handler's nursery wrapped, where it is a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
