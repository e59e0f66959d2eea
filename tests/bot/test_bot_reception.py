"""What becomes of an update is decided when it arrives."""

from typing import Any

import pytest

from arbiter.bot.chats import Lane
from arbiter.bot.incoming import Pressed, Typed
from arbiter.bot.reception import Reception
from arbiter.bot.stops import Stops
from arbiter.bot.throttle import BURST
from arbiter.runtime import Environment
from tests.botworld import MemoryBackend

ANN, STRANGER, NOT_LISTED = 1, 2, 3


def stop(user: int, arguments: str = "CONFIRM") -> Typed:
    return Typed(user, "Somebody", 1, "stop", arguments, False, 0)


@pytest.fixture
async def reception(nursery: Any) -> Reception:
    environment = Environment.simulated(1)
    backend: Any = MemoryBackend("nowhere:1", "credential", environment)
    backend._strangers[STRANGER] = 10**15
    return Reception(backend, Stops(backend, None, environment, nursery), frozenset({ANN, STRANGER}), environment)


async def test_a_confirmed_stop_of_who_may_use_the_bot_is_never_throttled(reception: Reception) -> None:
    assert {reception.lane(stop(ANN), number) for number in range(10 * BURST)} == {Lane.URGENT}
    assert reception.throttle.lets_through(ANN)


@pytest.mark.parametrize("asked", [stop(STRANGER), stop(NOT_LISTED), stop(ANN, ""), Pressed(ANN, "Ann", "q", "wallet", 1, True, 0)])
async def test_everything_else_is_throttled(reception: Reception, asked: Any) -> None:
    lanes = [reception.lane(asked, number) for number in range(BURST + 5)]
    assert lanes == [Lane.IN_ORDER] * BURST + [Lane.REFUSED] * 5


async def test_what_is_not_for_the_bot_costs_nobody_a_turn(reception: Reception) -> None:
    assert {reception.lane(None, number) for number in range(100)} == {Lane.IGNORED}
