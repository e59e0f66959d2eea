"""A connection whose calls are too many: each gets its proper status, cheaply, and other connections' calls do not wait for them."""

import pytest
import trio
from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.errors import LimitExceeded
from arbiter.rpc import frames
from arbiter.rpc.call_head import CallHead
from arbiter.rpc.failures import WHAT
from arbiter.rpc.frames import frame
from arbiter.rpc.over_limit import BARRED_SECONDS, CALLS_A_TURN, REFUSALS_FOR_A_CALL, OverLimit
from arbiter.rpc.server import Server
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.memory_server import connected, looked_after
from tests.rpc.wires import data, headers
from tests.rpc.wires import server as server_wire

UNARY = "test.Service/Unary"
SPENT = (b"x-spent", b"yes")
RETRY_MS = 15


class Told:
    """A server, and what it did."""

    def __init__(self):
        self.asked = []
        """The services of calls that the gate decided on."""
        self.ran = []
        """Whose calls ran, in order."""
        self.what = "requests"
        ids = iter(range(1_000_000))
        services = [self._service(name) for name in ("test.Service", "test.Operators")]
        self.server = Server(services, self._admit, lambda: f"id-{next(ids)}", always_asked={"test.Operators"})

    def _service(self, name):
        service = Service(name)
        service.add_method("Unary", self._unary, RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse))
        return service

    def _admit(self, request):
        self.asked.append(request.service_name)
        if ("x-spent", "yes") in request.custom_metadata:
            raise LimitExceeded(self.what, RETRY_MS)
        return "somebody"

    async def _unary(self, message, request):
        self.ran.append(message.api_key)
        return AuthResponse(user_id=message.api_key)


@pytest.fixture
async def told():
    told = Told()
    async with looked_after(told.server):
        yield told


def begin(peer, numbers, whose="", extra=(), path=UNARY):
    for number in numbers:
        peer.call(number, path, AuthRequest(api_key=whose), extra=extra)


def trailers(peer, number):
    (block,) = [block for kind, _, stream, block in peer.frames() if (kind, stream) == (frames.HEADERS, number)]
    return block


async def test_each_call_over_the_limit_gets_its_status_with_the_time_to_wait_and_its_own_id(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, range(1, 21, 2), extra=[SPENT])
        await trio.sleep(0.01)
        blocks = [trailers(peer, number) for number in range(1, 21, 2)]
        assert len({block.pop(b"x-correlation-id") for block in blocks}) == 10
        first = blocks[0]
        assert (first[b"grpc-status"], first[b"arbiter-reason"], first[b"retry-after-ms"]) == (b"8", b"LIMIT_EXCEEDED", b"15")
        assert first.keys() >= {b":status", b"content-type", b"grpc-message", b"grpc-status-details-bin"}
        assert blocks == [first] * 10  # with all its details
        assert (len(told.asked), told.ran) == (1, [])


async def test_a_refused_call_keeps_the_id_that_its_client_gave_it(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1, 3), extra=[SPENT, (b"x-correlation-id", b"mine")])
        await trio.sleep(0.01)
        assert [trailers(peer, number)[b"x-correlation-id"] for number in (1, 3)] == [b"mine", b"mine"]


async def test_the_gate_is_not_asked_again_before_there_can_be_room_and_is_then(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, range(1, 101, 2), extra=[SPENT])
        await trio.sleep((RETRY_MS - 3) / 1000)
        begin(peer, (101,), extra=[SPENT])
        await trio.sleep(0.001)
        assert len(told.asked) == 1
        await trio.sleep(0.002)
        begin(peer, (103,), extra=[SPENT])
        await trio.sleep(0.001)
        assert len(told.asked) == 2
        assert peer.status(103) == 8


async def test_a_refusal_for_long_is_looked_at_again_soon(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1,), extra=[SPENT])
        await trio.sleep(BARRED_SECONDS + 0.001)
        begin(peer, (3,), extra=[SPENT])
        await trio.sleep(0.001)
        assert len(told.asked) == 2


async def test_another_call_of_the_same_connection_is_decided_on_for_itself(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1, 3), extra=[SPENT])
        begin(peer, (5,), "another user of a proxy")
        await trio.sleep(0.01)
        assert [peer.status(number) for number in (1, 3, 5)] == [8, 8, 0]


async def test_the_gate_hears_of_each_call_of_a_service_that_it_keeps_records_of(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1, 3, 5), extra=[SPENT], path="test.Operators/Unary")
        await trio.sleep(0.01)
        assert [peer.status(number) for number in (1, 3, 5)] == [8, 8, 8]
        assert len(told.asked) == 3


async def test_the_gate_hears_of_each_call_with_a_failed_sign_in(told, autojump_clock):
    told.what = WHAT
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1, 3, 5), extra=[SPENT])
        await trio.sleep(0.01)
        assert len(told.asked) == 3


async def test_the_calls_of_a_connection_over_its_limit_do_not_hold_up_those_of_another(told, autojump_clock):
    async with connected(told.server) as loud, connected(told.server) as other:
        loud.greet()
        other.greet()
        begin(loud, (1,), extra=[SPENT])
        await trio.sleep(0.01)
        for turn in range(5):
            told.ran.clear()
            begin(loud, range(101 + 200 * turn, 141 + 200 * turn, 2), "loud")
            begin(other, (1 + 2 * turn,), "other")
            await trio.sleep(0.01)
            assert len(told.ran) == 21
            assert told.ran.index("other") <= 2


