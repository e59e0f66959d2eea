"""PaperDesk: fills against the live book, durable before told, the same orders after a restart, no less on a full disk."""

from contextlib import suppress

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from arbiter.actors.brake import Halt, Resume
from arbiter.actors.journal import Commit
from arbiter.actors.paper_desk import NEVER_SENT, STOPPED, Cancel, OrderChanged, Reconcile, Submit
from arbiter.domain.book import Side
from arbiter.domain.ids import KALSHI, POLYMARKET, OrderId, UserId
from arbiter.domain.ledger import SettlementEntry
from arbiter.domain.market import KalshiFees, PolymarketFees
from arbiter.domain.market_events import BooksInvalid
from arbiter.domain.money import parse_micros
from arbiter.domain.order import Order, OrderState, TimeInForce
from arbiter.errors import ActorStopped, NotFound, StoreError
from arbiter.store.base import AddEntry, PutOrder
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN, BOB = UserId("ann"), UserId("bob")
BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


class Desk:
    """Asks the desk as a session would: the order is durable as pending before it is submitted."""

    def __init__(self, scene) -> None:
        self._scene = scene
        self._count = 0

    async def pending(self, side=BUY, price="0.45", size="10", tif=GTC, *, outcome=None, user=ANN) -> Order:
        self._count += 1
        outcome = outcome or self._scene.yes
        order = Order(
            OrderId(f"o{self._count}"), user, outcome, side, parse_micros(price), parse_micros(size), tif, f"k{self._count}", self._count
        )
        await self._scene.journal.ref.ask(Commit((PutOrder(order),)), timeout=60)
        return order

    async def submit(self, *args, **named) -> Order:
        return await self.ask(Submit(await self.pending(*args, **named)))

    async def ask(self, request, venue=POLYMARKET):
        return await self._scene.desks[venue].ref.ask(request, timeout=60)


@pytest.fixture
def desk(scene):
    return Desk(scene)


def summary(order: Order) -> tuple[OrderState, str]:
    return order.state, str(order.filled / 1_000_000)


# -- arriving orders --


@pytest.mark.parametrize(
    ("tif", "price", "size", "expected"),
    [
        (IOC, "0.45", "10", (OrderState.FILLED, "10.0")),
        (IOC, "0.45", "50", (OrderState.CANCELLED, "30.0")),
        (IOC, "0.40", "50", (OrderState.CANCELLED, "0.0")),
        (FOK, "0.45", "30", (OrderState.FILLED, "30.0")),
        (FOK, "0.45", "30.01", (OrderState.CANCELLED, "0.0")),
        (GTC, "0.46", "60", (OrderState.FILLED, "60.0")),
        (GTC, "0.45", "50", (OrderState.PARTIALLY_FILLED, "30.0")),
        (GTC, "0.40", "50", (OrderState.OPEN, "0.0")),
    ],
)
async def test_an_arriving_buy_takes_what_its_limit_allows_and_ends_by_its_time_in_force(
    autojump_clock, scene, desk, tif, price, size, expected
):
    async with scene.running():
        await scene.quote(scene.yes, "0.42x5", "0.44x10 0.45x20 0.46x30")
        order = await desk.submit(BUY, price, size, tif)
        assert summary(order) == expected
        assert await scene.store.order(order.id) == order
        assert sum((await scene.held()).values()) == order.filled


