"""Fed, December 2025, "no change": best bids of YES and NO on both venues with their sizes, every half hour. CSV, dollars."""

from decimal import Decimal
from pathlib import Path

from arbiter.sandbox.convert.source import Place, csv_rows, decimal, reading, rows
from arbiter.sandbox.convert.writer import Draft, made_up_condition, made_up_token, write
from arbiter.sandbox.recording import MarketLine, PairLine, Rows

SLUG = "fed-decision-december-2025-no-change"
TITLE = "Will the Fed leave its rate unchanged in December 2025?"
_FIELDS = ("best_bid_yes", "depth_best_yes", "best_bid_no", "depth_best_no")


def convert_fed(source: Path, target: Path) -> None:
    """Both venues' touches of the one pair. Raises ConfigError."""
    draft = Draft(
        source="github.com/ifesiTinkering/neo-journalism",
        license="MIT",
        assumptions=(
            "best bid and ask only; the YES ask is one less the best NO bid, with its size; both venues at the row's time; "
            "Polymarket without fees (it had none before 2026-01-05), minimum 5 shares; Kalshi quadratic with maker fees, multiplier 1; "
            "ids are made up, closing times left out"
        ),
    )
    polymarket = draft.add_market(
        MarketLine(
            venue="polymarket",
            id=made_up_condition(SLUG),
            event=SLUG,
            title=TITLE,
            tick="0.01",
            yes=made_up_token(SLUG, "yes"),
            no=made_up_token(SLUG, "no"),
            fee="0",
            min_size="5",
            min_notional="1",
            notional_step="0.01",
            category="economics",
        )
    )
    kalshi = draft.add_market(
        MarketLine(
            venue="kalshi",
            id="KXFEDDECISION-25DEC-H0",
            event="KXFEDDECISION-25DEC",
            title=TITLE,
            tick="0.01",
            fee="1",
            maker_fees=True,
            category="economics",
        )
    )
    draft.pairs.append(PairLine(id=SLUG, title=TITLE, a=polymarket, b=kalshi))
    place = Place(source)
    with reading(place):
        for row in csv_rows(place, ["timestamp_ms", *(f"{venue}_{name}" for venue in ("poly", "kalshi") for name in _FIELDS)]):
            for market, venue in ((polymarket, "poly"), (kalshi, "kalshi")):
                draft.add_book(int(row["timestamp_ms"]), market, *_book(row, venue))
    write(draft, target, sample_interval_ms=draft.longest_regular_gap())


def _book(row: dict[str, str], venue: str) -> tuple[Rows, Rows]:
    bid, bid_size, no_bid, no_size = (_number(row[f"{venue}_{name}"]) for name in _FIELDS)
    return rows(bid, bid_size), rows(None if no_bid is None else 1 - no_bid, no_size)


def _number(text: str) -> Decimal | None:
    return decimal(text) if text else None
