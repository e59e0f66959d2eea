"""The poll loop: takes updates from Telegram and hands each to a function, once.

Order within a chat, chats side by side. Telegram is told to forget an update only when it and all lower ones are handled, so a
crash loses none; it then sends at most 100 at a time, which bounds everything that waits here. Cancelled at any point it ends at once.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import trio
from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from arbiter.bot import handled
from arbiter.bot.faults import redacted, where
from arbiter.runtime import Environment

LONG_POLL_SECONDS = 25
READ_SECONDS = 10.0
"""On top of the long poll, before the connection counts as lost."""
BATCH = 100
CHATS_AT_ONCE = 32
HANDLE_SECONDS = 60.0
"""One update may take this long; then it is given up, so that it cannot hold all others back."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
CONFLICT_BACKOFF = 30.0
FIRST_PATIENCE, LONGEST_PATIENCE = 0.02, 1.0
"""How long to wait for the handlers before asking Telegram for more, which repeats what is in hand."""
WANTED = ("message", "callback_query")


class Received(NamedTuple):
    """An update and what is known of its age: it was sent at `not_before_ms` (UTC) or later; 0: nothing is known."""

    update: Update
    not_before_ms: int


Handle = Callable[[Received], Awaitable[None]]


class Poller:
    """Polls for one bot. `handle` must not raise; what it raises is logged and the update counts as handled."""

    def __init__(self, bot: Bot, handle: Handle, file: Path, environment: Environment) -> None:
        self._bot = bot
        self._handle = handle
        self._file = file
        self._environment = environment
        self._log = structlog.get_logger(component="telegram")
        self._handled = handled.Handled()
        self._kept: dict[int, str] = {}
        self._chats: dict[int, deque[Received]] = {}
        self._limit = trio.CapacityLimiter(CHATS_AT_ONCE)
        self._progress = trio.Event()
        self._checked_ms = 0
        """When Telegram last said that there is no more than it sent."""

    async def run(self) -> None:
        """Poll until cancelled, or until Telegram refuses the token."""
        self._kept = await trio.to_thread.run_sync(handled.load, self._file)
        self._handled = handled.Handled(dict(self._kept))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_for_ever)
            await self._poll_for_ever(nursery)
            nursery.cancel_scope.cancel()

    async def keep(self) -> None:
        """Write down what is handled. For the end: `run` does it as it goes."""
        wanted = self._handled.to_keep()
        if wanted != self._kept:
            try:
                await trio.to_thread.run_sync(handled.save, self._file, wanted)
            except OSError as error:
                self._log.error("cannot write down which updates are handled", file=str(self._file), problem=error.strerror)
            self._kept = wanted

    async def _keep_for_ever(self) -> None:
        while True:
            await self._progress.wait()
            await self.keep()

    # -- polling --

    async def _poll_for_ever(self, nursery: trio.Nursery) -> None:
        failures, patience = 0, FIRST_PATIENCE
        while True:
            try:
                fresh = await self._poll(nursery)
            except InvalidToken:
                self._log.error("Telegram refuses the bot's token; the bot does nothing until it is started with a valid one")
                return
            except Exception as error:  # noqa: BLE001 python-telegram-bot raises anything for odd answers; polling goes on
                failures += 1
                await trio.sleep(self._pause_after(error, failures))
                continue
            failures = 0
            patience = FIRST_PATIENCE if fresh else min(LONGEST_PATIENCE, patience * 2)
            if self._handled.in_hand:
                await self._wait_for_progress(patience, all_of_it=fresh)
            else:
                patience = FIRST_PATIENCE

    async def _poll(self, nursery: trio.Nursery) -> bool:
        """One getUpdates; whether it brought anything new."""
        offset = self._handled.offset
        # the first answer comes at once, and tells what is old; with updates in hand the server repeats them anyway
        timeout = 0 if not self._checked_ms or self._handled.in_hand else LONG_POLL_SECONDS
        asked_ms = self._environment.unix_ms()
        with trio.fail_after(timeout + 2 * READ_SECONDS):
            updates = await self._bot.get_updates(
                offset=offset, limit=BATCH, timeout=timeout, allowed_updates=WANTED, read_timeout=READ_SECONDS
            )
        self._handled.confirmed(offset)
        fresh = [update for update in updates if self._handled.take(update)]
        for update in fresh:
            self._queue(Received(update, self._checked_ms), nursery)
        if len(updates) < BATCH:
            self._checked_ms = asked_ms
        return bool(fresh)

    def _pause_after(self, error: Exception, failures: int) -> float:
        """Say what went wrong; how long to wait, in seconds."""
        chance = self._environment.random.random()
        usual = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 30)) * (1 - chance / 2)
        match error:
            case RetryAfter():
                wait = retry_seconds(error)
                self._log.warning("Telegram asks the bot to slow down", seconds=wait)
                return wait + chance
            case Conflict():
                self._log.error(
                    "another bot polls with this token, or a webhook is set: stop the other one", problem=str(error), failures=failures
                )
                return min(10 * CONFLICT_BACKOFF, CONFLICT_BACKOFF * failures) * (1 + chance / 2)
            case TelegramError() | trio.TooSlowError():
                self._log.warning("Telegram cannot be reached", problem=redacted(error, self._bot.token), failures=failures, seconds=usual)
            case _:
                self._log.error("Telegram's answer cannot be read", problem=redacted(error, self._bot.token), failures=failures)
        return usual

    async def _wait_for_progress(self, seconds: float, *, all_of_it: bool) -> None:
        """Until something in hand is handled, or (`all_of_it`) everything is; at most so long."""
        with trio.move_on_after(seconds):
            while self._handled.in_hand:
                await self._progress.wait()
                if not all_of_it:
                    return

    # -- handling --

    def _queue(self, received: Received, nursery: trio.Nursery) -> None:
        chat = chat_of(received.update)
        queue = self._chats.get(chat)
        if queue is None:
            self._chats[chat] = deque([received])
            nursery.start_soon(self._serve_chat, chat)
        else:
            queue.append(received)

    async def _serve_chat(self, chat: int) -> None:
        queue = self._chats[chat]
        while queue:
            received = queue.popleft()
            async with self._limit:
                await self._handle_one(received)
            self._handled.done(received.update.update_id)
            progress, self._progress = self._progress, trio.Event()
            progress.set()
        del self._chats[chat]

    async def _handle_one(self, received: Received) -> None:
        try:
            with trio.fail_after(HANDLE_SECONDS):
                await self._handle(received)
        except Exception as error:  # noqa: BLE001 one update must not end the bot
            problem = redacted(error, self._bot.token)
            self._log.error("an update was given up", update=received.update.update_id, problem=problem, where=where(error))


def chat_of(update: Update) -> int:
    """What updates are ordered by."""
    if update.effective_chat is not None:
        return update.effective_chat.id
    return update.effective_user.id if update.effective_user is not None else 0


def retry_seconds(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone."""
    wait: Any = error.retry_after  # a timedelta, or seconds where the process opted out of that
    return max(0.0, wait if isinstance(wait, int | float) else math.ceil(wait.total_seconds()))
