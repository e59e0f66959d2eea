"""What both venues' wire formats share: decimal text, JSON numbers, and what a frame that makes no sense is called."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from arbiter.domain.money import ONE, Micros, micros_from_decimal, parse_micros

T = TypeVar("T")
_CACHED = 4096
_prices: dict[str, Micros] = {}
_LARGEST_EXPONENT = 18
_UNITS = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)
"""What the last digit of a number with so many decimals is worth."""
_SHORT = 12
"""Digits of a size that is surely in range."""

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises for bytes that a peer may send: bad JSON, bad UTF-8, nesting without end."""


class MalformedFrame(ValueError):
    """A frame that is not what the venue's API promises. The connection it came from is not to be trusted."""


def price_micros(text: str) -> Micros:
    """A price from 0 to 1, with a memory: a market has few prices and they come again and again. Raises ValueError."""
    found = _prices.get(text)
    if found is None:
        found = parse_micros(text)
        if not 0 <= found <= ONE:
            raise ValueError(f"a price outside 0 to 1: {text[:40]!r}")
        if len(_prices) < _CACHED:
            _prices[text] = found
    return found


def size_micros(text: str) -> Micros:
    """A size, zero or more. Raises ValueError."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    # nearly all sizes are this plain; the rest, and what is wrong, goes the long way
    if whole and len(digits) <= _SHORT and digits.isdigit() and digits.isascii() and len(fraction) < len(_UNITS):
        return Micros(int(digits) * _UNITS[len(fraction)])
    size = parse_micros(text)
    if size < 0:
        raise ValueError(f"a negative size: {text[:40]!r}")
    return size


def change_micros(text: str) -> Micros:
    """A signed change of a size. Raises ValueError."""
    if text[:1] != "-":
        return size_micros(text)
    return Micros(-size_micros(text[1:]))


def number_micros(number: Decimal) -> Micros:
    """A JSON number. ValueError for what is not finite, too fine, or has an exponent that would take hours to expand."""
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("not a number of a size that occurs")
    return micros_from_decimal(number)


def lenient(type_: type[T], undecoded: str = "") -> Callable[[bytes | msgspec.Raw], T]:
    """A decoder of JSON objects that takes numbers for text and text for numbers where it must: venues write either.

    `undecoded` names a field of `list[msgspec.Raw]`. What it raises is in UNDECODABLE.
    """
    strict = msgspec.json.Decoder(type_).decode
    loose = msgspec.json.Decoder(float_hook=str).decode

    def decode(raw: bytes | msgspec.Raw) -> T:
        try:
            return strict(raw)
        except msgspec.ValidationError as error:
            found = numbers_as_text(loose(raw))
            if not isinstance(found, dict):
                raise
            if isinstance(rows := found.get(undecoded), list):
                found[undecoded] = [msgspec.Raw(msgspec.json.encode(row)) for row in rows]
            try:
                return msgspec.convert(found, type_, strict=False)
            except msgspec.ValidationError:
                raise error from None  # it says what came, not what was made of it

    return decode


def numbers_as_text(value: Any) -> Any:
    """Decoded JSON (floats already as text) with its integers as text: venues write money as either. Raises RecursionError."""
    if isinstance(value, dict):
        return {key: numbers_as_text(each) for key, each in value.items()}
    if isinstance(value, list):
        return [numbers_as_text(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value
