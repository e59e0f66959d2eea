"""What the bot sends. Within a chat in order, one at a time; Telegram's wish to wait is granted, up to a bound.

A message that could not be sent is logged and lost: an answer is worth nothing later, and the chat must go on.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVarTuple

import structlog
import trio
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.constants import ParseMode
from telegram.error import BadRequest, Forbidden, NetworkError, RetryAfter, TelegramError

from arbiter.bot.buttons import Buttons
from arbiter.bot.faults import redacted
from arbiter.bot.poller import retry_seconds
from arbiter.bot.text import cut, split
from arbiter.bot.views import Answer, Keyboard
from arbiter.runtime import Environment

TRIES = 4
LONGEST_WAIT = 30.0
"""Seconds that one message may wait altogether, so that a chat is never held for longer."""
MOST_WAITING = 500
"""Messages that wait, over all chats; one more is dropped and logged."""

LONGEST_TOAST = 200

Ts = TypeVarTuple("Ts")


@dataclass
class _Chat:
    lock: trio.Lock
    users: int = 0


class Sender:
    """Sends answers for one bot."""

    def __init__(self, bot: Bot, buttons: Buttons, environment: Environment) -> None:
        self._bot = bot
        self._buttons = buttons
        self._environment = environment
        self._chats: dict[int, _Chat] = {}
        self._waiting = 0
        self._log = structlog.get_logger(component="telegram")

    async def send(self, chat: int, user: int, answer: Answer) -> bool:
        """Send an answer, in as many messages as it needs, the buttons under the last. Whether all of it went out."""
        pieces = split(answer.text)
        async with self._turn(chat) as granted:
            for number, piece in enumerate(pieces if granted else (), 1):
                markup = self._markup(answer.keyboard, user) if number == len(pieces) else None
                if await self._try(chat, self._send_one, chat, piece, markup) is not None:
                    return False
            return granted

    async def edit(self, chat: int, user: int, message: int, answer: Answer) -> bool:
        """Put the answer in the place of a message; send it anew where that cannot be done."""
        pieces = split(answer.text)
        if len(pieces) == 1:
            markup = self._markup(answer.keyboard, user)
            async with self._turn(chat) as granted:
                error = await self._try(chat, self._edit_one, chat, message, pieces[0], markup) if granted else None
                if not isinstance(error, BadRequest):
                    return granted and error is None
        return await self.send(chat, user, answer)

    async def acknowledge(self, callback: str, text: str = "", *, alert: bool = False) -> None:
        """Answer a callback query, so that the button stops waiting. An old one cannot be answered any more."""
        await self._try(0, self._acknowledge_one, callback, cut(text, LONGEST_TOAST) or None, alert)

    async def delete(self, chat: int, message: int) -> bool:
        """Delete a message where Telegram allows it."""
        return await self._try(chat, self._delete_one, chat, message) is None

    # -- one call --

    async def _send_one(self, chat: int, text: str, markup: InlineKeyboardMarkup | None) -> object:
        preview = LinkPreviewOptions(is_disabled=True)
        return await self._bot.send_message(chat, text, parse_mode=ParseMode.HTML, reply_markup=markup, link_preview_options=preview)

    async def _edit_one(self, chat: int, message: int, text: str, markup: InlineKeyboardMarkup | None) -> object:
        try:
            return await self._bot.edit_message_text(text, chat_id=chat, message_id=message, parse_mode=ParseMode.HTML, reply_markup=markup)
        except BadRequest as error:
            if "not modified" in error.message.lower():
                return True
            raise

    async def _acknowledge_one(self, callback: str, text: str | None, alert: bool) -> object:
        return await self._bot.answer_callback_query(callback, text=text, show_alert=alert)

    async def _delete_one(self, chat: int, message: int) -> object:
        return await self._bot.delete_message(chat, message)

    async def _try(self, chat: int, call: Callable[[*Ts], Awaitable[object]], *arguments: *Ts) -> TelegramError | None:
        """Make a call, again where that may help. None, or why it failed, which is logged."""
        deadline = trio.current_time() + LONGEST_WAIT
        for attempt in range(1, TRIES + 1):
            try:
                await call(*arguments)
            except (RetryAfter, NetworkError) as error:
                wait = self._wait_before(error, attempt)
                if wait is None or attempt == TRIES or trio.current_time() + wait > deadline:
                    return self._report(chat, error)
                await trio.sleep(wait)
            except TelegramError as error:
                return self._report(chat, error)
            else:
                return None
        raise AssertionError("the last round returns")

    def _wait_before(self, error: TelegramError, attempt: int) -> float | None:
        """Seconds until the next try; None where another try would meet the same."""
        if isinstance(error, RetryAfter):
            return retry_seconds(error)
        if isinstance(error, BadRequest):
            return None
        return 0.5 * 2.0**attempt * (1 - self._environment.random.random() / 2)

    def _report(self, chat: int, error: TelegramError) -> TelegramError:
        # a user who blocked the bot, an old button, a message that is gone: nothing for an operator
        log = self._log.info if isinstance(error, BadRequest | Forbidden) else self._log.warning
        log("a call of Telegram failed", chat=chat, problem=redacted(error, self._bot.token))
        return error

    @asynccontextmanager
    async def _turn(self, chat: int) -> AsyncIterator[bool]:
        """This chat's turn; False when too much waits already."""
        if self._waiting >= MOST_WAITING:
            self._log.error("too many messages wait to be sent; one is dropped", chat=chat)
            yield False
            return
        turn = self._chats.setdefault(chat, _Chat(trio.Lock()))
        turn.users += 1
        self._waiting += 1
        try:
            async with turn.lock:
                yield True
        finally:
            self._waiting -= 1
            turn.users -= 1
            if not turn.users:
                self._chats.pop(chat, None)

    def _markup(self, keyboard: Keyboard, user: int) -> InlineKeyboardMarkup | None:
        rows = [[InlineKeyboardButton(b.label, callback_data=self._buttons.seal(b.action, user)) for b in row] for row in keyboard]
        return InlineKeyboardMarkup(rows) if rows else None
