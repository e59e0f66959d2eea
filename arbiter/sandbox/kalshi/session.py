"""One Kalshi WebSocket: commands in, subscriptions with their sequence numbers, messages out (sheet, B8)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from arbiter.sandbox.http import Socket

if TYPE_CHECKING:
    from arbiter.sandbox.kalshi.engine import KalshiEngine

SEQUENCED = ("orderbook_delta", "trade", "market_lifecycle_v2", "order_group_updates")
UNSEQUENCED = ("ticker", "fill", "user_orders", "market_positions", "communications")
"""Nothing happens in the private ones: the sandbox takes no orders here."""
UNFILTERED = ("market_lifecycle_v2",)
"""They tell of every market, whatever tickers are named."""
HEARTBEAT_MS = 10_000
MOST_COMMANDS = 10_000
"""In one second."""
ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    16: "Market not found",
    25: "Subscription buffer overflow",
    27: "Too many commands",
}


class _Params(msgspec.Struct):
    channels: list[str] = []
    market_ticker: str = ""
    market_tickers: list[str] = []
    sid: int | None = None
    sids: list[int] = []
    action: str = ""
    use_yes_price: bool | None = None
    send_initial_snapshot: bool = False
    skip_ticker_ack: bool = False

    @property
    def tickers(self) -> list[str]:
        """Each once, in the order in which they were named."""
        return list(dict.fromkeys([self.market_ticker, *self.market_tickers] if self.market_ticker else self.market_tickers))

    @property
    def every_sid(self) -> list[int]:
        return list(dict.fromkeys([*([] if self.sid is None else [self.sid]), *self.sids]))


class _Command(msgspec.Struct):
    id: int = 0
    cmd: str = ""
    params: _Params | None = None


_decode = msgspec.json.Decoder(_Command).decode


class Subscription(msgspec.Struct):
    """A channel with its sid, its markets (None: all), its last sequence number, and how it writes NO prices."""

    channel: str
    sid: int
    markets: dict[str, None] | None
    yes_prices: bool
    seq: int = 0


class _Refused(Exception):
    """A command, or a part of it, is answered with an error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class KalshiSession:
    """One authenticated connection."""

    def __init__(self, engine: "KalshiEngine", socket: Socket, now_ms: int) -> None:
        self._engine = engine
        self.socket = socket
        self._by_sid: dict[int, Subscription] = {}
        self._last_sid = 0
        self._next_heartbeat_ms = now_ms + HEARTBEAT_MS
        self._commands = (0, 0)

    def receive(self, text: str, now_ms: int) -> None:
        """A command of the client."""
        second, count = self._commands
        self._commands = (second, count + 1) if second == now_ms // 1000 else (now_ms // 1000, 1)
        if self._commands[1] > MOST_COMMANDS:
            self._error(0, 27)
            return
        try:
            command = _decode(text)
        except msgspec.ValidationError:
            self._error(0, 11)
        except (msgspec.DecodeError, RecursionError):
            self._error(0, 1)
        else:
            try:
                self._obey(command, now_ms)
            except _Refused as refused:
                self._error(command.id, refused.code)

    def closed(self) -> None:
        """The connection is gone."""
        self._engine.sessions.pop(self, None)

    # -- commands --

    def _obey(self, command: _Command, now_ms: int) -> None:
        if command.cmd == "list_subscriptions":
            listed = [{"channel": s.channel, "sid": s.sid} for s in self._by_sid.values()]
            self._reply(command.id, {"type": "ok", "msg": listed})
            return
        if command.cmd not in ("subscribe", "unsubscribe", "update_subscription"):
            raise _Refused(5)
        if command.params is None:
            raise _Refused(2)
        if command.cmd == "subscribe":
            self._subscribe(command.id, command.params, now_ms)
        elif command.cmd == "unsubscribe":
            self._unsubscribe(command.id, command.params)
        else:
            self._update(command.id, command.params, now_ms)

    def _subscribe(self, command_id: int, params: _Params, now_ms: int) -> None:
        """Each channel succeeds or fails for itself."""
        if not params.channels:
            raise _Refused(3)
        for channel in dict.fromkeys(params.channels):
            try:
                self._open(command_id, channel, params, now_ms)
            except _Refused as refused:
                self._error(command_id, refused.code)

    def _open(self, command_id: int, channel: str, params: _Params, now_ms: int) -> None:
        """A second subscription to a channel merges into the first one's sid."""
        if channel not in SEQUENCED + UNSEQUENCED:
            raise _Refused(8)
        tickers = [] if channel in UNFILTERED else self._known(params.tickers)
        if channel == "orderbook_delta" and not tickers:
            raise _Refused(14)
        existing = next((s for s in self._by_sid.values() if s.channel == channel), None)
        if existing is None:
            self._last_sid += 1
            markets = dict.fromkeys(tickers) if tickers else None
            subscription = Subscription(channel, self._last_sid, markets, params.use_yes_price or False)
            self._by_sid[subscription.sid] = subscription
            self._reply(command_id, {"type": "subscribed", "msg": {"channel": channel, "sid": subscription.sid}})
            self._begin(subscription, tickers, params, now_ms)
        else:
            if params.use_yes_price is not None:
                existing.yes_prices = params.use_yes_price
            added = _add(existing, tickers)
            self._ok(command_id, existing, params)
            self._begin(existing, added, params, now_ms)

    def _begin(self, subscription: Subscription, tickers: list[str], params: _Params, now_ms: int) -> None:
        """What a subscription tells first of the markets that are new to it."""
        if subscription.channel == "orderbook_delta":
            self._snapshots(subscription, tickers)
        elif subscription.channel == "ticker" and params.send_initial_snapshot:
            for ticker in tickers:
                self.tell(subscription, "ticker", self._engine.ticker(ticker, now_ms))

    def _unsubscribe(self, command_id: int, params: _Params) -> None:
        if not params.every_sid:
            raise _Refused(4)
        for sid in params.every_sid:
            subscription = self._by_sid.pop(sid, None)
            if subscription is None:
                self._error(command_id, 7)
            else:
                self._reply(command_id, {"type": "unsubscribed", "sid": sid, **_next_seq(subscription)})

    def _update(self, command_id: int, params: _Params, now_ms: int) -> None:
        if len(params.every_sid) != 1:
            raise _Refused(12)
        subscription = self._by_sid.get(params.every_sid[0])
        if subscription is None:
            raise _Refused(7)
        if not params.action:
            raise _Refused(15)
        tickers = self._known(params.tickers)
        if not tickers:
            raise _Refused(14)
        match params.action:
            case "add_markets":
                added = _add(subscription, tickers)
                self._ok(command_id, subscription, params)
                self._begin(subscription, added, params, now_ms)
            case "delete_markets" if subscription.markets is not None:
                for ticker in tickers:
                    subscription.markets.pop(ticker, None)
                self._ok(command_id, subscription, params)
            case "get_snapshot" if subscription.channel == "orderbook_delta":
                if subscription.markets is None or any(ticker not in subscription.markets for ticker in tickers):
                    raise _Refused(11)
                self._ok(command_id, subscription, params)
                self._snapshots(subscription, tickers)
            case _:
                raise _Refused(13)

    def _known(self, tickers: list[str]) -> list[str]:
        if any(ticker not in self._engine.books for ticker in tickers):
            raise _Refused(16)
        return tickers

    # -- messages --

    def wanting(self, channel: str, ticker: str) -> Iterator[Subscription]:
        """The subscriptions that an event of this market goes to."""
        for subscription in self._by_sid.values():
            if subscription.channel == channel and (subscription.markets is None or ticker in subscription.markets):
                yield subscription

    def tell(self, subscription: Subscription, type_: str, message: bytes) -> None:
        """An event, its `msg` already encoded."""
        if subscription.channel in SEQUENCED:
            subscription.seq += 1
            head = f'{{"type":"{type_}","sid":{subscription.sid},"seq":{subscription.seq},"msg":'
        else:
            head = f'{{"type":"{type_}","sid":{subscription.sid},"msg":'
        self.socket.event(b"".join((head.encode(), message, b"}")))

    def heartbeat(self, now_ms: int) -> None:
        """A protocol ping every ten seconds."""
        if now_ms >= self._next_heartbeat_ms:
            self._next_heartbeat_ms = now_ms + HEARTBEAT_MS
            self.socket.ping(b"heartbeat")

    def skip_sequence(self) -> None:
        """A frame goes missing in every subscription."""
        for subscription in self._by_sid.values():
            subscription.seq += 1

    def fail_subscriptions(self, code: int) -> None:
        """The venue ends all subscriptions with an error."""
        for subscription in self._by_sid.values():
            body = {"type": "error", "sid": subscription.sid, "msg": {"code": code, "msg": ERRORS[code]}}
            self.socket.send(msgspec.json.encode(body))
        self._by_sid.clear()

    def _snapshots(self, subscription: Subscription, tickers: list[str]) -> None:
        for ticker in tickers:
            self.tell(subscription, "orderbook_snapshot", self._engine.snapshot(ticker, yes_prices=subscription.yes_prices))

    def _ok(self, command_id: int, subscription: Subscription, params: _Params) -> None:
        """With the markets that the subscription has now, unless the client does without them."""
        message = {} if params.skip_ticker_ack else {"market_tickers": list(subscription.markets or ())}
        body = {"type": "ok", "sid": subscription.sid, **_next_seq(subscription), "msg": message}
        self._reply(command_id, body)

    def _error(self, command_id: int, code: int) -> None:
        self._reply(command_id, {"type": "error", "msg": {"code": code, "msg": ERRORS[code]}})

    def _reply(self, command_id: int, body: dict[str, Any]) -> None:
        """An id of 0 counts as absent, and is absent in the answer."""
        self.socket.send(msgspec.json.encode({"id": command_id, **body} if command_id else body))


def _add(subscription: Subscription, tickers: list[str]) -> list[str]:
    """Which of these are new to it. No tickers at all widens it to all markets."""
    if subscription.markets is None or not tickers:
        subscription.markets = None
        return []
    added = [ticker for ticker in tickers if ticker not in subscription.markets]
    subscription.markets.update(dict.fromkeys(added))
    return added


def _next_seq(subscription: Subscription) -> dict[str, int]:
    """Control frames of a sequenced channel take a number too."""
    if subscription.channel not in SEQUENCED:
        return {}
    subscription.seq += 1
    return {"seq": subscription.seq}
