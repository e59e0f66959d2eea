"""Weather: daily high temperatures of US cities on both venues, about hourly. A folder of CSV files, dollars.

Only the pairs of `derived_identical_bucket_pairs.csv`: buckets whose words are the same on both venues. Same words are
not the same market: 12 of the 59 that converged went to opposite outcomes.
"""

from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from arbiter.sandbox.convert.source import Place, csv_rows, decimal, reading, rows
from arbiter.sandbox.convert.writer import Draft, made_up_condition, made_up_token, write
from arbiter.sandbox.recording import MarketLine, PairLine, Rows

PAIRS = "derived_identical_bucket_pairs.csv"
MOST_DOLLARS = Decimal(100)
"""What a level is worth at most: the source tells the whole side's depth, not that of the best price."""
HOUR_MS = 3_600_000
"""How often the source meant to sample."""
_PRICES = ("yes_best_ask", "yes_ask_depth_usdc", "no_best_ask", "no_ask_depth_usdc")


def convert_weather(source: Path, target: Path) -> None:
    """Every identical bucket pair whose books both lie in the folder. Raises ConfigError."""
    draft = Draft(
        source="github.com/RonanMM/prediction-markets-bot",
        license="MIT",
        assumptions=(
            "best prices only; the YES bid is one less the best NO ask; sizes are unknown at the best price: the side's whole depth, "
            f"at most ${MOST_DOLLARS}, divided by the price; a market that was no longer sampled has an empty book from one interval on; "
            "Polymarket taker rate 0.05 (weather), minimum 5 shares; Kalshi quadratic without maker fees, multiplier 1; "
            "equal words do not prove equal markets: some of these pairs settled to opposite outcomes; closing times left out"
        ),
    )
    tickers: dict[str, int] = {}
    questions: dict[str, int] = {}
    pairs = Place(source / PAIRS)
    with reading(pairs):
        names = [(row["kalshi_ticker"], row["polymarket_question"]) for row in csv_rows(pairs, ("kalshi_ticker", "polymarket_question"))]
    kalshi, polymarket = _read(source, "kalshi_books", "ticker"), _read(source, "polymarket_snapshots", "question")
    for ticker, question in names:
        if ticker not in kalshi or question not in polymarket or ticker in tickers or question in questions:
            continue
        tickers[ticker], questions[question] = _add_pair(draft, ticker, question)
        for market, samples in ((tickers[ticker], kalshi[ticker]), (questions[question], polymarket[question])):
            for unix_ms, bids, asks in samples:
                draft.add_book(unix_ms, market, bids, asks)
    interval = max(HOUR_MS, draft.longest_regular_gap())
    draft.end_books(interval)
    write(draft, target, sample_interval_ms=interval)


Samples = list[tuple[int, Rows, Rows]]


def _read(source: Path, folder: str, key: str) -> dict[str, Samples]:
    """The samples of each market of one venue."""
    found: dict[str, Samples] = {}
    for path in sorted((source / folder).glob("*.csv*")):
        place = Place(path)
        with reading(place):
            for row in csv_rows(place, ("fetched_at_utc", key, *_PRICES)):
                moment = datetime.fromisoformat(row["fetched_at_utc"])
                if moment.tzinfo is None:
                    raise ValueError(f"a time without its zone: {row['fetched_at_utc'][:40]!r}")
                seconds, micros = divmod(round(moment.timestamp() * 1_000_000), 1_000_000)
                found.setdefault(row[key], []).append((seconds * 1000 + micros // 1000, *_book(row)))
    return found


def _book(row: dict[str, str]) -> tuple[Rows, Rows]:
    ask, ask_depth, no_ask, no_depth = (decimal(row[name]) if row[name] else None for name in _PRICES)
    bid = None if no_ask is None else 1 - no_ask
    return rows(bid, _size(no_ask, no_depth)), rows(ask, _size(ask, ask_depth))


def _size(price: Decimal | None, depth: Decimal | None) -> Decimal | None:
    """In shares, rounded down to hundredths."""
    if price is None or depth is None or not price > 0:
        return None
    return (min(depth, MOST_DOLLARS) / price).quantize(Decimal("0.01"), ROUND_FLOOR)


def _add_pair(draft: Draft, ticker: str, question: str) -> tuple[int, int]:
    """The indices of Kalshi's and Polymarket's market."""
    kalshi = draft.add_market(
        MarketLine(venue="kalshi", id=ticker, event=ticker.rpartition("-")[0], title=question, tick="0.01", fee="1", category="weather")
    )
    polymarket = draft.add_market(
        MarketLine(
            venue="polymarket",
            id=made_up_condition(question),
            event=f"high-{ticker.lower()}",
            title=question,
            tick="0.01",
            yes=made_up_token(question, "yes"),
            no=made_up_token(question, "no"),
            fee="0.05",
            min_size="5",
            min_notional="1",
            notional_step="0.01",
            category="weather",
        )
    )
    draft.pairs.append(PairLine(id=f"weather-{ticker.lower()}", title=question, a=polymarket, b=kalshi))
    return kalshi, polymarket
