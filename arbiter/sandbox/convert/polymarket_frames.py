"""Polymarket's market channel, flattened to one CSV row a level, put together to messages again: `book` and `price_change`. One venue."""

from pathlib import Path
from typing import Any

import msgspec

from arbiter.domain.ids import POLYMARKET, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Market, Outcome, PolymarketFees, TickRange
from arbiter.domain.money import MICRO, ONE, ZERO, Micros, format_micros, micros_from_decimal
from arbiter.sandbox.convert.frames import Stream, Taken, write_frames
from arbiter.sandbox.convert.polymarket_ws import Level, read_levels
from arbiter.sandbox.convert.source import Place, reading
from arbiter.sandbox.convert.writer import made_up_condition

CENT = Micros(10_000)
HOSTS = {"gamma_url": "http://polymarket", "clob_url": "http://polymarket", "ws_url": "ws://polymarket"}
_SIDES = {"bid": "BUY", "ask": "SELL"}


def convert_polymarket_frames(source: Path, target: Path) -> None:
    """Every message of both tokens. Raises ConfigError."""
    place = Place(source)
    with reading(place):
        levels = list(read_levels(place))
        market = _market(levels)
        messages = [Taken(message[0].timestamp, _encode(message, market)) for message in messages_of(levels)]
    write_frames(
        Stream(POLYMARKET, HOSTS, "/ws/market", [market], [], messages),
        target,
        source="github.com/MinesJA/SignalDrift",
        license="none stated",
        assumptions=(
            "the time a message was received is taken to be the venue's; messages in its order; rows of one time, kind, token and hash are "
            "one message; price changes in today's form; hashes are left out, as what they cover is not all there; the file's first token "
            "is YES; the condition id is made up; no fees, as the venue had none in 2025; the recorder was away for minutes to hours"
        ),
    )


def messages_of(levels: list[Level]) -> list[list[Level]]:
    """The rows of each message, in order of time."""
    found: dict[tuple[int, str, str, str], list[Level]] = {}
    for level in sorted(levels, key=lambda level: level.timestamp):
        found.setdefault((level.timestamp, level.event, level.asset, level.hash), []).append(level)
    return list(found.values())


def _encode(message: list[Level], market: Market) -> bytes:
    first = message[0]
    event: dict[str, Any] = {"event_type": first.event, "market": market.key.market, "timestamp": str(first.timestamp)}
    if first.event == "book":
        rows = {
            side: [{"price": _text(level.price), "size": _text(level.size)} for level in message if level.side == side] for side in _SIDES
        }
        event |= {"asset_id": first.asset, "hash": "", "bids": rows["bid"], "asks": rows["ask"]}
    else:
        event["price_changes"] = [
            {"asset_id": level.asset, "price": _text(level.price), "size": _text(level.size), "side": _SIDES[level.side], "hash": ""}
            for level in message
        ]
    return msgspec.json.encode(event)


def _text(number: Any) -> str:
    return format_micros(micros_from_decimal(number))


def _market(levels: list[Level]) -> Market:
    tokens, slugs = list(dict.fromkeys(level.asset for level in levels)), {level.slug for level in levels}
    if len(tokens) != 2 or len(slugs) != 1:
        raise ValueError(f"the file has {len(slugs)} markets and {len(tokens)} tokens instead of 1 and 2")
    (slug,) = slugs
    yes, no = ([level.name for level in levels if level.asset == token and level.name] for token in tokens)
    return Market(
        key=MarketKey(POLYMARKET, MarketId(made_up_condition(slug))),
        event=EventId(slug),
        title=slug,
        yes=Outcome(OutcomeId(tokens[0]), yes[0] if yes else "Yes"),
        no=Outcome(OutcomeId(tokens[1]), no[0] if no else "No"),
        ticks=(TickRange(CENT, Micros(ONE - CENT), CENT),),
        size_step=CENT,
        min_size=Micros(5 * MICRO),
        min_notional=ONE,
        notional_step=CENT,
        fees=PolymarketFees(ZERO),
        category="sports",
    )
