"""What every store must do, of the one in memory and of SQLite with both runners; then what only a file can get wrong."""

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec
import pytest
import trio

from arbiter.domain.account import Account, ApiKey, Role, Tier, UserSettings
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, FillId, MarketId, OrderId, OutcomeId, OutcomeKey, UserId
from arbiter.domain.ledger import FillEntry, ReversalEntry, SettlementEntry
from arbiter.domain.money import MAX_MICROS, Micros, parse_micros
from arbiter.domain.order import Fill, Order, OrderState, TimeInForce
from arbiter.domain.trading_state import TradingState, TradingStatus
from arbiter.errors import ConfigError, StoreError
from arbiter.store.base import AddEntry, AddFill, Committed, PutAccount, PutOrder, PutTradingStatus, Refused, Store
from arbiter.store.memory import MemoryStore
from arbiter.store.sqlite import SCHEMA_VERSION, InlineRunner, SqliteStore, ThreadRunner

YES = OutcomeKey(POLYMARKET, MarketId("0x1"), OutcomeId("1"))
NO = OutcomeKey(KALSHI, MarketId("KX-1"), OutcomeId("no"))
ANN, BOB = UserId("ann"), UserId("bob")


def order(name: str, user: UserId = ANN, *, key: str = "", created_ms: int = 1, **changes) -> Order:
    made = Order(
        OrderId(name), user, YES, Side.BUY, parse_micros("0.45"), parse_micros("10"), TimeInForce.GTC, key or f"key-{name}", created_ms
    )
    return msgspec.structs.replace(made, **changes)


def fill(name: str, of: Order) -> Fill:
    half = parse_micros("5")
    return Fill(FillId(name), of.id, of.user, of.outcome, of.side, of.price, half, parse_micros("2.25"), Micros(7), 9)


@dataclass(frozen=True)
class Place:
    """Where a store lies, so that a test can open it again."""

    make: Callable[[], Store]

    async def opened(self) -> Store:
        store = self.make()
        await store.open()
        return store


@pytest.fixture(params=["memory", "sqlite inline", "sqlite thread"])
def place(request, tmp_path) -> Place:
    if request.param == "memory":
        kept = MemoryStore()
        return Place(lambda: kept)
    runner = InlineRunner if request.param == "sqlite inline" else ThreadRunner
    return Place(lambda: SqliteStore(tmp_path / "arbiter.db", runner))


@pytest.fixture
async def store(place):
    store = await place.opened()
    yield store
    await store.close()


# -- the contract --


async def test_a_new_store_is_empty(store):
    assert await store.accounts() == []
    assert await store.orders() == []
    assert await store.orders(ANN) == []
    assert await store.ledger_after(0, 10) == []
    assert await store.order(OrderId("1")) is None
    assert await store.order_by_key(ANN, "key-1") is None
    assert await store.account(ANN) is None
    assert await store.fills_of_open_orders() == []


async def test_a_commit_of_no_groups_and_a_group_of_no_writes_are_fine(store):
    assert await store.commit([]) == []
    assert await store.commit([()]) == [Committed(0)]


async def test_a_group_is_kept_as_a_whole_and_tells_the_last_ledger_number(store):
    first = order("1")
    kept = fill("f1", first)
    assert await store.commit([(PutOrder(first), AddFill(kept), AddEntry(FillEntry(kept)))]) == [Committed(1)]
    assert await store.orders(ANN) == [first]
    assert [numbered.entry for numbered in await store.ledger_after(0, 10)] == [FillEntry(kept)]


async def test_of_a_group_that_a_constraint_refuses_nothing_is_kept(store):
    first = order("1")
    kept = fill("f1", first)
    await store.commit([(PutOrder(first), AddFill(kept))])
    late = (PutAccount(Account(BOB, "Bob")), PutOrder(order("2")), AddEntry(FillEntry(kept)), AddFill(kept))
    (result,) = await store.commit([late])
    assert isinstance(result, Refused)
    assert await store.accounts() == []
    assert await store.orders(ANN) == [first]
    assert await store.ledger_after(0, 10) == []


