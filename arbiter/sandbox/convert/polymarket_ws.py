"""Polymarket's market channel, flattened to one CSV row a level: `book` and `price_change`, folded into YES books. One venue."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from arbiter.sandbox.convert.fold import FoldedBook
from arbiter.sandbox.convert.source import Place, csv_rows, decimal, reading
from arbiter.sandbox.convert.writer import STREAMED, Draft, made_up_condition, write
from arbiter.sandbox.recording import MarketLine

_COLUMNS = ("market_slug", "asset_id", "event_type", "price", "side", "size", "hash", "timestamp")
_SIDES = {"bid": "bid", "ask": "ask", "BUY": "bid", "SELL": "ask"}
_EVENTS = ("book", "price_change")


class Level(NamedTuple):
    """One row. `timestamp` is the venue's, in Unix ms."""

    slug: str
    asset: str
    name: str
    event: str
    side: str
    price: Decimal
    size: Decimal
    hash: str
    timestamp: int


def convert_polymarket_ws(source: Path, target: Path) -> None:
    """The first token's book after each millisecond in which it changed. Raises ConfigError."""
    draft = Draft(
        source="github.com/MinesJA/SignalDrift",
        license="none stated",
        assumptions=(
            "the first token of the file is YES, and only its rows are read, since the other's mirror them; rows put in order of the "
            "venue's time; all `book` rows of one hash and time are one snapshot; price changes before the first one are left out; "
            "the condition id is made up; no fees, as the venue had none in 2025; the recorder was away for minutes to hours"
        ),
    )
    place = Place(source)
    with reading(place):
        levels = list(read_levels(place))
        _fold(draft, levels)
    write(draft, target, sample_interval_ms=STREAMED)


def read_levels(place: Place) -> Iterator[Level]:
    """Every row, checked. ValueError for one that is not what it should be."""
    for row in csv_rows(place, _COLUMNS):
        if row["side"] not in _SIDES or row["event_type"] not in _EVENTS:
            raise ValueError(f"a side {row['side'][:20]!r} of an event {row['event_type'][:20]!r}")
        price, size, at = decimal(row["price"]), decimal(row["size"]), int(row["timestamp"])
        if not 0 < price < 1 or size < 0:
            raise ValueError(f"{size} at {price} dollars")
        name = row.get("outcome_name", "")
        yield Level(row["market_slug"], row["asset_id"], name, row["event_type"], _SIDES[row["side"]], price, size, row["hash"], at)


def _fold(draft: Draft, levels: list[Level]) -> None:
    tokens = list(dict.fromkeys(level.asset for level in levels))
    slugs = {level.slug for level in levels}
    if len(tokens) != 2 or len(slugs) != 1:
        raise ValueError(f"the file has {len(slugs)} markets and {len(tokens)} tokens instead of 1 and 2")
    (slug,) = slugs
    names = [next((level.name for level in levels if level.asset == token and level.name), "") for token in tokens]
    market = draft.add_market(
        MarketLine(
            venue="polymarket",
            id=made_up_condition(slug),
            event=slug,
            title=slug,
            tick="0.01",
            yes=tokens[0],
            no=tokens[1],
            yes_label=names[0] or "Yes",
            no_label=names[1] or "No",
            fee="0",
            min_size="5",
            min_notional="1",
            notional_step="0.01",
            category="sports",
        )
    )
    book: FoldedBook | None = None
    for at, messages in _by_time([level for level in levels if level.asset == tokens[0]]).items():
        for message in messages:
            if message[0].event == "book":
                book = FoldedBook()
            if book is not None:
                for level in message:
                    book.set(level.side, level.price, level.size)
        if book is not None:
            draft.add_book(at, market, *book.rows())


def _by_time(levels: list[Level]) -> dict[int, list[list[Level]]]:
    """Time -> the messages of that time: each `book` whole wherever its rows stand, each price change alone."""
    found: dict[int, dict[object, list[Level]]] = {}
    for number, level in enumerate(sorted(levels, key=lambda level: level.timestamp)):
        message = level.hash if level.event == "book" else number
        found.setdefault(level.timestamp, {}).setdefault(message, []).append(level)
    return {at: list(messages.values()) for at, messages in found.items()}
