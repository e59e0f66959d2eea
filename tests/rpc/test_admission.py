"""What is refused before anything of it is begun, so that what is under way is answered in time."""

import time

import msgspec
import trio
import trio.lowlevel

from arbiter.rpc.server_limits import ServerLimits
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

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
