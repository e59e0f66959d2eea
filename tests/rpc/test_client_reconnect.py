"""A client whose server comes and goes: what it does by itself, what it never does twice, and what it says of what it cannot know."""

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.trading_state import TradingState
from arbiter.errors import StoreError
from arbiter.rpc.client import ArbiterClient, NotConnected, UnavailableError, UncertainError
from arbiter.rpc.client_link import FIRST_BACKOFF, LONGEST_BACKOFF, backoff
from arbiter.store.sqlite import InlineRunner, SqliteStore
from arbiter.watch import Screen, watch
from tests.rpc.shaky_proxy import ShakyProxy

MICRO = 1_000_000
SECONDS = 20


@pytest.fixture
async def proxy(program):
    async with ShakyProxy(program.port).running() as proxy:
        yield proxy


@pytest.fixture
def open_client(program, proxy):
    """A client behind the proxy, signed in."""

    @asynccontextmanager
    async def open_as(user="pro", **options):
        with trio.fail_after(SECONDS):
            async with ArbiterClient.open(proxy.address, random=Random(1), **options) as client:
                await client.authenticate(program.api_keys[user])
                yield client

    return open_as


def buy(client, program, key="k"):
    return client.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key=key)


async def until(ask, wanted=None):
    """Until another client is answered so; with anything at all, where nothing is named."""
    while not (answer := await ask()) or (wanted is not None and answer != wanted):  # noqa: ASYNC110 the server tells nobody
        await trio.sleep(0.01)


# -- reconnecting --


async def test_after_a_cut_the_next_call_connects_again(open_client, proxy):
    async with open_client() as client:
        for number in range(5):
            assert (await client.get_profile()).user == "pro"
            assert proxy.connections == number + 1
            proxy.cut()


async def test_calls_that_need_a_connection_at_once_share_one(open_client, proxy):
    async with open_client("enterprise") as client:
        proxy.cut()
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(client.get_profile)
        assert proxy.connections == 2


async def test_a_call_waits_for_a_server_that_comes_back_within_its_deadline(open_client, proxy):
    async with open_client() as client, trio.open_nursery() as nursery:
        proxy.down()
        nursery.start_soon(client.get_profile)
        await trio.sleep(0.3)
        proxy.up()
    assert proxy.connections == 2


async def test_a_server_that_stays_away_is_not_connected_at_the_deadline_and_nothing_was_begun(open_client, proxy, program):
    async with open_client(call_seconds=0.5) as client:
        proxy.down()
        for call in (client.get_profile, lambda: buy(client, program), lambda: client.set_arb_enabled(True)):
            began = trio.current_time()
            with pytest.raises(NotConnected, match="no Arbiter answers at") as caught:
                await call()
            assert not caught.value.begun
            assert 0.4 < trio.current_time() - began < 2
        assert not client.connected


async def test_a_server_behind_a_proxy_that_hangs_up_is_waited_for_too(open_client, proxy, program):
    async with open_client() as client, trio.open_nursery() as nursery:
        proxy.behind, behind = 1, proxy.behind
        proxy.cut()
        nursery.start_soon(client.get_profile)
        await trio.sleep(0.3)
        proxy.behind = behind


async def test_a_client_of_the_same_family_reconnects_with_it(open_client, proxy, program):
    async with open_client() as client:
        other = client.acting_as(program.token("free"))
        proxy.cut()
        assert (await other.get_profile()).user == "free"
        assert (await client.get_profile()).user == "pro"
        assert proxy.connections == 2


async def test_any_task_may_open_and_close_it_whatever_blocks_are_around(program):
    client = ArbiterClient(program.address, token=program.token("pro"))
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.connect)
        assert (await client.get_profile()).user == "pro"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.close)
        with pytest.raises(NotConnected):
            await client.get_profile()
        with trio.CancelScope() as scope:
            await client.connect()
            scope.cancel()
            await client.close()
        assert not client.connected


async def test_closing_ends_what_waits_for_a_connection(open_client, proxy):
    async with open_client() as client:
        proxy.down()

        async def wait():
            with pytest.raises(NotConnected, match="call connect"):
                await client.get_profile()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(0.1)
            await client.close()


async def test_a_client_that_is_not_persistent_tells_of_a_loss_and_does_nothing(open_client, proxy):
    async with open_client(persistent=False) as client:
        proxy.cut()
        await trio.sleep(0.05)
        for _ in range(2):
            with pytest.raises(NotConnected):
                await client.get_profile()
        assert proxy.connections == 1


async def test_a_restarted_server_is_found_again_with_the_same_sign_in(start_program, tmp_path):
    async def run(task_status):
        store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
        with trio.CancelScope() as scope:
            async with start_program(store) as program:
                task_status.started((program, scope))
                await stop.wait()
                stopped.set()

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            stop, stopped = trio.Event(), trio.Event()
            first, _ = await nursery.start(run)
            async with ShakyProxy(first.port).running() as proxy, ArbiterClient.open(proxy.address) as client:
                await client.authenticate(first.api_keys["pro"], keep_key=False)
                async with client.stream_orders() as changes:
                    assert (await anext(changes)).snapshot
                    order = await buy(client, first)
                    stop.set()
                    await stopped.wait()
                    stop, stopped = trio.Event(), trio.Event()
                    second, _ = await nursery.start(run)
                    proxy.behind = second.port
                    assert (await client.get_profile()).user == "pro"
                    assert (await buy(client, second)).order_id == order.order_id
                    while not (update := await anext(changes)).resumed:
                        pass
                    assert update.snapshot
                    assert changes.resumes == 1
                stop.set()


