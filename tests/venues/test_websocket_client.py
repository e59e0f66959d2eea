"""The client against websockets' own server protocol, over memory streams on trio's jumping clock."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from arbiter.errors import VenueUnavailable
from arbiter.venues.websocket import CLOSE_SECONDS, HANDSHAKE_SECONDS, LARGEST_MESSAGE, SEND_SECONDS, connected


class Peer:
    """The venue's end of one connection."""

    def __init__(self, stream: trio.abc.Stream, *, deflate: bool = False) -> None:
        self.stream = stream
        self.protocol = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()] if deflate else None)
        self.request: Request | None = None
        self.received: list[Frame] = []

    async def accept(self) -> None:
        while self.request is None:
            await self.receive()
        self.protocol.send_response(self.protocol.accept(self.request))
        await self.flush()

    async def receive(self) -> bool:
        """Take in what comes; False at the end."""
        data = await self.stream.receive_some()
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.request = event
            else:
                assert isinstance(event, Frame)
                self.received.append(event)
        return bool(data)

    async def flush(self) -> None:
        await self.stream.send_all(b"".join(self.protocol.data_to_send()))

    async def until_the_end(self) -> None:
        while await self.receive():
            await self.flush()


Script = Callable[[Peer], Awaitable[None]]


class PeerNetwork:
    """A `Network` at whose other end a script plays the venue."""

    def __init__(self, nursery: trio.Nursery, script: Script, *, deflate: bool = False) -> None:
        self._nursery = nursery
        self._script = script
        self._deflate = deflate
        self.peer: Peer | None = None
        self.asked: list[tuple[str, int, bool]] = []

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        self.asked.append((host, port, tls))
        ours, theirs = memory_stream_pair()
        self.peer = Peer(theirs, deflate=self._deflate)
        self._nursery.start_soon(self._play, self.peer)
        return ours

    async def _play(self, peer: Peer) -> None:
        """The script, and then the end of the connection: a client that waits for more would wait for ever."""
        with suppress(trio.BrokenResourceError, ConnectionClosed):
            await self._script(peer)
        await peer.stream.aclose()


