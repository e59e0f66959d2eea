"""Commands as people type them, on the whole core; what is sent is read off a Bot API in memory."""

import html
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import trio

from arbiter.actors.brake import Halt, Resume
from arbiter.actors.market_feed import MarketFeed
from arbiter.bot.commands import copy
from arbiter.bot.commands.settings import parse_cents
from arbiter.bot.commands.table import ACTIONS, BY_NAME, COMMANDS
from arbiter.domain.account import Tier
from arbiter.domain.book import Side
from arbiter.domain.limits import TIERS
from arbiter.domain.money import parse_micros
from arbiter.domain.order import OrderState, TimeInForce
from arbiter.domain.trading_state import SYSTEM
from arbiter.errors import ArbiterError
from arbiter.rpc.client import ArbiterClient, RateLimitError, RefusedError, UnavailableError

SECONDS = 10
STRANGER = 77
WALLET = "0x" + "aB" * 20
NOT_LINKED = "Send /start"


async def buy(program: Any, price: str = "0.50", tif: TimeInForce = TimeInForce.IOC, size: str = "10") -> Any:
    async with program.client() as client:
        key = f"order-{price}-{tif}-{size}"
        return await client.place_order(
            program.poly.yes_key, Side.BUY, parse_micros(price), parse_micros(size), idempotency_key=key, tif=tif
        )


async def test_each_command_answers_the_linked(linked: Any) -> None:
    for name in BY_NAME:
        assert await linked.say(f"/{name}"), name


# -- linking --


async def test_a_code_links_and_the_message_with_it_is_deleted(program: Any, chat: Any) -> None:
    code = await program.code()
    answer = await chat.say(f"/start {code}")
    assert "Linked" in answer
    assert html.escape("Pat <b>*Pro*</b>", quote=False) in answer
    (deleted,) = chat.api.of("deleteMessage")
    assert deleted["chat_id"] == "42" or deleted["chat_id"] == 42
    assert "tier pro" in await chat.say("/status")


async def test_a_status_names_a_venue_that_does_not_answer_and_comes_where_nobody_knows(linked: Any, monkeypatch: Any) -> None:
    assert "Market data" not in await linked.say("/status")

    async def broken(self: Any) -> None:
        raise ArbiterError("no time")

    with monkeypatch.context() as patch:
        patch.setattr(MarketFeed, "_look_at_itself", broken)
        assert "Market data of kalshi: <b>away</b>" in await linked.say("/status")

    async def refused(self: Any) -> None:
        raise UnavailableError("not now")

    monkeypatch.setattr(ArbiterClient, "list_feeds", refused)
    answer = await linked.say("/status")
    assert "tier pro" in answer
    assert "Market data" not in answer


async def test_start_alone_says_how_to_link_and_to_whom_it_is_linked(program: Any, chat: Any) -> None:
    how = await chat.say("/start")
    assert "/start CODE" in how
    assert "<code>arbiter link-code</code>" in how
    assert "`" not in how
    await chat.say(f"/start {await program.code('free')}")
    assert "linked to <b>Fay</b>" in await chat.say("/start")


async def test_a_code_works_once(program: Any, chat: Any) -> None:
    code = await program.code()
    await chat.say(f"/start {code}", STRANGER)
    assert "not valid" in await chat.say(f"/start {code}")
    assert NOT_LINKED in await chat.say("/status")
    assert len(chat.api.of("deleteMessage")) == 2, "also a used code should not stay to be read"


@pytest.mark.parametrize("code", ["WRONG", "<b>x</b>", "1" * 10_000, "%s %d {}", "ÄÖÜ", "0000000000000000"])
async def test_a_wrong_code_is_refused(chat: Any, code: str) -> None:
    assert "not valid" in await chat.say(f"/start {code}")
    assert NOT_LINKED in await chat.say("/status")


