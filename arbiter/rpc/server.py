"""The gRPC server: purerpc's services and framing, with the holes in its connection handling closed.

What purerpc 0.8 gets wrong and is repaired here (numbers as in docs/grpc.md): 1 a cancelled call reaches its handler,
2 a closed connection ends its handlers, 3 deadlines are enforced, 4 an unexpected error says nothing of ours,
5 cancellation is never swallowed, 6 the listener is ours and on loopback, 10 errors carry trailers, 12 an error
before the first message is a trailers-only answer, 13 a message that cannot be read ends its call and no other. The
names of purerpc that this leans on are guarded by a test.

Each call runs under a correlation id, the client's own where it sends one that is fit, and its trailers tell which.
"""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import anyio
import anyio.abc
import h2.exceptions
import structlog
import trio
from google.protobuf.message import DecodeError
from purerpc import Cardinality, RpcFailedError, Service
from purerpc.grpc_proto import GRPCProtoSocket, GRPCProtoStream
from purerpc.grpc_socket import SocketWrapper
from purerpc.grpclib.config import GRPCConfiguration
from purerpc.grpclib.events import Event, RequestEnded, RequestReceived, WindowUpdated
from purerpc.grpclib.exceptions import GRPCError
from purerpc.grpclib.status import Status, StatusCode

from arbiter.errors import ArbiterError, ConfigError, InvalidInput
from arbiter.rpc.server_connection import ProtocolBroken, ServerConnection, Unreadable
from arbiter.rpc.status import Trailers, status_of
from arbiter.rpc.wire import CORRELATION_METADATA, StreamReset, close_events
from arbiter.runtime.correlation import caused_by, fit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
CONNECTION_CAP = 1_000
LONGEST_DEADLINE_SECONDS = 10.0 * 365 * 86_400
"""A client's deadline further away than this is none."""
DROPS_TOLD_EACH_SECONDS = 60.0
"""Anybody on this machine can connect and send junk: so often at most it is logged."""

Admit = Callable[[str, str, Any], object]
"""Decides on a call from its service, method and metadata before anything else: returns the caller or raises ArbiterError."""

_log = structlog.get_logger(component="grpc")


class Drops:
    """Counts dropped connections and tells of them in one line a minute at most."""

    def __init__(self) -> None:
        self._count = 0
        self._quiet_until = -math.inf

    def note(self, error: BaseException) -> None:
        """One more, and why. What the peer sent is told escaped and cut."""
        self._count += 1
        now = trio.current_time()
        if now >= self._quiet_until:
            self._quiet_until = now + DROPS_TOLD_EACH_SECONDS
            problem = str(error) if isinstance(error, ProtocolBroken) else repr(error)
            _log.warning("connection dropped: the peer broke the protocol", problem=problem[:200], dropped_so_far=self._count)


class _Socket(GRPCProtoSocket):  # type: ignore[misc]  # purerpc has no types
    """A connection whose calls can be cancelled by their stream's number."""

    def __init__(self, config: GRPCConfiguration, stream: anyio.abc.SocketStream) -> None:
        super().__init__(config, stream)
        self._grpc_connection = ServerConnection(config)
        self._socket = SocketWrapper(self._grpc_connection, stream)
        self.calls: dict[int, trio.CancelScope] = {}

    async def listen(self) -> AsyncIterator[GRPCProtoStream]:
        """Each new call, until the peer is gone. Everything else goes to the call it belongs to, if that still lives."""
        while True:
            try:
                data = await self._socket.recv(self._receive_buffer_size)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            events = self._grpc_connection.receive_data(data)
            await self._socket.flush()
            for event in events:
                if isinstance(event, RequestReceived):
                    stream = self._allocate_stream(event.stream_id)
                    stream._incoming_events[0].send_nowait(event)
                    self.calls[event.stream_id] = trio.CancelScope()
                    yield stream
                else:
                    await self._pass_on(event)

    async def _pass_on(self, event: Event) -> None:
        if isinstance(event, WindowUpdated) and event.stream_id == 0:
            for stream in self._streams.values():
                await stream._set_flow_control_update()
            return
        if isinstance(event, StreamReset):
            if event.stream_id in self.calls:
                self.calls[event.stream_id].cancel()
            return
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return  # the call is over
        if isinstance(event, WindowUpdated):
            await stream._set_flow_control_update()
            return
        stream._incoming_events[0].send_nowait(event)
        if isinstance(event, RequestEnded):
            stream._close_remote()

    def forget(self, stream: GRPCProtoStream) -> None:
        """The call is over: keep nothing of it."""
        self.calls.pop(stream.stream_id, None)
        self._streams.pop(stream.stream_id, None)
        self._grpc_connection.forget(stream.stream_id)
        close_events(stream)


