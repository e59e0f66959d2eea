"""The four streams over the whole program, by the official client: snapshot, changes, cursor and resume, and whose they are."""

import grpc
import msgspec
import pytest
import trio

from arbiter.rpc import book_feed
from arbiter.runtime.testing import confuse
from arbiter.v1 import market_pb2, strategy_pb2, trading_pb2

MICRO = 1_000_000
PLACE, CANCEL = "TradingService/PlaceOrder", "TradingService/CancelOrder"


class Caller:
    """One account's calls."""

    def __init__(self, program, official, user):
        self._program, self._official = program, official
        self.user, self.metadata = user, program.bearer(user)

    async def ask(self, path, request, reply):
        return await self._official.call(f"arbiter.v1.{path}", request, reply, metadata=self.metadata)

    async def place(self, key, *, price=400_000, size=10, side=market_pb2.SIDE_BUY, outcome=None):
        """A limit order that rests, where its price is not met."""
        request = trading_pb2.OrderRequest(
            idempotency_key=key,
            outcome=ref(outcome or self._program.poly.yes_key),
            side=side,
            price_micros=price,
            size_micros=size * MICRO,
            time_in_force=market_pb2.TIME_IN_FORCE_GTC,
        )
        return (await self.ask(PLACE, request, trading_pb2.OrderResponse)).order

    async def cancel(self, order):
        return (await self.ask(CANCEL, trading_pb2.CancelRequest(order_id=order.order_id), trading_pb2.CancelResponse)).order

    def stream(self, path, request, reply):
        return self._official.stream(f"arbiter.v1.{path}", request, reply, metadata=self.metadata)

    def orders(self, resume_after=None):
        return self.stream(
            "TradingService/StreamOrders", trading_pb2.StreamOrdersRequest(resume_after=resume_after), trading_pb2.OrderUpdate
        )

    def positions(self, resume_after=None):
        request = trading_pb2.PositionsRequest(resume_after=resume_after)
        return self.stream("TradingService/StreamPositions", request, trading_pb2.PositionUpdate)

    def opportunities(self, **request):
        return self.stream("StrategyService/GetArbOpportunities", strategy_pb2.ArbRequest(**request), strategy_pb2.ArbOpportunity)

    def books(self, *outcomes, resume_after=None):
        request = market_pb2.StreamBookRequest(outcomes=map(ref, outcomes), resume_after=resume_after)
        return self.stream("MarketService/StreamBook", request, market_pb2.BookUpdate)

    async def next(self, call):
        return await self._official.first(call)

    async def refusal(self, call):
        with pytest.raises(grpc.RpcError) as caught:
            await self.next(call)
        return caught.value.code(), caught.value.details()


@pytest.fixture
def caller(program, make_official):
    official = make_official(program.address)
    return lambda user="pro": Caller(program, official, user)


def ref(outcome):
    return market_pb2.OutcomeRef(venue=outcome.venue, market_id=outcome.market, outcome_id=outcome.outcome)


# -- orders --


async def test_orders_stream_as_those_that_are_open_and_then_each_change_until_the_last(caller):
    me, other = caller(), caller("enterprise")
    resting = await me.place("a")
    call = me.orders()
    first = await me.next(call)
    assert (first.snapshot, list(first.orders), first.sequence, first.more) == (True, [resting], 1, False)
    await other.place("a")
    filled = await me.place("b", price=460_000)
    told = await me.next(call)
    assert (told.snapshot, list(told.orders), told.sequence, told.conflated) == (False, [filled], 2, 0)
    assert filled.state == trading_pb2.ORDER_STATE_FILLED
    ended = await me.cancel(resting)
    assert list((await me.next(call)).orders) == [ended]
    call.cancel()


async def test_a_stream_of_orders_goes_on_from_its_cursor_with_what_ended_meanwhile(caller):
    me = caller()
    stays, ends = await me.place("a"), await me.place("b")
    call = me.orders()
    first = await me.next(call)
    assert {order.order_id for order in first.orders} == {stays.order_id, ends.order_id}
    call.cancel()
    ended = await me.cancel(ends)
    opened = await me.place("c")
    call = me.orders(first.cursor)
    missed = await me.next(call)
    assert (missed.snapshot, list(missed.orders)) == (False, [ended, opened])
    call.cancel()
    nothing = await me.next(me.orders(missed.cursor))
    assert (nothing.snapshot, list(nothing.orders)) == (False, [])