async def test_one_account_can_be_read_alone(store):
    await store.commit([(PutAccount(Account(ANN, "Ann")), PutAccount(Account(BOB, "Bob")))])
    await store.commit([(PutAccount(Account(BOB, "Robert")),)])
    assert await store.account(BOB) == Account(BOB, "Robert")


async def test_fills_of_open_orders_come_in_the_order_in_which_they_became_durable(store):
    resting, ended = order("1", state=OrderState.PARTIALLY_FILLED), order("2", state=OrderState.FILLED)
    # neither by their ids nor by their orders
    kept = [fill(name, of) for name, of in (("f3", resting), ("f2", ended), ("f1", resting))]
    for each in kept:
        await store.commit([(PutOrder(resting), PutOrder(ended), AddFill(each))])
    assert await store.fills_of_open_orders() == [kept[0], kept[2]]


async def test_a_bad_group_is_isolated_from_those_before_and_after_it(store):
    first, second, third = order("1"), order("2", key="key-1"), order("3")
    results = await store.commit([(PutOrder(first),), (PutOrder(second),), (PutOrder(third),)])
    assert isinstance(results[1], Refused)
    assert results[0] == results[2] == Committed(0)
    assert await store.orders(ANN) == [first, third]


async def test_a_refused_group_leaves_no_gap_in_the_ledger(store):
    first = order("1")
    kept = fill("f1", first)
    good = (AddEntry(SettlementEntry(ANN, YES, Micros(1), 5)),)
    bad = (AddEntry(FillEntry(kept)), AddFill(kept))
    results = await store.commit([good, bad, good])
    assert results[0] == results[2] == Committed(2)
    assert [numbered.sequence for numbered in await store.ledger_after(0, 10)] == [1, 2]


async def test_a_second_order_under_one_key_is_refused_also_within_one_group(store):
    (result,) = await store.commit([(PutOrder(order("1", key="same")), PutOrder(order("2", key="same")))])
    assert isinstance(result, Refused)
    assert "idempotency_key" in result.problem
    assert await store.orders(ANN) == []


async def test_two_users_may_use_the_same_key(store):
    ours, theirs = order("1", key="same"), order("2", BOB, key="same")
    assert await store.commit([(PutOrder(ours),), (PutOrder(theirs),)]) == [Committed(0), Committed(0)]
    assert await store.order_by_key(ANN, "same") == ours
    assert await store.order_by_key(BOB, "same") == theirs


async def test_a_second_fill_of_one_id_is_refused_even_for_another_order(store):
    first, second = order("1"), order("2")
    await store.commit([(PutOrder(first), PutOrder(second), AddFill(fill("f1", first)))])
    (result,) = await store.commit([(AddFill(fill("f1", second)),)])
    assert isinstance(result, Refused)
    assert "fills.id" in result.problem


async def test_a_fill_of_an_order_that_is_not_stored_is_refused(store):
    (result,) = await store.commit([(AddFill(fill("f1", order("1"))),)])
    assert isinstance(result, Refused)


async def test_an_order_is_updated_in_place(store):
    first = order("1")
    ended = msgspec.structs.replace(first, state=OrderState.CANCELLED, reason="enough", updated_ms=8)
    await store.commit([(PutOrder(first),), (PutOrder(ended),)])
    assert await store.order(first.id) == ended
    assert await store.order_by_key(ANN, first.idempotency_key) == ended
    assert await store.orders(ANN) == [ended]


async def test_without_a_user_the_orders_of_all_that_are_not_final_come_oldest_first(store):
    late, early = order("1", created_ms=20), order("2", BOB, created_ms=10, state=OrderState.OPEN)
    ended = order("3", created_ms=5, state=OrderState.FILLED)
    await store.commit([(PutOrder(late), PutOrder(early), PutOrder(ended))])
    assert await store.orders() == [early, late]
    assert await store.orders(ANN) == [ended, late]