async def test_nor_do_the_calls_of_one_that_brings_very_many_at_once(told, autojump_clock):
    async with connected(told.server) as loud, connected(told.server) as other:
        loud.greet()
        other.greet()
        await trio.sleep(0.01)
        begin(loud, range(1, 1601, 2), "loud")
        begin(other, (1,), "other")
        await trio.sleep(0.1)
        assert len(told.ran) == 801
        assert told.ran.index("other") <= 3 * CALLS_A_TURN


async def test_a_second_after_its_last_refusal_a_connection_is_as_any_other(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1,), extra=[SPENT])
        await trio.sleep(0.01)
        begin(peer, (3,))
        await trio.sleep(0.01)
        assert peer.connection._over_limit.over
        await trio.sleep(1.1)
        begin(peer, (5,))
        await trio.sleep(0.01)
        assert not peer.connection._over_limit.over


async def test_the_answers_of_one_read_leave_together(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1,), extra=[SPENT])
        await trio.sleep(0.01)
        writes = []
        send = peer.pipe.send
        peer.pipe.send = lambda sent: (writes.append(len(sent)), send(sent))[1]
        begin(peer, range(3, 23, 2), "loud")
        await trio.sleep(0.01)
        assert all(peer.status(number) == 0 for number in range(3, 23, 2))
        assert len(writes) <= 2


async def test_what_is_published_while_answers_wait_for_each_other_leaves_with_them(told, autojump_clock):
    async with connected(told.server) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(told.server.flusher.run)
        peer.greet()
        begin(peer, (1,), extra=[SPENT])
        await trio.sleep(0.01)
        begin(peer, range(3, 43, 2), "loud")
        while not told.ran:
            await trio.lowlevel.checkpoint()
        peer.connection.wire.ping()
        peer.connection.soon_with_others()
        while len(told.ran) < 10:
            await trio.lowlevel.checkpoint()
        assert frames.PING not in peer.kinds()
        await trio.sleep(0.01)
        assert frames.PING in peer.kinds()
        nursery.cancel_scope.cancel()


async def test_what_waits_for_its_turn_when_the_server_goes_away_is_told_that_it_was_not_begun(told, autojump_clock):
    async with connected(told.server) as peer:
        peer.greet()
        begin(peer, (1,), extra=[SPENT])
        await trio.sleep(0.01)
        numbers = range(3, 203, 2)
        begin(peer, numbers, "loud")
        while not told.ran:
            await trio.lowlevel.checkpoint()
        peer.connection.go_away()
        await trio.sleep(0.1)
        (told_last,) = [int.from_bytes(payload[:4], "big") for kind, _, _, payload in peer.frames() if kind == frames.GOAWAY]
        assert 3 <= told_last < 201
        assert {peer.status(number) for number in numbers if number <= told_last} == {0}
        assert all(peer.kinds(number) == [frames.RST_STREAM] for number in numbers if number > told_last)
        assert len(told.ran) == (told_last - 1) // 2


def test_a_turn_of_a_connection_over_its_limit_is_one_call_or_as_many_refusals_as_cost_the_same():
    over = OverLimit()
    over.begin_turn(0.0)
    assert [over.begin_call() for _ in range(CALLS_A_TURN)] == [False] * (CALLS_A_TURN - 1) + [True]
    over.refused(CallHead(), LimitExceeded("requests", RETRY_MS), (None, ()), bar=False)
    over.begin_turn(0.1)
    assert over.begin_call()
    over.begin_turn(0.2)
    assert [over.refused_again() for _ in range(REFUSALS_FOR_A_CALL)] == [False] * (REFUSALS_FOR_A_CALL - 1) + [True]


async def test_behind_refusals_of_others_through_the_same_proxy_a_call_waits_few_turns(told, autojump_clock):
    async with connected(told.server) as proxy:
        proxy.greet()
        begin(proxy, (1,), extra=[SPENT])
        await trio.sleep(0.001)
        turns = 0
        receive = proxy.connection.wire.receive

        def counted(received, now):
            nonlocal turns
            turns += 1
            return receive(received, now)

        proxy.connection.wire.receive = counted
        begin(proxy, range(3, 163, 2), extra=[SPENT])
        begin(proxy, (163,), "another user")
        while not told.ran:
            await trio.lowlevel.checkpoint()
        assert turns <= 80 / REFUSALS_FOR_A_CALL + 1


def test_a_wire_opens_no_more_calls_once_it_is_full_and_keeps_the_rest():
    heard = server_wire()
    opened = heard.opened

    def only_two(number, block, ended):
        opened(number, block, ended)
        heard.wire.full = len(heard.wire.streams) == 2

    heard.opened = only_two
    request = b"".join(headers(number) + data(number, b"x", end=True) for number in (1, 3, 5))
    assert heard.wire.receive(request + frame(frames.PING, 0, 0, b"12345678"), 0.0)
    assert sorted(heard.wire.streams) == [1, 3]
    assert all(stream.ended_there for stream in heard.wire.streams.values())
    assert not heard.wire.receive(b"", 0.0)
    assert sorted(heard.wire.streams) == [1, 3, 5]
    assert frames.PING in [kind for kind, *_ in heard.sent()]