async def test_a_cursor_of_another_user_or_of_nonsense_begins_with_a_snapshot_of_ones_own(caller):
    me, other = caller(), caller("enterprise")
    mine = await me.place("a")
    theirs = (await other.next(other.orders())).cursor
    for cursor in (theirs, market_pb2.Cursor(), market_pb2.Cursor(epoch=-1, sequence=-(2**63)), market_pb2.Cursor(epoch=theirs.epoch)):
        first = await me.next(call := me.orders(cursor))
        assert (first.snapshot, list(first.orders)) == (True, [mine])
        call.cancel()


async def test_a_cursor_of_another_stream_fits_none_however_often_their_publishers_begin_anew(program, caller):
    me = caller()
    calls = me.orders(), me.positions(), me.opportunities(resume_after=market_pb2.Cursor()), me.books(program.poly.yes_key)
    epochs = [(await me.next(call)).cursor.epoch for call in calls]
    assert len({epoch >> 16 for epoch in epochs}) == len(calls)  # a restart adds one


async def test_after_the_desk_has_crashed_a_stream_goes_on_and_loses_no_order(program, caller, eventually):
    me = caller()
    resting = await me.place("a")
    call = me.orders()
    await me.next(call)
    confuse(program.arbiter.core.desks[program.poly.key.venue])
    statuses = program.arbiter.core.statuses
    await eventually(lambda: any(each.restarts == 1 and each.name.endswith("polymarket_desk") for each in statuses()))
    await eventually(lambda: all(each.state in ("running", "passive") for each in statuses()))  # who stands behind the desk came back too
    ended = await me.cancel(resting)
    assert list((await me.next(call)).orders) == [ended]
    late = await me.next(me.orders())
    assert list(late.orders) == []


# -- positions --


async def test_positions_go_on_from_a_cursor_with_those_that_closed_meanwhile(program, caller):
    me = caller()
    await me.place("a", price=460_000)
    await me.place("b", price=460_000, outcome=program.kalshi.yes_key)
    first = await me.next(call := me.positions())
    assert (first.snapshot, len(first.positions)) == (True, 2)
    call.cancel()
    await me.place("c", price=440_000, side=market_pb2.SIDE_SELL)
    missed = await me.next(call := me.positions(first.cursor))
    assert not missed.snapshot
    sizes = {each.outcome.venue: each.size_micros for each in missed.positions}
    assert sizes["polymarket"] == 0
    call.cancel()


async def test_after_a_restart_of_who_keeps_positions_a_stream_has_one_new_snapshot_of_all(program, caller, eventually):
    me = caller()
    await me.place("a", price=460_000)
    call = me.positions()
    first = await me.next(call)
    confuse(program.arbiter.core.tracker)
    await eventually(lambda: program.arbiter.core.position_changes.epoch == 2)
    again = await me.next(call)
    assert (again.snapshot, [each.size_micros for each in again.positions]) == (True, [10 * MICRO])
    assert again.cursor.epoch != first.cursor.epoch
    call.cancel()
    fresh = await me.next(me.positions(first.cursor))
    assert fresh.snapshot


async def test_another_users_changes_are_neither_told_nor_counted(program, caller):
    me, other = caller(), caller("enterprise")
    call = me.positions()
    assert list((await me.next(call)).positions) == []
    for key in "abc":
        await other.place(key, price=460_000)
    await me.place("a", price=460_000)
    update = await me.next(call)
    assert (len(update.positions), update.conflated, update.sequence) == (1, 0, 2)
    call.cancel()


# -- opportunities --


