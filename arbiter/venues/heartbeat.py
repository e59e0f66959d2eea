"""The watchdog of a connection: asks for a sign of life now and then, and says when none came for too long.

What counts as a sign is the venue's: Polymarket answers a text `PING` with `PONG` and nothing else proves it (A7.1), at
Kalshi any frame, ping or pong does (B8).
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

from arbiter.errors import VenueUnavailable


class Heartbeat:
    """`ask` sends what the peer must answer; `name` is what is missed in the error ("PONG")."""

    def __init__(
        self, venue: str, monotonic: Callable[[], float], ask: Callable[[], Awaitable[None]], *, every: float, dead: float, name: str
    ) -> None:
        self._venue = venue
        self._monotonic = monotonic
        self._ask = ask
        self._every = every
        self._dead = dead
        self._name = name
        self.alive_at = monotonic()

    def beat(self) -> None:
        """A sign of life came."""
        self.alive_at = self._monotonic()

    async def watch(self) -> NoReturn:
        """Ask for signs until they stop. Raises VenueUnavailable `dead` seconds after the last one, or as `ask` does."""
        ask_at = self._monotonic() + self._every
        while True:
            now = self._monotonic()
            if now >= self.alive_at + self._dead:
                raise VenueUnavailable(self._venue, f"no {self._name} for {self._dead:g} s")
            if now >= ask_at:
                await self._ask()
                ask_at = now + self._every
            await trio.sleep(max(0.0, min(ask_at, self.alive_at + self._dead) - self._monotonic()))
