"""Who sends too much, who stops while much waits: on the sandbox's Bot API with Telegram's own limits, on a clock that jumps."""

from typing import Any

import pytest
import trio

from arbiter.bot import chats, handled, reception
from arbiter.bot.throttle import BURST
from arbiter.rpc.client_errors import NotConnected, UncertainError
from arbiter.sandbox.telegram.limits import SendLimits
from tests.botworld import BotWorld

FLOOD = 400


@pytest.fixture
def world() -> BotWorld:
    world = BotWorld(SendLimits())
    world.link("Ann", "Bob")
    return world


@pytest.mark.parametrize("text", ["hi", "/stop", "/stop CONFIRM", "/status", "/help", "/start", "/start GUESS", "/nonsense"])
@pytest.mark.parametrize("by", ["Eve", "Bob"])
async def test_whoever_floods_the_bot_makes_nobody_else_wait(world: BotWorld, autojump_clock: Any, text: str, by: str) -> None:
    async with world.bot():
        await world.ask("/help")
        await world.ask("/help", by)
        for _ in range(FLOOD):
            world.say(text, by)
        assert "tier pro" in await world.ask("/status", seconds=2)
        await trio.sleep(40)
        assert len(world.seen(by)) < 2 * BURST
        refused = [answer for answer in world.seen(by) if "try again shortly" in answer]
        assert len(refused) <= 1
        assert len(world.engine.state.updates) == 0, "all is handled, and confirmed"


async def test_to_a_stranger_an_answer_is_sent_at_once_or_never(world: BotWorld, autojump_clock: Any) -> None:
    async with world.bot():
        for _ in range(12):
            world.say("/help", "Eve")
        await trio.sleep(40)
        assert len(world.seen("Eve")) == SendLimits().chat_burst
        for _ in range(12):
            world.say("/status")
        await trio.sleep(40)
        assert len(world.seen()) == 12, "whoever is linked gets every answer"


async def test_pressing_without_end_makes_nobody_else_wait(world: BotWorld, autojump_clock: Any) -> None:
    async with world.bot():
        await world.ask("/home", "Bob")
        log = world.engine.people.chat_of("Bob", world.environment.unix_ms())
        home = next(message for message in log.messages.values() if message.reply_markup)
        for _ in range(FLOOD):
            world.engine.people.press(home.message_id, "wallet", world.environment.unix_ms(), by="Bob")
        assert "tier pro" in await world.ask("/status", seconds=2)


async def test_a_group_is_told_once_in_a_while_that_the_bot_is_for_private_chats_and_where(
    world: BotWorld, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "HINT_SECONDS", 300.0)
    async with world.bot():
        group = world.engine.people.gather("Traders", world.environment.unix_ms())

        def told() -> list[Any]:
            return [message for message in group.messages.values() if message.from_ and message.from_.is_bot]

        for name in ("Ann", "Bob", "Eve"):
            world.say("/status", name, chat=group)
        await trio.sleep(60)
        world.say("/help", chat=group)
        await trio.sleep(60)
        (hint,) = told()
        assert "https://t.me/arbiter_sandbox_bot" in hint.text
        assert [entity.type for entity in hint.entities] == ["url"]
        await trio.sleep(300)
        world.say("/status", chat=group)
        await trio.sleep(60)
        assert len(told()) == 2


# -- a stop waits for nothing --


async def test_a_confirmed_stop_does_not_wait_behind_the_answers_of_its_own_chat(world: BotWorld, autojump_clock: Any) -> None:
    async with world.bot():
        await world.ask("/status")
        for _ in range(18):
            world.say("/help")
        began = trio.current_time()
        world.say("/stop CONFIRM")
        await world.until(lambda: world.core.halted, 0.5)
        await world.until(lambda: any("All trading is stopped" in answer for answer in world.seen()), 4)
        assert trio.current_time() - began < 4
        await trio.sleep(60)
        assert len([answer for answer in world.seen() if answer.startswith("/start")]) == 18, "the other answers come all the same"


