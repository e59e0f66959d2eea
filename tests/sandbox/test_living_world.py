"""The world of `./just run`: what happens in it, that it repeats, and that both venues tell it to clients from outside."""

import json
from collections import Counter, defaultdict

import pytest

from arbiter.domain.book import Book, BookSnapshot, LevelChange, PublicTrade
from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.domain.market import MarketStatus
from arbiter.domain.money import ONE
from arbiter.sandbox.exchange import REAL, Sandbox
from arbiter.sandbox.generated import GeneratedWorld
from arbiter.sandbox.kalshi.metadata import structure_of
from arbiter.sandbox.living import WINDOW_MS, LivingWorld
from arbiter.sandbox.world import FeesChanged, Listed, Stage, StageChanged, TicksChanged

START = 1_767_225_600_123
MINUTE = 60_000
KEY_ID = "3f0c5c1e-0000-4222-8333-944455556666"
ONE_HOUR = 60 * MINUTE


@pytest.fixture(scope="module")
def hour():
    """A world of a few pairs and an hour of it."""
    world = LivingWorld(7, START, events=6, rate=5)
    return world, world.advance(START + ONE_HOUR)


def test_it_is_the_same_in_whatever_steps_one_looks():
    one, other, another = (LivingWorld(seed, START, events=6, rate=10) for seed in (3, 3, 4))
    end = START + 6 * MINUTE
    whole = one.advance(end)
    pieces = [event for ms in range(START, end + 1, 700) for event in other.advance(ms)] + other.advance(end)
    assert whole == pieces
    assert whole != another.advance(end)
    assert (one.markets, one.details) == (other.markets, other.details)


def test_the_pairs_are_those_of_the_generated_world():
    living, generated = LivingWorld(3, START, events=6), GeneratedWorld(3, START, events=6)
    assert living.pairs == generated.pairs
    assert set(generated.markets) < set(living.markets)


def test_it_begins_with_a_book_of_every_market(hour):
    world, events = hour
    first = events[: len(world.markets)]
    assert {event.outcome for event in first if isinstance(event, BookSnapshot)} == {market.yes_key for market in world.markets}


def test_every_book_folds_without_crossing_and_on_its_grid(hour):
    world, events = hour
    markets = {market.key: market for market in world.markets}
    books: dict[object, Book] = {}
    for event in events:
        if isinstance(event, Listed):
            markets[event.market] = event.listing
        elif isinstance(event, TicksChanged):
            market = markets[event.market]
            markets[event.market] = type(market)(
                **{name: getattr(market, name) for name in market.__struct_fields__} | {"ticks": event.ticks}
            )
        elif isinstance(event, BookSnapshot):
            books.setdefault(event.outcome, Book(event.outcome)).apply_snapshot(event)
        elif isinstance(event, LevelChange):
            assert markets[event.outcome.market_key].on_grid(event.price), event
            books[event.outcome].apply_change(event)
            assert event.size >= 0
        if isinstance(event, BookSnapshot | PublicTrade):
            assert not books[event.outcome].crossed


