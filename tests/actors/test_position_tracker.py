"""PositionTracker: the fold of the ledger, each entry exactly once, valued against fresh books only."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.journal import Commit
from arbiter.actors.position_tracker import PAGE, CatchUp, GetPositions
from arbiter.domain.book import Side
from arbiter.domain.ids import FillId, OrderId, UserId
from arbiter.domain.ledger import FillEntry, LedgerFold, Position, SettlementEntry
from arbiter.domain.marks import Mark
from arbiter.domain.money import ONE, Micros, parse_micros
from arbiter.domain.order import Fill
from arbiter.store.base import AddEntry
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")


class Ledger:
    """Writes fills into the store by the journal; nobody tells the tracker unless asked to."""

    def __init__(self, scene) -> None:
        self._scene = scene
        self._count = 0

    def entry(self, size: str, *, user=ANN, outcome=None, side=Side.BUY, price="0.50") -> FillEntry:
        self._count += 1
        micros, each = parse_micros(size), parse_micros(price)
        name = f"{self._count}"
        fill = Fill(
            FillId(name), OrderId(name), user, outcome or self._scene.yes, side, each, micros, Micros(each * micros // ONE), Micros(10), 1
        )
        return FillEntry(fill)

    async def write(self, *entries, tell: bool = True) -> None:
        committed = await self._scene.journal.ref.ask(Commit(tuple(map(AddEntry, entries))), timeout=60)
        if tell:
            await self._scene.tracker.ref.ask(CatchUp(committed.ledger_sequence), timeout=60)


@pytest.fixture
def ledger(scene):
    return Ledger(scene)


async def fold_of_the_store(scene) -> dict:
    fold = LedgerFold()
    for numbered in await scene.store.ledger_after(0, 1_000_000):
        fold.apply(numbered.entry)
    return {key: position for key, position in fold.positions.items() if position.size}


async def positions_of_the_tracker(scene, *users) -> dict:
    changes = [c for user in users for c in await scene.tracker.ref.ask(GetPositions(user), timeout=60)]
    return {(c.position.user, c.position.outcome): c.position for c in changes}


async def test_asked_to_catch_up_it_answers_when_the_entries_are_in_the_positions(autojump_clock, scene, ledger):
    async with scene.running():
        began = trio.current_time()
        await ledger.write(ledger.entry("10"), ledger.entry("5", price="0.20"))
        (change,) = await scene.tracker.ref.ask(GetPositions(ANN), timeout=60)
        assert change.position == Position(ANN, scene.yes, *map(parse_micros, ("15", "6", "-0.00002", "0.00002")))
        assert trio.current_time() == began


async def test_unasked_it_looks_by_itself_within_a_second(autojump_clock, scene, ledger):
    async with scene.running():
        await ledger.write(ledger.entry("10"), tell=False)
        await trio.sleep(1.01)
        assert await scene.held() == {scene.yes: parse_micros("10")}


async def test_each_entry_counts_once_however_often_and_by_whomever_it_is_told(autojump_clock, scene, ledger):
    async with scene.running(), trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(ledger.write, ledger.entry("1"))
            if number % 7 == 0:
                await trio.sleep(0.5)
        await trio.sleep(2)
        for sequence in (1, 30, 30):
            await scene.tracker.ref.ask(CatchUp(sequence), timeout=60)
        assert await scene.held() == {scene.yes: parse_micros("30")}


async def test_more_than_one_page_is_read_on_at_once(autojump_clock, scene, ledger):
    async with scene.running():
        await ledger.write(*(ledger.entry("1") for _ in range(2 * PAGE + 3)))
        assert await scene.held() == {scene.yes: parse_micros(f"{2 * PAGE + 3}")}


@pytest.mark.parametrize("on_disk", [False, True])
async def test_after_a_crash_and_after_a_restart_of_the_program_positions_are_the_fold_of_the_stored_ledger(
    autojump_clock, scene, ledger, tmp_path, on_disk
):
    if on_disk:
        scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await ledger.write(
            ledger.entry("10"),
            ledger.entry("4", side=Side.SELL, price="0.60"),
            ledger.entry("3", user=BOB, outcome=scene.k_no),
            SettlementEntry(BOB, scene.k_no, ONE, 5),
            ledger.entry("2", user=BOB, outcome=scene.no),
        )
        before = await positions_of_the_tracker(scene, ANN, BOB)
        assert before == await fold_of_the_store(scene)
        assert set(before) == {(ANN, scene.yes), (BOB, scene.no)}
        await ledger.write(ledger.entry("1"), tell=False)
        await scene.crash(scene.tracker)
        assert await positions_of_the_tracker(scene, ANN, BOB) == await fold_of_the_store(scene) != before
    scene.add_accounts = []
    async with scene.running():
        assert await positions_of_the_tracker(scene, ANN, BOB) == await fold_of_the_store(scene)
        assert len(scene.position_changes) == 2


async def test_a_closed_position_is_told_once_more_with_size_zero_and_is_then_gone(autojump_clock, scene, ledger):
    async with scene.running():
        with scene.position_changes.subscribe("backpressure") as (_, changes):
            await ledger.write(ledger.entry("10"))
            await ledger.write(ledger.entry("10", side=Side.SELL, price="0.60"))
            sizes = [(await changes.receive()).position.size for _ in range(2)]
        assert sizes == [parse_micros("10"), 0]
        assert scene.position_changes.values() == []
        assert await scene.held() == {}


async def test_users_see_their_own_positions_only_in_outcome_order(autojump_clock, scene, ledger):
    async with scene.running():
        await ledger.write(ledger.entry("1"), ledger.entry("2", outcome=scene.k_yes), ledger.entry("3", user=BOB))
        changes = await scene.tracker.ref.ask(GetPositions(ANN), timeout=60)
        assert [change.position.outcome for change in changes] == sorted([scene.yes, scene.k_yes])
        assert await scene.held(BOB) == {scene.yes: parse_micros("3")}
        assert await scene.held(UserId("nobody")) == {}


async def test_a_position_is_valued_against_a_fresh_book_and_has_no_mark_without_one(autojump_clock, scene, ledger):
    async with scene.running():
        await ledger.write(ledger.entry("10"))
        (change,) = await scene.tracker.ref.ask(GetPositions(ANN), timeout=60)
        assert change.mark == Mark()
        await scene.quote(scene.yes, "0.60x4 0.58x6", "0.62x10")
        (change,) = await scene.tracker.ref.ask(GetPositions(ANN), timeout=60)
        assert change.mark == Mark(*map(parse_micros, ("0.61", "1.1", "5.88")))
        scene.polymarket.alive = False
        await trio.sleep(15)
        (change,) = await scene.tracker.ref.ask(GetPositions(ANN), timeout=60)
        assert change.mark == Mark()


async def test_subscribers_hear_of_another_value_within_a_second_and_of_nothing_while_it_stays(autojump_clock, scene, ledger):
    async with scene.running():
        await ledger.write(ledger.entry("10"))
        await scene.quote(scene.yes, "0.60x40", "0.62x10")
        await trio.sleep(1.01)
        with scene.position_changes.subscribe("backpressure") as (snapshot, changes):
            assert [change.mark.price for change in snapshot] == [parse_micros("0.61")]
            with trio.move_on_after(5) as quiet:
                await changes.receive()
            assert quiet.cancelled_caught
            await scene.quote(scene.yes, "0.70x40", "0.72x10")
            with trio.fail_after(1.01):
                assert (await changes.receive()).mark.price == parse_micros("0.71")
        await wait_all_tasks_blocked()
