"""Which updates are handled, and up to where Telegram may forget them. Kept in a small file over restarts.

Telegram keeps every update from the confirmed offset on. So the offset is the lowest update that is not handled yet; what is
handled above it, or was not confirmed before the program ended, is remembered here and not handled twice. An update counts as the
same only with the same content: a Bot API that starts its ids over loses nothing.
"""

import hashlib
import os
from pathlib import Path

import msgspec

LARGEST_FILE = 1 << 20
MOST = 1000
"""Handled updates that are remembered; the poller never has more than 100 unconfirmed."""


class _File(msgspec.Struct):
    handled: dict[str, str]


def fingerprint(sent: object) -> str:
    """The same for the same update, as it was sent (JSON)."""
    return hashlib.sha256(msgspec.json.encode(sent, order="deterministic")).hexdigest()[:16]


class Handled:
    """The bookkeeping; no I/O."""

    def __init__(self, handled: dict[int, str] | None = None) -> None:
        self._before = handled or {}
        """From the last run."""
        self._done: dict[int, str] = {}
        self._in_hand: dict[int, str] = {}
        self._next = 0

    @property
    def offset(self) -> int | None:
        """For getUpdates: all below is handled. None: whatever the server has."""
        if self._in_hand:
            return min(self._in_hand)
        return self._next or None

    @property
    def in_hand(self) -> int:
        """How many are being handled."""
        return len(self._in_hand)

    def knows(self, sent: object) -> bool:
        """Whether this update, as it was sent, was taken before by this run."""
        number = sent.get("update_id") if isinstance(sent, dict) else None
        return number in self._in_hand or number in self._done

    def take(self, number: int, sent: object) -> bool:
        """Whether this update, as it was sent, is to be handled now; it is in hand then until `done`."""
        if number in self._in_hand or number in self._done:
            return False
        mark = fingerprint(sent)
        self._next = max(self._next, number + 1)
        if self._before.get(number) == mark:
            self._done[number] = mark
            return False
        self._in_hand[number] = mark
        return True

    def done(self, number: int) -> None:
        """Handled: answered, refused or given up, but finished."""
        self._done[number] = self._in_hand.pop(number)

    def confirmed(self, offset: int | None) -> None:
        """The server has taken this offset: what is below will not come again."""
        if offset is not None:
            self._before = {number: mark for number, mark in self._before.items() if number >= offset}
            self._done = {number: mark for number, mark in self._done.items() if number >= offset}

    def settle(self) -> None:
        """The server has no more. What comes next is asked for without an offset: after long silence its ids may begin anew."""
        if not self._in_hand:
            self._next = 0

    def to_keep(self) -> dict[int, str]:
        """What the next run must know."""
        return dict(list((self._before | self._done).items())[-MOST:])


def load(path: Path) -> dict[int, str]:
    """What the last run handled; empty where there is no such file, or none that can be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE)
        return {int(number): mark for number, mark in msgspec.json.decode(raw, type=_File).handled.items()}
    except (OSError, ValueError, msgspec.DecodeError):
        return {}


def save(path: Path, handled: dict[int, str]) -> None:
    """Replace the file in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(_File({str(number): mark for number, mark in handled.items()})))
    beside.replace(path)