class Server:
    """Serves purerpc services on accepted connections. `admit` decides on every call before anything else."""

    def __init__(self, services: Iterable[Service], admit: Admit, new_correlation_id: Callable[[], str]) -> None:
        self._services = {service.name: service for service in services}
        self._admit = admit
        self._new_correlation_id = new_correlation_id
        self._config = GRPCConfiguration(client_side=False)
        self._drops = Drops()
        self.connections = 0
        self.calls = 0

    async def serve(self, listener: anyio.abc.Listener[anyio.abc.SocketStream]) -> None:
        """Accept until cancelled; then every connection and call ends with it."""
        await listener.serve(self._serve_connection)

    async def _serve_connection(self, stream: anyio.abc.SocketStream) -> None:
        """One connection. Whatever goes wrong with it ends it and touches no other."""
        if self.connections >= CONNECTION_CAP:
            await stream.aclose()
            return
        self.connections += 1
        try:
            async with stream, _Socket(self._config, stream) as socket, trio.open_nursery() as nursery:
                async for call in socket.listen():
                    nursery.start_soon(self._serve_call, socket, call)
                nursery.cancel_scope.cancel()
                await anyio.aclose_forcefully(stream)  # or the writer could wait for a peer that reads no more
        except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the peer left
        except* (ProtocolBroken, GRPCError, h2.exceptions.H2Error) as group:
            self._drops.note(_only(group))
        except* Exception as group:  # noqa: BLE001 a bug, which ends this connection alone
            _log.error("connection dropped", exc_info=_only(group))
        finally:
            self.connections -= 1

    async def _serve_call(self, socket: _Socket, stream: GRPCProtoStream) -> None:
        """One call in its own scope, which a reset, the deadline and the connection's end all cancel."""
        scope = socket.calls[stream.stream_id]
        self.calls += 1
        try:
            with scope:
                request = await stream.receive_event()
                scope.deadline = _deadline(request)
                correlation_id = self._correlation_id(request)
                with caused_by(correlation_id):
                    status, trailers = await self._outcome(request, stream, correlation_id)
                    _log.debug("call", method=_method(request), status=status.status_code.name)
            if scope.cancelled_caught:
                if trio.current_time() < scope.deadline:
                    return  # the client reset it and wants no answer
                status, trailers = Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed"), ()
            await stream.close(status, custom_metadata=(*trailers, (CORRELATION_METADATA, correlation_id)))
        except (GRPCError, h2.exceptions.H2Error, TypeError):
            pass  # the stream was closed under us; nobody is left to hear
        finally:
            self.calls -= 1
            socket.forget(stream)

    def _correlation_id(self, request: RequestReceived) -> str:
        """The client's, where it sent one and that may stand in a log line; else a new one."""
        sent = [value for name, value in request.custom_metadata if name == CORRELATION_METADATA]
        return sent[0] if len(sent) == 1 and fit(sent[0]) else self._new_correlation_id()

    async def _outcome(self, request: RequestReceived, stream: GRPCProtoStream, correlation_id: str) -> tuple[Status, Trailers]:
        """Run the call and say how it ended."""
        try:
            await self._run(request, stream)
        except h2.exceptions.H2Error:
            raise  # the stream was closed while the handler wrote to it
        except Exception as error:  # noqa: BLE001 the edge: whatever a handler raised must not reach the client
            single = _only(error)
            if isinstance(single, RpcFailedError):
                return single.status, ()
            if isinstance(single, ArbiterError) and (told := status_of(single)) is not None:
                return told
            _log.error("call failed", method=_method(request), exc_info=error)
            return Status(StatusCode.INTERNAL, f"internal error; quote {correlation_id} when you report it"), ()
        return Status(StatusCode.OK), ()

    async def _run(self, request: RequestReceived, stream: GRPCProtoStream) -> None:
        service = self._services.get(request.service_name)
        method = service.methods.get(request.method_name) if service is not None else None
        # who may not come in does not learn what exists
        request.caller = self._admit(request.service_name, request.method_name, request.custom_metadata)
        if method is None:
            raise RpcFailedError(Status(StatusCode.UNIMPLEMENTED, f"no method {request.service_name}/{request.method_name}"))
        kind, cardinality = method.signature.request_type, method.signature.cardinality
        if cardinality is Cardinality.STREAM_UNARY:
            raise RpcFailedError(Status(StatusCode.UNIMPLEMENTED, "a stream of requests with a single answer is not offered"))
        if cardinality is Cardinality.STREAM_STREAM:
            async with aclosing(self._messages(stream, kind)) as messages:
                await self._reply_each(stream, method.method_fn(messages, request=request))
            return
        message = await self._message(stream, kind)
        if cardinality is Cardinality.UNARY_UNARY:
            reply = await method.method_fn(message, request=request)
            await stream.start_response()
            await stream.send_message(reply)
        else:
            await self._reply_each(stream, method.method_fn(message, request=request))

    async def _reply_each(self, stream: GRPCProtoStream, answers: AsyncGenerator[Any, None]) -> None:
        started = False
        async with aclosing(answers) as replies:
            async for reply in replies:
                if not started:  # not before: a call that fails at once is answered with trailers alone
                    await stream.start_response()
                    started = True
                await stream.send_message(reply)

    async def _messages(self, stream: GRPCProtoStream, kind: Any) -> AsyncGenerator[Any, None]:
        """Each message of a streaming request. Raises as `_message`."""
        while not isinstance(stream.end_stream_event, RequestEnded):
            try:
                yield await self._message(stream, kind)
            except RpcFailedError:
                if isinstance(stream.end_stream_event, Unreadable):
                    raise
                return  # the client has said all

    async def _message(self, stream: GRPCProtoStream, kind: Any) -> Any:
        """The request's message. Raises what the call ends with where there is none that can be read."""
        stream.expect_message_type(kind)
        try:
            message = await stream.receive_message()
        except DecodeError:
            raise InvalidInput("request", f"its bytes are no {kind.DESCRIPTOR.full_name}") from None
        if message is None:
            ended = stream.end_stream_event
            raise RpcFailedError(
                ended.status if isinstance(ended, Unreadable) else Status(StatusCode.INTERNAL, "the request has no message")
            )
        return message


