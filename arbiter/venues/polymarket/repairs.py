"""Which tokens of a line want a new book, and when they are subscribed anew. Time is told to it; what it tells, it tells at once."""

from collections.abc import Iterable

from arbiter.domain.market_events import BooksInvalid
from arbiter.venues.base import Listener
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.tokens import Token


class Repairs:
    """Books that are awaited, and books that are suspected: crossed, or contradicted by what else the venue says."""

    def __init__(self, listener: Listener, pace: PolymarketPace, counters: Counters) -> None:
        self._listener = listener
        self.pace = pace
        self._counters = counters
        self._awaited: dict[Token, float] = {}
        """With the second at which they are subscribed anew."""
        self._suspected: dict[Token, None] = {}

    def __len__(self) -> int:
        return len(self._awaited) + len(self._suspected)

    def forget(self, token: Token) -> None:
        """It is followed here no longer."""
        self._awaited.pop(token, None)
        self._suspected.pop(token, None)

    def clear(self) -> None:
        """The line is lost."""
        self._awaited.clear()
        self._suspected.clear()

    def wait_for(self, tokens: Iterable[Token], due: float) -> None:
        """Their books are to come by then."""
        for token in tokens:
            self._awaited[token] = due

    def distrust(self, tokens: Iterable[Token], reason: str, now: float, seconds: float | None = None) -> None:
        """Their books are wrong: say so, forget them, and subscribe anew after `seconds` (None: as soon as the token's patience allows)."""
        fallen = tuple(tokens)
        settled = self.pace.longest_again
        known = tuple(token.key for token in fallen if token.book.trusted)
        if known:
            self._listener.tell(BooksInvalid(reason, known))
        for token in fallen:
            if token.book.trusted and now - token.trusted_at >= settled:
                token.patience = 0.0
            token.book.invalidate()
            token.skipped = 0
            self._suspected.pop(token, None)
            token.crossed_at = token.doubted_at = None
            token.sound = True
            if seconds is not None:
                self._awaited[token] = now + seconds
            elif token not in self._awaited:
                self._awaited[token] = now + token.patience

    def came(self, token: Token, now: float) -> None:
        """A whole book came, and it is trusted."""
        if self._awaited.pop(token, None) is not None:
            token.trusted_at = now

    def suspect(self, token: Token) -> None:
        """Something is wrong with this book since its `crossed_at` or `doubted_at`; it may right itself."""
        self._suspected[token] = None
        token.sound = False

    def due(self, now: float) -> list[Token]:
        """The tokens that are to be subscribed anew now: each has been waited for, or was wrong, for too long."""
        self._look_at_suspects(now)
        due = [token for token, at in self._awaited.items() if now >= at]
        for token in due:
            token.patience = min(2 * token.patience or self.pace.again, self.pace.longest_again)
            self._awaited[token] = now + token.patience
        self._counters.resubscribed += len(due)
        return due

    def _look_at_suspects(self, now: float) -> None:
        doubt = self.pace.doubt
        for token in tuple(self._suspected):
            if token.crossed_at is not None and now - token.crossed_at > doubt:
                self._counters.crossed_books += 1
                self.distrust((token,), "the book stays crossed", now)
            elif token.doubted_at is not None and now - token.doubted_at > doubt:
                self._counters.contradicted += 1
                self.distrust((token,), "the venue says that the best prices are others", now)
            elif token.crossed_at is None and token.doubted_at is None:
                del self._suspected[token]
                token.sound = True
