"""A WebSocket client: websockets' sans-I/O protocol on a trio stream, without a task or a channel in between.

`listen` hands each message to a plain function the moment it is decoded, so a frame costs no task switch. It finds the
frames' borders itself: a whole text message, which nearly all are, needs nothing more or is only inflated (10 us instead of
22 through the protocol, for 600 bytes), and everything else goes through the protocol frame by frame.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from arbiter.errors import VenueUnavailable
from arbiter.venues.base import Network
from arbiter.venues.limiter import retry_after
from arbiter.venues.refusals import read_refusal
from arbiter.venues.tally import BadInput, Tally

HANDSHAKE_SECONDS = 10.0
SEND_SECONDS = 10.0
"""A peer that takes nothing for this long is gone, whatever its socket says."""
CLOSE_SECONDS = 1.0
LARGEST_MESSAGE = 16 * 1024 * 1024
"""Of one message, over all its fragments and inflated."""
CHUNK = 16_384
"""Read at once. What is in one chunk is handled without a pause, so this is how long a flooded socket keeps the others waiting."""
_WHOLE_TEXT = 0x81
"""The first byte of an unfragmented, uncompressed text message (RFC 6455, section 5.2)."""
_WHOLE_DEFLATED = 0xC1
"""The same compressed (RFC 7692, section 6)."""
_MASKED = 0x80
_HEAD_END = b"\r\n\r\n"
_SHOWN = 200


class WebSocket:
    """One open connection. Made by `connected`."""

    def __init__(
        self, venue: str, protocol: ClientProtocol, stream: trio.abc.Stream, tally: Tally | None = None, largest: int = LARGEST_MESSAGE
    ) -> None:
        self._venue = venue
        self._protocol = protocol
        self._stream = stream
        self._tally = tally
        self._largest = largest
        self._sending = trio.Lock()
        self._fragments: bytearray | None = None
        """What has come of a message in fragments. One piece, as a peer may send a million empty ones."""
        self._rest = bytearray()
        """The beginning of a frame whose end has not come."""
        self._wanted = 0
        """It need not be looked at again before it has this many bytes."""
        self._involved = True
        """The protocol saw something since the last look: it may have an answer, or know of the end."""
        self._in_head = True
        """The answer to the upgrade is not at the end of its head yet."""

    async def send_text(self, text: bytes) -> None:
        """Send one text message. Raises VenueUnavailable when the connection is gone."""
        self._require_open()
        self._protocol.send_text(text)
        await self._flush()

    async def ping(self) -> None:
        """Send a protocol ping; its pong is proof of life. Raises VenueUnavailable when the connection is gone."""
        self._require_open()
        self._protocol.send_ping(b"")
        await self._flush()

    def _require_open(self) -> None:
        if self._protocol.state is not State.OPEN:
            raise VenueUnavailable(self._venue, f"the socket was closed ({_why(self._protocol)})")

    async def listen(self, on_message: Callable[[bytes], None], on_alive: Callable[[], None]) -> None:
        """Hand over messages (text or binary, whole) and signs of life (ping, pong) until the connection ends.

        Always ends with VenueUnavailable, or with what a callback raised.
        """
        data = b""  # what came with the handshake may be whole frames already
        while True:
            self._take(data, on_message, on_alive)
            if self._involved:
                self._involved = False
                await self._flush()
                self._count_failure()
                self._require_open()
            data = await self._receive()
            if not data:
                self._count_half()
                raise VenueUnavailable(self._venue, "the venue closed the connection")

    def _count_failure(self) -> None:
        """What the protocol found wrong with the peer's data, if it did."""
        wrong = self._protocol.parser_exc
        if wrong is not None and not isinstance(wrong, EOFError):
            self._count(BadInput.LARGE_MESSAGE if isinstance(wrong, PayloadTooBig) else BadInput.BROKEN_FRAMES, str(wrong))

    def _count_half(self) -> None:
        """The end came within a frame, or between the fragments of a message."""
        if self._rest or self._fragments is not None:
            self._count(BadInput.HALF_FRAME, f"{len(self._rest) + len(self._fragments or b'')} bytes of a message that did not end")

    def _count(self, kind: BadInput, problem: str) -> None:
        if self._tally is not None:
            self._tally.count(kind, problem)

    # -- one frame, one chunk --

    def _take(self, data: bytes, on_message: Callable[[bytes], None], on_alive: Callable[[], None]) -> None:
        """Handle every frame that is complete with this chunk and keep the rest. Nothing counts after the peer's close frame."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data, self._rest = bytes(self._rest), bytearray()
        start, size, largest = 0, len(data), self._largest
        self._wanted = 0
        while size - start >= 2:
            length = data[start + 1]
            if length == 126 and size - start >= 4:  # what nearly all have, without a call
                begin = start + 4
                end = begin + (data[start + 2] << 8 | data[start + 3])
            else:
                begin, end = _extent(data, start)
            fits = end - begin <= largest
            if end > size:
                if fits:
                    self._wanted = end - start
                    break
                end = size  # the protocol shall say that it is too big
            first = data[start]
            if first == _WHOLE_TEXT and length < _MASKED and self._fragments is None and fits:
                on_message(data[begin:end])
            elif first == _WHOLE_DEFLATED and length < _MASKED and self._fragments is None and fits and self._protocol.extensions:
                inflated = self._inflate(data[begin:end])
                if inflated is None:
                    return
                on_message(inflated)
            else:
                self._through_protocol(data[start:end], on_message, on_alive)
                if self._protocol.state is not State.OPEN:
                    return
            start = end
        self._rest += data[start:]

    def _inflate(self, payload: bytes) -> bytes | None:
        """By the same extension that the protocol uses: its memory of what came before is one. None where the connection fails by it."""
        try:
            frame = self._protocol.extensions[0].decode(Frame(Opcode.TEXT, payload, True, True), max_size=self._largest)
        except (PayloadTooBig, ProtocolError) as error:
            large = isinstance(error, PayloadTooBig)
            self._count(BadInput.LARGE_MESSAGE if large else BadInput.BROKEN_FRAMES, str(error))
            self._protocol.fail(CloseCode.MESSAGE_TOO_BIG if large else CloseCode.PROTOCOL_ERROR, str(error))
            self._involved = True
            return None
        return frame.data if type(frame.data) is bytes else bytes(frame.data)

    def _through_protocol(self, frame: bytes, on_message: Callable[[bytes], None], on_alive: Callable[[], None]) -> None:
        self._involved = True
        self._protocol.receive_data(frame)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._dispatch(event, on_message, on_alive)

    def _dispatch(self, frame: Frame, on_message: Callable[[bytes], None], on_alive: Callable[[], None]) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY or opcode is Opcode.CONT:
            if frame.fin and self._fragments is None:
                on_message(frame.data if type(frame.data) is bytes else bytes(frame.data))
                return
            self._fragments = self._fragments or bytearray()
            self._fragments += frame.data
            if frame.fin:
                whole, self._fragments = bytes(self._fragments), None
                on_message(whole)
        elif opcode is not Opcode.CLOSE:
            on_alive()

    async def _receive(self) -> bytes:
        """Empty at the end."""
        try:
            return bytes(await self._stream.receive_some(CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise VenueUnavailable(self._venue, "the connection broke") from error

    async def _flush(self) -> None:
        """Send what the protocol has to say. Taken and queued without a pause between, so that frames keep their order."""
        out = b"".join(self._protocol.data_to_send())
        if not out:
            return
        with trio.move_on_after(SEND_SECONDS):
            async with self._sending:
                try:
                    await self._stream.send_all(out)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    raise VenueUnavailable(self._venue, "the connection broke") from error
            return
        raise VenueUnavailable(self._venue, f"the venue took nothing for {SEND_SECONDS:g} s")

    # -- the beginning and the end --

    async def handshake(self, headers: Mapping[str, str]) -> None:
        """The upgrade. Raises VenueUnavailable when it is refused or does not come about; who calls it sets the deadline."""
        request = self._protocol.connect()
        for name, value in headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        await self._flush()
        while self._protocol.state is State.CONNECTING and self._protocol.handshake_exc is None:
            data = await self._receive()
            if data:
                self._take_head(data)
            else:
                self._protocol.receive_eof()  # a refusal's body may end with the connection
                break
        if self._protocol.state is not State.OPEN:
            raise self._refused(self._protocol.handshake_exc)

    def _refused(self, error: Exception | None) -> VenueUnavailable:
        """What the peer answered instead of an upgrade: named, not shown. Its code is the venue's or the status."""
        problem, code, wish = str(error or "the venue closed the connection")[:_SHOWN], "", None
        if isinstance(error, InvalidStatus):
            answer = error.response
            refusal = read_refusal(bytes(answer.body or b""))
            wish = retry_after({name.lower(): value for name, value in answer.headers.raw_items()})
            problem, code = f"HTTP {answer.status_code}: {refusal.text}", refusal.code or str(answer.status_code)
        self._count(BadInput.NO_UPGRADE, problem)
        return VenueUnavailable(self._venue, f"the WebSocket was refused: {problem}", None if wish is None else round(wish * 1000), code)

    def _take_head(self, data: bytes) -> None:
        """The protocol gets the answer's head alone, and the rest only where that was a refusal."""
        if self._in_head:
            seen = bytes(self._rest + data)
            end = seen.find(_HEAD_END)
            self._in_head = end < 0
            cut = max(0, len(seen) - len(_HEAD_END)) if end < 0 else end + len(_HEAD_END)
            self._protocol.receive_data(seen[:cut])
            data, self._rest = b"", bytearray(seen[cut:])
        if self._protocol.state is State.CONNECTING and not self._in_head:
            self._protocol.receive_data(bytes(self._rest) + data)
            self._rest.clear()

    async def close(self) -> None:
        """Say goodbye if that takes no long, then cut."""
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            with suppress(VenueUnavailable):
                if self._protocol.state is State.OPEN:
                    self._protocol.send_close(1000)
                await self._flush()
        await trio.aclose_forcefully(self._stream)


