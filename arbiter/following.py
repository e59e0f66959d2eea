"""What the settings say about the venues' market data: which markets are followed, and how Kalshi is read."""

from datetime import datetime, timedelta

from arbiter.actors.market_feed import Wanted
from arbiter.config import Settings, listed
from arbiter.domain.ids import KALSHI, POLYMARKET, VenueId
from arbiter.domain.money import Micros
from arbiter.venues.base import Selection
from arbiter.venues.kalshi.client import BROKER_UNIT, DIRECT_UNIT, KalshiPace

TICKERS = "ticker"
"""Kalshi's channel of them."""


def wanted_markets(settings: Settings) -> dict[VenueId, Wanted]:
    """Of each venue. What closes within so many days is counted from when the catalogue is read."""
    names = {POLYMARKET: listed(settings.polymarket_tags), KALSHI: listed(settings.kalshi_series)}
    return {venue: _wanted(settings, tuple(series)) for venue, series in names.items()}


def _wanted(settings: Settings, series: tuple[str, ...]) -> Wanted:
    days = settings.markets_close_within_days

    def at(now: datetime) -> Selection:
        return Selection(series=series, closes_before=now + timedelta(days=days) if days else None, limit=settings.markets_limit)

    return at


def balance_unit(settings: Settings) -> Micros:
    """To what Kalshi rounds the account's balance."""
    return DIRECT_UNIT if settings.kalshi_member == "direct" else BROKER_UNIT


def kalshi_pace(settings: Settings) -> KalshiPace:
    """With the channels that are wanted."""
    pace = KalshiPace()
    if settings.kalshi_tickers:
        return pace
    return KalshiPace(channels=tuple(channel for channel in pace.channels if channel != TICKERS))
