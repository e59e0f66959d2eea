"""Reading what others recorded: lines and CSV rows with their numbers, plain or gzipped, and exact numbers from text.

Every fault of a source is a ConfigError that names the file and the line.
"""

import csv
import gzip
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from io import BufferedReader, TextIOWrapper
from pathlib import Path

import msgspec

from arbiter.domain.money import MICRO, format_micros, micros_from_decimal
from arbiter.errors import ConfigError
from arbiter.sandbox.recording import LONGEST_LINE, MOST_LINES, Rows

_CURE = "docs/recordings.md tells what each converter reads"


@dataclass
class Place:
    """Where in a source the reader stands, for its errors."""

    path: Path
    line: int = 0

    def error(self, problem: object) -> ConfigError:
        return ConfigError(f"{self.path} line {self.line}: {problem}", _CURE)


@contextmanager
def reading(place: Place) -> Iterator[None]:
    """Translates whatever is wrong with the source into a ConfigError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"cannot read {place.path}: {getattr(error, 'strerror', None) or error}", "check the path") from None
    except (ValueError, ArithmeticError, RecursionError, msgspec.DecodeError, csv.Error) as error:
        raise place.error(error) from None


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    with path.open("rb") as plain:
        yield BufferedReader(gzip.GzipFile(fileobj=plain)) if path.suffix == ".gz" else plain


def lines(place: Place) -> Iterator[bytes]:
    """The lines that are not blank. ValueError for one that is too long, or too many."""
    with _opened(place.path) as file:
        while line := file.readline(LONGEST_LINE + 1):
            place.line += 1
            if len(line) > LONGEST_LINE or place.line > MOST_LINES:
                raise ValueError("the line is too long" if len(line) > LONGEST_LINE else f"more than {MOST_LINES} lines")
            if line.strip():
                yield line


def csv_rows(place: Place, needed: Collection[str]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file by column name. ValueError where a needed column is missing or a row has another length."""
    with _opened(place.path) as file, TextIOWrapper(file, encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text, restval=None, strict=True)
        place.line = 1
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"no column {missing[0]!r}")
        for row in reader:
            place.line = reader.line_num
            if None in row or None in row.values():
                raise ValueError(f"a row of another length than its header's {len(reader.fieldnames or ())} columns")
            yield row


# -- numbers --


def decimal(text: str) -> Decimal:
    """ValueError for what is not a finite number."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a number: {text[:40]!r}") from None
    if not number.is_finite():
        raise ValueError(f"not a number: {text[:40]!r}")
    return number


def rows(price: Decimal | None, size: Decimal | None) -> Rows:
    """One level, or an empty side where there is no price. Price in dollars. ValueError for a price without a size."""
    if price is None:
        return []
    if size is None:
        raise ValueError(f"a price of {price} without a size")
    micros, amount = micros_from_decimal(price), micros_from_decimal(size)
    if not 0 < micros < MICRO or amount <= 0:
        raise ValueError(f"{size} at {price} dollars")
    return [(format_micros(micros), format_micros(amount))]
