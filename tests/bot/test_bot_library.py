"""What the bridge relies on in python-telegram-bot's inside. When one of these fails after an update of the library, look at
`arbiter/bot/telegram_bot.py` and at `initialize`, `shutdown` and `get_updates` of the new `telegram/_bot.py`: what they do beyond
opening, closing and asking one after the other must be done there too.
"""

import inspect
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import telegram
from telegram import Bot
from telegram.error import InvalidToken, NetworkError, RetryAfter

from arbiter.bot.telegram_bot import TelegramBot, make_bot, retry_seconds

TOKEN = "123456:bot-token-of-the-tests"


def test_the_library_is_the_one_that_was_looked_at() -> None:
    assert telegram.__version__ == "22.8"


def test_the_private_names_are_there_and_mean_what_they_meant() -> None:
    bot = make_bot(TOKEN, None)
    assert bot._requests_initialized is False
    assert bot._bot_initialized is False
    assert len(bot._request) == 2
    opening, closing = inspect.getsource(Bot.initialize), inspect.getsource(Bot.shutdown)
    assert "asyncio.gather(self._request[0].initialize(), self._request[1].initialize())" in opening
    assert "await self.get_me()" in opening
    assert "asyncio.gather(self._request[0].shutdown(), self._request[1].shutdown())" in closing
    assert "_requests_initialized" in closing
    fetching = inspect.getsource(Bot.get_updates)
    assert '"getUpdates",' in fetching
    assert "self._post(" in fetching


async def test_it_opens_and_closes_without_asyncio(bot: TelegramBot, api: Any) -> None:
    assert api.open
    assert bot.username == "arbiter_test_bot"
    await bot.initialize()
    assert api.calls == []
    await bot.shutdown()
    await bot.shutdown()
    assert not api.open


async def test_opening_is_tried_again_after_a_failure(api: Any) -> None:
    bot = TelegramBot(TOKEN, request=api, get_updates_request=api)
    api.fail("getMe", NetworkError("down"))
    with pytest.raises(NetworkError):
        await bot.initialize()
    await bot.initialize()
    assert bot.username == "arbiter_test_bot"


def test_an_empty_token_is_refused_at_once() -> None:
    with pytest.raises(InvalidToken):
        make_bot("  ", None)


def test_the_address_of_another_bot_api_is_taken() -> None:
    bot = make_bot(TOKEN, "http://127.0.0.1:8081/")
    assert bot.base_url == f"http://127.0.0.1:8081/bot{TOKEN}"
    assert bot.base_file_url == f"http://127.0.0.1:8081/file/bot{TOKEN}"


def test_nothing_that_logs_addresses_logs_them() -> None:
    for name in ("httpx", "httpcore", "httpcore2"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)


def test_retry_after_is_read_in_seconds_without_a_warning() -> None:
    assert retry_seconds(RetryAfter(7)) == 7


def test_the_library_is_imported_in_the_bot_alone_and_asyncio_is_not_run() -> None:
    folder = Path(sys.modules["arbiter.bot"].__file__ or "").parent
    for path in folder.rglob("*.py"):
        assert "import asyncio" not in path.read_text("utf-8"), path
