"""Clocks and chance, simulated and real."""

import pytest
import trio

from arbiter.runtime import Environment


async def test_a_simulated_environment_follows_from_its_seed_and_trios_clock(autojump_clock):
    one, same, other = Environment.simulated(1), Environment.simulated(1), Environment.simulated(2)
    began = one.unix_ms()
    await trio.sleep(1.5)
    assert one.unix_ms() - began == 1500
    assert one.monotonic() == trio.current_time()
    assert one.random.random() == same.random.random() != other.random.random()


async def test_the_real_environment_tells_milliseconds_of_utc():
    environment = Environment.real()
    assert 1_700_000_000_000 < environment.unix_ms() < 10_000_000_000_000
    assert environment.monotonic() == pytest.approx(trio.current_time(), abs=5)
    assert 0 <= environment.random.random() < 1
