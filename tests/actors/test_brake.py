"""The kill switch: it holds at once, outlives restarts of every kind, and only a resume lifts it."""

from contextlib import asynccontextmanager

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
from arbiter.errors import AskTimeout, RefusedByRisk, StoreError
from arbiter.runtime import SupervisorExhausted
from arbiter.store.base import PutTradingStatus
from arbiter.store.memory import MemoryStopMarker
from arbiter.store.sqlite import InlineRunner, SqliteStore
from arbiter.store.stop_marker import FileStopMarker

ANN, BOB = UserId("ann"), UserId("bob")


async def halt(scene, user=ANN, reason="enough"):
    return await scene.brake.ref.ask(Halt(user, reason), timeout=60)


async def resume(scene, user=ANN):
    return await scene.brake.ref.ask(Resume(user), timeout=60)


async def stored(scene):
    return {status.user: status.state for status in await scene.store.trading_statuses()}


def is_status(groups):
    return any(isinstance(write, PutTradingStatus) for group in groups for write in group)


@asynccontextmanager
async def held_back(scene):
    """The store takes nothing in this block, and then everything."""
    scene.store.gate = trio.Event()
    try:
        yield
    finally:
        scene.store.gate.set()
        scene.store.gate = None
    await wait_all_tasks_blocked()


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


# -- a stop that is not durable yet --


async def test_a_stop_that_is_not_durable_outlives_a_crash_of_the_brake_and_goes_on_being_written(autojump_clock, scene):
    async with scene.running():
        scene.store.refuse = is_status
        assert not (await halt(scene)).durable
        await scene.crash(scene.brake)
        again = await halt(scene)
        assert (again.status.reason, again.durable) == ("enough", False)
        assert await stored(scene) == {}
        scene.store.refuse = lambda groups: False
        await trio.sleep(2)
        assert await stored(scene) == {ANN: TradingState.HALTED}
        assert (await halt(scene)).durable


async def test_a_stop_that_never_became_durable_holds_after_the_program_was_killed_and_becomes_durable_then(
    autojump_clock, scene, tmp_path
):
    file = tmp_path / "marker"
    scene.marker = FileStopMarker(file, InlineRunner)
    async with scene.running():
        scene.store.refuse = is_status
        first = await halt(scene)
        assert not first.durable
        assert file.exists()
    assert await stored(scene) == {}
    async with scene.running():
        assert scene.latch.status(ANN) == first.status
        with pytest.raises(RefusedByRisk):
            await scene.place(Side.BUY, "0.50", "1")
        await trio.sleep(3)
        assert (await halt(scene)).durable is False  # the store still fails
        scene.store.refuse = lambda groups: False
        await trio.sleep(3)
        assert await stored(scene) == {ANN: TradingState.HALTED}
        assert not file.exists()
    async with scene.running():
        assert scene.latch.status(ANN) == first.status


async def test_what_is_durable_in_time_leaves_no_marker(autojump_clock, scene):
    async with scene.running():
        writes, real = [], scene.marker.write

        async def write(stops):
            writes.append(stops)
            await real(stops)

        scene.marker.write = write
        assert (await halt(scene)).durable
        await trio.sleep(3)
        await resume(scene)
        assert not any(writes)


class SickMarker(MemoryStopMarker):
    """Fails, or never comes back."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.hangs = hangs
        self.well = False

    async def write(self, stops):
        if not self.well and self.hangs:
            await trio.sleep(100)
        if not self.well:
            raise StoreError("the disk is gone")
        await super().write(stops)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_marker_that_cannot_be_written_holds_no_stop_up_and_is_tried_again(autojump_clock, scene, hangs):
    scene.marker = SickMarker(hangs=hangs)
    async with scene.running():
        scene.store.refuse = is_status
        began = trio.current_time()
        assert not (await halt(scene)).durable
        assert trio.current_time() - began < 0.8
        assert scene.latch.halted(ANN)
        scene.marker.well = True
        await trio.sleep(110)
        assert [status.user for status in scene.marker.stops] == [ANN]


async def test_a_marker_that_cannot_be_read_keeps_the_program_from_starting(autojump_clock, scene, tmp_path):
    (tmp_path / "marker").write_text("[{}")
    scene.marker = FileStopMarker(tmp_path / "marker", InlineRunner)
    with pytest.RaisesGroup(pytest.RaisesExc(SupervisorExhausted, match="cannot be read"), flatten_subgroups=True):
        async with scene.running():
            pass


async def test_a_stop_waits_for_nobody_elses_write(autojump_clock, scene):
    async with scene.running():
        await halt(scene, BOB)
        async with held_back(scene), trio.open_nursery() as nursery:
            nursery.start_soon(resume, scene, BOB)
            await wait_all_tasks_blocked()
            began = trio.current_time()
            for user in (ANN, UserId("cy"), UserId("di")):
                assert not (await halt(scene, user)).durable
            assert trio.current_time() - began < 1
            nursery.cancel_scope.cancel()


# -- resuming --


async def test_after_a_resume_of_unknown_outcome_the_stop_is_written_again(autojump_clock, scene):
    async with scene.running():
        await halt(scene)
        async with held_back(scene):
            with pytest.raises(AskTimeout):
                await resume(scene)
            assert (await halt(scene)).durable is False
        await trio.sleep(3)
        assert scene.latch.halted(ANN)
        assert await stored(scene) == {ANN: TradingState.HALTED}
        assert (await halt(scene)).durable


async def test_a_resume_that_the_store_refused_leaves_the_stop_in_memory_and_in_the_store(autojump_clock, scene):
    async with scene.running():
        await halt(scene)
        scene.store.failures = 1
        with pytest.raises(StoreError):
            await resume(scene)
        await trio.sleep(3)
        assert (scene.latch.halted(ANN), await stored(scene)) == (True, {ANN: TradingState.HALTED})


async def test_a_stop_wins_over_a_resume_that_is_being_written_and_who_resumed_is_told(autojump_clock, scene):
    async with scene.running():
        await halt(scene)
        refused = []

        async def try_to_resume():
            with pytest.raises(RefusedByRisk, match="stopped again") as error:
                await resume(scene)
            refused.append(error.value.code)

        async with trio.open_nursery() as nursery, held_back(scene):
            nursery.start_soon(try_to_resume)
            await wait_all_tasks_blocked()
            assert not (await halt(scene)).durable
            assert refused == ["TRADING_HALTED"]
        await trio.sleep(3)
        assert (scene.latch.halted(ANN), await stored(scene)) == (True, {ANN: TradingState.HALTED})
        assert (await resume(scene)).state is TradingState.ACTIVE


async def test_resumes_that_come_together_are_one(autojump_clock, scene):
    async with scene.running():
        await halt(scene)
        states = []

        async def resume_and_tell():
            states.append((await resume(scene)).state)

        scene.store.commits.clear()
        async with trio.open_nursery() as nursery, held_back(scene):
            for _ in range(3):
                nursery.start_soon(resume_and_tell)
            await wait_all_tasks_blocked()
        assert states == [TradingState.ACTIVE] * 3
        assert scene.store.commits == [1]


async def test_a_resume_takes_the_marker_away_before_it_is_answered(autojump_clock, scene):
    async with scene.running():
        scene.store.refuse = is_status
        await halt(scene)
        assert scene.marker.stops
        scene.store.refuse = lambda groups: False
        await resume(scene)
        assert scene.marker.stops == ()
        await trio.sleep(3)
        assert await stored(scene) == {ANN: TradingState.ACTIVE}


# -- what a stop ends --


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


# -- the latch --


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
