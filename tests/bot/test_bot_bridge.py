"""The bridge as an actor, over sockets: the sandbox's Bot API on one side, the core on the other."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from arbiter.bot.bridge import BotBridge, BotSettings
from arbiter.domain.book import Side
from arbiter.domain.money import ONE, Micros
from arbiter.rpc.client import RefusedError
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


@pytest.fixture
async def served(program: Any, telegram: World, settings_for: Callable[..., BotSettings]) -> AsyncIterator[World]:
    """The bridge runs, and Ann is linked to the account of tier pro."""
    async with running_bridge(settings_for(telegram.url, program.address)):
        assert "Linked" in (await telegram.ask(f"/start {await program.code()}")).text
        yield telegram


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 the engine has no event for this
            await trio.sleep(0.002)


async def test_the_dashboard_is_steered_by_its_buttons(program: Any, served: World) -> None:
    home = await served.ask("/home")
    number = home.message_id

    def shown() -> Any:
        return next(message for message in served.messages() if message.message_id == number)

    async with program.client() as client:
        await served.press(shown(), "Start Arb")
        await until(lambda: "Arbitrage: on" in shown().text)
        assert (await client.list_strategies())["arbitrage"]
        await served.press(shown(), "Stop Arb")
        await until(lambda: "Arbitrage: off" in shown().text)
        assert not (await client.list_strategies())["arbitrage"]
    await served.press(shown(), "Wallet")
    await until(lambda: "polymarket: $10,000.00" in shown().text)
    await served.press(shown(), "« Home")
    await until(lambda: "tier pro" in shown().text)
    await served.press(shown(), "Positions")
    await until(lambda: "no open positions" in shown().text)
    await served.press(shown(), "« Home")
    await until(lambda: "tier pro" in shown().text)
    await served.press(shown(), "Copy Trades")
    await until(lambda: "not available yet" in shown().text)


async def test_stop_and_resume_hold_for_orders(program: Any, served: World) -> None:
    async with program.client() as client:

        async def buy(key: str) -> Any:
            return await client.place_order(program.poly.yes_key, Side.BUY, Micros(500_000), Micros(10 * ONE), idempotency_key=key)

        await served.ask("/stop CONFIRM")
        with pytest.raises(RefusedError):
            await buy("while stopped")
        assert "Trading goes on" in (await served.ask("/resume CONFIRM")).text
        assert (await buy("after")).filled
    assert "Positions: 1, worth" in (await served.ask("/status")).text


async def test_a_title_full_of_markup_comes_out_literally(program: Any, served: World) -> None:
    async with program.client() as client:
        await client.place_order(program.poly.yes_key, Side.BUY, Micros(500_000), Micros(10 * ONE), idempotency_key="one")
    answer = await served.ask("/positions")
    assert "Will the *Reds* <b>win</b> [the](http://x) _final_ & more?" in answer.text
    assert [entity.type for entity in answer.entities if entity.type not in ("url", "bold", "bot_command")] == []


async def test_the_message_with_the_code_is_gone(served: World) -> None:
    await until(lambda: not any((message.text or "").startswith("/start") for message in served.messages()))


async def test_forged_and_foreign_presses_are_refused(served: World) -> None:
    home = await served.ask("/home")
    for data, by in (("home~AAAAAAAAAAAA", ANN), ("stop", ANN), ("arb_start", "Eve"), ("wallet", "Eve")):
        log = served.engine.people.chat_of(ANN, served.now())
        served.engine.people.forge_press(home, data, served.now(), by=by, log=log)
    served.shell.wake.all()
    assert "Arbitrage: off" in (await served.ask("/arb")).text
    assert next(message for message in served.messages() if message.message_id == home.message_id).text == home.text
    assert served.from_bot("Eve") == []


async def test_edits_groups_and_channels_do_nothing(program: Any, served: World) -> None:
    people = served.engine.people
    group = people.gather("Traders", served.now())
    channel = people.gather("News", served.now(), type_="channel")
    typed = served.say("/status")
    people.edit(typed.message_id, "/stop CONFIRM", served.now(), by=ANN)
    served.say("/stop CONFIRM", chat=channel)
    served.say("/stop CONFIRM", chat=group)
    await until(lambda: any(message.from_.is_bot for message in group.messages.values()))
    assert "private chats only" in list(group.messages.values())[-1].text
    assert "Trading: active" in (await served.ask("/status")).text
    assert len(channel.messages) == 1


async def test_the_menu_of_commands_is_told(served: World) -> None:
    assert any("status" in [command.command for command in commands] for commands in served.engine.state.commands.values())


async def test_two_people_are_served_side_by_side_and_apart(program: Any, served: World) -> None:
    assert "Send /start" in (await served.ask("/wallet", "Bob")).text
    assert "Fay" in (await served.ask(f"/start {await program.code('free')}", "Bob")).text
    assert "tier free" in (await served.ask("/status", "Bob")).text
    assert "tier pro" in (await served.ask("/status")).text


# -- starts, ends, restarts --


async def test_it_starts_while_nobody_is_there_and_stops_at_once(settings_for: Callable[..., BotSettings]) -> None:
    async with running_bridge(settings_for("http://127.0.0.1:1", "127.0.0.1:1")) as supervisor:
        assert [status.state for status in supervisor.statuses()] == ["running"]
        began = trio.current_time()
    assert trio.current_time() - began < 5


async def test_a_stop_does_not_wait_for_the_long_poll(program: Any, telegram: World, settings_for: Callable[..., BotSettings]) -> None:
    async with running_bridge(settings_for(telegram.url, program.address)):
        await until(lambda: telegram.engine.state.updates.polled)
        began = trio.current_time()
    assert trio.current_time() - began < 5


@pytest.mark.parametrize("token", ["", "nonsense", "123456:another-token-of-that-bot"])
async def test_a_wrong_token_is_one_clear_error_and_no_crash(
    telegram: World, settings_for: Callable[..., BotSettings], logged: list[Any], token: str
) -> None:
    async with running_bridge(settings_for(telegram.url, "127.0.0.1:1", token=token)) as supervisor:
        await until(lambda: [line for line in logged if line["log_level"] == "error"])
        (status,) = supervisor.statuses()
        assert (status.state, status.restarts) == ("running", 0)
    (line,) = [line for line in logged if line["log_level"] == "error"]
    assert "token" in line["event"]
    assert not token or token not in str(logged)


async def test_what_was_written_while_the_bot_was_away_is_answered_once(
    program: Any, telegram: World, settings_for: Callable[..., BotSettings]
) -> None:
    settings = settings_for(telegram.url, program.address)
    async with running_bridge(settings):
        await telegram.ask(f"/start {await program.code()}")
    telegram.say("/wallet")
    async with running_bridge(settings):
        await until(lambda: any("Wallet" in message.text for message in telegram.from_bot()))
        await telegram.ask("/help")
    assert len(telegram.from_bot()) == 3


async def test_without_a_core_each_command_says_so(telegram: World, settings_for: Callable[..., BotSettings]) -> None:
    async with running_bridge(settings_for(telegram.url, "127.0.0.1:1")):
        assert "cannot be reached" in (await telegram.ask("/status")).text
        assert "may NOT be stopped" in (await telegram.ask("/stop CONFIRM")).text


def test_the_settings_show_no_secret(settings_for: Callable[..., BotSettings]) -> None:
    shown = f"{settings_for('http://x', 'h:1')!r} {settings_for('http://x', 'h:1')}"
    assert TOKEN not in shown
    assert CREDENTIAL not in shown
    assert "h:1" in shown