async def test_an_older_code_is_worth_nothing_after_a_newer_one(program: Any, chat: Any) -> None:
    old = await program.code()
    await program.code()
    assert "not valid" in await chat.say(f"/start {old}")


async def test_guessing_ends_after_five_tries_even_with_the_right_code(program: Any, chat: Any) -> None:
    for guess in range(5):
        assert "not valid" in await chat.say(f"/start GUESS{guess}")
    answer = await chat.say(f"/start {await program.code()}")
    assert answer.count("try again") == 1
    assert "try again shortly, in 10 minutes" in answer
    assert NOT_LINKED in await chat.say("/status")


@pytest.mark.parametrize(
    "origin",
    [
        {"type": "user", "date": 1, "sender_user": {"id": 9, "is_bot": False, "first_name": "Eve"}},
        {"type": "hidden_user", "date": 1, "sender_user_name": "Eve"},
    ],
)
async def test_a_forwarded_code_is_refused_and_stays_good_for_its_owner(program: Any, chat: Any, origin: Any) -> None:
    code = await program.code()
    assert "forwarded" in await chat.say(f"/start {code}", STRANGER, forward_origin=origin)
    assert NOT_LINKED in await chat.say("/status", STRANGER)
    assert "Linked" in await chat.say(f"/start {code}")


async def test_linking_a_second_telegram_account_takes_the_first_off(program: Any, linked: Any) -> None:
    assert "Linked" in await linked.say(f"/start {await program.code()}", 43)
    linked.backend.forget(42)
    assert NOT_LINKED in await linked.say("/status", 42)


async def test_unlink_wants_confirm_and_takes_off(linked: Any) -> None:
    assert "/unlink CONFIRM" in await linked.say("/unlink")
    assert "tier pro" in await linked.say("/status")
    assert "Unlinked" in await linked.say("/unlink CONFIRM")
    assert NOT_LINKED in await linked.say("/status")


async def test_codes_and_tokens_are_never_logged(program: Any, chat: Any, logged: list[Any]) -> None:
    code = await program.code()
    await chat.say("/start SECRETGUESS")
    await chat.say(f"/start {code}", forward_origin={"type": "hidden_user", "date": 1, "sender_user_name": "Eve"})
    await chat.say(f"/start {code}")
    await chat.say("/status")
    token, _ = chat.backend._tokens[42]
    for secret in (code, "SECRETGUESS", token):
        assert secret not in str(logged)


# -- who may --


@pytest.mark.parametrize("name", [*sorted(set(BY_NAME) - {"start", "help"}), "nonsense"])
async def test_the_unlinked_are_sent_to_start(chat: Any, name: str) -> None:
    for arguments in ("", " CONFIRM", " start", " add " + WALLET):
        assert NOT_LINKED in await chat.say(f"/{name}{arguments}", STRANGER)


async def test_the_unlinked_may_read_the_help(chat: Any) -> None:
    answer = await chat.say("/help", STRANGER)
    for command in COMMANDS:
        assert f"/{command.name} — " in answer


async def test_the_allow_list_narrows_who_may(program: Any, make_chat: Any) -> None:
    async with make_chat(program.address, allowed=frozenset({42})) as chat:
        code = await program.code()
        for text in (f"/start {code}", "/help", "/status", "hello"):
            assert "may not use this bot" in await chat.say(text, 43)
        assert "Linked" in await chat.say(f"/start {code}")
        assert "tier pro" in await chat.say("/status")


async def test_being_on_the_allow_list_is_not_enough(program: Any, make_chat: Any) -> None:
    async with make_chat(program.address, allowed=frozenset({42})) as chat:
        assert NOT_LINKED in await chat.say("/status")


async def test_who_asks_too_much_is_told_once_and_may_still_stop(linked: Any) -> None:
    answers = [await linked.say("/help") for _ in range(40)]
    refusals = [answer for answer in answers if answer and "try again shortly" in answer]
    assert len(refusals) == 1
    assert answers[-1] == ""
    assert "is stopped" in await linked.say("/stop CONFIRM")
    assert "/home" in await linked.say("/help", STRANGER)


