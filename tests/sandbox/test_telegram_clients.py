"""The Bot API through sockets, with clients that are not ours: python-telegram-bot on trio, telebot in a thread; and through memory."""

import io
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import telebot
import telebot.apihelper
import telegram
import trio
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, RetryAfter
from telegram.ext import ExtBot
from telegram.request import HTTPXRequest

from arbiter.sandbox.shells import MemoryNetwork, Shell, Wake, serve_ticking
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED, SendLimits
from arbiter.sandbox.telegram.people import person
from tests.botapi import NOW, TOKEN, png

CHAT = person("You").id
PATIENCE = 30


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Served:
    """An engine on a port."""

    engine: TelegramEngine
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def served(limits: SendLimits = UNLIMITED):
    engine = TelegramEngine(TOKEN, limits=limits)
    shell = Shell(engine, unix_ms, Wake())
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_ticking, shell, engine, 0)
            yield Served(engine, port)
            nursery.cancel_scope.cancel()


class TrioBot(ExtBot):
    """python-telegram-bot's client; its own start and stop need a running asyncio loop, these do not."""

    async def initialize(self) -> None:
        for request in self._request:
            await request.initialize()
        self._requests_initialized = True
        await self.get_me()
        self._bot_initialized = True

    async def shutdown(self) -> None:
        for request in self._request:
            await request.shutdown()


@asynccontextmanager
async def trio_bot(server: Served, token: str = TOKEN):
    requests = [HTTPXRequest(connection_pool_size=8) for _ in range(2)]
    bot = TrioBot(
        token, base_url=f"{server.url}/bot", base_file_url=f"{server.url}/file/bot", request=requests[0], get_updates_request=requests[1]
    )
    try:
        await bot.initialize()
        yield bot
    finally:
        await bot.shutdown()


async def test_python_telegram_bot_talks_with_a_person():
    async with served() as server, trio_bot(server) as bot, trio.open_nursery() as nursery:
        assert bot.username == "arbiter_sandbox_bot"
        heard = []

        async def poll():
            heard.extend(await bot.get_updates(timeout=20, allowed_updates=["message", "callback_query"]))

        nursery.start_soon(poll)
        while not server.engine.state.updates.polled:
            await trio.testing.wait_all_tasks_blocked(0.005)
        server.engine.people.say("/start <CODE>", unix_ms())
        while not heard:
            await trio.testing.wait_all_tasks_blocked(0.005)
        message = heard[0].message
        assert (message.text, message.chat.type, message.from_user.first_name) == ("/start <CODE>", "private", "You")
        assert message.entities[0].type == "bot_command"
        assert await bot.get_updates(offset=heard[0].update_id + 1) == ()

        markup = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Go", callback_data="go")]])
        sent = await bot.send_message(CHAT, "*Hi* 🏟 `1.5`", parse_mode="MarkdownV2", reply_markup=markup)
        assert sent.text_markdown_v2 == "*Hi* 🏟 `1.5`"
        query = server.engine.people.press(sent.message_id, "go", unix_ms())
        (update,) = await bot.get_updates()
        assert (update.callback_query.id, update.callback_query.data) == (query, "go")
        assert await bot.answer_callback_query(query, "done", show_alert=True)
        edited = await bot.edit_message_text("new", CHAT, sent.message_id)
        assert (edited.text, edited.reply_markup) == ("new", None)
        assert await bot.delete_message(CHAT, sent.message_id)


async def test_python_telegram_bot_sends_files_and_gets_them_back():
    async with served() as server, trio_bot(server) as bot:
        server.engine.people.say("x", unix_ms())
        picture = await bot.send_photo(CHAT, png(30, 20), caption="<b>P&amp;L</b>", parse_mode="HTML")
        assert (picture.photo[-1].width, picture.caption) == (30, "P&L")
        again = await bot.send_photo(CHAT, picture.photo[-1].file_id)
        assert again.photo[-1].file_unique_id == picture.photo[-1].file_unique_id
        document = await bot.send_document(CHAT, io.BytesIO(b"a,b\n1,2\n"), filename="fills.csv")
        assert document.document.file_name == "fills.csv"
        file = await bot.get_file(document.document.file_id)
        assert bytes(await file.download_as_bytearray()) == b"a,b\n1,2\n"


