"""Cursors: no gap and no duplicate, whatever crashes when; bounded batches; hints that may be lost; deadlines."""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.errors import StoreError
from arbiter.runtime import Actor, Backoff, Child, Cursor, Environment, Group, Intensity, Message, Supervisor
from arbiter.runtime.testing import run_seeded


class Entry(NamedTuple):
    sequence: int


class InjectedCrash(Exception):
    """On purpose."""


class Shelf:
    """A store: a log, bookmarks, and what a reader's own transactions wrote. Each step of it may crash who takes it."""

    def __init__(self, crash_at: int = 0) -> None:
        self.entries: list[Entry] = []
        self.bookmarks: dict[str, int] = {}
        self.written: list[int] = []
        self.read_limits: list[int] = []
        self.steps = 0
        self.crash_at = crash_at

    def append(self, count: int = 1, apart: int = 1) -> None:
        for _ in range(count):
            self.entries.append(Entry((self.entries[-1].sequence if self.entries else 0) + apart))

    async def step(self) -> None:
        await trio.lowlevel.checkpoint()
        self.steps += 1
        if self.steps == self.crash_at:
            raise InjectedCrash

    async def read_after(self, position: int, limit: int) -> Sequence[Entry]:
        self.read_limits.append(limit)
        await self.step()
        found = [entry for entry in self.entries if entry.sequence > position][:limit]
        await self.step()
        return found

    async def bookmark(self, reader: str) -> int:
        await self.step()
        return self.bookmarks.get(reader, 0)

    async def set_bookmark(self, reader: str, position: int) -> None:
        await self.step()
        self.bookmarks[reader] = position
        await self.step()

    async def write_with_bookmark(self, numbers: list[int], position: int) -> None:
        """One transaction."""
        await self.step()
        self.written += numbers
        self.bookmarks["reader"] = position
        await self.step()

    @property
    def numbers(self) -> list[int]:
        return [entry.sequence for entry in self.entries]


class LookAgain(Message, frozen=True, tag=True):
    """There may be something new."""


class Reader(Actor[LookAgain]):
    """Reads a log for ever."""

    def __init__(self, shelf: Shelf, *, together: bool) -> None:
        self.shelf = shelf
        self.together = together

    async def started(self) -> None:
        self.cursor = await Cursor.at_bookmark(self.shelf, self.shelf, "reader", together=self.together, batch=3)
        self.context.start_task(self.follow)

    async def follow(self) -> None:
        await self.cursor.follow(self.write if self.together else self.act, every=60)

    async def handle(self, message: LookAgain) -> None:
        self.cursor.hint()

    async def write(self, batch: Sequence[Entry]) -> None:
        await self.shelf.step()
        await self.shelf.write_with_bookmark([entry.sequence for entry in batch], batch[-1].sequence)

    async def act(self, batch: Sequence[Entry]) -> None:
        """Its effect is outside of any transaction, entry by entry."""
        for entry in batch:
            await self.shelf.step()
            self.shelf.written.append(entry.sequence)
            await self.shelf.step()


async def read_through_a_crash(shelf: Shelf, together: bool) -> None:
    child: Child[LookAgain] = Child("reader", lambda: Reader(shelf, together=together))
    random = Random(4)
    shelf.append(5, apart=2)
    group = Group("root", [Group("readers", [child], intensity=Intensity(5, 1), backoff=Backoff(first=0.5), exhausted="park")])
    supervisor = Supervisor(group, Environment.simulated(4))
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        for _ in range(8):
            shelf.append(random.choice((1, 4)))
            if random.random() < 0.5:
                child.ref.offer(LookAgain())
            await trio.sleep(random.choice((0, 0.1, 1)))
        await trio.sleep(200)  # the last look comes by itself
        supervisor.stop()


@pytest.mark.parametrize("together", [True, False])
def test_a_reader_that_crashes_at_any_point_leaves_no_gap_and_where_it_keeps_its_place_itself_no_duplicate(together):
    calm = Shelf()
    run_seeded(4, read_through_a_crash, calm, together)
    assert calm.written == calm.numbers
    assert calm.steps > 40
    for crash_at in range(1, calm.steps + 1):
        shelf = Shelf(crash_at)
        run_seeded(4, read_through_a_crash, shelf, together)
        assert shelf.steps >= crash_at
        assert shelf.bookmarks["reader"] == shelf.numbers[-1]
        if together:
            assert shelf.written == shelf.numbers, crash_at
            continue
        # of the batch in hand some were acted upon already; nothing before it is repeated
        assert sorted(set(shelf.written)) == shelf.numbers, crash_at
        repeated = [number for number in shelf.numbers if shelf.written.count(number) > 1]
        assert len(shelf.written) - len(shelf.numbers) == len(repeated) <= 3, crash_at


@pytest.mark.parametrize("seed", range(20))
def test_several_who_read_on_together_handle_each_entry_once_and_in_order(seed):
    async def main() -> None:
        shelf = Shelf()
        cursor: Cursor[Entry] = Cursor(shelf, batch=2)

        async def handle(batch: Sequence[Entry]) -> None:
            for entry in batch:
                await trio.lowlevel.checkpoint()
                shelf.written.append(entry.sequence)

        async def write_and_read() -> None:
            for _ in range(5):
                shelf.append()
                last = shelf.numbers[-1]
                await cursor.read_on(handle)
                assert cursor.position >= last

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(write_and_read)
        assert shelf.written == shelf.numbers

    run_seeded(seed, main)


