"""One Kalshi WebSocket: commands in, subscriptions with their sequence numbers, messages out."""

from typing import TYPE_CHECKING, Any

import msgspec

from arbiter.sandbox.http import Socket
from arbiter.sandbox.kalshi import wire

if TYPE_CHECKING:
    from arbiter.sandbox.kalshi.engine import KalshiEngine

CHANNELS = ("orderbook_delta", "trade", "ticker", "market_lifecycle_v2")
SEQUENCED = ("orderbook_delta", "trade", "market_lifecycle_v2")
HEARTBEAT_MS = 10_000


class _Params(msgspec.Struct):
    channels: list[str] = []
    market_ticker: str = ""
    market_tickers: list[str] = []
    sid: int = 0
    sids: list[int] = []
    action: str = ""
    use_yes_price: bool = False


class _Command(msgspec.Struct):
    id: int = 0
    cmd: str = ""
    params: _Params = msgspec.field(default_factory=_Params)


class _Channel(msgspec.Struct):
    """One subscription: its sid, its markets (None: all), its last sequence number."""

    name: str
    sid: int
    markets: set[str] | None
    seq: int = 0


class KalshiSession:
    """One authenticated connection."""

    def __init__(self, engine: "KalshiEngine", socket: Socket, now_ms: int) -> None:
        self._engine = engine
        self.socket = socket
        self._by_sid: dict[int, _Channel] = {}
        self._last_sid = 0
        self._next_heartbeat_ms = now_ms + HEARTBEAT_MS

    def receive(self, text: str, now_ms: int) -> None:
        try:
            command = msgspec.json.decode(text.encode(), type=_Command)
        except msgspec.DecodeError:
            self._error(0, 1, "Unable to process message")
            return
        match command.cmd:
            case "subscribe":
                self._subscribe(command, now_ms)
            case "unsubscribe":
                self._unsubscribe(command)
            case "update_subscription":
                self._update(command, now_ms)
            case "list_subscriptions":
                listed = [{"channel": c.name, "sid": c.sid} for c in self._by_sid.values()]
                self._send({"id": command.id, "type": "ok", "subscriptions": listed})
            case _:
                self._error(command.id, 5, "Unknown command")

    def closed(self) -> None:
        self._engine.sessions.discard(self)

    # -- commands --

    def _subscribe(self, command: _Command, now_ms: int) -> None:
        params = command.params
        tickers = set(params.market_tickers) | ({params.market_ticker} if params.market_ticker else set())
        if not params.channels:
            self._error(command.id, 2, "Params required")
            return
        for name in params.channels:
            if name not in CHANNELS:
                self._error(command.id, 8, "Unknown channel name")
            elif name == "orderbook_delta" and not tickers:
                self._error(command.id, 7, "Market Ticker required")
            elif unknown := tickers - self._engine.tickers:
                self._error(command.id, 6, f"Market not found: {sorted(unknown)[0]}")
            else:
                self._open(command.id, name, tickers, now_ms)

    def _open(self, command_id: int, name: str, tickers: set[str], now_ms: int) -> None:
        """A second subscription to a channel merges into the first one's sid."""
        channel = next((c for c in self._by_sid.values() if c.name == name), None)
        if channel is None:
            self._last_sid += 1
            channel = self._by_sid[self._last_sid] = _Channel(name, self._last_sid, tickers or None)
            added = tickers
            self._send({"id": command_id, "type": "subscribed", "msg": {"channel": name, "sid": channel.sid}})
        else:
            added = self._add(channel, tickers)
            self._ok(command_id, channel)
        if name == "orderbook_delta":
            self._snapshots(channel, added)

    def _add(self, channel: _Channel, tickers: set[str]) -> set[str]:
        if channel.markets is None:
            return set()
        added = tickers - channel.markets
        channel.markets |= added
        return added

    def _unsubscribe(self, command: _Command) -> None:
        for sid in command.params.sids or [command.params.sid]:
            channel = self._by_sid.pop(sid, None)
            if channel is None:
                self._error(command.id, 12, "Unknown subscription ID")
            else:
                self._send({"id": command.id, "type": "unsubscribed", "sid": sid, "seq": channel.seq + 1})

    def _update(self, command: _Command, now_ms: int) -> None:
        params = command.params
        channel = self._by_sid.get(params.sid or next(iter(params.sids), 0))
        tickers = set(params.market_tickers) | ({params.market_ticker} if params.market_ticker else set())
        if channel is None:
            self._error(command.id, 12, "Unknown subscription ID")
        elif unknown := tickers - self._engine.tickers:
            self._error(command.id, 6, f"Market not found: {sorted(unknown)[0]}")
        elif params.action == "add_markets":
            added = self._add(channel, tickers)
            self._ok(command.id, channel)
            self._snapshots(channel, added)
        elif params.action == "delete_markets" and channel.markets is not None:
            channel.markets -= tickers
            self._ok(command.id, channel)
        elif params.action == "get_snapshot":
            self._ok(command.id, channel)
            self._snapshots(channel, tickers)
        else:
            self._error(command.id, 13, "Unknown action")

    # -- messages --

    def push(self, channel_name: str, type_: str, ticker: str, message: dict[str, Any]) -> None:
        """An event of one market, to the subscription that wants it."""
        for channel in self._by_sid.values():
            if channel.name == channel_name and (channel.markets is None or ticker in channel.markets):
                self._send(self._sequenced(channel, {"type": type_, "sid": channel.sid, "msg": message}))

    def heartbeat(self, now_ms: int) -> None:
        """A protocol ping every ten seconds."""
        if now_ms >= self._next_heartbeat_ms:
            self._next_heartbeat_ms = now_ms + HEARTBEAT_MS
            self.socket.ping(b"heartbeat")

    def skip_sequence(self) -> None:
        """A frame goes missing in every subscription."""
        for channel in self._by_sid.values():
            channel.seq += 1

    def fail_subscriptions(self, code: int, text: str) -> None:
        """The venue ends all subscriptions with an error (25: buffer overflow)."""
        for channel in self._by_sid.values():
            self._send({"type": "error", "sid": channel.sid, "msg": {"code": code, "msg": text}})
        self._by_sid.clear()

    def _snapshots(self, channel: _Channel, tickers: set[str]) -> None:
        for ticker in sorted(tickers):
            books, market_id = self._engine.of_ticker(ticker)
            message = wire.snapshot_message(books, market_id)
            self._send(self._sequenced(channel, {"type": "orderbook_snapshot", "sid": channel.sid, "msg": message}))

    def _sequenced(self, channel: _Channel, body: dict[str, Any]) -> dict[str, Any]:
        if channel.name not in SEQUENCED:
            return body
        channel.seq += 1
        return body | {"seq": channel.seq}

    def _ok(self, command_id: int, channel: _Channel) -> None:
        tickers = sorted(channel.markets) if channel.markets is not None else []
        body = {"id": command_id, "type": "ok", "sid": channel.sid, "msg": {"market_tickers": tickers}}
        self._send(self._sequenced(channel, body))

    def _error(self, command_id: int, code: int, text: str) -> None:
        body: dict[str, Any] = {"type": "error", "msg": {"code": code, "msg": text}}
        self._send({"id": command_id, **body} if command_id else body)

    def _send(self, body: dict[str, Any]) -> None:
        self.socket.send(msgspec.json.encode(body))