async def test_python_telegram_bot_sets_its_menu_and_webhook():
    async with served() as server, trio_bot(server) as bot:
        server.engine.people.say("x", unix_ms())
        assert await bot.set_my_commands([("status", "How it is"), ("stop", "Stop all")])
        assert [each.command for each in await bot.get_my_commands()] == ["status", "stop"]
        assert await bot.set_webhook("https://example.com/hook")
        assert (await bot.get_webhook_info()).pending_update_count == 1
        with pytest.raises(Conflict, match="can't use getUpdates method while webhook is active"):
            await bot.get_updates()
        assert await bot.delete_webhook(drop_pending_updates=True)
        assert await bot.send_chat_action(CHAT, "typing")
        assert (await bot.get_chat(CHAT)).first_name == "You"


async def test_python_telegram_bot_raises_its_own_errors(monkeypatch):
    monkeypatch.setenv("PTB_TIMEDELTA", "1")  # without it, reading retry_after warns
    async with served(SendLimits(chat_burst=1)) as server, trio_bot(server) as bot:
        server.engine.people.say("x", unix_ms())
        await bot.send_message(CHAT, "x")
        with pytest.raises(RetryAfter) as caught:
            await bot.send_message(CHAT, "x")
        assert caught.value.retry_after.total_seconds() == 1
        with pytest.raises(BadRequest, match="Chat not found"):
            await bot.send_message(5, "x")
        with pytest.raises(BadRequest, match=r"(?i)can't find end of bold entity at byte offset 0"):
            await bot.send_message(CHAT, "*x", parse_mode="MarkdownV2")
        server.engine.people.block(unix_ms())
        with pytest.raises(Forbidden, match="bot was blocked by the user"):
            await bot.send_message(CHAT, "x")
        with pytest.raises(InvalidToken):
            async with trio_bot(server, "123456:another_token"):
                pass


async def test_a_cancelled_poll_leaves_the_server_and_the_next_one_takes_its_place():
    async with served() as server, trio_bot(server) as bot:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: bot.get_updates(timeout=20))
            while not server.engine.state.updates.polled:
                await trio.testing.wait_all_tasks_blocked(0.005)
            nursery.cancel_scope.cancel()
        while server.engine.state.updates.polled:
            await trio.testing.wait_all_tasks_blocked(0.005)
        server.engine.people.say("kept", unix_ms())
        assert [each.message.text for each in await bot.get_updates(timeout=20)] == ["kept"]


async def test_of_two_bots_that_poll_the_older_one_is_told_of_the_conflict():
    async with served() as server, trio_bot(server) as one, trio_bot(server) as two, trio.open_nursery() as nursery:
        told = []

        async def poll():
            try:
                await one.get_updates(timeout=20)
            except Conflict as conflict:
                told.append(str(conflict))

        nursery.start_soon(poll)
        while not server.engine.state.updates.polled:
            await trio.testing.wait_all_tasks_blocked(0.005)
        assert await two.get_updates(timeout=1) == ()
        assert "terminated by other getUpdates request" in told[0]


@pytest.fixture
def telebot_api(monkeypatch):
    """telebot keeps its addresses in globals."""

    def point_at(server: Served) -> None:
        monkeypatch.setattr(telebot.apihelper, "API_URL", f"{server.url}/bot{{0}}/{{1}}")
        monkeypatch.setattr(telebot.apihelper, "FILE_URL", f"{server.url}/file/bot{{0}}/{{1}}")

    return point_at


