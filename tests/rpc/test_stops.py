"""Many stops at once: each sets the latch, what follows is done once for all under the same latch, and nothing is left behind."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.brake import Halt, Halted
from arbiter.domain.ids import UserId
from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.errors import AskTimeout
from arbiter.rpc.stops import HALTS_AT_ONCE, Stops

ME, OTHER = UserId("me"), UserId("other")


class Brake:
    """Answers each halt once `open` is set."""

    name = "core/brake"

    def __init__(self):
        self.open = trio.Event()
        self.asked = []
        self.since = 1

    async def ask(self, halt, **_timeout):
        self.asked.append(halt)
        await self.open.wait()
        return self.halted(halt.user)

    def halted(self, user=ME):
        return Halted(TradingStatus(user, TradingState.HALTED, self.since, ""), durable=True)


class Scene:
    """Stops whose second half waits for `done`."""

    def __init__(self):
        self.brake = Brake()
        self.begun = []
        self.done = trio.Event()
        self.answers = []
        self.stops = Stops(self.brake, self._finish)

    async def _finish(self, user):
        self.begun.append(user)
        number = len(self.begun)
        await self.done.wait()
        return number

    async def finish(self, scope=None, user=ME):
        with scope or trio.CancelScope():
            self.answers.append(await self.stops.finish(self.brake.halted(user)))


@pytest.fixture
def scene():
    return Scene()


async def test_stops_that_come_while_one_is_under_way_share_its_answer_and_one_that_comes_later_does_not(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(scene.finish)
        await wait_all_tasks_blocked()
        scene.done.set()
    assert scene.answers == [1] * 50
    await scene.finish()
    assert (scene.answers[-1], scene.stops._runs) == (2, {})


async def test_a_stop_under_a_new_latch_or_of_another_user_shares_nothing(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.finish)
        await wait_all_tasks_blocked()
        scene.brake.since = 2  # resumed and stopped again
        nursery.start_soon(scene.finish)
        nursery.start_soon(scene.finish, None, OTHER)
        await wait_all_tasks_blocked()
        assert sorted(scene.begun) == [ME, ME, OTHER]
        scene.done.set()


async def test_where_the_client_goes_away_whose_stop_is_under_way_the_next_one_does_it(autojump_clock, scene):
    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.finish, scope)
        await wait_all_tasks_blocked()
        nursery.start_soon(scene.finish)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        scene.done.set()
    assert (scene.answers, scene.begun, scene.stops._runs) == ([2], [ME, ME], {})


async def test_each_stop_sets_the_latch_and_only_a_few_of_one_user_are_with_the_brake_at_once(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        for _ in range(3 * HALTS_AT_ONCE):
            nursery.start_soon(scene.stops.halt, ME, "enough")
        await wait_all_tasks_blocked()
        nursery.start_soon(scene.stops.halt, OTHER, "")
        await wait_all_tasks_blocked()
        assert scene.brake.asked.count(Halt(ME, "enough")) == HALTS_AT_ONCE
        assert scene.brake.asked[-1] == Halt(OTHER, "")
        scene.brake.open.set()
    assert scene.brake.asked.count(Halt(ME, "enough")) == 3 * HALTS_AT_ONCE
    assert scene.stops._turns == {}


async def test_a_stop_waits_no_longer_than_its_time_for_others_of_its_user(autojump_clock, scene):
    refused = []

    async def halt():
        with pytest.raises(AskTimeout):
            await scene.stops.halt(ME, "")
        refused.append(trio.current_time())

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3 * HALTS_AT_ONCE):
            nursery.start_soon(halt)
    assert [round(at - began, 3) for at in refused] == [1.5] * (3 * HALTS_AT_ONCE)


async def test_whoever_is_cancelled_while_the_brake_is_asked_still_knows_what_it_answered(autojump_clock, scene):
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(_open_soon, scene)
            scope.cancel()
            halted = await scene.stops.halt(ME, "")
            assert halted == scene.brake.halted()
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
    assert scene.stops._turns == {}


async def _open_soon(scene):
    await trio.sleep(0.5)
    scene.brake.open.set()
