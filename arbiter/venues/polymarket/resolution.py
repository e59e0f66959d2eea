"""How a market came out: the venue's signals, the best first (A4.2)."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from arbiter.domain.ids import MarketId
from arbiter.domain.market import Market, Resolution
from arbiter.domain.money import ONE, ZERO
from arbiter.errors import NotFound, VenueRejected, VenueUnavailable
from arbiter.venues.polymarket.data_api import DataApi
from arbiter.venues.polymarket.data_rows import ResolutionRow
from arbiter.venues.rest import RestClient

RESOLVED = "resolved"
"""Of all the statuses the only one after which nothing follows."""


class _WireToken(msgspec.Struct):
    token_id: str | None = None
    winner: bool | None = None
    price: Decimal | None = None


class ClobMarket(msgspec.Struct):
    """`/markets/{condition}` of the CLOB, as far as it says who won."""

    closed: bool | None = None
    tokens: list[_WireToken] | None = None


class Resolutions:
    """Asks one source after the other, until one knows. `read_market` is the catalogue's read of one market."""

    def __init__(self, data: DataApi, clob: RestClient, read_market: Callable[[MarketId], Awaitable[Market]]) -> None:
        self._data = data
        self._clob = clob
        self._read_market = read_market

    async def of(self, market: Market) -> Resolution | None:
        """None while no source says anything. Raises what the sources raised only where none of them answered."""
        problem: VenueUnavailable | VenueRejected | None = None
        answered = False
        for ask in (self._by_data, self._by_gamma, self._by_clob):
            try:
                resolution = await ask(market)
            except (VenueUnavailable, VenueRejected) as error:
                problem = problem or error
                continue
            except NotFound:
                continue
            answered = True
            if resolution is not None:
                return resolution
        if not answered and problem is not None:
            raise problem
        return None

    async def _by_data(self, market: Market) -> Resolution | None:
        rows = (await self._data.resolutions([market.key.market])).rows
        return next((by_row(row) for row in rows if row.market == market.key.market), None)

    async def _by_gamma(self, market: Market) -> Resolution | None:
        return (await self._read_market(market.key.market)).resolution

    async def _by_clob(self, market: Market) -> Resolution | None:
        return by_tokens(market, await self._clob.get(f"/markets/{market.key.market}", ClobMarket))


def by_row(row: ResolutionRow) -> Resolution | None:
    """What is proposed, challenged or disputed is no outcome yet."""
    return Resolution(row.payouts[0], final=True, at=row.at) if row.status == RESOLVED and row.payouts is not None else None


def by_tokens(market: Market, told: ClobMarket) -> Resolution | None:
    """Exactly one winner of a closed market. Not final: the CLOB does not say whether it can still change."""
    winners = [token.token_id for token in told.tokens or () if token.winner]
    if not told.closed or len(winners) != 1:
        return None
    payouts = {market.yes.id: ONE, market.no.id: ZERO}
    payout = payouts.get(winners[0])  # type: ignore[call-overload]
    return None if payout is None else Resolution(payout, final=False)