async def test_a_reader_that_is_far_behind_takes_bounded_batches_and_catches_up_at_once(autojump_clock):
    shelf, batches = Shelf(), []
    shelf.append(10)

    async def handle(batch: Sequence[Entry]) -> None:
        batches.append([entry.sequence for entry in batch])

    cursor: Cursor[Entry] = Cursor(shelf, batch=4)
    await cursor.read_on(handle)
    assert batches == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    assert set(shelf.read_limits) == {4}
    assert cursor.position == 10
    assert trio.current_time() == 0


async def test_a_hint_is_followed_at_once_also_one_that_comes_during_a_read_and_a_lost_one_in_time(autojump_clock, nursery):
    shelf, seen = Shelf(), []
    gate = trio.Event()

    async def handle(batch: Sequence[Entry]) -> None:
        seen.extend((entry.sequence, trio.current_time()) for entry in batch)
        await gate.wait()

    cursor: Cursor[Entry] = Cursor(shelf)

    async def follow() -> None:
        await cursor.follow(handle, every=10)

    shelf.append()
    nursery.start_soon(follow)
    await wait_all_tasks_blocked()
    shelf.append()
    cursor.hint()
    gate.set()
    await trio.sleep(1)
    shelf.append()
    cursor.hint()
    await trio.sleep(1)
    shelf.append()
    await trio.sleep(20)
    assert seen == [(1, 0), (2, 0), (3, 1), (4, 11)]
    nursery.cancel_scope.cancel()


async def test_a_store_that_does_not_answer_is_an_error_in_time_and_a_read_may_be_tried_again(autojump_clock):
    shelf, gate, seen = Shelf(), trio.Event(), []
    shelf.append(2)

    class Slow(Shelf):
        async def read_after(self, position: int, limit: int) -> Sequence[Entry]:
            await gate.wait()
            return await shelf.read_after(position, limit)

        async def bookmark(self, reader: str) -> int:
            await trio.sleep_forever()

        set_bookmark = bookmark

    async def handle(batch: Sequence[Entry]) -> None:
        seen.extend(entry.sequence for entry in batch)

    cursor: Cursor[Entry] = Cursor(Slow(), seconds=2)
    with pytest.raises(StoreError, match=r"read on from 0: the store did not answer within 2 s"):
        await cursor.read_on(handle)
    assert trio.current_time() == 2
    gate.set()
    await cursor.read_on(handle)
    assert seen == [1, 2]
    with pytest.raises(StoreError, match="position of reader could not be read"):
        await Cursor.at_bookmark(Slow(), Slow(), "reader", seconds=2)
    assert trio.current_time() == 4


async def test_after_a_place_that_may_or_may_not_be_kept_a_cursor_is_of_no_more_use(autojump_clock):
    shelf = Shelf()
    shelf.append()

    async def handle(batch: Sequence[Entry]) -> None:
        shelf.written.append(len(batch))

    cursor = await Cursor.at_bookmark(shelf, shelf, "reader")
    shelf.crash_at = shelf.steps + 4  # the place is kept, and who kept it does not hear of it
    with pytest.raises(InjectedCrash):
        await cursor.read_on(handle)
    assert shelf.bookmarks == {"reader": 1}
    with pytest.raises(RuntimeError, match="half handled: make a new cursor"):
        await cursor.read_on(handle)
    assert (await Cursor.at_bookmark(shelf, shelf, "reader")).position == 1
    assert (await Cursor.at_bookmark(shelf, shelf, "another")).position == 0
    assert shelf.written == [1]


async def test_a_handler_that_is_cancelled_halfway_is_followed_by_no_second_try_of_the_same_cursor(autojump_clock):
    shelf = Shelf()
    shelf.append()

    async def handle(batch: Sequence[Entry]) -> None:
        await trio.sleep_forever()

    cursor: Cursor[Entry] = Cursor(shelf)
    with trio.move_on_after(1):
        await cursor.read_on(handle)
    with pytest.raises(RuntimeError, match="half handled"):
        await cursor.read_on(handle)
    assert cursor.position == 0


async def test_a_log_in_no_order_and_a_cursor_that_makes_no_sense_are_refused():
    shelf = Shelf()
    shelf.entries = [Entry(1), Entry(1)]

    async def handle(batch: Sequence[Entry]) -> None:
        shelf.written.append(len(batch))

    with pytest.raises(RuntimeError, match="from 1 to 1 is in no order"):
        await Cursor(shelf).read_on(handle)
    assert shelf.written == []
    wrong: dict[str, Any]
    for wrong in (
        *({"position": each} for each in (-1, 1.5, True, "0")),
        *({"batch": each} for each in (0, 2.5, True, float("inf"))),
        *({"seconds": each} for each in (0, float("inf"), float("nan"), "1", True)),
    ):
        with pytest.raises(ValueError, match="makes no sense"):
            Cursor(shelf, **wrong)


@pytest.mark.parametrize("every", [0, -1, float("inf"), float("nan"), "1", None])
async def test_to_follow_a_log_without_a_time_is_refused(every, autojump_clock):
    with pytest.raises(ValueError, match=r"to follow a log every .* makes no sense"), trio.fail_after(1):
        await Cursor(Shelf()).follow(nothing, every=every)


async def nothing(batch: Sequence[Entry]) -> None:
    pass
