"""Connections that have something to send because something was published: one task writes them all, since waking the writer of each
costs more than its write.
"""

from typing import Protocol

import structlog
import trio

from arbiter.rpc.parking import Parking

TURN = 64
"""So many connections are written in one go; then others have their turn."""

_log = structlog.get_logger(component="grpc")


class Connection(Protocol):
    """What is to be written."""

    def flush(self) -> None:
        """Send what is in `out`. Never waits."""

    def close(self) -> None:
        """End it."""


class Flusher:
    """Writes in the next turn of the loop."""

    def __init__(self) -> None:
        self._due: list[Connection] = []
        self._running = False
        self._parking = Parking()
        self._turn = trio.Lock()

    def add(self, connection: Connection) -> bool:
        """See that it is written; False where nobody would."""
        if self._running:
            self._due.append(connection)
            self._parking.wake()
        return self._running

    async def run(self) -> None:
        """Until cancelled. Of several that run one writes, and the next one takes over when it ends."""
        async with self._turn:
            self._running = True
            try:
                while True:
                    await self._write()
                    await self._parking.wait()
            finally:
                self._running = False

    async def _write(self) -> None:
        """All that is due. What goes wrong with a connection ends it and touches no other."""
        while self._due:
            due, self._due = self._due[:TURN], self._due[TURN:]
            for connection in due:
                try:
                    connection.flush()
                except Exception:  # noqa: BLE001
                    _log.exception("connection dropped")
                    connection.close()
            if self._due:
                await trio.lowlevel.checkpoint()
