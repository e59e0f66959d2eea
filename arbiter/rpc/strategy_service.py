"""StrategyService: the caller's strategies, and the stream of arbitrage opportunities."""

from collections.abc import AsyncIterator

from arbiter.actors.accounts import SwitchStrategy
from arbiter.actors.arb_scanner import OpportunityChanged
from arbiter.domain.account import Account
from arbiter.domain.entitlement import TIER, not_in_tier, withheld
from arbiter.domain.ids import OpportunityId
from arbiter.domain.money import ONE
from arbiter.errors import InvalidInput, NotAllowed
from arbiter.rpc import codec
from arbiter.rpc.change import Change
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.feed import Source
from arbiter.rpc.follow import Follow
from arbiter.rpc.gate import Gate
from arbiter.rpc.opportunity_feed import OpportunityFeed, net_per_contract
from arbiter.rpc.request import Request
from arbiter.rpc.totp_calls import require_totp
from arbiter.v1 import strategy_pb2
from arbiter.v1.strategy_grpc import StrategyServiceServicer


class StrategyService(StrategyServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/strategy.proto`."""

    def __init__(self, core: Core, gate: Gate) -> None:
        self._core = core
        self._gate = gate
        self._opportunities = Source(core.opportunities, self._encode, run=core.run, measure=net_per_contract)

    def _encode(self, change: Change[OpportunityId, OpportunityChanged]) -> bytes:
        return codec.opportunity_out(change.event, self._core.data).SerializeToString()

    async def ListStrategies(self, message: strategy_pb2.ListRequest, request: Request) -> strategy_pb2.StrategiesResponse:
        return strategy_pb2.StrategiesResponse(strategies=codec.strategies_out(request.caller))

    async def EnableStrategy(self, message: strategy_pb2.StrategyRequest, request: Request) -> strategy_pb2.StrategyResponse:
        account: Account = request.caller
        if withheld(account, message.name) == TIER:  # before a code is used up
            raise NotAllowed(not_in_tier(account.tier))
        await require_totp(self._core, request)
        return await self._switch(message.name, request, enabled=True)

    async def DisableStrategy(self, message: strategy_pb2.StrategyRequest, request: Request) -> strategy_pb2.StrategyResponse:
        return await self._switch(message.name, request, enabled=False)

    async def _switch(self, name: str, request: Request, *, enabled: bool) -> strategy_pb2.StrategyResponse:
        wanted = SwitchStrategy(request.caller.user, codec.text_in("name", name), enabled)
        account = await self._core.accounts.ask(wanted, timeout=ASK_SECONDS)
        return strategy_pb2.StrategyResponse(strategy=codec.strategy_out(name, account))

    async def GetArbOpportunities(self, message: strategy_pb2.ArbRequest, request: Request) -> AsyncIterator[Follow]:
        least = message.min_net_per_contract_micros or request.caller.settings.min_edge
        if not 0 <= least <= ONE:
            raise InvalidInput("min_net_per_contract_micros", "must be from 0 to 1,000,000")
        feed = OpportunityFeed(self._opportunities, least)
        with self._gate.stream(request), feed.opened(f"opportunities {least}", codec.resume_after_in(message)):
            yield Follow(feed)
