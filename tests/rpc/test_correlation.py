"""One id from a call through everything that it causes: taken over or made, told in the trailers, in every log line, never mixed."""

import grpc
import pytest
import structlog.testing
import trio

from arbiter.domain.book import Side
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.rpc.client import ArbiterClient, UncertainError
from arbiter.runtime import caused_by, correlation
from arbiter.runtime.correlation import add_correlation, fit
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.patience import SECONDS
from tests.rpc.served import CORRELATION
from tests.rpc.whole_program import book

MICRO = 1_000_000
UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")


@pytest.fixture
def logged():
    """All that is logged, as dictionaries."""
    with structlog.testing.capture_logs([add_correlation]) as lines:
        yield lines


@pytest.fixture
def echo(served):
    """Handlers that answer with the id that they run under."""

    async def one(message, request):
        return AuthResponse(user_id=correlation.get())

    async def two(message, request):
        for _ in range(2):
            yield AuthResponse(user_id=correlation.get())
            await trio.lowlevel.checkpoint()

    served.unary, served.stream = one, two


async def id_and_trailer(official, *sent):
    """What a call that sent these ids ran under, and what its trailers told."""
    with trio.fail_after(SECONDS):
        metadata = tuple(("x-correlation-id", each) for each in sent)
        reply, call = await trio.to_thread.run_sync(lambda: official.with_call(UNARY, HELLO, metadata=metadata))
    return reply.user_id, dict(call.trailing_metadata())["x-correlation-id"]


@pytest.mark.parametrize("sent", ["a", "tg-17", "018f0000-0000-7000-8000-000000000001", "A.b:c_d-9", "x" * 64])
async def test_a_call_takes_over_the_id_that_its_client_sends_and_tells_it_in_the_trailers(served, echo, official, sent):
    assert await id_and_trailer(official, sent) == (sent, sent)


@pytest.mark.parametrize("sent", [(), ("",), ("x" * 65,), ("two words",), ("{evil}",), ("a", "b")])
async def test_without_an_id_that_may_stand_in_a_log_line_a_call_gets_a_new_one(served, echo, official, sent):
    assert await id_and_trailer(official, *sent) == (CORRELATION, CORRELATION)


async def test_a_stream_runs_under_its_id_and_tells_it_too(served, echo, official):
    call = official.stream(STREAM, HELLO, metadata=(("x-correlation-id", "mine"),))
    with trio.fail_after(SECONDS):
        replies = await trio.to_thread.run_sync(list, call)
    assert [reply.user_id for reply in replies] == ["mine", "mine"]
    assert dict(call.trailing_metadata())["x-correlation-id"] == "mine"


async def test_an_error_quotes_the_id_that_its_log_line_and_its_trailers_hold(served, official, logged):
    async def fail(message, request):
        raise ValueError("secret 42")

    served.unary = fail
    error = await official.refusal(UNARY, HELLO, metadata=(("x-correlation-id", "mine"),))
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error; quote mine when you report it")
    assert dict(error.trailing_metadata())["x-correlation-id"] == "mine"
    (line,) = [line for line in logged if line["log_level"] == "error"]
    assert (line["event"], line["correlation_id"]) == ("call failed", "mine")


async def test_our_client_sends_the_id_that_it_is_called_under(program, logged):
    with trio.fail_after(SECONDS):
        async with ArbiterClient.open(program.address, token=program.token("pro")) as client:
            with caused_by("tg-17"):
                await client.get_profile()
            await client.get_profile()
    first, second = [line["correlation_id"] for line in logged if line["event"] == "call"]
    assert first == "tg-17"
    assert fit(second), "a new one, made by the server"
    assert second != "tg-17"


@pytest.fixture
def place(program):
    """Place an order under an id, over a connection of its own."""

    async def place_one(user, correlation_id, outcome, price=460_000, tif=TimeInForce.IOC):
        with trio.fail_after(SECONDS), caused_by(correlation_id):
            async with ArbiterClient.open(program.address, token=program.token(user)) as client:
                return await client.place_order(outcome, Side.BUY, price, 10 * MICRO, idempotency_key="k", tif=tif)

    return place_one


async def test_two_orders_at_once_are_told_apart_in_the_log_lines_of_every_actor(program, place, logged):
    """Over real sockets. The journal writes for both, in one task and maybe in one commit."""
    orders = {}

    async def place_and_keep(user):
        orders[user] = await place(user, f"call-of-{user}", program.poly.yes_key)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(place_and_keep, "pro")
        nursery.start_soon(place_and_keep, "enterprise")
    for user, order in orders.items():
        assert order.state is OrderState.FILLED
        lines = [line for line in logged if line.get("correlation_id") == f"call-of-{user}"]
        told = [(line.get("actor", line.get("component")).rpartition("/")[2], line["event"]) for line in lines]
        assert told == [
            ("journal", "durable"),
            ("journal", "durable"),
            ("polymarket_desk", "order filled"),
            (user, "order placed"),
            ("grpc", "call"),
        ]
        assert {line["order"] for line in lines if "order" in line} == {order.order_id}
        assert {line["user"] for line in lines if "user" in line} == {user}


async def test_what_fills_an_order_later_is_not_told_under_the_id_of_the_call_that_placed_it(program, place, logged, eventually):
    order = await place("pro", "call-of-pro", program.kalshi.yes_key, 430_000, TimeInForce.GTC)
    assert order.state is OrderState.OPEN
    program.world.write(book(program.kalshi.yes_key, "0.40", "0.42"))
    await eventually(lambda: [line for line in logged if line["event"] == "order filled"])
    (filled,) = [line for line in logged if line["event"] == "order filled"]
    assert filled["order"] == order.order_id
    assert "correlation_id" not in filled


async def test_a_crash_is_told_under_the_id_of_the_call_that_it_happened_in(program, place, logged, monkeypatch):
    async def crash(desk, order):
        raise RuntimeError("it broke")

    monkeypatch.setattr("arbiter.actors.paper_desk.PaperDesk._submit", crash)
    with pytest.raises(UncertainError):
        await place("pro", "call-of-pro", program.poly.yes_key)
    (line,) = [line for line in logged if line["event"] == "child crashed"]
    assert line["child"].endswith("polymarket_desk")
    assert line["correlation_id"] == "call-of-pro"