# -- looking --


async def test_status_and_positions_without_any(linked: Any) -> None:
    status = await linked.say("/status")
    assert "Positions: none" in status
    assert "Cash: $20,000.00" in status
    assert "no open positions" in await linked.say("/positions")


async def test_positions_are_listed_with_data_escaped(program: Any, linked: Any) -> None:
    order = await buy(program)
    assert order.state is OrderState.FILLED
    answer = await linked.say("/positions")
    assert html.escape("Will the *Reds* <b>win</b> [the](http://x) _final_ & more?", quote=False) in answer
    assert "10 on polymarket" in answer
    assert "Positions: 1, worth" in await linked.say("/status")
    sent = linked.api.of("sendMessage")[-1]
    assert sent["parse_mode"] == "HTML"


@pytest.mark.parametrize("page", ["x", "1 2", "-1", "1" * 10_000, "１", "1.5"])
async def test_a_page_that_is_none_is_answered_with_the_usage(linked: Any, page: str) -> None:
    answer = await linked.say(f"/positions {page}")
    assert "Usage: /positions [page]" in answer
    assert len(answer) < 200


async def test_the_wallet_lists_each_venue(linked: Any) -> None:
    answer = await linked.say("/wallet")
    assert "polymarket: $10,000.00" in answer
    assert "kalshi: $10,000.00" in answer


# -- arbitrage --


@pytest.mark.parametrize("text", ["/arb", "/arb status", "/ARB  Status ", "/arb\nstatus"])
async def test_arb_status(linked: Any, text: str) -> None:
    answer = await linked.say(text)
    assert "Arbitrage: off" in answer
    assert "Open opportunities: none" in answer


async def test_arb_status_shows_what_is_open(program: Any, linked: Any) -> None:
    program.world.open_gap()
    with trio.fail_after(SECONDS):
        async with program.client() as client, client.stream_opportunities() as opportunities:
            await anext(aiter(opportunities))
    answer = await linked.say("/arb")
    assert "Open opportunities: 1" in answer
    assert "&lt;b&gt;win&lt;/b&gt;" in answer


async def test_arb_starts_and_stops(program: Any, linked: Any) -> None:
    assert "Arbitrage is on" in await linked.say("/arb start")
    async with program.client() as client:
        assert (await client.list_strategies())["arbitrage"]
    assert "Arbitrage: on" in await linked.say("/arb status")
    assert "Arbitrage is off" in await linked.say("/arb stop")
    async with program.client() as client:
        assert not (await client.list_strategies())["arbitrage"]


@pytest.mark.parametrize("argument", ["go", "start now", "stop!", "<b>", "x" * 10_000])
async def test_another_argument_of_arb_lists_the_three(linked: Any, argument: str) -> None:
    answer = await linked.say(f"/arb {argument}")
    for each in ("/arb status — ", "/arb start — ", "/arb stop — "):
        assert each in answer
    assert "<b>" not in answer
    assert len(answer) < 400


async def test_a_tier_without_arbitrage_is_named(program: Any, chat: Any) -> None:
    await chat.say(f"/start {await program.code('free')}")
    answer = await chat.say("/arb start")
    assert "Not allowed" in answer
    assert "free" in answer
    assert "pro" in answer


async def test_an_old_start_is_answered_and_not_done(linked: Any) -> None:
    assert "more than a minute late" in await linked.say("/arb start", age=61)
    assert "Arbitrage: off" in await linked.say("/arb")
    assert "Arbitrage is on" in await linked.say("/arb start", age=55)
    assert "Arbitrage is off" in await linked.say("/arb stop", age=3600)


# -- the kill switch --


