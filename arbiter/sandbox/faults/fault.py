"""The faults there are, what each can be told, and the refusal of what is none."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated

import msgspec

HUGE = 5 * 1024 * 1024
LARGEST = 16 * 1024 * 1024
"""What one message may be made to hold: the sandbox's own memory is bounded."""
GOING_AWAY = 1001

NOW: dict[str, frozenset[str]] = {
    "stall": frozenset({"for_ms"}),
    "disconnect": frozenset(),
    "close": frozenset({"status"}),
    "garbage": frozenset(),
    "broken-json": frozenset(),
    "half-frame": frozenset(),
    "huge-message": frozenset({"size"}),
    "unknown-event": frozenset(),
    "negative-level": frozenset({"market"}),
    "crossed-book": frozenset({"market"}),
    "error-25": frozenset(),
}
"""Happens at once to every open socket; name -> the fields it takes."""

_LASTING = frozenset({"count", "for_ms"})
FRAMES: dict[str, frozenset[str]] = {
    "drop-frame": _LASTING,
    "duplicate-frame": _LASTING,
    "unknown-enum": _LASTING,
    "null-arrays": _LASTING,
    "swapped-numbers": _LASTING,
}
"""Befalls the next events of every socket that is open when it begins."""

_ANSWER = _LASTING | {"path"}
ANSWERS: dict[str, frozenset[str]] = {
    "answer-429": _ANSWER | {"retry_after_s"},
    "answer-503": _ANSWER | {"retry_after_s"},
    "answer-html": _ANSWER | {"status"},
    "answer-garbage": _ANSWER,
    "answer-half": _ANSWER,
    "answer-huge": _ANSWER | {"size"},
    "answer-slow": _ANSWER | {"delay_ms"},
    "answer-unknown-enum": _ANSWER,
    "answer-null-arrays": _ANSWER,
    "answer-swapped-numbers": _ANSWER,
}
"""Befalls the next answers to plain requests, and for 429 and 503 to upgrades too."""

KNOWN = NOW | FRAMES | ANSWERS
_SPAN = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
_COUNT = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault. Times in milliseconds.

    `count`: so many events of each socket, or answers (default 1). `for_ms`: instead, everything for so long. `path`:
    only answers below it. `market`: a condition id or ticker, default the first that a socket follows. Raises
    ValueError for a name that is none, or a field that this fault does not take.
    """

    what: str
    count: _COUNT = 0
    for_ms: _SPAN = 0
    path: str = ""
    market: str = ""
    delay_ms: _SPAN = 0
    retry_after_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST)] = 0
    status: Annotated[int, msgspec.Meta(ge=0, le=4999)] = 0

    def __post_init__(self) -> None:
        if self.what not in KNOWN:
            raise ValueError(f"there is no fault {self.what!r}; the nearest is {nearest(self.what, KNOWN)!r}")
        given = {name for name in self.__struct_fields__ if name != "what" and getattr(self, name)}
        if wrong := sorted(given - KNOWN[self.what]):
            takes = ", ".join(sorted(KNOWN[self.what])) or "nothing more"
            raise ValueError(f"{self.what} does not take {wrong[0]}; it takes {takes}")
        if self.count and self.for_ms:
            raise ValueError(f"{self.what} takes count or for_ms, not both")
        if self.what == "answer-slow" and not self.delay_ms:
            raise ValueError("answer-slow needs delay_ms")

    @property
    def times(self) -> int:
        """How many events or answers it befalls, where it has no duration."""
        return self.count or 1


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one."""
    names = sorted(known)
    return next(iter(get_close_matches(name, names, 1, 0.0)), names[0])
