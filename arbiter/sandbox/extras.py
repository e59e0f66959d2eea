"""Listings beside the generated pairs: groups of which one can win, markets of five minutes, combos, one that is yet to open."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

import msgspec

from arbiter.domain.ids import KALSHI, POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import KalshiFees, Market, MarketStatus, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import MICRO, ONE, ZERO, Micros
from arbiter.sandbox.world import Details

CENT, TENTH, HUNDREDTH = Micros(10_000), Micros(1_000), Micros(100)
_EDGE, _FAR_EDGE = Micros(100_000), Micros(900_000)
LINEAR = (TickRange(ZERO, ONE, CENT),)
DECI = (TickRange(ZERO, ONE, TENTH),)
TAPERED = (TickRange(ZERO, _EDGE, TENTH), TickRange(_EDGE, _FAR_EDGE, CENT), TickRange(_FAR_EDGE, ONE, TENTH))
CENTER_DECI = (TickRange(ZERO, _EDGE, HUNDREDTH), TickRange(_EDGE, _FAR_EDGE, TENTH), TickRange(_FAR_EDGE, ONE, HUNDREDTH))
_GROUPS = (("Chicago", DECI), ("Denver", CENTER_DECI), ("Boston", TAPERED))
_NAMES = ("Ann Alder", "Bo Birch", "Cy Cedar")
COMBOS = 6


class Extra(NamedTuple):
    """A listing with its details and the fair value that it begins with, in micros."""

    market: Market
    details: Details
    fair: int


def groups(random: Random, start_ms: int) -> list[Extra]:
    """For each city an election on both venues: three markets of which at most one is won."""
    found = []
    closes_at = _after(start_ms, timedelta(days=60))
    for city, ticks in _GROUPS:
        fairs = (random.randrange(40, 60) * CENT, random.randrange(20, 30) * CENT, random.randrange(5, 10) * CENT)
        for name, fair in zip(_NAMES, fairs, strict=True):
            title = f"Will {name} be the next mayor of {city}?"
            rules = f"Resolves by the certified result of the city of {city}."
            details = Details(group=name, exclusive=True, source=f"https://www.example.com/{city.lower()}", tags=("elections",))
            event = f"mayor-of-{city.lower()}"
            tokens = (_token(random), _token(random))
            found.append(Extra(_polymarket(event, _condition(random), tokens, title, rules, "politics", closes_at), details, fair))
            ticker = f"KXMAYOR{city[:3].upper()}-26-{name[:2].upper().strip()}"
            found.append(Extra(_kalshi(ticker, title, rules, "politics", ticks, closes_at), details, fair))
    return found


def combos(start_ms: int, legs: list[Market]) -> list[Extra]:
    """Of Kalshi's markets, each of two."""
    closes_at = _after(start_ms, timedelta(days=30))
    found = []
    for number in range(min(COMBOS, len(legs) - 1)):
        two = legs[number : number + 2]
        ticker = f"KXMVEMULTI-S{number:06d}-{number:04X}"
        title = "yes " + ", yes ".join(leg.title for leg in two)
        details = Details(collection="KXMVEMULTI-R", legs=tuple(leg.key.market for leg in two), shard=1)
        found.append(Extra(_kalshi(ticker, title, "", two[0].category, LINEAR, closes_at), details, 20 * CENT))
    return found


def upcoming(start_ms: int) -> Extra:
    """A market of Kalshi that is listed and not open."""
    title = "Will it rain in Seattle on the first of next month?"
    listed = _kalshi(
        "KXRAINSEA-NEXT-Y", title, "Resolves by the daily climate report.", "weather", LINEAR, _after(start_ms, timedelta(days=40))
    )
    return Extra(msgspec.structs.replace(listed, status=MarketStatus.UPCOMING), Details(), 50 * CENT)


def five_minutes(random: Random, number: int, closes_ms: int) -> tuple[Extra, Extra]:
    """The same short question on Polymarket (of the second generation, Up or Down) and on Kalshi (Yes or No)."""
    closes_at = datetime.fromtimestamp(closes_ms // 1000, UTC)
    title = f"Bitcoin up or down, window {number} until {closes_at:%H:%M:%S} UTC?"
    rules = "Resolves Up if the price at the end of the window is at or above that at its beginning."
    position = _position(random, number)
    poly = _polymarket(
        f"btc-updown-5m-{number}",
        f"0x{position >> 8:062x}",
        (Outcome(OutcomeId(str(position)), "Up"), Outcome(OutcomeId(str(position + 1)), "Down")),
        title,
        rules,
        "crypto",
        closes_at,
    )
    kalshi = _kalshi(f"KXBTC5M-{number:05d}-UP", title, rules, "crypto", LINEAR, closes_at)
    source = "https://www.example.com/btc-usd"
    fair = random.randrange(40, 61) * CENT
    return (
        Extra(poly, Details(generation="v2", source=source, tags=("up-or-down",)), fair),
        Extra(kalshi, Details(source=source, tags=("Bitcoin",), shard=2), fair),
    )


def _position(random: Random, number: int) -> int:
    """An id of the second generation (sheet, A1.1): module, 18 bytes, 8 zero bytes, a number, outcome 0."""
    return 1 << 248 | random.getrandbits(144) << 104 | number << 8


def _condition(random: Random) -> str:
    return f"0x{random.getrandbits(256):064x}"


def _token(random: Random) -> Outcome:
    return Outcome(OutcomeId(str(10**76 + random.randrange(9 * 10**76))), "")


def _after(start_ms: int, delta: timedelta) -> datetime:
    return datetime.fromtimestamp(start_ms // 1000, UTC).replace(minute=0, second=0) + delta


def _polymarket(
    event: str, condition: str, outcomes: tuple[Outcome, Outcome], title: str, rules: str, category: str, closes_at: datetime
) -> Market:
    yes, no = (Outcome(o.id, o.label or label) for o, label in zip(outcomes, ("Yes", "No"), strict=True))
    return Market(
        key=MarketKey(POLYMARKET, MarketId(condition)),
        event=EventId(event),
        title=title,
        yes=yes,
        no=no,
        ticks=(TickRange(CENT, Micros(ONE - CENT), CENT),),
        size_step=CENT,
        min_size=Micros(5 * MICRO),
        min_notional=ONE,
        notional_step=CENT,
        fees=PolymarketFees(Micros(70_000 if category == "crypto" else 40_000)),
        rules=rules,
        category=category,
        closes_at=closes_at,
    )


def _kalshi(ticker: str, title: str, rules: str, category: str, ticks: tuple[TickRange, ...], closes_at: datetime) -> Market:
    return Market(
        key=MarketKey(KALSHI, MarketId(ticker)),
        event=EventId(ticker.rpartition("-")[0]),
        title=title,
        yes=Outcome(OutcomeId("yes"), "Yes"),
        no=Outcome(OutcomeId("no"), "No"),
        ticks=ticks,
        size_step=CENT,
        min_size=CENT,
        fees=KalshiFees(),
        rules=rules,
        category=category,
        closes_at=closes_at,
    )
