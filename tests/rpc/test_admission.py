"""What is refused before anything of it is begun, so that what is under way is answered in time."""

import gzip
import time

import msgspec
import pytest
import trio
import trio.lowlevel
from purerpc import Cardinality, RPCSignature, Service

from arbiter.rpc import frames
from arbiter.rpc.frames import frame
from arbiter.rpc.messages import framed
from arbiter.rpc.server import Server
from arbiter.rpc.server_limits import ServerLimits
from arbiter.v1 import trading_pb2, user_pb2
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.memory_server import connected

UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
BODY = AuthRequest(api_key="hello").SerializeToString()
PROFILE = "arbiter.v1.UserService/GetProfile"
STOP = "arbiter.v1.TradingService/EmergencyStop"


async def unary(raw, path=UNARY, **options):
    """The status of one call."""
    number = raw.begin(f"/{path}", **options)
    raw.message(number, BODY if path == UNARY else b"")
    await raw.send()
    await raw.ended(number)
    return raw.header_blocks(number)[-1]


def be_late(server, seconds):
    """As a loop is that has too much to do: it looks at the clock too late."""
    time.sleep(seconds)


async def test_a_program_that_is_late_takes_no_call_but_stops_until_it_has_caught_up(program, connect_raw, eventually):
    server = program.arbiter.front.server
    server.limits = msgspec.structs.replace(server.limits, overloaded_seconds=0.15)
    token = (("authorization", f"Bearer {program.token('pro')}"),)
    async with connect_raw(program.port) as raw:
        assert (await unary(raw, PROFILE, extra=token))["grpc-status"] == "0"
        with trio.fail_after(10):
            while not server.overloaded:
                be_late(server, 0.3)
                await trio.lowlevel.checkpoint()
        server.late, late = 9.0, server.late  # until the next measurement
        refused = await unary(raw, PROFILE, extra=token)
        server.late = 9.0
        stopped = await unary(raw, STOP, extra=token)
        assert late >= 0.15
        assert (refused["grpc-status"], refused["arbiter-reason"], refused["retry-after-ms"]) == ("14", "OVERLOADED", "1000")
        assert stopped["grpc-status"] == "0"
        await eventually(lambda: not server.overloaded)
        assert (await unary(raw, PROFILE, extra=token))["grpc-status"] == "0"


async def test_calls_of_nobody_have_a_cap_of_their_own(served, connect_raw, eventually):
    served.server.limits = ServerLimits(strangers=2)
    served.admit = lambda _service, _method, metadata: dict(metadata).get("x-who")

    async def quiet(message, request):
        yield AuthResponse(user_id="here")
        await trio.sleep_forever()

    served.stream = quiet
    async with connect_raw(served.port) as raw:
        for _ in range(2):
            raw.message(raw.begin(f"/{STREAM}"), BODY)
        await raw.send()
        await eventually(lambda: served.server.strangers == 2)
        assert (await unary(raw))["grpc-status"] == "14"
        assert (await unary(raw, extra=(("x-who", "somebody"),)))["grpc-status"] == "0"
    await eventually(lambda: served.server.strangers == served.server.calls == 0)
    async with connect_raw(served.port) as raw:
        assert (await unary(raw))["grpc-status"] == "0"


async def test_answers_that_nobody_reads_take_no_more_memory_than_the_limit(served, connect_raw, eventually):
    served.server.limits = ServerLimits(held_by_one=1_000_000)

    async def large(message, request):
        return AuthResponse(user_id="x" * 300_000)

    served.unary = large
    async with connect_raw(served.port) as raw:
        numbers = [raw.begin(f"/{UNARY}") for _ in range(20)]
        for number in numbers:
            raw.message(number, BODY)
        await raw.send()
        await eventually(lambda: served.server.calls == 0 and served.server._connections)
        await trio.testing.wait_all_tasks_blocked(0.02)
        (connection,) = served.server._connections
        assert 0 < connection.wire.waiting <= 1_000_000
        await raw.read_until(lambda _event: sum(ended(raw, number) == "8" for number in numbers) >= 16)


