"""What a venue tells of an account, seen from either outcome of its market."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.account_events import FillTold, OrderTold, Standing, seen_from
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, MarketId, OutcomeId, OutcomeKey
from arbiter.domain.money import MICRO, ONE, ZERO, Micros

YES = OutcomeKey(KALSHI, MarketId("M"), OutcomeId("yes"))
NO = OutcomeKey(KALSHI, MarketId("M"), OutcomeId("no"))
ELSEWHERE = OutcomeKey(KALSHI, MarketId("N"), OutcomeId("no"))


def fill(**fields):
    return FillTold(
        **{"trade_id": "t", "venue_id": "v", "outcome": YES, "side": Side.SELL, "price": Micros(530_000), "size": ONE, **fields}
    )


def order(**fields):
    given_ = {"venue_id": "v", "outcome": YES, "side": Side.BUY, "price": Micros(530_000), "size": ONE, "filled": ZERO, "remaining": ONE}
    return OrderTold(**given_, standing=Standing.RESTING, **fields)


def test_selling_yes_is_buying_no_and_the_position_after_it_turns_its_sign():
    seen = seen_from(fill(position_after=Micros(-2 * MICRO)), NO)
    assert (seen.outcome, seen.side, seen.price, seen.size) == (NO, Side.BUY, 470_000, ONE)
    assert seen.position_after == 2 * MICRO


def test_an_order_is_brought_to_the_terms_in_which_it_was_placed():
    seen = seen_from(order(), NO)
    assert (seen.outcome, seen.side, seen.price, seen.remaining) == (NO, Side.SELL, 470_000, ONE)
    assert seen_from(order(), YES) == order()


@given(st.integers(0, ONE), st.sampled_from(Side), st.one_of(st.none(), st.integers(-(10**12), 10**12)), st.sampled_from([YES, NO]))
def test_there_and_back_is_where_it_was(price, side, after, outcome):
    told = fill(price=Micros(price), side=side, position_after=after, outcome=outcome)
    other = NO if outcome == YES else YES
    assert seen_from(seen_from(told, other), outcome) == told


def test_another_markets_outcome_is_refused():
    with pytest.raises(ValueError, match="kalshi:N:no is no outcome of the market of kalshi:M:yes"):
        seen_from(fill(), ELSEWHERE)


def test_cash_that_does_not_come_out_even_is_rounded_against_us():
    odd = {"price": Micros(333_333), "size": Micros(10_001)}
    assert fill(**odd, side=Side.BUY).cash == 3_334
    assert fill(**odd, side=Side.SELL).cash == 3_333
    assert fill(side=Side.BUY).cash == 530_000
