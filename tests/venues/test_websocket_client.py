"""The client against websockets' own server protocol, over memory streams on trio's jumping clock."""

import itertools
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from arbiter.errors import VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.reconnecting import Backoff, keep_connected
from arbiter.venues.tally import BadInput, Tally
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


# -- bad input, counted by its kind --


def frame(first: int, payload: bytes) -> bytes:
    """A server's frame, of any kind."""
    length = bytes((len(payload),)) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes((first,)) + length + payload


async def counted(script: Script, *, deflate: bool = False, largest: int = LARGEST_MESSAGE) -> tuple[Tally, str, list[bytes]]:
    tally, heard = Tally("venue", Environment.simulated(1)), Heard()
    async with trio.open_nursery() as nursery:
        network = PeerNetwork(nursery, script, deflate=deflate)
        with pytest.raises(VenueUnavailable) as caught:
            async with connected("venue", network, "wss://venue/" if deflate else "ws://venue/", tally=tally, largest=largest) as socket:
                await socket.listen(heard.messages.append, heard.alive)
        nursery.cancel_scope.cancel()
    return tally, caught.value.problem, heard.messages


def sends(data: bytes, *, then_waits: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.stream.send_all(data)
        if then_waits:
            await peer.until_the_end()

    return script


def answers(data: bytes, pause: float = 0.0) -> Script:
    """To the upgrade, at once or byte by byte."""

    async def script(peer: Peer) -> None:
        await peer.stream.receive_some()
        if not pause:
            await peer.stream.send_all(data)
            return
        for start in range(len(data)):
            await trio.sleep(pause)
            await peer.stream.send_all(data[start : start + 1])

    return script


HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 45\r\n\r\n<html><title>Sign in</title>do not show this!"
BUSY = b'HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\nContent-Length: 29\r\n\r\n{"error":"too many requests"}'


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answers(HTML), BadInput.NO_UPGRADE),
        (answers(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), BadInput.NO_UPGRADE),
        (answers(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 10_000), BadInput.NO_UPGRADE),
        (answers(b"HTTP/1.1 101 Switching Protocols\r\n" * 100, pause=1), BadInput.SLOW_UPGRADE),
        (sends(b"\xff\xff\xff\xff\xff\xff", then_waits=True), BadInput.BROKEN_FRAMES),
        (sends(frame(0x80, b"a continuation of nothing"), then_waits=True), BadInput.BROKEN_FRAMES),
        (sends(frame(0x81, b"x" * 2000), then_waits=True), BadInput.LARGE_MESSAGE),
        (sends(frame(0x01, b"x" * 700) + frame(0x00, b"x" * 700), then_waits=True), BadInput.LARGE_MESSAGE),
        (sends(b"\x81\x7f" + (1 << 62).to_bytes(8, "big"), then_waits=True), BadInput.LARGE_MESSAGE),
        (sends(frame(0x81, b"half of it")[:-3]), BadInput.HALF_FRAME),
        (sends(frame(0x01, b"a fragment")), BadInput.HALF_FRAME),
    ],
)
async def test_what_a_peer_sends_amiss_ends_the_connection_and_is_counted_once_by_its_kind(autojump_clock, script, kind) -> None:
    tally, problem, messages = await counted(script, largest=1000)
    assert {each: count for each, count in tally.bad.items() if count} == {kind: 1}
    assert messages == []
    assert "do not show" not in problem


async def test_a_page_instead_of_an_upgrade_is_named_by_its_title(autojump_clock: MockClock) -> None:
    _, problem, _ = await counted(answers(HTML))
    assert problem == "the WebSocket was refused: HTTP 200: a page titled 'Sign in'"


