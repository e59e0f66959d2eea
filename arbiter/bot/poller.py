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
from telegram import Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from arbiter.bot import handled
from arbiter.bot.faults import redacted, where
from arbiter.bot.telegram_bot import TelegramBot
from arbiter.runtime import Environment

LONG_POLL_SECONDS = 25
READ_SECONDS = 10.0
"""On top of the long poll, before the connection counts as lost."""
BATCH = 100
CHATS_AT_ONCE = 32
HANDLE_SECONDS = 60.0
"""One update may take this long; then it is given up, so that it cannot hold all others back."""
GRACE_SECONDS = 0.5
"""For what is in hand when the bot stops. What is not done by then comes again at the next start."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
CONFLICT_BACKOFF = 30.0
REFUSED_SECONDS = 300.0
REFUSED = "Telegram refuses the bot's token; the bot is deaf until it is started with a valid one"
FIRST_PATIENCE, LONGEST_PATIENCE = 0.02, 1.0
"""How long to wait for the handlers before asking Telegram for more, which repeats what is in hand."""
WANTED = ("message", "callback_query")


class Received(NamedTuple):
    """An update and what is known of its age: it was sent at `not_before_ms` (UTC) or later; 0: nothing is known."""

    update: Update
    not_before_ms: int


Handle = Callable[[Received], Awaitable[None]]


class Poller:
    """Polls for one bot. What `handle` raises is logged, and the update counts as handled.

    `file` keeps what is handled over restarts; without one nothing is kept.
    """

    def __init__(self, bot: TelegramBot, handle: Handle, file: Path | None, environment: Environment) -> None:
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
        self._polling = trio.CancelScope()
        self._full = False
        """Whether Telegram's last answer held as many as it gives, so that there may be more."""
        self._checked_ms = 0
        """When Telegram last said that there is no more than it sent."""

    async def run(self) -> None:
        """Poll until cancelled or stopped."""
        if self._file is not None:
            self._kept = await trio.to_thread.run_sync(handled.load, self._file)
        self._handled = handled.Handled(dict(self._kept))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_for_ever)
            with self._polling:
                await self._poll_for_ever(nursery)
            await self._wait_for_progress(GRACE_SECONDS, all_of_it=True)
            nursery.cancel_scope.cancel()
        await self._keep()

    def stop(self) -> None:
        """Poll no more; `run` returns when what is in hand is handled, or after a moment."""
        self._polling.cancel()

    async def _keep(self) -> None:
        """Write down what is handled, if it is not written yet."""
        wanted = self._handled.to_keep()
        if self._file is not None and wanted != self._kept:
            try:
                await trio.to_thread.run_sync(handled.save, self._file, wanted)
            except OSError as error:
                self._log.error("cannot write down which updates are handled", file=str(self._file), problem=error.strerror)
            self._kept = wanted

    async def _keep_for_ever(self) -> None:
        while True:
            progress = self._progress  # before what it tells of is written, so that none is missed
            await self._keep()
            await progress.wait()

    # -- polling --

    async def _poll_for_ever(self, nursery: trio.Nursery) -> None:
        failures, patience, refused = 0, FIRST_PATIENCE, False
        while True:
            try:
                fresh = await self._poll(nursery)
            except InvalidToken:
                if not refused:
                    self._log.error(REFUSED)
                refused = True
                await trio.sleep(REFUSED_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 python-telegram-bot raises anything for odd answers; polling goes on
                failures += 1
                await trio.sleep(self._pause_after(error, failures))
                continue
            failures, refused = 0, False
            patience = FIRST_PATIENCE if fresh else min(LONGEST_PATIENCE, patience * 2)
            if self._full:
                await self._wait_for_room(LONGEST_PATIENCE)
            elif self._handled.in_hand:
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
            sent = await self._bot.fetch_updates(offset, BATCH, timeout, WANTED, READ_SECONDS)
        updates = [(self._read(each), each) for each in sent if not self._handled.knows(each)]  # reading one takes as long as handling it
        self._handled.confirmed(offset)
        if not sent:
            self._handled.settle()
        fresh = [update for update, each in updates if self._handled.take(update.update_id, each)]
        for update in fresh:
            self._queue(Received(update, self._checked_ms), nursery)
        self._full = len(sent) >= BATCH
        if not self._full:
            self._checked_ms = asked_ms
        return bool(fresh)

    def _read(self, sent: Any) -> Update:
        """The update, or an empty one of that number where it cannot be read: it is handled by being logged."""
        try:
            return Update.de_json(sent, self._bot)
        except Exception as error:  # python-telegram-bot raises anything for what it does not know
            number = sent.get("update_id") if isinstance(sent, dict) else None
            if not isinstance(number, int):
                raise
            self._log.error("an update cannot be read", update=number, problem=type(error).__name__)
            return Update(number)

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

    async def _wait_for_room(self, seconds: float) -> None:
        """After a full answer: until the next one can bring half a batch of new updates. Before, it would repeat the same."""
        offset = self._handled.offset or 0
        with trio.move_on_after(seconds):
            while self._handled.in_hand and (self._handled.offset or 0) < offset + BATCH // 2:
                await self._progress.wait()

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
