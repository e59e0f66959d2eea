"""The fourteen holes of plain purerpc, a test each, on our server and on purerpc's own: ours passes, and purerpc's fails (strictly).

The client is HTTP/2 by hand or the official one. Waits for what purerpc never does are short.
"""

import gc
import gzip
import importlib
import pkgutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import h2.errors
import h2.events
import purerpc
import pytest
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from google.protobuf.descriptor import FileDescriptor
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

import arbiter.v1
from arbiter.errors import LimitExceeded, NotFound
from arbiter.rpc import frames
from arbiter.rpc.client_errors import ArbiterClientError
from arbiter.rpc.dial import connect
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.server import Server
from arbiter.rpc.server_limits import ServerLimits
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")
BODY = HELLO.SerializeToString()
SECONDS = {"ours": 10.0, "purerpc": 0.5}
"""For what must come; on purerpc it does not."""


class Both:
    """A running server of either kind, and what its handlers saw."""

    def __init__(self, kind):
        self.kind = kind
        self.port = 0
        self.seconds = SECONDS[kind]
        self.inside = self.left = 0
        self.server = None
        self.unary = self.answer

    async def answer(self, message):
        return AuthResponse(user_id=message.api_key)

    @property
    def service(self):
        async def unary(message, request=None):
            return await self.unary(message)

        async def stream(message, request=None) -> AsyncIterator:
            self.inside += 1
            try:
                yield AuthResponse(user_id="first")
                await trio.sleep_forever()
            finally:
                self.inside -= 1
                self.left += 1

        service = Service("test.Service")
        service.add_method("Unary", unary, RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse))
        service.add_method("Stream", stream, RPCSignature(Cardinality.UNARY_STREAM, AuthRequest, AuthResponse))
        return service

    async def until(self, condition):
        with trio.fail_after(self.seconds):
            while not condition():  # noqa: ASYNC110 what is looked at has no event
                await trio.sleep(0.005)


def sides(reason, *, raises=None):
    """Ours, and purerpc's that must fail."""
    options = {"raises": pytest.RaisesGroup(raises, allow_unwrapped=True, flatten_subgroups=True)} if raises else {}
    failing = pytest.mark.xfail(strict=True, reason=reason, **options)
    return pytest.mark.parametrize("kind", ["ours", pytest.param("purerpc", marks=failing)])


pytestmark = pytest.mark.filterwarnings("ignore")
"""purerpc leaves sockets and generators open."""


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    """What it left is not found in another test, though the report of a failure still holds it."""
    yield
    gc.collect()
    for each in gc.get_objects():
        if isinstance(each, (MemoryObjectSendStream, MemoryObjectReceiveStream)) or (type(each) is socket.socket and each.fileno() >= 0):
            each.close()


@contextmanager
def single():
    """What a nursery wrapped."""
    try:
        yield
    except BaseExceptionGroup as group:
        found = group.subgroup(KeyboardInterrupt) or group
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        raise found from None


@asynccontextmanager
async def serving(kind, limits=None):
    both = Both(kind)
    with single():
        async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
            both.port = port_of(listener)
            if kind == "ours":
                both.server = Server([both.service], lambda _: "somebody", lambda: "id", limits=limits)
                nursery.start_soon(both.server.serve, listener)
            else:
                await listener.aclose()
                plain = purerpc.Server(both.port)
                plain.add_service(both.service)
                nursery.start_soon(plain.serve_async)
                await _listening(both.port)
            yield both
            nursery.cancel_scope.cancel()


async def _listening(port):
    with trio.fail_after(5):
        while True:
            with suppress(OSError):
                (await trio.open_tcp_stream("127.0.0.1", port)).socket.close()
                return
            await trio.sleep(0.01)


async def status(raw, number, seconds):
    with trio.fail_after(seconds):
        await raw.ended(number)
    return raw.header_blocks(number)[-1].get("grpc-status")


async def call(raw, seconds, *, extra=(), path=UNARY, body=BODY, compressed=False):
    number = raw.begin(f"/{path}", extra=extra)
    raw.message(number, body, compressed=compressed)
    await raw.send()
    return await status(raw, number, seconds)


