"""What becomes of a book whose hash is not that of its content (A4.1): it is not trusted, and REST decides."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from arbiter.domain.ladder import Ladder
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.tokens import Token
from arbiter.venues.polymarket.wire import BookEvent, BookObject, levels_of, milliseconds

FALSE_ALARMS = 3
"""A hash that is wrong while the book is right, so many times in a row, is one that we compute wrongly: it is not looked at any more."""
PATIENCE_SECONDS = 2.0
"""What REST does not settle by then, a new subscription does."""


class HashAlarms:
    """One for each stream. Tokens that wait for REST are few, and each is there once."""

    def __init__(self, counters: Counters, most_at_once: int) -> None:
        self._counters = counters
        self._most = most_at_once
        self._waiting: dict[Token, tuple[BookEvent, int]] = {}
        """With what was told, and how many changes had been passed over by then."""
        self._woken = trio.Event()
        self._false = 0

    def on_wrong_hash(self, token: Token, book: BookEvent) -> None:
        """See `FrameReader`."""
        if token.line is None:
            return
        if self._false >= FALSE_ALARMS:
            _take(token, book)
            return
        token.line.distrust(token, "the hash of the book is wrong", PATIENCE_SECONDS)
        self._waiting[token] = (book, token.skipped)
        self._woken.set()

    async def run(self, ask: Callable[[Sequence[str]], Awaitable[dict[str, BookObject] | None]]) -> None:
        """Ask REST about them, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken = trio.Event()
            while self._waiting:
                batch = [(token, *self._waiting.pop(token)) for token in tuple(self._waiting)[: self._most]]
                books = await ask([token.id for token, _, _ in batch]) or {}
                for token, told, skipped in batch:
                    book = books.get(token.id)
                    if book is not None and token.skipped == skipped and not token.book.trusted:
                        self._settle(token, told, book)

    def _settle(self, token: Token, told: BookEvent, book: BookObject) -> None:
        try:
            same = _levels(told) == _levels(book)
        except ValueError as error:
            self._counters.odd("bad_rest_books", str(error))
            return
        if same:
            self._false += 1
            self._counters.hash_false_alarms += 1
        elif milliseconds(book.timestamp) < milliseconds(told.timestamp):
            return
        else:
            self._false = 0
        _take(token, book)


def _take(token: Token, book: BookObject) -> None:
    if token.line is not None:
        token.book.replace(levels_of(book.bids), levels_of(book.asks))
        token.line.accept(token, milliseconds(book.timestamp))


def _levels(book: BookObject) -> tuple[bytes, bytes]:
    bids, asks = Ladder(), Ladder()
    bids.replace(levels_of(book.bids))
    asks.replace(levels_of(book.asks))
    return bids.packed(), asks.packed()
