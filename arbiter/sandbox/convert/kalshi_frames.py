"""Kalshi's WebSocket as it was received, into frames: JSON lines of snapshots, deltas and trades. One venue."""

from pathlib import Path
from typing import Any

import msgspec

from arbiter.domain.ids import KALSHI, EventId, MarketId, MarketKey, OutcomeId
from arbiter.domain.market import Market, Outcome, TickRange
from arbiter.domain.money import ONE, ZERO, Micros
from arbiter.sandbox.convert.frames import Stream, Taken, write_frames
from arbiter.sandbox.convert.source import Place, lines, reading

CENT = Micros(10_000)
CHANNELS = {"orderbook_snapshot": "orderbook_delta", "orderbook_delta": "orderbook_delta", "trade": "trade"}
"""Which channel a message is of."""
HOSTS = {"rest_url": "http://kalshi/trade-api/v2", "ws_url": "ws://kalshi"}


class _Named(msgspec.Struct):
    market_ticker: str


class _Event(msgspec.Struct):
    type: str
    sid: int
    msg: msgspec.Raw


class _Line(msgspec.Struct):
    recv_ms: int
    event: _Event


_decode = msgspec.json.Decoder(_Line).decode
_decode_named = msgspec.json.Decoder(_Named).decode


def convert_kalshi_frames(source: Path, target: Path) -> None:
    """Every message, its `msg` byte for byte. Raises ConfigError."""
    place = Place(source)
    tickers: dict[str, None] = {}
    channels: dict[int, str] = {}
    sequence: dict[int, int] = {}
    messages: list[Taken] = []
    with reading(place):
        for raw in lines(place):
            line = _decode(raw)
            event = line.event
            if event.type not in CHANNELS:
                raise ValueError(f"an event {event.type[:20]!r}")
            if messages and line.recv_ms < messages[-1].at_ms:
                raise ValueError(f"recv_ms {line.recv_ms} comes after {messages[-1].at_ms}")
            tickers[_decode_named(event.msg).market_ticker] = None
            channels.setdefault(event.sid, CHANNELS[event.type])
            sequence[event.sid] = sequence.get(event.sid, 0) + 1
            frame: dict[str, Any] = {"type": event.type, "sid": event.sid, "seq": sequence[event.sid], "msg": event.msg}
            messages.append(Taken(line.recv_ms, msgspec.json.encode(frame)))
    accepted = [
        msgspec.json.encode({"id": number, "type": "subscribed", "msg": {"channel": channel, "sid": sid}})
        for number, (sid, channel) in enumerate(channels.items(), 1)
    ]
    write_frames(
        Stream(KALSHI, HOSTS, "/trade-api/ws/v2", [_market(ticker) for ticker in tickers], accepted, messages),
        target,
        source="github.com/zkiihne/kalshi-gold15m-sample",
        license="none stated",
        assumptions=(
            "messages as they were received, but numbered anew in each subscription: the source was cut to single markets while `seq` "
            "counts a whole subscription; the answers to the subscriptions are made up; the fee schedule is not in the source"
        ),
    )


def _market(ticker: str) -> Market:
    return Market(
        key=MarketKey(KALSHI, MarketId(ticker)),
        event=EventId(ticker.rpartition("-")[0] or ticker),
        title=ticker,
        yes=Outcome(OutcomeId("yes"), "Yes"),
        no=Outcome(OutcomeId("no"), "No"),
        ticks=(TickRange(ZERO, ONE, CENT),),
        size_step=CENT,
    )
