from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, FillId, MarketId, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.ledger import (
    FillEntry,
    ImpossibleEntry,
    LedgerEntry,
    LedgerFold,
    Position,
    ReversalEntry,
    SettlementEntry,
    fold,
    step,
)
from arbiter.domain.money import MICRO, Micros
from arbiter.domain.order import Fill

USER = UserId("u1")
YES = OutcomeKey(KALSHI, MarketId("m"), OutcomeId("yes"))
NO = OutcomeKey(KALSHI, MarketId("m"), OutcomeId("no"))


def _fill(number: int, side: Side, size: int, cash: int, fee: int = 0, outcome: OutcomeKey = YES, user: UserId = USER) -> FillEntry:
    price = Micros(cash * MICRO // size)
    return FillEntry(Fill(FillId(f"f{number}"), OrderId("o"), user, outcome, side, price, Micros(size), Micros(cash), Micros(fee), number))


def _settlement(payout: int, outcome: OutcomeKey = YES) -> SettlementEntry:
    return SettlementEntry(USER, outcome, Micros(payout), 99)


def _reversal(number: int, outcome: OutcomeKey = YES) -> ReversalEntry:
    return ReversalEntry(USER, outcome, FillId(f"f{number}"), 99)


def _folded(entries: Iterable[LedgerEntry]) -> Position:
    ledger = LedgerFold()
    position = Position(USER, YES)
    for entry in entries:
        position = ledger.apply(entry)
    return position


def test_cost_basis_is_a_total_and_fees_are_kept_apart() -> None:
    position = _folded([_fill(1, Side.BUY, 10, 6, fee=2), _fill(2, Side.BUY, 20, 9, fee=1)])
    assert (position.size, position.cost, position.fees, position.realised) == (30, 15, 3, -3)


def test_a_sale_removes_its_share_of_the_cost_and_realises_net_of_its_fee() -> None:
    position = _folded([_fill(1, Side.BUY, 30, 15), _fill(2, Side.SELL, 10, 8, fee=1)])
    assert (position.size, position.cost, position.realised, position.fees) == (20, 10, 8 - 1 - 5, 1)


def test_a_share_is_rounded_down_and_the_last_sale_takes_the_rest() -> None:
    ledger = LedgerFold()
    ledger.apply(_fill(1, Side.BUY, 3, 100))
    costs = [ledger.apply(_fill(number, Side.SELL, 1, 0)).cost for number in (2, 3, 4)]
    assert costs == [67, 34, 0]
    assert ledger.positions[(USER, YES)].realised == -100


@pytest.mark.parametrize(("payout", "proceeds"), [(MICRO, 10), (0, 0), (MICRO // 2, 5)])
def test_a_settlement_pays_out_what_is_held_and_closes_the_position(payout: int, proceeds: int) -> None:
    position = _folded([_fill(1, Side.BUY, 10, 6, fee=1), _settlement(payout)])
    assert (position.size, position.cost, position.realised, position.fees) == (0, 0, proceeds - 6 - 1, 1)


def test_a_settlement_pays_in_whole_micros_rounded_down() -> None:
    assert _folded([_fill(1, Side.BUY, 3, 1), _settlement(MICRO // 2)]).realised == 1 - 1


def test_a_reversal_leaves_what_would_be_without_its_fill() -> None:
    first, second, third = _fill(1, Side.BUY, 30, 17, fee=3), _fill(2, Side.BUY, 7, 5), _fill(3, Side.SELL, 6, 4, fee=1)
    assert _folded([first, second, third, _reversal(2)]) == _folded([first, third])


def test_a_reversed_sale_gives_the_shares_back_at_their_old_cost() -> None:
    assert _folded([_fill(1, Side.BUY, 3, 100), _fill(2, Side.SELL, 1, 90), _reversal(2)]) == _folded([_fill(1, Side.BUY, 3, 100)])


def test_what_contradicts_the_entries_before_it_is_refused_and_changes_nothing() -> None:
    ledger = LedgerFold()
    for entry in (_fill(1, Side.BUY, 10, 5), _fill(2, Side.SELL, 8, 5)):
        ledger.apply(entry)
    before = dict(ledger.positions)
    impossible = [
        _fill(3, Side.SELL, 3, 1),  # more than is held
        _fill(4, Side.SELL, 1, 1, outcome=NO),  # never held
        _reversal(9),  # a fill that never was
        _reversal(1, NO),  # a fill of another outcome
        _reversal(1),  # the sale after it would sell what was never bought
    ]
    for entry in impossible:
        with pytest.raises(ImpossibleEntry):
            ledger.apply(entry)
        assert ledger.positions == before
    assert ledger.apply(_reversal(2)).size == 10
    with pytest.raises(ImpossibleEntry):
        ledger.apply(_reversal(2))


def test_a_reversal_is_no_step() -> None:
    with pytest.raises(ImpossibleEntry):
        step(Position(USER, YES), _reversal(1))


def test_users_and_outcomes_do_not_touch_each_other() -> None:
    ledger = LedgerFold()
    ledger.apply(_fill(1, Side.BUY, 10, 5))
    ledger.apply(_fill(2, Side.BUY, 20, 5, outcome=NO))
    ledger.apply(_fill(3, Side.BUY, 30, 5, user=UserId("u2")))
    assert {key: position.size for key, position in ledger.positions.items()} == {(USER, YES): 10, (USER, NO): 20, (UserId("u2"), YES): 30}


# (kind, size or share or payout, cash, fee)
moves = st.lists(
    st.tuples(st.sampled_from(["buy", "sell", "sell all", "settle"]), st.integers(1, 1_000), st.integers(1, 10**6), st.integers(0, 1_000)),
    max_size=30,
)


def _entries(drawn: list[tuple[str, int, int, int]]) -> list[LedgerEntry]:
    """A possible history: nothing is sold that is not held."""
    held, made = 0, list[LedgerEntry]()
    for number, (kind, size, cash, fee) in enumerate(drawn):
        if kind == "buy":
            made.append(_fill(number, Side.BUY, size, cash, fee))
            held += size
        elif kind == "settle":
            made.append(_settlement(size * 1_000))
            held = 0
        elif held:
            sold = held if kind == "sell all" else 1 + size % held
            made.append(_fill(number, Side.SELL, sold, cash, fee))
            held -= sold
    return made


@given(moves)
def test_no_history_loses_or_makes_a_micro(drawn: list[tuple[str, int, int, int]]) -> None:
    ledger, cash, held, fees = LedgerFold(), 0, 0, 0
    for entry in _entries(drawn):
        position = ledger.apply(entry)
        if isinstance(entry, FillEntry):
            sign = 1 if entry.fill.side is Side.BUY else -1
            cash -= sign * entry.fill.cash + entry.fill.fee
            held += sign * entry.fill.size
            fees += entry.fill.fee
        elif isinstance(entry, SettlementEntry):
            cash += held * entry.payout // MICRO
            held = 0
        assert (position.size, position.fees) == (held, fees)
        assert position.realised - position.cost == cash, "what was realised less what is still invested is the cash that moved"
        assert position.cost >= 0
        assert held or not position.cost, "nothing held has no cost"


@given(moves)
def test_the_fold_of_the_stored_entries_equals_the_state_that_grew_with_them(drawn: list[tuple[str, int, int, int]]) -> None:
    entries = _entries(drawn)
    assert fold((USER, YES), entries) == _folded(entries)


@given(moves, st.data())
def test_any_fill_reversed_is_as_if_it_had_never_been(drawn: list[tuple[str, int, int, int]], data: st.DataObject) -> None:
    entries = _entries([*drawn, ("buy", 1, 1, 0)])
    gone = data.draw(st.sampled_from([e for e in entries if isinstance(e, FillEntry)]))
    rest = [e for e in entries if e is not gone]
    ledger = LedgerFold()
    for entry in entries:
        ledger.apply(entry)
    before = dict(ledger.positions)
    reversal = ReversalEntry(USER, YES, gone.fill.id, 99)
    try:
        expected = fold((USER, YES), rest)
    except ImpossibleEntry:
        with pytest.raises(ImpossibleEntry):
            ledger.apply(reversal)
        assert ledger.positions == before
    else:
        assert ledger.apply(reversal) == expected == ledger.positions[(USER, YES)]
