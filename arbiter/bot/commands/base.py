"""What every command gets and gives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from arbiter.bot.backend import Backend
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient

T = TypeVar("T")

OLDEST_MS = 60_000
"""What moves money is not done on an update older than this."""
TOO_OLD = Answer(
    "This came more than a minute late, so it was not done: markets have moved. Send it again if you still want it.",
    toast="This came too late and was not done; please press again.",
)


@dataclass(frozen=True)
class Call:
    """One command or button of one user, in their own chat with the bot."""

    backend: Backend
    user: int
    """Telegram's id of who sent it, never of whom it names."""
    user_name: str
    arguments: str = ""
    age_ms: int = 0
    """At most so old."""
    forwarded: bool = False

    @property
    def words(self) -> list[str]:
        """The arguments, cut at white space."""
        return self.arguments.split()

    @property
    def confirmed(self) -> bool:
        """Whether CONFIRM, in capitals and alone, was given."""
        return self.arguments.strip() == "CONFIRM"

    @property
    def too_old(self) -> bool:
        """Whether this is too old to move money."""
        return self.age_ms > OLDEST_MS

    async def ask(self, call: Callable[[ArbiterClient], Awaitable[T]]) -> T:
        """Call the core as this user. Raises ArbiterClientError."""
        return await self.backend.ask(self.user, call)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Command:
    """A row of the table. `open`: also for those who are not linked. `urgent`: with CONFIRM nothing comes before it."""

    name: str
    description: str
    handle: Handler
    open: bool = False
    urgent: bool = False