async def test_telebot_a_second_library_talks_with_a_person(telebot_api):
    async with served() as server:
        telebot_api(server)
        people = server.engine.people
        people.say("/start CODE", unix_ms())

        def whole_talk() -> dict[str, object]:
            """In a thread, as telebot is synchronous."""
            bot = telebot.TeleBot(TOKEN, threaded=False)
            seen: dict[str, object] = {"me": bot.get_me().username}
            (update,) = bot.get_updates(timeout=1, allowed_updates=["message", "callback_query"])
            seen["text"] = update.message.text
            markup = telebot.types.InlineKeyboardMarkup()
            markup.add(telebot.types.InlineKeyboardButton("Go", callback_data="go"))
            sent = bot.send_message(update.message.chat.id, "<b>Hi</b> 1 &lt; 2", parse_mode="HTML", reply_markup=markup)
            seen["html"] = sent.html_text
            trio.from_thread.run_sync(people.press, sent.message_id, "go", unix_ms())
            (pressed,) = bot.get_updates(offset=update.update_id + 1, timeout=5)
            seen["pressed"] = pressed.callback_query.data
            seen["answered"] = bot.answer_callback_query(pressed.callback_query.id, "ok")
            seen["edited"] = bot.edit_message_text("*two*", sent.chat.id, sent.message_id, parse_mode="Markdown").text
            photo = bot.send_photo(sent.chat.id, png(8, 4), caption="chart")
            seen["photo"] = (photo.photo[-1].width, photo.caption)
            seen["file"] = bot.download_file(bot.get_file(photo.photo[-1].file_id).file_path) == png(8, 4)
            document = bot.send_document(sent.chat.id, io.BytesIO(b"a,b"), visible_file_name="x.csv")
            seen["document"] = document.document.file_name
            seen["commands"] = bot.set_my_commands([telebot.types.BotCommand("go", "Go")])
            seen["deleted"] = bot.delete_message(sent.chat.id, sent.message_id)
            try:
                bot.send_message(5, "x")
            except telebot.apihelper.ApiTelegramException as error:
                seen["error"] = (error.error_code, error.description)
            telebot.apihelper._get_req_session(reset=True)
            return seen

        assert await trio.to_thread.run_sync(whole_talk) == {
            "me": "arbiter_sandbox_bot",
            "text": "/start CODE",
            "html": "<b>Hi</b> 1 &lt; 2",
            "pressed": "go",
            "answered": True,
            "edited": "two",
            "photo": (8, "chart"),
            "file": True,
            "document": "x.csv",
            "commands": True,
            "deleted": True,
            "error": (400, "Bad Request: chat not found"),
        }


async def test_telebots_own_polling_hears_a_command_and_answers(telebot_api):
    async with served() as server:
        telebot_api(server)
        people = server.engine.people

        def poll_until_answered() -> None:
            bot = telebot.TeleBot(TOKEN, threaded=False)

            @bot.message_handler(commands=["status"])
            def answer(message):
                bot.reply_to(message, "all is well")
                bot.stop_polling()

            bot.polling(non_stop=False, interval=0, timeout=5, long_polling_timeout=5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, poll_until_answered)
            while not server.engine.state.updates.polled:
                await trio.testing.wait_all_tasks_blocked(0.005)
            said = people.say("/status", unix_ms())
        answer = list(people.chat_of("You", unix_ms()).messages.values())[-1]
        assert answer.text == "all is well"
        assert answer.reply_to_message.message_id == said.message_id


async def test_through_memory_a_poll_waits_and_is_answered_without_any_socket(autojump_clock, nursery):
    def now() -> int:
        return NOW + int(trio.current_time() * 1000)

    engine = TelegramEngine(TOKEN)
    shell = Shell(engine, now, Wake())
    nursery.start_soon(shell.tick_for_ever)
    stream = await MemoryNetwork(shell, {"api.telegram.org": engine}, nursery).connect("api.telegram.org", 443, tls=True)
    begun = trio.current_time()
    await stream.send_all(f"GET /bot{TOKEN}/getUpdates?timeout=30 HTTP/1.1\r\nhost: api.telegram.org\r\n\r\n".encode())
    assert (await stream.receive_some(65536)).endswith(b'{"ok":true,"result":[]}')
    assert 30 <= trio.current_time() - begun <= 30.1
    await stream.send_all(f"GET /bot{TOKEN}/getUpdates?timeout=30 HTTP/1.1\r\nhost: api.telegram.org\r\n\r\n".encode())
    await trio.sleep(5)
    engine.people.say("hello", now())
    assert b'"text":"hello"' in await stream.receive_some(65536)
    assert trio.current_time() - begun < 36
    nursery.cancel_scope.cancel()


async def test_a_socket_that_closes_while_its_poll_waits_frees_the_poll():
    async with served() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(f"GET /bot{TOKEN}/getUpdates?timeout=30 HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        while not server.engine.state.updates.polled:
            await trio.testing.wait_all_tasks_blocked(0.005)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await stream.aclose()
        while server.engine.state.updates.polled:
            await trio.testing.wait_all_tasks_blocked(0.005)
