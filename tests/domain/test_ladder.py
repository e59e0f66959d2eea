from array import array
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.ladder import BrokenBook, Ladder, Level, Mirror, unpack
from arbiter.domain.money import MAX_MICROS, ONE, Micros

PRICES = st.integers(1, 9).map(lambda cents: Micros(cents * 10_000))
CHANGES = st.lists(st.tuples(PRICES, st.integers(-3, 6), st.booleans()), max_size=60)


def ladder(*pairs: tuple[int, int]) -> Ladder:
    made = Ladder()
    made.replace([Level(Micros(price), Micros(size)) for price, size in pairs])
    return made


def levels(*pairs: tuple[int, int]) -> tuple[Level, ...]:
    return tuple(Level(Micros(price), Micros(size)) for price, size in pairs)


@given(CHANGES)
def test_a_ladder_equals_the_dictionary_that_the_same_changes_make(changes):
    made, model = Ladder(), {}
    for price, size, signed in changes:
        wanted = model.get(price, 0) + size if signed else size
        if signed and wanted < 0:
            with pytest.raises(BrokenBook):
                made.add(price, size)
        elif signed:
            made.add(price, size)
            model[price] = wanted
        elif wanted >= 0:
            made.put(price, Micros(size))
            model[price] = wanted
        held = sorted((price, size) for price, size in model.items() if size)
        assert unpack(made.packed()) == tuple(held)
        assert unpack(made.packed(), descending=True) == tuple(held[::-1])
        assert (made.lowest, made.highest) == ((held[0][0], held[-1][0]) if held else (None, None))
        assert [made.level(price) for price, _ in held] == held


@given(st.lists(st.tuples(PRICES, st.integers(0, 6)), max_size=20))
def test_a_replacement_keeps_the_last_size_of_each_price_in_whatever_order_they_come(pairs):
    made = ladder((10, 1), (20, 1))
    made.replace(levels(*pairs))
    assert unpack(made.packed()) == tuple(sorted((price, size) for price, size in dict(pair for pair in pairs if pair[1]).items()))


def test_what_was_packed_stays_as_it_was_and_is_packed_anew_only_after_a_change():
    made = ladder((10, 1), (20, 2))
    before = made.packed()
    assert made.packed() is before
    made.put(Micros(10), Micros(5))
    assert unpack(before) == levels((10, 1), (20, 2))
    assert unpack(made.packed()) == levels((10, 5), (20, 2))


def test_the_largest_amount_fits_and_one_more_changes_nothing():
    made = ladder((10, 1))
    made.add(Micros(10), MAX_MICROS - 1)
    with pytest.raises(BrokenBook):
        made.add(Micros(10), 1)
    with pytest.raises(BrokenBook):
        made.add(Micros(20), MAX_MICROS + 1)
    assert unpack(made.packed()) == levels((10, MAX_MICROS))


def test_a_level_that_does_not_rest_is_none():
    assert ladder((10, 1)).level(Micros(20)) is None
    assert Ladder().level(None) is None


def test_half_a_level_cannot_be_read():
    with pytest.raises(ValueError, match="shorter"):
        unpack(array("q", (10, 1, 20)).tobytes())


@given(CHANGES)
def test_a_mirror_shows_and_takes_everything_at_the_complement(changes):
    bids, plain = Ladder(), Ladder()
    mirror = Mirror(bids)
    for price, size, signed in changes:
        complement = Micros(ONE - price)
        for side, at in ((mirror, complement), (plain, complement)):
            with suppress(BrokenBook):
                if signed:
                    side.add(at, size)
                elif size >= 0:
                    side.put(at, Micros(size))
        assert mirror.levels() == plain.levels() == unpack(mirror.packed(), mirrored=True)
        assert mirror.levels(descending=True) == plain.levels(descending=True)
        assert (mirror.lowest, mirror.highest) == (plain.lowest, plain.highest)
        assert [mirror.level(price) for price, _ in plain.levels()] == list(plain.levels())
        assert mirror.level(Micros(1)) is None
        assert bids.levels() == tuple((ONE - price, size) for price, size in plain.levels(descending=True))
    mirror.replace(levels((600_000, 3)))
    assert bids.levels() == levels((400_000, 3))
