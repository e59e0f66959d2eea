"""One connection of a client: what is read, and what is written.

The answers of one turn of the loop leave in one write: whoever finishes the last call that runs writes at once, everybody else
wakes the writer.
"""

import math
from collections.abc import Container
from typing import Protocol

import structlog
import trio
from purerpc import RpcFailedError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.errors import LimitExceeded, Overloaded, Unauthenticated
from arbiter.rpc import answer_blocks, call_runner, failures
from arbiter.rpc.call import Call
from arbiter.rpc.call_head import CallHead, Metadata
from arbiter.rpc.call_runner import CallRunner, ending_of
from arbiter.rpc.flusher import Flusher
from arbiter.rpc.follow import Following
from arbiter.rpc.frames import Code
from arbiter.rpc.header_blocks import Headers
from arbiter.rpc.messages import HEAD, IDENTITY
from arbiter.rpc.over_limit import OverLimit
from arbiter.rpc.parking import Parking
from arbiter.rpc.pipe import Lost, Pipe
from arbiter.rpc.places import Place, Places
from arbiter.rpc.proxies import Proxies
from arbiter.rpc.request import Request
from arbiter.rpc.sending import Stream
from arbiter.rpc.status import own_status
from arbiter.rpc.wire import Broken, Budget, Wire
from arbiter.runtime.correlation import correlation, fit

HELD = 16 * 1024
"""Bytes of answers that wait for those of the rest of one read."""
LAST_WORDS_SECONDS = 0.2
"""After a GOAWAY the peer's bytes are read for so long: a connection closed with bytes unread is reset, and what was sent is lost."""

UNAUTHENTICATED_PER_SECOND = 100
"""Calls without a valid token, or that are none, that a connection may make for long."""
UNAUTHENTICATED_CALLS = 3
"""Times the calls that it may have under way: so many at once, since a token expires under all of them, and again while it is renewed."""

_log = structlog.get_logger(component="grpc")


class Host(call_runner.Host, Protocol):
    """What a connection needs of its server."""

    held: int
    """What is kept of unfinished requests, of all connections."""
    places: Places
    flusher: Flusher

    proxies: Proxies

    def read_head(self, headers: Headers) -> CallHead:
        """What a header block asks for."""

    never_refused: Container[tuple[str, str]]
    """Methods that no number of other calls may hold up."""
    always_asked: Container[str]
    """Services of which `admit` is to hear of each call, also of one that it can only refuse as it did the one before."""

    def admit(self, request: Request) -> object:
        """The caller. Raises an ArbiterError or RpcFailedError where the call may not be made."""

    def new_correlation_id(self) -> str:
        """For a call whose client sent none."""

    def broken(self, error: Exception) -> None:
        """A peer broke the protocol."""


