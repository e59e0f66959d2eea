"""A script of faults: a TOML file with times since the start, checked whole before anything plays. See docs/sandbox.md."""

import tomllib
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

import msgspec

from arbiter.domain.ids import KALSHI, POLYMARKET, VenueId
from arbiter.errors import ConfigError
from arbiter.sandbox.faults.fault import KNOWN, Fault, nearest

FORMAT = "arbiter-faults-1"
LARGEST_FILE = 1024 * 1024
MOST = 10_000
SHORTEST_PERIOD_MS = 100
_CURE = "the format is described in docs/sandbox.md"
_OWN = ("at_ms", "every_ms", "venue")
_FIELDS = (*_OWN, *Fault.__struct_fields__)
_LATEST_MS = 30 * 86_400_000


class Step(msgspec.Struct, frozen=True):
    """At `at_ms` since the start this fault befalls that venue; again every `every_ms`, where that is not 0."""

    at_ms: int
    every_ms: int
    venue: VenueId
    fault: Fault


class Script(msgspec.Struct, frozen=True):
    """The steps of a script, in any order. Empty: nothing goes wrong."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "Script":
        """Raises ConfigError that names the step and what is wrong with it."""
        try:
            with path.open("rb") as file:
                text = file.read(LARGEST_FILE + 1)
        except OSError as error:
            raise ConfigError(f"cannot read the script {path}: {error.strerror or error}", "check the path") from None
        if len(text) > LARGEST_FILE:
            raise ConfigError(f"the script {path} is larger than {LARGEST_FILE} bytes", _CURE)
        try:
            return cls.parse(text.decode())
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"the script {path}: {error}", _CURE) from None

    @classmethod
    def parse(cls, text: str) -> "Script":
        """Raises ValueError (of which TOML's own error and bad UTF-8 are kinds) for what is no script."""
        table = tomllib.loads(text)
        if unknown := sorted(table.keys() - {"format", "fault"}):
            raise ValueError(f"there is no {unknown[0]!r}; the nearest is {nearest(unknown[0], ('format', 'fault'))!r}")
        if table.get("format") != FORMAT:
            raise ValueError(f'it must say format = "{FORMAT}"')
        rows = table.get("fault", [])
        if not isinstance(rows, list) or len(rows) > MOST:
            raise ValueError(f"fault must be at most {MOST} tables: [[fault]]")
        return cls(tuple(_step(number, row) for number, row in enumerate(rows, 1)))


class Player:
    """Hands out a script's steps as their time comes."""

    def __init__(self, script: Script) -> None:
        self._due = [(step.at_ms, number, step) for number, step in enumerate(script.steps)]
        heapify(self._due)
        self._start_ms: int | None = None

    def due(self, now_ms: int) -> list[Step]:
        """The steps whose time has come. The first call is the start; a repeated step that was missed happens once."""
        if self._start_ms is None:
            self._start_ms = now_ms
        elapsed = now_ms - self._start_ms
        found: list[Step] = []
        while self._due and self._due[0][0] <= elapsed:
            at_ms, number, step = heappop(self._due)
            found.append(step)
            if step.every_ms:
                heappush(self._due, (at_ms + step.every_ms * (1 + (elapsed - at_ms) // step.every_ms), number, step))
        return found


def _step(number: int, row: Any) -> Step:
    try:
        return _checked(row)
    except (ValueError, msgspec.ValidationError) as error:
        raise ValueError(f"fault {number}: {error}") from None


def _checked(row: Any) -> Step:
    if not isinstance(row, dict):
        raise ValueError("it must be a table: [[fault]]")
    if unknown := sorted(row.keys() - set(_FIELDS)):
        raise ValueError(f"there is no field {unknown[0]!r}; the nearest is {nearest(unknown[0], _FIELDS)!r}")
    what, venue = row.get("what"), row.get("venue")
    if not isinstance(what, str) or what not in KNOWN:
        raise ValueError(f"there is no fault {what!r}; the nearest is {nearest(str(what), KNOWN)!r}")
    if venue not in (POLYMARKET, KALSHI):
        raise ValueError(f"there is no venue {venue!r}; the nearest is {nearest(str(venue), (POLYMARKET, KALSHI))!r}")
    at_ms, every_ms = _whole(row, "at_ms"), _whole(row, "every_ms")
    if every_ms and every_ms < SHORTEST_PERIOD_MS:
        raise ValueError(f"every_ms must be at least {SHORTEST_PERIOD_MS}")
    if what == "error-25" and venue != KALSHI:
        raise ValueError("error-25 is Kalshi's")
    fault = msgspec.convert({name: value for name, value in row.items() if name not in _OWN}, Fault)
    return Step(at_ms, every_ms, VenueId(venue), fault)


def _whole(row: dict[str, Any], name: str) -> int:
    value = row.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LATEST_MS:
        raise ValueError(f"{name} must be a whole number of milliseconds from 0 to {_LATEST_MS}")
    return value