async def test_a_refusal_that_says_when_to_come_back_is_told(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(VenueUnavailable, match="429: too many requests") as caught:
            async with connected("venue", PeerNetwork(nursery, answers(BUSY)), "ws://venue/"):
                pytest.fail("there is no connection")
    assert (caught.value.retry_after_ms, caught.value.code) == (9000, "429")


async def test_a_message_of_five_megabytes_is_fine_and_compressed_ones_come_in_order(autojump_clock: MockClock) -> None:
    large = bytes(range(256)) * 20_000

    async def script(peer: Peer) -> None:
        await peer.accept()
        for text in (b"small", large, b"small again", b"", large[:70_000]):
            peer.protocol.send_text(text)
            await peer.flush()
        peer.protocol.send_text(b"in ", fin=False)
        peer.protocol.send_continuation(b"pieces", fin=True)
        peer.protocol.send_text(b"last")
        await peer.flush()

    for deflate in (False, True):
        _, _, messages = await counted(script, deflate=deflate)
        assert messages == [b"small", large, b"small again", b"", large[:70_000], b"in pieces", b"last"]


async def test_a_compressed_message_that_inflates_without_end_is_cut_off(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.protocol.send_text(bytes(50_000_000))
        await peer.flush()
        await peer.until_the_end()

    tally, problem, messages = await counted(script, deflate=True, largest=1_000_000)
    assert tally.bad[BadInput.LARGE_MESSAGE] == 1
    assert "1009" in problem or "closed" in problem
    assert messages == []


async def test_compressed_garbage_ends_the_connection(autojump_clock: MockClock) -> None:
    tally, _, messages = await counted(sends(frame(0xC1, b"\xff" * 50), then_waits=True), deflate=True)
    assert tally.bad[BadInput.BROKEN_FRAMES] == 1
    assert messages == []


async def test_a_frame_that_claims_to_be_compressed_without_being_asked_for_ends_the_connection(autojump_clock: MockClock) -> None:
    tally, _, _ = await counted(sends(frame(0xC1, b"x"), then_waits=True))
    assert tally.bad[BadInput.BROKEN_FRAMES] == 1


async def test_fragments_without_content_and_without_end_cost_no_memory(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.stream.send_all(frame(0x01, b""))
        for _ in range(40):
            await peer.stream.send_all(frame(0x00, b"") * 500)
            await trio.sleep(1)
        await peer.stream.send_all(frame(0x80, b"!"))

    def grown() -> int:
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = grown()
        _, _, messages = await counted(script)
        assert grown() - before < 100_000
    finally:
        tracemalloc.stop()
    assert messages == [b"!"]


async def test_an_hour_of_peers_that_talk_nonsense_costs_no_memory_and_one_word_a_minute_and_kind(autojump_clock: MockClock) -> None:
    """More than a thousand connections, each with another kind of nonsense, beside a peer that is well and is not kept waiting."""
    kinds = [
        answers(HTML),
        sends(b"\xff" * 40, then_waits=True),
        sends(frame(0x81, b"half of it")[:-3]),
        sends(frame(0x81, b"x" * 2000), then_waits=True),
        sends(frame(0x81, b"not JSON") * 50, then_waits=True),
    ]
    environment = Environment.simulated(1)
    tally = Tally("venue", environment)
    late: list[float] = []

    def reject(message: bytes) -> None:
        tally.malformed(message, "not JSON")
        raise VenueUnavailable("venue", "a malformed frame")

    async def bad(nursery: trio.Nursery, rounds: Iterator[int]) -> None:
        network = PeerNetwork(nursery, kinds[next(rounds) % len(kinds)])
        async with connected("venue", network, "ws://venue/", tally=tally, largest=1000) as socket:
            await socket.listen(reject, lambda: None)

    async def well() -> None:
        while True:
            due = trio.current_time() + 1
            await trio.sleep_until(due)
            late.append(trio.current_time() - due)
            del late[:-100]

    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            rounds = itertools.count()
            backoff = Backoff(environment.random, longest=4.0)
            nursery.start_soon(well)
            nursery.start_soon(
                lambda: keep_connected(lambda: bad(nursery, rounds), lambda why: None, environment, venue="venue", backoff=backoff)
            )
            await trio.sleep(300)
            logs.clear()
            tracemalloc.start()
            try:
                await trio.sleep(60)
                before = tracemalloc.get_traced_memory()[0]
                await trio.sleep(3600)
                grown = tracemalloc.get_traced_memory()[0] - before - sum(map(sys.getsizeof, logs)) * 4
            finally:
                tracemalloc.stop()
            nursery.cancel_scope.cancel()
    assert min(tally.bad[kind] for kind in (BadInput.NO_UPGRADE, BadInput.BROKEN_FRAMES, BadInput.HALF_FRAME)) > 150
    assert min(tally.bad[kind] for kind in (BadInput.LARGE_MESSAGE, BadInput.MALFORMED_FRAME)) > 150
    assert grown < 300_000
    assert len(logs) <= 6 * 62
    assert max(late) < 0.1
