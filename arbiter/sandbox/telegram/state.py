"""All that one bot and its people share: chats, updates, files, pressed buttons, settings."""

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from arbiter.sandbox.telegram.chats import ChatLog, Chats
from arbiter.sandbox.telegram.files import Files
from arbiter.sandbox.telegram.limits import Limiter, SendLimits
from arbiter.sandbox.telegram.types import BotCommand, User
from arbiter.sandbox.telegram.updates import Updates

MOST_PRESSES = 1000
PRESS_LIVES_MS = 15 * 60_000
"""How long a press may stay unanswered."""


class Press(msgspec.Struct, frozen=True):
    """A pressed button that the bot has not answered."""

    chat_id: int
    user_id: int
    at_ms: int


class State:
    """Of the sandbox's Telegram. `changed` is called with each chat in which something a person sees has changed."""

    def __init__(self, bot: User, limits: SendLimits) -> None:
        self.bot = bot
        self.chats = Chats()
        self.updates = Updates()
        self.files = Files()
        self.limiter = Limiter(limits)
        self.commands: dict[str, tuple[BotCommand, ...]] = {}
        self.texts: dict[str, str] = {}
        """Descriptions by field name."""
        self.changed: Callable[[ChatLog], None] = lambda log: None
        self._presses: OrderedDict[str, Press] = OrderedDict()

    def changed_everywhere(self) -> None:
        """Something changed that every chat shows."""
        for log in self.chats.all():
            log.touch()
            self.changed(log)

    def pressed(self, query: str, press: Press) -> None:
        """A button was pressed."""
        self._presses[query] = press
        if len(self._presses) > MOST_PRESSES:
            self._presses.popitem(last=False)

    def answered(self, query: str, now_ms: int) -> Press | None:
        """The press of that identifier, which counts as answered from now on; None: there is none, or it is too old."""
        press = self._presses.pop(query, None)
        return press if press is not None and now_ms - press.at_ms <= PRESS_LIVES_MS else None
