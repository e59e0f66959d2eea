from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.ids import MarketId, OutcomeId, OutcomeKey
from arbiter.domain.market import Market, TickRange
from arbiter.domain.money import ONE, Micros


def test_each_outcome_is_the_complement_of_the_other(market: Callable[..., Market]) -> None:
    m = market()
    assert m.complement(m.yes.id) == m.no_key
    assert m.complement(m.no.id) == m.yes_key
    assert m.outcome_key(m.yes.id) == m.yes_key == OutcomeKey(m.key.venue, MarketId("m"), OutcomeId("yes"))


def test_an_outcome_of_another_market_is_a_key_error(market: Callable[..., Market]) -> None:
    with pytest.raises(KeyError):
        market().complement(OutcomeId("other"))
    with pytest.raises(KeyError):
        market().outcome_key(OutcomeId("other"))


@given(st.integers(-10, 1_000_010))
def test_a_tapered_grid_is_fine_at_the_ends_and_coarse_between(market: Callable[..., Market], price: int) -> None:
    fine, coarse = Micros(1_000), Micros(10_000)
    m = market(
        ticks=(
            TickRange(Micros(0), Micros(100_000), fine),
            TickRange(Micros(100_000), Micros(900_000), coarse),
            TickRange(Micros(900_000), ONE, fine),
        )
    )
    step = fine if price <= 100_000 or price >= 900_000 else coarse
    assert m.on_grid(price) == (0 < price < ONE and price % step == 0)


@pytest.mark.parametrize("price", [0, ONE, -10_000, ONE + 10_000])
def test_nothing_and_the_whole_payout_are_no_prices_even_where_the_range_has_them(market: Callable[..., Market], price: int) -> None:
    assert not market(ticks=(TickRange(Micros(-ONE), Micros(2 * ONE), Micros(10_000)),)).on_grid(price)


def test_a_price_outside_every_range_is_off_the_grid(market: Callable[..., Market]) -> None:
    m = market(ticks=(TickRange(Micros(200_000), Micros(300_000), Micros(10_000)),))
    assert m.on_grid(200_000)
    assert m.on_grid(300_000)
    assert not m.on_grid(190_000)
    assert not m.on_grid(310_000)
    assert not m.on_grid(205_000)