def ended(raw, number):
    blocks = raw.header_blocks(number)
    return blocks[-1].get("grpc-status") if blocks else None


# -- calls whose message comes later than their head --


async def begin_without_message(raw, path, token=None):
    """A call's head alone."""
    number = raw.begin(f"/{path}", extra=(("authorization", f"Bearer {token}"),) if token else ())
    await raw.send()
    return number


async def finish(raw, number, message):
    """Send its message, and return the status."""
    raw.message(number, message.SerializeToString())
    await raw.send()
    await raw.ended(number)
    return raw.header_blocks(number)[-1]


LATE = {
    "UserService/CreateLinkCode": user_pb2.CreateLinkCodeRequest(),
    "UserService/RotateApiKey": user_pb2.RotateApiKeyRequest(),
    "TradingService/StreamPositions": trading_pb2.PositionsRequest(),
}


@pytest.mark.parametrize("method", LATE)
async def test_who_lost_their_sign_in_before_the_message_came_may_not_make_the_call(program, connect_raw, eventually, method):
    async with connect_raw(program.port) as raw:
        token = program.token("pro")
        parked = await begin_without_message(raw, f"arbiter.v1.{method}", token)
        await eventually(lambda: program.arbiter.front.server.waiting == 1)
        other = await begin_without_message(raw, "arbiter.v1.UserService/RevokeTokens", token)
        revoked = await finish(raw, other, user_pb2.RevokeTokensRequest(scope=user_pb2.REVOKE_SCOPE_ALL))
        late = await finish(raw, parked, LATE[method])
        assert (revoked["grpc-status"], late["grpc-status"]) == ("0", "16")


async def test_a_call_whose_message_is_late_is_made_as_the_account_is_by_then(served, connect_raw, eventually):
    seen = []

    async def who(message, request):
        seen.append(request.caller)
        return AuthResponse()

    served.unary = who
    served.admit = lambda *_: "before"
    served.server.admit_again = lambda request: "after"
    async with connect_raw(served.port) as raw:
        number = await begin_without_message(raw, UNARY)
        await eventually(lambda: served.server.waiting == 1)
        await finish(raw, number, AuthRequest())
        await unary(raw)
    assert seen == ["after", "before"]
    assert served.server.waiting == 0


async def test_a_message_right_behind_its_head_is_as_late_as_any_and_its_call_waits_no_more(autojump_clock):
    """It comes before the call's task has had its first turn."""
    seen = []

    async def follow(message, request):
        seen.append(request.caller)
        yield AuthResponse()
        await trio.sleep_forever()

    service = Service("test.Service")
    service.add_method("Stream", follow, RPCSignature(Cardinality.UNARY_STREAM, AuthRequest, AuthResponse))
    server = Server([service], lambda _request: "before", lambda: "id", admit_again=lambda _request: "after")
    async with connected(server) as peer:
        peer.greet()
        await trio.sleep(0.01)
        peer.call(1, STREAM)
        peer.connection._take_in(peer.pipe.taken_back())
        assert server.waiting == 1
        peer.connection._take_in(frame(frames.DATA, frames.END_STREAM, 1, framed(BODY)))
        await trio.sleep(0.01)
        assert seen == ["after"]
        assert (server.calls, server.waiting) == (1, 0)


async def test_calls_that_wait_for_their_message_hold_up_none_that_came_whole_and_no_stop(served, connect_raw, eventually):
    served.server.limits = ServerLimits(waiting=3, calls=3)
    served.server.never_refused = {("test.Service", "Stream")}
    async with connect_raw(served.port) as raw:
        for _ in range(3):
            await begin_without_message(raw, UNARY)
        await eventually(lambda: served.server.waiting == 3)
        refused = await begin_without_message(raw, UNARY)
        await raw.ended(refused)
        assert raw.header_blocks(refused)[-1]["grpc-status"] == "14"
        assert (await unary(raw))["grpc-status"] == "0"
        stop = await begin_without_message(raw, STREAM)
        assert (await finish(raw, stop, AuthRequest()))["grpc-status"] == "0"