async def test_stop_warns_and_does_nothing_without_confirm(program: Any, linked: Any) -> None:
    for text in ("/stop", "/stop confirm", "/stop now", "/stop CONFIRMED", "/stop CONFIRM please"):
        answer = await linked.say(text)
        assert "ALL trading" in answer
        assert "/stop CONFIRM" in answer
    async with program.client() as client:
        assert (await client.get_trading_state()).state.value == "active"


async def test_stop_confirm_stops_everything_and_reports_it(program: Any, linked: Any) -> None:
    await linked.say("/arb start")
    await buy(program, "0.10", TimeInForce.GTC)
    answer = await linked.say("/stop CONFIRM")
    assert "All trading is stopped" in answer
    assert "Cancelled: 1 open order" in answer
    assert "Strategies switched off: arbitrage" in answer
    assert "written down" in answer
    with pytest.raises(RefusedError):
        await buy(program, "0.51")
    assert "STOPPED" in await linked.say("/status")
    assert await linked.say("/arb start") == "Trading is stopped: /resume CONFIRM first."


async def test_an_old_stop_is_done(program: Any, linked: Any) -> None:
    assert "All trading is stopped" in await linked.say("/stop CONFIRM", age=86_400)


async def test_resume_wants_confirm_and_a_fresh_update(program: Any, linked: Any) -> None:
    assert "nothing to resume" in await linked.say("/resume")
    await linked.say("/stop CONFIRM")
    assert "/resume CONFIRM" in await linked.say("/resume")
    assert "more than a minute late" in await linked.say("/resume CONFIRM", age=120)
    with pytest.raises(RefusedError):
        await buy(program, "0.52")
    assert "Trading goes on" in await linked.say("/resume CONFIRM")
    assert (await buy(program, "0.53")).state is OrderState.FILLED


async def test_where_an_operator_stopped_everybody_no_user_is_told_that_a_resume_would_help(program: Any, linked: Any) -> None:
    brake = program.arbiter.core.brake
    await brake.ask(Halt(SYSTEM, "a drill"), timeout=5)
    answer = await linked.say("/resume CONFIRM")
    assert "STOPPED</b> for everybody by an operator (a drill)" in answer
    assert "Nothing else of yours is stopped" in answer
    assert await linked.say("/arb start") == "Trading is stopped for everybody by an operator: it goes on when they resume it."
    await linked.say("/stop CONFIRM")
    assert "/resume CONFIRM lifts that" in await linked.say("/resume")
    lifted = await linked.say("/resume CONFIRM")
    assert "Your own stop is lifted. Trading stays stopped for everybody" in lifted
    await brake.ask(Resume(SYSTEM), timeout=5)
    assert "nothing to resume" in await linked.say("/resume")


async def test_resume_says_so_where_nothing_was_stopped(linked: Any) -> None:
    answer = await linked.say("/resume CONFIRM")
    assert "nothing to resume" in answer
    assert "goes on" not in answer


# -- settings, copying --


async def test_settings_are_shown_and_changed(program: Any, linked: Any) -> None:
    assert "min_edge: 0.1¢" in await linked.say("/settings")
    assert "min_edge is 0.7¢" in await linked.say("/settings MIN_Edge 0.7")
    assert "min_edge is 0.5¢" in await linked.say("/settings min_edge 0.5")
    async with program.client() as client:
        assert (await client.get_profile()).min_edge == 5_000


@pytest.mark.parametrize(
    "arguments",
    ["min_edge", "min_edge x", "min_edge 1 2", "min_edge -1", "min_edge 101", "min_edge 0.00001", "edge 1", "min_edge " + "9" * 9999],
)
async def test_a_wrong_setting_is_answered_with_the_usage(linked: Any, arguments: str) -> None:
    answer = await linked.say(f"/settings {arguments}")
    assert "Usage: /settings min_edge 0.5" in answer
    assert len(answer) < 300
    assert "min_edge: 0.1¢" in await linked.say("/settings")


@pytest.mark.parametrize(("text", "micros"), [("0.5", 5_000), ("0", 0), ("100", 1_000_000), ("1¢", 10_000), ("0.0001", 1)])
def test_cents_are_read_exactly(text: str, micros: int) -> None:
    assert parse_cents(text) == micros


