"""A recording's file: whole zstd frames one behind the other, each with whole lines, so that a killed program leaves what was flushed.

The writer has a thread of its own, which also takes the bytes apart: the loop only hands over what it saw. What it has not got
round to is bounded; past that bound it takes no more, says so, and marks the gap.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from backports import zstd

from arbiter.errors import ConfigError
from arbiter.frames.dissect import At, Dissector
from arbiter.frames.lines import (
    LONGEST_LINE,
    Closed,
    Exchange,
    Gap,
    Header,
    Line,
    Opened,
    Received,
    Sent,
    decode_header,
    decode_line,
    encode,
)

BLOCK = 256 * 1024
"""Bytes of lines that are compressed together."""
FLUSH_SECONDS = 1.0
"""The most that a kill can cost."""
WAITING_BYTES = 64 * 1024 * 1024
"""What may wait for the thread; a disk that stands still must not fill the memory."""
PACKING: dict[int, int] = {zstd.CompressionParameter.compression_level: 3, zstd.CompressionParameter.checksum_flag: 1}
MAGIC = b"\x28\xb5\x2f\xfd"
_CURE = "the format is described in docs/recordings.md"


class Counts(NamedTuple):
    """How much was written so far."""

    frames: int
    exchanges: int
    gaps: int
    bytes: int


class FrameWriter:
    """Writes one file. `failed` holds the error that ended the writing; then everything more is refused.

    Opening raises ConfigError: an existing file is not overwritten.
    """

    def __init__(self, path: Path, header: Header, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self.path = path
        self.failed: OSError | None = None
        self._file = _created(path)
        self._waiting_bytes = waiting_bytes
        self._lines = bytearray(encode(header) + b"\n")
        self._connections: dict[int, Dissector] = {}
        self._waiting: deque[tuple[int, str, Any, At]] = deque()
        self._size = 0
        self._lost = 0
        self._broken: set[int] = set()
        """Connections of which a piece was lost."""
        self._last = At(0, 0)
        self._news = threading.Condition()
        self._ending = False
        self._flushed = 0.0
        self._frames = self._exchanges = self._gaps = self._written = 0
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def counts(self) -> Counts:
        """May lag what was handed over by what waits."""
        return Counts(self._frames, self._exchanges, self._gaps, self._written)

    def put(self, connection: int, what: str, content: Any, at: At) -> bool:
        """Take something over, at once. False where there is no room or no file any more: the connection is over in the file."""
        size = len(content) + 100 if isinstance(content, bytes) else 100
        with self._news:
            if self.failed is not None or self._ending or self._size + size > self._waiting_bytes:
                self._lost += 1
                self._broken.add(connection)
                return False
            if self._lost:
                self._waiting.append(self._gap(at))
            self._last = at
            self._waiting.append((connection, what, content, at))
            self._size += size
            self._news.notify()
        return True

    def _gap(self, at: At) -> tuple[int, str, Any, At]:
        gap = (0, "gap", (f"{self._lost} pieces came faster than they could be written", sorted(self._broken)), at)
        self._lost, self._broken = 0, set()
        return gap

    def close(self) -> None:
        """Write what waits, and end. Blocks; raises what failed as ConfigError."""
        with self._news:
            self._ending = True
            self._news.notify()
        self._thread.join()
        if self.failed is not None:
            raise ConfigError(
                f"the recording {self.path} could not be written on: {self.failed.strerror or self.failed}", "what it has can be replayed"
            )

    # -- the thread --

    def _work(self) -> None:
        try:
            with self._file:
                self._flush()
                while self._step():
                    pass
                self._flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            with self._news:
                self.failed = error
                self._waiting.clear()

    def _step(self) -> bool:
        """Whether there will be more."""
        with self._news:
            if not self._waiting and not self._ending:
                self._news.wait(FLUSH_SECONDS)
            batch, self._waiting, self._size = self._waiting, deque(), 0
            ending = self._ending
            if ending and self._lost:
                batch.append(self._gap(self._last))
        for each in batch:
            for line in self._lines_of(*each):
                self._add(line)
        if self._lines and time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()
        return not ending

    def _lines_of(self, connection: int, what: str, content: Any, at: At) -> list[Line]:
        if what == "gap":
            why, broken = content
            ended = [known for number in broken if (known := self._connections.pop(number, None))]
            return [Gap(at.ns, at.ms, why), *(line for known in ended for line in known.closed(at))]
        if what == "open":
            self._connections[connection] = Dissector(connection, *content)
            return []
        known = self._connections.get(connection)
        if known is None:
            return []
        if what == "closed":
            del self._connections[connection]
            return known.closed(at)
        return known.sent(content, at) if what == "sent" else known.received(content, at)

    def _add(self, line: Line) -> None:
        encoded = encode(line)
        if len(encoded) >= LONGEST_LINE:
            line = Gap(line.ns, line.ms, f"a line of {len(encoded)} bytes")
            encoded = encode(line)
        self._frames += isinstance(line, Received)
        self._exchanges += isinstance(line, Exchange)
        self._gaps += isinstance(line, Gap)
        self._lines += encoded + b"\n"
        if len(self._lines) >= BLOCK:
            self._flush()

    def _flush(self) -> None:
        block, self._lines = bytes(self._lines), bytearray()
        self._flushed = time.monotonic()
        if block:
            packed = zstd.compress(block, options=PACKING)
            self._file.write(packed)
            self._file.flush()
            self._written += len(packed)


def write_whole(path: Path, header: Header, lines: Iterator[Line]) -> None:
    """A file whose lines are all there, as a converter has them. Overwrites. Raises OSError."""
    with path.open("wb") as file:
        block = bytearray(encode(header) + b"\n")
        for line in lines:
            block += encode(line) + b"\n"
            if len(block) >= BLOCK:
                file.write(zstd.compress(bytes(block), options=PACKING))
                block.clear()
        if block:
            file.write(zstd.compress(bytes(block), options=PACKING))


def _created(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError:
        raise ConfigError(f"{path} is there already", "name another file, or remove it") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}", "check the path") from None


# -- reading --


def is_frames_file(path: Path) -> bool:
    """By its first bytes: every such file is zstd, and no other recording is. False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


