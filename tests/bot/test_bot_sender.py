"""Sending: order within a chat, Telegram's limits, retries with a bound, and what is given up."""

from typing import Any

import pytest
import trio
from telegram.error import NetworkError, TimedOut

from arbiter.bot import sender as sending
from arbiter.bot.buttons import Buttons
from arbiter.bot.sender import Sender
from arbiter.bot.views import Answer, Button
from arbiter.runtime import Environment

BLOCKED = (403, {"ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"})
TOKEN = "123456:bot-token-of-the-tests"


def flood(seconds: int) -> tuple[int, dict[str, Any]]:
    return 429, {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": seconds}}


@pytest.fixture
def sender(bot: Any) -> Sender:
    return Sender(bot, Buttons("secret"), Environment.simulated(3))


async def test_telegrams_wish_to_wait_is_granted(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", flood(3))
    assert await sender.send(1, 1, Answer("hello"))
    assert trio.current_time() >= 3
    assert api.texts == ["hello", "hello"]


async def test_a_lost_connection_is_tried_again(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", NetworkError("down"), TimedOut())
    assert await sender.send(1, 1, Answer("hello"))
    assert len(api.texts) == 3


async def test_what_never_gets_through_is_given_up_and_logged(sender: Sender, api: Any, autojump_clock: Any, logged: list[Any]) -> None:
    api.fail("sendMessage", *(NetworkError(f"no way to /bot{TOKEN}/") for _ in range(20)))
    assert not await sender.send(1, 1, Answer("hello"))
    assert len(api.texts) == sending.TRIES
    assert len(logged) == 1
    assert TOKEN not in str(logged)


async def test_a_wait_beyond_the_bound_is_not_waited_for(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", flood(3600))
    assert not await sender.send(1, 1, Answer("hello"))
    assert trio.current_time() < 1


async def test_who_blocked_the_bot_gets_no_second_try(sender: Sender, api: Any, autojump_clock: Any, logged: list[Any]) -> None:
    api.fail("sendMessage", BLOCKED)
    assert not await sender.send(1, 1, Answer("hello"))
    assert len(api.texts) == 1
    assert logged[0]["log_level"] == "info"


async def test_a_chat_that_waits_keeps_its_order_and_holds_no_other(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", flood(5))
    order: list[str] = []

    async def send(chat: int, text: str) -> None:
        await sender.send(chat, chat, Answer(text))
        order.append(text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, 1, "first")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(send, 1, "second")
        nursery.start_soon(send, 2, "other chat")
    assert order == ["other chat", "first", "second"]


async def test_a_long_answer_is_several_messages_with_the_buttons_under_the_last(sender: Sender, api: Any, keyboard: Any) -> None:
    text = "\n".join("same line " * 9 for _ in range(120))
    assert await sender.send(1, 1, Answer(text, ((Button("Wallet", "wallet"),),)))
    sent = api.of("sendMessage")
    assert len(sent) > 2
    assert [bool(keyboard(each)) for each in sent] == [False] * (len(sent) - 1) + [True]
    assert "\n".join(api.texts) == "\n".join(line.strip("\n") for line in text.split("\n"))


async def test_too_much_that_waits_is_dropped_and_logged(
    sender: Sender, api: Any, autojump_clock: Any, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MOST_WAITING", 2)
    api.fail("sendMessage", flood(5))
    async with trio.open_nursery() as nursery:
        for text in ("a", "b"):
            nursery.start_soon(sender.send, 1, 1, Answer(text))
        await trio.testing.wait_all_tasks_blocked()
        assert not await sender.send(1, 1, Answer("c"))
    assert "too many messages wait" in logged[0]["event"]
    assert sorted(set(api.texts)) == ["a", "b"]


async def test_an_alert_is_cut_to_what_telegram_takes(sender: Sender, api: Any) -> None:
    await sender.acknowledge("q", "x" * 500, alert=True)
    assert len(api.of("answerCallbackQuery")[0]["text"]) == 200


async def test_an_edit_that_telegram_does_not_take_in_time_is_not_sent_anew(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("editMessageText", flood(3600))
    assert not await sender.edit(1, 1, 5, Answer("hello"))
    assert api.texts == []