class Heard:
    """What a client was handed."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.signs = 0

    def alive(self) -> None:
        self.signs += 1


async def listen(script: Script, url: str = "ws://venue/ws", *, deflate: bool = False, **headers: str) -> tuple[Heard, str, PeerNetwork]:
    """Connect and listen until the end; what was heard, why it ended, and the network."""
    heard = Heard()
    async with trio.open_nursery() as nursery:
        network = PeerNetwork(nursery, script, deflate=deflate)
        with pytest.raises(VenueUnavailable) as caught:
            async with connected("venue", network, url, headers) as socket:
                await socket.listen(heard.messages.append, heard.alive)
        await wait_all_tasks_blocked()  # the peer hears the end too
        nursery.cancel_scope.cancel()
    return heard, caught.value.problem, network


async def test_messages_come_whole_and_in_order_and_a_close_says_why(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.protocol.send_text(b"one")
        peer.protocol.send_binary(b"\x00two")
        peer.protocol.send_close(1001, "going away")
        await peer.flush()
        await peer.until_the_end()

    heard, problem, network = await listen(script)
    assert heard.messages == [b"one", b"\x00two"]
    assert problem == "the socket was closed (1001 going away)"
    assert network.asked == [("venue", 80, False)]


async def test_the_upgrade_carries_the_given_headers_and_the_whole_path(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()

    _, _, network = await listen(script, "wss://venue:8443/trade-api/ws/v2", KEY="value")
    assert network.asked == [("venue", 8443, True)]
    assert network.peer is not None
    assert network.peer.request is not None
    assert network.peer.request.path == "/trade-api/ws/v2"
    assert network.peer.request.headers["KEY"] == "value"


async def test_fragments_are_joined_and_control_frames_between_them_are_signs_of_life(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.protocol.send_text(b"", fin=False)
        peer.protocol.send_ping(b"heartbeat")
        peer.protocol.send_continuation(b"fragm", fin=False)
        peer.protocol.send_continuation(b"ents", fin=True)
        peer.protocol.send_text(b"next")
        await peer.flush()
        await peer.receive()

    heard, _, network = await listen(script)
    assert heard.messages == [b"fragments", b"next"]
    assert heard.signs == 1
    assert network.peer is not None
    assert [(frame.opcode, bytes(frame.data)) for frame in network.peer.received] == [(Opcode.PONG, b"heartbeat")]


async def test_a_pong_is_a_sign_of_life(autojump_clock: MockClock) -> None:
    heard = Heard()

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.until_the_end()  # the protocol answers pings by itself

    async with trio.open_nursery() as nursery:
        async with connected("venue", PeerNetwork(nursery, script), "ws://venue/") as socket:
            with trio.move_on_after(1):
                await socket.ping()
                await socket.listen(heard.messages.append, heard.alive)
        nursery.cancel_scope.cancel()
    assert (heard.signs, heard.messages) == (1, [])


async def test_any_cut_of_the_byte_stream_gives_the_same_messages(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        for number in range(20):
            peer.protocol.send_text(b"message %d" % number * (number + 1))
        for byte in b"".join(peer.protocol.data_to_send()):
            await peer.stream.send_all(bytes([byte]))
        await peer.stream.aclose()

    heard, problem, _ = await listen(script)
    assert heard.messages == [b"message %d" % number * (number + 1) for number in range(20)]
    assert problem == "the venue closed the connection"


async def test_compression_is_negotiated_over_tls_and_fragments_inflate(autojump_clock: MockClock) -> None:
    long = b'{"price":"0.52"}' * 10_000
    sent: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.protocol.send_text(long)
        peer.protocol.send_text(long[:70_000], fin=False)
        peer.protocol.send_continuation(long[70_000:], fin=True)
        data = b"".join(peer.protocol.data_to_send())
        sent.append(len(data))
        await peer.stream.send_all(data)
        await peer.stream.aclose()

    heard, _, _ = await listen(script, "wss://venue/", deflate=True)
    assert heard.messages == [long, long]
    assert sent[0] < len(long) // 10
    plain, _, _ = await listen(script, "ws://venue/", deflate=True)
    assert plain.messages == [long, long]
    assert sent[1] > 2 * len(long)


async def test_a_message_without_bound_ends_the_connection_not_the_memory(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.protocol.send_text(b"x" * (LARGEST_MESSAGE // 2), fin=False)
        peer.protocol.send_continuation(b"x" * (LARGEST_MESSAGE // 2 + 1), fin=True)
        await peer.flush()
        await peer.until_the_end()

    heard, problem, network = await listen(script)
    assert heard.messages == []
    assert "exceeds limit" in problem
    assert network.peer is not None
    assert network.peer.protocol.close_rcvd is not None
    assert network.peer.protocol.close_rcvd.code == 1009


@pytest.mark.parametrize("garbage", [b"\x83\x00", b"\xff" * 64, b"\x80\x02ab", b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"])
async def test_garbage_after_the_upgrade_ends_the_connection_as_unavailable(autojump_clock: MockClock, garbage: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.stream.send_all(garbage)
        await peer.until_the_end()

    heard, problem, _ = await listen(script)
    assert heard.messages == []
    assert problem.startswith("the socket was closed (")


async def test_a_refused_upgrade_names_the_status(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        while peer.request is None:
            await peer.receive()
        await peer.stream.send_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")

    _, problem, _ = await listen(script)
    assert "the WebSocket was refused" in problem
    assert "401" in problem


async def test_a_refusal_whose_body_ends_with_the_connection_names_the_status(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        while peer.request is None:
            await peer.receive()
        await peer.stream.send_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\nlater")
        await peer.stream.aclose()

    _, problem, _ = await listen(script)
    assert "503" in problem


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"nonsense\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
async def test_an_answer_that_is_no_upgrade_is_a_refusal(autojump_clock: MockClock, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.stream.send_all(answer)
        await peer.stream.aclose()

    _, problem, _ = await listen(script)
    assert problem.startswith("the WebSocket was refused") or problem == "the connection broke"


async def test_a_peer_that_never_answers_the_upgrade_is_given_up(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    _, problem, _ = await listen(lambda peer: peer.until_the_end())
    assert problem == f"no WebSocket within {HANDSHAKE_SECONDS:g} s"
    assert trio.current_time() - began == pytest.approx(HANDSHAKE_SECONDS)


async def test_no_route_is_unavailable(autojump_clock: MockClock) -> None:
    class Nowhere:
        async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
            raise OSError("no route to host")

    with pytest.raises(VenueUnavailable, match="no route to host"):
        async with connected("venue", Nowhere(), "ws://venue/"):
            pytest.fail("there is no connection")


async def test_leaving_the_block_says_goodbye_and_cuts_even_when_cancelled(autojump_clock: MockClock) -> None:
    ended = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        try:
            await peer.until_the_end()
        finally:  # the client may be gone before the goodbye is answered
            ended.set()

    async with trio.open_nursery() as nursery:
        network = PeerNetwork(nursery, script)
        with trio.move_on_after(1) as scope:
            async with connected("venue", network, "ws://venue/") as socket:
                await socket.listen(lambda message: None, lambda: None)
        assert scope.cancelled_caught
        await ended.wait()
    assert network.peer is not None
    assert network.peer.protocol.close_rcvd is not None
    assert network.peer.protocol.close_rcvd.code == 1000


async def test_what_a_callback_raises_ends_the_listening(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.protocol.send_text(b"bad")
        await peer.flush()

    def refuse(message: bytes) -> None:
        raise LookupError(message.decode())

    async with trio.open_nursery() as nursery:
        with pytest.raises(LookupError, match="bad"):
            async with connected("venue", PeerNetwork(nursery, script), "ws://venue/") as socket:
                await socket.listen(refuse, lambda: None)


class Jammed(trio.abc.Stream):
    """A stream whose peer stops taking anything once `jammed`; everything else passes through."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.jammed = False

    async def send_all(self, data: Any) -> None:
        if self.jammed:
            await trio.sleep_forever()
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_a_peer_that_takes_nothing_is_given_up_and_closing_does_not_hang(autojump_clock: MockClock) -> None:
    streams: list[Jammed] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.until_the_end()

    class JamNetwork(PeerNetwork):
        async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
            streams.append(Jammed(await super().connect(host, port, tls=tls)))
            return streams[0]

    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        with pytest.raises(VenueUnavailable, match="took nothing"):  # noqa: PT012 the jam begins when the socket is up
            async with connected("venue", JamNetwork(nursery, script), "ws://venue/") as socket:
                streams[0].jammed = True
                await socket.send_text(b"hello")
        assert trio.current_time() - began <= SEND_SECONDS + CLOSE_SECONDS
        nursery.cancel_scope.cancel()
