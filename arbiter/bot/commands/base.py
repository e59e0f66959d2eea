"""What every command gets and gives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from arbiter.bot.backend import Backend
from arbiter.bot.faults import NoAnswer
from arbiter.bot.stops import Stops
from arbiter.bot.views import Answer
from arbiter.rpc.client import ArbiterClient
from arbiter.rpc.client_errors import UncertainError

T = TypeVar("T")

OLDEST_MS = 60_000
"""What moves money is not done on an update older than this."""
TOO_OLD = Answer(
    "This came more than a minute late, so it was not done: markets have moved. Send it again if you still want it.",
    toast="This came too late and was not done; please press again.",
)
OVERTAKEN = Answer(
    "Your /stop CONFIRM came after this, so it was not done. Send it again if you still want it.",
    toast="A stop came after this, so it was not done.",
)


def is_confirmed(arguments: str) -> bool:
    """Whether CONFIRM, in capitals and alone, was given."""
    return arguments.strip() == "CONFIRM"


@dataclass(frozen=True)
class Call:
    """One command or button of one user, in their own chat with the bot."""

    backend: Backend
    stops: Stops
    user: int
    """Telegram's id of who sent it, never of whom it names."""
    user_name: str
    arguments: str = ""
    age_ms: int = 0
    """At most so old."""
    arrival: int = 0
    forwarded: bool = False
    code: str = field(default="", repr=False)
    """Of the user's authenticator, for what is changed."""

    @property
    def words(self) -> list[str]:
        """The arguments, cut at white space."""
        return self.arguments.split()

    @property
    def confirmed(self) -> bool:
        """Whether CONFIRM, in capitals and alone, was given."""
        return is_confirmed(self.arguments)

    @property
    def too_old(self) -> bool:
        """Whether this is too old to move money."""
        return self.age_ms > OLDEST_MS

    def overtaken(self) -> bool:
        """Whether the user has stopped trading after this."""
        return self.stops.overtook(self.user, self.arrival)

    async def ask(self, call: Callable[[ArbiterClient], Awaitable[T]]) -> T:
        """Read from the core as this user. Raises ArbiterClientError."""
        try:
            return await self.backend.ask(self.user, call)
        except UncertainError:
            raise NoAnswer from None

    async def act(self, call: Callable[[ArbiterClient], Awaitable[T]]) -> T:
        """Change something in the core as this user. Raises ArbiterClientError; UncertainError: it may be done."""
        return await self.backend.ask(self.user, call, self.code)


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Command:
    """A row of the table. `open`: also for those who are not linked. `urgent`: with CONFIRM nothing comes before it."""

    name: str
    description: str
    handle: Handler
    open: bool = False
    urgent: bool = False
