"""A stop, as official clients and ours see it, in clear and over TLS: who runs may finish, who is new goes elsewhere, streams are told."""

import time

import grpc
import pytest
import trio

from arbiter.certs import make_certs
from arbiter.rpc.client_errors import NotConnected, UnavailableError
from arbiter.rpc.client_tls import ClientTls
from arbiter.rpc.dial import connect
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.tls import PemFiles, ServerTls
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.served import Served

UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")
SECONDS = 10
STOPPING = (grpc.StatusCode.UNAVAILABLE, "Arbiter is stopping")


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return make_certs(tmp_path_factory.mktemp("certs")).folder


class Stopping:
    """A server to be stopped, with a unary call that waits to be let go and a stream that says one thing."""

    def __init__(self, served, listener, official, context):
        self.served, self.listener, self.official, self.context = served, listener, official, context
        self.server = served.server
        self.begun, self.may_end = trio.Event(), trio.Event()
        served.unary, served.stream = self._unary, self._stream

    async def _unary(self, message, request):
        self.begun.set()
        await self.may_end.wait()
        return AuthResponse(user_id=message.api_key)

    async def _stream(self, message, request):
        yield AuthResponse(user_id="first")
        await trio.sleep_forever()

    async def told(self):
        """Until everybody has been sent a GOAWAY."""
        with trio.fail_after(SECONDS):
            while not (self.server._stopping and all(each.wire.refusing for each in self.server._connections)):  # noqa: ASYNC110
                await trio.sleep(0.002)

    def connect(self):
        return connect("localhost", self.served.port, self.context)


@pytest.fixture(params=["in clear", "over TLS"])
async def stopping(request, certs, make_official):
    secure = request.param == "over TLS"
    tls = ServerTls(PemFiles(certs / "server.pem", certs / "server.key"), lambda: time.time_ns() // 1_000_000)
    served = Served(None, tls if secure else None)
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        served.port = port_of(listener)
        nursery.start_soon(served.server.serve, listener)
        credentials = grpc.ssl_channel_credentials((certs / "ca.pem").read_bytes()) if secure else None
        official = make_official(f"localhost:{served.port}", credentials)
        yield Stopping(served, listener, official, ClientTls(str(certs / "ca.pem")).context() if secure else None)
        nursery.cancel_scope.cancel()


async def answer_of(official, into):
    into.append((await official.call(UNARY, HELLO)).user_id)


async def ending_of(call):
    """How a stream of the official client ends."""

    def read():
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return error.code(), error.details()
        return None

    with trio.fail_after(SECONDS):
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True)


async def test_a_call_that_runs_finishes_within_the_grace(stopping):
    answers = []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_of, stopping.official, answers)
            await stopping.begun.wait()
            nursery.start_soon(stopping.server.stop, SECONDS)
            await stopping.told()
            stopping.may_end.set()
    assert answers == ["hello"]


async def test_a_call_that_does_not_finish_is_told_after_the_grace(stopping):
    refused = []

    async def call():
        refused.append(await stopping.official.refusal(UNARY, HELLO))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await stopping.begun.wait()
            nursery.start_soon(stopping.server.stop, 0.1)
    assert (refused[0].code(), refused[0].details()) == STOPPING


async def test_a_new_call_during_the_grace_is_unavailable_while_another_finishes(stopping):
    answers = []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_of, stopping.official, answers)
            await stopping.begun.wait()
            nursery.start_soon(stopping.server.stop, SECONDS)
            await stopping.told()
            await stopping.listener.aclose()  # as a program that ends: it goes elsewhere, and there is nobody
            assert (await stopping.official.refusal(UNARY, HELLO)).code() is grpc.StatusCode.UNAVAILABLE
            stopping.may_end.set()
    assert answers == ["hello"]


async def test_streams_that_do_not_finish_are_told_why(stopping):
    calls = [stopping.official.stream(STREAM, HELLO) for _ in range(5)]
    for call in calls:
        await stopping.official.first(call)
    with trio.fail_after(SECONDS):
        await stopping.server.stop(0.1)
    assert [await ending_of(call) for call in calls] == [STOPPING] * 5


async def test_streams_go_on_while_a_call_finishes(stopping, eventually):
    answers, endings, call = [], [], stopping.official.stream(STREAM, HELLO)
    await stopping.official.first(call)

    async def follow():
        endings.append(await ending_of(call))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_of, stopping.official, answers)
            nursery.start_soon(follow)
            await stopping.begun.wait()
            nursery.start_soon(stopping.server.stop, 1)
            await stopping.told()
            assert not endings
            stopping.may_end.set()
    assert (answers, endings) == (["hello"], [STOPPING])
    await eventually(lambda: stopping.server.connections == 0)


async def test_our_client_is_told_the_same(stopping):
    with trio.fail_after(SECONDS):
        async with (
            stopping.connect() as channel,
            channel.stream(STREAM, HELLO, AuthResponse, (), lambda reply: reply.user_id) as replies,
        ):
            assert await anext(replies) == "first"
            await stopping.server.stop(0.1)
            with pytest.raises(UnavailableError, match="Arbiter is stopping"):
                await anext(replies)
            with pytest.raises(NotConnected):
                await channel.unary(UNARY, HELLO, AuthResponse, (), SECONDS)


async def test_after_a_stop_the_official_client_reconnects_to_the_next_server_by_itself(stopping):
    stopping.may_end.set()
    assert (await stopping.official.call(UNARY, HELLO)).user_id == "hello"
    with trio.fail_after(SECONDS):
        await stopping.server.stop(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stopping.server.serve, stopping.listener)
        assert (await stopping.official.call(UNARY, HELLO, wait_for_ready=True)).user_id == "hello"
        nursery.cancel_scope.cancel()


async def test_a_client_that_never_leaves_holds_a_stop_up_for_a_moment_only(stopping):
    async with await trio.open_tcp_stream("127.0.0.1", stopping.served.port):
        with trio.fail_after(2):
            await stopping.server.stop(60)
