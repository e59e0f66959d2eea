"""Where Kalshi is, and the pace its socket is kept at. Settings as data, no behaviour."""

import msgspec


class KalshiHosts(msgspec.Struct, frozen=True):
    """The base address of REST with its path, and that of the WebSocket without. The defaults are production (B2)."""

    rest_url: str = "https://external-api.kalshi.com/trade-api/v2"
    ws_url: str = "wss://external-api-ws.kalshi.com"


PRODUCTION = KalshiHosts()
OLDER_PRODUCTION = KalshiHosts("https://api.elections.kalshi.com/trade-api/v2", "wss://api.elections.kalshi.com")
DEMO = KalshiHosts("https://external-api.demo.kalshi.co/trade-api/v2", "wss://external-api-ws.demo.kalshi.co")
KNOWN = (PRODUCTION, OLDER_PRODUCTION)
"""Where real money may go. `DEMO` is the venue's test environment, with accounts and keys of its own."""


class KalshiPace(msgspec.Struct, frozen=True):
    """How the socket is filled and watched (B8). Seconds."""

    tickers_per_command: int = 500
    ping: float = 4.0
    dead: float = 12.0
    """Without a frame, ping or pong for this long the socket is dead; the venue pings every 10 s, we every 4."""
    first_book: float = 10.0
    """A book that did not come for this long is asked for once more, then ever more seldom. None at all: a new connection."""
    longest_again: float = 60.0
    """The longest that a book is waited for until it is asked for again."""
    probe: float = 5.0
    """Nothing of any book for this long: one market's book is asked for. Its answer carries a number of the sequence, which
    shows whether something was lost; a socket that does not answer for as long again is dead. 0: never."""
    crossed: float = 2.0
    """A book that is crossed for this long is asked for once more."""
    status: float = 30.0
    """How often the exchange's own status is read: its shards halt one by one."""
    fee_changes: float = 3_600.0
    """How often announced changes of fees are read."""
    channels: tuple[str, ...] = ("orderbook_delta", "trade", "ticker", "market_lifecycle_v2")
    """The public channels that are subscribed to. The first cannot be left out."""
