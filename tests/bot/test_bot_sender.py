"""Sending: order within a chat, Telegram's limits, retries with a bound, and what is given up."""

from typing import Any

import pytest
import trio
from telegram.error import NetworkError, TimedOut

from arbiter.bot import sender as sending
from arbiter.bot.buttons import Buttons
from arbiter.bot.sender import Sender
from arbiter.bot.views import Answer, Button
from arbiter.runtime import Environment, caused_by

BLOCKED = (403, {"ok": False, "error_code": 403, "description": "Forbidden: bot was blocked by the user"})
TOKEN = "123456:bot-token-of-the-tests"


def flood(seconds: int) -> tuple[int, dict[str, Any]]:
    return 429, {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": seconds}}


@pytest.fixture
async def sender(bot: Any, nursery: Any) -> Sender:
    return Sender(bot, Buttons("secret"), Environment.simulated(3), nursery)


async def test_telegrams_wish_to_wait_is_granted(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", flood(3))
    await sender.send(1, 1, Answer("hello"))
    await sender.settle()
    assert trio.current_time() >= 3
    assert api.texts == ["hello", "hello"]


async def test_a_lost_connection_is_tried_again(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", NetworkError("down"), TimedOut())
    await sender.send(1, 1, Answer("hello"))
    await sender.settle()
    assert len(api.texts) == 3


async def test_what_never_gets_through_is_given_up_and_logged(sender: Sender, api: Any, autojump_clock: Any, logged: list[Any]) -> None:
    api.fail("sendMessage", *(NetworkError(f"no way to /bot{TOKEN}/") for _ in range(20)))
    await sender.send(1, 1, Answer("hello"))
    await sender.settle()
    assert len(api.texts) == sending.TRIES
    assert len(logged) == 1
    assert TOKEN not in str(logged)


async def test_each_message_of_a_chat_is_told_under_the_id_of_the_update_that_it_answers(
    sender: Sender, api: Any, autojump_clock: Any, logged: list[Any]
) -> None:
    """One task sends them all; it began with the first."""
    api.fail("sendMessage", *(NetworkError("down") for _ in range(20)))
    for number in (1, 2):
        with caused_by(f"tg-{number}"):
            await sender.send(1, 1, Answer("hello"))
    await sender.settle()
    assert [line["correlation_id"] for line in logged] == ["tg-1", "tg-2"]


async def test_a_wait_beyond_the_bound_is_not_waited_for(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", flood(3600))
    await sender.send(1, 1, Answer("hello"))
    await sender.settle()
    assert trio.current_time() < 1


async def test_who_blocked_the_bot_gets_no_second_try(sender: Sender, api: Any, autojump_clock: Any, logged: list[Any]) -> None:
    api.fail("sendMessage", BLOCKED)
    await sender.send(1, 1, Answer("hello"))
    await sender.settle()
    assert len(api.texts) == 1
    assert logged[0]["log_level"] == "info"


async def test_a_chat_that_waits_keeps_its_order_and_holds_neither_another_nor_who_sends(
    sender: Sender, api: Any, autojump_clock: Any
) -> None:
    api.fail("sendMessage", flood(5))
    for chat, text in ((1, "first"), (1, "second"), (2, "other chat")):
        await sender.send(chat, chat, Answer(text))
    assert trio.current_time() < 1
    await sender.settle()
    assert trio.current_time() >= 5
    assert api.texts == ["first", "other chat", "first", "second"]


async def test_a_call_that_hangs_holds_its_sender_for_a_moment_only(
    sender: Sender, api: Any, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*arguments: Any, **named: Any) -> Any:
        await trio.sleep(9)
        raise TimedOut

    monkeypatch.setattr(api, "do_request", hang)
    await sender.send(1, 1, Answer("hello"))
    assert trio.current_time() <= sending.PATIENCE + 0.1


async def test_what_comes_first_goes_before_all_that_waits(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("sendMessage", flood(5))
    for text in ("a", "b", "c"):
        await sender.send(1, 1, Answer(text))
    await sender.send(1, 1, Answer("stopped"), first=True)
    await sender.settle()
    assert api.texts == ["a", "a", "stopped", "b", "c"]


async def test_what_is_sent_once_is_dropped_where_it_would_wait(sender: Sender, api: Any, autojump_clock: Any, logged: list[Any]) -> None:
    api.fail("sendMessage", flood(5))
    await sender.send_once(1, 1, Answer("dropped by Telegram"))
    await sender.settle()
    assert trio.current_time() < 1
    api.fail("sendMessage", flood(5))
    await sender.send(1, 1, Answer("waits"))
    await sender.send_once(1, 1, Answer("dropped: others wait"))
    await sender.settle()
    assert api.texts == ["dropped by Telegram", "waits", "waits"]
    assert [line["log_level"] for line in logged] == ["info"]


async def test_a_chat_goes_on_after_an_answer_that_nobody_can_read(sender: Sender, api: Any, logged: list[Any]) -> None:
    api.fail("sendMessage", (200, {"ok": True}))
    await sender.send(1, 1, Answer("a"))
    await sender.send(1, 1, Answer("b"))
    await sender.settle()
    assert api.texts == ["a", "b"]
    assert [line["event"] for line in logged] == ["a message was given up"]


async def test_a_long_answer_is_several_messages_with_the_buttons_under_the_last(sender: Sender, api: Any, keyboard: Any) -> None:
    text = "\n".join("same line " * 9 for _ in range(120))
    await sender.send(1, 1, Answer(text, ((Button("Wallet", "wallet"),),)))
    await sender.settle()
    sent = api.of("sendMessage")
    assert len(sent) > 2
    assert [bool(keyboard(each)) for each in sent] == [False] * (len(sent) - 1) + [True]
    assert "\n".join(api.texts) == "\n".join(line.strip("\n") for line in text.split("\n"))


@pytest.mark.parametrize("bound", ["MOST_WAITING", "MOST_IN_CHAT"])
async def test_too_much_that_waits_is_dropped_and_logged(
    sender: Sender, api: Any, autojump_clock: Any, logged: list[Any], monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(sending, bound, 2)
    api.fail("sendMessage", flood(5))
    for text in ("being sent", "a", "b", "c"):
        await sender.send(1, 1, Answer(text))
    await sender.settle()
    assert [line["event"] for line in logged] == ["too many messages wait to be sent; one is dropped"]
    assert api.texts == ["being sent", "being sent", "a", "b"]


async def test_an_alert_is_cut_to_what_telegram_takes(sender: Sender, api: Any) -> None:
    await sender.acknowledge("q", "x" * 500, alert=True)
    assert len(api.of("answerCallbackQuery")[0]["text"]) == 200


async def test_an_edit_that_telegram_does_not_take_in_time_is_not_sent_anew(sender: Sender, api: Any, autojump_clock: Any) -> None:
    api.fail("editMessageText", flood(3600))
    await sender.edit(1, 1, 5, Answer("hello"))
    await sender.settle()
    assert api.texts == []
