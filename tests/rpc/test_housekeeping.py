"""Who says nothing, reads nothing or never finishes: what becomes of it and when, on a clock that jumps."""

import pytest
import trio
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.rpc import frames
from arbiter.rpc.frames import frame
from arbiter.rpc.messages import framed
from arbiter.rpc.server import Server
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.memory_server import connected, looked_after
from tests.rpc.wires import headers

UNARY, STREAM, CHAT = "test.Service/Unary", "test.Service/Stream", "test.Service/Chat"
HELLO = AuthRequest(api_key="hello")
OK, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED = 0, 8, 4


@pytest.fixture
async def server():
    """It answers; streams say one thing and wait, unless `api_key` is a number: then so many kilobytes."""

    async def unary(message, request):
        return AuthResponse(user_id="x" * 1000 * int(message.api_key) if message.api_key.isdigit() else message.api_key)

    async def stream(message, request):
        for _ in range(int(message.api_key) if message.api_key.isdigit() else 1):
            yield AuthResponse(user_id="x" * 1000)
        await trio.sleep_forever()

    async def chat(messages, request):
        async for message in messages:
            yield AuthResponse(user_id=message.api_key)

    service = Service("test.Service")
    for name, method, cardinality in (
        ("Unary", unary, Cardinality.UNARY_UNARY),
        ("Stream", stream, Cardinality.UNARY_STREAM),
        ("Chat", chat, Cardinality.STREAM_STREAM),
    ):
        service.add_method(name, method, RPCSignature(cardinality, AuthRequest, AuthResponse))
    async with looked_after(Server([service], lambda *_: "somebody", lambda: "id")) as server:
        yield server
    assert (server.calls, server.held, server.connections) == (0, 0, 0)


async def drip(peer, data, seconds=0.9):
    for at in range(len(data)):
        await trio.sleep(seconds)
        peer.pipe.feed(data[at : at + 1])


@pytest.mark.parametrize("said", [b"", frames.PREFACE[:10], frames.PREFACE])
async def test_who_does_not_finish_the_greeting_is_let_go_after_five_seconds(server, autojump_clock, said):
    async with connected(server) as peer:
        peer.pipe.feed(said)
        await trio.sleep(4)
        assert not peer.pipe.closed
        await trio.sleep(2)
        assert peer.pipe.closed


async def test_a_greeting_byte_by_byte_buys_no_time(server, autojump_clock):
    async with connected(server) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(drip, peer, frames.PREFACE)
        await trio.sleep(6.5)
        assert peer.pipe.closed
        nursery.cancel_scope.cancel()


