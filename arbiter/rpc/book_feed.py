"""The feed of books: each as it changes, and once more where it became fresh, or stopped to be, by the passing of time alone."""

from collections.abc import Iterable

from arbiter.actors.market_data import BookUpdated, MarketData
from arbiter.domain.ids import OutcomeKey
from arbiter.rpc import market_codec
from arbiter.rpc.change import Change
from arbiter.rpc.feed import Source
from arbiter.rpc.list_feed import ListFeed
from arbiter.runtime import Environment, Kept
from arbiter.v1 import market_pb2

_Change = Change[OutcomeKey, BookUpdated]

LOOK_SECONDS = 1.0
"""How often a stream looks whether its books are fresh."""


class BookSource(Source[OutcomeKey, BookUpdated]):
    """A book's message says how it was when it was encoded, whose freshness is the change's `value`. A snapshot is encoded anew."""

    def __init__(self, data: MarketData, environment: Environment, run: int) -> None:
        super().__init__(data.books, self._encode_book, run=run, by_key=True)
        self._data = data
        self.environment = environment

    def is_fresh(self, book: BookUpdated) -> bool:
        return self._data.fresh(book, self.environment.monotonic())

    def _encode_book(self, change: _Change) -> bytes:
        book, change.value = change.event, self.is_fresh(change.event)
        age_ms = max(0, round((self.environment.monotonic() - book.changed_at) * 1000))
        entry = market_codec.book_out(book, fresh=bool(change.value), age_ms=age_ms)
        return market_pb2.BookUpdate(books=[entry], at_unix_ms=self.environment.unix_ms()).SerializeToString()

    def change(self, kept: Kept[OutcomeKey, BookUpdated]) -> _Change:
        return self.new_change(*kept)


class BookFeed(ListFeed[OutcomeKey, BookUpdated]):
    """Books of these outcomes."""

    look_seconds = LOOK_SECONDS

    def __init__(self, source: BookSource, outcomes: Iterable[OutcomeKey]) -> None:
        super().__init__(source, source.environment.unix_ms, outcomes)
        self._books = source
        self._last: dict[OutcomeKey, _Change] = {}
        """What was told last of each."""

    def next(self, change: _Change) -> bytes | None:
        self._last[change.key] = change
        return super().next(change)

    def _pop(self) -> _Change:
        change = super()._pop()
        self._last[change.key] = change
        return change

    def look_again(self) -> None:
        for change in tuple(self._last.values()):
            if change.key not in self._waiting and self._books.is_fresh(change.event) != change.value:
                # nothing before the next real change is untold by this
                self._put(self._source.new_change(change.key, change.event, self._source.topic.sequence + 1))