async def open_listener(host: str, port: int) -> anyio.abc.Listener[anyio.abc.SocketStream]:
    """A listener on loopback. Raises ConfigError for another host, and for a port that is taken."""
    if host not in LOOPBACK:
        raise ConfigError(f"grpc_host = {host!r} is not this machine itself", "use localhost: other addresses need TLS, which comes later")
    try:
        return await anyio.create_tcp_listener(local_host="127.0.0.1" if host == "localhost" else host, local_port=port)
    except OSError as error:
        raise ConfigError(f"port {port} for gRPC cannot be used ({error.strerror or error})", "choose another with --grpc-port") from None


def port_of(listener: anyio.abc.Listener[anyio.abc.SocketStream]) -> int:
    """The port that it listens on."""
    port: int = listener.extra(anyio.abc.SocketAttribute.local_port)
    return port


def _method(request: RequestReceived) -> str:
    return f"{request.service_name}/{request.method_name}"


def _deadline(request: Event) -> float:
    timeout = getattr(request, "timeout", None)
    seconds = timeout.total_seconds() if timeout is not None else math.inf
    return trio.current_time() + seconds if seconds < LONGEST_DEADLINE_SECONDS else math.inf


def _only(error: BaseException) -> BaseException:
    """What a handler's nursery wrapped, where it is a single error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