@asynccontextmanager
async def connected(
    venue: str,
    network: Network,
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    tally: Tally | None = None,
    largest: int = LARGEST_MESSAGE,
) -> AsyncIterator[WebSocket]:
    """An open WebSocket for the length of the block. Raises VenueUnavailable. What the peer sends amiss is counted in the tally.

    Compression is offered over TLS only: where there is none the peer is this machine, and it would only cost time.
    """
    uri = parse_uri(url)
    extensions: list[Any] | None = [ClientPerMessageDeflateFactory()] if uri.secure else None
    socket: WebSocket | None = None
    try:
        with trio.move_on_after(HANDSHAKE_SECONDS) as deadline:
            stream = await _connect(venue, network, uri)
            socket = WebSocket(venue, ClientProtocol(uri, extensions=extensions, max_size=largest), stream, tally, largest)
            await socket.handshake(headers or {})
        if deadline.cancelled_caught or socket is None:
            if tally is not None and socket is not None:
                tally.count(BadInput.SLOW_UPGRADE, f"no answer to the upgrade within {HANDSHAKE_SECONDS:g} s")
            raise VenueUnavailable(venue, f"no WebSocket within {HANDSHAKE_SECONDS:g} s")
        yield socket
    finally:
        if socket is not None:
            await socket.close()


async def _connect(venue: str, network: Network, uri: WebSocketURI) -> trio.abc.Stream:
    try:
        return await network.connect(uri.host, uri.port, tls=uri.secure)
    except OSError as error:
        raise VenueUnavailable(venue, str(error)) from error


def _extent(data: bytes, start: int) -> tuple[int, int]:
    """Where the payload of the frame at `start` begins and ends. Beyond the data, if not yet exactly, where its head is not complete."""
    length, begin = data[start + 1] & ~_MASKED, start + 2
    if length >= 126:
        begin += 2 if length == 126 else 8
        length = int.from_bytes(data[start + 2 : begin], "big")
    return begin, begin + length


def _why(protocol: ClientProtocol) -> str:
    """What is known of the end: the peer's close frame, or what was wrong with its data."""
    if protocol.close_rcvd is not None:
        return f"{protocol.close_rcvd.code} {protocol.close_rcvd.reason}".rstrip()
    return str(protocol.parser_exc) if protocol.parser_exc is not None else "no reason given"
