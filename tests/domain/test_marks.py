from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Level, Levels
from arbiter.domain.ids import KALSHI, MarketId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.ledger import Position
from arbiter.domain.marks import Mark, exit_value, mark
from arbiter.domain.money import MICRO, Micros


def _position(size: int, cost: int) -> Position:
    return Position(UserId("u"), OutcomeKey(KALSHI, MarketId("m"), OutcomeId("yes")), Micros(size), Micros(cost))


def _levels(*pairs: tuple[int, int]) -> Levels:
    return tuple(Level(Micros(price), Micros(size)) for price, size in pairs)


@pytest.mark.parametrize(
    ("bid", "ask", "price"),
    [
        (400_000, 410_000, 405_000),
        (400_000, 450_000, 425_000),
        (400_000, 450_001, 400_000),
        (400_000, 400_000, 400_000),
        (400_000, 390_000, 400_000),
        (400_000, 400_001, 400_000),
    ],
)
def test_the_mid_marks_only_while_the_spread_is_at_most_five_cents(bid: int, ask: int, price: int) -> None:
    assert mark(_position(MICRO, 0), _levels((bid, 1)), _levels((ask, 1))).price == price


def test_without_asks_the_bid_marks_and_without_bids_nothing_does() -> None:
    assert mark(_position(MICRO, 0), _levels((400_000, 1)), ()).price == 400_000
    assert mark(_position(MICRO, 0), (), _levels((400_000, 1))) == Mark(None, None, None)


def test_unrealised_is_the_marked_value_less_the_cost_and_exit_is_what_the_bids_pay() -> None:
    bids, asks = _levels((400_000, 3 * MICRO), (300_000, 100 * MICRO)), _levels((420_000, MICRO))
    assert mark(_position(10 * MICRO, 3 * MICRO), bids, asks) == Mark(Micros(410_000), Micros(1_100_000), Micros(3_300_000))


def test_what_finds_no_bid_brings_nothing() -> None:
    assert exit_value(10 * MICRO, _levels((400_000, 3 * MICRO))) == 1_200_000
    assert exit_value(10 * MICRO, ()) == 0
    assert exit_value(0, _levels((400_000, 3 * MICRO))) == 0


@given(st.integers(0, 30), st.lists(st.tuples(st.integers(1, 999_999), st.integers(1, 10)), max_size=6))
def test_the_exit_value_is_that_of_the_units_one_by_one(size: int, pairs: list[tuple[int, int]]) -> None:
    bids = _levels(*sorted(pairs, reverse=True))
    units = [price for price, available in bids for _ in range(available)][:size]
    assert exit_value(size, bids) == sum(units) // MICRO
    scaled = _levels(*((price, available * MICRO) for price, available in bids))
    assert Fraction(exit_value(size * MICRO, scaled)) == sum(units)
