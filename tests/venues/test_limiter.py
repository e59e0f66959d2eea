"""Waiting for a turn, on trio's jumping clock, and what answers teach."""

import msgspec
import pytest
import trio
from trio.testing import MockClock

from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.runtime import Environment
from arbiter.venues.kalshi.limits import BASIC
from arbiter.venues.limit_table import NO_LIMITS, Charge, LimitTable, Rule
from arbiter.venues.limiter import LONGEST_PAUSE_SECONDS, LONGEST_WISH_SECONDS, Limiter
from arbiter.venues.polymarket.limits import CLOB, DATA, GAMMA
from arbiter.venues.request_line import Lane
from arbiter.venues.token_bucket import Limit

TABLE = LimitTable(
    (Limit("book", 1.0, 2), Limit("all", 10.0, 10), Limit("orders", 1.0, 5, each_owner=True)),
    (Rule("/", (Charge("all"),)), Rule("/book", (Charge("book"), Charge("all"))), Rule("/orders", (Charge("orders", each=True),), "POST")),
)


def limiter(table: LimitTable = TABLE) -> Limiter:
    return Limiter("venue", table, Environment.simulated(1))


async def test_requests_beyond_the_limit_wait_in_the_order_in_which_they_came(autojump_clock: MockClock) -> None:
    one, went = limiter(), []

    async def ask(number: int) -> None:
        await one.turn("GET", "/book", 60)
        went.append((number, trio.current_time() - began))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
    assert went == [(0, 0.0), (1, 0.0), *[(number, pytest.approx(number - 1, abs=0.01)) for number in range(2, 6)]]
    assert one.waiting == 0


async def test_a_wait_that_cannot_end_in_time_is_refused_at_once_and_says_when_to_come_back(autojump_clock: MockClock) -> None:
    one = limiter()
    for _ in range(2):
        await one.turn("GET", "/book", 0)
    with pytest.raises(VenueUnavailable) as refused:
        await one.turn("GET", "/book", 0.5)
    assert refused.value.retry_after_ms == pytest.approx(1000, abs=2)
    assert trio.current_time() == 0
    await one.turn("GET", "/elsewhere", 0)


async def test_who_is_cancelled_leaves_the_line_and_the_next_moves_up(autojump_clock: MockClock) -> None:
    one = limiter()
    for _ in range(2):
        await one.turn("GET", "/book", 0)
    with trio.move_on_after(0.2):
        await one.turn("GET", "/book", 60)
    assert one.waiting == 0
    await one.turn("GET", "/book", 60)
    assert trio.current_time() == pytest.approx(1, abs=0.01)


async def test_an_urgent_request_overtakes_and_one_for_another_bucket_does_not_wait_for_time_that_is_not_its_own(autojump_clock) -> None:
    one, went = limiter(), []

    async def ask(name: str, path: str, lane: Lane) -> None:
        await one.turn("GET", path, 60, lane=lane)
        went.append((name, round(trio.current_time(), 2)))

    for _ in range(10):
        await one.turn("GET", "/any", 0)
    for _ in range(2):
        await one.turn("GET", "/book", 60)
    async with trio.open_nursery() as nursery:
        for name, path, lane in (("a", "/book", Lane.ORDINARY), ("b", "/book", Lane.URGENT), ("c", "/any", Lane.ORDINARY)):
            nursery.start_soon(ask, name, path, lane)
            await trio.testing.wait_all_tasks_blocked()
    assert [name for name, _ in went] == ["c", "b", "a"]
    assert went[0][1] <= 0.31


async def test_every_owner_has_a_bucket_of_its_own_and_a_batch_costs_its_parts(autojump_clock: MockClock) -> None:
    one = limiter()
    await one.turn("POST", "/orders", 0, parts=5, owner="a")
    await one.turn("POST", "/orders", 0, parts=5, owner="b")
    with pytest.raises(VenueUnavailable):
        await one.turn("POST", "/orders", 0, owner="a")
    with pytest.raises(VenueRejected, match="6 parts"):
        await one.turn("POST", "/orders", 600, parts=6, owner="c")


async def test_a_429_that_names_a_time_stops_everyone_until_then(autojump_clock: MockClock) -> None:
    one = limiter()
    passage = await one.turn("GET", "/book", 0)
    assert one.learn(passage, 429, {"retry-after": "7"}) == 7000
    with pytest.raises(VenueUnavailable):
        await one.turn("GET", "/book", 5)
    await one.turn("GET", "/book", 60)
    assert trio.current_time() == pytest.approx(8, abs=0.01)  # the pause, and then the first token


