"""Writing what others received over a WebSocket as frames: one connection, opened at once, each message at the time it was received."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from arbiter.domain.ids import VenueId
from arbiter.domain.market import Market
from arbiter.errors import ConfigError
from arbiter.frames.file import FramesFile, write_whole
from arbiter.frames.lines import Header, Line, Opened, Received

LEAD_MS = 1_000
"""The connection is up so long before the first message."""


class Taken(NamedTuple):
    """A message as it was received, at Unix ms."""

    at_ms: int
    text: bytes


class Stream(NamedTuple):
    """What was received of one venue. `hosts`, `path`: as its connector will ask for them. `at_once`: said before the first message."""

    venue: VenueId
    hosts: dict[str, str]
    path: str
    markets: list[Market]
    at_once: list[bytes]
    messages: list[Taken]


def write_frames(stream: Stream, target: Path, *, source: str, license: str, assumptions: str) -> None:
    """Whole or not at all. What was written is read back first. Raises ConfigError."""
    if not stream.messages:
        raise ConfigError(f"the source holds no message for {target}", "check that it is of the kind that was named")
    started_ms = stream.messages[0].at_ms - LEAD_MS
    header = Header(
        format="arbiter-frames-1",
        started_ms=started_ms,
        hosts={stream.venue: stream.hosts},
        markets=stream.markets,
        controls=False,
        source=source,
        license=license,
        assumptions=assumptions,
    )
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        partial = Path(name)
        try:
            write_whole(partial, header, _lines(stream, started_ms))
            _read_back(FramesFile(partial).lines())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}", "check the path") from None


def _read_back(lines: Iterable[Line]) -> None:
    for _ in lines:
        pass


def _lines(stream: Stream, started_ms: int) -> Iterator[Line]:
    host = urlsplit(stream.hosts["ws_url"]).hostname or ""
    yield Opened(0, started_ms, 1, stream.venue, host, stream.path)
    for text in stream.at_once:
        yield Received(0, started_ms, 1, text.decode())
    for at_ms, text in stream.messages:
        yield Received((at_ms - started_ms) * 1_000_000, at_ms, 1, text.decode())
