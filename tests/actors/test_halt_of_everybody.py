"""The operators' stop of everybody: the same latch and the same promises as a user's own, and neither lifts the other."""

import pytest
import trio

from arbiter.actors.brake import CountHalted, GetStanding, Halt, Latch, Resume
from arbiter.actors.paper_desk import EndStopped
from arbiter.domain.account import Account, Tier
from arbiter.domain.book import Side
from arbiter.domain.ids import POLYMARKET, UserId
from arbiter.domain.order import OrderState
from arbiter.domain.trading_state import SYSTEM, TradingState
from arbiter.errors import RefusedByRisk
from arbiter.store.base import PutTradingStatus
from arbiter.store.sqlite import InlineRunner, SqliteStore
from arbiter.store.stop_marker import FileStopMarker

ANN, BOB = UserId("ann"), UserId("bob")
ACTIVE, HALTED = TradingState.ACTIVE, TradingState.HALTED


@pytest.fixture
def brake(scene):
    async def ask(request):
        return await scene.brake.ref.ask(request, timeout=60)

    scene.add_accounts.append(Account(BOB, "Bob", Tier.PRO))
    return ask


async def test_nobody_places_anything_until_everybody_is_resumed(autojump_clock, scene, brake):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        halted = await brake(Halt(SYSTEM, "a drill"))
        assert (halted.status.state, halted.status.reason, halted.durable) == (HALTED, "a drill", True)
        for user in (ANN, BOB):
            with pytest.raises(RefusedByRisk, match="for everybody by an operator") as refused:
                await scene.place(Side.BUY, "0.50", "1", user=user)
            assert refused.value.code == "TRADING_HALTED_FOR_ALL"
        assert (await brake(Resume(SYSTEM))).state is ACTIVE
        for user in (ANN, BOB):
            assert (await scene.place(Side.BUY, "0.50", "1", user=user, key="again")).state is OrderState.FILLED


async def test_neither_stop_lifts_the_other(autojump_clock, scene, brake):
    async with scene.running():
        await brake(Halt(ANN, "mine"))
        await brake(Halt(SYSTEM, "a drill"))
        standing = await brake(GetStanding(ANN))
        assert (standing.effective.reason, standing.by_operator, standing.own.reason) == ("a drill", True, "mine")
        assert (await brake(Resume(SYSTEM))).state is ACTIVE
        assert scene.latch.halted(ANN)
        assert not scene.latch.halted(BOB)
        await brake(Halt(SYSTEM, "again"))
        held = await brake(Resume(ANN))
        assert (held.state, held.user) == (HALTED, SYSTEM)
        standing = await brake(GetStanding(ANN))
        assert (standing.own.state, standing.effective.state, standing.by_operator) == (ACTIVE, HALTED, True)
        await brake(Halt(ANN, "mine again"))  # also while everybody is stopped
        await brake(Resume(SYSTEM))
        assert (await brake(GetStanding(ANN))).effective.reason == "mine again"
        assert await brake(CountHalted()) == 1


async def test_a_resume_of_ones_own_where_only_everybody_is_stopped_changes_nothing(autojump_clock, scene, brake):
    async with scene.running():
        await brake(Halt(SYSTEM, "a drill"))
        writes = len(scene.store.commits)
        assert (await brake(Resume(ANN))).state is HALTED
        assert len(scene.store.commits) == writes


async def test_it_outlives_a_crash_of_the_brake_and_a_restart_of_the_program(autojump_clock, scene, brake, tmp_path):
    scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await brake(Halt(SYSTEM, "a drill"))
        await scene.crash(scene.brake)
        assert scene.latch.halted(BOB)
    async with scene.running():
        assert scene.latch.halted(BOB)
        assert (await brake(GetStanding(BOB))).by_operator


async def test_one_that_is_not_durable_holds_is_marked_and_becomes_durable(autojump_clock, scene, brake, tmp_path):
    scene.marker = FileStopMarker(tmp_path / "marker", InlineRunner)
    async with scene.running():
        scene.store.refuse = lambda groups: any(isinstance(write, PutTradingStatus) for group in groups for write in group)
        began = trio.current_time()
        assert not (await brake(Halt(SYSTEM, "a drill"))).durable
        assert trio.current_time() - began <= 0.75
        assert scene.latch.halted(ANN)
    async with scene.running():  # as after a kill: only the marker knows
        assert scene.latch.halted(ANN)
        scene.store.refuse = lambda groups: False
        await trio.sleep(3)
        assert [status.user for status in await scene.store.trading_statuses()] == [SYSTEM]


async def test_what_rests_on_a_venue_is_cancelled_when_its_desk_is_asked_to_and_by_itself_anyhow(autojump_clock, scene, brake):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        orders = [await scene.place(Side.BUY, "0.45", "1", user=user) for user in (ANN, BOB)]
        await brake(Halt(SYSTEM, "a drill"))
        ended = await scene.desks[POLYMARKET].ref.ask(EndStopped(), timeout=60)
        assert (ended.cancelled, ended.uncertain) == (2, ())
        assert {(await scene.store.order(order.id)).state for order in orders} == {OrderState.CANCELLED}
        await brake(Resume(SYSTEM))
        resting = await scene.place(Side.BUY, "0.45", "1", key="again")
        await brake(Halt(SYSTEM, "a drill"))
        await trio.sleep(3)
        assert (await scene.store.order(resting.id)).state is OrderState.CANCELLED


async def test_where_the_store_takes_no_cancel_the_orders_are_named_and_cancelled_later(autojump_clock, scene, brake):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x100", "0.50x100")
        order = await scene.place(Side.BUY, "0.45", "1")
        await brake(Halt(SYSTEM, "a drill"))
        scene.store.failures = 1
        ended = await scene.desks[POLYMARKET].ref.ask(EndStopped(), timeout=60)
        assert (ended.cancelled, ended.uncertain) == (0, (order.id,))
        await scene.quote(scene.yes, "0.40x100", "0.42x100")
        assert await scene.held() == {}  # never matched again
        await trio.sleep(3)
        assert (await scene.store.order(order.id)).state is OrderState.CANCELLED


def test_before_the_states_are_loaded_everybody_is_halted():
    latch = Latch()
    assert latch.halted(ANN)
    assert latch.own(SYSTEM).state is HALTED
