"""What is asked of the lists of markets and events: which of them, in which order, and from where on."""

from collections.abc import Callable, Iterable
from datetime import datetime
from heapq import nsmallest
from itertools import islice
from typing import TypeVar

import msgspec
import trio

from arbiter.domain.ids import EventId, VenueId
from arbiter.domain.market import Event, Market, MarketStatus

ENDED = frozenset({MarketStatus.CLOSED, MarketStatus.RESOLVED})
LIVE = frozenset(MarketStatus) - ENDED
LONGEST_TITLE = 200
"""So much of a title counts for the order."""
AT_ONCE = 500
"""Entries that are looked at before others have their turn: half a millisecond's work."""

T = TypeVar("T")

Place = tuple[str, VenueId, str]
"""Where an entry stands in the order of its list: title, venue, id."""


class MarketFilter(msgspec.Struct, frozen=True):
    """Which markets are wanted; what is empty does not narrow. `closes_*`: a market whose end is not known is left out."""

    words: str = ""
    """Every one of them is in the title."""
    statuses: frozenset[MarketStatus] = LIVE
    event: EventId | None = None
    category: str = ""
    closes_after: datetime | None = None
    closes_before: datetime | None = None

    def test(self) -> Callable[[Market], bool]:
        """Whether a market is one of them."""
        words, category = self.words.casefold().split(), self.category.casefold()

        def fits(market: Market) -> bool:
            closes = market.closes_at
            return (
                market.status in self.statuses
                and (self.event is None or market.event == self.event)
                and (not category or market.category.casefold() == category)
                and (self.closes_after is None or (closes is not None and closes >= self.closes_after))
                and (self.closes_before is None or (closes is not None and closes < self.closes_before))
                and _has(market.title, words)
            )

        return fits


class EventFilter(msgspec.Struct, frozen=True):
    """Which events are wanted; what is empty does not narrow."""

    words: str = ""
    category: str = ""

    def test(self) -> Callable[[Event], bool]:
        """Whether an event is one of them."""
        words, category = self.words.casefold().split(), self.category.casefold()
        return lambda event: (not category or event.category.casefold() == category) and _has(event.title, words)


def place_of_market(market: Market) -> Place:
    return market.title[:LONGEST_TITLE], market.key.venue, market.key.market


def place_of_event(event: Event) -> Place:
    return event.title[:LONGEST_TITLE], event.venue, event.id


async def first_after(
    entries: Iterable[T], fits: Callable[[T], bool], place: Callable[[T], Place], after: Place | None, limit: int
) -> tuple[T, ...]:
    """The first of those that fit, in their order, behind a place. Lets others have their turn on the way."""
    waiting = iter(tuple(entries))
    best: list[T] = []
    while chunk := list(islice(waiting, AT_ONCE)):
        best += [each for each in chunk if fits(each) and (after is None or place(each) > after)]
        best = nsmallest(limit, best, key=place)
        await trio.lowlevel.checkpoint()
    return tuple(best)


def _has(title: str, words: list[str]) -> bool:
    if not words:
        return True
    folded = title.casefold()
    return all(word in folded for word in words)
