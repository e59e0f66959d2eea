"""The poll loop on a Bot API in memory: order, offsets, restarts, what goes wrong, how it ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from telegram.error import NetworkError, TimedOut

from arbiter.bot import chats, handled, poller
from arbiter.bot.chats import Lane, Received
from arbiter.bot.handled import Handled
from arbiter.bot.poller import Poller
from arbiter.runtime import Environment

TOKEN = "123456:bot-token-of-the-tests"


class Handler:
    """Remembers what it handled; waits where a gate is closed. What begins with "urgent" or "refused" goes there."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.recalled: list[str] = []
        self.begun: list[str] = []
        self.done: list[str] = []
        self.gates: dict[str, trio.Event] = {}
        self.received: dict[str, Received] = {}

    def hold(self, text: str) -> trio.Event:
        return self.gates.setdefault(text, trio.Event())

    def admit(self, received: Received) -> Lane:
        text = received.update.message.text if received.update.message else ""
        lanes = {"urgent": Lane.URGENT, "refused": Lane.REFUSED, "ignored": Lane.IGNORED}
        return next((lane for name, lane in lanes.items() if text.startswith(name)), Lane.IN_ORDER)

    def recall(self, received: Received) -> None:
        self.recalled.append(received.update.message.text)

    async def refuse(self, received: Received) -> None:
        self.refused.append(received.update.message.text)

    async def handle(self, received: Received) -> None:
        if received.update.message is None:
            return
        text = received.update.message.text
        self.begun.append(text)
        self.received[text] = received
        if text in self.gates:
            await self.gates[text].wait()
        self.done.append(text)


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def polling(bot: Any, api: Any) -> Callable[..., Any]:
    """`async with polling(handle) as poller`: runs until the block is left, or crashes there."""

    @asynccontextmanager
    async def run(handle: Handler, file: Path | None = None) -> AsyncIterator[Poller]:
        made = Poller(bot, handle, file, Environment.simulated(7))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            yield made
            nursery.cancel_scope.cancel()

    return run


async def test_order_within_a_chat_while_chats_run_side_by_side(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any
) -> None:
    gate = handler.hold("a1")
    api.push(updates.message("a1", 1), updates.message("a2", 1), updates.message("b1", 2), updates.message("b2", 2))
    async with polling(handler):
        await eventually(lambda: handler.done == ["b1", "b2"])
        assert "a2" not in handler.begun
        gate.set()
        await eventually(lambda: handler.done == ["b1", "b2", "a1", "a2"])


