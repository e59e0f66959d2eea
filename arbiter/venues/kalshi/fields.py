"""JSON objects of Kalshi's account answers, read field by field, leniently and exactly (B4, B13).

Numbers come as text or as JSON numbers, lists as null, unknown fields and words at any time. Money never goes through a float.
What cannot be understood is UnreadableAnswer and nothing else, so that no caller mistakes it for "there is none".
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from arbiter.domain.money import ONE, Micros, parse_micros
from arbiter.venues.kalshi.metadata import moment
from arbiter.venues.wire_numbers import UNDECODABLE

CENT = 10_000
LONGEST_TEXT = 1_000
"""A cursor is the longest text that there is."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_LATEST = 1 << 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_decode = msgspec.json.Decoder(float_hook=str).decode
"""Numbers with a point stay the text that they were."""


class UnreadableAnswer(ValueError):
    """An answer, or a row of one, that is not what the API promises. Of an order it means: look it up, nothing is known."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Fields:
    """One JSON object. Each method takes the names that a field may have; the first that is there and not null counts."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Any) -> None:
        if not isinstance(raw, dict):
            raise UnreadableAnswer("answer", "no JSON object")
        self._raw: dict[str, Any] = raw

    def _first(self, names: tuple[str, ...]) -> tuple[str, Any]:
        for name in names:
            if self._raw.get(name) is not None:
                return name, self._raw[name]
        return names[0], None

    def has(self, *names: str) -> bool:
        return self._first(names)[1] is not None

    def encoded(self) -> bytes:
        """The object as JSON once more, for who reads it as a whole."""
        return msgspec.json.encode(self._raw)

    def text(self, *names: str) -> str:
        """Empty where there is none."""
        name, value = self._first(names)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnreadableAnswer(name, "no text")
        text = _plain(name, value)
        if len(text) > LONGEST_TEXT:
            raise UnreadableAnswer(name, "too long a text")
        return text

    def need_text(self, *names: str) -> str:
        """Raises where there is none."""
        return self.text(*names) or _missing(names[0])

    def signed(self, *names: str) -> Micros | None:
        """A decimal number as micros; None where there is none, or an empty text (so old answers say zero fees)."""
        name, value = self._first(names)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise UnreadableAnswer(name, "no number")
        try:
            return parse_micros(_plain(name, value))
        except ValueError as error:
            raise UnreadableAnswer(name, str(error)) from None

    def size(self, *names: str) -> Micros | None:
        """A decimal number that is not negative."""
        found = self.signed(*names)
        if found is not None and found < 0:
            raise UnreadableAnswer(names[0], "a negative size")
        return found

    def need_size(self, *names: str) -> Micros:
        found = self.size(*names)
        return _missing(names[0]) if found is None else found

    def need_signed(self, *names: str) -> Micros:
        found = self.signed(*names)
        return _missing(names[0]) if found is None else found

    def price(self, *names: str) -> Micros | None:
        """Dollars from 0 to 1."""
        found = self.size(*names)
        if found is not None and found > ONE:
            raise UnreadableAnswer(names[0], "a price above 1")
        return found

    def cents(self, *names: str) -> Micros | None:
        """Whole cents, as the few fields without `_dollars` still are."""
        found = self.signed(*names)
        if found is None:
            return None
        if found % ONE:
            raise UnreadableAnswer(names[0], "cents that are not whole")
        return Micros(found // ONE * CENT)

    def number(self, *names: str) -> int | None:
        """A whole number of at most 18 digits."""
        name, value = self._first(names)
        text = "" if isinstance(value, bool) or not isinstance(value, str | int) else _plain(name, value)
        if value is not None and not _WHOLE.fullmatch(text):
            raise UnreadableAnswer(name, "no whole number")
        return int(text) if text else None

    def unix(self, *names: str) -> int:
        """A Unix time, of whatever unit; 0 where there is none that can be read: no order hangs on it."""
        value = self._first(names)[1]
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _LATEST else 0

    def flag(self, *names: str) -> bool | None:
        name, value = self._first(names)
        if value is None or isinstance(value, bool):
            return value
        raise UnreadableAnswer(name, "neither true nor false")

    def moment_ms(self, *names: str) -> int:
        """RFC 3339 text as UTC ms (without a zone it is UTC); 0 where there is none that can be read: no order hangs on it."""
        value = self._first(names)[1]
        found = moment(value) if isinstance(value, str) else None
        if found is None:
            return 0
        try:
            return max(0, (found.replace(tzinfo=found.tzinfo or UTC) - _EPOCH) // _MS)
        except OverflowError:
            return 0

    def rows(self, name: str) -> list[Any]:
        """A list; null and absent are the empty one."""
        value = self._raw.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise UnreadableAnswer(name, "no list")
        return value

    def inner(self, name: str) -> "Fields | None":
        """An object within; None where there is none."""
        value = self._raw.get(name)
        return None if value is None else Fields(value)

    def need_inner(self, name: str) -> "Fields":
        return self.inner(name) or _missing(name)


def read_object(body: bytes | msgspec.Raw) -> Fields:
    """The one JSON object that an answer is. Raises UnreadableAnswer."""
    try:
        return Fields(_decode(body))
    except UNDECODABLE as error:
        raise UnreadableAnswer("answer", f"no JSON: {error}") from None


def _plain(name: str, value: str | int) -> str:
    try:
        return str(value)
    except ValueError:  # Python prints no number of thousands of digits
        raise UnreadableAnswer(name, "a number out of range") from None


def _missing(name: str) -> Any:
    raise UnreadableAnswer(name, "is missing")
