from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.venues.wire_numbers import number_micros, numbers_as_text, price_micros, size_micros


@given(st.integers(0, 1_000_000))
def test_every_price_in_range_survives_the_text_it_is_sent_as(micros: int) -> None:
    text = f"{Decimal(micros) / 1_000_000:f}"
    assert price_micros(text) == micros
    assert price_micros(text) == micros, "the remembered one must be the same"


@pytest.mark.parametrize("text", ["-0.01", "1.000001", "2", "0.5x", "", "1e-1", " 0.5", "NaN", "0.1234567"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"price|decimal|number"):
        price_micros(text)


def test_a_negative_size_is_refused_and_zero_is_a_size() -> None:
    assert size_micros("0") == 0
    assert size_micros("120.5") == 120_500_000
    with pytest.raises(ValueError, match="negative size"):
        size_micros("-1")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999999", "1e-999999", "0.0000001", "1e13"])
def test_a_json_number_that_cannot_be_money_is_a_value_error_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|decimals"):
        number_micros(Decimal(text))


def test_json_numbers_become_text_at_any_depth_and_booleans_stay() -> None:
    assert numbers_as_text({"a": [1, {"b": 2}], "c": True, "d": None, "e": "0.5"}) == {
        "a": ["1", {"b": "2"}],
        "c": True,
        "d": None,
        "e": "0.5",
    }
