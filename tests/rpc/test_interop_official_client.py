"""gRPC's interop tests with the official client: it must see on our server what it sees on an official one.

Each test is named after its description in gRPC's interop-test-descriptions, runs against both servers, and compares all that the
client sees with the same values. Where the servers differ on purpose, `ACCEPTED` says how and why.
"""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import pytest
import trio

from tests.rpc.interop_servers import CORRELATION, SECONDS, official_process, official_server, our_server
from tests.rpc.interop_service import ECHO_INITIAL, ECHO_TRAILING, METHODS, SERVICE, m

Code = grpc.StatusCode
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
TOLD = {ECHO_INITIAL: "test_initial_metadata_value", ECHO_TRAILING: b"\xab\xab\xab"}

ACCEPTED: dict[str, dict[str, Any]] = {
    # each call of ours tells what finds it in the log
    "extra trailers": {"ours": {"x-correlation-id": CORRELATION}, "official": {}},
    # ours names the method, since a wrong name is what a client author then looks for
    "no method": {"ours": "no method {}", "official": "Method not found!"},
    # bytes that are no such message are the client's fault, not the server's
    "no such message": {"ours": Code.INVALID_ARGUMENT, "official": Code.INTERNAL},
    # the text alone, for people
    "cut off": {"ours": "Arbiter is stopping", "official": "Cancelling all calls"},
}


MADE_BY_THE_CLIENT = (Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE)
"""May be so, without a word of the server."""


class Seen(NamedTuple):
    """All that a client sees of a call."""

    code: grpc.StatusCode
    details: str
    messages: list[Any]
    initial: dict[str, Any]
    trailing: dict[str, Any]


class Client:
    """The official client on one of the servers. Every method waits, and is to be run in a thread."""

    def __init__(self, kind: str, port: int) -> None:
        self.kind = kind
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def start(self, name: str, requests: Any, *, service: str = SERVICE, raw: bool = False, **options: Any) -> Any:
        """A call that is under way."""
        method = METHODS.get(name, METHODS["EmptyCall"])
        serialize = (lambda data: data) if raw else method.request.SerializeToString
        call = getattr(self.channel, method.shape)(f"/{service}/{name}", serialize, method.reply.FromString)
        start = call.future if method.shape.endswith("unary") else call
        return start(requests, timeout=options.pop("timeout", SECONDS), **options)

    def see(self, name: str, requests: Any, **options: Any) -> Seen:
        """A whole call."""
        return self.rest(name, self.start(name, requests, **options))

    def rest(self, name: str, call: Any) -> Seen:
        """What is still to come of a call."""
        messages: list[Any] = []
        try:
            if METHODS.get(name, METHODS["EmptyCall"]).shape.endswith("unary"):
                messages = [call.result()]
            else:
                for each in call:
                    messages.append(each)  # one by one, so that what came before an error is kept
        except (grpc.RpcError, grpc.FutureCancelledError):
            pass
        return Seen(call.code(), call.details(), messages, dict(call.initial_metadata()), self.trailing(call))

    def trailing(self, call: Any) -> dict[str, Any]:
        """Without what may differ, which must be there."""
        found = dict(call.trailing_metadata())
        for name, value in ACCEPTED["extra trailers"][self.kind].items():
            if found or call.code() not in MADE_BY_THE_CLIENT:
                assert found.pop(name) == value
        return found


@pytest.fixture(scope="module")
def official_port() -> Iterator[int]:
    """One official server for all: nothing here harms it."""
    with official_process() as port:
        yield port


@pytest.fixture(params=["ours", "official"])
async def client(request: pytest.FixtureRequest, official_port: int) -> AsyncIterator[Client]:
    async with our_server() as ours:
        client = Client(request.param, ours.port if request.param == "ours" else official_port)
        yield client
        client.channel.close()


async def run(what: Callable[[], Any]) -> Any:
    """In a thread, since the official client blocks."""
    with trio.fail_after(2 * SECONDS):
        return await trio.to_thread.run_sync(what, abandon_on_cancel=True)