def test_windows_follow_one_another_and_each_goes_through_its_life_on_both_venues(hour):
    _, events = hour
    stages = defaultdict(list)
    for event in events:
        if isinstance(event, StageChanged) and event.market.market.startswith(("0x01", "KXBTC5M")):
            stages[event.market].append(event.stage)
    ended = [each for each in stages.values() if each[-1] is Stage.SETTLED]
    assert len(ended) >= 2 * (ONE_HOUR // WINDOW_MS - 1)
    allowed = ([Stage.CLOSED, Stage.DETERMINED, Stage.SETTLED], [Stage.CLOSED, Stage.DETERMINED, Stage.DISPUTED, Stage.SETTLED])
    assert all(each in allowed for each in ended)
    listed = Counter(event.market.venue for event in events if isinstance(event, Listed))
    assert listed[POLYMARKET] == listed[KALSHI] >= ONE_HOUR // WINDOW_MS


def test_results_are_mostly_yes_and_no_and_in_a_day_also_split_void_and_disputed():
    events = []
    for seed in range(2):
        world = LivingWorld(seed, START, events=1, rate=1)
        world._base.advance = lambda _: []  # the pairs do not matter here
        events += world.advance(START + 3 * ONE_HOUR)
    ended = [event for event in events if isinstance(event, StageChanged) and event.stage is Stage.SETTLED and event.market.venue == KALSHI]
    kinds = Counter(("void" if e.void else "split" if 0 < e.yes_pays < ONE else "plain") for e in ended)
    assert kinds["plain"] > 0.75 * len(ended)
    assert kinds["void"] > 0
    assert kinds["split"] > 0
    assert any(isinstance(event, StageChanged) and event.stage is Stage.DISPUTED for event in events)


def test_the_grid_becomes_finer_near_the_ends(hour):
    _, events = hour
    finer = [event for event in events if isinstance(event, TicksChanged)]
    assert {event.market.venue for event in finer} == {POLYMARKET, KALSHI}
    assert {event.ticks[0].step for event in finer} == {1_000}


def test_pairs_pause_rarely_and_hold_still_meanwhile_and_come_back_empty_and_then_full(hour):
    _, events = hour
    paired = {market.key for market in GeneratedWorld(7, START, events=6).markets}
    own = defaultdict(list)
    for event in events:
        key = getattr(event, "market", None) or event.outcome.market_key
        if key in paired:
            own[key].append(event)
    pauses = 0
    for told in own.values():
        for number, event in enumerate(told[:-3]):
            if isinstance(event, StageChanged) and event.stage is Stage.PAUSED:
                pauses += 1
                back, empty, full = told[number + 1 : number + 4]
                assert (back.stage, empty.bids, empty.asks) == (Stage.ACTIVE, (), ())
                assert isinstance(full, BookSnapshot)
                assert full.bids
                assert full.asks
    assert ONE_HOUR // 180_000 - 3 <= pauses <= ONE_HOUR // 90_000
    assert {e.market for e in events if isinstance(e, StageChanged) and e.stage is Stage.PAUSED} <= paired


def test_other_fees_begin_on_one_event_and_end_again(hour):
    _, events = hour
    changes = [event for event in events if isinstance(event, FeesChanged)]
    assert [(c.fees.multiplier, c.fees.maker_fees) for c in changes[:2]] == [(500_000, True), (1_000_000, False)]


def test_the_listing_has_all_grids_both_generations_groups_combos_and_one_that_is_not_open():
    world = LivingWorld(7, START)
    details = world.details.values()
    kalshi = [market for market in world.markets if market.key.venue == KALSHI]
    assert {structure_of(m.ticks) for m in kalshi} == {"linear_cent", "deci_cent", "tapered_deci_cent", "center_deci_edge_centi_cent"}
    assert {d.generation for d in details} == {"v1", "v2"}
    assert sum(d.exclusive for d in details) == 18
    assert sum(bool(d.collection) for d in details) == 6
    assert [m.key.market for m in kalshi if m.status is MarketStatus.UPCOMING] == ["KXRAINSEA-NEXT-Y"]
    tokens = [
        int(o.id) for m in world.markets if world.details.get(m.key) and world.details[m.key].generation == "v2" for o in (m.yes, m.no)
    ]
    assert all(token & (((1 << 64) - 1) << 40) == 0 for token in tokens)
    assert len({m.key for m in world.markets}) == len(world.markets)


def test_clients_of_both_venues_hear_of_a_windows_whole_life(public_pem, websocket, signed, http):
    world = LivingWorld(7, START, events=2, rate=2)
    sandbox = Sandbox(world, {KEY_ID: public_pem}, details=world.details, habits=REAL)
    sandbox.tick(START)
    poly = websocket(sandbox.polymarket, "/ws/market", now_ms=START)
    window = next(m for m in world.markets if m.event == "btc-updown-5m-1")
    poly.ask({"type": "market", "assets_ids": [window.yes.id], "custom_feature_enabled": True})
    kal = websocket(sandbox.kalshi, "/trade-api/ws/v2", signed(START), now_ms=START)
    kal.ask({"id": 1, "cmd": "subscribe", "params": {"channels": ["market_lifecycle_v2"]}})
    for ms in range(0, 5 * MINUTE, 500):
        sandbox.tick(START + ms)
        for client in (poly, kal):
            client.now_ms = START + ms
            client.pump()
    events = Counter(event["event_type"] for event in map(json.loads, poly.texts) if isinstance(event, dict))
    assert {"price_change", "book", "last_trade_price", "best_bid_ask", "new_market", "market_resolved", "tick_size_change"} <= set(events)
    life = [m for m in map(json.loads, kal.texts) if m.get("sid") == 1 and "seq" in m]
    assert [m["seq"] for m in life] == list(range(1, len(life) + 1))
    assert {"event_lifecycle", "market_lifecycle_v2", "event_fee_update"} <= {m["type"] for m in life}
    told = Counter(m["msg"].get("event_type") for m in life)
    assert {"created", "determined", "settled", "price_level_structure_updated"} <= set(told)
    gamma = http(sandbox.polymarket, START + 5 * MINUTE)
    (resolved,) = gamma.request("/gamma/markets/keyset?version=v2&resolution_status=resolved").json["markets"]
    assert resolved["slug"] == "btc-updown-5m-1"
