"""What a venue tells of an account, seen from either outcome of its market."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.account_events import FillTold, OrderTold, Standing, netted, seen_from
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


# -- netting --


def held(size, side, price, after, fee=None):
    told = fill(size=Micros(size * MICRO), side=side, price=Micros(price), position_after=Micros(after * MICRO), fee=fee)
    return [(each.outcome.outcome, each.side, each.size // MICRO, each.price, each.fee) for each in netted(told, NO)]


def test_buying_yes_with_no_held_sells_that_first():
    assert held(10, Side.BUY, 530_000, after=6, fee=Micros(101)) == [("no", Side.SELL, 4, 470_000, 40), ("yes", Side.BUY, 6, 530_000, 61)]


def test_selling_more_yes_than_is_held_buys_no():
    assert held(10, Side.SELL, 530_000, after=-7) == [("yes", Side.SELL, 3, 530_000, None), ("no", Side.BUY, 7, 470_000, None)]


def test_a_fill_that_only_opens_or_only_closes_stays_one():
    assert held(10, Side.BUY, 530_000, after=12, fee=Micros(9)) == [("yes", Side.BUY, 10, 530_000, 9)]
    assert held(10, Side.SELL, 530_000, after=0, fee=Micros(9)) == [("yes", Side.SELL, 10, 530_000, 9)]
    assert held(10, Side.SELL, 530_000, after=-10) == [("no", Side.BUY, 10, 470_000, None)]
    assert netted(fill(), NO) == (fill(),), "where no position is told nothing is known of netting"


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9), st.sampled_from(Side), st.integers(0, ONE), st.integers(0, 10**7))
def test_netting_loses_nothing_and_never_sells_what_is_not_held(before, size, side, price, fee):
    after = before + size if side is Side.BUY else before - size
    told = fill(size=Micros(size), side=side, price=Micros(price), fee=Micros(fee), position_after=Micros(after))
    holdings = {YES: max(0, before), NO: max(0, -before)}
    parts = netted(told, NO)
    for part in parts:
        holdings[part.outcome] += part.size if part.side is Side.BUY else -part.size
        assert min(holdings.values()) >= 0
        assert holdings[part.outcome] == max(0, part.position_after)
    assert holdings == {YES: max(0, after), NO: max(0, -after)}
    assert (sum(part.size for part in parts), sum(part.fee for part in parts)) == (size, fee)
    # each pair that netting closed pays 1, so that the money is the same as that of the whole trade
    flow = sum((-1 if part.side is Side.BUY else 1) * part.price * part.size for part in parts)
    pairs = sum(part.size for part in parts if part.outcome == NO) * (1 if side is Side.BUY else -1)
    assert flow == (-1 if side is Side.BUY else 1) * price * size + ONE * pairs
