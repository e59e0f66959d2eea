from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.domain.money import (
    MAX_MICROS,
    MICRO,
    ceil_to,
    floor_to,
    format_dollars,
    format_micros,
    micros_from_decimal,
    parse_micros,
    pico_ceil,
    pico_floor,
)

amounts = st.integers(-MAX_MICROS, MAX_MICROS)


@given(amounts, st.integers(0, 6))
def test_every_amount_survives_being_written_and_read(micros: int, decimals: int) -> None:
    text = format_micros(micros, decimals)
    assert parse_micros(text) == micros
    assert Fraction(text) == Fraction(micros, MICRO)
    assert micros_from_decimal(Decimal(text)) == micros


@given(st.text(alphabet="0123456789.-+_ eE٣٠", max_size=24) | st.text(max_size=12))
def test_any_text_is_read_exactly_or_refused_as_a_value_error(text: str) -> None:
    try:
        micros = parse_micros(text)
    except ValueError:
        return
    assert Fraction(micros, MICRO) == Fraction(text.removesuffix("."))
    assert abs(micros) <= MAX_MICROS


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0.5300", 530_000),
        ("-25.50", -25_500_000),
        ("12", 12_000_000),
        ("0.0000010000", 1),
        ("007", 7_000_000),
        ("-0.5", -500_000),
        ("-0", 0),
        ("1000000000000", MAX_MICROS),
    ],
)
def test_plain_decimals_are_read(text: str, micros: int) -> None:
    assert parse_micros(text) == micros


@pytest.mark.parametrize(
    "text",
    ["", ".", "-", ".5", "-.5", "--1", "1-", "1.-5", "+1", "1_0", " 1", "1 ", "1e3", "0x1", "NaN", "Infinity", "1.2.3", "١", "0.1234567"],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"decimal"):
        parse_micros(text)


@pytest.mark.parametrize("text", ["1000000000000.000001", "-1000000000000.000001", "9999999999999", "1" * 5_000])
def test_text_beyond_the_largest_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_micros(text)


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimal_is_taken_exactly_or_refused_as_a_value_error(value: Decimal) -> None:
    try:
        micros = micros_from_decimal(value)
    except ValueError:
        assert not value.is_finite() or value.adjusted() > 12 or (Fraction(value) * MICRO).denominator != 1 or abs(value) > 10**12
        return
    assert Fraction(micros, MICRO) == Fraction(value)


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "1e999999",
        "-1e999999",
        "1e-999999",
        "0.0000001",
        "1e13",
        "0.1234560000000000000000000000000000001",
    ],
)
def test_a_decimal_that_is_no_amount_of_micros_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"decimals|number"):
        micros_from_decimal(Decimal(value))


@given(st.integers(), st.integers(1, 10**9))
def test_floor_and_ceil_to_a_step_are_the_nearest_multiples(value: int, step: int) -> None:
    assert floor_to(value, step) == floor(Fraction(value, step)) * step
    assert ceil_to(value, step) == ceil(Fraction(value, step)) * step


@given(st.integers())
def test_a_product_is_rounded_once_down_for_what_we_receive_and_up_for_what_we_pay(pico: int) -> None:
    assert pico_floor(pico) == floor(Fraction(pico, MICRO))
    assert pico_ceil(pico) == ceil(Fraction(pico, MICRO))


@pytest.mark.parametrize(
    ("micros", "decimals", "text"),
    [
        (530_000, 2, "0.53"),
        (1, 2, "0.000001"),
        (0, 2, "0.00"),
        (0, 0, "0"),
        (5_000_000, 0, "5"),
        (-1_500_000, 2, "-1.50"),
        (-1, 0, "-0.000001"),
    ],
)
def test_amounts_are_written_with_at_least_the_asked_decimals_and_no_rounding(micros: int, decimals: int, text: str) -> None:
    assert format_micros(micros, decimals) == text


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (-1_234_567, "-$1.23"),
        (1_235_000, "$1.24"),
        (-1_235_000, "-$1.24"),
        (-4_999, "$0.00"),
        (-5_000, "-$0.01"),
        (1_234_567_890_000, "$1,234,567.89"),
    ],
)
def test_dollars_for_people_round_half_away_from_zero(micros: int, text: str) -> None:
    assert format_dollars(micros) == text
