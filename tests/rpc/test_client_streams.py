"""Streams over connections that are lost: nothing is missed, nothing is told wrongly, and the view is what the server has."""

from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
import trio

from arbiter.domain.book import Side
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.rpc.client import ArbiterClient, AuthenticationError, InvalidRequestError, NotConnected, RateLimitError, RefusedError
from arbiter.rpc.client_streams import LOST_TRACK, OpportunityChanges
from arbiter.v1 import strategy_pb2
from tests.rpc.shaky_proxy import ShakyProxy

MICRO = 1_000_000
SECONDS = 30


@pytest.fixture
async def proxy(program):
    async with ShakyProxy(program.port).running() as proxy:
        yield proxy


@pytest.fixture
def open_client(program, proxy):
    @asynccontextmanager
    async def open_as(user="enterprise", **options):
        with trio.fail_after(SECONDS):
            async with ArbiterClient.open(proxy.address, random=Random(1), **options) as client:
                await client.authenticate(program.api_keys[user])
                yield client

    return open_as


@asynccontextmanager
async def direct(program, user="enterprise"):
    """A client that the proxy does not harm."""
    async with ArbiterClient.open(program.address, token=program.token(user)) as client:
        yield client


def rest(client, outcome, key):
    """An order that waits in the book."""
    return client.place_order(outcome, Side.BUY, 300_000, MICRO, idempotency_key=key, tif=TimeInForce.GTC)


# -- each stream goes on --


async def test_positions_go_on_with_what_was_missed(open_client, proxy, program):
    async with open_client() as client, direct(program) as hand, client.stream_positions() as changes:
        assert (await anext(changes)).snapshot
        assert (changes.connected, changes.resumes, changes.view) == (True, 0, {})
        proxy.cut()
        await hand.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
        update = await anext(changes)
        assert (update.resumed, update.snapshot, changes.resumes) == (True, False, 1)
        assert changes.view[program.poly.yes_key].size == 10 * MICRO
        proxy.cut()
        await hand.place_order(program.poly.yes_key, Side.SELL, 440_000, 10 * MICRO, idempotency_key="l")
        assert (await anext(changes)).resumed
        assert changes.view == {}


async def test_that_nothing_was_missed_is_told_too(open_client, proxy):
    async with open_client() as client, client.stream_positions() as changes:
        await anext(changes)
        proxy.cut()
        update = await anext(changes)
        assert (update.resumed, update.snapshot, update.positions) == (True, False, ())


async def test_orders_go_on_with_the_end_of_those_that_ended(open_client, proxy, program):
    async with open_client() as client, direct(program) as hand, client.stream_orders() as changes:
        await anext(changes)
        order = await rest(hand, program.kalshi.yes_key, "a")
        while order.order_id not in changes.view:
            await anext(changes)
        proxy.cut()
        await hand.cancel_order(order.order_id)
        update = await anext(changes)
        assert update.resumed
        assert [(each.order_id, each.state) for each in update.orders] == [(order.order_id, OrderState.CANCELLED)]
        assert changes.view == {}


async def test_books_go_on(open_client, proxy, program):
    wanted = (program.kalshi.yes_key, program.poly.yes_key)
    async with open_client() as client, client.stream_book(wanted) as changes:
        await anext(changes)
        assert set(changes.view) == set(wanted)
        proxy.cut()
        program.world.open_gap("0.50", "0.52")
        while changes.view[program.kalshi.yes_key].bids[0].price != 500_000:
            await anext(changes)
        assert changes.resumes == 1


async def test_an_opportunity_has_one_beginning_and_one_end_over_lost_connections(open_client, proxy, program):
    async with open_client() as client, client.stream_opportunities() as changes:
        program.world.open_gap()
        opened = await anext(changes)
        assert (opened.state, list(changes.view)) == ("opened", [opened.id])
        proxy.cut()
        program.world.open_gap("0.62", "0.64")
        after = await anext(changes)
        while after.net_per_contract == opened.net_per_contract:
            after = await anext(changes)
        assert (after.id, after.state) == (opened.id, "updated")
        proxy.cut()
        program.world.close_gap()
        ended = await anext(changes)
        while ended.state == "updated":
            ended = await anext(changes)
        assert (ended.id, ended.state, changes.view) == (opened.id, "closed", {})


