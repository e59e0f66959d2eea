"""gRPC's interop tests with our own client, against an official server and against ours; then what networks and servers do to a client."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from arbiter.rpc import frames
from arbiter.rpc.channel import Channel
from arbiter.rpc.client_call import ClientCall
from arbiter.rpc.client_errors import ArbiterClientError, NotConnected, RateLimitError, UnavailableError, UncertainError
from arbiter.rpc.dial import connect
from tests.rpc.interop_servers import CORRELATION, SECONDS, official_process, official_server, our_server
from tests.rpc.interop_service import ECHO_INITIAL, ECHO_TRAILING, SERVICE, m

SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
TOLD = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))


@pytest.fixture(scope="module")
def official_port() -> Iterator[int]:
    with official_process() as port:
        yield port


@pytest.fixture(params=["official", "ours"])
async def channel(request: pytest.FixtureRequest, official_port: int) -> AsyncIterator[Channel]:
    async with our_server() as ours, connect("127.0.0.1", official_port if request.param == "official" else ours.port) as channel:
        yield channel
        await nothing_is_left(channel)


async def nothing_is_left(channel: Channel) -> None:
    with trio.fail_after(SECONDS):
        while channel.wire.streams:  # noqa: ASYNC110 what is looked at has no event
            await trio.sleep(0.002)


@asynccontextmanager
async def connected(server: Any) -> AsyncIterator[Channel]:
    async with connect("127.0.0.1", server.port) as channel:
        yield channel


def zeros(size: int) -> Any:
    return m.Payload(body=bytes(size))


def outputs(*sizes: int, **other: Any) -> Any:
    return m.StreamingOutputCallRequest(response_parameters=[m.ResponseParameters(size=size) for size in sizes], **other)


def sleeping(seconds: float, size: int = 1) -> Any:
    return m.StreamingOutputCallRequest(response_parameters=[m.ResponseParameters(size=size, interval_us=int(seconds * 1e6))])


async def unary(channel: Channel, request: Any, metadata: Any = (), seconds: float = SECONDS) -> Any:
    return await channel.unary(f"{SERVICE}/UnaryCall", request, m.SimpleResponse, metadata, seconds)


async def sizes(call: ClientCall) -> list[int]:
    """Of all the messages that come."""
    found = []
    while (message := await call.receive(m.StreamingOutputCallResponse)) is not None:
        found.append(len(message.payload.body))
    return found


def full_duplex(channel: Channel, metadata: Any = (), seconds: float = SECONDS) -> Any:
    return channel.call(f"{SERVICE}/FullDuplexCall", metadata, seconds)


def without_ours(metadata: Any) -> tuple[Any, ...]:
    return tuple(each for each in metadata if each != ("x-correlation-id", CORRELATION))


# -- the list --


async def test_empty_unary(channel):
    assert await channel.unary(f"{SERVICE}/EmptyCall", m.Empty(), m.Empty, (), SECONDS) == m.Empty()


async def test_large_unary(channel):
    reply = await unary(channel, m.SimpleRequest(response_size=314_159, payload=zeros(271_828)))
    assert reply == m.SimpleResponse(payload=zeros(314_159))


async def test_messages_of_nearly_4_mib_go_both_ways_again_and_again(channel):
    size = 4 * 2**20 - 1000
    for _ in range(5):
        assert len((await unary(channel, m.SimpleRequest(response_size=size, payload=zeros(size)))).payload.body) == size


async def test_server_compressed_unary(channel):
    request = m.SimpleRequest(response_size=314_159, response_compressed=m.BoolValue(value=True))
    async with channel.call(f"{SERVICE}/UnaryCall", (), SECONDS) as call:
        await call.send(request)
        call.finish()
        reply = await call.receive(m.SimpleResponse)
        assert reply == m.SimpleResponse(payload=zeros(314_159))
        assert await call.receive(m.SimpleResponse) is None


async def test_the_official_server_does_compress_what_it_is_asked_to(official_port):
    async with connect("127.0.0.1", official_port) as channel, channel.call(f"{SERVICE}/UnaryCall", (), SECONDS) as call:
        await call.send(m.SimpleRequest(response_size=314_159, response_compressed=m.BoolValue(value=True)))
        call.finish()
        await call.receive(m.SimpleResponse)
        assert call.encoding == b"gzip"
        assert call.receive_window > 1_000_000  # far less than the message came


async def test_client_streaming(channel):
    async with channel.call(f"{SERVICE}/StreamingInputCall", (), SECONDS) as call:
        for size in (27_182, 8, 1_828, 45_904):
            await call.send(m.StreamingInputCallRequest(payload=zeros(size)))
        call.finish()
        assert (await call.receive(m.StreamingInputCallResponse)).aggregated_payload_size == 74_922
        assert await call.receive(m.StreamingInputCallResponse) is None


async def test_server_streaming(channel):
    request = outputs(31_415, 9, 2_653, 58_979)
    read = lambda reply: len(reply.payload.body)  # noqa: E731
    async with channel.stream(f"{SERVICE}/StreamingOutputCall", request, m.StreamingOutputCallResponse, (), read, SECONDS) as replies:
        assert [size async for size in replies] == [31_415, 9, 2_653, 58_979]


async def test_ping_pong(channel):
    async with full_duplex(channel) as call:
        for sent, wished in ((27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979)):
            await call.send(outputs(wished, payload=zeros(sent)))
            assert len((await call.receive(m.StreamingOutputCallResponse)).payload.body) == wished
        call.finish()
        assert await sizes(call) == []


async def test_empty_stream(channel):
    async with full_duplex(channel) as call:
        call.finish()
        assert await sizes(call) == []


async def test_custom_metadata(channel):
    async with full_duplex(channel, TOLD) as call:
        await call.send(outputs(314_159, payload=zeros(271_828)))
        call.finish()
        assert await sizes(call) == [314_159]
        assert call.initial_metadata == TOLD[:1]
        assert without_ours(call.trailing_metadata) == TOLD[1:]


async def test_custom_metadata_of_a_call_that_fails(channel):
    async with full_duplex(channel, TOLD) as call:
        await call.send(outputs(response_status=m.EchoStatus(code=9, message="no")))
        with pytest.raises(ArbiterClientError) as refused:
            await sizes(call)
        assert (refused.value.reason, str(refused.value)) == ("FAILED_PRECONDITION", "no")
        assert call.initial_metadata == TOLD[:1]
        assert without_ours(call.trailing_metadata) == TOLD[1:]


async def test_status_code_and_message(channel):
    status = m.EchoStatus(code=2, message="test status message")
    with pytest.raises(UncertainError, match=r"^test status message$") as failed:
        await unary(channel, m.SimpleRequest(response_status=status))
    assert failed.value.reason == "UNKNOWN"
    async with full_duplex(channel) as call:
        await call.send(outputs(response_status=status))
        call.finish()
        with pytest.raises(UncertainError, match=r"^test status message$"):
            await sizes(call)


async def test_every_status_code(channel):
    for code in range(1, 17):
        with pytest.raises(ArbiterClientError) as failed:
            await unary(channel, m.SimpleRequest(response_status=m.EchoStatus(code=code, message="as asked")))
        assert str(failed.value) == "as asked"
        async with channel.call(f"{SERVICE}/UnaryCall", (), SECONDS) as call:
            await call.send(m.SimpleRequest(response_status=m.EchoStatus(code=code, message="as asked")))
            call.finish()
            with pytest.raises(ArbiterClientError):
                await call.receive(m.SimpleResponse)
            assert call.status.int_value == code


async def test_special_status_message(channel):
    with pytest.raises(UncertainError) as failed:
        await unary(channel, m.SimpleRequest(response_status=m.EchoStatus(code=2, message=SPECIAL)))
    assert str(failed.value) == SPECIAL


@pytest.mark.parametrize("path", [f"{SERVICE}/UnimplementedCall", "grpc.testing.UnimplementedService/UnimplementedCall"])
async def test_unimplemented_method_and_service(channel, path):
    with pytest.raises(ArbiterClientError) as failed:
        await channel.unary(path, m.Empty(), m.Empty, (), SECONDS)
    assert failed.value.reason in ("UNIMPLEMENTED", "NOT_OFFERED")  # ours names its own reason


async def test_cancel_after_begin(channel):
    async with channel.call(f"{SERVICE}/StreamingInputCall", (), SECONDS):
        pass
    await test_empty_unary(channel)


async def test_cancel_after_first_response(channel):
    async with full_duplex(channel) as call:
        await call.send(outputs(31_415, payload=zeros(27_182)))
        assert (await call.receive(m.StreamingOutputCallResponse)).payload == zeros(31_415)
    assert call.id not in channel.wire.streams
    await test_empty_unary(channel)


async def test_timeout_on_sleeping_server(channel):
    began = trio.current_time()
    with pytest.raises(UncertainError) as late:  # noqa: PT012 the deadline is that of the whole block
        async with full_duplex(channel, seconds=0.05) as call:
            await call.send(sleeping(5))
            await sizes(call)
    assert late.value.reason == "DEADLINE_EXCEEDED"
    assert trio.current_time() - began < 4
    await test_empty_unary(channel)


# -- flow control --


async def test_a_slow_reader_holds_the_server_up_and_loses_nothing(channel):
    async with full_duplex(channel) as call:
        await call.send(outputs(*[60_000] * 100))
        call.finish()
        before = -1
        with trio.fail_after(SECONDS):
            while before != call.queued:  # until no more comes
                before = call.queued
                await trio.sleep(0.1)
        assert call.queued < 2 * 2**20
        await test_empty_unary(channel)  # meanwhile others go on
        assert await sizes(call) == [60_000] * 100


async def test_what_a_server_does_not_read_yet_waits(channel):
    """It answers each request after a while only, so that it does not come to the others."""
    async with full_duplex(channel) as call, trio.open_nursery() as nursery:

        async def send():
            for _ in range(60):
                await call.send(outputs(1, payload=zeros(100_000)))
            call.finish()

        nursery.start_soon(send)
        assert await sizes(call) == [1] * 60


async def test_thirty_streams_live_at_once(channel):
    done = 0

    async def one():
        nonlocal done
        async with full_duplex(channel) as call:
            await call.send(outputs(1))
            await call.receive(m.StreamingOutputCallResponse)
            done += 1
            if done == 30:
                everybody.set()
            await everybody.wait()

    everybody = trio.Event()
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(one)


async def test_a_connection_takes_as_many_streams_as_the_server_says_also_those_begun_before_it_said_so():
    async with our_server() as server, connected(server) as channel, trio.open_nursery() as nursery:
        open_ = 0

        async def one():
            nonlocal open_
            async with full_duplex(channel) as call:
                await call.send(outputs(1))
                await call.receive(m.StreamingOutputCallResponse)
                open_ += 1
                await trio.sleep_forever()

        for _ in range(150):
            nursery.start_soon(one)
        with trio.fail_after(SECONDS):
            while open_ < 150:  # noqa: ASYNC110 what is looked at has no event
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_max_concurrent_streams_of_the_server_are_kept_to():
    """An official server forgets a call a moment after its end is sent. What comes within that moment it refuses, unbegun."""
    most = done = 0
    async with official_server(grpc__max_concurrent_streams=2) as server, connected(server) as channel, trio.open_nursery() as nursery:
        await test_empty_unary(channel)
        assert channel.wire.peer_streams == 2

        async def one():
            nonlocal most, done
            try:
                async with full_duplex(channel) as call:
                    most = max(most, len(channel.wire.streams))
                    await call.send(sleeping(0.02))
                    call.finish()
                    assert await sizes(call) == [1]
                done += 1
            except UnavailableError as error:
                if error.begun:
                    raise
                await one()

        nursery.cancel_scope.deadline = trio.current_time() + SECONDS
        for _ in range(20):
            nursery.start_soon(one)
    assert (most, done) == (2, 20)


# -- servers that go --


async def test_a_server_killed_in_mid_call_ends_the_call_at_once():
    async with official_server() as server, connected(server) as channel, full_duplex(channel) as call:
        await call.send(outputs(1))
        await call.receive(m.StreamingOutputCallResponse)
        server.kill()
        with trio.fail_after(2), pytest.raises(NotConnected):
            await sizes(call)
        with pytest.raises(NotConnected):
            await unary(channel, m.SimpleRequest())
        assert not channel.usable


async def test_a_server_killed_while_the_client_waits_for_window_ends_that_too():
    async with official_server() as server, connected(server) as channel, full_duplex(channel) as call:
        await call.send(sleeping(5))
        sent = 0

        async def send_on() -> None:
            nonlocal sent
            while call.error is None:
                await call.send(outputs(payload=zeros(100_000)))
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_on)
            before = -1
            with trio.fail_after(SECONDS):
                while before != sent or not call.waiting:  # until no more leaves
                    before = sent
                    await trio.sleep(0.1)
            server.kill()
        assert sent < 1_000
        with pytest.raises(NotConnected):
            await sizes(call)


async def test_a_server_that_stops_with_grace_finishes_what_runs_and_takes_nothing_new():
    async with official_server() as server, connected(server) as channel, full_duplex(channel) as call:
        await call.send(sleeping(0.5))
        call.finish()
        await test_empty_unary(channel)
        await server.stop(5)
        with trio.fail_after(SECONDS):
            while channel.usable:  # noqa: ASYNC110 until the GOAWAY is there
                await trio.sleep(0.005)
        with pytest.raises(NotConnected):
            await unary(channel, m.SimpleRequest())
        assert await sizes(call) == [1]
        assert await server.line() == "stopped"


async def test_a_server_that_stops_without_grace_says_so():
    async with official_server() as server, connected(server) as channel, full_duplex(channel) as call:
        await call.send(sleeping(5))
        await test_empty_unary(channel)
        await server.stop(0)
        with trio.fail_after(3), pytest.raises(ArbiterClientError):
            await sizes(call)
        assert call.status is None or call.status.status_code.name in ("UNAVAILABLE", "CANCELLED")


async def test_our_server_that_stops_ends_calls_as_unavailable_after_the_grace():
    async with our_server() as server, connected(server) as channel, full_duplex(channel) as call:
        await call.send(outputs(1))
        await call.receive(m.StreamingOutputCallResponse)
        await server.server.stop(0.05)
        with trio.fail_after(2), pytest.raises(UnavailableError, match="is stopping"):
            await sizes(call)


# -- servers that are none, or that do not keep to the rules: byte by byte --


@asynccontextmanager
async def scripted(*answers: bytes, greets: bool = True) -> AsyncIterator[Channel]:
    """A server that sends this to whoever connects, once it has seen a request."""
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        if greets:
            await stream.send_all(frames.settings([]))
        seen = b""
        while b"grpc.testing" not in seen:
            seen += await stream.receive_some()
        for answer in answers:
            await stream.send_all(answer)
        while await stream.receive_some():
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listener)
        async with connect("127.0.0.1", listener[0].socket.getsockname()[1]) as channel:
            yield channel
        nursery.cancel_scope.cancel()


def block(*fields: tuple[str, str], ended: bool) -> bytes:
    """A header block on the first stream."""
    data = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields)
    return frames.frame(frames.HEADERS, frames.END_HEADERS | (frames.END_STREAM if ended else 0), 1, data)


HEAD = block((":status", "200"), ("content-type", "application/grpc"), ended=False)
MESSAGE = frames.frame(frames.DATA, 0, 1, bytes(5))
OK = block(("grpc-status", "0"), ended=True)


async def empty_call(channel: Channel, seconds: float = SECONDS) -> Any:
    return await channel.unary(f"{SERVICE}/EmptyCall", m.Empty(), m.Empty, (), seconds)


async def outcome(*answers: bytes) -> ArbiterClientError:
    """The error of a call that is answered so."""
    async with scripted(*answers) as channel:
        with pytest.raises(ArbiterClientError) as failed:
            await empty_call(channel)
        assert channel.wire.streams == {}
        return failed.value


async def test_what_is_scripted_here_is_an_answer():
    async with scripted(HEAD, MESSAGE, OK) as channel:
        assert await empty_call(channel) == m.Empty()


async def test_what_a_proxy_says_on_the_way_is_no_answer_yet():
    early = block((":status", "103"), ("link", "x"), ended=False)
    async with scripted(early, early, HEAD, MESSAGE, OK) as channel, channel.call(f"{SERVICE}/EmptyCall") as call:
        await call.send(m.Empty())
        assert await call.receive(m.Empty) == m.Empty()
        assert call.initial_metadata == ()


async def test_a_stream_that_is_cut_off_within_a_message_does_not_look_as_if_it_had_ended():
    part = frames.frame(frames.DATA, 0, 1, b"\0\0\0\0\3\xff")
    async with scripted(HEAD, MESSAGE, part, OK) as channel, channel.call(f"{SERVICE}/EmptyCall") as call:
        await call.send(m.Empty())
        assert await call.receive(m.Empty) == m.Empty()
        with pytest.raises(ArbiterClientError, match="within a message"):
            await call.receive(m.Empty)


async def test_a_trailers_only_answer_tells_status_and_metadata():
    only = block((":status", "200"), ("grpc-status", "8"), ("grpc-message", "slow%20down"), ("retry-after-ms", "70"), ended=True)
    error = await outcome(only)
    assert isinstance(error, RateLimitError)
    assert (str(error), error.retry_after_ms) == ("slow down", 70)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (frames.Code.NO_ERROR, "INTERNAL"),
        (frames.Code.PROTOCOL_ERROR, "INTERNAL"),
        (frames.Code.INTERNAL_ERROR, "INTERNAL"),
        (frames.Code.REFUSED_STREAM, "UNAVAILABLE"),
        (frames.Code.CANCEL, "CANCELLED"),
        (frames.Code.ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"),
        (frames.Code.INADEQUATE_SECURITY, "PERMISSION_DENIED"),
        (99, "INTERNAL"),
    ],
)
async def test_a_reset_is_the_status_that_grpc_says_it_is(code, reason):
    reset = frames.frame(frames.RST_STREAM, 0, 1, int(code).to_bytes(4, "big"))
    assert (await outcome(reset)).reason == reason
    assert (await outcome(HEAD, reset)).reason == reason


@pytest.mark.parametrize(
    ("http", "reason"),
    [("400", "INTERNAL"), ("401", "UNAUTHENTICATED"), ("403", "PERMISSION_DENIED"), ("404", "UNIMPLEMENTED"), ("503", "UNAVAILABLE")],
)
async def test_a_page_instead_of_an_answer_is_the_status_that_grpc_says_it_is(http, reason):
    page = frames.frame(frames.DATA, frames.END_STREAM, 1, b"<html>it is not here</html>")
    assert (await outcome(block((":status", http), ended=False), page)).reason == reason
    assert (await outcome(block((":status", http), ended=True))).reason == reason


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((HEAD, MESSAGE, MESSAGE, OK), "BAD_ANSWER"),
        ((HEAD, OK), "NO_ANSWER"),
        ((HEAD, MESSAGE, frames.frame(frames.DATA, frames.END_STREAM, 1)), "UNKNOWN"),
        ((HEAD, MESSAGE, block(("x-other", "1"), ended=True)), "UNKNOWN"),
        ((HEAD, frames.frame(frames.DATA, 0, 1, b"\0\0\0\0\3\xff\xff\xff"), OK), "BAD_ANSWER"),
        ((HEAD, frames.frame(frames.DATA, 0, 1, b"\1\0\0\0\3abc"), OK), "BAD_ANSWER"),
        ((HEAD, frames.frame(frames.DATA, 0, 1, b"\0\xff\xff\xff\xff"), OK), "BAD_ANSWER"),
        ((HEAD, frames.goaway(0, frames.Code.NO_ERROR, "bye")), "UNAVAILABLE"),
        ((HEAD, MESSAGE, frames.frame(frames.DATA, 0, 1, b"\0\0\0\0\3\xff"), OK), "BAD_ANSWER"),
        ((HEAD, frames.frame(frames.DATA, 0, 1, b"\0"), OK), "BAD_ANSWER"),
        ((block((":status", "103"), ended=True),), "UNKNOWN"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "NOT_CONNECTED"),
    ],
)
async def test_an_answer_that_breaks_the_rules_fails_its_call(answers, reason):
    assert (await outcome(*answers)).reason == reason


@pytest.mark.parametrize("greets", [False, True])
async def test_a_server_that_never_answers_ends_in_the_deadline(greets):
    async with scripted(greets=greets) as channel:
        with pytest.raises(UncertainError) as late:
            await empty_call(channel, 0.05)
        assert late.value.reason == "DEADLINE_EXCEEDED"
        assert channel.wire.streams == {}


async def test_what_listens_and_does_not_accept_ends_in_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with connect("127.0.0.1", listening.getsockname()[1]) as channel:
            with pytest.raises(UncertainError):
                await empty_call(channel, 0.05)