async def test_a_confirmed_stop_does_not_wait_for_a_command_that_hangs(world: BotWorld, autojump_clock: Any) -> None:
    gate = world.core.gates["GetOverview"] = trio.Event()
    async with world.bot():
        world.say("/status")
        await trio.sleep(3)
        world.say("/stop CONFIRM")
        await world.until(lambda: world.core.halted, 1)
        gate.set()


async def test_who_may_use_the_bot_can_stop_also_when_nothing_else_is_let_through(world: BotWorld, autojump_clock: Any) -> None:
    async with world.bot():
        for _ in range(BURST + 50):
            world.say("/help")
        world.say("/stop CONFIRM")
        await world.until(lambda: world.core.halted, 1)


async def test_several_confirmed_stops_that_wait_count_as_one(world: BotWorld, autojump_clock: Any) -> None:
    gate = world.core.gates["EmergencyStop"] = trio.Event()
    async with world.bot():
        await world.ask("/status")
        for _ in range(60):
            world.say("/stop CONFIRM")
        await trio.sleep(1)
        gate.set()
        await trio.sleep(60)
        assert world.core.calls.count("EmergencyStop") == 2
        assert len([answer for answer in world.seen() if "is stopped" in answer]) == 2
        assert len(world.engine.state.updates) == 0


async def test_what_is_sent_after_a_stop_sees_it_done(world: BotWorld, autojump_clock: Any) -> None:
    gate = world.core.gates["EmergencyStop"] = trio.Event()
    async with world.bot():
        world.say("/stop CONFIRM")
        world.say("/status")
        await trio.sleep(3)
        assert "GetOverview" not in world.core.calls
        gate.set()
        await world.until(lambda: any("Trading: STOPPED" in answer for answer in world.seen()), 2)


@pytest.mark.parametrize("text", ["/resume CONFIRM", "/arb start"])
async def test_what_was_sent_before_a_stop_and_waits_does_not_undo_it(world: BotWorld, autojump_clock: Any, text: str) -> None:
    gate = world.core.gates["GetOverview"] = trio.Event()
    world.core.halted = True
    async with world.bot():
        world.say("/status")
        world.say(text)
        await trio.sleep(1)
        assert "is stopped" in await world.ask("/stop CONFIRM")
        gate.set()
        await world.until(lambda: any("came after this, so it was not done" in answer for answer in world.seen()), 5)
        assert world.core.halted
        assert not world.core.arbitrage
        assert "Trading goes on" in await world.ask("/resume CONFIRM")


async def test_a_resume_that_a_stop_meets_under_way_does_not_undo_it(world: BotWorld, autojump_clock: Any) -> None:
    world.core.halted = True
    gate = world.core.gates["ResumeTrading"] = trio.Event()
    async with world.bot():
        world.say("/resume CONFIRM")
        await world.until(lambda: "ResumeTrading" in world.core.calls, 2)
        assert "is stopped" in await world.ask("/stop CONFIRM")
        gate.set()
        await world.until(lambda: any("came after this" in answer for answer in world.seen()), 5)
        assert world.core.halted


async def test_a_stop_that_was_done_before_a_restart_is_still_the_last_word(world: BotWorld, autojump_clock: Any, tmp_path: Any) -> None:
    world.core.halted = True
    world.say("/resume CONFIRM")
    world.say("/stop CONFIRM")
    stop = world.waiting()[-1]
    handled.save(tmp_path / "updates.json", {stop["update_id"]: handled.fingerprint(stop)})
    async with world.bot(tmp_path / "updates.json"):
        await world.until(lambda: any("came after this" in answer for answer in world.seen()), 600)
    assert world.core.halted
    assert "EmergencyStop" not in world.core.calls


async def test_a_stop_of_who_is_not_on_the_allow_list_is_no_urgent_matter(world: BotWorld, autojump_clock: Any) -> None:
    async with world.bot(allowed=frozenset({1})):
        for _ in range(60):
            world.say("/stop CONFIRM")
        await trio.sleep(60)
    assert not world.core.halted
    assert len(world.seen()) <= BURST + 1


# -- a stop that is not confirmed --