async def test_where_the_server_has_lost_track_what_was_open_ends_and_begins_again(open_client, proxy, program):
    async with open_client() as client, client.stream_opportunities() as changes:
        program.world.open_gap()
        opened = await anext(changes)
        changes._cursor.epoch += 1  # as of a server that has started anew
        proxy.cut()
        ended, again = await anext(changes), await anext(changes)
        while ended.state == "updated":
            ended, again = again, await anext(changes)
        assert (ended.id, ended.state, ended.reason) == (opened.id, "closed", LOST_TRACK)
        assert (again.id, again.state) == (opened.id, "opened")


async def test_a_silent_server_is_seen_through_and_the_stream_goes_on_elsewhere(open_client, proxy, program, monkeypatch, eventually):
    monkeypatch.setattr("arbiter.rpc.channel.SILENT_SECONDS", 0.2)
    monkeypatch.setattr("arbiter.rpc.channel.PONG_SECONDS", 0.2)
    async with open_client() as client, direct(program) as hand, client.stream_positions() as changes:
        await anext(changes)
        proxy.hold_answers()
        await hand.place_order(program.poly.yes_key, Side.BUY, 460_000, 10 * MICRO, idempotency_key="k")
        await eventually(lambda: not changes.connected)
        proxy.release()
        assert (await anext(changes)).resumed
        assert changes.view[program.poly.yes_key].size == 10 * MICRO
        assert proxy.connections == 2


async def test_it_waits_without_end_for_a_server_that_was_there(open_client, proxy):
    async with open_client(call_seconds=0.2) as client, client.stream_positions() as changes:
        await anext(changes)
        proxy.down()
        with trio.move_on_after(1) as waited:
            await anext(changes)
        assert waited.cancelled_caught
        assert not changes.connected
        proxy.up()
        assert (await anext(changes)).resumed
        assert changes.connected


# -- what ends one --


async def test_a_server_that_is_away_when_it_begins_is_waited_for_as_long_as_a_call_is(open_client, proxy):
    async with open_client(call_seconds=0.4) as client:
        proxy.down()
        async with client.stream_positions() as changes:
            with pytest.raises(NotConnected):
                await anext(changes)


async def test_what_the_server_refuses_is_raised(open_client, program):
    async with open_client("free") as client:
        async with client.stream_book([]) as changes:
            with pytest.raises(InvalidRequestError):
                await anext(changes)
        async with client.stream_positions() as one, client.stream_positions() as two:
            await anext(one)
            await anext(two)
            async with client.stream_positions() as three:
                with pytest.raises(RateLimitError):
                    await anext(three)


async def test_one_stream_too_many_after_a_loss_waits_until_the_server_has_seen_the_loss(open_client, proxy, program):
    async with open_client("free") as client, client.stream_positions() as one, client.stream_positions() as two:
        await anext(one)
        await anext(two)
        async with direct(program, "free") as other:
            proxy.down()
            await trio.sleep(0.2)
            async with other.stream_positions() as third, other.stream_orders() as fourth:
                await anext(third)
                await anext(fourth)
                proxy.up()
                with trio.move_on_after(0.5) as waited:
                    await anext(one)
                assert waited.cancelled_caught
        assert (await anext(one)).resumed
        assert (await anext(two)).resumed


async def test_without_a_sign_in_it_ends(program):
    async with ArbiterClient.open(program.address) as client, client.stream_positions() as changes:
        with pytest.raises(AuthenticationError):
            await anext(changes)


async def test_leaving_it_ends_it_on_the_server_and_nothing_more_comes(open_client, program, eventually):
    async with open_client() as client:
        async with client.stream_positions() as changes:
            await anext(changes)
        with pytest.raises(StopAsyncIteration):
            await anext(changes)
        await eventually(lambda: program.arbiter.front.server.calls == 0)


async def test_a_client_that_is_not_persistent_ends_it_at_the_loss(open_client, proxy):
    async with open_client(persistent=False) as client, client.stream_positions() as changes:
        await anext(changes)
        proxy.cut()
        with pytest.raises(NotConnected):
            await anext(changes)


