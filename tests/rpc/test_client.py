"""ArbiterClient: typed results, an error for each reaction, and no call that waits for a server which is gone."""

import signal
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
import trio
import trio.testing

from arbiter import errors
from arbiter.domain.book import Side
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.rpc.client import (
    ArbiterClient,
    ArbiterClientError,
    AuthenticationError,
    InvalidRequestError,
    NotConnected,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
)
from arbiter.rpc.dial import connect
from arbiter.runtime import ActorStatus
from arbiter.runtime.group import LivingGroup
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

MICRO = 1_000_000
UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")


@pytest.fixture
def open_client(program):
    """A client of the whole program, signed in as one of its accounts."""

    @asynccontextmanager
    async def open_as(user="pro", **options):
        with trio.fail_after(20):
            async with ArbiterClient.open(program.address, **options) as client:
                await client.authenticate(program.api_keys[user])
                yield client

    return open_as


# -- typed results --


async def test_a_profile_is_typed(open_client):
    async with open_client() as client:
        profile = await client.get_profile()
    assert (profile.user, profile.name, profile.tier, profile.role, profile.suspended) == ("pro", "Pat", "pro", "trader", False)
    assert (profile.requests_per_second, profile.orders_per_minute, profile.min_edge) == (60, 60, 1_000)


async def test_settings_answer_with_what_is_in_force(open_client):
    async with open_client() as client:
        assert await client.update_settings(min_edge=20_000) == 20_000
        assert (await client.get_profile()).min_edge == 20_000