class ServerConnection(CallRunner):
    """One connection."""

    def __init__(self, host: Host, pipe: Pipe, peer: str, *, place: Place, verified_peer: bool = False) -> None:
        super().__init__(host)
        self._server = host
        self._pipe = pipe
        self.peer = peer
        self.place = place
        self._verified_peer = verified_peer
        self._is_proxy = host.proxies.knows(peer)
        self.wire: Wire[CallHead] = Wire(self, host.read_head, client=False, most_streams=host.limits.streams)
        self.heard_at = trio.current_time()
        self.pinged_at = math.inf
        self.stuck_since = math.inf
        """Since when the socket has taken nothing, though there is something to send."""
        self._held = 0
        self._unauthenticated = Budget(UNAUTHENTICATED_CALLS * host.limits.streams, UNAUTHENTICATED_PER_SECOND)
        self._writer = Parking()
        self._pumps: list[Following] = []
        """To be pumped by the writer."""
        self._closing = False
        self._more = False
        """Not all that was read is taken in."""
        self._over_limit = OverLimit()

    # -- its life --

    async def serve(self) -> None:
        """Until the peer is gone or `close`. Calls that still run are cancelled then."""
        try:
            async with trio.open_nursery() as nursery:
                self.nursery = nursery
                nursery.start_soon(self._write)
                try:
                    await self._read()
                except Broken as error:
                    self._server.broken(error)
                    await self._last_words()
                finally:
                    nursery.cancel_scope.cancel()
                    for call in tuple(self.wire.streams.values()):
                        assert isinstance(call, Call)
                        self.wire.forget(call)
                        call.over()  # now, whatever its handler still has to clean up
                        if call.following is not None and call.scope is None:
                            self.let_go(call)
        except* Lost:
            pass
        finally:
            self.nursery = None
            self._pipe.close()

    async def _read(self) -> None:
        pipe = self._pipe
        while not self._closing:
            data = await pipe.receive()
            if not data:
                return
            self.heard_at = trio.current_time()
            while self._take_in(data):
                data = b""
                for _ in range(self._over_limit.turns_of_others()):
                    await trio.lowlevel.checkpoint()
            del data  # or it is kept until there is more

    def _take_in(self, data: bytes) -> bool:
        """One turn of what was read; whether there is more of it."""
        wire, place, now = self.wire, self.place, trio.current_time()
        self._over_limit.begin_turn(now)
        self._more = False
        try:
            self._more = wire.receive(data, now)
        finally:
            if place.guest and wire.greeted and not self._server.places.greet(place, self._server.limits):
                self.fresh.clear()  # there was room when it came
                self.close()
            if self.fresh:
                self.start_fresh()
            self.flush()
        return self._more

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
        if not self.wire.out or (self._more and len(self.wire.out) < HELD):
            return
        if not self.unary and self._writer.taken:
            self._send_now()
        else:
            self._writer.wake()

    def soon(self) -> None:
        """See that what is in `out` is sent with all that this turn of the loop brings."""
        self._writer.wake()

    def soon_with_others(self) -> None:
        """The same, where other connections have something to send too."""
        if not self._server.flusher.add(self):
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
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def say_goodbye(self) -> None:
        """Nothing more is sent; what the peer still sends is read until it goes, since closing before would lose the last answers."""
        self._pipe.end()

    def close_soon(self) -> None:
        """End it once what is to be sent has had a moment to leave; no call runs."""
        if self.nursery is not None:
            self.nursery.cancel_scope.deadline = min(self.nursery.cancel_scope.deadline, trio.current_time() + LAST_WORDS_SECONDS)

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

    # -- what the wire tells --

    def opened(self, stream_id: int, head: CallHead, ended: bool) -> None:
        if self._over_limit.now < head.barred_until:
            id_ = _correlation_id(head.metadata) or self._server.new_correlation_id()
            self.wire.refuse(stream_id, answer_blocks.correlated(head.barred, id_), ended)
            self.wire.full = self._over_limit.refused_again()
            return
        self.wire.full = self._over_limit.begin_call()
        call = Call(stream_id, self.wire.first_window, ended, head, self, self.peer)
        call.request.verified_peer = self._verified_peer and head.forwarded is None
        if head.forwarded and self._is_proxy:
            call.request.peer = head.forwarded
        self.wire.streams[stream_id] = call
        if head.malformed or (not head.service and not head.refused and head.failure is None):
            self.wire.reset(call, Code.PROTOCOL_ERROR)
            self._spend_unauthenticated()
            return
        if head.refused:
            self.wire.headers(call, answer_blocks.http_refusal(head.refused), ended=True)
            self._spend_unauthenticated()
            return
        self.quiet_since = math.inf
        self._begin(call)

    def _begin(self, call: Call) -> None:
        """Decide on a call before anything of it is kept."""
        head, request, host = call.head, call.request, self._server
        request.correlation_id = _correlation_id(head.metadata) or host.new_correlation_id()
        token = correlation.set(request.correlation_id)
        try:
            if head.failure is not None:
                raise RpcFailedError(head.failure)
            # who may not come in does not learn what exists
            request.caller = host.admit(request)
            if request.caller is not None and not self.place.known:
                host.places.know(self.place)
            if request.caller is None:
                call.longest = host.limits.strangers_message
                if head.encoding != IDENTITY:
                    raise RpcFailedError(own_status(StatusCode.UNIMPLEMENTED, "send this call as it is (identity)", "NOT_OFFERED"))
            call.never_refused = (head.service, head.name) in host.never_refused
            full = self.running >= host.limits.streams or host.calls - host.waiting >= host.limits.calls
            if full and not call.never_refused:
                raise Overloaded("too many calls run already")
            if head.method is None:
                raise RpcFailedError(own_status(StatusCode.UNIMPLEMENTED, f"no method {head.path}", "NOT_OFFERED"))
        except Exception as error:  # noqa: BLE001 the edge: whatever was raised must not reach the client
            ending, unknown = ending_of(error, request), no_valid_token(error)
            if isinstance(error, LimitExceeded):
                self._over_limit.refused(head, error, ending, bar=not unknown and head.service not in host.always_asked)
            self.finish(call, ending)
            if request.caller is None and (isinstance(error, RpcFailedError) or unknown):
                self._spend_unauthenticated()
            return
        finally:
            correlation.reset(token)
        if head.timeout != math.inf:
            call.deadline = request.deadline = trio.current_time() + head.timeout
        self.fresh.append(call)

    def _spend_unauthenticated(self) -> None:
        """One more of what nobody pays for by a rate of theirs. Raises Broken where that is too many."""
        self.wire.spend(self._unauthenticated, trio.current_time(), "calls without a valid token")

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
            and len(payload) - HEAD <= call.longest
        ):
            call.first = payload[HEAD:]  # the whole request in one frame
        else:
            call.feed(payload, ended)

    def was_reset(self, stream: Stream, code: int) -> None:
        assert isinstance(stream, Call)
        if stream.scope is not None:
            stream.scope.cancel()
        elif stream.following is not None:
            self.let_go(stream)
        self.over(stream)

    def going_away(self, last: int, code: int, text: str) -> None:
        pass  # a client that opens no more calls

    def pong(self) -> None:
        self.pinged_at = math.inf

    def charge_refused(self, error: BaseException) -> None:
        """Where it is one too many of those that bring nothing valid, the connection ends."""
        if not no_valid_token(error) or self.wire.broken:
            return
        try:
            self._spend_unauthenticated()
        except Broken as broken:
            self._server.broken(broken)
            self.flush()
            self.close_soon()

    # -- what a call needs --

    def hold(self, cost: int) -> bool:
        self._held += cost
        self._server.held += cost
        limits = self._server.limits
        return cost <= 0 or (self._held <= limits.held_by_one and self._server.held <= limits.held_by_all)

    def took(self, call: Call, length: int) -> None:
        self.wire.took(call, length)

    def pump_soon(self, following: Following) -> None:
        if not following.due:
            following.due = True
            self._pumps.append(following)
            self._writer.wake()

    def follower_failed(self, call: Call, error: Exception) -> None:
        self.end_by(call, ending_of(error, call.request))


def no_valid_token(error: BaseException) -> bool:
    """Whether a call was refused because nobody knows who makes it."""
    return isinstance(error, Unauthenticated) or (isinstance(error, LimitExceeded) and error.what == failures.WHAT)


def _correlation_id(metadata: Metadata) -> str:
    """The client's, where it sent one and that may stand in a log line."""
    sent = [value for name, value in metadata if name == answer_blocks.CORRELATION_METADATA]
    return sent[0] if len(sent) == 1 and isinstance(sent[0], str) and fit(sent[0]) else ""
