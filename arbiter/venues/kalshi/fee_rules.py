"""What Kalshi charges in each market, from what its metadata said so far (B9). Pure; time is handed in.

The event's override counts, else the series' schedule, field by field; announced changes from their time on; a market whose
waiver has not ended is free. Whatever is unknown gives no schedule, which refuses to trade.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from arbiter.domain.market import KalshiFees
from arbiter.domain.money import ZERO, Micros
from arbiter.venues.kalshi.metadata import KalshiEvent, KalshiMarket, KalshiSeries, moment
from arbiter.venues.wire_numbers import UNDECODABLE, lenient, number_micros

WAIVER_MARGIN_MS = 60_000
"""So long before its end a waiver counts as over: our clock and the venue's may differ, and an order takes its time."""
CACHED_MS = 60_000
"""REST is cached at the venue's edge for about 15 s (B5): what was read may be as old as this."""
MOST_EVENTS = 50_000
_WITH_MAKER = {"quadratic": False, "quadratic_with_maker_fees": True}


class Override(msgspec.Struct, frozen=True):
    """What an event says of its own fees, and the series that it belongs to."""

    series: str
    fee_type: str | None = None
    multiplier: Decimal | None = None


class SeriesFeeChange(msgspec.Struct):
    """A row of `/series/fee_changes`: from that time on the series' schedule is this."""

    series_ticker: str
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None
    scheduled_ts: str | None = None


class SeriesFeeChanges(msgspec.Struct):
    """Its rows stay undecoded: an odd one must not hide the others."""

    series_fee_change_arr: list[msgspec.Raw] | None = None


_decode_change = lenient(SeriesFeeChange)


def read_fee_change(raw: bytes | msgspec.Raw) -> SeriesFeeChange:
    """One row. ValueError where a field is not what the API promises."""
    try:
        return _decode_change(raw)
    except UNDECODABLE as error:
        raise ValueError(str(error)) from None


class FeeRules:
    """`balance_unit`: what the account's balance is rounded to, $0.01 behind a broker, $0.0001 for direct members."""

    def __init__(self, balance_unit: Micros) -> None:
        self._balance_unit = balance_unit
        self._series: dict[str, tuple[int, KalshiSeries]] = {}
        """With the time at which each was read."""
        self._changes: dict[str, list[tuple[int, KalshiSeries]]] = {}
        """Of each series, by time."""
        self._events: dict[str, Override] = {}
        """The last learnt last."""
        self._waivers: dict[str, int] = {}

    # -- learning --

    def learn_series(self, series: KalshiSeries, now_ms: int) -> None:
        self._series[series.ticker] = now_ms, series

    def learn_event(self, event: KalshiEvent) -> None:
        self.learn_override(event.event_ticker, event.series_ticker, event.fee_type_override, event.fee_multiplier_override)

    def learn_override(self, event: str, series: str, fee_type: str | None, multiplier: Decimal | None) -> None:
        """An empty series: the one known already."""
        known = self._events.pop(event, None)
        self._events[event] = Override(series or (known.series if known else ""), fee_type, multiplier)
        if len(self._events) > MOST_EVENTS:
            del self._events[next(iter(self._events))]

    def learn_market(self, market: KalshiMarket, now_ms: int) -> None:
        until = _unix_ms(moment(market.fee_waiver_expiration_time))
        if until is not None and until > now_ms:
            self._waivers[market.ticker] = until
        else:
            self._waivers.pop(market.ticker, None)

    def learn_changes(self, rows: list[SeriesFeeChange]) -> None:
        """All that are announced; what was known before is replaced."""
        changes: dict[str, list[tuple[int, KalshiSeries]]] = {}
        for row in rows:
            at = _unix_ms(moment(row.scheduled_ts))
            if at is not None:
                series = KalshiSeries(row.series_ticker, fee_type=row.fee_type, fee_multiplier=row.fee_multiplier)
                changes.setdefault(row.series_ticker, []).append((at, series))
        self._changes = {ticker: sorted(found, key=lambda each: each[0]) for ticker, found in changes.items()}

    def series(self, ticker: str) -> KalshiSeries | None:
        return self._series[ticker][1] if ticker in self._series else None

    # -- asking --

    def knows(self, event: str) -> bool:
        """Whether anything was said of this event's fees."""
        return event in self._events

    def of(self, ticker: str, event: str, now_ms: int) -> KalshiFees | None:
        """The market's schedule now; None where any of it is unknown."""
        if self._waivers.get(ticker, 0) - WAIVER_MARGIN_MS > now_ms:
            return KalshiFees(ZERO, maker_fees=False, balance_unit=self._balance_unit)
        override = self._events.get(event)
        if override is None:
            return None
        series = self._series_at(override.series, now_ms)
        fee_type = override.fee_type or (series.fee_type if series else None)
        multiplier = override.multiplier if override.multiplier is not None else (series.fee_multiplier if series else None)
        if fee_type not in _WITH_MAKER or multiplier is None:
            return None
        try:
            factor = number_micros(multiplier)
        except ValueError:
            return None
        return KalshiFees(factor, _WITH_MAKER[fee_type], self._balance_unit) if factor >= ZERO else None

    def next_change(self, now_ms: int) -> int | None:
        """When (Unix ms) something changes by itself."""
        self._waivers = {ticker: until for ticker, until in self._waivers.items() if until > now_ms}
        times = [until - WAIVER_MARGIN_MS for until in self._waivers.values()]
        times += [at for found in self._changes.values() for at, _ in found]
        return min((at for at in times if at > now_ms), default=None)

    def _series_at(self, ticker: str, now_ms: int) -> KalshiSeries | None:
        """What an announced change made of it, unless the series was read well after that: then it says so itself, or something newer."""
        read_ms, series = self._series.get(ticker, (0, None))
        begun = [changed for at, changed in self._changes.get(ticker, ()) if read_ms - CACHED_MS < at <= now_ms]
        return begun[-1] if begun else series


def _unix_ms(at: datetime | None) -> int | None:
    return None if at is None or at.tzinfo is None else round(at.timestamp() * 1000)