async def test_an_order_and_its_position_are_typed(open_client, program):
    async with open_client() as client:
        assert await client.get_positions() == []
        outcome = program.poly.yes_key
        order = await client.place_order(outcome, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
        assert (order.outcome, order.side, order.price, order.size, order.filled) == (outcome, Side.BUY, 460_000, 10 * MICRO, 10 * MICRO)
        assert order.state is OrderState.FILLED
        (position,) = await client.get_positions()
    assert (position.market_id, position.side, position.size, position.cost) == (program.poly.key.market, "long", 10 * MICRO, 4_600_000)
    assert position.mark_price == 450_000
    assert position.pnl == position.realised_pnl + position.unrealised_pnl < 0


async def test_a_resting_order_is_cancelled(open_client, program):
    async with open_client() as client:
        order = await client.place_order(program.kalshi.yes_key, Side.BUY, 300_000, MICRO, idempotency_key="k", tif=TimeInForce.GTC)
        assert order.state is OrderState.OPEN
        assert (await client.cancel_order(order.order_id)).state is OrderState.CANCELLED


async def test_markets_and_books_are_typed(open_client, program):
    async with open_client() as client:
        found = await client.search_markets("reds")
        assert {market.yes for market in found} == {program.poly.yes_key, program.kalshi.yes_key}
        market = await client.get_market("kalshi", program.kalshi.key.market)
        assert (market.title, market.no, market.tradable) == (program.kalshi.title, program.kalshi.no_key, True)
        book = await client.get_book(program.kalshi.yes_key)
        assert (book.bids[0].price, book.asks[0].price, book.fresh) == (440_000, 460_000, True)


async def test_the_arbitrage_switch_answers_with_what_is_in_force(open_client):
    async with open_client() as client:
        assert await client.list_strategies() == {"arbitrage": False}
        assert await client.set_arb_enabled(True) is True
        assert await client.list_strategies() == {"arbitrage": True}
        assert await client.set_arb_enabled(False) is False


async def test_opportunities_are_typed_from_opening_to_end(open_client, program):
    async with open_client() as client, client.stream_opportunities() as changes:
        program.world.open_gap()
        opened = await anext(changes)
        assert (opened.state, opened.pair, opened.title) == ("opened", "final", "The Reds win the final")
        assert [leg.outcome for leg in opened.legs] == [program.poly.yes_key, program.kalshi.no_key]
        assert opened.net > 0
        assert len(opened.ages_ms) == 2
        program.world.close_gap()
        closed = await anext(changes)
        while closed.state != "closed":
            closed = await anext(changes)
        assert closed.id == opened.id
        assert closed.reason


async def test_positions_stream_typed(open_client, program):
    async with open_client() as client, client.stream_positions() as updates:
        first = await anext(updates)
        assert (first.snapshot, first.positions, first.sequence) == (True, (), 1)
        await client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
        change = await anext(updates)
        assert (change.snapshot, change.positions[0].size) == (False, 10 * MICRO)


async def test_an_operator_lists_the_actors(open_client):
    async with open_client("operator") as client:
        actors = await client.list_actors()
    assert {actor.state for actor in actors} == {"running"}
    assert {"journal", "arb_scanner", "rpc"} <= {actor.name.rpartition("/")[2] for actor in actors}


async def test_an_operator_sees_all_that_is_known_of_an_actor(open_client, program):
    async with open_client("operator") as client:
        seen = {actor.name: actor for actor in await client.list_actors()}
    known = {status.name: status for status in program.arbiter.core.statuses()}
    assert list(seen) == list(known)
    accounts, rpc = (next(actor for name, actor in seen.items() if name.endswith(end)) for end in ("/accounts", "/rpc"))
    status = known[accounts.name]
    assert (accounts.handled, accounts.conflated, accounts.mailbox_depth) == (status.handled, 0, 0)
    assert (accounts.busy_us, accounts.longest_us, accounts.p99_us) == tuple(
        round(seconds * 1_000_000) for seconds in (status.busy_s, status.longest_s, status.p99_s)
    )
    assert accounts.histogram == status.histogram
    assert sum(accounts.histogram) == accounts.handled > 0
    assert (rpc.handled, rpc.histogram, rpc.p99_us) == (0, (), 0)


async def test_an_operator_sees_the_line_of_a_group_that_is_down(open_client, program, monkeypatch):
    statuses = program.arbiter.core.statuses()
    down = ActorStatus("root/core/inputs", "parked", 3, "SupervisorExhausted: too often", 0, 0, 0, 0.0, 0.0, 0.0, (), 0, "group")
    async with open_client("operator") as client:
        with monkeypatch.context() as patch:
            patch.setattr(LivingGroup, "statuses", lambda group: [statuses[0], down, *statuses[1:]])
            seen = await client.list_actors()
    assert [(each.name, each.kind) for each in seen[:3]] == [(statuses[0].name, "actor"), (down.name, "group"), (statuses[1].name, "actor")]
    assert (seen[1].state, seen[1].restarts, seen[1].last_error) == ("parked", 3, "SupervisorExhausted: too often")


async def test_an_operator_sees_what_ended_an_actor_and_that_it_came_back(open_client, program, logged, eventually, monkeypatch):
    async def crash(desk, order):
        raise RuntimeError("it broke")

    def desk(actors):
        (found,) = [actor for actor in actors if actor.name.endswith("/polymarket_desk")]
        return found

    monkeypatch.setattr("arbiter.actors.paper_desk.PaperDesk._submit", crash)
    async with open_client() as client:
        with pytest.raises(UncertainError):
            await client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
    await eventually(lambda: (now := desk(program.arbiter.core.statuses())).restarts and now.state == "running")
    async with open_client("operator") as client:
        actor = desk(await client.list_actors())
    assert (actor.state, actor.restarts, actor.last_error, actor.lost) == ("running", 1, "RuntimeError: it broke", 1)


async def test_many_calls_share_one_connection(open_client, program):
    async with open_client("enterprise") as client, trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(client.get_profile)
        assert program.arbiter.front.server.connections == 1


# -- an error for each reaction --


class Erring:
    """A client whose every call meets the same error of ours."""

    def __init__(self, served):
        self._served = served

    async def meet(self, error, kind):
        async def fail(message, request):
            raise error

        self._served.unary = fail
        with trio.fail_after(10):
            async with connect("127.0.0.1", self._served.port) as channel:
                with pytest.raises(ArbiterClientError) as caught:
                    await channel.unary(UNARY, HELLO, AuthResponse, (), 5)
        assert type(caught.value) is kind
        return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.Unauthenticated("no"), AuthenticationError),
        (errors.NotAllowed("no"), NotPermittedError),
        (errors.InvalidInput("size", "is odd"), InvalidRequestError),
        (errors.NotFound("no"), NotFoundError),
        (errors.Conflict("no"), RefusedError),
        (errors.RefusedByRisk("STALE_BOOK", "no"), RefusedError),
        (errors.StoreError("no"), UnavailableError),
        (errors.OrderUncertain("o"), UncertainError),
        (ZeroDivisionError(), ArbiterClientError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_each_error_of_the_server_is_met_as_its_class(served, error, kind, logged):
    met = await Erring(served).meet(error, kind)
    assert met.reason
    assert str(met)


async def test_a_limit_says_when_to_come_back(served):
    met = await Erring(served).meet(errors.LimitExceeded("too much", 750), RateLimitError)
    assert (met.retry_after_ms, met.reason) == (750, "LIMIT_EXCEEDED")


async def test_a_call_without_signing_in_is_an_authentication_error(program):
    async with ArbiterClient.open(program.address) as client:
        with pytest.raises(AuthenticationError):
            await client.get_profile()


async def test_a_wrong_api_key_is_an_authentication_error_and_keeps_the_token(open_client):
    async with open_client() as client:
        with pytest.raises(AuthenticationError, match="the API key is not valid"):
            await client.authenticate("arb_x_y")
        assert (await client.get_profile()).user == "pro"


async def test_a_refused_stream_raises_at_its_first_message(open_client):
    async with open_client("free") as client, client.stream_positions() as one, client.stream_positions() as two:
        await anext(one)
        await anext(two)
        async with client.stream_positions() as three:
            with pytest.raises(RateLimitError, match="2 streams are open already"):
                await anext(three)
        assert (await client.get_profile()).tier == "free"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        "localhost:",
        ":50051",
        "localhost:port",
        "localhost:65536",
        "localhost:99999999",
        "localhost:0",
        "http://localhost:1",
        "::1:50051",
    ],
)
def test_an_address_that_is_not_host_and_port_is_refused(address):
    with pytest.raises(ArbiterClientError, match="is not host:port"):
        ArbiterClient(address)


