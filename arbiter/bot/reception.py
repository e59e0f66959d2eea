"""What becomes of an update is decided when it arrives, not when its turn comes: who sends too much makes nobody wait."""

from arbiter.bot.backend import Backend
from arbiter.bot.chats import Lane
from arbiter.bot.commands.base import is_confirmed
from arbiter.bot.commands.table import BY_NAME
from arbiter.bot.incoming import Asked, InGroup, Typed
from arbiter.bot.stops import Stops
from arbiter.bot.throttle import Throttle
from arbiter.runtime import Environment

HINT_SECONDS = 3600.0
"""A group is told so often that the bot works in private chats."""
MOST_GROUPS = 10_000


class Reception:
    """Decides about updates, in the order in which they arrive; does no I/O."""

    def __init__(self, backend: Backend, stops: Stops, allowed: frozenset[int], environment: Environment) -> None:
        self._backend = backend
        self._stops = stops
        self._allowed = allowed
        self._environment = environment
        self.throttle = Throttle(environment)
        self._groups: dict[int, float] = {}

    def lane(self, asked: Asked | None, arrival: int) -> Lane:
        """What becomes of it. A confirmed stop of who may use the bot meets no throttle."""
        match asked:
            case None:
                return Lane.IGNORED
            case InGroup(chat, _, name):
                return Lane.IN_ORDER if name in BY_NAME and self._may_hint(chat) else Lane.IGNORED
            case Typed(user) if is_confirmed_stop(asked):
                self._stops.arrived(user, arrival)
                if self.may_use(user) and not self._backend.is_stranger(user):
                    return Lane.URGENT
        return Lane.IN_ORDER if self.throttle.lets_through(asked.user) else Lane.REFUSED

    def may_use(self, user: int) -> bool:
        """By the allow-list, which narrows those who are linked."""
        return not self._allowed or user in self._allowed

    def _may_hint(self, group: int) -> bool:
        now = self._environment.monotonic()
        if now < self._groups.get(group, -HINT_SECONDS) + HINT_SECONDS:
            return False
        if len(self._groups) >= MOST_GROUPS:
            self._groups.pop(next(iter(self._groups)))
        self._groups[group] = now
        return True


def is_confirmed_stop(asked: Asked | None) -> bool:
    """/stop CONFIRM."""
    return isinstance(asked, Typed) and asked.name == "stop" and is_confirmed(asked.arguments)