async def test_of_the_final_orders_only_the_newest_come_when_so_asked(store):
    final = [order(f"{n}", created_ms=n, state=OrderState.CANCELLED) for n in range(1, 6)]
    waiting = order("0", created_ms=0)
    await store.commit([tuple(PutOrder(each) for each in [waiting, *final, order("x", BOB, state=OrderState.FILLED)])])
    assert await store.orders(ANN, newest_final=2) == [waiting, *final[3:]]
    assert await store.orders(ANN, newest_final=0) == [waiting]
    assert await store.orders(ANN, newest_final=99) == [waiting, *final]


async def test_a_users_orders_are_read_backward_page_by_page_and_by_state(store):
    filled, open_, cancelled = OrderState.FILLED, OrderState.OPEN, OrderState.CANCELLED
    mine = [order(f"{n}", created_ms=n // 2, state=state) for n, state in enumerate((filled, open_, cancelled, filled, open_, filled))]
    await store.commit([tuple(PutOrder(each) for each in [*mine, order("x", BOB, created_ms=2)])])
    newest = mine[::-1]
    assert await store.orders_before(ANN, None, 99) == newest
    found, before = [], None
    while page := await store.orders_before(ANN, before, 4):
        found += page
        before = (page[-1].created_ms, page[-1].id)
    assert found == newest
    wanted = frozenset({open_, cancelled})
    assert await store.orders_before(ANN, None, 2, wanted) == [mine[4], mine[2]]
    assert await store.orders_before(ANN, (mine[2].created_ms, mine[2].id), 2, wanted) == [mine[1]]
    assert await store.orders_before(ANN, None, 2, frozenset({OrderState.EXPIRED})) == []


async def test_the_ledger_is_read_page_by_page_without_gap_or_repetition(store):
    entries = [SettlementEntry(ANN, YES, Micros(n), n) for n in range(7)]
    await store.commit([(AddEntry(entry),) for entry in entries])
    found, sequence = [], 0
    while page := await store.ledger_after(sequence, 3):
        assert len(page) <= 3
        found += page
        sequence = page[-1].sequence
    assert [numbered.sequence for numbered in found] == list(range(1, 8))
    assert [numbered.entry for numbered in found] == entries
    assert await store.ledger_after(7, 3) == []
    assert await store.ledger_after(99, 3) == []


async def test_opened_again_it_gives_back_exactly_what_was_committed(place):
    account = Account(
        ANN, "Ann Ä 漢", Tier.ENTERPRISE, Role.OPERATOR, True, ApiKey("id", bytes(range(256))), UserSettings(Micros(5)), ("arbitrage",)
    )
    waiting = order("1", state=OrderState.PARTIALLY_FILLED, filled=parse_micros("5"))
    largest = order("2", outcome=NO, size=Micros(MAX_MICROS), price=Micros(1), state=OrderState.REJECTED, reason='"quoted"\n')
    kept = fill("f1", waiting)
    entries = [FillEntry(kept), ReversalEntry(ANN, YES, kept.id, 3), SettlementEntry(ANN, NO, Micros(500_000), 4)]
    store = await place.opened()
    await store.commit([(PutAccount(account), PutOrder(waiting), PutOrder(largest), AddFill(kept), *map(AddEntry, entries))])
    await store.close()

    store = await place.opened()
    assert await store.accounts() == [account]
    assert await store.orders() == [waiting]
    assert await store.orders(ANN) == [waiting, largest]
    assert [numbered.entry for numbered in await store.ledger_after(0, 10)] == entries
    (result,) = await store.commit([(AddFill(kept),)])
    assert isinstance(result, Refused)
    assert await store.commit([(AddEntry(entries[0]),)]) == [Committed(4)]
    await store.close()


async def test_what_is_committed_can_be_read_at_once(store):
    for number in range(1, 20):
        assert await store.commit([(AddEntry(SettlementEntry(ANN, YES, Micros(1), number)),)]) == [Committed(number)]
        assert len(await store.ledger_after(0, 100)) == number


async def test_a_commit_by_a_cancelled_task_is_kept_whole_or_not_at_all_and_the_next_one_works(store):
    first = order("1")
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit([(PutOrder(first), PutAccount(Account(ANN, "Ann")))])
    assert len(await store.orders(ANN)) == len(await store.accounts())
    assert await store.commit([(PutOrder(order("2")),)]) == [Committed(0)]
    assert (await store.orders(ANN))[-1] == order("2")


async def test_the_newest_trading_status_of_each_user_is_kept(place):
    store = await place.opened()
    halted = TradingStatus(ANN, TradingState.HALTED, 5, "enough")
    resumed, other = TradingStatus(ANN, TradingState.ACTIVE, 9), TradingStatus(BOB, TradingState.REDUCING, 7, "Ä")
    await store.commit([(PutTradingStatus(halted),), (PutTradingStatus(other), PutTradingStatus(resumed))])
    assert await store.trading_statuses() == [resumed, other]
    await store.close()
    store = await place.opened()
    assert await store.trading_statuses() == [resumed, other]
    await store.close()


# -- the file --


@pytest.fixture(params=[InlineRunner, ThreadRunner])
def runner(request):
    return request.param


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert error.value.cure
    return text


class HeldRunner(ThreadRunner):
    """Stops before each call, in the thread, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go_on = trio.Event(), threading.Event()

    async def run(self, function):
        token = trio.lowlevel.current_trio_token()

        def held():
            token.run_sync_soon(self.began.set)
            assert self.go_on.wait(5)
            return function()

        return await super().run(held)


async def test_a_commit_cancelled_in_its_middle_runs_to_its_end_in_the_thread(tmp_path):
    runners: list[HeldRunner] = []

    def make_runner() -> HeldRunner:
        runners.append(HeldRunner())
        runners[-1].go_on.set()
        return runners[-1]

    store = SqliteStore(tmp_path / "arbiter.db", make_runner)
    await store.open()
    writing = runners[0]
    writing.began, writing.go_on = trio.Event(), threading.Event()
    first = order("1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, [(PutOrder(first), PutAccount(Account(ANN, "Ann")))])
        await writing.began.wait()
        nursery.cancel_scope.cancel()
        writing.go_on.set()
    assert await store.orders(ANN) == [first]
    assert await store.accounts() == [Account(ANN, "Ann")]
    assert await store.commit([(PutOrder(order("2")),)]) == [Committed(0)]
    await store.close()


@pytest.mark.parametrize("before", [None, 0o644])
async def test_the_files_are_their_owners_alone_also_where_they_were_wider(tmp_path, runner, before):
    path = tmp_path / "arbiter.db"
    files = [path, tmp_path / "arbiter.db-wal", tmp_path / "arbiter.db-shm"]
    store = SqliteStore(path, runner)
    umask = os.umask(0)
    try:
        if before is not None:
            killed = apsw.Connection(str(path))
            killed.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x)").fetchall()
            for file in files:
                file.chmod(before)
        await store.open()
        await store.commit([(PutOrder(order("1")),)])
    finally:
        os.umask(umask)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    await store.close()
    if before is not None:
        killed.close()


async def test_a_file_of_a_newer_schema_is_refused_untouched(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    newer = apsw.Connection(str(path))
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    with pytest.raises(ConfigError) as error:
        await SqliteStore(path, runner).open()
    assert f"schema {SCHEMA_VERSION + 1}" in one_line(error)
    again = apsw.Connection(str(path))
    assert again.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]
    again.close()


async def test_a_file_of_an_older_schema_is_brought_up_to_date_and_keeps_what_it_held(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    store = SqliteStore(path, runner)
    await store.open()
    await store.commit([(PutOrder(order("1")),)])
    await store.close()
    older = apsw.Connection(str(path))
    later = (
        "DROP TABLE trading_statuses; DROP INDEX fills_of_order; DROP TABLE token_families; DROP TABLE second_factors; DROP TABLE audit;"
        "DROP INDEX orders_of_user;"
    )
    older.execute(f"{later} PRAGMA user_version = 1")
    older.close()
    await store.open()
    assert await store.orders(ANN) == [order("1")]
    assert await store.trading_statuses() == []
    assert await store.commit([(PutTradingStatus(TradingStatus(ANN)),)]) == [Committed(0)]
    await store.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    path.write_bytes(b"not a database, " * 1000)
    with pytest.raises(ConfigError) as error:
        await SqliteStore(path, runner).open()
    assert str(path) in one_line(error)
    assert path.read_bytes() == b"not a database, " * 1000


async def test_a_database_whose_pages_are_destroyed_is_refused(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    store = SqliteStore(path, runner)
    await store.open()
    await store.close()
    raw = bytearray(path.read_bytes())
    raw[100:] = b"\xff" * len(raw[100:])
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as error:
        await SqliteStore(path, runner).open()
    one_line(error)


async def test_a_place_where_no_file_can_be_is_refused(tmp_path, runner):
    for path in (tmp_path, tmp_path / "nowhere" / "arbiter.db"):
        with pytest.raises(ConfigError) as error:
            await SqliteStore(path, runner).open()
        assert str(path) in one_line(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
async def test_a_file_that_may_not_be_written_is_refused(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    store = SqliteStore(path, runner)
    await store.open()
    await store.close()
    path.chmod(0o400)
    with pytest.raises(ConfigError) as error:
        await SqliteStore(path, runner).open()
    one_line(error)


async def test_a_store_that_refused_to_open_can_be_closed_and_opened_elsewhere(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    path.mkdir()
    store = SqliteStore(path, runner)
    with pytest.raises(ConfigError):
        await store.open()
    await store.close()
    path.rmdir()
    await store.open()
    assert await store.orders() == []
    await store.close()


async def test_a_store_that_is_not_open_says_so(tmp_path, runner):
    store = SqliteStore(Path(tmp_path / "arbiter.db"), runner)
    with pytest.raises(StoreError, match="not open"):
        await store.commit([])
    with pytest.raises(StoreError, match="not open"):
        await store.orders()
    await store.open()
    await store.close()
    with pytest.raises(StoreError, match="not open"):
        await store.accounts()


async def test_a_failing_medium_is_a_store_error_and_nothing_of_the_commit_is_kept(tmp_path, runner):
    path = tmp_path / "arbiter.db"
    store = SqliteStore(path, runner)
    await store.open()
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    store._writer.set_busy_timeout(0)
    with pytest.raises(StoreError, match="could not write"):
        await store.commit([(PutOrder(order("1")),)])
    other.execute("ROLLBACK")
    assert await store.orders(ANN) == []
    assert await store.commit([(PutOrder(order("2")),)]) == [Committed(0)]
    other.close()
    await store.close()


async def test_a_full_disk_is_named_keeps_nothing_of_the_commit_and_ends_when_there_is_room_again(tmp_path, runner):
    store = SqliteStore(tmp_path / "arbiter.db", runner)
    await store.open()
    full_disk(store)
    with pytest.raises(StoreError, match="could not write: database or disk is full"):
        await store.commit([(PutOrder(order("1")),), (PutOrder(order("2", reason="x" * 10_000)),)])
    assert await store.orders(ANN) == []
    assert await store.commit([()]) == [Committed(0)]
    store._writer.execute("PRAGMA max_page_count = 1000000")
    assert await store.commit([(PutOrder(order("2", reason="x" * 10_000)),)]) == [Committed(0)]
    await store.close()


def full_disk(store: SqliteStore) -> None:
    """As if no page more found room."""
    ((pages,),) = store._writer.execute("PRAGMA page_count")
    store._writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()