# -- deadlines --


async def test_a_call_past_its_deadline_is_uncertain_and_ends_on_the_server_too(served, eventually):
    async def never(message, request):
        await trio.sleep_forever()

    served.unary = never
    with trio.fail_after(10):
        async with connect("127.0.0.1", served.port) as channel:
            with pytest.raises(UncertainError) as caught:
                await channel.unary(UNARY, HELLO, AuthResponse, (), 0.1)
            assert caught.value.reason == "DEADLINE_EXCEEDED"
            await eventually(lambda: served.server.calls == 0)


@pytest.mark.parametrize("seconds", [0.0004, 0.5, 5, 98.9995, 123.456, 86_400.5])
async def test_every_deadline_is_sent_in_at_most_eight_digits(eventually, seconds):
    seen = []
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(_note_headers, listener, seen)
        async with connect("127.0.0.1", listener.socket.getsockname()[1]) as channel:
            nursery.start_soon(_call_in_vain, channel, seconds)
            await eventually(lambda: seen)
            nursery.cancel_scope.cancel()
    sent = seen[0]["grpc-timeout"]
    units = {"S": 1, "m": 1e-3, "u": 1e-6}
    assert len(sent) <= 9
    assert max(seconds, 0.001) - 0.001 <= int(sent[:-1]) * units[sent[-1]] <= seconds + 1


async def _call_in_vain(channel, seconds):
    try:
        await channel.unary(UNARY, HELLO, AuthResponse, (), seconds)
    except ArbiterClientError:
        await trio.sleep_forever()


async def _note_headers(listener, seen):
    async with await listener.accept() as stream:
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        server.initiate_connection()
        await stream.send_all(server.data_to_send())
        while data := await stream.receive_some():
            seen += [dict(e.headers) for e in server.receive_data(bytes(data)) if isinstance(e, h2.events.RequestReceived)]


# -- leaving --


