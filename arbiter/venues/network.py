"""Byte streams: real sockets, and the adapter that lets the HTTP pool use whatever `Network` was handed in."""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import trio

from arbiter.venues.base import Network

CONNECT_SECONDS = 10.0


class SocketNetwork:
    """TCP, and TLS with the machine's trust store where asked for."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """See `Network.connect`."""
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream = await self._open(host, port)
                return await self._secured(stream, host) if tls else stream
        except trio.TooSlowError:
            raise OSError(f"no connection to {host}:{port} within {CONNECT_SECONDS:g} s") from None
        except trio.BrokenResourceError as error:
            raise OSError(f"the TLS handshake with {host}:{port} failed: {error.__cause__ or error}") from error

    async def _open(self, host: str, port: int) -> trio.SocketStream:
        try:
            return await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise OSError(f"no connection to {host}:{port}: {_reason(error)}") from error

    async def _secured(self, stream: trio.SocketStream, host: str) -> trio.abc.Stream:
        secured = trio.SSLStream(stream, self._tls, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:  # cancelled ones too must not leave the socket open
            await trio.aclose_forcefully(secured)
            raise
        return secured


def _reason(error: OSError) -> str:
    """Why, in the system's words. Of several addresses that were tried, the first one's."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    found = cause if isinstance(cause, OSError) else error
    return found.strerror or str(found)


class PoolBackend(httpcore2.AsyncNetworkBackend):
    """Makes an HTTP pool dial through a `Network`."""

    def __init__(self, network: Network, *, tls: bool) -> None:
        self._network = network
        self._tls = tls

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 the pool's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _PoolStream(await self._network.connect(host, port, tls=self._tls))
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


class _PoolStream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 the pool's interface
        with _within(timeout):
            try:
                return bytes(await self._stream.receive_some(max_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpcore2.ReadError(str(error)) from error
        raise httpcore2.ReadTimeout(f"nothing within {timeout} s")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 the pool's interface
        with _within(timeout):
            try:
                await self._stream.send_all(buffer)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise httpcore2.WriteError(str(error)) from error
            return
        raise httpcore2.WriteTimeout(f"not taken within {timeout} s")

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 the pool's interface
    ) -> httpcore2.AsyncNetworkStream:
        """The network has already secured the stream; the pool asks once more for https addresses."""
        return self

    def get_extra_info(self, info: str) -> Any:
        """Only what the pool needs to see that an idle connection was closed by the other side."""
        if info != "is_readable":
            return None
        lowest = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        return isinstance(lowest, trio.SocketStream) and lowest.socket.is_readable()


def _within(seconds: float | None) -> trio.CancelScope:
    return trio.move_on_after(float("inf") if seconds is None else seconds)