async def test_a_sale_takes_the_bids_and_the_position_shrinks(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.42x5 0.41x10", "0.44x10")
        await desk.submit(BUY, "0.44", "10", IOC)
        order = await desk.submit(SELL, "0.41", "8", IOC)
        assert summary(order) == (OrderState.FILLED, "8.0")
        assert await scene.held() == {scene.yes: parse_micros("2")}


async def test_each_level_is_a_fill_with_its_own_price_and_fee_in_one_durable_group(autojump_clock, scene, desk):
    scene.polymarket.markets = [msgspec.structs.replace(scene.market, fees=PolymarketFees(parse_micros("0.05")))]
    async with scene.running():
        await scene.quote(scene.yes, "0.42x5", "0.44x10 0.45x20")
        pending = await desk.pending(BUY, "0.45", "15", IOC)
        scene.store.commits.clear()
        with scene.order_changes.subscribe("backpressure") as (_, changes):
            order = await desk.ask(Submit(pending))
            change = await changes.receive()
        assert change == OrderChanged(order, change.fills)
        assert [(str(f.price / 1e6), str(f.size / 1e6), f.fee) for f in change.fills] == [
            ("0.44", "10.0", 123_200),
            ("0.45", "5.0", 61_880),
        ]
        assert scene.store.commits == [1]
        assert [numbered.entry.fill for numbered in await scene.store.ledger_after(0, 10)] == list(change.fills)


async def test_nothing_is_told_before_it_is_durable_and_positions_come_before_the_answer(autojump_clock, scene, desk):
    async with scene.running(), trio.open_nursery() as nursery:
        await scene.quote(scene.yes, "0.42x5", "0.44x10")
        pending = await desk.pending(BUY, "0.44", "10", IOC)
        answers = []

        async def submit() -> None:
            answers.append(await desk.ask(Submit(pending)))
            answers.append(await scene.held())

        with scene.order_changes.subscribe("backpressure") as (_, changes):
            scene.store.gate = trio.Event()
            nursery.start_soon(submit)
            with trio.move_on_after(3) as early:
                await changes.receive()
            assert early.cancelled_caught
            assert not answers
            scene.store.gate.set()
            await wait_all_tasks_blocked()
        assert answers[1] == {scene.yes: parse_micros("10")}


@pytest.mark.parametrize("trouble", ["no book", "invalid", "stale"])
async def test_without_a_fresh_book_an_order_is_rejected_and_that_is_durable(autojump_clock, scene, desk, trouble):
    async with scene.running():
        if trouble != "no book":
            await scene.quote(scene.yes, "0.42x5", "0.44x10")
        if trouble == "invalid":
            scene.polymarket.tell(BooksInvalid("a gap", (scene.yes, scene.no)))
        if trouble == "stale":
            scene.polymarket.alive = False
            await trio.sleep(15)
        order = await desk.submit(BUY, "0.45", "10", IOC)
        assert order.state is OrderState.REJECTED
        assert "not fresh" in order.reason
        assert await scene.store.order(order.id) == order


@pytest.mark.parametrize("fees", [None, PolymarketFees(parse_micros("0.05"), exponent=9)])
async def test_an_order_whose_fees_cannot_be_known_is_rejected_and_the_desk_lives_on(autojump_clock, scene, desk, fees):
    scene.polymarket.markets = [msgspec.structs.replace(scene.market, fees=fees)]
    async with scene.running():
        await scene.quote(scene.yes, "0.42x5", "0.44x10")
        order = await desk.submit(BUY, "0.45", "10", IOC)
        assert order.state is OrderState.REJECTED
        assert "fee" in order.reason
        assert await scene.store.order(order.id) == order
        assert all(status.restarts == 0 for status in scene.supervisor.statuses())


# -- resting orders --


async def test_a_resting_order_is_filled_at_its_own_limit_when_the_other_side_comes_to_it(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        await scene.quote(scene.yes, "0.40x5", "0.44x10")
        assert await scene.held() == {}
        await scene.quote(scene.yes, "0.40x5", "0.42x4")
        kept = await scene.store.order(order.id)
        assert summary(kept) == (OrderState.PARTIALLY_FILLED, "4.0")
        await scene.quote(scene.yes, "0.40x5", "0.43x50")
        kept = await scene.store.order(order.id)
        assert summary(kept) == (OrderState.FILLED, "10.0")
        entries = await scene.store.ledger_after(0, 10)
        assert {numbered.entry.fill.price for numbered in entries} == {parse_micros("0.43")}
        assert scene.data.books.subscribers == 4  # the scanner's, one for each outcome of its pair


async def test_a_level_that_merely_stays_is_not_taken_again(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x10")
        order = await desk.submit(BUY, "0.45", "30")
        for _ in range(5):
            await scene.quote(scene.yes, "0.40x6", "0.44x10")
        assert summary(await scene.store.order(order.id)) == (OrderState.PARTIALLY_FILLED, "10.0")
        await scene.quote(scene.yes, "0.40x6", "0.44x13")
        assert summary(await scene.store.order(order.id)) == (OrderState.PARTIALLY_FILLED, "13.0")


async def test_an_invalid_book_fills_nothing(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        scene.polymarket.tell(BooksInvalid("a gap", (scene.yes, scene.no)))
        await wait_all_tasks_blocked()
        assert (await scene.store.order(order.id)).state is OrderState.OPEN


async def test_resting_orders_of_one_outcome_all_see_the_book_and_those_of_another_do_not(autojump_clock, scene, desk):
    async with scene.running():
        for outcome in (scene.yes, scene.no):
            await scene.quote(outcome, "0.30x5", "0.46x10")
        first, second = await desk.submit(BUY, "0.43", "10"), await desk.submit(BUY, "0.44", "10", user=BOB)
        other = await desk.submit(BUY, "0.43", "10", outcome=scene.no)
        await scene.quote(scene.yes, "0.30x5", "0.43x10")
        states = [(await scene.store.order(order.id)).state for order in (first, second, other)]
        assert states == [OrderState.FILLED, OrderState.FILLED, OrderState.OPEN]


# -- cancelling --


async def test_a_cancelled_order_is_durable_told_and_never_filled_again(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        with scene.order_changes.subscribe("backpressure") as (_, changes):
            ended = await desk.ask(Cancel(ANN, order.id))
            assert (await changes.receive()).order == ended
        assert (ended.state, ended.reason) == (OrderState.CANCELLED, "cancelled by the user")
        await scene.quote(scene.yes, "0.40x5", "0.41x10")
        assert await scene.store.order(order.id) == ended
        assert await scene.held() == {}


async def test_a_partly_filled_order_keeps_its_fills_when_it_is_cancelled(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        order = await desk.submit(BUY, "0.45", "10")
        ended = await desk.ask(Cancel(ANN, order.id))
        assert summary(ended) == (OrderState.CANCELLED, "4.0")
        assert await scene.held() == {scene.yes: parse_micros("4")}


async def test_a_final_order_is_given_back_as_it_is(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x40")
        order = await desk.submit(BUY, "0.45", "10")
        assert await desk.ask(Cancel(ANN, order.id)) == order
        assert await desk.ask(Reconcile(ANN, order.id)) == order


async def test_nobody_cancels_the_order_of_another_or_one_of_another_venue(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        for request, venue in [
            (Cancel(BOB, order.id), POLYMARKET),
            (Cancel(ANN, order.id), KALSHI),
            (Reconcile(BOB, order.id), POLYMARKET),
            (Cancel(ANN, OrderId("none")), POLYMARKET),
        ]:
            with pytest.raises(NotFound):
                await desk.ask(request, venue)
        assert (await scene.store.order(order.id)).state is OrderState.OPEN


async def test_to_reconcile_cancels_what_never_arrived_and_leaves_what_rests(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        resting, lost = await desk.submit(BUY, "0.43", "10"), await desk.pending(BUY, "0.43", "10")
        assert await desk.ask(Reconcile(ANN, resting.id)) == resting
        ended = await desk.ask(Reconcile(ANN, lost.id))
        assert (ended.state, ended.reason) == (OrderState.CANCELLED, NEVER_SENT)
        assert await scene.store.order(lost.id) == ended


# -- orders of stopped users --


async def halt(scene, user=ANN):
    await scene.brake.ref.ask(Halt(user, "enough"), timeout=60)


def ended(order: Order) -> tuple[OrderState, str]:
    return order.state, order.reason


BY_THE_STOP = (OrderState.CANCELLED, STOPPED)


async def test_what_rests_of_a_stopped_user_is_cancelled_where_a_better_quote_would_have_filled_it(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order, others = await desk.submit(BUY, "0.43", "10"), await desk.submit(BUY, "0.43", "10", user=BOB)
        await halt(scene)
        await scene.quote(scene.yes, "0.40x5", "0.41x50")
        assert ended(await scene.store.order(order.id)) == BY_THE_STOP
        assert (await scene.store.order(others.id)).state is OrderState.FILLED
        assert await scene.held() == {}


async def test_what_rests_of_a_stopped_user_is_cancelled_also_where_no_session_does_it_and_no_quote_comes(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        order = await desk.submit(BUY, "0.45", "10")
        await halt(scene)
        await trio.sleep(3)
        after = await scene.store.order(order.id)
        assert (ended(after), after.filled) == (BY_THE_STOP, parse_micros("4"))


@pytest.mark.parametrize("on_disk", [False, True])
async def test_what_rests_of_a_stopped_user_is_cancelled_at_the_start_after_a_program_that_ended_before(
    autojump_clock, scene, desk, tmp_path, on_disk
):
    if on_disk:
        scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order, others = await desk.submit(BUY, "0.43", "10"), await desk.submit(BUY, "0.43", "10", user=BOB)
        await halt(scene)
    scene.polymarket.books.clear()
    async with scene.running():
        assert ended(await scene.store.order(order.id)) == BY_THE_STOP
        assert await scene.store.order(others.id) == others
        await scene.quote(scene.yes, "0.30x5", "0.35x50")
        assert await scene.held() == {}


async def test_a_desk_that_starts_while_the_store_takes_no_cancels_comes_up_fills_nothing_and_cancels_later(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        await halt(scene)
        scene.store.refuse = lambda groups: any(isinstance(write, PutOrder) for group in groups for write in group)
        await scene.crash(scene.desks[POLYMARKET])
        await scene.quote(scene.yes, "0.30x5", "0.35x50")
        await scene.brake.ref.ask(Resume(ANN), timeout=60)
        await scene.quote(scene.yes, "0.30x5", "0.34x50")  # a resume does not bring back what the stop ended
        assert (await scene.store.order(order.id)).state is OrderState.OPEN
        assert {status.name: status.state for status in scene.supervisor.statuses()}["root/trading/polymarket_desk"] == "running"
        scene.store.refuse = lambda groups: False
        await trio.sleep(3)
        assert ended(await scene.store.order(order.id)) == BY_THE_STOP
        await scene.quote(scene.yes, "0.30x5", "0.35x50")
        assert await scene.held() == {}


async def test_all_that_rests_of_a_stopped_user_ends_in_one_group_and_is_told(autojump_clock, scene, desk):
    async with scene.running():
        for outcome in (scene.yes, scene.no):
            await scene.quote(outcome, "0.40x5", "0.46x10")
        orders = [await desk.submit(BUY, "0.43", "10", outcome=outcome) for outcome in (scene.yes, scene.no, scene.yes)]
        await halt(scene)
        scene.store.commits.clear()
        with scene.order_changes.subscribe("backpressure") as (_, changes):
            with trio.fail_after(3):
                told = [(await changes.receive()).order for _ in orders]
        assert sorted(order.id for order in told) == [order.id for order in orders]
        assert [await scene.store.order(order.id) for order in told] == told
        assert scene.store.commits == [1]
        assert scene.data.books.subscribers == 4  # the scanner's


# -- trouble --


@pytest.mark.parametrize("on_disk", [False, True])
async def test_after_a_restart_resting_orders_rest_on_and_pending_ones_are_cancelled(autojump_clock, scene, desk, tmp_path, on_disk):
    if on_disk:
        scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        partly, resting = await desk.submit(BUY, "0.45", "10"), await desk.submit(BUY, "0.43", "10")
        lost, elsewhere = await desk.pending(), await desk.pending(outcome=scene.k_yes)
    scene.add_accounts = []
    scene.polymarket.books.clear()
    async with scene.running():
        assert await scene.store.order(partly.id) == partly
        assert await scene.store.order(resting.id) == resting
        for order in (lost, elsewhere):
            ended = await scene.store.order(order.id)
            assert (ended.state, ended.reason) == (OrderState.CANCELLED, NEVER_SENT)
        await scene.quote(scene.yes, "0.40x5", "0.43x50")
        for order in (partly, resting):
            assert summary(await scene.store.order(order.id)) == (OrderState.FILLED, "10.0")
        assert await scene.held() == {scene.yes: parse_micros("20")}


async def test_a_commit_that_fails_reaches_the_asker_and_the_order_stays_pending_until_reconciled(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        pending = await desk.pending(BUY, "0.45", "10")
        scene.store.failures = 1
        with pytest.raises(StoreError, match="disk is full"):
            await desk.ask(Submit(pending))
        assert await scene.store.order(pending.id) == pending
        assert await scene.held() == {}
        assert (await desk.ask(Reconcile(ANN, pending.id))).state is OrderState.CANCELLED


async def test_a_commit_that_fails_under_a_resting_order_leaves_it_as_it_was_and_the_next_book_fills_it(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        scene.store.failures = 1
        await scene.quote(scene.yes, "0.40x5", "0.43x4")
        assert await scene.store.order(order.id) == order
        assert await desk.ask(Reconcile(ANN, order.id)) == order
        await scene.quote(scene.yes, "0.40x6", "0.43x4")
        assert summary(await scene.store.order(order.id)) == (OrderState.PARTIALLY_FILLED, "4.0")
        await trio.sleep(5)
        assert await scene.held() == {scene.yes: parse_micros("4")}
        assert restarts(scene) == 0


async def test_a_fill_that_the_store_did_not_take_comes_by_itself_where_no_other_book_does(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        scene.store.failures = 3
        await scene.quote(scene.yes, "0.40x5", "0.43x4")
        await trio.sleep(4)
        assert restarts(scene) == 0
        assert summary(await scene.store.order(order.id)) == (OrderState.PARTIALLY_FILLED, "4.0")
        assert await scene.held() == {scene.yes: parse_micros("4")}


def restarts(scene) -> int:
    return sum(status.restarts for status in scene.supervisor.statuses())


def told(log) -> list[str]:
    """What was logged as an error."""
    return [entry["event"] for entry in log if entry["log_level"] == "error"]


def full_disk(scene) -> None:
    scene.store.refuse = lambda groups: True


def room_again(scene) -> None:
    scene.store.refuse = lambda groups: False


async def test_a_full_disk_under_many_books_stops_no_desk_is_told_once_a_minute_and_heals(autojump_clock, scene, desk, log):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        await scene.quote(scene.k_yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        full_disk(scene)
        for number in range(110):
            await scene.quote(scene.yes, f"0.40x{number + 1}", "0.43x4")
            await trio.sleep(1)
        assert told(log) == ["a resting order cannot be filled: the store takes no writes"] * 2
        with pytest.raises(StoreError):
            await desk.ask(Cancel(ANN, order.id))
        room_again(scene)
        await trio.sleep(2)
        assert summary(await desk.ask(Cancel(ANN, order.id))) == (OrderState.CANCELLED, "4.0")
        assert await scene.held() == {scene.yes: parse_micros("4")}
        assert restarts(scene) == 0


async def test_a_desk_starts_on_a_full_disk_and_refuses_what_was_never_sent_until_its_end_is_durable(autojump_clock, scene, desk, log):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        resting, lost = await desk.submit(BUY, "0.43", "10"), await desk.pending(BUY, "0.45", "10")
        await desk.pending(BUY, "0.45", "10", outcome=scene.k_yes)
        full_disk(scene)
        await scene.crash(scene.desks[POLYMARKET])
        assert restarts(scene) == 2  # it and the other desk, which was not to blame
        for request in (Submit(lost), Reconcile(ANN, lost.id), Cancel(ANN, lost.id)):
            with pytest.raises(StoreError, match="disk is full"):
                await desk.ask(request)
        assert await scene.store.order(lost.id) == lost
        assert await desk.ask(Reconcile(ANN, resting.id)) == resting
        await trio.sleep(30)
        assert len([event for event in told(log) if event != "child crashed"]) == 2  # one for each desk
        with scene.order_changes.subscribe("backpressure") as (_, changes):
            room_again(scene)
            with trio.fail_after(2):
                news = {(await changes.receive()).order for _ in range(2)}
        ended = await scene.store.order(lost.id)
        assert ended in news
        assert (ended.state, ended.reason) == (OrderState.CANCELLED, NEVER_SENT)
        assert await desk.ask(Submit(lost)) == ended
        assert await scene.store.orders() == [resting]
        assert restarts(scene) == 2


async def test_a_desk_starts_where_its_first_word_with_the_journal_shared_a_transaction_that_failed(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        scene.store.failures = 1
        await scene.crash(scene.desks[POLYMARKET])
        assert await desk.ask(Reconcile(ANN, order.id)) == order
        assert restarts(scene) == 2


async def test_the_real_store_on_a_full_disk_stops_no_desk_and_heals(autojump_clock, scene, desk, tmp_path):
    store = scene.store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        ((pages,),) = store._writer.execute("PRAGMA page_count")
        store._writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        filler = msgspec.structs.replace(order, user=BOB, state=OrderState.CANCELLED)
        with suppress(StoreError):
            for number in range(1000):
                each = msgspec.structs.replace(filler, id=OrderId(f"filler {number}"), idempotency_key=f"{number}")
                await store.commit([(PutOrder(each),)])
        with suppress(StoreError):
            for number in range(1000):
                await store.commit([(AddEntry(SettlementEntry(BOB, scene.yes, parse_micros("0"), number)),)])
        await scene.quote(scene.yes, "0.40x5", "0.43x10")
        await trio.sleep(5)
        assert await store.order(order.id) == order
        assert restarts(scene) == 0
        with pytest.raises(StoreError, match="disk is full"):
            await desk.submit(BUY, "0.43", "10", tif=IOC)
        store._writer.execute("PRAGMA max_page_count = 1000000").fetchall()
        await trio.sleep(2)
        assert summary(await store.order(order.id)) == (OrderState.FILLED, "10.0")
        assert await scene.held() == {scene.yes: parse_micros("10")}
        assert (await desk.submit(BUY, "0.46", "5", tif=IOC)).state is OrderState.FILLED


async def test_a_fill_that_is_durable_is_not_made_again_where_the_positions_could_not_be_read(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.46x10")
        order = await desk.submit(BUY, "0.43", "10")
        real, failures = scene.store.ledger_after, ["once"]

        async def unreadable(sequence, limit):
            if failures:
                failures.pop()
                raise StoreError("the store could not read: the disk is gone")
            return await real(sequence, limit)

        scene.store.ledger_after = unreadable
        await scene.quote(scene.yes, "0.40x5", "0.43x4")
        assert not failures
        assert restarts(scene) == 0
        await scene.quote(scene.yes, "0.40x6", "0.43x4")
        assert summary(await scene.store.order(order.id)) == (OrderState.PARTIALLY_FILLED, "4.0")
        await trio.sleep(2)
        assert await scene.held() == {scene.yes: parse_micros("4")}


async def test_the_fees_of_an_order_go_on_after_a_restart_as_if_there_had_been_none(autojump_clock, scene, desk):
    scene.other = scene.kalshi.markets[0] = msgspec.structs.replace(scene.other, fees=KalshiFees(maker_fees=True))
    fees = []
    async with scene.running():
        for crash in (False, True):
            await scene.quote(scene.k_yes, "0.30x5", "0.41x3")
            order = await desk.ask(Submit(await desk.pending(BUY, "0.43", "20", outcome=scene.k_yes)), KALSHI)
            for number in range(1, 5):
                await scene.quote(scene.k_yes, "0.30x5", "0.60x3")
                if crash:
                    await scene.crash(scene.desks[KALSHI])
                await scene.quote(scene.k_yes, "0.30x5", "0.61x3")  # what it took is forgotten: it is no longer there
                await scene.quote(scene.k_yes, "0.30x5", f"0.43x{number}")
            entries = [numbered.entry.fill for numbered in await scene.store.ledger_after(0, 100)]
            fees.append([(fill.size, fill.fee) for fill in entries if fill.order == order.id])
            await desk.ask(Cancel(ANN, order.id), KALSHI)
    assert fees[0] == fees[1]
    assert len(fees[0]) == 5


async def test_a_commit_of_unknown_outcome_restarts_the_desk_which_then_knows_what_became_durable(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        pending = await desk.pending(BUY, "0.45", "10")
        scene.store.gate = trio.Event()
        with pytest.raises(ActorStopped):
            await desk.ask(Submit(pending))
        await trio.sleep(2)
        scene.store.gate.set()
        await trio.sleep(2)
        assert summary(await scene.store.order(pending.id)) == (OrderState.PARTIALLY_FILLED, "4.0")
        assert await scene.held() == {scene.yes: parse_micros("4")}
        assert summary(await desk.ask(Cancel(ANN, pending.id))) == (OrderState.CANCELLED, "4.0")


async def test_a_tracker_that_is_late_holds_no_order_up_for_ever(autojump_clock, scene, desk):
    async with scene.running():
        await scene.quote(scene.yes, "0.40x5", "0.44x4")
        pending = await desk.pending(BUY, "0.45", "10")
        real, held_back = scene.store.ledger_after, trio.Event()

        async def slow(sequence, limit):
            await held_back.wait()
            return await real(sequence, limit)

        scene.store.ledger_after = slow
        order = await desk.ask(Submit(pending))
        assert summary(order) == (OrderState.PARTIALLY_FILLED, "4.0")
        held_back.set()
        await trio.sleep(1.01)
        assert await scene.held() == {scene.yes: parse_micros("4")}
        assert summary(await desk.ask(Cancel(ANN, order.id))) == (OrderState.CANCELLED, "4.0")
