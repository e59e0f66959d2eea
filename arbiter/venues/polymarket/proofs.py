"""Proof that quiet books are true: they are compared with what REST has, the oldest proof first.

A connection may answer PING and tell nothing more (A12), so silence is compared, token by token. A book that REST has just
so is proved. One that REST has otherwise, and newer, twice in a row while the socket told nothing of it, is a stall: of
that token, or of the whole socket where it told nothing at all.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest
from typing import NoReturn

import msgspec
import trio

from arbiter.domain.ladder import Ladder
from arbiter.errors import VenueRejected, VenueUnavailable
from arbiter.venues.base import Listener, Surroundings
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.hosts import PolymarketPace
from arbiter.venues.polymarket.tokens import Token
from arbiter.venues.polymarket.wire import BookObject, levels_of, milliseconds, read_book
from arbiter.venues.rest import RestClient
from arbiter.venues.wire_numbers import UNDECODABLE

ROUND_SECONDS = 0.5
AT_ONCE = 4
"""Requests on their way: with an answer time of 200 ms, 4 times 100 tokens are 2,000 a second."""
MOST_REFUSED = 1000
REFUSED_SECONDS = 2.0
"""After an answer that was none."""


class Proofs:
    """One for each stream."""

    def __init__(
        self,
        clob: RestClient,
        listener: Listener,
        surroundings: Surroundings,
        pace: PolymarketPace,
        counters: Counters,
        tokens: Callable[[], Iterable[Token]],
    ) -> None:
        self._clob = clob
        self._listener = listener
        self._monotonic = surroundings.monotonic
        self._pace = pace
        self._counters = counters
        self._tokens = tokens
        self._asked: set[Token] = set()
        """Those of which the answer is awaited."""
        self._contradicted: dict[Token, float] = {}
        """Those that REST has otherwise, and since when."""
        self._pause_until = 0.0
        self._refused: dict[str, float] = {}
        """Tokens that REST refuses, and until when they are not asked for."""

    async def run(self) -> NoReturn:
        """Until cancelled."""
        room = trio.Semaphore(AT_ONCE)
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(max(ROUND_SECONDS, self._pause_until - self._monotonic()))
                due = self._due(self._monotonic())
                for start in range(0, len(due), self._pace.compared_at_once):
                    batch = [token for token in due[start : start + self._pace.compared_at_once] if token.line is not None]
                    if not batch or self._monotonic() < self._pause_until:
                        continue
                    await room.acquire()
                    self._asked.update(batch)
                    nursery.start_soon(self._compare, batch, room)
                    await trio.sleep(self._pace.between_comparisons)
        raise AssertionError("a loop without an end ended")

    # -- who is next --

    def _due(self, now: float) -> list[Token]:
        """The oldest proof first, and only as many as can be asked for in some seconds: then there are others that are older."""
        self._refused = {token: until for token, until in self._refused.items() if now < until}
        oldest, late = now, 0
        due: list[Token] = []
        for token in self._tokens():
            if not token.book.trusted:
                continue
            oldest = min(oldest, token.proved_at)
            late += now - token.proved_at > self._pace.late
            if token not in self._asked and token.id not in self._refused and self._wants(token, now):
                due.append(token)
        for token in [each for each in self._contradicted if each.line is None or not each.book.trusted]:
            del self._contradicted[token]
        self._counters.oldest_proof_ms = round((now - oldest) * 1000)
        self._counters.late_proofs = late
        return nsmallest(self._pace.compared_at_once * 20, due, key=lambda token: token.proved_at)

    def _wants(self, token: Token, now: float) -> bool:
        since = self._contradicted.get(token)
        if since is not None:
            return now - since >= self._pace.recheck
        if token.doubted_at is not None and token.compared_at < token.doubted_at:
            return True
        return now - token.proved_at >= self._pace.proof or now - max(token.compared_at, token.trusted_at) >= self._pace.audit

    # -- comparing --

    async def _compare(self, batch: list[Token], room: trio.Semaphore) -> None:
        try:
            told = {token: token.venue_ms for token in batch}
            books = await self.books([token.id for token in batch])
            if books is None:
                self._pause_until = self._monotonic() + REFUSED_SECONDS
                return
            now = self._monotonic()
            proved = [token for token in batch if self._verdict(token, books.get(token.id), told[token], now)]
            for token in proved:
                token.proved_at = now
            if proved:
                self._listener.proved([token.key for token in proved])
        finally:
            self._asked.difference_update(batch)
            room.release()

    async def books(self, tokens: Sequence[str]) -> dict[str, BookObject] | None:
        """The venue's books, by token; None where it told nothing: neither proof of life nor of death.

        One odd book hides no other, and a request that is refused as a whole is tried by halves: whichever token is at
        fault is left out for a while.
        """
        self._counters.compared += len(tokens)
        try:
            answer = await self._clob.post("/books", [{"token_id": token} for token in tokens], list[msgspec.Raw])
        except VenueUnavailable:
            return None
        except VenueRejected as error:
            self._counters.odd("bad_rest_books", str(error))
            return await self._by_halves(tokens) if error.code else None
        found = (self._readable(raw) for raw in answer)
        return {book.asset_id: book for book in found if book is not None}

    async def _by_halves(self, tokens: Sequence[str]) -> dict[str, BookObject]:
        if len(tokens) == 1:
            if len(self._refused) < MOST_REFUSED:
                self._refused[tokens[0]] = self._monotonic() + self._pace.audit
            return {}
        middle = len(tokens) // 2
        return {**(await self.books(tokens[:middle]) or {}), **(await self.books(tokens[middle:]) or {})}

    def _readable(self, raw: msgspec.Raw) -> BookObject | None:
        try:
            return read_book(raw)
        except UNDECODABLE as error:
            self._counters.odd("bad_rest_books", str(error), bytes(raw))
            return None

    def _verdict(self, token: Token, book: BookObject | None, told_ms: int, now: float) -> bool:
        """Whether it is proved. What the socket told meanwhile, and an answer that is older than it, prove nothing either way."""
        token.compared_at = now
        if book is None or not token.book.trusted or token.line is None or token.venue_ms != told_ms:
            self._contradicted.pop(token, None)
            return False
        try:
            same = is_same(token, book)
        except ValueError as error:
            self._counters.odd("bad_rest_books", str(error))
            return False
        if same:
            self._contradicted.pop(token, None)
            if token.doubted_at is not None:  # what was said of its best prices was wrong, not the book
                token.doubted_at = None
                self._counters.false_doubts += 1
            return True
        if book.bids is None or book.asks is None:  # it may be an empty side, but does not prove that it is
            self._contradicted.pop(token, None)
            self._counters.odd("bad_rest_books", "null where levels belong")
            return False
        newer = not book.timestamp or milliseconds(book.timestamp) > token.venue_ms
        since = self._contradicted.setdefault(token, now) if newer else now
        if newer and now - since >= self._pace.recheck:
            self._stalled(token, since)
        return False

    def _stalled(self, token: Token, since: float) -> None:
        del self._contradicted[token]
        if token.told_at > since or token.line is None:
            return  # it was on its way
        self._counters.stalled += 1
        if token.line.told_at < since:
            token.line.fail("the socket is silent while the books move on")
        else:
            token.line.distrust(token, "REST has another book than the socket told")


def is_same(token: Token, book: BookObject) -> bool:
    """Whether this is the token's book, level by level. Raises ValueError."""
    for side, levels in ((token.bids, book.bids), (token.asks, book.asks)):
        other = Ladder()
        other.replace(levels_of(levels))
        if other.packed() != side.packed():
            return False
    return True
