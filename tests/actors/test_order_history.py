"""A user's orders looked up and listed, and what the topic of orders keeps of them."""

import pytest
import trio

from arbiter.actors.user_session import CancelOrder, GetOrder, ListOrders
from arbiter.domain.account import Account, Tier
from arbiter.domain.book import Side
from arbiter.domain.ids import OrderId, UserId
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.errors import AskTimeout, NotFound, OrderUncertain

ANN, BOB = UserId("ann"), UserId("bob")


@pytest.fixture
def ask(scene):
    async def ask(request, user=ANN):
        return await scene.session(user).ask(request, timeout=60)

    scene.add_accounts.append(Account(BOB, "Bob", Tier.PRO))
    return ask


async def test_an_order_is_found_by_its_owner_alone(autojump_clock, scene, ask):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        order = await scene.place(Side.BUY, "0.45", "1")
        assert await ask(GetOrder(order.id)) == order
        for user, wanted in ((BOB, order.id), (ANN, OrderId("nothing"))):
            with pytest.raises(NotFound):
                await ask(GetOrder(wanted), user)


async def test_orders_are_listed_newest_first_page_by_page_and_by_state(autojump_clock, scene, ask):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        await scene.place(Side.BUY, "0.45", "1", user=BOB)
        orders = []
        for number in range(5):
            await trio.sleep(0.01)
            orders.append(await scene.place(Side.BUY, "0.45", "1", key=f"{number}"))
        orders[1] = await ask(CancelOrder(orders[1].id))
        newest = orders[::-1]
        assert await ask(ListOrders(2)) == tuple(newest[:2])
        last = newest[1]
        assert await ask(ListOrders(9, before=(last.created_ms, last.id))) == tuple(newest[2:])
        assert await ask(ListOrders(9, frozenset({OrderState.CANCELLED}))) == (orders[1],)
        assert await ask(ListOrders(9, frozenset({OrderState.FILLED}))) == ()


async def test_the_topic_keeps_open_orders_and_forgets_those_that_ended(autojump_clock, scene, ask):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x4")
        partly = await scene.place(Side.BUY, "0.50", "10", key="a")
        assert partly.state is OrderState.PARTIALLY_FILLED
        await scene.place(Side.BUY, "0.50", "1", TimeInForce.IOC, key="b")
        assert [change.order for change in scene.order_changes.values()] == [partly]
        await ask(CancelOrder(partly.id))
        assert scene.order_changes.values() == []


async def test_after_a_crash_of_the_desk_the_topic_has_what_rests_and_a_word_of_what_ended_meanwhile(autojump_clock, scene, ask):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x4")
        order = await scene.place(Side.BUY, "0.45", "10", key="a")
        rests = await scene.place(Side.BUY, "0.45", "10", key="b")
        scene.store.gate = trio.Event()  # a cancel whose commit comes too late for the desk
        with pytest.raises(AskTimeout):
            await ask(CancelOrder(order.id))
        with scene.order_changes.subscribe("backpressure") as (kept, changes):
            assert [change.order.id for change in kept] == [order.id, rests.id]
            scene.store.gate.set()
            scene.store.gate = None
            with trio.fail_after(30):
                told = (await changes.receive()).order
        assert (told.id, told.state) == (order.id, OrderState.CANCELLED)
        assert [change.order.id for change in scene.order_changes.values()] == [rests.id]


async def test_an_order_that_was_withdrawn_because_nobody_could_know_is_told(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x4")
        with scene.order_changes.subscribe("backpressure") as (_, changes):
            scene.store.gate = trio.Event()
            with pytest.raises(OrderUncertain):
                await scene.place(Side.BUY, "0.45", "10")
            scene.store.gate.set()
            scene.store.gate = None
            with trio.fail_after(30):
                told = (await changes.receive()).order
        assert told.state is OrderState.CANCELLED
