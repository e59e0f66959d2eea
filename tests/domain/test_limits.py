import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.account import Tier
from arbiter.domain.limits import TIERS, TokenBucket
from arbiter.domain.money import MICRO


def test_the_tiers_are_those_that_were_promised() -> None:
    rows = {tier: (t.requests_per_second, t.orders_per_minute, t.open_positions, t.largest_position // MICRO) for tier, t in TIERS.items()}
    assert rows == {Tier.FREE: (10, 10, 5, 100), Tier.PRO: (60, 60, 25, 1_000), Tier.ENTERPRISE: (300, 600, 100, 10_000)}
    assert {tier: (t.copy_trades, t.streams, t.arbitrage_execution) for tier, t in TIERS.items()} == {
        Tier.FREE: (1, 2, False),
        Tier.PRO: (10, 10, True),
        Tier.ENTERPRISE: (50, 50, True),
    }


def test_a_full_bucket_gives_its_capacity_at_once_and_then_one_an_interval() -> None:
    bucket = TokenBucket(3, 100, now=5.0)
    assert [bucket.take(5.0) for _ in range(4)] == [0, 0, 0, 100]
    assert bucket.take(5.06) == 40
    assert bucket.take(5.1) == 0
    assert bucket.take(5.1) == 100


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket(2, 100, now=0.0)
    assert bucket.take(0.0, 3) == 100
    assert bucket.take(0.0, 2) == 0


def test_rest_never_gives_more_than_the_capacity() -> None:
    bucket = TokenBucket(2, 100, now=0.0)
    assert [bucket.take(1_000.0) for _ in range(3)] == [0, 0, 100]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1, 1_000, now=10.0)
    assert bucket.take(10.0) == 0
    assert bucket.take(9.0) == 1_000


def _at(ms: int) -> float:
    """The middle of a millisecond, so that seconds as a float cannot fall into the one before."""
    return (ms + 0.5) / 1_000


@given(st.integers(1, 20), st.integers(1, 500), st.lists(st.integers(0, 700), max_size=60))
def test_the_answer_is_the_exact_wait_and_the_rate_is_never_exceeded(capacity: int, interval_ms: int, gaps: list[int]) -> None:
    bucket = TokenBucket(capacity, interval_ms, now=_at(0))
    now_ms = 0
    for taken, gap in enumerate(gaps, start=1):
        now_ms += gap
        wait = bucket.take(_at(now_ms))
        if wait:
            assert bucket.take(_at(now_ms + wait - 1)) > 0, "a millisecond early is too early"
            now_ms += wait
            assert bucket.take(_at(now_ms)) == 0, "after the wait it is there"
        assert taken <= capacity + now_ms // interval_ms


@pytest.mark.parametrize("tier", list(Tier))
def test_every_tier_gets_at_least_the_rate_it_pays_for(tier: Tier) -> None:
    limits = TIERS[tier]
    requests = TokenBucket.per_second(limits.requests_per_second, 0.0)
    assert (requests.capacity, requests.interval_ms) == (2 * limits.requests_per_second, 1000 // limits.requests_per_second)
    orders = TokenBucket.per_minute(limits.orders_per_minute, 0.0)
    assert orders.capacity == limits.orders_per_minute
    assert orders.capacity * orders.interval_ms == 60_000


@pytest.mark.parametrize(("capacity", "interval_ms"), [(0, 1), (1, 0), (-1, 1)])
def test_a_bucket_without_room_or_time_is_refused(capacity: int, interval_ms: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        TokenBucket(capacity, interval_ms, 0.0)


def test_a_charge_is_taken_whether_it_is_there_or_not_and_waited_for_by_the_next():
    bucket = TokenBucket(2, 100, 0.0)
    bucket.charge(0.0, 5)
    assert bucket.take(0.0) == 400
    assert bucket.take(0.4) == 0
