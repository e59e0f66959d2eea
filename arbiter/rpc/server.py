"""The gRPC server: purerpc's services on a connection engine of our own (docs/grpc.md says what that repairs).

It listens, keeps the limits of connections, looks after all of them once a second, and stops with grace. What a connection
does is in `server_connection.py`, what a call does in `call.py`, the protocol in `wire.py`.
"""

import math
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager

import structlog
import trio
from purerpc import Service
from purerpc.grpclib.status import StatusCode

from arbiter.rpc.call_head import CallHead, methods_of, read_head
from arbiter.rpc.call_runner import only
from arbiter.rpc.client_address import is_loopback
from arbiter.rpc.flusher import Flusher
from arbiter.rpc.header_blocks import Headers
from arbiter.rpc.housekeeping import look_after
from arbiter.rpc.listener import peer_of
from arbiter.rpc.pipe import Lost, NoTls, Pipe, SocketPipe, TlsPipe
from arbiter.rpc.places import Place, Places
from arbiter.rpc.proxies import Proxies
from arbiter.rpc.request import Request
from arbiter.rpc.server_connection import ServerConnection
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.status import own_status
from arbiter.rpc.tls import ServerTls
from arbiter.rpc.wire import Broken

Admit = Callable[[Request], object]
"""Decides on a call before anything else: returns the caller or raises ArbiterError."""

DROPS_TOLD_EACH_SECONDS = 60.0
"""Anybody on this machine can connect and send junk: so often at most it is logged."""
NO_DESCRIPTORS_SECONDS = 0.1
"""After an accept that found no room for another socket."""
LOOK_SECONDS = 1.0
LATE_SECONDS = 0.1
LAST_ANSWERS_SECONDS = 0.2
"""For the endings of calls that were cut off by a stop to leave."""
STOPPING = own_status(StatusCode.UNAVAILABLE, "Arbiter is stopping", "STOPPING")

_log = structlog.get_logger(component="grpc")


class Drops:
    """Counts dropped connections and tells of them in one line a minute at most."""

    def __init__(self) -> None:
        self._count = 0
        self._quiet_until = -math.inf

    def note(self, problem: str) -> None:
        """One more, and why. What the peer sent is told escaped and cut."""
        self._count += 1
        now = trio.current_time()
        if now >= self._quiet_until:
            self._quiet_until = now + DROPS_TOLD_EACH_SECONDS
            _log.warning("connection dropped: the peer broke the protocol", problem=problem[:200], dropped_so_far=self._count)


