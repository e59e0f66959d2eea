"""One market socket: what it subscribed to, and what it hears."""

from typing import TYPE_CHECKING

import msgspec

from arbiter.sandbox.http import Socket

if TYPE_CHECKING:
    from arbiter.sandbox.polymarket.engine import PolymarketEngine

DUMP_BOOKS = 50
"""Books in one array frame of the initial dump, so that no frame grows beyond what clients take."""
REFUSAL = b"INVALID OPERATION"
"""The sheet knows no answer to nonsense: a text that is no JSON, like PONG, is what a client must bear anyway."""


class _Subscription(msgspec.Struct):
    """A subscription frame: the first has a `type`, later ones an `operation`."""

    type: str = ""
    operation: str = ""
    assets_ids: list[str] = []
    custom_feature_enabled: bool = False
    initial_dump: bool = True


_decode = msgspec.json.Decoder(_Subscription).decode


class MarketSession:
    """One client of `/ws/market`."""

    def __init__(self, engine: "PolymarketEngine", socket: Socket) -> None:
        self._engine = engine
        self.socket = socket
        self.assets: set[str] = set()
        self.custom = False
        self.silent = False
        """Stalled: PING is answered, nothing else is said."""
        self.last_frame = b""
        self._joined = False

    def receive(self, text: str, now_ms: int) -> None:
        """A frame of the client."""
        if text == "PING":
            self.socket.send(b"PONG")
            return
        try:
            wanted = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            self.socket.send(REFUSAL)
            return
        if wanted.type == "market" or (self._joined and wanted.operation == "subscribe"):
            self._subscribe(wanted, now_ms)
        elif self._joined and wanted.operation == "unsubscribe":
            self.assets.difference_update(wanted.assets_ids)
        else:
            self.socket.send(REFUSAL)

    def _subscribe(self, wanted: _Subscription, now_ms: int) -> None:
        """A `book` for each asset named, also when it was subscribed before. Unknown assets are passed over."""
        self._joined = True
        self.custom = self.custom or wanted.custom_feature_enabled
        known = [asset for asset in dict.fromkeys(wanted.assets_ids) if self._engine.follows(asset, now_ms)]
        self.assets.update(known)
        if wanted.initial_dump:
            for start in range(0, len(known), DUMP_BOOKS):
                self.push(msgspec.json.encode(self._engine.book_events(known[start : start + DUMP_BOOKS])))

    def push(self, frame: bytes) -> None:
        """Send an event, already encoded."""
        if not self.silent:
            self.last_frame = frame
            self.socket.event(frame)

    def closed(self) -> None:
        """The connection is gone."""
        self._engine.sessions.pop(self, None)