class FramesFile:
    """A recording that lies on the disk. Each pass reads it anew, so that its length is no matter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truncated = False
        """A pass found that its end is missing (the recorder was killed); known after the first whole pass."""
        self.header = self._read_header()

    def _read_header(self) -> Header:
        for number, raw in self._raw_lines():
            try:
                return decode_header(raw)
            except (msgspec.DecodeError, RecursionError) as error:
                raise self._wrong(number, error) from None
        raise ConfigError(f"the recording {self.path} is empty", _CURE)

    def lines(self) -> Iterator[Line]:
        """Every line behind the header, checked. Raises ConfigError naming the line and what is wrong with it."""
        last, open_now, seen = 0, set[int](), set[int]()
        for number, raw in self._raw_lines():
            if number == 1:
                continue
            try:
                line = decode_line(raw)
                if line.ns < last:
                    raise ValueError(f"ns {line.ns} comes after {last}")
                _check_connection(line, open_now, seen)
            except (ValueError, msgspec.DecodeError, RecursionError) as error:
                raise self._wrong(number, error) from None
            last = line.ns
            yield line

    def _raw_lines(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        try:
            with zstd.open(self.path, "rb") as file:
                while raw := self._next_line(file):
                    number += 1
                    if len(raw) > LONGEST_LINE:
                        raise self._wrong(number, f"a line of more than {LONGEST_LINE} bytes")
                    if not raw.endswith(b"\n"):  # a frame holds whole lines, so its own end is missing
                        self.truncated = True
                        return
                    yield number, raw
        except OSError as error:
            raise ConfigError(f"cannot read the recording {self.path}: {error.strerror or error}", "check the path") from None
        except zstd.ZstdError as error:
            raise ConfigError(f"{self.path} line {number + 1}: damaged ({error})", "copy the file again") from None

    def _next_line(self, file: Any) -> bytes:
        """Empty at the end, also where that came too early."""
        try:
            line: bytes = file.readline(LONGEST_LINE + 1)
        except EOFError:
            self.truncated = True
            return b""
        return line

    def _wrong(self, number: int, problem: object) -> ConfigError:
        return ConfigError(f"{self.path} line {number}: {problem}", _CURE)


def _check_connection(line: Line, open_now: set[int], seen: set[int]) -> None:
    if isinstance(line, Opened):
        if line.n in seen:
            raise ValueError(f"connection {line.n} is opened twice")
        seen.add(line.n)
        open_now.add(line.n)
    elif isinstance(line, (Received, Sent, Closed)):
        if line.n not in open_now:
            raise ValueError(f"connection {line.n} is not open")
        if isinstance(line, Closed):
            open_now.discard(line.n)
