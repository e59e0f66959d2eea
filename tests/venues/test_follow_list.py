"""The list of followed markets tells who keeps up with it what changed since, so that nobody looks through all of them each time."""

from arbiter.domain.book import Book
from arbiter.venues.base import MOST_TOUCHED, Followed, FollowList


def test_who_keeps_up_is_told_what_was_added_and_dropped_and_who_does_not_looks_through_all(kalshi_market) -> None:
    one, two, three = (
        Followed(market, Book(market.yes_key), Book(market.no_key)) for market in map(kalshi_market, ("KX-1", "KX-2", "KX-3"))
    )
    follow = FollowList([one])
    mark, keys = follow.since(None)
    assert keys is None
    follow.add([two])
    follow.add([three, two], dropped=[one.market.key])
    mark, keys = follow.since(mark)
    assert keys == [two.market.key, one.market.key, three.market.key]
    assert list(follow.markets) == [two.market.key, three.market.key]
    assert follow.since(mark)[1] == []
    follow.set([one])
    mark, keys = follow.since(mark)
    assert keys is None
    for _ in range(MOST_TOUCHED + 1):
        follow.add([two])
    assert follow.since(mark)[1] is None, "what is remembered is bounded"
