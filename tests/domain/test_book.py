from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter.domain.book import Book, BookSnapshot, BrokenBook, Level, LevelChange, Levels, Side
from arbiter.domain.ids import KALSHI, MarketId, OutcomeId, OutcomeKey
from arbiter.domain.money import Micros

OUTCOME = OutcomeKey(KALSHI, MarketId("m"), OutcomeId("yes"))

# few prices, so that changes meet each other
prices = st.integers(1, 12).map(lambda cents: Micros(cents * 10_000))
sizes = st.integers(0, 5).map(Micros)
sides = st.sampled_from(Side)
levels = st.lists(st.builds(Level, prices, sizes), max_size=8).map(tuple)
absolute = st.builds(LevelChange, st.just(OUTCOME), sides, prices, sizes, st.just(False))
signed = st.builds(LevelChange, st.just(OUTCOME), sides, prices, st.integers(-5, 5).map(Micros), st.just(True))
snapshots = st.builds(BookSnapshot, st.just(OUTCOME), levels, levels)


def _levels(*pairs: tuple[int, int]) -> Levels:
    return tuple(Level(Micros(price), Micros(size)) for price, size in pairs)


def _change(side: Side, price: int, size: int, *, signed: bool = False) -> LevelChange:
    return LevelChange(OUTCOME, side, Micros(price), Micros(size), signed)


def _held(levels: Levels) -> dict[int, int]:
    return {price: size for price, size in levels if size}


class Model:
    """The same book as two dictionaries from price to size."""

    def __init__(self) -> None:
        self.sides: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}

    def apply(self, event: Any) -> bool:
        """False where the event cannot be, and then nothing has changed."""
        if isinstance(event, BookSnapshot):
            self.sides = {Side.BUY: _held(event.bids), Side.SELL: _held(event.asks)}
            return True
        held = self.sides[event.side]
        size = held.get(event.price, 0) + event.size if event.signed else event.size
        if size < 0:
            return False
        held[event.price] = size
        return True

    def levels(self, side: Side) -> list[tuple[int, int]]:
        return sorted(((p, s) for p, s in self.sides[side].items() if s), reverse=side is Side.BUY)


@settings(max_examples=60)
@given(st.lists(absolute | signed | snapshots, max_size=60))
def test_a_book_equals_the_dictionary_that_the_same_events_make(events: list[Any]) -> None:
    book, model = Book(OUTCOME), Model()
    for event in events:
        apply: Any = book.apply_snapshot if isinstance(event, BookSnapshot) else book.apply_change
        if model.apply(event):
            apply(event)
        else:
            with pytest.raises(BrokenBook):
                apply(event)
        bids, asks = model.levels(Side.BUY), model.levels(Side.SELL)
        assert list(book.bids()) == bids
        assert list(book.asks()) == asks
        assert book.best_bid == (bids[0] if bids else None)
        assert book.best_ask == (asks[0] if asks else None)
        assert book.crossed == bool(bids and asks and bids[0][0] >= asks[0][0])


@settings(max_examples=50)
@given(snapshots, st.lists(absolute, max_size=20))
def test_signed_changes_lead_to_the_same_book_as_the_sizes_they_add_up_to(start: BookSnapshot, changes: list[LevelChange]) -> None:
    one, other = Book(OUTCOME), Book(OUTCOME)
    one.apply_snapshot(start)
    other.apply_snapshot(start)
    for change in changes:
        before = dict(one.bids() if change.side is Side.BUY else one.asks()).get(change.price, 0)
        one.apply_change(change)
        other.apply_change(_change(change.side, change.price, change.size - before, signed=True))
        assert (one.bids(), one.asks()) == (other.bids(), other.asks())


def test_both_sides_stand_best_first() -> None:
    book = Book(OUTCOME)
    book.apply_snapshot(BookSnapshot(OUTCOME, _levels((10, 1), (30, 1), (20, 1)), _levels((60, 1), (40, 1), (50, 1))))
    assert [level.price for level in book.bids()] == [30, 20, 10]
    assert [level.price for level in book.asks()] == [40, 50, 60]


def test_a_level_below_zero_is_a_broken_book_and_changes_nothing() -> None:
    book = Book(OUTCOME)
    book.apply_change(_change(Side.BUY, 10, 5))
    for change in (_change(Side.BUY, 10, -6, signed=True), _change(Side.BUY, 20, -1, signed=True), _change(Side.BUY, 10, -1)):
        with pytest.raises(BrokenBook):
            book.apply_change(change)
    assert book.bids() == _levels((10, 5))


def test_a_snapshot_with_a_negative_size_is_refused_whole() -> None:
    book = Book(OUTCOME)
    book.apply_change(_change(Side.SELL, 10, 5))
    with pytest.raises(BrokenBook):
        book.apply_snapshot(BookSnapshot(OUTCOME, _levels((1, 1)), _levels((20, -1))))
    assert (book.bids(), book.asks()) == ((), _levels((10, 5)))


def test_what_was_handed_out_does_not_change_with_the_book() -> None:
    book = Book(OUTCOME)
    book.apply_change(_change(Side.SELL, 10, 5))
    before = book.asks()
    book.apply_change(_change(Side.SELL, 10, 7))
    assert before == _levels((10, 5))


def test_an_invalidated_book_is_empty_and_takes_levels_again() -> None:
    book = Book(OUTCOME)
    book.apply_snapshot(BookSnapshot(OUTCOME, _levels((10, 1)), _levels((20, 1))))
    book.invalidate()
    assert (book.bids(), book.asks(), book.best_bid, book.best_ask, book.crossed) == ((), (), None, None, False)
    book.apply_change(_change(Side.BUY, 10, 3))
    assert book.bids() == _levels((10, 3))


@pytest.mark.parametrize(("bid", "ask", "crossed"), [(40, 41, False), (40, 40, True), (41, 40, True)])
def test_a_bid_at_or_above_the_ask_is_crossed(bid: int, ask: int, crossed: bool) -> None:
    book = Book(OUTCOME)
    book.apply_snapshot(BookSnapshot(OUTCOME, _levels((bid, 1)), _levels((ask, 1))))
    assert book.crossed is crossed