async def test_nothing_is_confirmed_above_an_update_that_is_not_handled(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    gate = handler.hold("slow")
    first, second = updates.message("slow", 1), updates.message("quick", 2)
    api.push(first, second)
    async with polling(handler):
        await eventually(lambda: handler.done == ["quick"])
        before = len(api.of("getUpdates"))
        await eventually(lambda: len(api.of("getUpdates")) > before + 3)
        assert api.confirmed == first["update_id"]
        gate.set()
        await eventually(lambda: api.confirmed == second["update_id"] + 1)
    assert sorted(handler.begun) == ["quick", "slow"], "the server repeats what is in hand; it is not handled twice"


async def test_updates_of_others_come_in_while_one_is_in_hand(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    handler.hold("slow")
    api.push(updates.message("slow", 1))
    async with polling(handler):
        await eventually(lambda: handler.begun)
        api.push(updates.message("later", 2))
        await eventually(lambda: handler.done == ["later"])


async def test_waiting_for_a_slow_handler_does_not_hammer_telegram(
    polling: Any, api: Any, handler: Handler, updates: Any, autojump_clock: Any
) -> None:
    handler.hold("slow")
    api.push(updates.message("slow", 1))
    async with polling(handler):
        await trio.sleep(30)
        assert len(api.of("getUpdates")) < 65


async def test_at_most_so_many_chats_at_once(polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any) -> None:
    names = [str(chat) for chat in range(1, 41)]
    gates = [handler.hold(name) for name in names]
    api.push(*(updates.message(name, int(name)) for name in names))
    async with polling(handler):
        await eventually(lambda: len(handler.begun) == chats.CHATS_AT_ONCE)
        await trio.testing.wait_all_tasks_blocked()
        assert len(handler.begun) == chats.CHATS_AT_ONCE
        for gate in gates:
            gate.set()
        await eventually(lambda: len(handler.done) == 40)


async def test_what_waits_in_one_chat_is_bounded_and_the_rest_is_refused_and_done_at_once(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    gate = handler.hold("0")
    api.push(*(updates.message(str(number), 1) for number in range(40)))
    async with polling(handler):
        await eventually(lambda: handler.begun and handler.refused)
        gate.set()
        await eventually(lambda: not api.waiting)
    assert handler.done == [str(number) for number in range(chats.MOST_IN_CHAT)]
    assert 0 < len(handler.refused) <= chats.MOST_REFUSALS


async def test_what_is_refused_or_ignored_is_never_handled(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    api.push(updates.message("refused", 1), updates.message("ignored", 1), updates.message("last", 1))
    async with polling(handler):
        await eventually(lambda: not api.waiting)
    assert (handler.done, handler.refused) == (["last"], ["refused"])


async def test_what_is_urgent_overtakes_its_own_chat_and_comes_before_what_follows_it(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    slow, urgent = handler.hold("slow"), handler.hold("urgent 1")
    texts = ("slow", "waits", "urgent 1", "urgent 2", "urgent 3, which 2 does for", "after")
    api.push(*(updates.message(text, 1) for text in texts))
    async with polling(handler):
        await eventually(lambda: "urgent 1" in handler.begun)
        assert handler.begun == ["slow", "urgent 1"] or handler.begun == ["urgent 1", "slow"]
        slow.set()
        await eventually(lambda: handler.done == ["slow", "waits"])
        urgent.set()
        await eventually(lambda: not api.waiting)
    assert handler.done == ["slow", "waits", "urgent 1", "urgent 2", "after"]


async def test_what_the_last_run_handled_is_recalled_in_its_order(
    polling: Any, api: Any, updates: Any, eventually: Any, state_folder: Path
) -> None:
    file = state_folder / "updates.json"
    before, after = Handler(), Handler()
    before.hold("waits")
    api.push(updates.message("waits", 1), updates.message("urgent", 1))
    async with polling(before, file):
        await eventually(lambda: before.done == ["urgent"] and handled.load(file))
    async with polling(after, file):
        await eventually(lambda: after.done == ["waits"])
    assert after.recalled == ["urgent"]


async def test_a_crash_loses_none_and_a_restart_repeats_none(
    polling: Any, api: Any, updates: Any, eventually: Any, state_folder: Path
) -> None:
    file = state_folder / "updates.json"
    before, after = Handler(), Handler()
    before.hold("a1")
    api.push(updates.message("a1", 1), updates.message("b1", 2), updates.message("a2", 1))
    async with polling(before, file):
        await eventually(lambda: before.done == ["b1"])
        await eventually(lambda: handled.load(file))
    async with polling(after, file):
        await eventually(lambda: after.done == ["a1", "a2"])


async def test_what_was_handled_and_not_confirmed_is_not_handled_again(
    polling: Any, api: Any, updates: Any, eventually: Any, state_folder: Path
) -> None:
    file = state_folder / "updates.json"
    before, after = Handler(), Handler()
    api.push(updates.message("once", 1))
    async with polling(before, file) as running:
        await eventually(lambda: before.done == ["once"])
        running.stop()
        await eventually(lambda: handled.load(file))
    api.confirmed = 0
    api.push(updates.message("next", 1))
    async with polling(after, file):
        await eventually(lambda: after.done)
    assert after.begun == ["next"]


async def test_a_server_that_starts_its_ids_over_loses_nothing(
    polling: Any, api: Any, updates: Any, eventually: Any, state_folder: Path
) -> None:
    file = state_folder / "updates.json"
    same_id = updates.message("new", 1)
    other = updates.message("old", 1) | {"update_id": same_id["update_id"]}
    handled.save(file, {same_id["update_id"]: handled.fingerprint(other), 10**9: "of another server"})
    handler = Handler()
    api.push(same_id)
    async with polling(handler, file):
        await eventually(lambda: handler.done == ["new"])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"handled": {"x": "y"}}', b'{"handled": {"1": 2}}'])
def test_a_file_that_cannot_be_read_counts_as_none(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "updates.json"
    assert handled.load(file) == {}
    file.write_bytes(content)
    assert handled.load(file) == {}


def test_the_file_is_replaced_in_one_step_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "below" / "updates.json"
    handled.save(file, {1: "a"})
    handled.save(file, {2: "b"})
    assert handled.load(file) == {2: "b"}
    assert [each.name for each in file.parent.iterdir()] == ["updates.json"]
    assert file.stat().st_mode & 0o077 == 0


async def test_a_file_that_cannot_be_written_is_said_and_the_bot_goes_on(
    polling: Any, api: Any, updates: Any, handler: Handler, eventually: Any, tmp_path: Path, logged: list[Any]
) -> None:
    (tmp_path / "file").touch()
    api.push(updates.message("a", 1))
    async with polling(handler, tmp_path / "file" / "updates.json"):
        await eventually(lambda: any("cannot write down" in line["event"] for line in logged))
        api.push(updates.message("b", 1))
        await eventually(lambda: handler.done == ["a", "b"])


# -- what goes wrong --


def flood(seconds: int) -> tuple[int, dict[str, Any]]:
    return 429, {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": seconds}}


CONFLICT = (409, {"ok": False, "error_code": 409, "description": "Conflict: terminated by other getUpdates request"})
UNAUTHORIZED = (401, {"ok": False, "error_code": 401, "description": "Unauthorized"})


async def times_of_polls(polling: Any, api: Any, handler: Handler, failures: list[Any]) -> list[float]:
    """When each poll began, with these failures first."""
    times: list[float] = []
    answer = api.do_request

    async def timed(url: str, *arguments: Any, **named: Any) -> Any:
        if url.endswith("getUpdates"):
            times.append(trio.current_time())
        return await answer(url, *arguments, **named)

    api.do_request = timed
    api.fail("getUpdates", *failures)
    async with polling(handler):
        with trio.fail_after(3000):
            while len(times) <= len(failures):  # noqa: ASYNC110 the clock jumps
                await trio.sleep(0.1)
    return times


async def test_telegrams_wish_to_wait_is_granted(polling: Any, api: Any, handler: Handler, autojump_clock: Any) -> None:
    first, second, *_ = await times_of_polls(polling, api, handler, [flood(7)])
    assert 7 <= second - first < 9


async def test_backoff_grows_and_is_jittered(polling: Any, api: Any, handler: Handler, autojump_clock: Any, logged: list[Any]) -> None:
    failures = [NetworkError("down"), TimedOut(), *(NetworkError(f"connecting to /bot{TOKEN}/getUpdates") for _ in range(10))]
    times = await times_of_polls(polling, api, handler, failures)
    waits = [after - before for before, after in pairwise(times)][: len(failures)]
    assert all(wait <= 61 for wait in waits)
    assert waits[0] <= 0.6
    assert min(waits[9:]) >= 29
    assert len({round(wait, 3) for wait in waits}) > 8
    assert TOKEN not in str(logged)


async def test_another_bot_on_the_same_token_is_named_and_left_time(
    polling: Any, api: Any, handler: Handler, autojump_clock: Any, logged: list[Any]
) -> None:
    first, second, third, *_ = await times_of_polls(polling, api, handler, [CONFLICT, CONFLICT])
    assert second - first >= 30
    assert third - second >= 60
    assert "another bot polls with this token" in logged[0]["event"]
    assert logged[0]["log_level"] == "error"


async def test_a_refused_token_is_said_once_and_hardly_tried_again(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, logged: list[Any], autojump_clock: Any
) -> None:
    api.fail("getUpdates", *[UNAUTHORIZED] * 12)
    api.push(updates.message("after", 1))
    async with polling(handler):
        await trio.sleep(3500)
        assert len(api.of("getUpdates")) == 12
        assert [line["log_level"] for line in logged] == ["error"]
        assert TOKEN not in str(logged)
        await trio.sleep(200)
    assert handler.done == ["after"]


async def test_ids_that_begin_anew_while_the_bot_runs_are_taken(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    first = updates.message("before", 1) | {"update_id": 9_000_000}
    api.push(first)
    async with polling(handler):
        await eventually(lambda: api.confirmed > first["update_id"])
        await trio.sleep(60)
        api.push(updates.message("after", 1))
        await eventually(lambda: handler.done == ["before", "after"])


@pytest.mark.parametrize("answer", [(200, ["no object"]), (200, {"ok": True}), (500, "broken"), (200, {"ok": True, "result": [{"x": 1}]})])
async def test_an_odd_answer_is_survived(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any, answer: Any
) -> None:
    api.fail("getUpdates", answer)
    api.push(updates.message("after", 1))
    async with polling(handler):
        await eventually(lambda: handler.done == ["after"])


async def test_an_update_that_cannot_be_read_does_not_hide_the_others(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, logged: list[Any]
) -> None:
    unreadable, good = updates.update(poll_answer={"poll_id": "1", "option_ids": [0]}), updates.message("good", 1)
    api.push(unreadable, good)
    async with polling(handler):
        await eventually(lambda: api.confirmed == good["update_id"] + 1)
    assert handler.done == ["good"]
    assert logged[0]["update"] == unreadable["update_id"]


async def test_a_handler_that_raises_is_logged_and_the_next_update_is_handled(
    polling: Any, api: Any, updates: Any, eventually: Any, logged: list[Any]
) -> None:
    class Breaking(Handler):
        async def handle(self, received: Received) -> None:
            if received.update.message.text == "bad":
                raise ValueError(f"oh, {TOKEN}")
            await super().handle(received)

    handler = Breaking()
    bad, good = updates.message("bad", 1), updates.message("good", 1)
    api.push(bad, good)
    async with polling(handler):
        await eventually(lambda: api.confirmed == good["update_id"] + 1)
    assert handler.done == ["good"]
    (line,) = logged
    assert line["update"] == bad["update_id"]
    assert line["correlation_id"] == f"tg-{bad['update_id']}"
    assert "in handle" in line["where"]
    assert TOKEN not in str(line)


async def test_a_handler_that_hangs_is_given_up(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any, logged: list[Any]
) -> None:
    handler.hold("hangs")
    api.push(updates.message("hangs", 1), updates.message("next", 1))
    async with polling(handler):
        await trio.sleep(chats.HANDLE_SECONDS + 2)
        assert handler.done == ["next"]
    assert "given up" in logged[0]["event"]


# -- age and end --


async def test_how_old_an_update_can_be_is_known_from_the_last_poll_that_found_no_more(
    polling: Any, api: Any, handler: Handler, updates: Any, eventually: Any, autojump_clock: Any
) -> None:
    api.push(updates.message("waited for long", 1))
    async with polling(handler):
        await eventually(lambda: handler.done)
        assert handler.received["waited for long"].not_before_ms == 0
        await trio.sleep(100)
        now_ms = Environment.simulated(7).unix_ms()
        api.push(updates.message("now", 1))
        await eventually(lambda: len(handler.done) == 2)
    assert 0 <= now_ms - handler.received["now"].not_before_ms <= 1000 * (poller.LONG_POLL_SECONDS + 1)


async def test_a_stop_never_waits_for_the_long_poll(bot: Any, api: Any, handler: Handler, eventually: Any) -> None:
    made = Poller(bot, handler, None, Environment.real())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        await eventually(lambda: len(api.of("getUpdates")) == 2)
        began = trio.current_time()
        made.stop()
    assert trio.current_time() - began < 5


async def test_a_stop_lets_what_is_in_hand_finish(
    bot: Any, api: Any, handler: Handler, updates: Any, eventually: Any, state_folder: Path
) -> None:
    gate = handler.hold("in hand")
    update = updates.message("in hand", 1)
    api.push(update)
    made = Poller(bot, handler, state_folder / "f.json", Environment.real())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        await eventually(lambda: handler.begun)
        made.stop()
        gate.set()
    assert handler.done == ["in hand"]
    assert set(handled.load(state_folder / "f.json")) == {update["update_id"]}


# -- the bookkeeping --


@given(st.data())
def test_the_offset_is_never_above_what_is_not_handled_and_nothing_is_handled_twice(data: st.DataObject) -> None:
    book, ids = Handled(), st.integers(1, 30)
    taken: list[int] = []
    in_hand: set[int] = set()
    for number in data.draw(st.lists(ids, max_size=60)):
        if book.take(number, {"update_id": number}):
            taken.append(number)
            in_hand.add(number)
        if in_hand and data.draw(st.booleans()):
            chosen = data.draw(st.sampled_from(sorted(in_hand)))
            book.done(chosen)
            in_hand.discard(chosen)
        offset = book.offset
        assert offset is None or not in_hand or offset <= min(in_hand)
    assert len(taken) == len(set(taken))
    assert book.in_hand == len(in_hand)
