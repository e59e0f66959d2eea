"""Where Polymarket is, and the pace its sockets are kept at. Settings as data, no behaviour."""

import msgspec


class PolymarketHosts(msgspec.Struct, frozen=True):
    """Base addresses, without a path. The defaults are production (A2)."""

    gamma_url: str = "https://gamma-api.polymarket.com"
    clob_url: str = "https://clob.polymarket.com"
    ws_url: str = "wss://ws-subscriptions-clob.polymarket.com"


PRODUCTION = PolymarketHosts()
KNOWN = (PRODUCTION,)
"""Where real money may go: anything else is a sandbox."""


class PolymarketPace(msgspec.Struct, frozen=True):
    """How sockets are filled and watched (A7.1, A12). Seconds."""

    tokens_per_socket: int = 400
    """Silent stalls are reported above 200 to 500 tokens a connection."""
    ping: float = 10.0
    pong: float = 30.0
    """Without a PONG for this long the socket is dead."""
    first_book: float = 30.0
    """A subscription that brought nothing for this long is dead; a single token's is made anew."""
    after_tick_change: float = 1.0
    """The venue sends the new book by itself; a token whose book has not come by then is subscribed anew."""
    quiet: float = 5.0
    """A socket that told nothing for this long is compared with REST: a PONG alone proves nothing (silent freeze)."""
    audit: float = 30.0
    """One that does tell something is compared this often: single tokens may freeze, too."""
    recheck: float = 1.0
    """Before a contradiction counts: a frame may have been on its way."""
