"""The lines of one stream: which token goes over which of them, as what is followed changes."""

from collections.abc import Iterable, Iterator

import trio

from arbiter.domain.ids import MarketKey
from arbiter.venues.base import Followed, FollowList, FollowMark
from arbiter.venues.polymarket.line import Line, Shared
from arbiter.venues.polymarket.tokens import FollowedMarket, Token


class Lines:
    """Keeps the two tokens of a market together, fills lines that have room first, and gives up lines that are empty."""

    def __init__(self, shared: Shared, nursery: trio.Nursery) -> None:
        self._shared = shared
        self._nursery = nursery
        self._markets: dict[MarketKey, FollowedMarket] = {}
        self._lines: dict[int, Line] = {}
        self._capacity = max(2, shared.pace.tokens_per_socket)

    @property
    def markets(self) -> dict[MarketKey, FollowedMarket]:
        """What is followed now. Not to be changed."""
        return self._markets

    def tokens(self) -> Iterator[Token]:
        """Of all markets."""
        for market in self._markets.values():
            yield market.yes
            yield market.no

    def all(self) -> Iterator[Line]:
        """The lines there are."""
        yield from self._lines.values()

    async def keep(self, follow: FollowList) -> None:
        """Follow what the list says, until cancelled."""
        mark: FollowMark | None = None
        while True:
            mark, keys = follow.since(mark)
            self.set(follow.markets, (*self._markets, *follow.markets) if keys is None else keys)
            await follow.changed()

    def set(self, wanted: dict[MarketKey, Followed], keys: Iterable[MarketKey]) -> None:
        """Where these markets are concerned. Drop what is gone first: it makes room for what is new."""
        touched: dict[Line, bool] = {}
        new: dict[MarketKey, Followed] = {}
        for key in keys:
            known, followed = self._markets.get(key), wanted.get(key)
            if known is not None and (followed is None or not known.keeps(followed)):
                self._drop(key, touched)
            elif known is not None and followed is not None:
                known.market = followed.market
            if followed is not None and key not in self._markets:
                new[key] = followed
        for key, followed in new.items():
            self._add(key, followed, touched)
        for line, more in touched.items():
            if line.tokens:
                line.changed(more=more)
            else:
                line.scope.cancel()
                del self._lines[line.number]

    def _drop(self, key: MarketKey, touched: dict[Line, bool]) -> None:
        market = self._markets.pop(key)
        line = next(line for line in self._lines.values() if market.yes.id in line.tokens)
        line.drop(market.tokens)
        touched.setdefault(line, False)

    def _add(self, key: MarketKey, followed: Followed, touched: dict[Line, bool]) -> None:
        market = self._markets[key] = FollowedMarket(followed)
        line = self._with_room()
        line.add(market.tokens)
        touched[line] = True

    def _with_room(self) -> Line:
        """Not through all lines for each of ten thousand tokens: the newest is nearly always the one with room."""
        if self._lines:
            newest = self._lines[next(reversed(self._lines))]
            if self._has_room(newest):
                return newest
            for line in self._lines.values():
                if self._has_room(line):
                    return line
        number = next(number for number in range(len(self._lines) + 1) if number not in self._lines)
        line = self._lines[number] = Line(self._shared, number)
        self._nursery.start_soon(line.run)
        return line

    def _has_room(self, line: Line) -> bool:
        return len(line.tokens) + 2 <= self._capacity
