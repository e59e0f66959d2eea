"""Reads of the Data API v2 (A9.1): public, no key, in pages by cursor. What the rows say is in `data_rows.py`."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from arbiter.domain.ids import POLYMARKET, MarketId
from arbiter.domain.money import Micros
from arbiter.errors import VenueRejected
from arbiter.venues.polymarket.data_rows import (
    LeaderboardRow,
    ResolutionRow,
    WalletActivity,
    WalletPosition,
    WalletTrade,
    read_activity,
    read_leader,
    read_position,
    read_resolution,
    read_trade,
    read_value,
)
from arbiter.venues.rest import RestClient

MOST_ROWS = 1000
"""Of a page."""
MOST_CONDITIONS = 20
EVERYTHING = 1
"""As `start`: without one only a recent window of unknown length is answered."""

T = TypeVar("T")
Params = list[tuple[str, str]]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some rows and where the next ones are; `cursor` is empty on the last page."""

    rows: tuple[T, ...]
    cursor: str = ""
    unreadable: int = 0
    """Rows that were not what the API promises; left out."""


class _Pagination(msgspec.Struct):
    has_more: bool | None = None
    next_cursor: str | None = None


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    pagination: _Pagination | None = None


class _Single(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


class DataApi:
    """Each read raises VenueUnavailable and VenueRejected. Times are Unix seconds, `start` and `end` both included."""

    def __init__(self, rest: RestClient) -> None:
        self._rest = rest

    async def trades(
        self,
        *,
        user: str = "",
        markets: Sequence[MarketId] = (),
        taker_only: bool,
        start: int = EVERYTHING,
        end: int | None = None,
        limit: int = MOST_ROWS,
        cursor: str = "",
    ) -> Page[WalletTrade]:
        """Of a wallet, or of at most 20 markets, newest first.

        `taker_only` hides the makers' rows; the venue's default is not documented, so it is always said.
        """
        params = [*_window(start, end, limit, cursor), ("taker_only", "true" if taker_only else "false")]
        params += [("user", user)] if user else []
        params += [("condition_id", ",".join(markets[:MOST_CONDITIONS]))] if markets else []
        return await self._page("/v2/trades", params, read_trade)

    async def activity(
        self,
        user: str,
        *,
        kinds: Sequence[str] = (),
        oldest_first: bool = False,
        start: int = EVERYTHING,
        end: int | None = None,
        limit: int = MOST_ROWS,
        cursor: str = "",
    ) -> Page[WalletActivity]:
        """What a wallet did, 4 to 14 s after it was on chain (A9.2)."""
        params = [("user", user), *_window(start, end, limit, cursor), ("sort_direction", "ASC" if oldest_first else "DESC")]
        params += [("type", ",".join(kinds))] if kinds else []
        return await self._page("/v2/activity", params, read_activity)

    async def positions(self, user: str, *, status: str = "", limit: int = MOST_ROWS, cursor: str = "") -> Page[WalletPosition]:
        """What a wallet holds."""
        params = [("user", user), *_paging(limit, cursor), *([("status", status)] if status else [])]
        return await self._page("/v2/positions", params, read_position)

    async def value(self, user: str) -> Micros | None:
        """What a wallet's positions are worth; None where the venue knows none."""
        answer = (await self._rest.get("/v2/value", _Single, [("user", user)])).data
        rows = msgspec.json.decode(answer)
        row = rows[0] if isinstance(rows, list) and rows else rows
        if not row:
            return None
        try:
            return read_value(msgspec.json.encode(row))
        except ValueError as error:
            raise VenueRejected(POLYMARKET, f"/v2/value is not what the API promises: {error}") from None

    async def leaderboard(
        self, *, category: str = "", period: str = "week", by_volume: bool = False, limit: int = 100, cursor: str = ""
    ) -> Page[LeaderboardRow]:
        """The best wallets of a `period`: day, week, month, all."""
        params = [*_paging(limit, cursor), ("time_period", period), ("sort_by", "VOLUME" if by_volume else "PNL")]
        params += [("category", category)] if category else []
        return await self._page("/v2/leaderboard", params, read_leader)

    async def resolutions(self, markets: Sequence[MarketId]) -> Page[ResolutionRow]:
        """Where at most 20 markets stand; those that the venue knows nothing of are left out.

        The parameter is the venue's own page's, which the sheet does not give.
        """
        return await self._page("/v2/resolutions", [("condition", ",".join(markets[:MOST_CONDITIONS]))], read_resolution)

    async def _page(self, path: str, params: Params, read: Callable[[msgspec.Raw], T]) -> Page[T]:
        answer = await self._rest.get(path, _Envelope, params)
        rows: list[T] = []
        unreadable = 0
        for raw in answer.data or ():
            try:
                rows.append(read(raw))
            except ValueError:
                unreadable += 1
        paging = answer.pagination or _Pagination()
        return Page(tuple(rows), (paging.next_cursor or "") if paging.has_more is not False else "", unreadable)


def _paging(limit: int, cursor: str) -> Params:
    return [("limit", str(min(limit, MOST_ROWS))), *([("cursor", cursor)] if cursor else [])]


def _window(start: int, end: int | None, limit: int, cursor: str) -> Params:
    return [("start", str(max(EVERYTHING, start))), *([("end", str(end))] if end is not None else []), *_paging(limit, cursor)]