class Quiet:
    """A stream that says a few things and then waits."""

    def __init__(self, messages=1):
        self.inside, self.messages = 0, messages

    async def __call__(self, message, request):
        self.inside += 1
        try:
            for number in range(self.messages):
                yield AuthResponse(user_id=str(number))
            await trio.sleep_forever()
        finally:
            self.inside -= 1


async def test_leaving_a_stream_resets_it_on_the_server_and_the_connection_goes_on(served, eventually):
    quiet = served.stream = Quiet()
    with trio.fail_after(10):
        async with connect("127.0.0.1", served.port) as channel:
            async with channel.stream(STREAM, HELLO, AuthResponse, (), lambda reply: reply) as replies:
                assert (await anext(replies)).user_id == "0"
                assert quiet.inside == 1
            await eventually(lambda: quiet.inside == served.server.calls == 0)
            assert served.server.connections == 1
            assert (await channel.unary(UNARY, HELLO, AuthResponse, (), 5)).user_id == "hello"


async def test_leaving_a_stream_while_more_of_it_arrives_harms_nothing(served, eventually):
    """Messages of one batch are on their way when the reader has had enough of the first."""
    served.stream = Quiet(messages=300)
    with trio.fail_after(20):
        async with connect("127.0.0.1", served.port) as channel:
            for _ in range(20):
                async with channel.stream(STREAM, HELLO, AuthResponse, (), lambda reply: reply) as replies:
                    await anext(replies)
                assert (await channel.unary(UNARY, HELLO, AuthResponse, (), 5)).user_id == "hello"
            await eventually(lambda: served.server.calls == 0)


async def test_a_call_cancelled_by_its_caller_is_reset_on_the_server(served, eventually):
    async def never(message, request):
        await trio.sleep_forever()

    served.unary = never
    with trio.fail_after(10):
        async with connect("127.0.0.1", served.port) as channel, trio.open_nursery() as nursery:
            nursery.start_soon(channel.unary, UNARY, HELLO, AuthResponse, (), 60)
            await eventually(lambda: served.server.calls == 1)
            nursery.cancel_scope.cancel()
        await eventually(lambda: served.server.calls == served.server.connections == 0)


async def test_fifty_streams_left_at_once_leave_nothing_on_either_side(served, eventually):
    quiet = served.stream = Quiet()
    with trio.fail_after(20):
        async with connect("127.0.0.1", served.port) as channel:

            async def look():
                async with channel.stream(STREAM, HELLO, AuthResponse, (), lambda reply: reply) as replies:
                    await anext(replies)

            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(look)
            await eventually(lambda: quiet.inside == served.server.calls == 0)
            assert channel.wire.streams == {}


async def test_closing_the_client_ends_its_calls_on_the_server(program, open_client, eventually):
    async with open_client() as client, client.stream_positions() as updates:
        await anext(updates)
        await client.close()
        with pytest.raises(NotConnected):
            await anext(updates)
    await eventually(lambda: program.arbiter.front.server.connections == 0)


# -- no server --


async def test_where_nobody_listens_the_client_is_not_connected():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(NotConnected, match=f"no Arbiter answers at 127.0.0.1:{port}"):
        await ArbiterClient(f"127.0.0.1:{port}").connect()


async def test_a_client_that_is_not_connected_says_so():
    client = ArbiterClient("127.0.0.1:1")
    with pytest.raises(NotConnected, match=r"call connect\(\) first"):
        await client.get_profile()
    await client.close()


@pytest.mark.parametrize("talk", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64, b"SSH-2.0-OpenSSH\r\n"], ids=["http1", "zeros", "ssh"])
async def test_a_peer_that_is_no_grpc_server_is_not_connected(talk):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def talk_back():
        async with await listener.accept() as stream:
            await stream.send_all(talk)
            await stream.receive_some()

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(talk_back)
        with trio.fail_after(10):
            client = ArbiterClient(f"127.0.0.1:{listener.socket.getsockname()[1]}")
            with pytest.raises(NotConnected, match="lost before it began"):
                await client.connect()
            with pytest.raises(NotConnected, match=r"call connect\(\) first"):
                await client.get_profile()
        nursery.cancel_scope.cancel()


