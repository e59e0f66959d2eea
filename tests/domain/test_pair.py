from collections.abc import Callable

import pytest

from arbiter.domain.ids import KALSHI, POLYMARKET, PairId
from arbiter.domain.market import Market
from arbiter.domain.money import ONE, Micros
from arbiter.domain.pair import Pair, pair_markets


def _pair(a: Market, b: Market, *, inverted: bool) -> Pair:
    return pair_markets(PairId("p"), "title", a, b, inverted=inverted)


def test_a_straight_pair_hedges_yes_with_the_other_venues_no(market: Callable[..., Market]) -> None:
    a, b = market(POLYMARKET), market(KALSHI)
    pair = _pair(a, b, inverted=False)
    assert pair.hedges == ((a.yes_key, b.no_key), (a.no_key, b.yes_key))
    assert pair.outcomes == (a.yes_key, a.no_key, b.yes_key, b.no_key)


def test_an_inverted_pair_hedges_yes_with_yes_and_no_with_no(market: Callable[..., Market]) -> None:
    a, b = market(POLYMARKET), market(KALSHI)
    assert _pair(a, b, inverted=True).hedges == ((a.yes_key, b.yes_key), (a.no_key, b.no_key))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("a_happens", [False, True])
def test_exactly_one_outcome_of_each_hedge_pays_whatever_happens(market: Callable[..., Market], inverted: bool, a_happens: bool) -> None:
    a, b = market(POLYMARKET), market(KALSHI)
    winners = {a.yes_key if a_happens else a.no_key, b.yes_key if a_happens != inverted else b.no_key}
    for hedge in _pair(a, b, inverted=inverted).hedges:
        assert len(winners & set(hedge)) == 1


def test_two_markets_of_one_venue_are_no_pair(market: Callable[..., Market]) -> None:
    with pytest.raises(ValueError, match="both markets are on kalshi"):
        _pair(market(KALSHI, "a"), market(KALSHI, "b"), inverted=False)


def test_markets_that_pay_different_amounts_are_no_pair(market: Callable[..., Market]) -> None:
    with pytest.raises(ValueError, match="pay different amounts"):
        _pair(market(POLYMARKET), market(KALSHI, payout=Micros(2 * ONE)), inverted=False)
