"""The exchange's own status: its shards halt one by one, and nothing on the stream says so (B5.1)."""

import msgspec

from arbiter.venues.rest import RestClient


class ShardStatus(msgspec.Struct):
    exchange_index: int = 0
    trading_active: bool = True
    exchange_active: bool = True


class ExchangeStatus(msgspec.Struct):
    trading_active: bool = True
    exchange_active: bool = True
    exchange_index_statuses: list[ShardStatus] | None = None

    def trades_on(self, shard: int) -> bool:
        """Whether orders are taken there now. A shard that is not named is as the exchange as a whole."""
        for each in self.exchange_index_statuses or ():
            if each.exchange_index == shard:
                return each.trading_active and each.exchange_active
        return self.trading_active and self.exchange_active


async def read_status(rest: RestClient) -> ExchangeStatus:
    """Raises VenueUnavailable, VenueRejected."""
    return await rest.get("/exchange/status", ExchangeStatus)
