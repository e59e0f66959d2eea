"""UserSession: idempotency, limits, the risk gate, and that no order stays unresolved for ever."""

from contextlib import suppress
from functools import partial

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors import user_session as session_module
from arbiter.actors.accounts import ChangeSettings
from arbiter.actors.brake import Halt
from arbiter.actors.journal import Commit
from arbiter.actors.paper_desk import NEVER_SENT
from arbiter.actors.user_session import CancelAll, CancelOrder, PlaceOrder
from arbiter.domain.account import Account, Role, Tier, UserSettings
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, MarketId, OrderId, OutcomeId, OutcomeKey, UserId, VenueId
from arbiter.domain.market import MarketStatus
from arbiter.domain.money import parse_micros
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.errors import (
    ActorStopped,
    AskTimeout,
    Conflict,
    LimitExceeded,
    NotAllowed,
    NotFound,
    OrderUncertain,
    RefusedByRisk,
    StoreError,
    VenueUnavailable,
)
from arbiter.runtime.testing import confuse
from arbiter.store.base import AddFill, PutOrder
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")
BUY, SELL = Side.BUY, Side.SELL
IOC = TimeInForce.IOC


@pytest.fixture
def quoted(scene):
    """A running scene with a book on Polymarket's YES."""

    class Quoted:
        async def __aenter__(self):
            self._running = scene.running()
            await self._running.__aenter__()
            await scene.quote(scene.yes, "0.42x50", "0.44x10 0.45x1000")
            return scene

        async def __aexit__(self, *error):
            return await self._running.__aexit__(*error)

    return Quoted


async def cancel(scene, order, user=ANN):
    return await scene.session(user).ask(CancelOrder(order.id), timeout=60)


# -- placing and cancelling --


async def test_an_order_is_durable_filled_and_in_the_positions_when_it_is_answered(autojump_clock, quoted):
    async with quoted() as scene:
        order = await scene.place(BUY, "0.44", "10")
        assert (order.state, order.filled) == (OrderState.FILLED, parse_micros("10"))
        assert await scene.store.orders(ANN) == [order]
        assert await scene.orders() == [order]
        assert await scene.held() == {scene.yes: parse_micros("10")}


async def test_a_resting_orders_later_fill_reaches_the_session(autojump_clock, quoted):
    async with quoted() as scene:
        order = await scene.place(BUY, "0.43", "10")
        assert order.state is OrderState.OPEN
        await scene.quote(scene.yes, "0.40x5", "0.43x4")
        assert [(o.state, o.filled) for o in await scene.orders()] == [(OrderState.PARTIALLY_FILLED, parse_micros("4"))]
        await scene.quote(scene.yes, "0.40x5", "0.43x90")
        assert [o.state for o in await scene.orders()] == [OrderState.FILLED]


async def test_an_open_order_is_cancelled_and_a_final_one_is_given_back_as_it_is(autojump_clock, quoted):
    async with quoted() as scene:
        order = await scene.place(BUY, "0.43", "10")
        ended = await cancel(scene, order)
        assert ended.state is OrderState.CANCELLED
        assert await cancel(scene, order) == ended
        assert await scene.orders() == [ended]


async def test_nobody_cancels_what_is_not_theirs(autojump_clock, quoted, scene):
    scene.add_accounts.append(Account(BOB, "Bob"))
    async with quoted() as scene:
        order = await scene.place(BUY, "0.43", "10")
        with pytest.raises(NotFound):
            await cancel(scene, order, BOB)
        with pytest.raises(NotFound):
            await scene.session().ask(CancelOrder(OrderId("x" * 10_000)), timeout=5)
        assert [o.state for o in await scene.orders()] == [OrderState.OPEN]
        assert await scene.orders(BOB) == []


async def test_a_session_is_not_disturbed_by_the_news_of_other_users(autojump_clock, quoted, scene):
    scene.add_accounts.append(Account(BOB, "Bob"))
    async with quoted() as scene:
        await scene.place(BUY, "0.43", "10", user=BOB)
        await scene.orders()
        before = {s.name: s.handled for s in scene.supervisor.statuses()}["root/trading/sessions/ann"]
        await scene.quote(scene.yes, "0.40x5", "0.43x90")
        await scene.orders()
        after = {s.name: s.handled for s in scene.supervisor.statuses()}["root/trading/sessions/ann"]
        assert after == before + 1