class Server:
    """Serves purerpc services on accepted connections. `admit` decides on every call before anything else."""

    def __init__(
        self,
        services: Iterable[Service],
        admit: Admit,
        new_correlation_id: Callable[[], str],
        *,
        admit_again: Admit | None = None,
        charge: Callable[[Request, int], None] = lambda _request, _size: None,
        never_refused: Container[tuple[str, str]] = (),
        always_asked: Container[str] = (),
        limits: ServerLimits | None = None,
        tls: ServerTls | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        """`tls` is for connections over the network; those through a socket file are in clear."""
        self._methods = methods_of({service.name: service for service in services})
        self.admit = admit
        self.admit_again = admit_again or (lambda request: request.caller)
        self.charge = charge
        self.never_refused = never_refused
        self.always_asked = always_asked
        self.new_correlation_id = new_correlation_id
        self.limits = limits or ServerLimits()
        self._tls = tls
        self.proxies = proxies or Proxies()
        self.flusher = Flusher()
        self._drops = Drops()
        self._connections: set[ServerConnection] = set()
        self.places = Places()
        self.calls = 0
        self.waiting = 0
        self.strangers = 0
        self.held = 0
        self.late = 0.0
        """By how much the last measurement came too late, in seconds: the program has more to do than it can."""
        self._not_yet: set[trio.CancelScope] = set()
        """Of accepting, and of connections that TLS does not run on yet: a stop waits for none of them."""
        self._stopping = False

    @property
    def connections(self) -> int:
        """How many there are, with those that are about to be."""
        return len(self.places)

    # -- what a connection needs --

    def read_head(self, headers: Headers) -> CallHead:
        return read_head(headers, self._methods)

    def broken(self, error: Exception) -> None:
        self._drops.note(str(error) if isinstance(error, Broken) else repr(error))

    # -- its life --

    async def serve(self, *listeners: trio.SocketListener) -> None:
        """Accept until cancelled or stopped; when cancelled, every connection and call ends with it."""
        self._stopping = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_after)
            nursery.start_soon(self._measure)
            nursery.start_soon(self.flusher.run)
            with trio.CancelScope() as scope, self._until_stop(scope):
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener.socket, nursery)
            while self.places:  # noqa: ASYNC110 `stop` ends them; there is no hurry
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    async def stop(self, grace: float) -> None:
        """Take no new connection and no new call, let those that run finish, and end what is left after `grace` seconds."""
        self._stopping = True
        for scope in tuple(self._not_yet):
            scope.cancel()
        for connection in tuple(self._connections):
            connection.go_away()
            connection.end_feeds(STOPPING)
        with trio.move_on_after(grace):
            while self.calls:  # noqa: ASYNC110 as above
                await trio.sleep(0.005)
        for connection in tuple(self._connections):
            connection.end_calls(STOPPING)
        with trio.move_on_after(LAST_ANSWERS_SECONDS):
            while self.calls or any(connection.wire.out for connection in self._connections):  # noqa: ASYNC110
                await trio.sleep(0.005)
        for connection in tuple(self._connections):
            connection.say_goodbye()
        with trio.move_on_after(LAST_ANSWERS_SECONDS):
            while self._connections:  # noqa: ASYNC110
                await trio.sleep(0.005)
        for connection in tuple(self._connections):
            connection.close()

    async def _accept(self, sock: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            try:
                accepted, address = await sock.accept()
            except OSError as error:
                _log.warning("no connection can be accepted", problem=error.strerror or str(error))
                await trio.sleep(NO_DESCRIPTORS_SECONDS)
                continue
            peer = peer_of(accepted, address)
            place = self.places.take(peer, self.limits)
            if place is None:
                accepted.close()
                continue
            nursery.start_soon(self._serve_connection, accepted, peer, place)

    async def _serve_connection(self, sock: trio.socket.SocketType, peer: str, place: Place) -> None:
        """One connection. Whatever goes wrong with it ends it and touches no other."""
        try:
            with place.scope, sock:
                local = sock.family == trio.socket.AF_UNIX
                if not local:
                    sock.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
                tls = None if local else self._tls
                pipe = SocketPipe(sock) if tls is None else await self._secured(sock, tls, place.since)
                verified = local or is_loopback(peer) or (tls is not None and tls.mutual)
                connection = ServerConnection(self, pipe, peer, verified_peer=verified, place=place)
                self._connections.add(connection)
                try:
                    if self._stopping:
                        connection.go_away()
                    await connection.serve()
                finally:
                    self._connections.discard(connection)
        except* NoTls as group:
            self._drops.note(f"TLS: {only(group)}")
        except* (Lost, OSError):
            pass  # the peer left
        except* Exception as group:  # noqa: BLE001 a bug, which ends this connection alone
            _log.error("connection dropped", exc_info=only(group))
        finally:
            self.places.give_back(place)

    async def _secured(self, sock: trio.socket.SocketType, tls: ServerTls, since: float) -> Pipe:
        """The connection's bytes over TLS. Raises NoTls where it does not come about in time."""
        with trio.move_on_at(since + self.limits.handshake_seconds) as scope, self._until_stop(scope):
            pipe = TlsPipe(SocketPipe(sock), await tls.context(), server_side=True)
            if await pipe.handshake() == "h2":
                return pipe
            raise NoTls("the client does not speak HTTP/2")
        raise Lost("stopping") if self._stopping else NoTls("no handshake in time")

    @contextmanager
    def _until_stop(self, scope: trio.CancelScope) -> Iterator[None]:
        """A stop cancels the scope."""
        self._not_yet.add(scope)
        try:
            yield
        finally:
            self._not_yet.discard(scope)

    @property
    def overloaded(self) -> bool:
        """Whether the program is so far behind that a call begun now would be answered too late."""
        return self.late >= self.limits.overloaded_seconds

    async def _measure(self) -> None:
        """How late the program is: once a second, and more often while it is."""
        while True:
            due = trio.current_time() + (LATE_SECONDS if self.late > LATE_SECONDS else LOOK_SECONDS)
            await trio.sleep_until(due)
            self.late = trio.current_time() - due

    async def _look_after(self) -> None:
        """All connections, once a second; what goes wrong with one touches no other."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            now = trio.current_time()
            for connection in tuple(self._connections):
                try:
                    look_after(connection, now, self.limits)
                except Exception:  # noqa: BLE001
                    _log.exception("connection dropped")
                    connection.close()
