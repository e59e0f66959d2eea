from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, MarketId, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.money import Micros
from arbiter.domain.order import TRANSITIONS, IllegalTransition, Order, OrderState, TimeInForce

S = OrderState
FINAL = {S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED}

# the design's table once more, as what each state may come from
FROM = {
    S.PENDING: set(),
    S.SUBMITTING: {S.PENDING},
    S.OPEN: {S.SUBMITTING, S.UNKNOWN},
    S.PARTIALLY_FILLED: {S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.CANCELLING, S.UNKNOWN},
    S.FILLED: {S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.CANCELLING, S.UNKNOWN},
    S.CANCELLING: {S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.UNKNOWN},
    S.CANCELLED: {S.PENDING, S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.CANCELLING, S.UNKNOWN},
    S.REJECTED: {S.PENDING, S.SUBMITTING, S.UNKNOWN},
    S.EXPIRED: {S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.CANCELLING, S.UNKNOWN},
    S.UNKNOWN: {S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.CANCELLING},
}


@pytest.mark.parametrize("after", list(S))
@pytest.mark.parametrize("before", list(S))
def test_an_order_takes_the_steps_of_the_table_and_no_other(order: Callable[..., Order], before: OrderState, after: OrderState) -> None:
    one = order(state=before)
    if before in FROM[after]:
        assert one.become(after, 7) == order(state=after, updated_ms=7)
    else:
        with pytest.raises(IllegalTransition, match=f"{before.value} cannot become {after.value}") as refused:
            one.become(after, 7)
        assert (refused.value.order, refused.value.before, refused.value.after) == (one.id, before, after)


def test_every_state_has_a_row_and_only_final_ones_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(S)
    assert {state for state, after in TRANSITIONS.items() if not after} == FINAL == {state for state in S if state.is_final}


def test_an_unknown_order_is_never_sent_again_and_never_taken_for_new() -> None:
    assert not {S.PENDING, S.SUBMITTING} & TRANSITIONS[S.UNKNOWN]
    assert S.UNKNOWN not in TRANSITIONS[S.PENDING]


def test_a_reason_stays_until_another_is_given(order: Callable[..., Order]) -> None:
    one = order(state=S.OPEN).become(S.CANCELLING, 1, reason="by the user")
    assert one.become(S.CANCELLED, 2).reason == "by the user"
    assert one.become(S.EXPIRED, 2, reason="too late").reason == "too late"


def test_a_fill_of_the_rest_fills_and_of_less_fills_partly(order: Callable[..., Order]) -> None:
    one = order(state=S.OPEN, size=Micros(10)).fill(Micros(4), 5)
    assert (one.state, one.filled, one.remaining, one.updated_ms) == (S.PARTIALLY_FILLED, 4, 6, 5)
    assert one.fill(Micros(6), 6).state is S.FILLED


def test_a_cancel_can_lose_the_race_against_a_fill(order: Callable[..., Order]) -> None:
    cancelling = order(state=S.CANCELLING, size=Micros(10))
    assert cancelling.fill(Micros(10), 1).state is S.FILLED
    assert cancelling.fill(Micros(1), 1).become(S.CANCELLED, 2).filled == 1


@pytest.mark.parametrize("size", [0, -1, 11])
def test_a_fill_of_nothing_or_of_more_than_the_rest_is_refused(order: Callable[..., Order], size: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        order(state=S.OPEN, size=Micros(10)).fill(Micros(size), 1)


@pytest.mark.parametrize("state", [S.PENDING, S.CANCELLED, S.REJECTED, S.EXPIRED])
def test_a_fill_of_an_order_that_cannot_fill_is_an_illegal_step(order: Callable[..., Order], state: OrderState) -> None:
    with pytest.raises(IllegalTransition):
        order(state=state).fill(Micros(1), 1)


class OrderLife(RuleBasedStateMachine):
    """Any sequence of steps and fills, against a model of two numbers."""

    def __init__(self) -> None:
        super().__init__()
        outcome = OutcomeKey(KALSHI, MarketId("m"), OutcomeId("yes"))
        self.order = Order(OrderId("o"), UserId("u"), outcome, Side.BUY, Micros(1), Micros(20), TimeInForce.GTC, "k", 0)
        self.path = [S.PENDING]
        self.filled = 0

    @rule(state=st.sampled_from(S))
    def step(self, state: OrderState) -> None:
        # FILLED is reached by fills: the desk never states it without one
        if state is S.FILLED:
            return
        if self.path[-1] in FROM[state]:
            self.order = self.order.become(state, 1)
            self.path.append(state)
        else:
            with pytest.raises(IllegalTransition):
                self.order.become(state, 1)

    @precondition(lambda self: self.path[-1] is S.PENDING)
    @rule()
    def submit(self) -> None:
        self.step(S.SUBMITTING)

    @rule(size=st.integers(-1, 21))
    def fill(self, size: int) -> None:
        after = S.FILLED if size == 20 - self.filled else S.PARTIALLY_FILLED
        if 0 < size <= 20 - self.filled and self.path[-1] in FROM[after]:
            self.order = self.order.fill(Micros(size), 1)
            self.path.append(after)
            self.filled += size
        else:
            with pytest.raises((IllegalTransition, ValueError)):
                self.order.fill(Micros(size), 1)

    @invariant()
    def agrees(self) -> None:
        assert self.order.state is self.path[-1]
        assert self.order.filled == self.filled == 20 - self.order.remaining
        assert (self.order.state is S.FILLED) == (self.filled == 20)
        assert not any(state in FINAL for state in self.path[:-1]), "nothing follows a final state"


OrderLife.TestCase.settings = settings(deadline=None, max_examples=50, stateful_step_count=20)
test_any_life_of_an_order_keeps_its_numbers_and_ends_once = OrderLife.TestCase
