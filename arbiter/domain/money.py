"""Money and quantities as integer micros: 10^-6 of a dollar, a share or a contract.

`price * size` of two micros is in 10^-12 dollars ("pico"); it is summed exactly and rounded once, by the
functions here, in the direction their name says. No float comes near any of it.
"""

from decimal import Decimal, InvalidOperation
from typing import NewType

Micros = NewType("Micros", int)

MICRO = 1_000_000
ONE = Micros(MICRO)
ZERO = Micros(0)

# 10^12 dollars: larger than any balance, small enough that a product of two stays printable.
MAX_MICROS = 10**18

_PADDING = "000000"
_SMALLEST = Decimal("0.000001")


def parse_micros(text: str) -> Micros:
    """Exact decimal text ("0.5300", "-25.50", "12") to micros.

    Raises ValueError for anything else: more than six significant decimals, exponents, blanks, signs twice, over MAX_MICROS.
    """
    whole, _, fraction = text.partition(".")
    if len(fraction) > 6:
        if fraction[6:].strip("0"):
            raise ValueError(f"more than six decimals: {text[:40]!r}")
        fraction = fraction[:6]
    digits = whole + fraction + _PADDING[len(fraction) :]
    # int() alone would also take "1_0", " 1" and non-ASCII digits.
    if not digits.lstrip("-").isdecimal() or not digits.isascii() or not whole.lstrip("-") or digits.count("-") > 1:
        raise ValueError(f"not a plain decimal number: {text[:40]!r}")
    if len(digits) > 20:  # before int(), which takes quadratic time
        raise ValueError(f"number out of range: {text[:40]!r}")
    result = int(digits)
    if not -MAX_MICROS <= result <= MAX_MICROS:
        raise ValueError(f"number out of range: {text[:40]!r}")
    return Micros(result)


def micros_from_decimal(value: Decimal) -> Micros:
    """A Decimal (a person's or a venue's JSON number) to micros; ValueError if it is finer or not finite."""
    try:
        # to quantize is exact or fails; a product would be rounded to the context's 28 digits first
        exact = value.quantize(_SMALLEST)
    except InvalidOperation as error:
        raise ValueError(f"not a number in range: {value}") from error
    if exact != value:
        raise ValueError(f"not a number of at most six decimals: {value}")
    result = int(exact.scaleb(6))
    if abs(result) > MAX_MICROS:
        raise ValueError(f"number out of range: {value}")
    return Micros(result)


def format_micros(value: int, decimals: int = 2) -> str:
    """Plain decimal text with at least `decimals` places and no rounding: 530000 -> "0.53", 1 -> "0.000001"."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), MICRO)
    digits = f"{fraction:06d}".rstrip("0")
    if len(digits) < decimals:
        digits = digits.ljust(decimals, "0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def format_dollars(value: int) -> str:
    """Dollars for people, rounded half away from zero to cents: -1234567 -> "-$1.23"."""
    cents = (abs(value) + 5_000) // 10_000
    sign = "-" if value < 0 and cents else ""
    return f"{sign}${cents // 100:,}.{cents % 100:02d}"


def floor_to(value: int, step: int) -> Micros:
    """The largest multiple of `step` that is not above `value`."""
    return Micros(value - value % step)


def ceil_to(value: int, step: int) -> Micros:
    """The smallest multiple of `step` that is not below `value`."""
    return Micros(value + (-value) % step)


def pico_floor(pico: int) -> Micros:
    """10^-12 dollars to micros, rounded down (what we receive)."""
    return Micros(pico // MICRO)


def pico_ceil(pico: int) -> Micros:
    """10^-12 dollars to micros, rounded up (what we pay)."""
    return Micros(-(-pico // MICRO))
