"""BotBridge: the Telegram bot as an actor. It gets no messages; it starts when neither Telegram nor the core can be reached."""

from pathlib import Path
from typing import Never

import msgspec
import trio
from telegram import BotCommand
from telegram.error import InvalidToken, TelegramError

from arbiter.bot.backend import Backend
from arbiter.bot.buttons import Buttons
from arbiter.bot.commands.table import COMMANDS
from arbiter.bot.faults import redacted
from arbiter.bot.poller import GRACE_SECONDS, REFUSED, REFUSED_SECONDS, Poller
from arbiter.bot.router import Router
from arbiter.bot.sender import Sender
from arbiter.bot.stops import Stops
from arbiter.bot.telegram_bot import TelegramBot, make_bot
from arbiter.rpc.client_tls import ClientTls
from arbiter.runtime import Actor, Environment

FILE = "telegram_updates.json"
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0


class BotSettings(msgspec.Struct, frozen=True):
    """What the bridge needs. `token` (Telegram's) and `credential` (the core's, for the bridge) are secret.

    `server` is the address of the core, `tls` how it is reached over the network;
    `api_url` a Bot API such as http://127.0.0.1:8081, None for Telegram's own;
    `allowed_users` narrows the linked accounts further, empty: all of them, never everyone.
    """

    token: str
    credential: str
    server: str
    state_folder: Path
    environment: Environment
    tls: ClientTls = ClientTls()
    api_url: str | None = None
    allowed_users: frozenset[int] = frozenset()
    check: bool = False
    """Whether to try the credential at the start and to log what came of it."""

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"BotSettings(server={self.server!r}, api_url={self.api_url!r}, allowed_users={len(self.allowed_users)})"


class BotBridge(Actor[Never]):
    """Polls Telegram and answers, until it is stopped."""

    def __init__(self, settings: BotSettings) -> None:
        self._settings = settings
        self._bot: TelegramBot | None = None
        self._poller: Poller | None = None
        self._polls = False
        self._ended = trio.Event()
        self._scope = trio.CancelScope()

    async def started(self) -> None:
        """Start; waits for nobody."""
        settings = self._settings
        try:
            self._bot = bot = make_bot(settings.token, settings.api_url)
        except InvalidToken:
            self.context.log.error("the Telegram bot token is not valid; the bot does nothing")
            return
        self.context.start_task(self._serve, bot)

    async def stopped(self) -> None:
        """Finish what is in hand, hang up. Never waits for Telegram's long poll."""
        if self._bot is None:
            return
        if self._poller is not None and self._polls:
            self._poller.stop()
        else:
            self._scope.cancel()
        await self._ended.wait()
        await self._bot.shutdown()

    async def _serve(self, bot: TelegramBot) -> None:
        """Put the parts together and run them."""
        settings, environment = self._settings, self._settings.environment
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    backend = Backend(settings.server, settings.credential, environment, settings.tls)
                    buttons = Buttons(settings.token)
                    sender = Sender(bot, buttons, environment, nursery)
                    stops = Stops(backend, sender, environment, nursery)
                    router = Router(backend, sender, stops, buttons, settings.allowed_users, environment, lambda: bot.username)
                    self._poller = poller = Poller(bot, router, settings.state_folder / FILE, environment)
                    nursery.start_soon(backend.keep_connected)
                    if settings.check:
                        nursery.start_soon(backend.check)
                    await self._poll(bot, poller)
                    with trio.move_on_after(GRACE_SECONDS):
                        await sender.settle()
                    nursery.cancel_scope.cancel()
        finally:
            self._ended.set()

    async def _poll(self, bot: TelegramBot, poller: Poller) -> None:
        await self._introduce(bot)
        self.context.log.info("the Telegram bot is there", name=bot.username)
        self._polls = True
        await poller.run()

    async def _introduce(self, bot: TelegramBot) -> None:
        """Learn who the bot is, however long that takes."""
        random, failures, refused = self._settings.environment.random, 0, False
        while True:
            try:
                await bot.initialize()
                await bot.delete_webhook()
            except InvalidToken:
                if not refused:
                    self.context.log.error(REFUSED)
                refused = True
                await trio.sleep(REFUSED_SECONDS)
            except Exception as error:  # noqa: BLE001 python-telegram-bot raises anything for odd answers; it is tried again
                failures += 1
                pause = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 30)) * (1 - random.random() / 2)
                problem = redacted(error, bot.token)
                self.context.log.warning("Telegram cannot be reached", problem=problem, failures=failures, seconds=pause)
                await trio.sleep(pause)
            else:
                await self._tell_commands(bot)
                return

    async def _tell_commands(self, bot: TelegramBot) -> None:
        """For Telegram's menu. The bot works without."""
        try:
            await bot.set_my_commands([BotCommand(each.name, _plain(each.description)) for each in COMMANDS])
        except TelegramError as error:
            self.context.log.warning("Telegram does not take the list of commands", problem=redacted(error, bot.token))


def _plain(description: str) -> str:
    return description.replace("&amp;", "&")