def fine(*messages: Any, initial: Any = None, trailing: Any = None) -> Seen:
    return Seen(Code.OK, "", list(messages), initial or {}, trailing or {})


def zeros(size: int) -> Any:
    return m.Payload(body=bytes(size))


def outputs(*sizes: int, **other: Any) -> Any:
    return m.StreamingOutputCallRequest(response_parameters=[m.ResponseParameters(size=size) for size in sizes], **other)


def output(size: int) -> Any:
    return m.StreamingOutputCallResponse(payload=zeros(size))


LARGE = m.SimpleRequest(response_size=314_159, payload=zeros(271_828))
LARGE_REPLY = m.SimpleResponse(payload=zeros(314_159))


async def test_empty_unary(client):
    assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())


async def test_large_unary(client):
    assert await run(lambda: client.see("UnaryCall", LARGE)) == fine(LARGE_REPLY)


async def test_client_compressed_unary(client):
    assert await run(lambda: client.see("UnaryCall", LARGE, compression=grpc.Compression.Gzip)) == fine(LARGE_REPLY)


async def test_client_compressed_streaming(client):
    requests = [m.StreamingInputCallRequest(payload=zeros(size)) for size in (27_182, 45_904)]
    seen = await run(lambda: client.see("StreamingInputCall", iter(requests), compression=grpc.Compression.Gzip))
    assert seen == fine(m.StreamingInputCallResponse(aggregated_payload_size=73_086))


async def test_client_streaming(client):
    requests = [m.StreamingInputCallRequest(payload=zeros(size)) for size in (27_182, 8, 1_828, 45_904)]
    seen = await run(lambda: client.see("StreamingInputCall", iter(requests)))
    assert seen == fine(m.StreamingInputCallResponse(aggregated_payload_size=74_922))


async def test_server_streaming(client):
    seen = await run(lambda: client.see("StreamingOutputCall", outputs(31_415, 9, 2_653, 58_979)))
    assert seen == fine(output(31_415), output(9), output(2_653), output(58_979))


async def test_ping_pong(client):
    sizes = ((27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979))

    def play() -> Seen:
        got: list[Any] = []
        turn = iter(sizes)

        def requests():
            for sent, wished in turn:
                before = len(got)
                yield outputs(wished, payload=zeros(sent))
                while len(got) == before:  # the next only after the answer to this one
                    arrived.acquire(timeout=SECONDS)

        arrived = threading.Semaphore(0)
        call = client.start("FullDuplexCall", requests())
        for reply in call:
            got.append(reply)
            arrived.release()
        return client.rest("FullDuplexCall", call)._replace(messages=got)

    assert await run(play) == fine(*(output(wished) for _, wished in sizes))


async def test_empty_stream(client):
    assert await run(lambda: client.see("FullDuplexCall", iter(()))) == fine()


async def test_custom_metadata(client):
    expected = {"initial": {ECHO_INITIAL: TOLD[ECHO_INITIAL]}, "trailing": {ECHO_TRAILING: TOLD[ECHO_TRAILING]}}
    metadata = tuple(TOLD.items())
    assert await run(lambda: client.see("UnaryCall", LARGE, metadata=metadata)) == fine(LARGE_REPLY, **expected)
    request = outputs(314_159, payload=zeros(271_828))
    assert await run(lambda: client.see("FullDuplexCall", iter([request]), metadata=metadata)) == fine(output(314_159), **expected)


async def test_custom_metadata_of_a_call_that_fails_or_has_no_message(client):
    expected = {ECHO_INITIAL: TOLD[ECHO_INITIAL]}, {ECHO_TRAILING: TOLD[ECHO_TRAILING]}
    metadata = tuple(TOLD.items())
    failing = m.SimpleRequest(response_status=m.EchoStatus(code=9, message="no"))
    assert await run(lambda: client.see("UnaryCall", failing, metadata=metadata)) == (Code.FAILED_PRECONDITION, "no", [], *expected)
    assert await run(lambda: client.see("FullDuplexCall", iter(()), metadata=metadata)) == (Code.OK, "", [], *expected)


