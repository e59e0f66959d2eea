"""A WebSocket client: websockets' sans-I/O protocol on a trio stream, without a task or a channel in between.

`listen` hands each message to a plain function the moment it is decoded, so a frame costs no task switch.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Network

HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 1.0
LARGEST_MESSAGE = 16 * 1024 * 1024
CHUNK = 65_536


class WebSocket:
    """One open connection. Made by `connected`."""

    def __init__(self, venue: str, protocol: ClientProtocol, stream: trio.abc.Stream) -> None:
        self._venue = venue
        self._protocol = protocol
        self._stream = stream
        self._sending = trio.Lock()
        self._parts: list[bytes] = []

    async def send_text(self, text: bytes) -> None:
        """Send one text message. Raises VenueUnavailable when the connection is gone."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text)
        await self._flush()

    async def ping(self) -> None:
        """Send a protocol ping; its pong is proof of life."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
        await self._flush()

    async def listen(self, on_message: Callable[[bytes], None], on_alive: Callable[[], None]) -> None:
        """Hand over messages (text or binary, whole) and signs of life (ping, pong) until the connection ends.

        Always ends with VenueUnavailable, or with what a callback raised.
        """
        protocol = self._protocol
        while True:
            for event in protocol.events_received():
                if isinstance(event, Frame):
                    self._dispatch(event, on_message, on_alive)
            if protocol.state is not State.OPEN:
                raise VenueUnavailable(self._venue, f"the socket was closed ({_why(protocol)})")
            protocol.receive_data(await self._receive())
            await self._flush()

    def _dispatch(self, frame: Frame, on_message: Callable[[bytes], None], on_alive: Callable[[], None]) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY or opcode is Opcode.CONT:
            if frame.fin and not self._parts:
                on_message(frame.data if type(frame.data) is bytes else bytes(frame.data))
                return
            self._parts.append(bytes(frame.data))
            if frame.fin:
                whole, self._parts = b"".join(self._parts), []
                on_message(whole)
        elif opcode is not Opcode.CLOSE:
            on_alive()

    async def _receive(self) -> bytes:
        try:
            data = await self._stream.receive_some(CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise VenueUnavailable(self._venue, "the connection broke") from error
        if not data:
            raise VenueUnavailable(self._venue, "the venue closed the connection")
        return bytes(data)

    async def _flush(self) -> None:
        async with self._sending:
            out = b"".join(self._protocol.data_to_send())
            if out:
                try:
                    await self._stream.send_all(out)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise VenueUnavailable(self._venue, "the connection broke") from error

    async def handshake(self, headers: Mapping[str, str]) -> None:
        """The upgrade. Raises VenueUnavailable when it is refused or does not happen."""
        request = self._protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        with trio.move_on_after(HANDSHAKE_SECONDS):
            await self._flush()
            while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
                self._protocol.receive_data(await self._receive())
            self._require_open()
            return
        raise VenueUnavailable(self._venue, f"no WebSocket within {HANDSHAKE_SECONDS:g} s")

    def _require_open(self) -> None:
        error = self._protocol.handshake_exc
        if error is not None:
            raise VenueUnavailable(self._venue, f"the WebSocket was refused: {error}") from error

    async def close(self) -> None:
        """Say goodbye if that takes no long, then cut."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            try:
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(1000)
                await self._flush()
            except (VenueUnavailable, WebSocketException):
                pass
        await trio.aclose_forcefully(self._stream)


@asynccontextmanager
async def connected(venue: str, network: Network, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[WebSocket]:
    """An open WebSocket for the length of the block. Raises VenueUnavailable. Compression is offered over TLS only."""
    uri = parse_uri(url)
    extensions: list[Any] | None = [ClientPerMessageDeflateFactory()] if uri.secure else None
    try:
        stream = await network.connect(uri.host, uri.port, tls=uri.secure)
    except OSError as error:
        raise VenueUnavailable(venue, str(error)) from error
    socket = WebSocket(venue, ClientProtocol(uri, extensions=extensions, max_size=LARGEST_MESSAGE), stream)
    try:
        await socket.handshake(headers or {})
        yield socket
    finally:
        await socket.close()


def _why(protocol: ClientProtocol) -> str:
    error = protocol.close_exc
    return str(error) if error is not None else "no reason given"
