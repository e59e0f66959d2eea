"""The catalogue: Gamma's keyset pages (A4.2), narrowed by what is wanted, in the domain's terms."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime

import msgspec

from arbiter.domain.ids import POLYMARKET, EventId, MarketId
from arbiter.domain.market import Market, MarketStatus
from arbiter.errors import NotFound, VenueRejected
from arbiter.venues.base import CataloguePage, Selection
from arbiter.venues.polymarket.counters import Counters
from arbiter.venues.polymarket.metadata import GammaEvent, GammaPage, read_event, read_listed, to_event
from arbiter.venues.rest import Params, RestClient

PAGE = 100
"""The most that `/markets/keyset` gives at once (A1)."""
IDS_AT_ONCE = 50
"""Of an array parameter; about 100 are taken (A4.2, reported by third parties)."""
_ENDED = (MarketStatus.CLOSED, MarketStatus.RESOLVED)

Listed = tuple[Market, GammaEvent]


class Catalogue:
    """One reading of it. Events grow while it lasts: each time one comes, it names all of its markets so far."""

    def __init__(self, gamma: RestClient, counters: Counters, selection: Selection) -> None:
        self._gamma = gamma
        self._counters = counters
        self._selection = selection
        self._seen: dict[EventId, dict[MarketId, Market]] = {}
        self._left = selection.limit or None
        """How many more markets are wanted."""

    async def pages(self) -> AsyncGenerator[CataloguePage]:
        """By events where those or their tags are asked for, else by markets. Raises VenueUnavailable, VenueRejected."""
        selection = self._selection
        by_events = selection.events or selection.series
        async with aclosing(self._by_events() if by_events else self._by_markets()) as pages:
            async for listed in pages:
                page = self._page(listed)
                if page.markets:
                    yield page
                if self._left == 0:
                    return

    def _page(self, listed: list[Listed]) -> CataloguePage:
        kept = [each for each in listed if self._is_wanted(each[0])]
        if self._left is not None:
            kept = kept[: self._left]
            self._left -= len(kept)
        events: dict[EventId, GammaEvent] = {}
        for market, event in kept:
            events[market.event] = event
            self._seen.setdefault(market.event, {})[market.key.market] = market
        return CataloguePage(
            tuple(market for market, _ in kept),
            tuple(to_event(event, self._seen[name].values()) for name, event in events.items()),
        )

    def _is_wanted(self, market: Market) -> bool:
        """What the venue filters, and what it does not: an event's pages hold all its markets."""
        wanted, closes = self._selection, market.closes_at
        if market.status in _ENDED and not wanted.ended:
            return False
        if market.key.market in self._seen.get(market.event, ()):
            return False
        if wanted.closes_after is not None and (closes is None or closes < wanted.closes_after):
            return False
        return wanted.closes_before is None or (closes is not None and closes <= wanted.closes_before)

    # -- the two ways --

    async def _by_markets(self) -> AsyncGenerator[list[Listed]]:
        selection = self._selection
        params: list[tuple[str, str]] = [("include_tag", "true")]
        params += [("order", "volumeNum"), ("ascending", "false")] if selection.limit else []
        params += [("end_date_min", _iso(selection.closes_after))] if selection.closes_after else []
        params += [("end_date_max", _iso(selection.closes_before))] if selection.closes_before else []
        async with aclosing(self._keyset("/markets/keyset", [params])) as pages:
            async for page in pages:
                yield list(self._readable(page.markets or (), None))

    async def _by_events(self) -> AsyncGenerator[list[Listed]]:
        """A tag is its number, or its name; that names are taken the sheet does not say."""
        selection = self._selection
        names = selection.events
        chosen: list[Params] = [
            [("slug", name) for name in names[start : start + IDS_AT_ONCE]] for start in range(0, len(names), IDS_AT_ONCE)
        ]
        chosen += [[("tag_id" if tag.isdecimal() else "tag_slug", tag)] for tag in selection.series]
        async with aclosing(self._keyset("/events/keyset", chosen)) as pages:
            async for page in pages:
                yield [each for raw in page.events or () for each in self._of_event(raw)]

    def _of_event(self, raw: msgspec.Raw) -> Iterable[Listed]:
        try:
            event = read_event(raw)
        except ValueError:
            self._counters.unreadable_markets += 1
            return ()
        return self._readable(event.markets or (), event)

    def _readable(self, raws: Iterable[msgspec.Raw], event: GammaEvent | None) -> Iterable[Listed]:
        for raw in raws:
            try:
                market, its_event = read_listed(raw, event)
            except ValueError:
                self._counters.unreadable_markets += 1
                continue
            if market is not None:
                yield market, its_event

    async def _keyset(self, path: str, chosen: Iterable[Params]) -> AsyncGenerator[GammaPage]:
        """All pages of each choice. What is closed is asked for by itself: whether it is left out otherwise depends on the path (A1)."""
        for params in chosen:
            for closed in ("false", "true") if self._selection.ended else ("false",):
                narrowed = [("limit", str(PAGE)), ("closed", closed), *params]
                cursor, cursors = "", {""}
                while True:
                    page = await self._gamma.get(path, GammaPage, [*narrowed, ("after_cursor", cursor)] if cursor else narrowed)
                    yield page
                    cursor = page.next_cursor or ""
                    if not cursor:
                        break
                    if cursor in cursors:
                        raise VenueRejected(POLYMARKET, "the catalogue's cursor does not move on")
                    cursors.add(cursor)


async def read_one(gamma: RestClient, market: MarketId) -> Market:
    """One market, open or not. NotFound; VenueUnavailable, VenueRejected."""
    for closed in ("false", "true"):
        page = await gamma.get("/markets/keyset", GammaPage, [("condition_ids", market), ("closed", closed), ("limit", "1")])
        for raw in page.markets or ():
            try:
                found, _ = read_listed(raw)
            except ValueError as error:
                raise VenueRejected(POLYMARKET, f"market {market[:80]} cannot be read: {error}") from None
            if found is not None and found.key.market == market:
                return found
    raise NotFound(f"{POLYMARKET} lists no market {market[:80]!r} that could be followed")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
