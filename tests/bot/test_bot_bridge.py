"""The bridge as an actor, over sockets: the sandbox's Bot API on one side, the core on the other."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from arbiter.bot.bridge import BotBridge, BotSettings
from arbiter.runtime import Child, Environment, Group, Supervisor
from arbiter.sandbox.shells import Shell, Wake, serve_sockets
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED, SendLimits

TOKEN = "123456:bot-token-of-the-tests"
CREDENTIAL = "credential of the bot tests"
ANN = "Ann"
SECONDS = 10


class World:
    """A sandbox Bot API that is served, and who writes in it."""

    def __init__(self, engine: TelegramEngine, shell: Shell[TelegramEngine], port: int) -> None:
        self.engine, self.shell, self.port = engine, shell, port
        self.now = Environment.real().unix_ms

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, text: str, by: str = ANN, **where: Any) -> Any:
        message = self.engine.people.say(text, self.now(), by=by, **where)
        self.shell.wake.all()
        return message

    def messages(self, by: str = ANN) -> list[Any]:
        """What that person sees, oldest first."""
        return list(self.engine.people.chat_of(by, self.now()).messages.values())

    def from_bot(self, by: str = ANN) -> list[Any]:
        return [message for message in self.messages(by) if message.from_.is_bot]

    async def ask(self, text: str, by: str = ANN) -> Any:
        """Write, and wait for the bot's answer."""
        before = len(self.from_bot(by))
        self.say(text, by)
        return await self.next_answer(before, by)

    async def next_answer(self, before: int, by: str = ANN) -> Any:
        with trio.fail_after(SECONDS):
            while len(self.from_bot(by)) <= before:  # noqa: ASYNC110 the engine has no event for this
                await trio.sleep(0.002)
        return self.from_bot(by)[-1]

    async def press(self, message: Any, label: str, by: str = ANN) -> None:
        rows = message.reply_markup.inline_keyboard
        (data,) = [button.callback_data for row in rows for button in row if button.text == label]
        self.engine.people.press(message.message_id, data, self.now(), by=by)
        self.shell.wake.all()


@pytest.fixture
async def telegram() -> AsyncIterator[World]:
    async with serve_telegram() as world:
        yield world


@asynccontextmanager
async def serve_telegram(limits: SendLimits = UNLIMITED) -> AsyncIterator[World]:
    engine = TelegramEngine(TOKEN, limits=limits)
    shell = Shell(engine, Environment.real().unix_ms, Wake())
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_sockets, shell, engine, 0)
        nursery.start_soon(shell.tick_for_ever)
        yield World(engine, shell, port)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_bridge(settings: BotSettings) -> AsyncIterator[Supervisor]:
    """The bridge under a supervisor; stopped at the end."""
    supervisor = Supervisor(Group("root", [Child("bot", lambda: BotBridge(settings))]), settings.environment)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(SECONDS):
            await nursery.start(supervisor.run)
        yield supervisor
        supervisor.stop()


@pytest.fixture
def settings_for(state_folder: Path) -> Callable[..., BotSettings]:
    def make(api_url: str, server: str, **more: Any) -> BotSettings:
        base: dict[str, Any] = {"token": TOKEN, "credential": CREDENTIAL, "environment": Environment.real(), "state_folder": state_folder}
        return BotSettings(**base | {"api_url": api_url, "server": server} | more)

    return make


async def test_a_person_links_looks_and_stops(program: Any, telegram: World, settings_for: Callable[..., BotSettings]) -> None:
    async with running_bridge(settings_for(telegram.url, program.address)):
        assert "/start" in (await telegram.ask("/status")).text
        assert "Linked" in (await telegram.ask(f"/start {await program.code()}")).text
        assert "Positions: none" in (await telegram.ask("/status")).text
        assert "no open positions" in (await telegram.ask("/positions")).text
        assert "Arbitrage: off" in (await telegram.ask("/arb")).text
        assert "ALL trading" in (await telegram.ask("/stop")).text
        assert "is stopped" in (await telegram.ask("/stop CONFIRM")).text
