"""The poll loop: takes updates from Telegram and hands each over, once.

Telegram is told to forget an update only when it and all lower ones are handled, so a crash loses none; it sends at most 100
at a time, which bounds everything that waits here. Cancelled at any point it ends at once.
"""

from itertools import count
from pathlib import Path
from typing import Any

import structlog
import trio
from telegram import Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from arbiter.bot import handled
from arbiter.bot.chats import Chats, Front, Received
from arbiter.bot.faults import redacted
from arbiter.bot.telegram_bot import TelegramBot, retry_seconds
from arbiter.runtime import Environment

LONG_POLL_SECONDS = 25
READ_SECONDS = 10.0
"""On top of the long poll, before the connection counts as lost."""
BATCH = 100
GRACE_SECONDS = 0.5
"""For what is in hand when the bot stops. What is not done by then comes again at the next start."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
CONFLICT_BACKOFF = 30.0
REFUSED_SECONDS = 300.0
REFUSED = "Telegram refuses the bot's token; the bot is deaf until it is started with a valid one"
FIRST_PATIENCE, LONGEST_PATIENCE = 0.25, 0.5
"""How long to wait for the handlers before asking Telegram for more, in seconds. With something in hand Telegram answers at once
and repeats it, so asking then costs a call and brings news only by chance; not asking keeps others waiting behind a slow one."""
WANTED = ("message", "callback_query")


class Poller:
    """Polls for one bot. `file` keeps what is handled over restarts; without one nothing is kept."""

    def __init__(self, bot: TelegramBot, front: Front, file: Path | None, environment: Environment) -> None:
        self._bot = bot
        self._front = front
        self._file = file
        self._environment = environment
        self._log = structlog.get_logger(component="telegram")
        self._handled = handled.Handled()
        self._kept: dict[int, str] = {}
        self._arrivals = count(1)
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
                await self._poll_for_ever(Chats(self._front, self._done, self._bot.token, nursery))
            await self._wait_for_all(GRACE_SECONDS)
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

    async def _poll_for_ever(self, chats: Chats) -> None:
        failures, patience, refused = 0, FIRST_PATIENCE, False
        while True:
            try:
                fresh = await self._poll(chats)
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
            else:
                await self._wait_for_all(patience)

    async def _poll(self, chats: Chats) -> bool:
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
        fresh = self._hand_over(updates, chats)
        self._full = len(sent) >= BATCH
        if not self._full:
            self._checked_ms = asked_ms
        return fresh

    def _hand_over(self, updates: list[tuple[Update, Any]], chats: Chats) -> bool:
        """Those that are new go to the chats. Whether there were any."""
        fresh = []
        for update, sent in updates:
            received = Received(update, self._checked_ms, next(self._arrivals))
            if self._handled.take(update.update_id, sent):
                fresh.append(received)
            else:
                self._front.recall(received)
        for received in fresh:
            chats.put(received)
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

    async def _wait_for_all(self, seconds: float) -> None:
        """Until everything in hand is handled; at most so long."""
        with trio.move_on_after(seconds):
            while self._handled.in_hand:
                await self._progress.wait()

    async def _wait_for_room(self, seconds: float) -> None:
        """After a full answer: until the next one can bring half a batch of new updates. Before, it would repeat the same."""
        offset = self._handled.offset or 0
        with trio.move_on_after(seconds):
            while self._handled.in_hand and (self._handled.offset or 0) < offset + BATCH // 2:
                await self._progress.wait()

    def _done(self, number: int) -> None:
        self._handled.done(number)
        progress, self._progress = self._progress, trio.Event()
        progress.set()
