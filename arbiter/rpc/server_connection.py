"""One connection of a client: a reader, a writer, and a task for each call that runs.

The answers of one turn of the loop leave in one write: whoever finishes the last call that runs writes at once, everybody else
wakes the writer. Tasks that ran a call are kept for the next, since making one costs more than the rest of a call.
"""

import math
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
from arbiter.rpc.call_head import CallHead, Metadata
from arbiter.rpc.follow import Following
from arbiter.rpc.frames import Code
from arbiter.rpc.header_blocks import Headers
from arbiter.rpc.messages import HEAD, framed
from arbiter.rpc.parking import Parking
from arbiter.rpc.pipe import Lost, Pipe
from arbiter.rpc.request import Request, cannot_end
from arbiter.rpc.sending import Stream
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.status import status_of
from arbiter.rpc.wire import Broken, Wire
from arbiter.runtime.correlation import correlation, fit

IDLE_WORKERS = 16
"""Kept by a connection."""
LAST_WORDS_SECONDS = 0.2
"""After a GOAWAY the peer's bytes are read for so long: a connection closed with bytes unread is reset, and what was sent is lost."""

UNREAD = Status(StatusCode.RESOURCE_EXHAUSTED, "too many answers on this connection are not read")

_log = structlog.get_logger(component="grpc")


class Host(Protocol):
    """What a connection needs of its server."""

    limits: ServerLimits
    calls: int
    """Handlers that run, of all connections."""
    strangers: int
    """Those of them that nobody in particular makes."""
    held: int
    """What is kept of unfinished requests, of all connections."""

    def read_head(self, headers: Headers) -> CallHead:
        """What a header block asks for."""

    def admit(self, request: Request) -> object:
        """The caller. Raises an ArbiterError or RpcFailedError where the call may not be made."""

    def new_correlation_id(self) -> str:
        """For a call whose client sent none."""

    def broken(self, error: Exception) -> None:
        """A peer broke the protocol."""