async def test_opportunities_go_on_from_a_cursor_and_who_asks_is_told_where_a_snapshot_begins(program, caller, eventually):
    me = caller()
    live = program.arbiter.core.opportunities
    program.world.open_gap()
    await eventually(lambda: len(live))
    call = me.opportunities(resume_after=market_pb2.Cursor())
    marker, opened = await me.next(call), await me.next(call)
    assert (marker.state, marker.opportunity_id, marker.sequence) == (strategy_pb2.OPPORTUNITY_STATE_SNAPSHOT, "", 1)
    assert (opened.state, opened.sequence) == (strategy_pb2.OPPORTUNITY_STATE_OPENED, 2)
    call.cancel()
    program.world.close_gap()
    await eventually(lambda: not len(live))
    closed = await me.next(call := me.opportunities(resume_after=opened.cursor))
    assert (closed.state, closed.opportunity_id) == (strategy_pb2.OPPORTUNITY_STATE_CLOSED, opened.opportunity_id)
    assert closed.legs == opened.legs
    assert closed.reason
    call.cancel()
    other = await me.next(call := me.opportunities(resume_after=closed.cursor, min_net_per_contract_micros=2))
    assert other.state == strategy_pb2.OPPORTUNITY_STATE_SNAPSHOT
    call.cancel()


# -- books --


async def test_books_stream_as_they_are_and_as_they_change_and_no_others(program, caller):
    me = caller()
    yes = program.kalshi.yes_key
    call = me.books(yes, program.poly.no_key)
    first = await me.next(call)
    assert (first.snapshot, {book.outcome.outcome_id for book in first.books}) == (True, {"yes", "1002"})
    program.world.open_gap("0.60", "0.62")
    update = await me.next(call)
    while update.books[0].bids[0].price_micros != 600_000:  # one may become fresh first
        update = await me.next(call)
    (book,) = update.books
    assert (book.outcome, book.asks[0].price_micros, book.fresh, update.snapshot) == (ref(yes), 620_000, True, False)
    call.cancel()
    nothing = await me.next(call := me.books(program.poly.no_key, yes, resume_after=update.cursor))
    assert (nothing.snapshot, list(nothing.books)) == (False, [])
    call.cancel()


async def test_a_book_that_is_not_fresh_any_more_is_told_though_it_did_not_change(program, caller, monkeypatch):
    monkeypatch.setattr(book_feed.BookFeed, "look_seconds", 0.01)
    me, fresh = caller(), True
    monkeypatch.setattr(book_feed.BookSource, "is_fresh", lambda *_: fresh)
    call = me.books(program.kalshi.yes_key)
    (book,) = (await me.next(call)).books
    assert book.fresh
    fresh = False
    (again,) = (await me.next(call)).books
    assert (again.fresh, again.bids) == (False, book.bids)
    call.cancel()


@pytest.mark.parametrize("count", [0, 51])
async def test_a_stream_of_no_books_or_of_too_many_is_refused(program, caller, count):
    me = caller()
    outcomes = [program.kalshi.yes_key._replace(market=f"m{number}") for number in range(count)]
    assert await me.refusal(me.books(*outcomes)) == (grpc.StatusCode.INVALID_ARGUMENT, f"outcomes: must be 1 to 50, not {count}")


async def test_an_outcome_twice_or_without_its_parts_is_refused_naming_it(program, caller):
    me, yes = caller(), program.kalshi.yes_key
    assert (await me.refusal(me.books(yes, yes)))[1] == "outcomes: names an outcome twice"
    assert (await me.refusal(me.books(yes, yes._replace(market=""))))[1] == "outcomes[1].market_id: is required"


# -- all of them --


async def test_streams_of_every_kind_count_toward_the_tier(program, caller):
    me = caller("free")
    calls = [me.orders(), me.books(program.kalshi.yes_key)]
    for call in calls:
        await me.next(call)
    code, text = await me.refusal(me.positions())
    assert (code, text.startswith("2 streams are open already")) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    for call in calls:
        call.cancel()