# -- what is never done twice, and what may be --


async def test_an_order_whose_answer_was_lost_is_asked_for_again_and_bought_once(open_client, proxy, program):
    async with open_client() as client:
        proxy.hold_answers()
        bought = []

        async def place():
            bought.append(await buy(client, program))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(place)
            async with ArbiterClient.open(program.address, token=program.token("pro")) as witness:
                await until(witness.get_positions)
            proxy.cut()
            proxy.release()
        assert [order.filled for order in bought] == [10 * MICRO]
        assert [position.size for position in await client.get_positions()] == [10 * MICRO]
        assert proxy.connections == 2


async def test_a_switch_whose_answer_was_lost_is_not_set_again(open_client, proxy, program):
    """Another may have set it back in between."""
    async with open_client() as client, ArbiterClient.open(program.address, token=program.token("pro")) as witness:
        proxy.hold_answers()

        async def enable():
            with pytest.raises(NotConnected) as caught:
                await client.set_arb_enabled(True)
            assert caught.value.begun

        async with trio.open_nursery() as nursery:
            nursery.start_soon(enable)
            await until(witness.list_strategies, {"arbitrage": True})
            await witness.set_arb_enabled(False)
            proxy.cut()
            proxy.release()
        assert await client.list_strategies() == {"arbitrage": False}


async def test_a_stop_whose_answer_was_lost_is_made_again(open_client, proxy, eventually):
    async with open_client() as client, trio.open_nursery() as nursery:
        proxy.hold_answers()
        reports = []

        async def stop():
            reports.append(await client.emergency_stop("test"))

        nursery.start_soon(stop)
        await trio.sleep(0.1)
        proxy.cut()
        proxy.release()
        await eventually(lambda: reports)
        assert reports[0].state is TradingState.HALTED


async def test_what_no_attempt_could_find_out_is_uncertain_not_merely_unconnected(open_client, proxy, program):
    async with open_client(call_seconds=0.8) as client, trio.open_nursery() as nursery:
        proxy.hold_answers()

        async def place():
            with pytest.raises(UncertainError, match="earlier attempt"):
                await buy(client, program)

        nursery.start_soon(place)
        await trio.sleep(0.2)
        proxy.down()


async def test_a_server_that_swallows_everything_is_uncertain_at_the_deadline(open_client, proxy, program):
    async with open_client(call_seconds=0.5) as client:
        proxy.hold_requests()
        with pytest.raises(UncertainError, match="no answer within"):
            await buy(client, program)


async def test_a_call_with_a_code_is_not_made_again(open_client, proxy, program):
    """Its code is used up."""
    async with open_client() as client, trio.open_nursery() as nursery:
        proxy.hold_answers()

        async def place():
            with pytest.raises(NotConnected):
                await buy(client.with_code("123456"), program)

        nursery.start_soon(place)
        await trio.sleep(0.2)
        proxy.cut()
        proxy.release()


async def test_a_server_that_goes_away_loses_no_call_of_a_busy_client(open_client):
    """It says GOAWAY: what it did not begin with goes to the next connection, money or not."""
    async with open_client("enterprise") as client:
        done = 0

        async def work():
            nonlocal done
            for _ in range(10):
                await client.get_profile()
                done += 1

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(work)
            for _ in range(5):
                await trio.sleep(0.01)
                client._calls.link._channel.going_away(client._calls.link._channel.wire.last, 0, "")
        assert done == 100


async def test_a_server_that_has_too_much_to_do_is_asked_again_in_a_moment(open_client, program, monkeypatch):
    behind = iter([True, True])
    async with open_client() as client:
        monkeypatch.setattr(program.arbiter.front.gate, "overloaded", lambda: next(behind, False))
        assert (await buy(client, program)).filled == 10 * MICRO
        assert next(behind, None) is None


async def test_a_part_that_is_away_is_told_at_once_and_nothing_was_begun(open_client, program, monkeypatch):
    async def full(_groups):
        raise StoreError("the store could not write: database or disk is full")

    async with open_client() as client:
        monkeypatch.setattr(program.store, "commit", full)
        with pytest.raises(UnavailableError) as caught:
            await client.update_settings(min_edge=20_000)
        assert (caught.value.begun, caught.value.reason) == (False, "STORE")


# -- pauses --


def test_pauses_grow_to_a_bound_and_are_never_the_same_for_all():
    spread = [[backoff(failures, Random(seed)) for seed in range(50)] for failures in range(40)]
    for failures, pauses in enumerate(spread):
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures, 10))
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) == 50
    assert backoff(10_000, Random(1)) <= LONGEST_BACKOFF


# -- what is built on it --


async def test_the_live_screen_outlives_a_loss(program, proxy, monkeypatch, eventually):
    screens = []
    made = Screen.__init__

    def noted(screen, address):
        made(screen, address)
        screens.append(screen)

    monkeypatch.setattr(Screen, "__init__", noted)
    async with trio.open_nursery() as nursery, ArbiterClient.open(program.address, token=program.token("pro")) as hand:
        nursery.start_soon(watch, proxy.address, program.api_keys["pro"])
        await eventually(lambda: screens and not screens[0].away and proxy.connections == 1)
        await buy(hand, program)
        await eventually(lambda: screens[0].positions)
        proxy.down()
        await eventually(lambda: screens[0].away)
        await hand.place_order(program.poly.yes_key, Side.SELL, 440_000, 10 * MICRO, idempotency_key="sell")
        proxy.up()
        await eventually(lambda: not screens[0].away and not screens[0].positions)
        nursery.cancel_scope.cancel()
