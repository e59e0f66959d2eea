"""What is known of each followed token and its market. Plain data: frames, repairs and proofs work on it."""

from typing import Protocol

from arbiter.domain.book import Book
from arbiter.domain.ids import OutcomeKey
from arbiter.domain.market import Resolution
from arbiter.domain.money import Micros
from arbiter.venues.base import Followed

NEVER = float("-inf")


class Carrier(Protocol):
    """The line that a token's book comes over, as those see it who judge the book."""

    @property
    def told_at(self) -> float:
        """When any frame came last."""

    def distrust(self, token: "Token", reason: str, seconds: float | None = None) -> None:
        """Its book is wrong: it is subscribed anew, as soon as its patience allows or after so many seconds."""

    def accept(self, token: "Token", venue_ms: int) -> None:
        """Its book has just been replaced by one to be trusted, from elsewhere."""

    def fail(self, reason: str) -> None:
        """The connection is no good: make another."""


class Token:
    """One outcome's book and what vouches for it. Times are monotonic seconds, and coarse: as of the last look around."""

    __slots__ = (
        "asks",
        "bids",
        "book",
        "compared_at",
        "crossed_at",
        "doubted_at",
        "id",
        "is_yes",
        "key",
        "line",
        "market",
        "patience",
        "proved_at",
        "skipped",
        "sound",
        "told_at",
        "trusted_at",
        "venue_ms",
    )

    def __init__(self, market: "FollowedMarket", key: OutcomeKey, book: Book, *, is_yes: bool) -> None:
        self.id: str = key.outcome
        self.key = key
        self.market = market
        self.is_yes = is_yes
        self.book = book
        self.bids = book.bid_side
        self.asks = book.ask_side
        self.line: Carrier | None = None
        self.venue_ms = 0
        """The venue's time of what was told last."""
        self.skipped = 0
        """Changes that were passed over while there was no book to apply them to."""
        self.trusted_at = NEVER
        """Since when its book is one to be trusted."""
        self.told_at = NEVER
        self.proved_at = NEVER
        """When it was told, or when REST agreed."""
        self.compared_at = NEVER
        self.sound = True
        """Neither of the next two; one look instead of two, with every frame."""
        self.crossed_at: float | None = None
        self.doubted_at: float | None = None
        """Since when its best prices contradict what the venue says they are."""
        self.patience = 0.0
        """How long its book is waited for until it is subscribed anew; grows with each time in vain."""


class FollowedMarket:
    """A market and its two tokens."""

    __slots__ = ("market", "no", "resolution", "tick", "yes")

    def __init__(self, followed: Followed) -> None:
        self.market = followed.market
        self.yes = Token(self, followed.market.yes_key, followed.yes, is_yes=True)
        self.no = Token(self, followed.market.no_key, followed.no, is_yes=False)
        self.tick: Micros | None = None
        """The grid that the stream told last."""
        self.resolution: Resolution | None = followed.market.resolution
        """What was told last of how it came out."""

    @property
    def tokens(self) -> tuple[Token, Token]:
        return self.yes, self.no

    def keeps(self, followed: Followed) -> bool:
        """Whether these are the same books."""
        return self.yes.book is followed.yes and self.no.book is followed.no