@pytest.mark.parametrize("text", ["", "-0.5", "1e1", "0.00001", "100.0001", "NaN", "٣", "1_0"])
def test_what_is_no_amount_of_cents_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"number|decimals|cents|range"):
        parse_cents(text)


@pytest.mark.parametrize("text", ["/copy", "/copy list", "/copy somebody"])
async def test_copying_is_said_not_to_be_there_yet(linked: Any, text: str) -> None:
    assert "not available yet" in await linked.say(text)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "There is no wallet"),
        ("nobody", "is not a wallet"),
        (WALLET + "0", "is not a wallet"),
        (f"{WALLET} 0", "above 0 and at most 100"),
        (f"{WALLET} 100.000001", "above 0 and at most 100"),
        (f"{WALLET} -5", "above 0 and at most 100"),
        (f"{WALLET} ten", "is not a percentage"),
        (f"{WALLET} 10 0", "above $0"),
        (f"{WALLET} 10 much", "is not an amount of dollars"),
        (f"{WALLET} 10 100 x", "That is too much"),
        ("<b>" * 3000, "is not a wallet"),
    ],
)
def test_a_wrong_copy_is_answered_with_what_is_wrong_and_the_usage(words: str, expected: str) -> None:
    answer = copy.check_add(words.split())
    assert expected in answer
    assert "Usage: /copy add" in answer
    assert "<b>" not in answer


@pytest.mark.parametrize(
    ("words", "expected"),
    [(WALLET, "with 10 %, at most $100.00"), (f"{WALLET} 100", "with 100 %"), (f"{WALLET} 2.5% $50", "with 2.5 %, at most $50.00")],
)
def test_a_right_copy_says_what_it_would_do(words: str, expected: str) -> None:
    answer = copy.check_add(words.split())
    assert "not available yet" in answer
    assert expected in answer


# -- what is no command, or not for the bot --


@pytest.mark.parametrize("text", ["/nonsense", "/statusx", "/status_now", "/1"])
async def test_an_unknown_command_is_answered_with_a_hint(linked: Any, text: str) -> None:
    answer = await linked.say(text)
    assert "There is no command" in answer
    assert "/help" in answer


async def test_text_that_is_no_command_gets_a_hint(linked: Any) -> None:
    for text in ("hello", "*bold* _it_ <b>", "/", "/ status", "x" * 10_000):
        assert "I understand commands only" in await linked.say(text)


async def test_a_command_addressed_to_this_bot_is_taken_and_to_another_ignored(linked: Any) -> None:
    assert "tier pro" in await linked.say("/status@Arbiter_Test_Bot")
    assert await linked.say("/status@other_bot") == ""


async def test_messages_without_text_edits_channels_and_bots_are_ignored(linked: Any) -> None:
    updates = linked.updates
    photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
    text = updates.message("/stop CONFIRM")["message"]
    channel = {"id": -1001, "type": "channel", "title": "News"}
    post = {"message_id": 1, "date": 1, "chat": channel, "sender_chat": channel, "text": "/stop CONFIRM"}
    for update in (
        updates.message(None),
        updates.message(None, photo=photo, caption="/stop CONFIRM"),
        updates.update(edited_message=text | {"edit_date": updates.now_s()}),
        updates.update(channel_post=post),
        updates.update(edited_channel_post=post | {"edit_date": 2}),
        updates.message("/stop CONFIRM", **{"from": {"id": 42, "is_bot": True, "first_name": "Bot"}}),
        updates.message("/stop CONFIRM", sender_chat=channel),
        updates.message("/stop CONFIRM", chat={"id": 43, "type": "private", "first_name": "Eve"}),
        updates.message("/stop CONFIRM", via_bot={"id": 5, "is_bot": True, "first_name": "Inline"}),
        updates.update(),
    ):
        await linked.give(update)
    assert linked.api.calls == []
    assert "Trading: active" in await linked.say("/status")


