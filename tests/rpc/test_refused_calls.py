"""A connection whose calls bring no valid token: an honest client may lose its token under all of them, a flood is cut off."""

import pytest
import trio
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.errors import LimitExceeded, Unauthenticated
from arbiter.rpc import frames, server_connection
from arbiter.rpc.failures import WHAT
from arbiter.rpc.frames import Code, frame
from arbiter.rpc.messages import framed
from arbiter.rpc.server import Server
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.memory_server import connected, looked_after

UNARY = "test.Service/Unary"
HELLO = AuthRequest(api_key="hello")


@pytest.fixture
async def server():
    """It admits who sends no `x-error`, and raises that of the others."""
    errors = {"token": Unauthenticated("not valid"), "address": LimitExceeded(WHAT, 1000), "rate": LimitExceeded("requests", 1000)}

    def admit(request):
        sent = dict(request.custom_metadata).get("x-error")
        if sent:
            raise errors[sent]
        return "somebody"

    async def unary(message, request):
        if message.api_key == "wrong":
            raise Unauthenticated("the API key is not valid")
        return AuthResponse(user_id=message.api_key)

    service = Service("test.Service")
    service.add_method("Unary", unary, RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse))
    async with looked_after(Server([service], admit, lambda: "id")) as server:
        yield server


class Caller:
    def __init__(self, peer):
        self.peer = peer
        self.next = 1

    async def make_late(self, count):
        """So many calls whose messages come after their heads."""
        numbers = range(self.next, self.next + 2 * count, 2)
        for number in numbers:
            self.peer.call(number, UNARY)
        await trio.sleep(0.1)
        for number in numbers:
            self.peer.pipe.feed(frame(frames.DATA, frames.END_STREAM, number, framed(HELLO.SerializeToString())))
        self.next += 2 * count
        await trio.sleep(0.5)

    async def make_wrong(self, count):
        """So many calls that are let in, and prove nothing."""
        for _ in range(count):
            self.peer.call(self.next, UNARY, AuthRequest(api_key="wrong"))
            self.next += 2
        await trio.sleep(0.5)

    async def make(self, count, error=""):
        """So many calls at once, all answered unless the connection ended."""
        for _ in range(count):
            self.peer.call(self.next, UNARY, HELLO, extra=((b"x-error", error.encode()),) if error else ())
            self.next += 2
        await trio.sleep(0.5)

    def farewell(self):
        """The code of the GOAWAY, where one came."""
        for kind, _, _, payload in self.peer.frames():
            if kind == frames.GOAWAY:
                return Code(int.from_bytes(payload[4:8], "big"))
        return None


@pytest.mark.parametrize("error", ["token", "address"])
async def test_a_flood_of_calls_without_a_valid_token_is_cut_off(server, autojump_clock, error):
    async with connected(server) as peer:
        caller = Caller(peer)
        peer.greet()
        peer.pipe.feed(frames.window_update(0, 2**30))
        for _ in range(5):
            await caller.make(1_000, error)
        assert caller.farewell() is Code.ENHANCE_YOUR_CALM
        await trio.sleep(1)
        assert peer.pipe.closed


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param((b"x y", b"1"), id="no HTTP request"),
        pytest.param((b"content-type", b"text/plain"), id="no gRPC"),
        pytest.param((b"grpc-timeout", b"soon"), id="no deadline"),
        pytest.param((b"grpc-encoding", b"zip"), id="no compression"),
    ],
)
async def test_a_flood_of_what_is_no_call_is_cut_off_too(server, autojump_clock, extra):
    async with connected(server) as peer:
        caller = Caller(peer)
        peer.greet()
        peer.pipe.feed(frames.window_update(0, 2**30))
        for _ in range(5):
            for _ in range(1_000):
                peer.call(caller.next, UNARY, HELLO, extra=(extra,))
                caller.next += 2
            await trio.sleep(0.5)
        assert caller.farewell() is Code.ENHANCE_YOUR_CALM
        await trio.sleep(1)
        assert peer.pipe.closed


async def test_a_token_that_expires_under_a_thousand_calls_twice_ends_no_connection(server, autojump_clock):
    async with connected(server) as peer:
        caller = Caller(peer)
        peer.greet()
        peer.pipe.feed(frames.window_update(0, 2**30))
        for _ in range(10):
            await caller.make(1_000, "token")
            await caller.make(1_000, "token")
            await caller.make(1_000)
            assert peer.status(caller.next - 2) == 0
            for _ in range(30):  # the next token lives for a while
                await trio.sleep(1)
                await caller.make(1)
        assert caller.farewell() is None


async def test_calls_beyond_a_rate_with_a_valid_token_end_no_connection(server, autojump_clock):
    async with connected(server) as peer:
        caller = Caller(peer)
        peer.greet()
        peer.pipe.feed(frames.window_update(0, 2**30))
        for _ in range(5):
            await caller.make(1_000, "rate")
        assert caller.farewell() is None
        assert peer.status(caller.next - 2) == 8


async def test_a_few_calls_without_a_token_each_second_go_on_for_ever(server, autojump_clock):
    async with connected(server) as peer:
        caller = Caller(peer)
        peer.greet()
        peer.pipe.feed(frames.window_update(0, 2**30))
        for _ in range(120):
            await caller.make(server_connection.UNAUTHENTICATED_PER_SECOND // 2, "token")
        assert caller.farewell() is None


@pytest.mark.parametrize("late", [True, False], ids=["signed out before the message came", "wrong keys"])
async def test_calls_that_turn_out_to_bring_nothing_valid_once_their_message_is_there_are_counted_too(server, autojump_clock, late):
    def signed_out(request):
        raise Unauthenticated("ended")

    if late:
        server.admit_again = signed_out
    async with connected(server) as peer:
        caller = Caller(peer)
        peer.greet()
        peer.pipe.feed(frames.window_update(0, 2**30))
        make = caller.make_late if late else caller.make_wrong
        await make(1_000)
        assert peer.status(caller.next - 2) == 16
        assert caller.farewell() is None
        for _ in range(4):
            await make(1_000)
        assert caller.farewell() is Code.ENHANCE_YOUR_CALM
        await trio.sleep(1)
        assert peer.pipe.closed
