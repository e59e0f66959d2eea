"""Cash on paper: the sum of `realised - cost` is exactly the cash that went through the ledger."""

from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, FillId, MarketId, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.ledger import FillEntry, LedgerFold, SettlementEntry
from arbiter.domain.money import MICRO, Micros
from arbiter.domain.order import Fill, Order, OrderState, TimeInForce
from arbiter.domain.wallet import PAPER_CASH, cash_pools

ANN = UserId("ann")
YES = OutcomeKey(KALSHI, MarketId("K"), OutcomeId("yes"))


def fill(number: int, side: Side, size: int, cash: int, fee: int) -> FillEntry:
    return FillEntry(Fill(FillId(str(number)), OrderId("o"), ANN, YES, side, Micros(0), Micros(size), Micros(cash), Micros(fee), 0))


def order(price: int, size: int, **changes: object) -> Order:
    fields = {"side": Side.BUY, "outcome": YES, "state": OrderState.OPEN} | changes
    return Order(
        OrderId("o"), ANN, price=Micros(price), size=Micros(size), tif=TimeInForce.GTC, idempotency_key="k", created_ms=0, **fields
    )


step = st.tuples(st.booleans(), st.integers(1, 50 * MICRO), st.integers(0, 50 * MICRO), st.integers(0, MICRO))


@given(st.lists(step, max_size=30), st.none() | st.integers(0, MICRO))
def test_cash_is_the_start_plus_every_payment_exactly(steps: list[tuple[bool, int, int, int]], payout: int | None) -> None:
    fold, cash, held = LedgerFold(), int(PAPER_CASH), 0
    for number, (buys, size, paid, fee) in enumerate(steps):
        if not buys and size > held:
            continue
        fold.apply(fill(number, Side.BUY if buys else Side.SELL, size, paid, fee))
        held += size if buys else -size
        cash += -paid - fee if buys else paid - fee
    if payout is not None:
        fold.apply(SettlementEntry(ANN, YES, Micros(payout), 0))
        cash += held * payout // MICRO
    (pool,) = cash_pools([KALSHI], fold.positions.values(), ())
    assert pool.cash == cash


def test_open_buys_reserve_their_worst_cost_and_nothing_else_does() -> None:
    orders = (
        order(500_000, 10 * MICRO),
        order(333_333, 1 * MICRO + 1),  # rounded up, against us
        order(500_000, 10 * MICRO, filled=Micros(4 * MICRO)),
        order(500_000, 10 * MICRO, side=Side.SELL),
        order(500_000, 10 * MICRO, state=OrderState.CANCELLED),
        order(500_000, 10 * MICRO, outcome=OutcomeKey(POLYMARKET, MarketId("P"), OutcomeId("yes"))),
    )
    (pool,) = cash_pools([KALSHI], (), orders)
    assert pool.reserved == 5 * MICRO + 333_334 + 3 * MICRO
    assert pool.available == PAPER_CASH - pool.reserved


def test_there_is_a_pool_for_each_venue_in_order_and_nothing_below_zero_is_available() -> None:
    pools = cash_pools([POLYMARKET, KALSHI], (), (order(MICRO, 20_000 * MICRO),))
    assert [pool.venue for pool in pools] == [KALSHI, POLYMARKET]
    assert [pool.available for pool in pools] == [0, PAPER_CASH]