async def test_a_429_without_a_time_stops_for_longer_each_time_within_a_bound(autojump_clock: MockClock) -> None:
    one = limiter()
    passage = await one.turn("GET", "/book", 0)
    pauses = [one.learn(passage, 429, {}) for _ in range(12)]
    assert all(isinstance(pause, int) for pause in pauses)
    assert 250 <= pauses[0] <= 500
    assert LONGEST_PAUSE_SECONDS * 500 <= pauses[-1] <= LONGEST_PAUSE_SECONDS * 1000
    one.learn(passage, 200, {})
    assert one.learn(passage, 429, {}) <= 500


@pytest.mark.parametrize("reset", ["4", "1767225604"])
async def test_what_polymarket_says_is_left_is_believed_where_it_is_less(autojump_clock: MockClock, reset: str) -> None:
    one = limiter()
    passage = await one.turn("POST", "/orders", 0, owner="a")
    one.learn(passage, 200, {"poly-ratelimit-remaining": "0", "poly-ratelimit-reset": reset, "poly-ratelimit-warning": "near"})
    assert one.warnings == 1
    await one.turn("POST", "/orders", 60, owner="a")
    assert trio.current_time() == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize("reset", ["99999999", "9" * 400, "-3", "soon", "", "1e9"])
async def test_no_wish_of_a_peer_stops_us_for_ever(autojump_clock: MockClock, reset: str) -> None:
    one = limiter()
    passage = await one.turn("POST", "/orders", 0, owner="a")
    one.learn(passage, 200, {"poly-ratelimit-remaining": "0", "poly-ratelimit-reset": reset})
    one.learn(passage, 429, {"retry-after": reset})
    await one.turn("POST", "/orders", 1e9, owner="a")
    assert trio.current_time() <= LONGEST_WISH_SECONDS + 2


async def test_a_limit_that_the_venue_tells_counts_at_once_for_who_waits(autojump_clock: MockClock) -> None:
    one = limiter()
    for _ in range(5):
        await one.turn("POST", "/orders", 0, owner="a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.turn, "POST", "/orders", 60)
        for _ in range(3):
            nursery.start_soon(lambda: one.turn("POST", "/orders", 60, owner="a"))
        await trio.testing.wait_all_tasks_blocked()
        one.change("orders", per_second=100, burst=50, owner="a")
    assert trio.current_time() == 0


async def test_without_limits_nothing_waits_and_a_429_is_handed_on(autojump_clock: MockClock) -> None:
    one = limiter(NO_LIMITS)
    for _ in range(1000):
        passage = await one.turn("GET", "/x", 0)
    assert one.learn(passage, 429, {"retry-after": "2"}) == 2000


@pytest.mark.parametrize("table", [CLOB, GAMMA, DATA, BASIC])
def test_every_charge_of_a_venues_table_names_a_limit_that_holds_it(table: LimitTable) -> None:
    limits = {limit.name: limit for limit in table.limits}
    assert len(limits) == len(table.limits)
    charges = [charge for rule in table.rules for charge in rule.charges]
    assert {charge.limit for charge in charges} == set(limits)
    assert all(charge.cost <= limits[charge.limit].burst and limits[charge.limit].per_second > 0 for charge in charges)


@pytest.mark.parametrize(
    ("table", "method", "path", "expected"),
    [
        (GAMMA, "GET", "/markets/keyset", {"markets": 1, "gamma": 1}),
        (GAMMA, "GET", "/tags", {"gamma": 1}),
        (CLOB, "POST", "/books", {"books": 1, "clob": 1}),
        (CLOB, "GET", "/booking", {"clob": 1}),
        (CLOB, "POST", "/order", {"orders": 1, "post_order": 1, "post_order_long": 1, "clob": 1}),
        (CLOB, "DELETE", "/order", {"cancels": 1, "delete_order": 1, "delete_order_long": 1, "clob": 1}),
        (CLOB, "GET", "/balance-allowance/update", {"refresh": 1, "clob": 1}),
        (BASIC, "GET", "/events", {"read": 10}),
        (BASIC, "GET", "/portfolio/orders/7", {"read": 2}),
        (BASIC, "GET", "/portfolio/orders/queue_positions", {"read": 10}),
        (BASIC, "DELETE", "/portfolio/events/orders", {"write": 2}),
        (BASIC, "DELETE", "/portfolio/events/orders/batched", {"write": 2}),
        (BASIC, "POST", "/portfolio/events/orders", {"write": 10}),
        (BASIC, "DELETE", "/portfolio/events/orders/7", {"write": 2}),
        (BASIC, "POST", "/portfolio/events/orders/7/amend", {"write": 10}),
    ],
)
def test_what_a_request_costs_is_what_the_venue_says(table: LimitTable, method: str, path: str, expected: dict[str, int]) -> None:
    assert {charge.limit: charge.cost for charge in table.charges(method, path)} == expected


def test_the_tables_are_data() -> None:
    assert msgspec.json.decode(msgspec.json.encode(CLOB), type=LimitTable) == CLOB
