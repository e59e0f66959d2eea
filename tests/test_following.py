"""What the settings say about market data becomes what the feeds and connectors are given."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from arbiter.config import Settings, load
from arbiter.domain.ids import KALSHI, POLYMARKET
from arbiter.domain.market import KalshiFees
from arbiter.errors import ConfigError
from arbiter.following import balance_unit, kalshi_pace, wanted_markets
from arbiter.runtime import Environment
from arbiter.simulated import followed, make_world
from arbiter.venues.base import Selection
from arbiter.venues.kalshi.client import BROKER_UNIT, DIRECT_UNIT

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def test_by_default_the_first_five_thousand_markets_of_each_venue_are_followed():
    assert {venue: at(NOW) for venue, at in wanted_markets(Settings()).items()} == {
        POLYMARKET: Selection(limit=5_000),
        KALSHI: Selection(limit=5_000),
    }


def test_tags_and_series_are_each_venues_own_and_the_end_moves_with_the_clock():
    settings = Settings(polymarket_tags="64, 100639", kalshi_series="KXNBA", markets_limit=7, markets_close_within_days=30)
    wanted = wanted_markets(settings)
    assert wanted[POLYMARKET](NOW) == Selection(series=("64", "100639"), limit=7, closes_before=NOW + timedelta(days=30))
    later = NOW + timedelta(days=2)
    assert wanted[KALSHI](later) == Selection(series=("KXNBA",), limit=7, closes_before=NOW + timedelta(days=32))


@pytest.mark.parametrize(("member", "unit"), [("broker", BROKER_UNIT), ("direct", DIRECT_UNIT)])
def test_the_members_class_says_to_what_kalshi_rounds(member, unit):
    assert balance_unit(Settings(kalshi_member=member)) == unit
    assert KalshiFees().balance_unit == BROKER_UNIT  # where nobody says, the dear one


def test_tickers_can_be_left_out_and_nothing_else():
    assert set(kalshi_pace(Settings()).channels) - set(kalshi_pace(Settings(kalshi_tickers=False)).channels) == {"ticker"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("markets_limit", "0"),
        ("markets_limit", "50001"),
        ("markets_close_within_days", "-1"),
        ("kalshi_member", "friend"),
        ("kalshi_tickers", "perhaps"),
        ("polymarket_tags", "100639,sports"),
        ("kalshi_series", "KX/../x"),
    ],
)
def test_what_does_not_fit_stops_the_start_in_one_line(tmp_path, name, value):
    with pytest.raises(ConfigError, match=name) as caught:
        load({}, {f"ARBITER_{name.upper()}": value}, tmp_path)
    assert caught.value.cure


async def test_a_generated_world_is_narrowed_by_the_settings():
    settings = Settings(markets_limit=3)
    world = await make_world(settings, Environment(lambda: 1_800_000_000_000, lambda: 0.0, Random(1)).unix_ms())
    assert followed(world, settings)[KALSHI](NOW).limit == 3
