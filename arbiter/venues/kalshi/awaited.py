"""Books that are to come: which of them are overdue, and how long each is waited for. Pure; time is told to it (monotonic seconds).

A market whose book goes wrong again and again is asked for ever more seldom, so that it costs the others nothing.
"""

from collections.abc import Iterable


class AwaitedBooks:
    """Of one connection. `first`: how long a book is waited for at first; `longest`: at last, and what counts as settled."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._due: dict[str, float] = {}
        """When each is asked for again."""
        self._patience: dict[str, float] = {}
        self._came_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._due)

    def expect(self, tickers: Iterable[str], now: float) -> None:
        """They were subscribed to just now."""
        for ticker in tickers:
            self._patience[ticker] = 0.0
            self._due[ticker] = now + self._first

    def doubt(self, ticker: str, now: float) -> bool:
        """Its book is wrong. Whether it is to be asked for at once; if not, it is overdue in time."""
        if ticker in self._due:
            return False
        if now - self._came_at.get(ticker, float("-inf")) >= self._longest:
            self._patience[ticker] = 0.0
        patience = self._patience.get(ticker, 0.0)
        self._due[ticker] = now + patience
        if patience:
            return False
        self._ask(ticker, now)
        return True

    def overdue(self, now: float) -> list[str]:
        """Those that are to be asked for again now."""
        found = [ticker for ticker, due in self._due.items() if now >= due]
        for ticker in found:
            self._ask(ticker, now)
        return found

    def _ask(self, ticker: str, now: float) -> None:
        self._patience[ticker] = min(2 * self._patience.get(ticker, 0.0) or self._first, self._longest)
        self._due[ticker] = now + self._patience[ticker]

    def came(self, ticker: str, now: float) -> None:
        """Its book is here."""
        if self._due.pop(ticker, None) is not None:
            self._came_at[ticker] = now

    def forget(self, ticker: str) -> None:
        """It is followed no longer, or there is no such book."""
        for known in (self._due, self._patience, self._came_at):
            known.pop(ticker, None)