# -- idempotency --


async def test_the_same_key_gives_the_same_order_and_places_no_second_one(autojump_clock, quoted):
    async with quoted() as scene:
        first = await scene.place(BUY, "0.44", "5")
        assert await scene.place(BUY, "0.44", "5") == first
        assert await scene.held() == {scene.yes: parse_micros("5")}
        assert len(await scene.store.orders(ANN)) == 1


async def test_many_at_once_under_one_key_are_one_order(autojump_clock, quoted):
    async with quoted() as scene, trio.open_nursery() as nursery:
        answers = []

        async def place() -> None:
            answers.append((await scene.place(BUY, "0.44", "5")).id)

        for _ in range(20):
            nursery.start_soon(place)
        await wait_all_tasks_blocked()
        assert len(answers) == 20
        assert len(set(answers)) == 1
        assert await scene.held() == {scene.yes: parse_micros("5")}


@pytest.mark.parametrize(
    "other",
    [{"side": SELL}, {"price": parse_micros("0.43")}, {"size": parse_micros("6")}, {"tif": IOC}, {"outcome": "no"}],
    ids=lambda other: next(iter(other)),
)
async def test_the_same_key_with_another_body_is_a_conflict(autojump_clock, quoted, other):
    async with quoted() as scene:
        await scene.place(BUY, "0.44", "5")
        if "outcome" in other:
            other = {"outcome": scene.no}
        with pytest.raises(Conflict):
            await scene.session().ask(msgspec.structs.replace(scene.wanted(BUY, "0.44", "5"), **other), timeout=5)
        assert len(await scene.store.orders(ANN)) == 1


@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_key_is_remembered_over_restarts_of_the_session_and_of_the_program(autojump_clock, quoted, scene, tmp_path, on_disk):
    if on_disk:
        scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with quoted() as scene:
        first = await scene.place(BUY, "0.44", "5")
        confuse(scene.session())
        await trio.sleep(1)
        assert await scene.place(BUY, "0.44", "5") == first
    async with quoted() as scene:
        assert await scene.place(BUY, "0.44", "5") == first
        with pytest.raises(Conflict):
            await scene.place(BUY, "0.44", "6")
        assert await scene.held() == {scene.yes: parse_micros("5")}


async def test_a_refused_order_leaves_its_key_free(autojump_clock, quoted):
    async with quoted() as scene:
        with pytest.raises(RefusedByRisk):
            await scene.place(BUY, "0.44", "1000000")
        assert (await scene.place(BUY, "0.44", "5")).state is OrderState.FILLED


async def test_memory_holds_the_newest_final_orders_and_older_ones_are_found_in_the_store(autojump_clock, quoted, scene, monkeypatch):
    monkeypatch.setattr(session_module, "FINAL_KEPT", 3)
    async with quoted() as scene:
        resting = await scene.place(BUY, "0.43", "1", key="resting")
        final = []
        for number in range(6):
            final.append(await scene.place(BUY, "0.45", "1", IOC, key=f"{number}"))
            await trio.sleep(1)
        assert await scene.orders() == [resting, *final[3:]]
        assert await scene.place(BUY, "0.45", "1", IOC, key="0") == final[0]
        with pytest.raises(Conflict):
            await scene.place(BUY, "0.45", "2", IOC, key="0")
        assert await cancel(scene, final[0]) == final[0]
        confuse(scene.session())
        await trio.sleep(1)
        assert await scene.orders() == [resting, *final[3:]]
        assert (await cancel(scene, resting)).state is OrderState.CANCELLED


# -- limits and the risk gate --