async def test_a_reader_that_reads_nothing_keeps_one_change_of_each_key_and_slows_nobody(program, caller, eventually, connect_raw):
    """With no window at all from the first byte on."""
    me, yes = caller(), program.kalshi.yes_key
    body = market_pb2.StreamBookRequest(outcomes=[ref(yes)]).SerializeToString()
    async with connect_raw(program.port) as raw:
        raw.h2.update_settings({4: 0})  # INITIAL_WINDOW_SIZE
        await raw.send()
        number = raw.begin("/arbiter.v1.MarketService/StreamBook", extra=me.metadata)
        raw.message(number, body)
        await raw.send()
        await eventually(lambda: program.arbiter.front.server.calls == 1)
        quick = me.books(yes)
        await me.next(quick)
        for cents in (60, 61, 62):
            program.world.open_gap(f"0.{cents}", "0.70")
            update = await me.next(quick)
            while update.books[0].bids[0].price_micros != cents * 10_000:
                update = await me.next(quick)
        raw.h2.increment_flow_control_window(100_000, number)
        await raw.send()
        received = b""
        told = []
        with trio.fail_after(10):
            while not told or told[-1].books[0].bids[0].price_micros != 620_000:
                data = await raw.stream.receive_some(65_536)
                received += b"".join(
                    event.data for event in raw.h2.receive_data(bytes(data)) if hasattr(event, "data") and isinstance(event.data, bytes)
                )
                while len(received) >= 5 and len(received) >= 5 + int.from_bytes(received[1:5], "big"):
                    length = int.from_bytes(received[1:5], "big")
                    told.append(market_pb2.BookUpdate.FromString(received[5 : 5 + length]))
                    received = received[5 + length :]
        quick.cancel()
    assert len(told) <= 3  # the snapshot, what was under way, and the newest
    assert sum(len(each.books) for each in told) + sum(each.conflated for each in told) >= 4


@pytest.mark.parametrize("part", ["venue", "market_id", "outcome_id"])
async def test_a_stream_of_books_of_what_nobody_lists_is_not_found_as_the_book_itself(program, caller, part):
    me, known = caller(), program.kalshi.yes_key
    request = market_pb2.StreamBookRequest(outcomes=[ref(known), ref(known)])
    setattr(request.outcomes[1], part, "nothing")
    code, text = await me.refusal(me.stream("MarketService/StreamBook", request, market_pb2.BookUpdate))
    assert code is grpc.StatusCode.NOT_FOUND
    assert ("no venue 'nothing'" if part == "venue" else "outcomes[1]: kalshi lists no such outcome") in text


async def test_a_stream_of_books_of_a_venue_that_has_listed_nothing_yet_waits_for_it(program, caller, monkeypatch):
    me, outcome = caller(), program.kalshi.yes_key
    markets = program.arbiter.core.data.markets
    with monkeypatch.context() as before:
        before.setattr(markets, "get", lambda *_: None)
        before.setattr(markets, "values", lambda *_: [])
        call = me.books(outcome)
        assert (await me.next(call)).snapshot
    call.cancel()


QUIET = {
    "MarketService/StreamBook": lambda program: market_pb2.StreamBookRequest(outcomes=[ref(program.kalshi.yes_key)]),
    "MarketService/StreamTrades": lambda program: market_pb2.StreamTradesRequest(outcomes=[ref(program.kalshi.yes_key)]),
    "TradingService/StreamPositions": lambda program: trading_pb2.PositionsRequest(),
    "TradingService/StreamOrders": lambda program: trading_pb2.StreamOrdersRequest(),
    "StrategyService/GetArbOpportunities": lambda program: strategy_pb2.ArbRequest(resume_after=market_pb2.Cursor()),
}


@pytest.mark.parametrize("path", QUIET)
async def test_a_reader_that_takes_nothing_of_what_waits_is_ended_and_says_why(program, caller, eventually, connect_raw, path):
    server = program.arbiter.front.server
    server.limits = msgspec.structs.replace(server.limits, slow_seconds=0.5)
    me = caller()
    async with connect_raw(program.port) as raw:
        raw.h2.update_settings({4: 0})  # INITIAL_WINDOW_SIZE
        await raw.send()
        number = raw.begin(f"/arbiter.v1.{path}", extra=me.metadata)
        raw.message(number, QUIET[path](program).SerializeToString())
        await raw.send()
        await raw.ended(number)
        trailers = raw.header_blocks(number)[-1]
        assert trailers["grpc-status"] == str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    await eventually(lambda: server.calls == 0)
    core = program.arbiter.core
    topics = (core.position_changes, core.order_changes, core.opportunities)
    assert [len(topic.sinks) for topic in topics] == [0, 0, 0]
