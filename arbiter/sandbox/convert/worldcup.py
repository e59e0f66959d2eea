"""World Cup: best bid and ask of both venues, sampled together every few seconds. JSON lines, prices in cents."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from arbiter.sandbox.convert.source import Place, lines, reading, rows
from arbiter.sandbox.convert.writer import Draft, made_up_condition, made_up_token, write
from arbiter.sandbox.recording import MarketLine, PairLine

POLYMARKET_RATE = "0.03"
"""Sports, until 2026-07-10."""
COUNTRIES = {"MX": "Mexico", "GB": "England", "FR": "France", "PY": "Paraguay"}


class Row(msgspec.Struct):
    """One venue's touch. `t_fetch`: Unix ms at which it was read; cents; a side that is not there is null."""

    t_fetch: int
    venue: Literal["kalshi", "polymarket"]
    pair: str
    bid: Decimal | None
    ask: Decimal | None
    bid_sz: Decimal | None
    ask_sz: Decimal | None


_decode = msgspec.json.Decoder(Row).decode


def convert_worldcup(source: Path, target: Path) -> None:
    """Both venues' books of each pair of the file. Raises ConfigError."""
    draft = Draft(
        source="github.com/Min-Park123/cross-venue-price-discovery",
        license="none stated",
        assumptions=(
            "best bid and ask only, so the depth behind them is unknown; each book at the time it was fetched (t_fetch); "
            f"tick 0.01, or as fine as the finest price seen; Polymarket taker rate {POLYMARKET_RATE} (sports before 2026-07-10), "
            "minimum 5 shares; Kalshi quadratic with maker fees, multiplier 1; condition ids and NO tokens are made up, "
            "closing times left out; a Polymarket book may have been up to 89 s old when it was fetched"
        ),
    )
    indices: dict[tuple[str, str], int] = {}
    place = Place(source)
    with reading(place):
        for line in lines(place):
            row = _decode(line)
            if row.pair not in {pair for _, pair in indices}:
                indices |= _add_pair(draft, row.pair)
            draft.add_book(row.t_fetch, indices[row.venue, row.pair], *(rows(_dollars(p), s) for p, s in _sides(row)))
    write(draft, target, sample_interval_ms=draft.longest_regular_gap())


def _sides(row: Row) -> tuple[tuple[Decimal | None, Decimal | None], ...]:
    return (row.bid, row.bid_sz), (row.ask, row.ask_sz)


def _dollars(cents: Decimal | None) -> Decimal | None:
    return None if cents is None else cents.scaleb(-2)


def _add_pair(draft: Draft, pair: str) -> dict[tuple[str, str], int]:
    """`<Kalshi ticker>:<Polymarket YES token>`."""
    ticker, colon, token = pair.partition(":")
    event, dash, code = ticker.rpartition("-")
    if not (colon and dash and code and token.isdecimal()):
        raise ValueError(f"not a pair of a ticker and a token: {pair[:80]!r}")
    title = f"Will {COUNTRIES.get(code, code)} win the 2026 World Cup?"
    polymarket = draft.add_market(
        MarketLine(
            venue="polymarket",
            id=made_up_condition(token),
            event="world-cup-winner",
            title=title,
            tick="0.01",
            yes=token,
            no=made_up_token(token, "no"),
            fee=POLYMARKET_RATE,
            min_size="5",
            min_notional="1",
            notional_step="0.01",
            category="sports",
        )
    )
    kalshi = draft.add_market(
        MarketLine(venue="kalshi", id=ticker, event=event, title=title, tick="0.01", fee="1", maker_fees=True, category="sports")
    )
    draft.pairs.append(PairLine(id=f"worldcup-{code.lower()}", title=title, a=polymarket, b=kalshi))
    return {("polymarket", pair): polymarket, ("kalshi", pair): kalshi}
