"""The stop marker on disk: a small file in the data folder that is there only while a stop is not in the database.

It is written beside and moved into place, each step synced, so that a start reads all of it or nothing.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.errors import StoreError
from arbiter.store.sqlite import Runner, ThreadRunner

STOP_MARKER_FILE = "stops_not_in_the_database.json"

RESERVED_BYTES = 16_384
"""Kept on the disk beside it: the stops of about a hundred users."""

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], tuple[TradingStatus, ...]] = msgspec.json.Decoder(tuple[TradingStatus, ...]).decode


class FileStopMarker:
    """`base.StopMarker` in one file. See there for the methods' contracts."""

    def __init__(self, path: Path, make_runner: Callable[[], Runner] = ThreadRunner) -> None:
        self._path = path
        self._beside = path.with_name(f".{path.name}.new")
        self._runner = make_runner()

    async def read(self) -> tuple[TradingStatus, ...]:
        return await self._runner.run(self._read)

    async def write(self, stops: tuple[TradingStatus, ...]) -> None:
        await self._runner.run(lambda: self._write(stops))

    def _read(self) -> tuple[TradingStatus, ...]:
        self._reserve()
        try:
            stops = _decode(self._path.read_bytes())
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(f"{self._path} names whose trading is stopped and cannot be read: {error}") from error
        if any(stop.state is not TradingState.HALTED for stop in stops):
            raise StoreError(f"{self._path} names whose trading is stopped and is damaged: it holds one that is not stopped")
        return stops

    def _write(self, stops: tuple[TradingStatus, ...]) -> None:
        try:
            if stops:
                self._replace(_encode(stops))
            elif self._path.exists():
                self._path.replace(self._beside)  # its room on the disk is kept for the next one
            else:
                return
            _sync_folder(self._path.parent)
        except OSError as error:
            raise StoreError(f"the stop marker {self._path} could not be written: {error}") from error

    def _replace(self, body: bytes) -> None:
        """Over the room that was reserved, since a full disk is when this is needed; JSON may end in blanks."""
        with os.fdopen(os.open(self._beside, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(body.ljust(RESERVED_BYTES))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._beside.replace(self._path)
        self._reserve()

    def _reserve(self) -> None:
        """Room for the next one, if there is any left."""
        if not self._beside.exists():
            with suppress(OSError), os.fdopen(os.open(self._beside, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(b" " * RESERVED_BYTES)
                file.flush()
                os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """A file that was moved or removed stays so only when its folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
