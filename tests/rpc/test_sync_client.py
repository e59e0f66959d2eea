"""The face for scripts without trio: it blocks, from several threads, and ends when it is told to."""

import os
import signal
import threading
import time
from functools import partial

import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.order import OrderState
from arbiter.rpc.client import AuthenticationError, NotConnected, NotFoundError, RateLimitError, UncertainError
from arbiter.rpc.sync_client import SyncArbiterClient
from arbiter.runtime.correlation import caused_by
from tests.rpc.shaky_proxy import ShakyProxy

MICRO = 1_000_000
SECONDS = 20


@pytest.fixture
def script(program):
    """Runs a function with a client in a thread, as a script would, while the program runs here."""

    async def run(work, *arguments, user="pro", address="", **options):
        def main():
            with SyncArbiterClient.open(address or program.address, **options) as client:
                client.authenticate(program.api_keys[user])
                return work(client, *arguments)

        with trio.fail_after(SECONDS):
            return await trio.to_thread.run_sync(main, abandon_on_cancel=True)

    return run


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "arbiter client"]


async def test_a_script_asks_buys_and_looks(script, program):
    def work(client):
        assert client.get_profile().user == "pro"
        order = client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
        assert order.state is OrderState.FILLED
        assert [each.order_id for each in client.list_orders()] == [order.order_id]
        return client.get_positions()

    (position,) = await script(work)
    assert position.size == 10 * MICRO
    assert threads() == []


async def test_a_stream_is_an_iterator_with_a_view(script, program):
    def work(client):
        with client.stream_positions() as changes:
            assert next(changes).snapshot
            assert changes.wait(0.05) is None
            client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
            for change in changes:
                assert change.positions[0].size == 10 * MICRO
                break
            assert (len(changes.view), changes.connected, changes.resumes) == (1, True, 0)
        with pytest.raises(StopIteration):
            next(changes)
        with client.stream_opportunities() as opportunities:
            program.world.open_gap()
            assert next(opportunities).state == "opened"

    await script(work)


async def test_it_reconnects_and_resumes_as_the_trio_client_does(script, program):
    async with ShakyProxy(program.port).running() as proxy:

        def work(client):
            with client.stream_positions() as changes:
                next(changes)
                trio.from_thread.run_sync(proxy.cut)
                assert next(changes).resumed
            trio.from_thread.run_sync(proxy.cut)
            assert client.get_profile().user == "pro"

        await script(work, address=proxy.address)


async def test_its_errors_are_those_of_the_trio_client(script, program):
    def work(client):
        with pytest.raises(AuthenticationError):
            client.authenticate("arb_x_y")
        with client.stream_positions() as one, client.stream_positions() as two:
            next(one), next(two)
            with client.stream_orders() as three, pytest.raises(RateLimitError):
                next(three)
        other = client.acting_as(program.token("pro"))
        assert other.get_profile().user == "pro"
        other.close()
        assert client.with_code("123456").get_profile().user == "free"

    await script(work, user="free")


async def test_several_threads_share_it(script):
    def work(client):
        seen = []

        def ask():
            for _ in range(20):
                seen.append(client.get_profile().user)

        workers = [threading.Thread(target=ask) for _ in range(5)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        return seen

    assert await script(work, user="enterprise") == ["enterprise"] * 100


async def test_closing_ends_what_another_thread_waits_for(script):
    def work(client):
        ended = []

        def wait():
            with client.stream_positions() as changes:
                next(changes)
                with pytest.raises(NotConnected) as caught:
                    next(changes)
                ended.append(caught.value.begun)

        waiter = threading.Thread(target=wait)
        waiter.start()
        time.sleep(0.3)
        client.close()
        waiter.join(5)
        assert ended == [True]
        with pytest.raises(NotConnected, match="call connect"):
            client.get_profile()
        client.connect()
        assert client.get_profile().user == "pro"

    await script(work)
    assert threads() == []


async def test_a_call_has_its_deadline(script, program):
    async with ShakyProxy(program.port).running() as proxy:

        def work(client):
            trio.from_thread.run_sync(proxy.hold_answers)
            with pytest.raises(UncertainError):
                client.get_profile()

        await script(work, address=proxy.address, call_seconds=0.3)


async def test_a_call_sends_the_correlation_id_of_its_thread(script, logged):
    def work(client):
        with caused_by("my-script-1"), pytest.raises(NotFoundError) as caught:
            client.get_order("nothing")
        return caught.value.correlation_id

    assert await script(work) == "my-script-1"


def test_where_nobody_listens_it_says_so_and_leaves_no_thread():
    for _ in range(3):
        with pytest.raises(NotConnected, match="no Arbiter answers"):
            SyncArbiterClient("127.0.0.1:1").connect()
    assert threads() == []


def test_a_client_that_is_not_connected_says_so():
    client = SyncArbiterClient("127.0.0.1:1")
    with pytest.raises(NotConnected, match="call connect"):
        client.get_profile()
    client.close()


def test_an_interrupt_ends_a_call_that_waits_and_the_client_goes_on():
    """Ctrl-C in the main thread, where a script waits for a server that takes the connection and says nothing."""
    served, stop = threading.Event(), threading.Event()
    address = []

    async def serve():
        from arbiter.rpc.listener import open_listener, port_of
        from arbiter.rpc.server import Server

        async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
            address.append(f"127.0.0.1:{port_of(listener)}")
            nursery.start_soon(partial(Server([never()], lambda *_: "somebody", lambda: "id").serve, listener))
            served.set()
            await trio.to_thread.run_sync(stop.wait)
            nursery.cancel_scope.cancel()

    server = threading.Thread(target=trio.run, args=(serve,))
    server.start()
    try:
        assert served.wait(SECONDS)
        with SyncArbiterClient.open(address[0], call_seconds=SECONDS) as client:
            for _ in range(2):
                timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
                timer.start()
                began = time.monotonic()
                with pytest.raises(KeyboardInterrupt):
                    client.get_profile()
                assert time.monotonic() - began < SECONDS / 2
                timer.join()
            assert client.connected
    finally:
        stop.set()
        server.join()
    assert threads() == []


def never():
    """A service whose GetProfile never answers."""
    from purerpc import Service
    from purerpc.rpc import Cardinality, RPCSignature

    from arbiter.v1.user_pb2 import ProfileRequest, ProfileResponse

    async def wait(message, request):
        await trio.sleep_forever()

    service = Service("arbiter.v1.UserService")
    service.add_method("GetProfile", wait, RPCSignature(Cardinality.UNARY_UNARY, ProfileRequest, ProfileResponse))
    return service