async def test_a_stop_that_is_not_confirmed_is_repeated_and_its_end_is_told(world: BotWorld, autojump_clock: Any) -> None:
    world.core.failures["EmergencyStop"] = [UncertainError("no answer"), *[NotConnected("down")] * 8]
    async with world.bot():
        first = await world.ask("/stop CONFIRM")
        assert "may NOT be stopped" in first
        assert "repeats the stop by itself" in first
        await world.until(lambda: world.core.halted, 60)
        await world.until(lambda: "All trading is stopped" in world.seen()[-1], 1)
        calls = world.core.calls.count("EmergencyStop")
        await trio.sleep(130)
        assert world.core.calls.count("EmergencyStop") == calls
        assert len(world.seen()) == 2


async def test_a_stop_is_not_repeated_for_ever_and_the_end_of_it_is_told(world: BotWorld, autojump_clock: Any) -> None:
    world.core.failures["EmergencyStop"] = [NotConnected("down")] * 100
    async with world.bot():
        await world.ask("/stop CONFIRM")
        await world.until(lambda: "in vain" in world.seen()[-1], 140)
        calls = world.core.calls.count("EmergencyStop")
        await trio.sleep(130)
        assert world.core.calls.count("EmergencyStop") == calls < 60


async def test_a_stop_of_which_a_part_is_not_confirmed_is_repeated(world: BotWorld, autojump_clock: Any) -> None:
    world.core.part_unconfirmed = True
    async with world.bot():
        assert "repeats the stop by itself" in await world.ask("/stop CONFIRM")
        world.core.part_unconfirmed = False
        await world.until(lambda: "Cancelled: 0 open orders" in world.seen()[-1], 10)


async def test_a_resume_ends_the_repeating_of_a_stop(world: BotWorld, autojump_clock: Any) -> None:
    world.core.failures["EmergencyStop"] = [UncertainError("no answer")] * 2
    world.core.halted = True
    async with world.bot():
        await world.ask("/stop CONFIRM")
        assert "Trading goes on" in await world.ask("/resume CONFIRM")
        await trio.sleep(130)
    assert not world.core.halted


# -- a core that hangs --


@pytest.mark.parametrize("method", ["Authenticate", "GetOverview"])
async def test_what_only_reads_is_not_called_uncertain_where_the_core_hangs(world: BotWorld, autojump_clock: Any, method: str) -> None:
    world.core.failures[method] = [UncertainError("the call took too long", "DEADLINE_EXCEEDED")]
    async with world.bot():
        answer = await world.ask("/status")
    assert answer == "Arbiter did not answer in time. Nothing was changed; please try again in a moment."


async def test_what_changes_something_is_called_uncertain_where_the_core_hangs(world: BotWorld, autojump_clock: Any) -> None:
    world.core.failures["DisableStrategy"] = [UncertainError("the call took too long", "DEADLINE_EXCEEDED")]
    async with world.bot():
        assert "whether it was done is not known" in await world.ask("/arb stop")


# -- what a poll costs --


async def test_a_single_update_costs_one_poll_and_one_for_the_next(world: BotWorld, autojump_clock: Any) -> None:
    async with world.bot():
        await world.ask("/status")
        await trio.sleep(1)
        before = world.api.calls.count("getUpdates")
        for _ in range(20):
            await world.ask("/status", "Ann")
            await trio.sleep(1.2)
        assert world.api.calls.count("getUpdates") - before == 20


async def test_a_burst_costs_few_polls(world: BotWorld, autojump_clock: Any) -> None:
    world.engine.state.limiter.limits = SendLimits(1e9, 10**9, 1e9, 10**9)
    names = [f"P{number}" for number in range(50)]
    world.link(*names)
    async with world.bot():
        await world.ask("/status")
        before = world.api.calls.count("getUpdates")
        for number in range(500):
            world.say("/status", names[number % 50])
        await world.until(lambda: sum(len(world.seen(name)) for name in names) == 500, 60)
        assert world.api.calls.count("getUpdates") - before <= 15


def test_a_chats_bound_is_not_above_what_the_throttle_lets_through_at_once() -> None:
    assert chats.MOST_IN_CHAT <= BURST
