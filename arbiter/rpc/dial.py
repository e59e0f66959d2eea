"""The way to a server: a connection over TCP, with TLS where it is wanted, or through a socket file of this machine."""

import math
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from arbiter.rpc.channel import Channel
from arbiter.rpc.client_errors import not_connected
from arbiter.rpc.client_tls import explained
from arbiter.rpc.pipe import Lost, Pipe, SocketPipe, TlsPipe

CONNECT_SECONDS = 10.0


@asynccontextmanager
async def connect(host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Channel]:
    """A channel for the length of the block; with a context over TLS, and the server's name is verified. Raises NotConnected."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with trio.CancelScope(deadline=trio.current_time() + CONNECT_SECONDS) as opening:
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise not_connected(f"no Arbiter answers at {where}") from error
        with _closing(stream):
            stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            pipe: Pipe = SocketPipe(stream.socket)
            if tls is not None:
                pipe = await _secured(SocketPipe(stream.socket), tls, host, where)
            async with _served(Channel(pipe, where, secure=tls is not None)) as channel:
                refused = await channel.refused() if tls is not None else None
                opening.deadline = math.inf
                if refused is None:
                    yield channel
            if refused is not None:
                raise refused
    if opening.cancelled_caught:
        raise not_connected(f"no Arbiter answers at {where}")


@asynccontextmanager
async def connect_local(path: str) -> AsyncIterator[Channel]:
    """The same through a socket file of this machine."""
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as error:
        raise not_connected(f"no Arbiter answers at {path}") from error
    with _closing(stream):
        async with _served(Channel(SocketPipe(stream.socket), "localhost")) as channel:
            yield channel


async def _secured(plain: SocketPipe, tls: ssl.SSLContext, host: str, where: str) -> TlsPipe:
    """Raises NotConnected where the server is not whom it should be, or speaks no HTTP/2 over TLS."""
    pipe = TlsPipe(plain, tls, server_side=False, host=host)
    try:
        protocol = await pipe.handshake()
    except Lost as error:
        raise not_connected(f"no TLS with {where}: {explained(str(error))}") from None
    if protocol != "h2":
        raise not_connected(f"what answers at {where} is no gRPC server")
    return pipe


@asynccontextmanager
async def _served(channel: Channel) -> AsyncIterator[Channel]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.serve)
        yield channel
        nursery.cancel_scope.cancel()


@contextmanager
def _closing(stream: trio.SocketStream) -> Iterator[None]:
    try:
        yield
    finally:
        stream.socket.close()
