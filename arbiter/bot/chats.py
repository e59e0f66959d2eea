"""What is in hand: within a chat one update after the other, chats side by side, what is urgent at once.

Each chat's queue is bounded, so that nobody's backlog can hold back what is confirmed to Telegram, and with it everybody else.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import NamedTuple, Protocol

import structlog
import trio
from telegram import Update

from arbiter.bot.faults import redacted, where
from arbiter.runtime import caused_by

CHATS_AT_ONCE = 32
MOST_IN_CHAT = 20
"""Updates of one chat that wait for their turn."""
MOST_REFUSALS = 4
"""Refusals that are being sent; one more is left unsaid."""
HANDLE_SECONDS = 60.0
"""One update may take this long; then it is given up, so that it cannot hold all others back."""


class Received(NamedTuple):
    """An update and what is known of its age: it was sent at `not_before_ms` (UTC) or later; 0: nothing is known.

    `arrival` counts up: of two updates the later one has the higher number, whatever their ids are.
    """

    update: Update
    not_before_ms: int
    arrival: int = 0


class Lane(Enum):
    """What becomes of an update. Decided when it arrives, before it waits for anything."""

    IGNORED = auto()
    REFUSED = auto()
    """Not done; that is said once, if it can be said at once."""
    IN_ORDER = auto()
    URGENT = auto()
    """Before all that waits, also in its own chat. Two of one chat never run at once; a third counts as the one that waits."""


class Front(Protocol):
    """Whom the updates are for."""

    def admit(self, received: Received) -> Lane:
        """Called once for each new update, in their order."""

    def recall(self, received: Received) -> None:
        """An update that was handled before this start."""

    async def handle(self, received: Received) -> None:
        """Do what it asks for. What this raises is logged, and the update counts as handled."""

    async def refuse(self, received: Received) -> None:
        """Say that it was too much."""


class _Chat:
    def __init__(self) -> None:
        self.waiting: deque[Received] = deque()
        self.urgent: deque[Received] = deque()
        self.served = False
        self.progress = trio.Event()

    def move_on(self) -> None:
        progress, self.progress = self.progress, trio.Event()
        progress.set()


class Chats:
    """Takes updates and has them handled. `done` is told the number of each that is finished, whatever became of it."""

    def __init__(self, front: Front, done: Callable[[int], None], secret: str, nursery: trio.Nursery) -> None:
        self._front = front
        self._done = done
        self._secret = secret
        self._nursery = nursery
        self._chats: dict[int, _Chat] = {}
        self._limit = trio.CapacityLimiter(CHATS_AT_ONCE)
        self._refusals = 0
        self._log = structlog.get_logger(component="telegram")

    def put(self, received: Received) -> None:
        """Send an update where it belongs. Never waits."""
        match self._front.admit(received):
            case Lane.IGNORED:
                self._finish(received)
            case Lane.REFUSED:
                self._refuse(received)
            case Lane.IN_ORDER:
                self._put_in_order(received)
            case Lane.URGENT:
                self._put_urgent(received)

    def _put_in_order(self, received: Received) -> None:
        number = chat_of(received.update)
        chat = self._chats.setdefault(number, _Chat())
        if len(chat.waiting) >= MOST_IN_CHAT:
            self._refuse(received)
            return
        chat.waiting.append(received)
        if not chat.served:
            chat.served = True
            self._nursery.start_soon(self._serve, number, chat)

    def _put_urgent(self, received: Received) -> None:
        number = chat_of(received.update)
        chat = self._chats.setdefault(number, _Chat())
        if len(chat.urgent) > 1:  # one that has not begun does for this one too
            self._finish(received)
            return
        chat.urgent.append(received)
        if len(chat.urgent) == 1:
            self._nursery.start_soon(self._serve_urgent, number, chat)

    def _refuse(self, received: Received) -> None:
        self._finish(received)
        if self._refusals < MOST_REFUSALS:
            self._refusals += 1
            self._nursery.start_soon(self._say_refused, received)

    async def _say_refused(self, received: Received) -> None:
        try:
            await self._attempt(self._front.refuse, received)
        finally:
            self._refusals -= 1

    async def _serve(self, number: int, chat: _Chat) -> None:
        while chat.waiting:
            received = chat.waiting.popleft()
            while chat.urgent and chat.urgent[0].arrival < received.arrival:
                await chat.progress.wait()  # what was sent after a stop must see it done
            async with self._limit:
                await self._attempt(self._front.handle, received)
            self._finish(received)
        chat.served = False
        self._close(number, chat)

    async def _serve_urgent(self, number: int, chat: _Chat) -> None:
        while chat.urgent:
            received = chat.urgent[0]
            await self._attempt(self._front.handle, received)
            chat.urgent.popleft()
            chat.move_on()
            self._finish(received)
        self._close(number, chat)

    def _close(self, number: int, chat: _Chat) -> None:
        if not chat.served and not chat.urgent:
            self._chats.pop(number, None)

    def _finish(self, received: Received) -> None:
        self._done(received.update.update_id)

    async def _attempt(self, deal: Callable[[Received], Awaitable[None]], received: Received) -> None:
        number = received.update.update_id
        with caused_by(f"tg-{number}"):
            try:
                with trio.fail_after(HANDLE_SECONDS):
                    await deal(received)
            except Exception as error:  # noqa: BLE001 one update must not end the bot
                self._log.error("an update was given up", update=number, problem=redacted(error, self._secret), where=where(error))


def chat_of(update: Update) -> int:
    """What updates are ordered by."""
    if update.effective_chat is not None:
        return update.effective_chat.id
    return update.effective_user.id if update.effective_user is not None else 0
