"""python-telegram-bot on trio. Its methods run there as they are; only what uses asyncio's running loop is replaced here."""

import logging
import math
import os
from collections.abc import Sequence
from typing import Any

# RetryAfter warns of its own attribute's type at each construction unless one opts in to the coming type
os.environ.setdefault("PTB_TIMEDELTA", "true")

from telegram import Bot, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.constants import ParseMode
from telegram.error import InvalidToken, RetryAfter, TelegramError

from arbiter.bot.http import PoolRequest

# these log URLs, and a Bot API URL holds the token
for _name in ("httpx", "httpcore", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)


_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


class TelegramBot(Bot):
    """A Bot whose requests are opened and closed one after the other, where the library would `asyncio.gather`."""

    async def initialize(self) -> None:
        """Open the requests and learn who the bot is. Raises TelegramError; may be called again after that."""
        if not self._requests_initialized:
            for request in self._request:
                await request.initialize()
            self._requests_initialized = True
        if not self._bot_initialized:
            await self.get_me()
            self._bot_initialized = True

    async def fetch_updates(self, offset: int | None, limit: int, seconds: int, kinds: Sequence[str], read_seconds: float) -> list[Any]:
        """getUpdates without reading the updates: one that the library cannot read must not hide those around it."""
        data = {"offset": offset, "limit": limit, "timeout": seconds, "allowed_updates": kinds}
        fetched = await self._post("getUpdates", data, read_timeout=seconds + read_seconds)
        if not isinstance(fetched, list):
            raise TelegramError("getUpdates answered with something that is no list")
        return fetched

    async def send_text(self, chat: int, text: str, markup: InlineKeyboardMarkup | None) -> None:
        """sendMessage in HTML, without link previews. What comes back is not read, since nobody needs it."""
        data = {"chat_id": chat, "text": text, "parse_mode": ParseMode.HTML, "link_preview_options": _NO_PREVIEW}
        if markup is not None:
            data["reply_markup"] = markup
        await self._post("sendMessage", data)

    async def shutdown(self) -> None:
        """Close the connections. Nothing happens the second time."""
        if self._requests_initialized:
            for request in self._request:
                await request.shutdown()
            self._requests_initialized = self._bot_initialized = False


def make_bot(token: str, api_url: str | None) -> TelegramBot:
    """A bot for Telegram's own servers, or for another Bot API at `api_url`. Does no I/O.

    Raises InvalidToken for text that cannot be a token. Proxies of the environment count only for Telegram's own servers.
    """
    if not token.strip():
        raise InvalidToken("the token is empty")
    own = api_url is None
    request, updates = PoolRequest(proxies=own), PoolRequest(proxies=own)
    if api_url is None:
        return TelegramBot(token, request=request, get_updates_request=updates)
    base = api_url.rstrip("/")
    return TelegramBot(token, base_url=f"{base}/bot", base_file_url=f"{base}/file/bot", request=request, get_updates_request=updates)


def retry_seconds(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone."""
    wait: Any = error.retry_after  # a timedelta, or seconds where the process opted out of that
    return max(0.0, wait if isinstance(wait, int | float) else math.ceil(wait.total_seconds()))