async def test_status_code_and_message(client):
    status = m.EchoStatus(code=2, message="test status message")
    expected = Seen(Code.UNKNOWN, "test status message", [], {}, {})
    assert await run(lambda: client.see("UnaryCall", m.SimpleRequest(response_status=status))) == expected
    assert await run(lambda: client.see("FullDuplexCall", iter([outputs(response_status=status)]))) == expected


async def test_every_status_code(client):
    for code in Code:
        if code is not Code.OK:
            request = m.SimpleRequest(response_status=m.EchoStatus(code=code.value[0], message="as asked"))
            seen = await run(lambda request=request: client.see("UnaryCall", request))
            assert (seen.code, seen.details, seen.messages) == (code, "as asked", [])


async def test_a_status_after_messages(client):
    requests = [outputs(10, 20), outputs(response_status=m.EchoStatus(code=10, message="after two"))]
    assert await run(lambda: client.see("FullDuplexCall", iter(requests))) == Seen(
        Code.ABORTED, "after two", [output(10), output(20)], {}, {}
    )


async def test_special_status_message(client):
    request = m.SimpleRequest(response_status=m.EchoStatus(code=2, message=SPECIAL))
    assert await run(lambda: client.see("UnaryCall", request)) == Seen(Code.UNKNOWN, SPECIAL, [], {}, {})


def without_details(seen):
    """Our server says more than the specification asks for: the reason of the status."""
    return seen._replace(
        trailing={name: value for name, value in seen.trailing.items() if name not in ("arbiter-reason", "grpc-status-details-bin")}
    )


async def test_unimplemented_method(client):
    path = f"{SERVICE}/UnimplementedCall"
    expected = Seen(Code.UNIMPLEMENTED, ACCEPTED["no method"][client.kind].format(path), [], {}, {})
    assert without_details(await run(lambda: client.see("UnimplementedCall", m.Empty()))) == expected


async def test_unimplemented_service(client):
    service = "grpc.testing.UnimplementedService"
    expected = Seen(Code.UNIMPLEMENTED, ACCEPTED["no method"][client.kind].format(f"{service}/UnimplementedCall"), [], {}, {})
    assert without_details(await run(lambda: client.see("UnimplementedCall", m.Empty(), service=service))) == expected


async def test_cancel_after_begin(client):
    never = threading.Event()

    def requests():
        never.wait(SECONDS)
        yield from ()

    def play() -> Seen:
        call = client.start("StreamingInputCall", requests())
        call.cancel()
        never.set()
        return client.rest("StreamingInputCall", call)

    seen = await run(play)
    assert (seen.code, seen.messages) == (Code.CANCELLED, [])
    assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())


async def test_cancel_after_first_response(client):
    never = threading.Event()

    def requests():
        yield outputs(31_415, payload=zeros(27_182))
        never.wait(SECONDS)

    def play() -> tuple[Any, Seen]:
        call = client.start("FullDuplexCall", requests())
        first = next(call)
        call.cancel()
        never.set()
        return first, client.rest("FullDuplexCall", call)

    first, seen = await run(play)
    assert first == output(31_415)
    assert (seen.code, seen.messages) == (Code.CANCELLED, [])
    assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())


async def test_timeout_on_sleeping_server(client):
    request = outputs(31_415, payload=zeros(27_182))
    request.response_parameters[0].interval_us = 5_000_000
    seen = await run(lambda: client.see("FullDuplexCall", iter([request]), timeout=0.05))
    assert (seen.code, seen.messages) == (Code.DEADLINE_EXCEEDED, [])
    assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())


async def test_a_message_over_4_mib_is_refused_and_the_connection_lives_on(client):
    request = m.SimpleRequest(payload=zeros(4 * 2**20))
    seen = await run(lambda: client.see("UnaryCall", request))
    assert (seen.code, seen.messages) == (Code.RESOURCE_EXHAUSTED, [])
    assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())


