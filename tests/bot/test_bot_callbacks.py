"""Buttons: the contract's names, bound ones, other people's and forged ones."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter.bot.buttons import LIMIT, OPEN_ACTIONS, Buttons
from arbiter.domain.book import Side
from arbiter.domain.money import parse_micros

STRANGER = 77
OLD = 3600
Keyboard = Callable[[dict[str, Any]], dict[str, str]]


async def test_home_has_the_contracts_buttons(linked: Any, keyboard: Keyboard) -> None:
    await linked.say("/home")
    buttons = keyboard(linked.api.of("sendMessage")[-1])
    assert {label: buttons[label] for label in ("Positions", "Wallet", "Start Arb", "Copy Trades")} == {
        "Positions": "positions",
        "Wallet": "wallet",
        "Start Arb": "arb_start",
        "Copy Trades": "copy_list",
    }
    await linked.say("/arb start")
    await linked.say("/home")
    assert keyboard(linked.api.of("sendMessage")[-1])["Stop Arb"] == "arb_stop"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("positions", "no open positions"),
        ("wallet", "Cash: $20,000.00"),
        ("arb_start", "Arbitrage: on"),
        ("arb_stop", "Arbitrage: off"),
        ("copy_list", "not available yet"),
    ],
)
async def test_each_callback_is_acknowledged_and_edits_in_place(linked: Any, data: str, shown: str) -> None:
    press = await linked.press(data)
    assert not press.get("show_alert")
    assert shown in linked.edited["text"]
    assert int(linked.edited["message_id"]) == 555
    assert linked.api.texts == []
    assert [name for name, _ in linked.api.calls] == ["answerCallbackQuery", "editMessageText"]


async def test_the_way_back_to_the_dashboard_is_bound_to_the_user(linked: Any, keyboard: Keyboard, program: Any) -> None:
    await linked.press("wallet")
    home = keyboard(linked.edited)["« Home"]
    assert home not in OPEN_ACTIONS
    await linked.press(home)
    assert "tier pro" in linked.edited["text"]
    await linked.say(f"/start {await program.code('free')}", 43)
    press = await linked.press(home, 43)
    assert press["show_alert"]
    assert "not yours" in press["text"]


async def test_positions_are_paged_in_place(linked: Any, keyboard: Keyboard, program: Any) -> None:
    markets = [program.poly.yes_key, program.poly.no_key]
    async with program.client() as client:
        for outcome in markets:
            key = f"page-{outcome.outcome}"
            await client.place_order(outcome, Side.BUY, parse_micros("0.9"), parse_micros("10"), idempotency_key=key)
    await linked.press("positions")
    assert html.escape("[the](http://x) _final_ & more?", quote=False) in linked.edited["text"]
    await linked.press(linked.buttons.seal("positions:1", 42))
    assert "<b>Positions</b> (" in linked.edited["text"]


FORGED = [
    "",
    "home",
    "stop",
    "status",
    "positions:1",
    "positions~",
    "home~AAAAAAAAAAAA",
    "arb_start~x",
    "~",
    "a" * 64,
    "posítions",
    "\udc80",
]


@pytest.mark.parametrize("data", FORGED)
async def test_forged_data_is_refused_with_an_alert(linked: Any, data: str) -> None:
    press = await linked.press(data) if data.isprintable() else None
    if press is None:
        assert linked.buttons.open(data, 42) is None
        return
    assert press["show_alert"]
    assert "not yours" in press["text"]
    assert linked.api.of("editMessageText") == []


async def test_a_button_in_somebody_elses_chat_shows_nothing_there(linked: Any) -> None:
    other = {"id": 43, "type": "private", "first_name": "Eve"}
    group = {"id": -500, "type": "group", "title": "Traders"}
    for chat in (other, group):
        press = await linked.press("wallet", chat=chat)
        assert "not yours" in press["text"]
    assert linked.api.of("editMessageText") == []
    assert linked.api.texts == []


async def test_a_button_without_its_message_is_refused(linked: Any) -> None:
    update = linked.updates.press("wallet")
    del update["callback_query"]["message"]
    update["callback_query"]["inline_message_id"] = "abc"
    await linked.give(update)
    assert linked.api.of("answerCallbackQuery")[-1]["show_alert"]


async def test_a_message_that_telegram_cannot_show_any_more_is_answered_anew(linked: Any) -> None:
    await linked.press("wallet", message={"message_id": 1, "date": 0, "chat": {"id": 42, "type": "private", "first_name": "Ann"}})
    assert "Cash: $20,000.00" in linked.api.texts[-1]


@pytest.mark.parametrize("data", sorted(OPEN_ACTIONS))
async def test_every_callback_is_authorised_again(chat: Any, data: str) -> None:
    press = await chat.press(data, STRANGER)
    assert press["show_alert"]
    assert "/start" in press["text"]
    assert [name for name, _ in chat.api.calls] == ["answerCallbackQuery"]


async def test_the_allow_list_counts_for_buttons(program: Any, make_chat: Any) -> None:
    async with make_chat(program.address) as chat:
        await chat.say(f"/start {await program.code()}")
    async with make_chat(program.address, allowed=frozenset({1})) as chat:
        assert "may not use" in (await chat.press("wallet"))["text"]


async def test_an_old_press_starts_nothing_and_stops_all_the_same(linked: Any, program: Any) -> None:
    press = await linked.press("arb_start", age=OLD)
    assert "too late" in press["text"]
    async with program.client() as client:
        assert not (await client.list_strategies())["arbitrage"]
        await client.set_arb_enabled(True)
        await linked.press("arb_stop", age=OLD)
        assert not (await client.list_strategies())["arbitrage"]


async def test_a_press_under_an_old_dashboard_is_fresh_when_the_bot_polled_just_before(linked: Any) -> None:
    update = linked.updates.press("arb_start", age=OLD)
    await linked.give(update, not_before_ms=(linked.updates.now_s() - 20) * 1000)
    assert "Arbitrage: on" in linked.edited["text"]
    assert "Arbitrage is on" in linked.api.of("answerCallbackQuery")[-1]["text"]


async def test_a_start_while_trading_is_stopped_is_an_alert_that_says_so(linked: Any) -> None:
    await linked.say("/stop CONFIRM")
    press = await linked.press("arb_start")
    assert press["show_alert"]
    assert press["text"] == "Trading is stopped: /resume CONFIRM first."


async def test_a_failed_call_is_an_alert(linked: Any, program: Any) -> None:
    await linked.say(f"/start {await program.code('free')}")
    press = await linked.press("arb_start")
    assert press["show_alert"]
    assert "Not allowed" in press["text"]
    assert len(press["text"]) <= 200


async def test_a_backend_that_is_down_is_an_alert(make_chat: Any) -> None:
    async with make_chat("127.0.0.1:1") as chat:
        press = await chat.press("positions")
    assert press["show_alert"]
    assert "cannot be reached" in press["text"]


async def test_pressing_too_fast_is_answered_each_time(linked: Any) -> None:
    presses = [await linked.press("copy_list") for _ in range(30)]
    assert "try again shortly" in presses[-1]["text"]
    assert len(linked.api.of("answerCallbackQuery")) == 30


async def test_a_dashboard_that_did_not_change_is_no_error(linked: Any) -> None:
    unchanged = {"ok": False, "error_code": 400, "description": "Bad Request: message is not modified: specified new message content ..."}
    linked.api.fail("editMessageText", (400, unchanged))
    await linked.press("copy_list")
    assert linked.api.texts == []


async def test_a_message_that_cannot_be_edited_is_sent_anew(linked: Any) -> None:
    linked.api.fail("editMessageText", (400, {"ok": False, "error_code": 400, "description": "Bad Request: message can't be edited"}))
    await linked.press("copy_list")
    assert "not available yet" in linked.api.texts[-1]


# -- callback data --


@given(st.sampled_from(["home", "positions:0", "positions:99999"]), st.integers(1, 2**52), st.integers(1, 2**52), st.text(max_size=70))
def test_sealed_data_is_short_and_opens_for_its_user_alone(action: str, user: int, other: int, text: str) -> None:
    buttons = Buttons("secret")
    data = buttons.seal(action, user)
    assert len(data.encode()) <= LIMIT
    assert buttons.open(data, user) == action
    if other != user:
        assert buttons.open(data, other) is None
    assert Buttons("another secret").open(data, user) is None
    assert buttons.open(text, user) in (None, text if text in OPEN_ACTIONS else None)


def test_data_that_is_too_long_is_a_bug_that_shows() -> None:
    with pytest.raises(ValueError, match="too long"):
        Buttons("secret").seal("x" * 60, 1)


def test_contract_names_travel_as_they_are() -> None:
    assert {Buttons("s").seal(name, 1) for name in OPEN_ACTIONS} == {"positions", "wallet", "arb_start", "arb_stop", "copy_list"}
