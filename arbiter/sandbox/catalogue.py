"""What the generated world asks about: plain propositions with rules, from a few families that number up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

import msgspec

_CITIES = ("Atlanta", "Austin", "Boston", "Chicago", "Dallas", "Denver", "Houston", "Miami", "Phoenix", "Seattle")
_ASSETS = (("Bitcoin", "BTC", 95_000, 2_500), ("Ethereum", "ETH", 3_200, 150), ("Gold", "GOLD", 4_100, 40), ("S&P 500", "INX", 6_900, 50))
_RATES = ("Federal Reserve", "European Central Bank", "Bank of England", "Bank of Canada")


class Subject(msgspec.Struct, frozen=True):
    """One proposition. `inverted`: Kalshi lists `opposite` instead, so that its YES is our NO."""

    slug: str
    ticker: str
    question: str
    opposite: str
    rules: str
    category: str
    closes_at: datetime
    inverted: bool


def subjects(wanted: int, start_ms: int) -> Iterator[Subject]:
    """`wanted` different propositions that close about a month after the start. Every fifth is inverted on Kalshi."""
    closes_at = datetime.fromtimestamp(start_ms // 1000, UTC).replace(minute=0, second=0) + timedelta(days=30)
    for number, make in enumerate(islice(cycle((_weather, _price, _match, _rate)), wanted)):
        yield make(number // 4, closes_at, number % 5 == 4)


def _weather(number: int, closes_at: datetime, inverted: bool) -> Subject:
    city, degrees = _CITIES[number % len(_CITIES)], 60 + 3 * (number // len(_CITIES)) + number % 7
    return Subject(
        f"high-{city}-{degrees}f".lower(),
        f"HIGH{city[:3]}",
        f"Will the highest temperature in {city} be {degrees}°F or above on {closes_at:%B %-d}?",
        f"Will the highest temperature in {city} stay below {degrees}°F on {closes_at:%B %-d}?",
        f"Resolves by the daily climate report of the National Weather Service for {city}.",
        "weather",
        closes_at,
        inverted,
    )


def _price(number: int, closes_at: datetime, inverted: bool) -> Subject:
    name, ticker, start, step = _ASSETS[number % len(_ASSETS)]
    level = start + step * (number // len(_ASSETS))
    return Subject(
        f"{ticker}-above-{level}".lower(),
        ticker,
        f"Will {name} close above {level:,} on {closes_at:%B %-d}?",
        f"Will {name} close at or below {level:,} on {closes_at:%B %-d}?",
        f"Resolves by the official closing value of {name} on that day.",
        "crypto" if ticker in ("BTC", "ETH") else "finance",
        closes_at,
        inverted,
    )


def _match(number: int, closes_at: datetime, inverted: bool) -> Subject:
    home, away = _CITIES[number % len(_CITIES)], _CITIES[(number + 3 + number // len(_CITIES)) % len(_CITIES)]
    return Subject(
        f"game-{home}-{away}-{number}".lower(),
        f"GAME{home[:3]}{away[:3]}",
        f"Will {home} beat {away} on {closes_at:%B %-d}?",
        f"Will {away} beat {home} on {closes_at:%B %-d}?",
        f"Resolves by the final score of {home} against {away}, overtime included; there is no draw.",
        "sports",
        closes_at,
        inverted,
    )


def _rate(number: int, closes_at: datetime, inverted: bool) -> Subject:
    bank, points = _RATES[number % len(_RATES)], 25 * (1 + number // len(_RATES))
    return Subject(
        f"rate-{bank}-{points}bp".lower().replace(" ", "-"),
        f"RATE{bank.split()[-1][:3]}{points}",
        f"Will the {bank} cut its rate by {points} bp or more by {closes_at:%B %-d}?",
        f"Will the {bank} cut its rate by less than {points} bp by {closes_at:%B %-d}?",
        f"Resolves by the statements of the {bank} until that day.",
        "politics",
        closes_at,
        inverted,
    )