def test_of_an_opportunity_that_it_never_knew_it_tells_no_end():
    changes = OpportunityChanges.__new__(OpportunityChanges)
    changes.view, told = {}, []
    changes._told = told
    message = strategy_pb2.ArbOpportunity(opportunity_id="a", state=strategy_pb2.OPPORTUNITY_STATE_CLOSED)
    changes._apply(message, True)
    assert told == []


# -- at random --


@pytest.mark.parametrize("seed", range(4))
async def test_however_the_connection_fares_every_view_is_in_the_end_what_the_server_has(open_client, proxy, program, eventually, seed):
    random, markets = Random(seed), (program.poly.yes_key, program.kalshi.yes_key)
    async with (
        open_client() as client,
        direct(program) as hand,
        client.stream_positions() as positions,
        client.stream_orders() as orders,
        client.stream_book(markets) as books,
        client.stream_opportunities() as opportunities,
    ):
        life = {}
        done = trio.Event()

        async def follow(changes):
            async for _ in changes:
                pass

        async def follow_opportunities():
            async for change in opportunities:
                known = life.get(change.id) in ("opened", "updated")
                assert known is (change.state != "opened")  # a whole life for each
                life[change.id] = change.state

        async def act():
            resting = []
            for number in range(60):
                match random.randrange(8):
                    case 0:
                        proxy.cut()
                    case 1:
                        proxy.down()
                        await trio.sleep(random.random() * 0.1)
                        proxy.up()
                    case 2:
                        await trade(hand, random, markets, number)
                    case 3:
                        resting.append((await rest(hand, markets[1], f"r{number}")).order_id)
                    case 4 if resting:
                        await hand.cancel_order(resting.pop(random.randrange(len(resting))))
                    case 5:
                        bid = random.randrange(50, 70)
                        program.world.open_gap(f"0.{bid}", f"0.{bid + 2}")
                    case 6:
                        program.world.close_gap()
                    case _:
                        await trio.sleep(random.random() * 0.05)
                await trio.sleep(0.002)
            proxy.up()
            done.set()

        async with trio.open_nursery() as nursery:
            for changes in (positions, orders, books):
                nursery.start_soon(follow, changes)
            nursery.start_soon(follow_opportunities)
            await act()
            assert done.is_set()
            await same(lambda: sizes(positions), lambda: held(hand))
            await same(lambda: set(orders.view), lambda: open_orders(hand))
            await same(lambda: {key: (book.bids, book.asks) for key, book in books.view.items()}, lambda: now_in(hand, markets))
            async with hand.stream_opportunities() as fresh:
                with trio.move_on_after(0.3):
                    await follow(fresh)
                await same(lambda: set(opportunities.view), lambda: known_to(fresh))
            nursery.cancel_scope.cancel()
        assert positions.resumes + orders.resumes > 0
        assert set(opportunities.view) == {key for key, state in life.items() if state != "closed"}
    await eventually(lambda: program.arbiter.front.server.calls == program.arbiter.front.server.connections == 0)


async def trade(client, random, markets, number):
    side, price = random.choice(((Side.BUY, 720_000), (Side.SELL, 300_000)))
    with suppress(RefusedError):  # nothing to sell
        await client.place_order(random.choice(markets), side, price, 5 * MICRO, idempotency_key=f"t{number}")


def sizes(changes):
    return {key: each.size for key, each in changes.view.items()}


async def held(client):
    return {each.outcome: each.size for each in await client.get_positions()}


async def open_orders(client):
    return {each.order_id async for each in client.list_orders() if not each.is_final}


async def now_in(client, markets):
    books = [await client.get_book(each) for each in markets]
    return {each.outcome: (each.bids, each.asks) for each in books}


async def known_to(changes):
    return set(changes.view)


async def same(seen, told):
    """Until both are the same; what is seen may be a moment late."""
    with trio.move_on_after(5):
        while seen() != await told():  # noqa: ASYNC110 the stream tells nobody that it is up to date
            await trio.sleep(0.02)
        return
    assert seen() == await told()
