"""Which markets a Gamma query means, and in which order. What does not parse raises InvalidQuery."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from arbiter.domain.money import MICRO, floor_to
from arbiter.sandbox.books import MarketBooks
from arbiter.sandbox.http import Request, whole_number
from arbiter.sandbox.polymarket import wire
from arbiter.sandbox.world import Stage

CENT = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidQuery(Exception):
    """The query has a field that Gamma refuses. The text is for the client."""


class Listed(msgspec.Struct):
    """A market with the ids that Gamma gives it and its event."""

    id: int
    event_id: int
    books: MarketBooks

    @property
    def closed(self) -> bool:
        """Also while it is being decided: prices are final only with the resolution."""
        return self.books.over


Test = Callable[[Listed], bool]


def tests_of(request: Request, now_ms: int, *, hide_closed: bool, of_event: bool) -> list[Test]:
    """What a market must be. Array parameters are repeated or a comma list; any of their values will do."""
    tests: list[Test] = []
    closed = _flag(request, "closed")
    if closed is None and hide_closed:
        closed = False
    if closed is not None:
        tests.append(lambda m: m.closed is closed)
    if _flag(request, "archived"):
        tests.append(lambda _: False)
    if (active := _flag(request, "active")) is not None:
        tests.append(lambda m: (m.books.stage is not Stage.UPCOMING) is active)
    for name, values_of in _ARRAYS.items():
        if wanted := set(request.every(name)):
            tests.append(_any_of(wanted, values_of))
    if ids := set(request.every("id")):
        tests.append(lambda m: str(m.event_id if of_event else m.id) in ids)
    for name, value_of in _RANGES.items():
        tests += _bounds(request, name, value_of)
    tests += _bounds(request, "start_date", lambda m: started_ms(m, now_ms) // 1000)
    return tests


def _any_of(wanted: set[str], values_of: Callable[[Listed], set[str]]) -> Test:
    return lambda m: not wanted.isdisjoint(values_of(m))


def _bounds(request: Request, name: str, value_of: Callable[[Listed], int]) -> list[Test]:
    read = _date if name.endswith("_date") else _dollars
    tests: list[Test] = []
    if lowest := request.first(f"{name}_min"):
        least = read(lowest)
        tests.append(lambda m: value_of(m) >= least)
    if highest := request.first(f"{name}_max"):
        most = read(highest)
        tests.append(lambda m: value_of(m) <= most)
    return tests


def ordered(markets: list[Listed], request: Request) -> list[Listed]:
    """`order` is a comma list of fields; ascending unless told otherwise."""
    names = request.every("order")
    if unknown := [name for name in names if name not in _ORDERS]:
        raise InvalidQuery(f"order fields are not valid: {unknown[0][:40]}")
    if not names:
        return markets
    return sorted(markets, key=lambda m: [_ORDERS[name](m) for name in names], reverse=_flag(request, "ascending") is False)


def _flag(request: Request, name: str) -> bool | None:
    value = request.first(name)
    if value not in ("", "true", "false"):
        raise InvalidQuery(f"{name} must be true or false")
    return value == "true" if value else None


def _date(value: str) -> int:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidQuery("invalid date") from None
    return _seconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _dollars(value: str) -> int:
    number = whole_number(value.partition(".")[0])
    if number is None:
        raise InvalidQuery("invalid number")
    return number * MICRO


def _seconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1)


def _end_of(market: Listed) -> int:
    closes = market.books.market.closes_at
    return _seconds(closes) if closes else 0


def volume_of(market: Listed) -> int:
    return floor_to(market.books.turnover_pico // MICRO, CENT)


def liquidity_of(market: Listed) -> int:
    """Dollars that rest in the YES book: bids at their price, asks at their complement's."""
    books = market.books
    bids = sum(price * size for price, size in books.yes.bids())
    asks = sum((books.market.payout - price) * size for price, size in books.yes.asks())
    return floor_to((bids + asks) // MICRO, CENT)


def started_ms(market: Listed, now_ms: int) -> int:
    """When it appeared; today's midnight where it always was there."""
    return market.books.listed_ms or now_ms - now_ms % 86_400_000


def uma_of(market: Listed) -> str | None:
    """How far the oracle is."""
    return _UMA.get(market.books.stage)


def resolution_of(market: Listed) -> str:
    return {Stage.UPCOMING: "inactive", Stage.SETTLED: "resolved"}.get(market.books.stage, "active")


def tag_id(tag: str) -> str:
    """A number that follows from the tag's name."""
    return str(100_000 + int(wire.made_hash("tag", tag)[2:8], 16) % 100_000)


def _outcomes(market: Listed, generation: str) -> set[str]:
    books = market.books
    return {books.market.yes.id, books.market.no.id} if books.details.generation == generation else set()


_UMA = {Stage.CLOSED: "requested", Stage.DETERMINED: "proposed", Stage.DISPUTED: "disputed", Stage.SETTLED: "resolved"}
_ARRAYS: dict[str, Callable[[Listed], set[str]]] = {
    "condition_ids": lambda m: {m.books.market.key.market},
    "clob_token_ids": lambda m: _outcomes(m, "v1"),
    "position_ids": lambda m: _outcomes(m, "v2"),
    "question_ids": lambda m: {wire.question_id(m.books)},
    "slug": lambda m: {m.books.market.event, wire.slug_of(m.books)},
    "tag_id": lambda m: {tag_id(tag) for tag in wire.tags_of(m.books)},
    "uma_resolution_status": lambda m: {uma_of(m) or ""},
    "resolution_status": lambda m: {resolution_of(m)},
    "version": lambda m: {m.books.details.generation},
}
_RANGES: dict[str, Callable[[Listed], int]] = {"end_date": _end_of, "volume_num": volume_of, "liquidity_num": liquidity_of}
_ORDERS: dict[str, Callable[[Listed], int]] = {
    "id": lambda m: m.id,
    "endDate": _end_of,
    "volumeNum": volume_of,
    "liquidityNum": liquidity_of,
}