async def test_nobody_may_leave_only_a_few_calls_waiting_and_not_for_long(served, connect_raw, eventually):
    served.server.limits = ServerLimits(strangers_waiting=2, strangers_body_seconds=0.2)
    served.admit = lambda *_: None
    async with connect_raw(served.port) as raw:
        waiting = [await begin_without_message(raw, UNARY) for _ in range(2)]
        await eventually(lambda: served.server.waiting == 2)
        refused = await begin_without_message(raw, UNARY)
        await raw.ended(refused)
        assert raw.header_blocks(refused)[-1]["grpc-status"] == "14"
        for number in waiting:
            await raw.ended(number)
            assert raw.header_blocks(number)[-1]["grpc-status"] == "4"
    await eventually(lambda: served.server.waiting == served.server.calls == 0)


async def test_a_hundred_calls_without_a_message_in_one_read_are_counted_as_they_come(served, connect_raw, eventually):
    served.server.limits = ServerLimits(strangers_waiting=16)
    served.admit = lambda *_: None
    async with connect_raw(served.port) as raw:
        numbers = [raw.begin(f"/{UNARY}") for _ in range(100)]
        await raw.send()
        for number in numbers[16:]:
            await raw.ended(number)
            assert raw.header_blocks(number)[-1]["arbiter-reason"] == "OVERLOADED"
        assert served.server.waiting == 16
        for number in numbers[:8]:
            raw.h2.reset_stream(number)
        await raw.send()
        await eventually(lambda: served.server.waiting == 8)
    await eventually(lambda: served.server.waiting == served.server.calls == 0)


async def test_nobody_is_read_a_long_or_packed_message_from(served, connect_raw):
    served.admit = lambda *_: None
    async with connect_raw(served.port) as raw:
        long = await begin_without_message(raw, UNARY)
        assert (await finish(raw, long, AuthRequest(api_key="x" * 9_000)))["grpc-status"] == "8"
        assert (await unary(raw, extra=(("grpc-encoding", "gzip"),)))["grpc-status"] == "12"
        assert (await unary(raw))["grpc-status"] == "0"


@pytest.mark.parametrize("deadline", ["0n", "1n", "0S"])
async def test_a_call_whose_deadline_has_passed_is_not_begun(served, connect_raw, deadline):
    begun = []

    async def note(message, request):
        begun.append(1)
        return AuthResponse()

    served.unary = note
    async with connect_raw(served.port) as raw:
        assert (await unary(raw, extra=(("grpc-timeout", deadline),)))["grpc-status"] == "4"
    assert begun == []


async def test_a_long_message_counts_as_many_requests_of_its_user(program, connect_raw):
    token = (("authorization", f"Bearer {program.token('pro')}"), ("grpc-encoding", "gzip"))
    async with connect_raw(program.port) as raw:
        number = raw.begin(f"/{PROFILE}", extra=token)
        raw.message(number, gzip.compress(b"\x0a" + bytes(4 * 2**20 - 1)), compressed=True)
        await raw.send()
        await raw.ended(number)
        for _ in range(3):
            raw.message(number := raw.begin(f"/{PROFILE}", extra=token), gzip.compress(bytes(4 * 2**20)), compressed=True)
            await raw.send()
            await raw.ended(number)
        refused = await unary(raw, PROFILE, extra=token)
        assert (refused["grpc-status"], refused["arbiter-reason"]) == ("8", "LIMIT_EXCEEDED")
        assert (await unary(raw, STOP, extra=token))["grpc-status"] == "0"
