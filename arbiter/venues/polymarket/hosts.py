"""Where Polymarket is, and the pace its sockets are kept at. Settings as data, no behaviour."""

import msgspec


class PolymarketHosts(msgspec.Struct, frozen=True):
    """Base addresses, without a path. The defaults are production (A2)."""

    gamma_url: str = "https://gamma-api.polymarket.com"
    clob_url: str = "https://clob.polymarket.com"
    ws_url: str = "wss://ws-subscriptions-clob.polymarket.com"
    data_url: str = ""
    """The Data API. Not named: production's beside production's Gamma, else where Gamma is, as sandboxes have it."""

    @property
    def data(self) -> str:
        """Where the Data API is."""
        return self.data_url or (PRODUCTION_DATA if self.gamma_url == PRODUCTION.gamma_url else self.gamma_url)


PRODUCTION = PolymarketHosts()
PRODUCTION_DATA = "https://data-api.polymarket.com"
KNOWN = (PRODUCTION,)
"""Where real money may go: anything else is a sandbox."""


class PolymarketPace(msgspec.Struct, frozen=True):
    """How sockets are filled and watched (A7.1, A10, A12). Seconds where nothing else is said."""

    tokens_per_socket: int = 400
    """Silent stalls are reported above 200 to 500 tokens a connection. At least 2: both tokens of a market share a socket."""
    ping: float = 5.0
    """Twice as often as the venue's own client, so that one lost PONG leaves books fresh."""
    pong: float = 15.0
    """Without a PONG for this long the socket is dead."""
    first_book: float = 15.0
    """A subscription that brought nothing for this long is dead."""
    again: float = 5.0
    """A token whose book has not come by then is subscribed anew; the next time it waits twice as long, up to `longest_again`."""
    longest_again: float = 60.0
    after_tick_change: float = 1.0
    """The venue sends the new book by itself; a token whose book has not come by then is subscribed anew."""
    doubt: float = 2.0
    """A crossed book, or one that another message of the venue contradicts, may right itself for so long."""
    proof: float = 6.0
    """A book of which nothing was told for this long is compared with REST: a PONG alone proves nothing (silent freeze)."""
    audit: float = 60.0
    """One of which something is told is compared this often: single messages may be lost, too."""
    recheck: float = 1.0
    """Before a contradiction counts: a frame may have been on its way."""
    compared_at_once: int = 100
    """Tokens of one comparison; and the pause between two is such that they take a fifth of what A10 allows."""
    between_comparisons: float = 0.1
    late: float = 12.0
    """A proof older than this is counted as late: the book is not fresh any more."""
