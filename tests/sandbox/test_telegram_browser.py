"""The chat page in headless Chromium: what a person sees and does on a phone's screen."""

import time
from contextlib import asynccontextmanager

import pytest
import trio

from arbiter.sandbox.shells import Shell, Wake, serve_ticking
from arbiter.sandbox.telegram.engine import TelegramEngine
from arbiter.sandbox.telegram.limits import UNLIMITED
from arbiter.sandbox.telegram.people import person
from tests.botapi import TOKEN, BotClient, png
from tests.browser import Browser, needs_browser

pytestmark = [needs_browser, pytest.mark.xdist_group("browser")]
CHAT = person("You").id
ROWS = {"inline_keyboard": [[{"text": "Refresh", "callback_data": "r"}, {"text": "Web", "url": "https://example.com/"}]]}


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def opened(folder, path="/"):
    """A served engine, a bot on it, and a browser on its page."""
    engine = TelegramEngine(TOKEN, limits=UNLIMITED)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_ticking, Shell(engine, unix_ms, Wake()), engine, 0)
        async with Browser.launch(folder) as browser:
            await browser.goto(f"http://127.0.0.1:{port}{path}")
            bot = BotClient(engine, now_ms=unix_ms())
            yield engine, bot, browser
            assert browser.errors == []
        nursery.cancel_scope.cancel()


async def test_a_deep_link_offers_to_start_with_its_code_and_a_talk_follows(tmp_path):
    async with opened(tmp_path, "/?start=CODE-42") as (_, bot, browser):
        await browser.wait_for_text("/start CODE-42", "#start")
        await browser.click("#start")
        await browser.wait_for_text("/start CODE-42", ".message.out")
        assert bot.updates()[0]["message"]["text"] == "/start CODE-42"
        assert await browser.evaluate("location.search") == ""
        bot.call("sendMessage", chat_id=CHAT, text="Linked. Try /status.")
        await browser.wait_for_text("Linked.", ".message:not(.out)")
        await browser.type("#text", "how much?")
        await browser.wait_for_text("how much?", ".message.out")
        await browser.click(".command", "/status")
        await browser.wait_for("document.querySelectorAll('.message.out').length === 3")
        assert [update["message"]["text"] for update in bot.updates()] == ["/start CODE-42", "how much?", "/status"]


async def test_formatting_is_shown_and_no_text_becomes_markup(tmp_path):
    async with opened(tmp_path) as (engine, bot, browser):
        engine.people.say("<img src=x onerror=alert(1)> & <b>", unix_ms())
        source = (
            "<b>bold <i>both</i></b> <u>under</u> <s>gone</s> <code>code</code> <tg-spoiler>secret</tg-spoiler>"
            " <a href='https://example.com/'>link</a> <a href='tg://user?id=1'>user</a> &lt;script&gt; 🏟"
            '<pre><code class="language-python">x = 1</code></pre>'
        )
        bot.call("sendMessage", chat_id=CHAT, text=source, parse_mode="HTML")
        await browser.wait_for_text("<script> 🏟")
        assert await browser.texts(".out .body") == ["<img src=x onerror=alert(1)> & <b>"]
        assert await browser.evaluate("document.querySelectorAll('.body img, .body script').length") == 0
        for selector, text in (("b", "bold both"), ("b i", "both"), ("u", "under"), ("s", "gone"), ("code", "code"), ("pre", "x = 1")):
            assert await browser.texts(f".body {selector}") == [text]
        hrefs = await browser.evaluate("[...document.querySelectorAll('.body a')].map((a) => [a.href, a.rel])")
        assert hrefs == [["https://example.com/", "noopener noreferrer"]]
        assert await browser.evaluate("document.querySelector('pre').dataset.language") == "python"
        await browser.click(".spoiler")
        await browser.wait_for("document.querySelector('.spoiler').classList.contains('shown')")


async def test_a_press_waits_for_its_answer_and_edits_come_in_place(tmp_path):
    async with opened(tmp_path) as (engine, bot, browser):
        engine.people.say("x", unix_ms())
        sent = bot.call("sendMessage", chat_id=CHAT, text="one", reply_markup=ROWS)
        await browser.click("button.key", "Refresh")
        await browser.wait_for("document.querySelector('.key[aria-busy=true]')")
        where = {"chat_id": CHAT, "message_id": sent["message_id"]}
        bot.call("editMessageText", **where, text="two", reply_markup=ROWS)
        await browser.wait_for_text("two", ".message")
        assert await browser.evaluate("document.querySelector('button.key').getAttribute('aria-busy')") == "true"
        query = bot.updates()[-1]["callback_query"]
        assert query["data"] == "r"
        bot.call("answerCallbackQuery", callback_query_id=query["id"], text="fresh now")
        await browser.wait_for_text("fresh now", ".toast")
        await browser.wait_for("!document.querySelector('[aria-busy=true]')")
        assert len(await browser.texts(".message")) == 2
        await browser.click("button.key", "Refresh")
        await browser.wait_for("document.querySelector('.key[aria-busy=true]')")
        query = bot.updates()[-1]["callback_query"]
        bot.call("answerCallbackQuery", callback_query_id=query["id"], text="Too old.", show_alert=True)
        await browser.wait_for("document.querySelector('dialog').open")
        assert await browser.texts("#alert-text") == ["Too old."]
        await browser.click("#alert-ok")
        bot.call("editMessageReplyMarkup", **where)
        await browser.wait_for("!document.querySelector('.key')")
        bot.call("deleteMessage", **where)
        await browser.wait_for("document.querySelectorAll('.message').length === 1")


