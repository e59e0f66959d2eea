"""The kill switch's first form: it holds at once, outlives restarts, cancels what rests, and only a resume lifts it."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.accounts import ARBITRAGE, SwitchAllOff, SwitchStrategy
from arbiter.actors.brake import GetTradingStatus, Halt, Latch, Resume
from arbiter.actors.user_session import CancelAll
from arbiter.domain.account import Account, Tier
from arbiter.domain.book import Side
from arbiter.domain.ids import UserId
from arbiter.domain.order import OrderState
from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.errors import RefusedByRisk, StoreError
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")


async def halt(scene, user=ANN, reason="enough"):
    return await scene.brake.ref.ask(Halt(user, reason), timeout=60)


async def test_a_halted_user_places_nothing_and_others_go_on(autojump_clock, scene):
    scene.add_accounts.append(Account(BOB, "Bob", Tier.PRO))
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        halted = await halt(scene)
        assert (halted.status.state, halted.status.reason, halted.durable) == (TradingState.HALTED, "enough", True)
        with pytest.raises(RefusedByRisk, match="trading is stopped") as refused:
            await scene.place(Side.BUY, "0.50", "1")
        assert refused.value.code == "TRADING_HALTED"
        assert (await scene.place(Side.BUY, "0.50", "1", user=BOB)).state is OrderState.FILLED


async def test_a_halt_holds_before_it_is_durable_and_says_that_it_is_not(autojump_clock, scene, log):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        scene.store.gate = trio.Event()
        began = trio.current_time()
        halted = await halt(scene)
        assert (halted.status.state, halted.durable) == (TradingState.HALTED, False)
        assert trio.current_time() - began == pytest.approx(0.25)
        with pytest.raises(RefusedByRisk):
            await scene.place(Side.BUY, "0.50", "1")
        scene.store.gate.set()
        scene.store.gate = None
        await trio.sleep(10)
        assert [status.user for status in await scene.store.trading_statuses()] == [ANN]
        assert (await halt(scene)).durable


async def test_a_store_that_fails_is_written_again_until_the_halt_is_durable(autojump_clock, scene):
    async with scene.running():
        scene.store.failures = 3
        assert not (await halt(scene)).durable
        await trio.sleep(5)
        assert [status.state for status in await scene.store.trading_statuses()] == [TradingState.HALTED]


async def test_halting_twice_keeps_the_first_time_and_reason(autojump_clock, scene):
    async with scene.running():
        first = await halt(scene)
        await trio.sleep(1)
        assert (await halt(scene, reason="again")).status == first.status


async def test_a_halt_outlives_a_crash_of_the_brake_and_a_restart_of_the_program(autojump_clock, scene, tmp_path):
    scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await halt(scene)
        await scene.crash(scene.brake)
        assert scene.latch.halted(ANN)
    async with scene.running():
        assert (await scene.brake.ref.ask(GetTradingStatus(ANN), timeout=60)).reason == "enough"
        with pytest.raises(RefusedByRisk):
            await scene.place(Side.BUY, "0.50", "1")


async def test_only_a_durable_resume_lifts_it(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        await halt(scene)
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await scene.brake.ref.ask(Resume(ANN), timeout=60)
        assert scene.latch.halted(ANN)
        assert (await scene.brake.ref.ask(Resume(ANN), timeout=60)).state is TradingState.ACTIVE
        assert (await scene.place(Side.BUY, "0.50", "1")).state is OrderState.FILLED


async def test_what_rests_is_cancelled_and_strategies_go_off_and_stay_off(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        await scene.place(Side.BUY, "0.41", "5", key="a")
        await scene.place(Side.BUY, "0.42", "5", key="b")
        await scene.accounts.ref.ask(SwitchStrategy(ANN, ARBITRAGE, True), timeout=60)
        await halt(scene)
        ended = await scene.session().ask(CancelAll(), timeout=60)
        assert [(order.state, order.idempotency_key) for order in ended.cancelled] == [
            (OrderState.CANCELLED, "a"),
            (OrderState.CANCELLED, "b"),
        ]
        assert ended.uncertain == ()
        assert await scene.accounts.ref.ask(SwitchAllOff(ANN), timeout=60) == (ARBITRAGE,)
        await scene.brake.ref.ask(Resume(ANN), timeout=60)
        assert await scene.accounts.ref.ask(SwitchAllOff(ANN), timeout=60) == ()
        await scene.quote(scene.yes, "0.30x100", "0.35x100")
        assert await scene.held() == {}


async def test_an_order_whose_cancel_fails_is_named_and_chased_until_it_is_cancelled(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        order = await scene.place(Side.BUY, "0.41", "5")
        scene.store.failures = 1
        ended = await scene.session().ask(CancelAll(), timeout=60)
        assert ended.uncertain == (order.id,)
        await trio.sleep(10)
        await wait_all_tasks_blocked()
        assert [each.state for each in await scene.orders()] == [OrderState.CANCELLED]


async def test_an_order_that_reached_the_desk_before_the_halt_is_not_filled_after_it(autojump_clock, scene):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        scene.store.gate = trio.Event()  # the order waits to become durable
        async with trio.open_nursery() as nursery:
            placed = []

            async def place():
                placed.append(await scene.place(Side.BUY, "0.50", "1"))

            nursery.start_soon(place)
            await wait_all_tasks_blocked()
            await halt(scene)
            scene.store.gate.set()
            scene.store.gate = None
        assert [(order.state, order.reason) for order in placed] == [(OrderState.REJECTED, "trading is stopped")]
        assert await scene.held() == {}


async def test_nobody_trades_before_the_states_are_loaded():
    latch = Latch()
    assert latch.halted(ANN)
    latch.load([TradingStatus(BOB, TradingState.HALTED, 1, "why")])
    assert (latch.halted(ANN), latch.halted(BOB)) == (False, True)


async def test_loading_again_never_lifts_what_was_halted_since():
    latch = Latch()
    latch.load([])
    latch.set(TradingStatus(ANN, TradingState.HALTED, 5, "now"))
    latch.load([TradingStatus(ANN, TradingState.ACTIVE, 1)])
    assert latch.halted(ANN)