@sides("the reset is dropped and the handler lives on", raises=trio.TooSlowError)
async def test_1_a_cancelled_call_reaches_its_handler(kind, connect_raw):
    async with serving(kind) as both, connect_raw(both.port) as raw:
        number = raw.begin(f"/{STREAM}")
        raw.message(number, BODY)
        await raw.send()
        await raw.read_until(lambda event: isinstance(event, h2.events.DataReceived))
        raw.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        await raw.send()
        await both.until(lambda: (both.inside, both.left) == (0, 1))


@sides("the connection waits for its handlers for ever", raises=trio.TooSlowError)
async def test_2_a_closed_connection_ends_its_handlers(kind, connect_raw):
    async with serving(kind) as both:
        async with connect_raw(both.port) as raw:
            for _ in range(3):
                raw.message(raw.begin(f"/{STREAM}"), BODY)
            await raw.send()
            await both.until(lambda: both.inside == 3)
        await both.until(lambda: both.left == 3)


@sides("grpc-timeout is read and forgotten", raises=trio.TooSlowError)
async def test_3_a_deadline_is_enforced_by_the_server(kind, connect_raw):
    async with serving(kind) as both, connect_raw(both.port) as raw:
        assert await call(raw, both.seconds, path=STREAM, extra=(("grpc-timeout", "50m"),)) == "4"


@sides("the client reads CANCELLED and the exception's repr", raises=AssertionError)
async def test_4_an_unexpected_error_is_internal_and_tells_nothing_of_ours(kind, connect_raw, logged):
    async def fail(message):
        raise ValueError("secret 42")

    async with serving(kind) as both, connect_raw(both.port) as raw:
        both.unary = fail
        assert await call(raw, both.seconds) == "13"
        assert not any("secret" in value for block in raw.header_blocks(1) for value in block.values())


