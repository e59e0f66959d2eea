"""Making a good JSON message bad in one way: unknown values, null arrays, numbers as the other kind. Bytes to bytes."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

ENUMS = frozenset(
    {
        *("side", "status", "result", "market_type", "fee_type", "strike_type", "price_level_structure", "collateral_return_type"),
        *("taker_side", "taker_outcome_side", "taker_book_side", "umaResolutionStatus", "resolutionStatus", "type", "category"),
    }
)
"""Fields whose value is one of a few words. A message's own `type` is left alone: that is the fault `unknown-event`."""
UNKNOWN = "sideways"
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,12})?", re.ASCII)
"""Decimal text that fits a JSON number; long ids do not."""


def mangled(what: str, text: bytes) -> bytes:
    """The message with the fault `what` (`unknown-enum`, `null-arrays`, `swapped-numbers`); what is no JSON stays as it is."""
    try:
        value = json.loads(text, parse_float=_verbatim)
    except ValueError:
        return text
    change = _CHANGES[what]
    # a whole array is a frame of several messages: the array itself stays
    return msgspec.json.encode([change(each) for each in value] if isinstance(value, list) else change(value))


def _verbatim(digits: str) -> msgspec.Raw:
    """A number with a point, to be written again exactly as it was."""
    return msgspec.Raw(digits.encode())


def _unknown_enums(value: Any) -> Any:
    if isinstance(value, dict):
        # Kalshi's life-cycle events have their enum in `event_type`, which is Polymarket's word for the type of a message
        names = ENUMS | {"event_type"} if "market_ticker" in value else ENUMS
        is_envelope = "msg" in value
        return {
            name: UNKNOWN if name in names and isinstance(each, str) and not is_envelope else _unknown_enums(each)
            for name, each in value.items()
        }
    return [_unknown_enums(each) for each in value] if isinstance(value, list) else value


def _null_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if isinstance(each, list) else _null_arrays(each) for name, each in value.items()}
    return value


def _swapped_numbers(value: Any) -> Any:
    """Decimal text becomes a number, a number becomes text."""
    match value:
        case dict():
            return {name: _swapped_numbers(each) for name, each in value.items()}
        case list():
            return [_swapped_numbers(each) for each in value]
        case str() if _NUMBER.fullmatch(value):
            return msgspec.Raw(value.encode())
        case msgspec.Raw():
            return bytes(value).decode()
        case bool():
            return value
        case int():
            return str(value)
        case _:
            return value


_CHANGES: dict[str, Callable[[Any], Any]] = {
    "unknown-enum": _unknown_enums,
    "null-arrays": _null_arrays,
    "swapped-numbers": _swapped_numbers,
}
