"""What the bot sends. Within a chat in order, one at a time; Telegram's wish to wait is granted, up to a bound.

Who sends waits until the message is out, or until it is known that it must wait: then it waits here, and its sender goes on.
A message that could not be sent is logged and lost: an answer is worth nothing later, and the chat must go on.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVarTuple

import structlog
import trio
from telegram import InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import ParseMode
from telegram.error import BadRequest, Forbidden, NetworkError, RetryAfter, TelegramError

from arbiter.bot.buttons import Buttons
from arbiter.bot.faults import redacted, where
from arbiter.bot.telegram_bot import TelegramBot, retry_seconds
from arbiter.bot.text import cut, split
from arbiter.bot.views import Answer, Keyboard
from arbiter.runtime import Environment, caused_by, correlation

TRIES = 4
LONGEST_WAIT = 30.0
"""Seconds that one message may wait altogether, so that a chat is never held for longer."""
ACKNOWLEDGE_WAIT = 2.0
"""The same for the answer to a press, which nobody waits for any longer."""
PATIENCE = 1.0
"""Seconds that who sends waits for the first try."""
MOST_IN_CHAT = 40
MOST_WAITING = 500
"""Messages that wait, in one chat and over all; one more is dropped and logged."""

LONGEST_TOAST = 200

Ts = TypeVarTuple("Ts")


@dataclass
class _Attempts:
    """How often and how long a message is tried. `settled`: it is out, given up, or must wait."""

    most: int = TRIES
    seconds: float = LONGEST_WAIT
    settled: trio.Event = field(default_factory=trio.Event)
    cause: str = field(default_factory=correlation.get)


Work = Callable[[_Attempts], Awaitable[object]]


class Sender:
    """Sends answers for one bot; what waits is sent by tasks of the nursery."""

    def __init__(self, bot: TelegramBot, buttons: Buttons, environment: Environment, nursery: trio.Nursery) -> None:
        self._bot = bot
        self._buttons = buttons
        self._environment = environment
        self._nursery = nursery
        self._chats: dict[int, deque[tuple[Work, _Attempts]]] = {}
        self._waiting = 0
        self._emptied = trio.Event()
        self._log = structlog.get_logger(component="telegram")

    async def send(self, chat: int, user: int, answer: Answer, *, first: bool = False) -> None:
        """Send an answer, in as many messages as it needs, the buttons under the last. `first`: before all that waits."""
        work = partial(self._send_all, chat, split(answer.text), self._markup(answer.keyboard, user))
        await self._post(chat, work, _Attempts(), first=first)

    async def send_once(self, chat: int, user: int, answer: Answer) -> None:
        """Send an answer now or never: what is worth no waiting."""
        if chat not in self._chats:
            work = partial(self._send_all, chat, split(answer.text), self._markup(answer.keyboard, user))
            await self._post(chat, work, _Attempts(most=1))

    async def edit(self, chat: int, user: int, message: int, answer: Answer) -> None:
        """Put the answer in the place of a message; send it anew where that cannot be done."""
        work = partial(self._edit_or_send, chat, message, split(answer.text), self._markup(answer.keyboard, user))
        await self._post(chat, work, _Attempts())

    async def delete(self, chat: int, message: int) -> None:
        """Delete a message where Telegram allows it."""
        await self._post(chat, partial(self._delete, chat, message), _Attempts())

    async def acknowledge(self, callback: str, text: str = "", *, alert: bool = False, once: bool = False) -> None:
        """Answer a callback query, so that the button stops waiting. An old one cannot be answered any more."""
        attempts = _Attempts(most=1) if once else _Attempts(seconds=ACKNOWLEDGE_WAIT)
        await self._try(attempts, 0, self._acknowledge_one, callback, cut(text, LONGEST_TOAST) or None, alert)

    async def settle(self) -> None:
        """Until nothing waits to be sent."""
        while self._chats:
            await self._emptied.wait()

    # -- waiting --

    async def _post(self, chat: int, work: Work, attempts: _Attempts, *, first: bool = False) -> None:
        queue = self._chats.get(chat)
        if self._waiting >= MOST_WAITING or (queue is not None and len(queue) >= MOST_IN_CHAT and not first):
            self._log.error("too many messages wait to be sent; one is dropped", chat=chat)
            return
        if queue is None:
            queue = self._chats[chat] = deque()
            self._nursery.start_soon(self._work, chat, queue)
        else:
            attempts.settled.set()  # others are before it
        self._waiting += 1
        if first:
            queue.appendleft((work, attempts))
        else:
            queue.append((work, attempts))
        with trio.move_on_after(PATIENCE):
            await attempts.settled.wait()

    async def _work(self, chat: int, queue: deque[tuple[Work, _Attempts]]) -> None:
        while queue:
            work, attempts = queue.popleft()
            self._waiting -= 1
            with caused_by(attempts.cause):
                try:
                    await work(attempts)
                except Exception as error:  # noqa: BLE001 python-telegram-bot raises anything for odd answers; the chat goes on
                    self._log.error("a message was given up", chat=chat, problem=redacted(error, self._bot.token), where=where(error))
                finally:
                    attempts.settled.set()
        del self._chats[chat]
        emptied, self._emptied = self._emptied, trio.Event()
        emptied.set()

    # -- one message --

    async def _send_all(self, chat: int, pieces: list[str], markup: InlineKeyboardMarkup | None, attempts: _Attempts) -> None:
        for number, piece in enumerate(pieces, 1):
            under = markup if number == len(pieces) else None
            if await self._try(attempts, chat, self._send_one, chat, piece, under) is not None:
                return

    async def _edit_or_send(
        self, chat: int, message: int, pieces: list[str], markup: InlineKeyboardMarkup | None, attempts: _Attempts
    ) -> None:
        if len(pieces) == 1:
            error = await self._try(attempts, chat, self._edit_one, chat, message, pieces[0], markup)
            if not isinstance(error, BadRequest):
                return
        await self._send_all(chat, pieces, markup, attempts)

    async def _delete(self, chat: int, message: int, attempts: _Attempts) -> None:
        await self._try(attempts, chat, self._delete_one, chat, message)

    # -- one call --

    async def _send_one(self, chat: int, text: str, markup: InlineKeyboardMarkup | None) -> None:
        await self._bot.send_text(chat, text, markup)

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

    async def _try(self, attempts: _Attempts, chat: int, call: Callable[[*Ts], Awaitable[object]], *arguments: *Ts) -> TelegramError | None:
        """Make a call, again where that may help. None, or why it failed, which is logged."""
        deadline = trio.current_time() + attempts.seconds
        for attempt in range(1, attempts.most + 1):
            try:
                await call(*arguments)
            except (RetryAfter, NetworkError) as error:
                wait = self._wait_before(error, attempt)
                if wait is None or attempt == attempts.most or trio.current_time() + wait > deadline:
                    return self._report(chat, error, attempts)
                attempts.settled.set()
                await trio.sleep(wait)
            except TelegramError as error:
                return self._report(chat, error, attempts)
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

    def _report(self, chat: int, error: TelegramError, attempts: _Attempts) -> TelegramError:
        # a user who blocked the bot, an old button, a message that is gone, what is sent once at most: nothing for an operator
        log = self._log.info if isinstance(error, BadRequest | Forbidden) or attempts.most == 1 else self._log.warning
        log("a call of Telegram failed", chat=chat, problem=redacted(error, self._bot.token))
        return error

    def _markup(self, keyboard: Keyboard, user: int) -> InlineKeyboardMarkup | None:
        rows = [[InlineKeyboardButton(b.label, callback_data=self._buttons.seal(b.action, user)) for b in row] for row in keyboard]
        return InlineKeyboardMarkup(rows) if rows else None