async def test_orders_above_the_tiers_limit_wait_and_each_token_comes_back_in_its_time(autojump_clock, quoted, scene):
    scene.add_accounts = [Account(ANN, "Ann", Tier.FREE)]
    async with quoted() as scene:
        for number in range(10):
            await scene.place(BUY, "0.44", "1", key=f"{number}")
        with pytest.raises(LimitExceeded, match="more than 10 orders a minute") as error:
            await scene.place(BUY, "0.44", "1", key="10")
        assert 0 < error.value.retry_after_ms <= 6_000
        assert (await scene.place(BUY, "0.44", "1", key="0")).state is OrderState.FILLED  # known: costs nothing
        await trio.sleep(error.value.retry_after_ms / 1000)
        await scene.place(BUY, "0.44", "1", key="10")
        with pytest.raises(LimitExceeded):
            await scene.place(BUY, "0.44", "1", key="11")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((BUY, "0.445", "5"), "PRICE_OFF_GRID"),
        ((BUY, "0.44", "5.001"), "SIZE_OFF_GRID"),
        ((BUY, "0.44", "1"), "BELOW_MIN_SIZE"),
        ((BUY, "0.44", "3000"), "POSITION_TOO_LARGE"),
        ((SELL, "0.42", "5"), "MORE_THAN_HELD"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_the_risk_gate_refuses_names_its_rule_and_leaves_nothing_behind(autojump_clock, quoted, scene, args, code):
    scene.polymarket.markets = [msgspec.structs.replace(scene.market, min_size=parse_micros("2"))]
    async with quoted() as scene:
        with pytest.raises(RefusedByRisk) as error:
            await scene.place(*args)
        assert error.value.code == code
        assert await scene.store.orders(ANN) == []
        assert await scene.orders() == []


async def test_a_market_that_is_not_open_and_a_book_that_is_not_fresh_refuse_entries(autojump_clock, quoted, scene):
    async with quoted() as scene:
        with pytest.raises(RefusedByRisk) as error:
            await scene.place(BUY, "0.44", "5", outcome=scene.no)
        assert error.value.code == "STALE_BOOK"
        scene.data.markets.publish(scene.market.key, msgspec.structs.replace(scene.market, status=MarketStatus.CLOSED))
        with pytest.raises(RefusedByRisk) as error:
            await scene.place(BUY, "0.44", "5")
        assert error.value.code == "MARKET_NOT_OPEN"


async def test_a_market_that_nobody_lists_is_not_found(autojump_clock, quoted):
    async with quoted() as scene:
        for venue in (POLYMARKET, VenueId("elsewhere")):
            with pytest.raises(NotFound):
                await scene.place(BUY, "0.44", "5", outcome=OutcomeKey(venue, MarketId("none"), OutcomeId("yes")))


@pytest.mark.parametrize("side", [BUY, SELL])
async def test_an_outcome_that_its_market_does_not_have_is_not_found(autojump_clock, quoted, scene, side):
    async with quoted() as scene:
        await scene.place(BUY, "0.44", "5", key="held")
        for wrong in ("maybe", "", "x" * 10_000):
            with pytest.raises(NotFound, match="has no outcome"):
                await scene.place(side, "0.44", "5", outcome=scene.yes._replace(outcome=OutcomeId(wrong)))
        assert len(await scene.orders()) == 1


async def test_open_orders_reserve_what_they_may_cost_until_they_end(autojump_clock, quoted, scene):
    scene.add_accounts = [Account(ANN, "Ann", Tier.FREE)]
    async with quoted() as scene:
        first = await scene.place(BUY, "0.40", "200", key="1")
        with pytest.raises(RefusedByRisk) as error:
            await scene.place(BUY, "0.40", "51", key="2")
        assert error.value.code == "POSITION_TOO_LARGE"
        await cancel(scene, first)
        assert (await scene.place(BUY, "0.40", "250", key="3")).state is OrderState.OPEN


async def test_what_is_held_can_be_sold_once(autojump_clock, quoted):
    async with quoted() as scene:
        await scene.place(BUY, "0.44", "10", key="buy")
        await scene.place(SELL, "0.60", "7", key="sell")
        with pytest.raises(RefusedByRisk) as error:
            await scene.place(SELL, "0.60", "4", key="more")
        assert error.value.code == "MORE_THAN_HELD"
        await scene.place(SELL, "0.42", "3", key="rest")
        assert await scene.held() == {scene.yes: parse_micros("7")}


async def test_a_suspended_account_sells_and_cancels_but_does_not_buy(autojump_clock, quoted, scene):
    async with quoted() as scene:
        await scene.place(BUY, "0.44", "10", key="buy")
        resting = await scene.place(BUY, "0.40", "10", key="rest")
    scene.add_accounts = [Account(ANN, "Ann", Tier.PRO, suspended=True)]
    async with quoted() as scene:
        with pytest.raises(RefusedByRisk) as error:
            await scene.place(BUY, "0.44", "10", key="again")
        assert error.value.code == "SUSPENDED"
        assert (await scene.place(SELL, "0.42", "10", key="sell")).state is OrderState.FILLED
        assert (await cancel(scene, resting)).state is OrderState.CANCELLED


async def test_an_operators_account_does_not_trade_and_who_has_no_account_does_neither(autojump_clock, quoted, scene):
    scene.add_accounts.append(Account(BOB, "Bob", role=Role.OPERATOR))
    async with quoted() as scene:
        with pytest.raises(NotAllowed):
            await scene.place(BUY, "0.44", "10", user=BOB)
        with pytest.raises(NotFound):
            await scene.place(BUY, "0.44", "10", user=UserId("nobody"))


async def test_the_account_is_read_anew_for_each_order(autojump_clock, quoted, scene):
    scene.add_accounts = [Account(ANN, "Ann", Tier.FREE)]
    async with quoted() as scene:
        await scene.accounts.ref.ask(ChangeSettings(ANN, UserSettings(parse_micros("0.01"))), timeout=5)
        assert (await scene.place(BUY, "0.44", "10")).state is OrderState.FILLED


# -- cancelling all --


async def cancel_all(scene):
    began = trio.current_time()
    ended = await scene.session().ask(CancelAll(), timeout=60)
    return ended, trio.current_time() - began


async def test_a_cancel_of_all_is_answered_in_three_seconds_whatever_the_store_does_and_the_rest_is_chased(autojump_clock, quoted, scene):
    async with quoted() as scene:
        orders = [await scene.place(BUY, "0.43", "1", key=f"{n}") for n in range(4)]
        scene.store.gate = trio.Event()
        ended, seconds = await cancel_all(scene)
        scene.store.gate.set()
        assert (ended.cancelled, set(ended.uncertain)) == ((), {order.id for order in orders})
        assert seconds == pytest.approx(3)
        await trio.sleep(20)
        assert [order.state for order in await scene.orders()] == [OrderState.CANCELLED] * 4


async def test_a_slow_desk_holds_up_no_cancel_of_another_venues_orders(autojump_clock, quoted, scene, monkeypatch):
    monkeypatch.setattr(session_module, "CANCELS_AT_ONCE", 2)
    scene.add_accounts.append(Account(BOB, "Bob", Tier.PRO))
    async with quoted() as scene:
        await scene.quote(scene.k_yes, "0.40x5", "0.46x10")
        slow = [await scene.place(BUY, "0.40", "1", key=f"slow {n}") for n in range(5)]
        quick = [await scene.place(BUY, "0.40", "1", key=f"{n}", outcome=scene.k_yes) for n in range(20)]
        real, positions = scene.store.ledger_after, trio.Event()

        async def late(sequence, limit):
            await positions.wait()
            return await real(sequence, limit)

        scene.store.ledger_after = late
        async with trio.open_nursery() as nursery:
            # a fill keeps the desk waiting for the positions
            nursery.start_soon(partial(scene.place, BUY, "0.44", "1", user=BOB))
            await wait_all_tasks_blocked()
            ended, seconds = await cancel_all(scene)
            assert [order.id for order in ended.cancelled] == [order.id for order in quick]
            assert ended.uncertain == tuple(order.id for order in slow)
            assert seconds == pytest.approx(3)
            positions.set()
        await trio.sleep(10)
        assert {order.state for order in await scene.orders()} == {OrderState.CANCELLED}


async def test_a_session_that_starts_while_trading_is_stopped_chases_what_is_open(autojump_clock, quoted, scene, monkeypatch):
    monkeypatch.setattr("arbiter.actors.paper_desk.AGAIN_SECONDS", 10_000)  # the desk would do it by itself
    async with quoted() as scene:
        await scene.place(BUY, "0.43", "10")
        await scene.brake.ref.ask(Halt(ANN, "enough"), timeout=60)
        scene.store.failures = 1
        assert len((await cancel_all(scene))[0].uncertain) == 1
        confuse(scene.session())
        await trio.sleep(5)
        assert [order.state for order in await scene.orders()] == [OrderState.CANCELLED]


async def test_an_order_is_chased_once_however_often_all_are_cancelled_and_told_of_once_a_minute(autojump_clock, quoted, scene, log):
    tries = []

    def refuse(groups):
        hit = any(isinstance(write, PutOrder) for group in groups for write in group)
        tries.extend([trio.current_time()] * hit)
        return hit

    async with quoted() as scene:
        await scene.place(BUY, "0.43", "10")
        scene.store.refuse = refuse
        for _ in range(10):
            await cancel_all(scene)
        log.clear()
        tries.clear()
        await trio.sleep(10.5)
        assert 5 <= len(tries) <= 11
        assert sum(entry["event"] == "order not cancelled yet" for entry in log) == 1


# -- passive sessions --


def passive(scene) -> bool:
    return len(scene.sessions) == 0


async def test_a_session_that_nobody_uses_passivates_and_its_next_message_finds_all_its_orders(autojump_clock, quoted, scene):
    async with quoted() as scene:
        filled = await scene.place(BUY, "0.44", "1", key="filled")
        await trio.sleep(1)
        orders = [filled, await scene.place(BUY, "0.43", "1", IOC, key="cancelled")]
        await trio.sleep(15 * 60 - 10)
        assert not passive(scene)
        await trio.sleep(70)
        assert passive(scene)
        assert await scene.orders() == orders
        assert not passive(scene)
        assert await cancel(scene, orders[1]) == orders[1]


async def test_a_key_is_remembered_by_a_session_that_was_passive(autojump_clock, quoted, scene):
    async with quoted() as scene:
        first = await scene.place(BUY, "0.44", "5")
        for repeat in (partial(scene.place, BUY, "0.44", "5"), partial(scene.place, BUY, "0.44", "6")):
            await trio.sleep(17 * 60)
            assert passive(scene)
            with suppress(Conflict):
                assert await repeat() == first
        assert len(await scene.store.orders(ANN)) == 1
        assert await scene.held() == {scene.yes: parse_micros("5")}


async def test_a_session_with_an_open_order_never_passivates_and_hears_of_its_fill(autojump_clock, quoted, scene):
    async with quoted() as scene:
        await scene.place(BUY, "0.43", "10")
        await trio.sleep(60 * 60)
        assert not passive(scene)
        await scene.quote(scene.yes, "0.40x5", "0.43x90")
        assert [order.state for order in await scene.orders()] == [OrderState.FILLED]
        await trio.sleep(17 * 60)
        assert passive(scene)


async def test_a_session_that_does_not_know_yet_what_became_of_an_order_never_passivates(autojump_clock, quoted, scene):
    async with quoted() as scene:
        scene.store.gate = trio.Event()
        with pytest.raises(OrderUncertain):
            await scene.place(BUY, "0.44", "10")
        await trio.sleep(30 * 60)
        assert not passive(scene)
        scene.store.gate.set()
        await trio.sleep(17 * 60)
        assert passive(scene)
        assert only(await scene.orders()).state is OrderState.CANCELLED


async def test_a_session_that_is_only_looked_at_does_not_passivate(autojump_clock, quoted, scene):
    async with quoted() as scene:
        for _ in range(6):
            await scene.orders()
            await trio.sleep(14 * 60)
            assert not passive(scene)


async def test_orders_that_come_in_the_moment_in_which_a_session_passivates_are_all_placed_once(autojump_clock, quoted, scene):
    async with quoted() as scene:
        session = scene.session()  # also who kept its ref reaches it
        placed = []

        async def place(number: int, at: float) -> None:
            await trio.sleep_until(at)
            for _ in range(number % 7):
                await trio.lowlevel.checkpoint()
            placed.append(await session.ask(scene.wanted(BUY, "0.45", "1", key=f"{number}"), timeout=5))

        for round_ in range(3):
            await place(100 * round_, 0)
            idle_at = trio.current_time() + 15 * 60
            async with trio.open_nursery() as nursery:
                for number in range(1, 20):
                    nursery.start_soon(place, 100 * round_ + number, idle_at)
            assert trio.current_time() == idle_at
            await trio.sleep(17 * 60)
            assert passive(scene)
        assert len({order.id for order in placed}) == 60
        assert {order.state for order in placed} == {OrderState.FILLED}
        assert len(await scene.store.orders(ANN)) == 60


# -- trouble: no order stays unresolved --


def only(orders):
    (order,) = orders
    return order


async def test_an_order_that_the_store_refused_to_keep_was_never_placed(autojump_clock, quoted):
    async with quoted() as scene:
        scene.store.failures = 1
        with pytest.raises(StoreError, match="nothing was placed: the store could not write: the disk is full"):
            await scene.place(BUY, "0.44", "10")
        assert await scene.orders() == []
        assert (await scene.place(BUY, "0.44", "10")).state is OrderState.FILLED


async def test_a_desk_that_dies_with_the_order_in_hand_makes_it_uncertain_and_its_restart_resolves_it(autojump_clock, quoted):
    async with quoted() as scene:
        real, hold = scene.store.commit, trio.Event()

        async def commit(groups):
            if any(isinstance(write, AddFill) for group in groups for write in group):
                await hold.wait()
            return await real(groups)

        scene.store.commit = commit
        failed = []

        async def place() -> None:
            try:
                await scene.place(BUY, "0.44", "10")
            except OrderUncertain as error:
                failed.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(place)
            await trio.sleep(8)  # the desk's own commit times out, and it crashes
            assert len(failed) == 1
            hold.set()
            await trio.sleep(5)
        order = only(await scene.orders())
        assert order.id == failed[0].order_id
        assert order == only(await scene.store.orders(ANN))
        assert order.state is OrderState.FILLED
        assert await scene.held() == {scene.yes: parse_micros("10")}
        assert await scene.place(BUY, "0.44", "10") == order


async def test_a_pending_order_whose_desk_died_before_it_was_sent_is_cancelled_and_frees_its_exposure(autojump_clock, quoted, scene):
    scene.add_accounts = [Account(ANN, "Ann", Tier.FREE)]
    async with quoted() as scene:
        desk = scene.desks[POLYMARKET]
        await scene.orders()
        async with trio.open_nursery() as nursery:
            scene.store.gate = trio.Event()
            nursery.start_soon(_uncertain, scene, BUY, "0.40", "250")
            await wait_all_tasks_blocked()
            confuse(desk.ref)
            await wait_all_tasks_blocked()
            scene.store.gate.set()
            await trio.sleep(6)
        assert all(order.state.is_final for order in await scene.orders())
        assert await scene.store.orders() == []
        assert (await scene.place(BUY, "0.40", "250", key="other")).state is OrderState.OPEN


async def _uncertain(scene, *args):
    with suppress(OrderUncertain, ActorStopped, AskTimeout):  # which one depends on how far it came; that it ends is what counts
        await scene.place(*args)


async def test_a_desk_that_could_not_write_fails_the_order_and_it_is_withdrawn_by_itself(autojump_clock, quoted, scene):
    scene.add_accounts = [Account(ANN, "Ann", Tier.FREE)]
    async with quoted() as scene:
        is_fill = lambda groups: any(isinstance(write, AddFill) for group in groups for write in group)  # noqa: E731
        scene.store.refuse = is_fill
        with pytest.raises(StoreError, match="nothing was placed: the store could not write: the disk is full"):
            await scene.place(BUY, "0.44", "200")
        await trio.sleep(2)
        order = only(await scene.orders())
        assert (order.state, order.reason) == (OrderState.CANCELLED, NEVER_SENT)
        assert only(await scene.store.orders(ANN)) == order
        scene.store.refuse = lambda groups: False
        assert (await scene.place(BUY, "0.44", "200", key="other")).filled == parse_micros("10")


async def test_on_a_full_disk_orders_are_refused_sessions_go_on_and_everything_heals_by_itself(autojump_clock, quoted, scene):
    async with quoted() as scene:
        resting = await scene.place(BUY, "0.43", "10", key="resting")
        desk_restarts = partial(restarts_of, scene, "polymarket_desk")
        scene.store.refuse = lambda groups: True
        for number in range(20):
            await scene.quote(scene.yes, f"0.40x{number + 1}", "0.43x4")
            with pytest.raises(StoreError, match="nothing was placed"):
                await scene.place(BUY, "0.44", "10", key=f"{number}")
            with pytest.raises(StoreError):
                await cancel(scene, resting)
            assert desk_restarts() == 0
            await trio.sleep(1)
        assert await scene.orders() == [resting]
        assert await scene.store.orders(ANN) == [resting]
        scene.store.refuse = lambda groups: False
        await trio.sleep(2)
        assert only(await scene.orders()).filled == parse_micros("4")
        assert (await cancel(scene, resting)).state is OrderState.CANCELLED
        assert (await scene.place(BUY, "0.43", "1", key="0")).state is OrderState.FILLED


def restarts_of(scene, name) -> int:
    (restarts,) = (status.restarts for status in scene.supervisor.statuses() if status.name.endswith(f"/{name}"))
    return restarts


async def test_an_order_whose_recording_took_too_long_is_withdrawn_once_the_journal_can_write(autojump_clock, quoted, scene):
    async with quoted() as scene:
        scene.store.gate = trio.Event()
        with pytest.raises(OrderUncertain) as error:
            await scene.place(BUY, "0.44", "10")
        assert only(await scene.orders()).state is OrderState.PENDING
        assert only(await scene.orders()).id == error.value.order_id
        await trio.sleep(20)
        scene.store.gate.set()
        await trio.sleep(6)
        order = only(await scene.orders())
        assert (order.state, order.reason) == (OrderState.CANCELLED, NEVER_SENT)
        assert only(await scene.store.orders(ANN)) == order
        assert await scene.held() == {}
        assert await scene.place(BUY, "0.44", "10") == order


async def test_a_session_that_finds_a_pending_order_asks_the_desk_what_became_of_it(autojump_clock, quoted, scene):
    async with quoted() as scene:
        resting = await scene.place(BUY, "0.43", "10", key="resting")
        lost = msgspec.structs.replace(resting, id=OrderId("lost"), idempotency_key="lost", state=OrderState.PENDING)
        await scene.journal.ref.ask(Commit((PutOrder(lost),)), timeout=5)
        confuse(scene.session())
        await trio.sleep(1)
        states = {order.id: order.state for order in await scene.orders()}
        assert states == {resting.id: OrderState.OPEN, lost.id: OrderState.CANCELLED}


async def test_a_pending_order_can_be_cancelled_by_the_user(autojump_clock, quoted, scene):
    async with quoted() as scene:
        resting = await scene.place(BUY, "0.43", "10", key="resting")
        await scene.orders()
        lost = msgspec.structs.replace(resting, id=OrderId("lost"), idempotency_key="lost", state=OrderState.PENDING)
        await scene.journal.ref.ask(Commit((PutOrder(lost),)), timeout=5)
        assert (await cancel(scene, lost)).state is OrderState.CANCELLED


async def test_after_a_crash_of_desk_or_session_open_orders_are_known_followed_and_can_be_cancelled(autojump_clock, quoted, scene):
    async with quoted() as scene:
        first, second = [await scene.place(BUY, "0.43", "10", key=f"{n}") for n in range(2)]
        await scene.crash(scene.desks[POLYMARKET])
        assert await scene.orders() == [first, second]
        confuse(scene.session())
        await trio.sleep(1)
        assert (await cancel(scene, first)).state is OrderState.CANCELLED
        await scene.quote(scene.yes, "0.40x5", "0.43x90")
        assert [order.state for order in await scene.orders()] == [OrderState.CANCELLED, OrderState.FILLED]


async def test_a_crash_of_one_venues_desk_leaves_the_orders_of_the_other_resting(autojump_clock, quoted, scene):
    async with quoted() as scene:
        await scene.quote(scene.k_yes, "0.40x5", "0.46x10")
        order = await scene.place(BUY, "0.43", "10", outcome=scene.k_yes)
        await scene.crash(scene.desks[POLYMARKET])
        await scene.quote(scene.k_yes, "0.40x5", "0.43x10")
        assert [(o.id, o.state) for o in await scene.orders()] == [(order.id, OrderState.FILLED)]
        assert scene.desks[KALSHI].ref.name == "trading/kalshi_desk"


async def test_an_order_of_a_venue_that_is_no_longer_configured_does_not_break_the_session(autojump_clock, quoted, scene):
    elsewhere = OutcomeKey(VenueId("elsewhere"), MarketId("m"), OutcomeId("yes"))
    async with quoted() as scene:
        known = await scene.place(BUY, "0.43", "10", key="resting")
        lost = msgspec.structs.replace(known, id=OrderId("lost"), idempotency_key="lost", state=OrderState.PENDING, outcome=elsewhere)
        await scene.journal.ref.ask(Commit((PutOrder(lost),)), timeout=5)
        confuse(scene.session())
        await trio.sleep(1)
        with pytest.raises(VenueUnavailable, match="elsewhere"):
            await cancel(scene, lost)
        assert (await scene.place(BUY, "0.44", "5", key="next")).state is OrderState.FILLED


async def test_requests_are_messages_that_can_be_encoded(autojump_clock, scene):
    wanted = scene.wanted(BUY, "0.44", "10")
    assert msgspec.json.decode(msgspec.json.encode(wanted), type=PlaceOrder) == wanted
