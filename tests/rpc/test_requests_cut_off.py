"""The ends of calls that do not end at once: a stream of requests whose client goes away, an answer that waits for window."""

import h2.errors
import h2.events
import pytest
import trio
from purerpc import Cardinality, RpcFailedError, RPCSignature, Service

from arbiter.rpc.housekeeping import look_after
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.server import Server
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

BODY = AuthRequest(api_key="x" * 1000).SerializeToString()


@pytest.fixture
async def taking():
    """A server whose handler takes what is there of a stream once it is let, and tells how that ended."""
    began, go, told = trio.Event(), trio.Event(), []

    async def take(messages, request):
        try:
            with trio.CancelScope(shield=True):
                told.append((await anext(messages)).api_key)
                began.set()
                await go.wait()
                told.extend([message.api_key async for message in messages])
                told.append("the end")
        except RpcFailedError as error:
            told.append(error.status.status_code.name)
            raise
        return AuthResponse()

    service = Service("test.Service")
    service.add_method("Take", take, RPCSignature(Cardinality.STREAM_UNARY, AuthRequest, AuthResponse))
    server = Server([service], lambda _: "somebody", lambda: "id")
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listener)
        yield server, port_of(listener), began, go, told
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["reset", "hung up"])
async def test_requests_that_were_cut_off_do_not_look_as_if_they_had_ended(taking, connect_raw, eventually, how):
    server, port, began, go, told = taking
    async with connect_raw(port) as raw:
        number = raw.begin("/test.Service/Take")
        for _ in range(3):
            raw.message(number, BODY, end=False)
        await raw.send()
        await began.wait()
        assert server.held > 2000
        if how == "reset":
            raw.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            await raw.send()
            await eventually(lambda: server.held == 0)
    if how == "hung up":
        await eventually(lambda: server.held == 0)
    go.set()
    await eventually(lambda: server.calls == 0)
    assert told == ["x" * 1000, "CANCELLED"]
    assert server.held == 0


async def test_requests_that_end_do(taking, connect_raw):
    server, port, _began, go, told = taking
    go.set()
    async with connect_raw(port) as raw:
        number = raw.begin("/test.Service/Take")
        for last in (False, False, True):
            raw.message(number, BODY, end=last)
        await raw.send()
        await raw.ended(number)
    assert told == ["x" * 1000] * 3 + ["the end"]
    assert server.held == 0


async def test_a_stream_of_requests_may_end_with_the_frame_of_its_only_message(taking, connect_raw):
    server, port, _began, go, told = taking
    go.set()
    async with connect_raw(port) as raw:
        number = raw.begin("/test.Service/Take")
        raw.message(number, BODY, end=True)
        await raw.send()
        await raw.ended(number)
    assert told == ["x" * 1000, "the end"]
    assert server.held == 0


async def test_a_stream_of_requests_may_end_with_its_head(connect_raw):
    async def count(messages, request):
        return AuthResponse(user_id=str(len([message async for message in messages])))

    service = Service("test.Service")
    service.add_method("Count", count, RPCSignature(Cardinality.STREAM_UNARY, AuthRequest, AuthResponse))
    server = Server([service], lambda _: "somebody", lambda: "id")
    async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listener)
        async with connect_raw(port_of(listener)) as raw:
            number = raw.begin("/test.Service/Count", end=True)
            await raw.send()
            await raw.ended(number)
            assert raw.header_blocks(number)[-1]["grpc-status"] == "0"
        nursery.cancel_scope.cancel()


async def test_a_request_that_ends_with_its_head_has_no_message_and_nobody_waits_for_one(served, connect_raw):
    async with connect_raw(served.port) as raw:
        with trio.fail_after(served.server.limits.strangers_body_seconds):
            number = raw.begin("/test.Service/Unary", end=True)
            await raw.send()
            await raw.ended(number)
        assert raw.header_blocks(number)[-1]["arbiter-reason"] == "BAD_MESSAGE"
    assert served.server.waiting == 0


async def test_a_connection_is_idle_too_when_its_last_answer_had_to_wait_for_window(served, connect_raw, eventually):
    async def large(message, request):
        return AuthResponse(user_id="x" * 100_000)

    served.unary = large
    async with connect_raw(served.port) as raw:
        number = raw.begin("/test.Service/Unary")
        raw.message(number, BODY)
        await raw.send()
        await raw.read_until(lambda event: isinstance(event, h2.events.DataReceived))
        (connection,) = served.server._connections
        assert (served.server.calls, list(connection.wire.streams)) == (0, [number])
        raw.h2.increment_flow_control_window(2**20)
        raw.h2.increment_flow_control_window(2**20, number)
        await raw.send()
        await raw.ended(number)
        now, limits = trio.current_time(), served.server.limits
        look_after(connection, now, limits)
        look_after(connection, now + limits.idle_seconds, limits)
        await raw.read_until(lambda event: isinstance(event, h2.events.ConnectionTerminated))
        await raw.hung_up()