async def test_a_toast_covers_no_button_and_no_message_and_swallows_no_press(tmp_path):
    async with opened(tmp_path) as (engine, bot, browser):
        for _ in range(12):
            engine.people.say("x", unix_ms())
        bot.call("sendMessage", chat_id=CHAT, text="one", reply_markup={"inline_keyboard": [[ROWS["inline_keyboard"][0][0]]]})
        await browser.click("button.key", "Refresh")
        await browser.wait_for("document.querySelector('.key[aria-busy=true]')")
        bot.call("answerCallbackQuery", callback_query_id=bot.updates()[-1]["callback_query"]["id"], text="Arbitrage is on.")
        await browser.wait_for_text("Arbitrage is on.", ".toast")
        bottom = await browser.evaluate("document.querySelector('.toast').getBoundingClientRect().bottom")
        assert bottom <= await browser.evaluate("document.querySelector('#scroller').getBoundingClientRect().top")
        assert await browser.evaluate("getComputedStyle(document.querySelector('.toast')).pointerEvents") == "none"
        await browser.click("button.key", "Refresh")
        await browser.wait_for("document.querySelector('.key[aria-busy=true]')")
        assert await browser.evaluate("document.querySelector('.toast').hidden") is False


async def test_the_start_bar_over_a_history_leaves_the_newest_message_in_sight(tmp_path):
    async with opened(tmp_path) as (engine, _, browser):
        for number in range(40):
            engine.people.say(f"line {number}", unix_ms())
        await browser.wait_for_text("line 39")
        await browser.goto(f"{await browser.evaluate('location.origin')}/?start=CODE-42")
        await browser.wait_for("!document.querySelector('#start').hidden && document.querySelectorAll('.message').length === 40")
        rest = "(() => { const box = document.querySelector('#scroller'); return box.scrollHeight - box.scrollTop - box.clientHeight; })()"
        assert await browser.evaluate(rest) < 2


async def test_pictures_files_the_menu_and_typing_are_shown(tmp_path):
    async with opened(tmp_path) as (engine, bot, browser):
        engine.people.say("x", unix_ms())
        bot.call("setMyCommands", commands=[{"command": "status", "description": "How it is"}, {"command": "stop", "description": "Stop"}])
        bot.upload("sendPhoto", "photo", "p.png", png(300, 150), chat_id=str(CHAT), caption="P&L")
        bot.upload("sendDocument", "document", "fills.csv", b"a,b\n" * 700, chat_id=str(CHAT))
        await browser.wait_for("[...document.images].some((image) => image.naturalWidth === 300)")
        await browser.wait_for_text("fills.csv", ".file")
        await browser.wait_for_text("2.7 KB", ".file")
        bot.call("sendChatAction", chat_id=CHAT, action="typing")
        await browser.wait_for_text("typing", "#status")
        await browser.type("#text", "/sta", enter=False)
        await browser.wait_for("document.querySelectorAll('#menu button').length === 1")
        await browser.click("#menu button")
        await browser.wait_for_text("/status", ".message.out")
        assert await browser.evaluate("document.querySelector('#text').value") == ""
        picture = await browser.screenshot(tmp_path / "chat.png")
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert await browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_page_says_when_the_connection_is_lost_and_goes_on_when_it_is_back(tmp_path):
    engine = TelegramEngine(TOKEN, limits=UNLIMITED)
    async with Browser.launch(tmp_path) as browser, trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def serve_once(*, task_status):
            with first:
                await serve_ticking(Shell(engine, unix_ms, Wake()), engine, 0, task_status=task_status)

        port = await nursery.start(serve_once)
        await browser.goto(f"http://127.0.0.1:{port}/")
        await browser.wait_for_text("bot", "#status")
        first.cancel()
        await browser.wait_for("!document.querySelector('#lost').hidden")
        await browser.type("#text", "unsent")
        await browser.wait_for_text("Not sent", ".toast")
        await browser.wait_for("document.querySelector('#text').value === 'unsent'")
        again = TelegramEngine(TOKEN)
        again.people.say("after the restart", unix_ms())
        await nursery.start(serve_ticking, Shell(again, unix_ms, Wake()), again, port)
        await browser.wait_for("document.querySelector('#lost').hidden")
        await browser.wait_for_text("after the restart", ".message")
        nursery.cancel_scope.cancel()


async def test_two_people_have_two_chats(tmp_path):
    async with opened(tmp_path, "/?as=Ann") as (engine, bot, browser):
        engine.people.say("for You alone", unix_ms())
        await browser.type("#text", "from Ann")
        await browser.wait_for_text("from Ann", ".message.out")
        assert await browser.texts(".message .body") == ["from Ann"]
        await browser.wait_for_text("you are Ann", "#status")
        assert bot.updates()[-1]["message"]["from"]["first_name"] == "Ann"
