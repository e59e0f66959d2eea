"""The bytes of one connection, in clear or over TLS: read when there are some, written at once as far as the socket takes them.

trio's own streams let one task send and make it wait; here whoever has something sends it from a synchronous function, and
what the socket does not take waits in `backlog` for the connection's writer.
"""

import socket
import ssl
from contextlib import suppress
from typing import Protocol

import trio

READ = 64 * 1024
_RECORD = 16 * 1024


class Lost(Exception):
    """The peer is gone."""


class NoTls(Lost):
    """TLS with the peer did not come about, or ended, for the reason told (one of OpenSSL's, or a sentence)."""


class Pipe(Protocol):
    """What a connection needs of its bytes."""

    @property
    def backlog(self) -> int:
        """Bytes that the socket has not taken yet."""

    async def receive(self) -> bytes:
        """What came, waiting for it; empty when the peer ended. Raises Lost."""

    def send(self, data: bytes | bytearray) -> bool:
        """Send without waiting; whether nothing is left in the backlog. Raises Lost."""

    async def flushed(self) -> None:
        """Wait until the backlog is sent; a checkpoint also where there is none. Raises Lost."""

    def end(self) -> None:
        """Say that nothing more is sent. What the peer sends can still be received."""

    def close(self) -> None:
        """End it now."""


class SocketPipe:
    """In clear."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock
        self._raw = sock._sock  # type: ignore[attr-defined]  # trio's wrapper waits before it knows that it must
        self._backlog = bytearray()

    @property
    def backlog(self) -> int:
        return len(self._backlog)

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            await trio.lowlevel.wait_readable(self._raw)
            try:
                return bytes(self._raw.recv(READ))
            except BlockingIOError:  # woken for nothing
                continue
            except OSError as error:
                raise Lost(str(error)) from None

    def send(self, data: bytes | bytearray) -> bool:
        if self._backlog:
            self._backlog += data
            return False
        try:
            sent = self._raw.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise Lost(str(error)) from None
        if sent < len(data):
            self._backlog += memoryview(data)[sent:]
            return False
        return True

    async def flushed(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._backlog:
            await trio.lowlevel.wait_writable(self._raw)
            rest, self._backlog = self._backlog, bytearray()
            self.send(rest)

    def end(self) -> None:
        with suppress(OSError):  # it is gone already
            self._raw.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()


class TlsPipe:
    """Over TLS: the same, with the records made and read in memory."""

    def __init__(self, inner: SocketPipe, context: ssl.SSLContext, server_side: bool, host: str | None = None) -> None:
        self._inner = inner
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=host)

    @property
    def backlog(self) -> int:
        return self._inner.backlog

    async def handshake(self) -> str | None:
        """Agree on the keys; the protocol that was agreed on (ALPN). Raises NoTls, and Lost."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._push()
                if not await self._pull():
                    raise Lost("the peer left during the handshake") from None
            except ssl.SSLError as error:
                self._push()  # the alert that tells the peer why
                raise NoTls(_reason(error)) from None
            else:
                self._push()
                await self._inner.flushed()
                return self._tls.selected_alpn_protocol()

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self._in.pending or self._tls.pending():  # else the answer is an exception, which costs more than a record
                try:
                    return self._tls.read(READ)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return b""
                except ssl.SSLError as error:
                    raise NoTls(_reason(error)) from None
            if self._out.pending:
                self._push()  # an answer that TLS itself owes
            if not await self._pull():
                return b""

    def send(self, data: bytes | bytearray) -> bool:
        view = memoryview(data)
        try:
            for at in range(0, len(view), _RECORD):
                self._tls.write(view[at : at + _RECORD])
        except ssl.SSLError as error:
            raise NoTls(_reason(error)) from None
        return self._push()

    async def flushed(self) -> None:
        await self._inner.flushed()

    def end(self) -> None:
        self._say_goodbye()
        self._inner.end()

    def close(self) -> None:
        self._say_goodbye()
        self._inner.close()

    def _say_goodbye(self) -> None:
        with suppress(ssl.SSLError, Lost):  # want-read among them: the peer's own goodbye is not waited for
            self._tls.unwrap()
        with suppress(Lost):
            self._push()

    async def _pull(self) -> bool:
        data = await self._inner.receive()
        self._in.write(data) if data else self._in.write_eof()
        return bool(data)

    def _push(self) -> bool:
        return self._inner.send(self._out.read()) if self._out.pending else not self._inner.backlog


def _reason(error: ssl.SSLError) -> str:
    """What a verification found, or else OpenSSL's word for it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    return error.reason or "TLS failed"