async def test_a_message_of_nearly_4_mib_goes_both_ways(client):
    size = 4 * 2**20 - 1000
    request = m.SimpleRequest(response_size=size, payload=zeros(size))
    assert await run(lambda: client.see("UnaryCall", request)) == fine(m.SimpleResponse(payload=zeros(size)))


async def test_bytes_that_are_no_such_message(client):
    seen = await run(lambda: client.see("UnaryCall", b"\xff\xff\xff", raw=True))
    assert (seen.code, seen.messages) == (ACCEPTED["no such message"][client.kind], [])


async def test_a_slow_reader_gets_everything_and_others_go_on_meanwhile(client):
    def play() -> list[int]:
        call = client.start("StreamingOutputCall", outputs(*[60_000] * 100))
        first = next(call)
        for _ in range(20):  # while the stream's window is full
            assert client.see("EmptyCall", m.Empty()) == fine(m.Empty())
        return [len(each.payload.body) for each in (first, *call)]

    assert await run(play) == [60_000] * 100


async def test_concurrent_large_unary(client):
    def play() -> list[Any]:
        calls = [client.start("UnaryCall", LARGE) for _ in range(100)]
        return [call.result() for call in calls]

    assert await run(play) == [LARGE_REPLY] * 100


async def test_metadata_keeps_several_values_of_a_name_and_bytes_of_any_kind(client):
    metadata = (
        (ECHO_TRAILING, b"\x00\xff"),
        (ECHO_TRAILING, b""),
        (ECHO_TRAILING, b"\x01" * 300),
        (ECHO_INITIAL, "a, b"),
        (ECHO_INITIAL, "c"),
    )

    def play() -> tuple[Any, Any]:
        call = client.start("UnaryCall", m.SimpleRequest(), metadata=metadata)
        call.result()
        mine = [each for each in call.trailing_metadata() if each[0] == ECHO_TRAILING]
        return list(call.initial_metadata()), mine

    initial, trailing = await run(play)
    assert [tuple(each) for each in initial] == list(metadata[3:])
    assert [tuple(each) for each in trailing] == list(metadata[:3])


# -- servers that stop --


def sleeping(seconds: float) -> Any:
    return m.StreamingOutputCallRequest(response_parameters=[m.ResponseParameters(size=1, interval_us=int(seconds * 1e6))])


@asynccontextmanager
async def stoppable(kind: str) -> AsyncIterator[tuple[Client, Callable[[float], Any]]]:
    """A client, and what stops its server with a grace of so many seconds."""
    async with {"ours": our_server, "official": official_server}[kind]() as server:
        client = Client(kind, server.port)
        yield client, server.server.stop if kind == "ours" else server.stop
        client.channel.close()


@pytest.mark.parametrize("kind", ["ours", "official"])
async def test_a_server_that_stops_finishes_what_runs_and_takes_nothing_new(kind):
    async with stoppable(kind) as (client, stop), trio.open_nursery() as nursery:
        assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())
        release = threading.Event()

        def requests():
            yield m.StreamingInputCallRequest(payload=zeros(8))
            release.wait(SECONDS)

        call = client.start("StreamingInputCall", requests())
        assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())  # so that the call before it has arrived
        nursery.start_soon(stop, 5)
        threading.Timer(0.3, release.set).start()
        assert await run(lambda: client.rest("StreamingInputCall", call)) == fine(m.StreamingInputCallResponse(aggregated_payload_size=8))
        seen = await run(lambda: client.see("EmptyCall", m.Empty()))
        assert (seen.code, seen.messages) == (Code.UNAVAILABLE, [])


@pytest.mark.parametrize("kind", ["ours", "official"])
async def test_a_server_that_stops_at_once_cuts_what_runs(kind):
    async with stoppable(kind) as (client, stop), trio.open_nursery() as nursery:
        call = client.start("StreamingOutputCall", sleeping(5))
        assert await run(lambda: client.see("EmptyCall", m.Empty())) == fine(m.Empty())
        nursery.start_soon(stop, 0)
        seen = await run(lambda: client.rest("StreamingOutputCall", call))
        assert (seen.code, seen.details) == (Code.UNAVAILABLE, ACCEPTED["cut off"][kind])