class ServerConnection:
    """One connection."""

    def __init__(self, host: Host, pipe: Pipe, peer: str, *, verified_peer: bool = False) -> None:
        self._host = host
        self._pipe = pipe
        self.peer = peer
        self._verified_peer = verified_peer
        self.wire: Wire[CallHead] = Wire(self, host.read_head, client=False, most_streams=host.limits.streams)
        self.running = 0
        """Handlers that run. A call that was reset counts until its handler has ended."""
        self.heard_at = trio.current_time()
        self.opened_at = self.heard_at
        self.quiet_since = self.heard_at
        """Since when there has been no call; infinite while there is one."""
        self.pinged_at = math.inf
        self.stuck_since = math.inf
        """Since when the socket has taken nothing, though there is something to send."""
        self._log = _log.bind()
        """Bound once: the lazy one looks up its configuration at each line, also where that says to drop it."""
        self._held = 0
        self._unary = 0
        """Unary calls that were started and have not ended."""
        self._fresh: list[Call] = []
        """Begun by what was just read, and not started yet."""
        self._idle: list[trio.lowlevel.Task] = []
        self._unneeded = 0
        """The fewest that were idle at once since the last `trim`."""
        self._writer = Parking()
        self._pumps: list[Following] = []
        """To be pumped by the writer."""
        self._nursery: trio.Nursery | None = None
        self._closing = False

    # -- its life --

    async def serve(self) -> None:
        """Until the peer is gone or `close`. Calls that still run are cancelled then."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._write)
                try:
                    await self._read()
                except Broken as error:
                    self._host.broken(error)
                    await self._last_words()
                finally:
                    nursery.cancel_scope.cancel()
                    for call in tuple(self.wire.streams.values()):
                        assert isinstance(call, Call)
                        self.wire.forget(call)
                        call.over()  # now, whatever its handler still has to clean up
                        if call.following is not None and call.scope is None:
                            self._let_go(call)
        except* Lost:
            pass
        finally:
            self._nursery = None
            self._pipe.close()

    async def _read(self) -> None:
        wire, pipe = self.wire, self._pipe
        while not self._closing:
            data = await pipe.receive()
            if not data:
                return
            now = self.heard_at = trio.current_time()
            try:
                wire.receive(data, now)
            finally:
                if self._fresh:
                    self._start_fresh()
                self.flush()

    async def _write(self) -> None:
        wire, pipe = self.wire, self._pipe
        while True:
            while wire.out or pipe.backlog or self._pumps:
                pumps, self._pumps = self._pumps, []
                for following in pumps:
                    following.pump()
                self.stuck_since = trio.current_time()
                pipe.send(wire.take())
                await pipe.flushed()
                self.stuck_since = math.inf
            await self._writer.wait()

    def flush(self) -> None:
        """See that what is in `out` is sent: now, where nothing else is about to be said, else with what comes in this turn."""
        if not self.wire.out:
            return
        if not self._unary and self._writer.taken:
            self._send_now()
        else:
            self._writer.wake()

    def soon(self) -> None:
        """See that what is in `out` is sent with all that this turn of the loop brings."""
        self._writer.wake()

    def _send_now(self) -> None:
        """Only while the writer waits, since it has no backlog then."""
        try:
            if self._pipe.send(self.wire.take()) and not self.wire.out:
                return
        except Lost:
            return  # the reader finds it too
        self._writer.wake()

    async def _last_words(self) -> None:
        with trio.move_on_after(LAST_WORDS_SECONDS):
            self._writer.wake()
            while await self._pipe.receive():
                pass

    def go_away(self) -> None:
        """Take no new call; those that run go on."""
        if not self.wire.broken:
            self.wire.go_away(text="Arbiter is stopping")
            self.flush()

    def close(self) -> None:
        """End it, and with it what runs."""
        self._closing = True
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def say_goodbye(self) -> None:
        """Nothing more is sent; what the peer still sends is read until it goes, since closing before would lose the last answers."""
        self._pipe.end()

    def close_soon(self) -> None:
        """End it once what is to be sent has had a moment to leave; no call runs."""
        if self._nursery is not None:
            self._nursery.cancel_scope.deadline = min(self._nursery.cancel_scope.deadline, trio.current_time() + LAST_WORDS_SECONDS)

    def end_calls(self, status: Status) -> None:
        """End every call that lives with this status."""
        for call in tuple(self.wire.streams.values()):
            assert isinstance(call, Call)
            self.end(call, status)
        self.flush()

    def end_feeds(self, status: Status) -> None:
        """End what would never end by itself."""
        for call in tuple(self.wire.streams.values()):
            assert isinstance(call, Call)
            if call.following is not None:
                self.end(call, status)

    def end(self, call: Call, status: Status) -> None:
        """End a call from outside: its handler is cancelled and its client told, whether it reads or not."""
        self._end(call, (status, ()))

    def _end(self, call: Call, ending: Ending) -> None:
        call.ended_by = ending
        if call.scope is not None:
            call.scope.cancel()
        elif call.id in self.wire.streams:
            if call.following is not None:
                self._let_go(call)
            self._tell_ended(call, ending)
            self._finish(call, ending)
            self.flush()

    # -- what the wire tells --

    def opened(self, stream_id: int, head: CallHead, ended: bool) -> None:
        call = Call(stream_id, self.wire.first_window, ended, head, self, self.peer)
        call.request.verified_peer = self._verified_peer
        self.wire.streams[stream_id] = call
        if head.malformed or (not head.service and not head.refused and head.failure is None):
            self.wire.reset(call, Code.PROTOCOL_ERROR)
            return
        if head.refused:
            self.wire.headers(call, answer_blocks.http_refusal(head.refused), ended=True)
            return
        self.quiet_since = math.inf
        self._begin(call)

    def _begin(self, call: Call) -> None:
        """Decide on a call before anything of it is kept."""
        head, request, host = call.head, call.request, self._host
        request.correlation_id = _correlation_id(head.metadata) or host.new_correlation_id()
        token = correlation.set(request.correlation_id)
        try:
            if head.failure is not None:
                raise RpcFailedError(head.failure)
            if self.running >= host.limits.streams or host.calls >= host.limits.calls:
                raise Overloaded("too many calls run already")
            # who may not come in does not learn what exists
            request.caller = host.admit(request)
            if request.caller is None and host.strangers >= host.limits.strangers:
                raise Overloaded("too many calls of nobody run already")
            if head.method is None:
                raise RpcFailedError(Status(StatusCode.UNIMPLEMENTED, f"no method {head.path}"))
        except Exception as error:  # noqa: BLE001 the edge: whatever was raised must not reach the client
            self._finish(call, _ending(error, request))
            return
        finally:
            correlation.reset(token)
        if head.timeout != math.inf:
            call.deadline = request.deadline = trio.current_time() + head.timeout
        self._fresh.append(call)

    def headers(self, stream: Stream, head: CallHead, ended: bool) -> None:
        """The end of a request that has trailers, which gRPC has not."""
        self.data(stream, b"", ended)

    def data(self, stream: Stream, payload: bytes, ended: bool) -> None:
        assert isinstance(stream, Call)
        call = stream
        if (
            ended
            and call.scope is None
            and len(payload) >= HEAD
            and payload[0] == 0
            and int.from_bytes(payload[1:HEAD], "big") == len(payload) - HEAD
            and call.incoming is None
        ):
            call.first = payload[HEAD:]  # the whole request in one frame
        else:
            call.feed(payload, ended)

    def was_reset(self, stream: Stream, code: int) -> None:
        assert isinstance(stream, Call)
        if stream.scope is not None:
            stream.scope.cancel()
        elif stream.following is not None:
            self._let_go(stream)
        self._over(stream)

    def going_away(self, last: int, code: int, text: str) -> None:
        pass  # a client that opens no more calls

    def pong(self) -> None:
        self.pinged_at = math.inf

    # -- what a call needs --

    def hold(self, cost: int) -> bool:
        self._held += cost
        self._host.held += cost
        limits = self._host.limits
        return cost <= 0 or (self._held <= limits.held_by_one and self._host.held <= limits.held_by_all)

    def took(self, call: Call, length: int) -> None:
        self.wire.took(call, length)

    def pump_soon(self, following: Following) -> None:
        if not following.due:
            following.due = True
            self._pumps.append(following)
            self._writer.wake()

    def follower_failed(self, call: Call, error: Exception) -> None:
        self._end(call, _ending(error, call.request))

    # -- running calls --

    def _start_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        nursery = self._nursery
        assert nursery is not None
        for call in fresh:
            if call.id not in self.wire.streams:
                continue  # reset by what came right behind it
            assert call.head.method is not None
            self.running += 1
            self._host.calls += 1
            self._host.strangers += call.request.caller is None
            if not call.head.method.many_replies:
                self._unary += 1
            if self._idle:
                trio.lowlevel.reschedule(self._idle.pop(), outcome.Value(call))
            else:
                nursery.start_soon(self._work, call)
        self._unneeded = min(self._unneeded, len(self._idle))

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
            self._let_go(call)
        elif call.ended_by is not None:
            self._end(call, call.ended_by)

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
                self._finish(call, ending)
        self.flush()

    def _tell_ended(self, call: Call, ending: Ending) -> None:
        self._log.debug("call", method=call.head.path, status="OK" if ending[0] is None else ending[0].status_code.name)

    def _let_go(self, call: Call) -> None:
        """End the handler of a call that follows a feed and has no task."""
        following, call.following = call.following, None
        assert following is not None
        call.request.end = cannot_end  # or the two would hold each other
        self._count_out(call)
        close_now(following.replies, call.head.path)

    def _count_out(self, call: Call) -> None:
        call.scope = None
        self.running -= 1
        self._host.calls -= 1
        self._host.strangers -= call.request.caller is None
        assert call.head.method is not None
        if not call.head.method.many_replies:
            self._unary -= 1

    def _why_cancelled(self, call: Call) -> Ending | None:
        """None where the client reset it and wants no answer."""
        if call.ended_by is not None:
            return call.ended_by
        if trio.current_time() >= call.deadline:
            return Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed"), ()
        return None

    async def _outcome(self, call: Call) -> Ending | None:
        """Run the handler and say how it ended; None where it follows a feed from now on."""
        method, request = call.head.method, call.request
        assert method is not None
        try:
            message = call.messages() if method.many_requests else await self._message(call)
            if method.many_replies:
                return await self._send_all(call, method.call(message, request=request))
            reply = await method.call(message, request=request)
            call.reply = framed(reply.SerializeToString())
        except Exception as error:  # noqa: BLE001 the edge: whatever a handler raised must not reach the client
            return _ending(error, request)
        return None, request.trailing_metadata

    async def _send_all(self, call: Call, replies: Any) -> Ending | None:
        """Send what the handler yields; None where it follows a feed from now on."""
        request = call.request
        request.end = lambda error: self._end(call, _ending(error, request))
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
        """The message of a request that has one. Raises what the call ends with where it does not come."""
        if call.first is None:
            with trio.move_on_after(self._host.limits.body_seconds) as scope:
                message = await call.message()
            if scope.cancelled_caught:
                raise RpcFailedError(Status(StatusCode.DEADLINE_EXCEEDED, "the request's message did not come"))
        else:
            message = await call.message()
        if message is None:
            raise RpcFailedError(Status(StatusCode.INTERNAL, "the request has no message"))
        return message

    def _finish(self, call: Call, ending: Ending) -> None:
        """Send the end, after what waits; a call that is cut off ends at once."""
        status, metadata = ending
        if call.reply is not None and self.wire.waiting + len(call.reply) > self._host.limits.held_by_one:
            call.reply, status = None, UNREAD
        block = answer_blocks.trailers(status, call.request.correlation_id, metadata)
        if status is None and call.reply is not None:
            call.started = True
            self.wire.answer(call, call.head_block(), call.reply, block)
            self._over(call)
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
        self._over(call)

    def _over(self, call: Call) -> None:
        call.over()
        if not self.wire.streams:
            self.quiet_since = trio.current_time()


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


def _ending(error: Exception, request: Request) -> Ending:
    """What a call ends with that raised this."""
    single = only(error)
    if isinstance(single, RpcFailedError):
        return single.status, request.trailing_metadata
    if isinstance(single, ArbiterError) and (told := status_of(single)) is not None:
        status, trailers = told
        return status, (*trailers, *request.trailing_metadata)
    _log.error("call failed", method=request.path, exc_info=error)
    return Status(StatusCode.INTERNAL, f"internal error; quote {request.correlation_id} when you report it"), ()


def only(error: BaseException) -> BaseException:
    """What a handler's nursery wrapped, where it is a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _correlation_id(metadata: Metadata) -> str:
    """The client's, where it sent one and that may stand in a log line."""
    sent = [value for name, value in metadata if name == answer_blocks.CORRELATION_METADATA]
    return sent[0] if len(sent) == 1 and isinstance(sent[0], str) and fit(sent[0]) else ""