async def test_a_call_that_the_server_resets_is_not_waited_for():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def reset_all():
        async with await listener.accept() as stream:
            server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            server.initiate_connection()
            await stream.send_all(server.data_to_send())
            while data := await stream.receive_some():
                for event in server.receive_data(bytes(data)):
                    if isinstance(event, h2.events.RequestReceived):
                        server.reset_stream(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
                await stream.send_all(server.data_to_send())

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(reset_all)
        with trio.fail_after(5):
            async with connect("127.0.0.1", listener.socket.getsockname()[1]) as channel:
                with pytest.raises(ArbiterClientError):
                    await channel.unary(UNARY, HELLO, AuthResponse, (), 60)
        nursery.cancel_scope.cancel()


SERVER = textwrap.dedent(
    """
    import sys, trio
    from purerpc import Service
    from purerpc.rpc import Cardinality, RPCSignature
    from arbiter.rpc.listener import open_listener, port_of
    from arbiter.rpc.server import Server
    from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

    async def never(message, request):
        await trio.sleep_forever()

    async def quiet(message, request):
        yield AuthResponse(user_id="first")
        await trio.sleep_forever()

    async def main():
        service = Service("test.Service")
        service.add_method("Unary", never, RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse))
        service.add_method("Stream", quiet, RPCSignature(Cardinality.UNARY_STREAM, AuthRequest, AuthResponse))
        server = Server([service], lambda *_: "somebody", lambda: "id")
        listener = await open_listener("localhost", 0)
        print(port_of(listener), flush=True)
        await server.serve(listener)

    trio.run(main)
    """
)


async def test_a_server_killed_in_mid_call_ends_every_call_at_once():
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220 it is only begun
        try:
            port = int(await trio.to_thread.run_sync(process.stdout.readline))
            ended = []

            async def call(channel):
                with pytest.raises(NotConnected):
                    await channel.unary(UNARY, HELLO, AuthResponse, (), 60)
                ended.append("unary")

            async def follow(channel):
                async with channel.stream(STREAM, HELLO, AuthResponse, (), lambda reply: reply) as replies:
                    await anext(replies)
                    process.send_signal(signal.SIGKILL)
                    with pytest.raises(NotConnected):
                        await anext(replies)
                ended.append("stream")

            with trio.fail_after(10):
                async with connect("127.0.0.1", port) as channel:
                    async with trio.open_nursery() as nursery:
                        for _ in range(5):
                            nursery.start_soon(call, channel)
                        await trio.testing.wait_all_tasks_blocked(0.01)
                        nursery.start_soon(follow, channel)
                    with pytest.raises(NotConnected):
                        await channel.unary(UNARY, HELLO, AuthResponse, (), 60)
                    ended.append("later")
            assert sorted(ended) == ["later", "stream"] + ["unary"] * 5
        finally:
            process.kill()


async def test_a_lost_connection_never_cancels_the_code_around_it(served):
    """The peer resets the connection while the client writes: its block goes on, and each call tells."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        async with connect("127.0.0.1", listener.socket.getsockname()[1]) as channel:
            stream = await listener.accept()
            stream.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER 0: closing resets
            await stream.aclose()
            refused = 0
            with trio.fail_after(10):
                for _ in range(3):
                    with pytest.raises(NotConnected):
                        await channel.unary(UNARY, AuthRequest(api_key="x" * 500_000), AuthResponse, (), 60)
                    refused += 1
                    await trio.testing.wait_all_tasks_blocked(0.01)
        assert refused == 3


async def test_after_a_loss_connect_makes_a_new_connection_with_the_same_token(open_client, program, eventually):
    async with open_client() as client:
        async with client.stream_positions() as updates:
            await anext(updates)
            await client.connect()
            with pytest.raises(NotConnected):
                await anext(updates)
        assert (await client.get_profile()).user == "pro"
        await client.close()
        with pytest.raises(NotConnected):
            await client.get_profile()
        await client.connect()
        assert (await client.get_profile()).user == "pro"
    await eventually(lambda: program.arbiter.front.server.connections == 0)