@sides("a bare except takes it for a failure of the call")
async def test_5_an_interrupt_in_a_handler_is_not_swallowed(kind, connect_raw):
    async def interrupted(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        async with serving(kind) as both, connect_raw(both.port) as raw:
            both.unary = interrupted
            await call(raw, both.seconds)


@sides("it listens on every interface")
async def test_6_it_listens_on_loopback_alone(kind):
    """127.0.0.2 is this machine too, where Linux is told nothing else, and no address that was asked for."""
    async with serving(kind) as both:
        with pytest.raises(OSError, match="attempts to connect"):
            await trio.open_tcp_stream("127.0.0.2", both.port)


@sides("it takes any number of streams")
async def test_7_calls_at_once_are_limited(kind, connect_raw):
    async with serving(kind, limits=ServerLimits(streams=5)) as both, connect_raw(both.port) as raw:
        await raw.send()
        with trio.fail_after(5):
            event = await raw.read_until(lambda event: isinstance(event, h2.events.RemoteSettingsChanged))
        setting = event.changed_settings.get(3)
        assert setting is not None
        assert setting.new_value == 5


@sides("the connection dies with all its calls", raises=trio.TooSlowError)
async def test_8_a_malformed_call_ends_alone(kind, connect_raw):
    async with serving(kind) as both, connect_raw(both.port) as raw:
        raw.message(raw.begin(f"/{STREAM}"), BODY)
        await raw.send()
        await both.until(lambda: both.inside == 1)
        assert await call(raw, both.seconds, extra=(("grpc-timeout", "nonsense"),)) == "3"
        assert await call(raw, both.seconds, path="a/b/c") == "12"
        number = raw.begin(f"/{UNARY}")
        raw.h2.send_data(number, b"\0" + (2**31).to_bytes(4, "big"))
        await raw.send()
        assert await status(raw, number, both.seconds) == "8"
        assert both.inside == 1


@sides("zlib without gzip's head, and not by the request's encoding", raises=trio.TooSlowError)
async def test_9_gzip_is_taken_and_anything_else_is_unimplemented(kind, connect_raw):
    async with serving(kind) as both, connect_raw(both.port) as raw:
        assert await call(raw, both.seconds, extra=(("grpc-encoding", "gzip"),), body=gzip.compress(BODY), compressed=True) == "0"
        assert await call(raw, both.seconds, extra=(("grpc-encoding", "snappy"),)) == "12"
        assert raw.header_blocks(3)[-1]["grpc-accept-encoding"] == "identity,gzip"


@sides("an error is a status and nothing else", raises=AssertionError)
async def test_10_an_error_tells_in_trailers_when_to_come_back(kind, connect_raw):
    async def refuse(message):
        if kind == "purerpc":
            raise purerpc.ResourceExhaustedError("too much")
        raise LimitExceeded("too much", 1234)

    async with serving(kind) as both, connect_raw(both.port) as raw:
        both.unary = refuse
        assert await call(raw, both.seconds) == "8"
        assert raw.header_blocks(1)[-1].get("retry-after-ms") == "1234"


@sides("there is no stop", raises=AttributeError)
async def test_11_a_stop_says_goodbye_and_lets_calls_finish(kind, connect_raw):
    go = trio.Event()

    async def slow(message):
        await go.wait()
        return AuthResponse(user_id="done")

    async with serving(kind) as both, connect_raw(both.port) as raw, trio.open_nursery() as nursery:
        both.unary = slow
        number = raw.begin(f"/{UNARY}")
        raw.message(number, BODY)
        await raw.send()
        server = both.server if kind == "ours" else purerpc.Server(0)
        stop = server.stop
        await both.until(lambda: both.server.calls == 1)
        nursery.start_soon(stop, 5.0)
        await both.until(lambda: next(iter(both.server._connections)).wire.refusing)
        go.set()
        # by hand, since h2 takes nothing behind a GOAWAY
        data = b""
        with trio.fail_after(both.seconds):
            while chunk := await raw.stream.receive_some():
                data += chunk
        assert b"bytes" not in data
        assert b"grpc-status\x010" in data
        assert data.index(frames.frame(frames.GOAWAY, 0, 0, bytes(8))[3:9]) < data.index(b"grpc-status")


@sides("a head comes first, whatever follows", raises=AssertionError)
async def test_12_an_error_before_any_message_is_trailers_alone(kind, connect_raw):
    async def refuse(message):
        raise purerpc.NotFoundError("nothing here") if kind == "purerpc" else NotFound("nothing here")

    async with serving(kind) as both, connect_raw(both.port) as raw:
        both.unary = refuse
        assert await call(raw, both.seconds) == "5"
        assert len(raw.header_blocks(1)) == 1


@sides("the client has no deadline", raises=trio.TooSlowError)
async def test_13_a_client_has_a_deadline_and_a_lost_connection_ends_its_calls(kind):
    async def never(message):
        await trio.sleep_forever()

    async with serving("ours") as both:
        both.unary = never
        with trio.fail_after(SECONDS[kind]):
            if kind == "ours":
                async with connect("127.0.0.1", both.port) as channel:
                    with pytest.raises(ArbiterClientError, match="no answer within"):
                        await channel.unary(UNARY, HELLO, AuthResponse, (), 0.05)
            else:
                async with purerpc.insecure_channel("127.0.0.1", both.port) as channel:
                    stub = purerpc.Client("test.Service", channel).get_method_stub(
                        "Unary", RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse)
                    )
                    await stub(HELLO)  # it takes no timeout, and sends none
        if kind == "ours":
            await both.until(lambda: both.server.calls == 0)


def test_14_no_method_takes_or_gives_a_nested_message():
    """purerpc's generator writes the names of top-level messages only; so no method of ours needs another."""
    files: set[FileDescriptor] = set()
    for each in pkgutil.iter_modules(arbiter.v1.__path__):
        if each.name.endswith("_pb2"):
            files.add(importlib.import_module(f"arbiter.v1.{each.name}").DESCRIPTOR)
    methods = [method for file in files for service in file.services_by_name.values() for method in service.methods]
    assert len(methods) > 20
    assert [m.full_name for m in methods if m.input_type.containing_type or m.output_type.containing_type] == []