@pytest.mark.parametrize("text", ["/arb {}", "/settings {}", "/positions {}", "/copy add {}", "/settings min_edge {}"])
async def test_what_a_user_typed_comes_back_as_code_so_that_nothing_in_it_becomes_a_link(linked: Any, text: str) -> None:
    answer = await linked.say(text.format("http://a.b"))
    assert "<code>http://a.b</code>" in answer
    assert "http" not in answer.replace("<code>http://a.b</code>", "")


@pytest.mark.parametrize("kind", ["group", "supergroup"])
async def test_in_groups_a_command_gets_a_hint_and_is_never_done(linked: Any, kind: str) -> None:
    group = {"id": -500, "type": kind, "title": "Traders"}
    answer = await linked.say("/stop@arbiter_test_bot CONFIRM", chat=group)
    assert "private chats only" in answer
    assert "https://t.me/arbiter_test_bot" in answer
    assert str(linked.api.of("sendMessage")[-1]["chat_id"]) == "-500"
    for text in ("hello", "/weather", "/stop@other_bot CONFIRM"):
        assert await linked.say(text, chat=group) == ""
    assert "Trading: active" in await linked.say("/status")


@pytest.mark.parametrize("name", sorted(BY_NAME))
async def test_ten_thousand_characters_of_arguments_are_answered_shortly(linked: Any, name: str) -> None:
    for argument in ("x" * 10_000, "<b>" * 3_333, "*_`[" * 2_500, "😀" * 10_000, "a " * 5_000):
        answer = await linked.say(f"/{name} {argument}")
        assert answer
        assert len(answer) < 1_500


# -- what goes wrong --


async def test_a_backend_that_is_down_is_said(make_chat: Any) -> None:
    async with make_chat("127.0.0.1:1") as chat:
        for text in ("/status", "/home", "/positions", "/arb start", "/start CODE", "/resume CONFIRM"):
            assert "cannot be reached" in await chat.say(text), text
        assert "/start CODE" in await chat.say("/start")
        assert "/status" in await chat.say("/help")


async def test_a_stop_that_does_not_get_through_is_said_loudly(make_chat: Any) -> None:
    async with make_chat("127.0.0.1:1") as chat:
        answer = await chat.say("/stop CONFIRM")
    assert "may NOT be stopped" in answer
    assert "again" in answer


async def test_a_wrong_credential_is_the_operators_business(program: Any, make_chat: Any) -> None:
    async with make_chat(program.address, credential="wrong") as chat:
        assert "operator" in await chat.say("/status")
        assert "operator" in await chat.say(f"/start {await program.code()}")


async def test_the_cores_rate_limit_is_answered_with_when(program: Any, chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # one call a second, so that none comes free before the chat asks
    slow = msgspec.structs.replace(TIERS[Tier.FREE], requests_per_second=1)
    monkeypatch.setattr("arbiter.rpc.gate.TIERS", {**TIERS, Tier.FREE: slow})
    await chat.say(f"/start {await program.code('free')}")
    async with program.client("free") as client:
        with suppress(RateLimitError):
            for _ in range(60):
                await client.get_wallet()
    answer = await chat.say("/status")
    assert "try again shortly, in 1 second" in answer


async def test_a_handler_that_crashes_is_logged_and_answered(linked: Any, monkeypatch: pytest.MonkeyPatch, logged: list[Any]) -> None:
    async def crash(call: Any) -> Any:
        raise KeyError(call.arguments)

    monkeypatch.setitem(ACTIONS, "wallet", crash)
    press = await linked.press("wallet")
    assert "Something went wrong" in press["text"]
    (line,) = [line for line in logged if line["event"] == "a command crashed"]
    assert line["reference"] in press["text"]
    assert "crash" in line["where"]
    assert "tier pro" in await linked.say("/status")
