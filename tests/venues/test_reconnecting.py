"""Lines that are kept: backoff, what is told of a loss, that each is lost alone, and the heartbeat that finds the silent ones."""

import tracemalloc
from random import Random

import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from arbiter.domain.ids import POLYMARKET
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.heartbeat import Heartbeat
from arbiter.venues.reconnecting import (
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    LONGEST_WISH_SECONDS,
    SETTLED_SECONDS,
    Backoff,
    keep_connected,
)

# -- backoff --


@given(st.integers(0, 1000), st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0, 1e9))
def test_every_wait_is_within_the_bounds_unless_the_venue_wishes_for_longer(seed, lives, wish):
    backoff = Backoff(Random(seed))
    for lived in lives:
        assert FIRST_RETRY_SECONDS <= backoff.after(lived) <= LONGEST_RETRY_SECONDS
    assert min(wish, LONGEST_WISH_SECONDS) <= backoff.after(0, wish) <= LONGEST_WISH_SECONDS


def test_waits_double_until_a_connection_lasts():
    backoff = Backoff(Random(1))
    waits = [backoff.after(0) for _ in range(10)]
    for number, wait in enumerate(waits):
        longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** (number + 1))
        assert longest / 2 <= wait <= longest
    assert backoff.after(SETTLED_SECONDS) <= 2 * FIRST_RETRY_SECONDS


def test_lines_that_were_lost_together_do_not_come_back_together():
    waits = {Backoff(Random(seed)).after(0) for seed in range(100)}
    assert len(waits) == 100


# -- lines --


class Lines:
    """What lines told, and when each ran."""

    def __init__(self) -> None:
        self.environment = Environment.simulated(1)
        self.lost: list[tuple[int, str]] = []
        self.ran: list[tuple[int, float]] = []

    def runs(self, line: int) -> list[float]:
        return [at for each, at in self.ran if each == line]


async def test_one_line_is_lost_and_comes_back_while_the_others_go_on(autojump_clock: MockClock) -> None:
    lines = Lines()

    async def run(line: int) -> None:
        lines.ran.append((line, trio.current_time()))
        if line == 1:
            await trio.sleep(20)
            raise VenueUnavailable(POLYMARKET, "cut")
        await trio.sleep_forever()

    with trio.move_on_after(100):
        async with trio.open_nursery() as nursery:
            for line in range(3):
                nursery.start_soon(
                    lambda line=line: keep_connected(
                        lambda: run(line), lambda why: lines.lost.append((line, why)), lines.environment, venue=POLYMARKET, line=line
                    )
                )
    assert [len(lines.runs(line)) for line in range(3)] == [1, 5, 1]
    assert lines.lost == [(1, f"{POLYMARKET} is unavailable: cut")] * 4
    assert all(20.25 <= later - earlier <= 20.5 for earlier, later in zip(lines.runs(1), lines.runs(1)[1:], strict=False))


@pytest.mark.parametrize(("error", "soonest"), [(VenueUnavailable("v", "busy", 7000), 7.0), (VenueRejected("v", "no"), 0.25), (None, 0.25)])
async def test_whatever_ends_a_line_it_runs_again_and_not_before_the_venue_wishes(autojump_clock: MockClock, error, soonest) -> None:
    lines, lost = Lines(), []

    async def run() -> None:
        lines.ran.append((0, trio.current_time()))
        if error is not None:
            raise error

    with trio.move_on_after(soonest + 0.6):
        await keep_connected(run, lost.append, lines.environment, venue="v")
    assert len(lines.ran) >= 2
    assert lines.runs(0)[1] >= soonest
    assert len(lost) >= 1


async def test_a_bug_ends_the_line(autojump_clock: MockClock) -> None:
    async def run() -> None:
        raise LookupError("ours")

    lines = Lines()
    with pytest.raises(LookupError):
        await keep_connected(run, lambda why: None, lines.environment, venue="v")


async def test_hours_of_losses_cost_no_memory_and_one_word_a_minute_in_the_log(autojump_clock: MockClock) -> None:
    told = 0

    def lost(why: str) -> None:
        nonlocal told
        told += 1

    async def run() -> None:
        await trio.sleep(0.5)
        raise VenueUnavailable("v", "cut")

    backoff = Backoff(Random(1), longest=0.5)
    with structlog.testing.capture_logs() as logs, trio.move_on_after(3 * 3600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: keep_connected(run, lost, Environment.simulated(1), venue="v", backoff=backoff))
            await trio.sleep(3600)
            tracemalloc.start()
            try:
                await trio.sleep(600)
                before = tracemalloc.get_traced_memory()[0]
                logs.clear()
                await trio.sleep(3600)
                grown = tracemalloc.get_traced_memory()[0] - before
            finally:
                tracemalloc.stop()
            assert told > 5000
            assert len(logs) <= 61
            assert grown < 100_000
            nursery.cancel_scope.cancel()


# -- heartbeat --


async def test_a_peer_that_answers_lives_for_ever_and_one_that_stops_is_found_in_time(autojump_clock: MockClock) -> None:
    asked: list[float] = []

    async def ask() -> None:
        asked.append(trio.current_time())
        if trio.current_time() < 100:
            heartbeat.beat()

    heartbeat = Heartbeat("v", trio.current_time, ask, every=10, dead=25, name="PONG")
    with pytest.raises(VenueUnavailable, match="no PONG for 25 s"):
        await heartbeat.watch()
    assert asked == [pytest.approx(10 * number) for number in range(1, 12)]
    assert trio.current_time() == pytest.approx(90 + 25)