async def test_who_does_not_finish_a_header_block_is_let_go_though_its_calls_go_on(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet()
        peer.call(1, STREAM, HELLO)
        peer.pipe.feed(frame(frames.HEADERS, 0, 3, b"\x83"))
        for _ in range(4):
            await trio.sleep(1)
            peer.pipe.feed(frame(frames.CONTINUATION, 0, 3, b""))
        assert not peer.pipe.closed
        await trio.sleep(2.5)
        assert peer.pipe.closed
        assert server.calls == 0


@pytest.mark.parametrize("path", [UNARY, STREAM])
async def test_a_request_whose_message_does_not_come_ends_after_thirty_seconds_and_no_other(server, autojump_clock, path):
    whole = framed(AuthRequest(api_key="x" * 100).SerializeToString())
    async with connected(server) as peer, trio.open_nursery() as nursery:
        peer.greet()
        peer.call(1, STREAM, HELLO)
        peer.call(3, path, body=whole[:9])
        peer.call(5, path)

        async def slowly():
            for at in range(9, 60):
                await trio.sleep(1)
                peer.pipe.feed(frame(frames.DATA, 0, 3, whole[at : at + 1]))

        nursery.start_soon(slowly)
        await trio.sleep(29)
        assert (peer.status(3), peer.status(5), server.calls) == (None, None, 3)
        assert server.held > 0
        await trio.sleep(2)
        assert (peer.status(1), peer.status(3), peer.status(5), server.calls) == (None, DEADLINE_EXCEEDED, DEADLINE_EXCEEDED, 1)
        assert server.held == 0
        nursery.cancel_scope.cancel()


async def test_who_is_silent_is_asked_and_let_go_when_it_does_not_answer(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet()
        peer.call(1, STREAM, HELLO)
        await trio.sleep(59)
        assert frames.PING not in peer.kinds()
        await trio.sleep(3)
        assert peer.kinds().count(frames.PING) == 1
        peer.pipe.feed(frame(frames.PING, frames.ACK, 0, b"arbiter?"))
        await trio.sleep(59)
        assert not peer.pipe.closed
        await trio.sleep(3 + 16)
        assert (peer.kinds().count(frames.PING), peer.pipe.closed) == (2, False)
        await trio.sleep(4)
        assert (peer.pipe.closed, server.calls) == (True, 0)


async def live(peer, seconds):
    """Answer each ping, as every client does."""
    for _ in range(seconds):
        await trio.sleep(1)
        if peer.connection.pinged_at != float("inf"):
            peer.pipe.feed(frame(frames.PING, frames.ACK, 0, b"arbiter?"))


async def test_a_stranger_without_a_call_is_told_goodbye_after_a_minute(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet()
        await live(peer, 59)
        assert (frames.GOAWAY in peer.kinds(), peer.pipe.closed) == (False, False)
        await live(peer, 3)
        assert (peer.kinds().count(frames.GOAWAY), peer.pipe.closed) == (1, True)


async def test_a_connection_without_a_call_is_told_goodbye_after_fifteen_minutes(server, autojump_clock):
    server.admit = lambda _request: "somebody"
    async with connected(server) as peer:
        peer.greet()
        peer.call(1, UNARY, HELLO)
        await live(peer, 899)
        assert (peer.status(1), frames.GOAWAY in peer.kinds(), peer.pipe.closed) == (OK, False, False)
        await live(peer, 3)
        assert (peer.kinds().count(frames.GOAWAY), peer.pipe.closed) == (1, True)


async def test_a_quiet_call_keeps_its_connection(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet()
        peer.call(1, STREAM, HELLO)
        await live(peer, 2000)
        assert (peer.pipe.closed, server.calls) == (False, 1)


@pytest.mark.parametrize(("path", "what"), [(STREAM, "200"), (UNARY, "200")], ids=["a stream", "a large answer"])
async def test_a_call_that_is_not_read_ends_after_thirty_seconds_and_the_others_go_on(server, autojump_clock, path, what):
    async with connected(server) as peer:
        peer.greet((frames.INITIAL_WINDOW_SIZE, 10_000))
        peer.call(1, path, AuthRequest(api_key=what))
        peer.call(3, STREAM, HELLO)
        for second in range(28):
            await trio.sleep(1)
            peer.call(5 + 2 * second, UNARY, HELLO)
        assert (peer.status(1), peer.status(3)) == (None, None)
        await trio.sleep(4)
        assert peer.status(1) == RESOURCE_EXHAUSTED
        assert [b":status" in block for kind, _, stream, block in peer.seen if (kind, stream) == (frames.HEADERS, 1)] == [True, False]
        assert (peer.status(3), server.calls, peer.pipe.closed) == (None, 1, False)
        assert all(peer.status(5 + 2 * second) == OK for second in range(28))
        assert set(peer.connection.wire.streams) == {3}


async def test_a_slow_reader_that_reads_is_not_ended(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet((frames.INITIAL_WINDOW_SIZE, 10_000))
        peer.call(1, STREAM, AuthRequest(api_key="60"))
        for _ in range(5):
            await trio.sleep(25)
            assert peer.status(1) is None
            peer.pipe.feed(frames.window_update(1, 100))
        assert server.calls == 1


async def test_a_socket_that_takes_nothing_is_closed_after_thirty_seconds(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet((frames.INITIAL_WINDOW_SIZE, 2**30))
        peer.pipe.feed(frames.window_update(0, 2**30))
        await trio.sleep(1)
        peer.pipe.room = 1000
        peer.call(1, STREAM, AuthRequest(api_key="2000"))
        await trio.sleep(29)
        assert not peer.pipe.closed
        assert len(peer.connection.wire.out) + peer.pipe.backlog < 2**20
        await trio.sleep(3)
        assert (peer.pipe.closed, server.calls) == (True, 0)


async def test_what_comes_with_its_own_reset_is_counted_once(server, autojump_clock):
    """A message and the reset behind it in one read: the handler was woken, and its call is gone."""
    async with connected(server) as peer:
        peer.greet()
        peer.call(1, CHAT)
        await trio.sleep(1)
        whole = framed(HELLO.SerializeToString())
        peer.pipe.feed(*(frame(frames.DATA, 0, 1, whole) for _ in range(3)), frames.reset(1, 8))
        await trio.sleep(1)
        assert (server.calls, server.held) == (0, 0)


async def test_what_comes_for_a_call_whose_answer_waits_is_not_kept(server, autojump_clock):
    async with connected(server) as peer:
        peer.greet((frames.INITIAL_WINDOW_SIZE, 10))
        peer.call(1, UNARY, body=framed(AuthRequest(api_key="1").SerializeToString()))
        await trio.sleep(1)
        for _ in range(10):
            peer.pipe.feed(frame(frames.DATA, 0, 1, bytes([0, 0, 1, 0, 0]) + bytes(10_000)))
            peer.pipe.feed(frame(frames.DATA, 0, 1, bytes(55_536)[:16_000]))
        await trio.sleep(1)
        assert server.held == 0
        assert set(peer.connection.wire.streams) == {1}
        peer.pipe.feed(frames.window_update(1, 10_000))
        await trio.sleep(1)
        assert (peer.status(1), server.held, peer.connection.wire.streams) == (OK, 0, {})


async def test_a_handler_that_goes_on_after_its_call_is_over_sends_nothing_and_holds_nobody_up(server, autojump_clock):
    said = 0

    async def stubborn(message, request):
        nonlocal said
        with trio.CancelScope(shield=True):
            yield AuthResponse(user_id="first")
            await trio.sleep(5)
            for _ in range(1000):
                said += 1
                yield AuthResponse(user_id="again")

    server._methods["test.Service", "Stream"].call = stubborn
    async with connected(server) as peer:
        peer.greet()
        peer.call(1, STREAM, HELLO)
        await trio.sleep(1)
        peer.pipe.feed(frames.reset(1, 8), headers(3, b"\x83"))
        await trio.sleep(1)
        before = len(peer.pipe.sent)
        peer.call(5, UNARY, HELLO)
        await trio.sleep(10)
        assert peer.status(5) == OK
        assert peer.kinds(1) == [frames.HEADERS, frames.DATA]
        assert (server.calls, before < len(peer.pipe.sent)) == (0, True)
