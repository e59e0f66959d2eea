"""StrategyService: the caller's strategies, and the stream of arbitrage opportunities."""

from collections.abc import AsyncIterator

import msgspec

from arbiter.actors.accounts import ARBITRAGE, SwitchStrategy
from arbiter.actors.arb_scanner import OpportunityChanged
from arbiter.domain.account import Account, Role
from arbiter.domain.ids import OpportunityId
from arbiter.domain.limits import TIERS
from arbiter.domain.money import ONE
from arbiter.errors import InvalidInput, NotAllowed
from arbiter.rpc import codec
from arbiter.rpc.core import ASK_SECONDS, Core
from arbiter.rpc.gate import Gate
from arbiter.rpc.request import Request
from arbiter.v1 import strategy_pb2
from arbiter.v1.strategy_grpc import StrategyServiceServicer

BELOW_MIN_EDGE = "below_min_edge"
"""The reason of one that goes on, but is not worth it any more to this reader. Any other is the scanner's."""


class StrategyService(StrategyServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/strategy.proto`."""

    def __init__(self, core: Core, gate: Gate) -> None:
        self._core = core
        self._gate = gate

    async def ListStrategies(self, message: strategy_pb2.ListRequest, request: Request) -> strategy_pb2.StrategiesResponse:
        return strategy_pb2.StrategiesResponse(strategies=codec.strategies_out(request.caller))

    async def EnableStrategy(self, message: strategy_pb2.StrategyRequest, request: Request) -> strategy_pb2.StrategyResponse:
        account: Account = request.caller
        if message.name == ARBITRAGE and account.role is not Role.OPERATOR and not TIERS[account.tier].arbitrage_execution:
            having = ", ".join(tier.value for tier, limits in TIERS.items() if limits.arbitrage_execution)
            raise NotAllowed(f"executing arbitrage is not in tier {account.tier.value}; it is in: {having}")
        return await self._switch(message.name, request, enabled=True)

    async def DisableStrategy(self, message: strategy_pb2.StrategyRequest, request: Request) -> strategy_pb2.StrategyResponse:
        return await self._switch(message.name, request, enabled=False)

    async def _switch(self, name: str, request: Request, *, enabled: bool) -> strategy_pb2.StrategyResponse:
        wanted = SwitchStrategy(request.caller.user, codec.text_in("name", name), enabled)
        account = await self._core.accounts.ask(wanted, timeout=ASK_SECONDS)
        return strategy_pb2.StrategyResponse(strategy=codec.strategy_out(name, account))

    async def GetArbOpportunities(self, message: strategy_pb2.ArbRequest, request: Request) -> AsyncIterator[strategy_pb2.ArbOpportunity]:
        least = message.min_net_per_contract_micros or request.caller.settings.min_edge
        if not 0 <= least <= ONE:
            raise InvalidInput("min_net_per_contract_micros", "must be from 0 to 1,000,000")
        told = _Told(least)
        with self._gate.stream(request.caller), self._core.opportunities.subscribe() as (open_now, changes):
            for change in sorted(open_now, key=lambda change: change.opened_ms):
                if (update := self._update(told, change, 0)) is not None:
                    yield update
            missed = changes.missed
            async for change in changes:
                if (update := self._update(told, change, changes.missed - missed)) is not None:
                    missed = changes.missed
                    yield update

    def _update(self, told: "_Told", change: OpportunityChanged, conflated: int) -> strategy_pb2.ArbOpportunity | None:
        telling = told.next(change)
        if telling is None:
            return None
        state, shown = telling
        update = codec.opportunity_out(shown, self._core.data)
        update.state, update.sequence, update.conflated = state, told.sequence, conflated
        return update


class _Told:
    """What one stream has told, so that each opportunity begins with OPENED and ends with CLOSED for its reader too."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._open: dict[OpportunityId, OpportunityChanged] = {}
        self.sequence = 0

    def next(self, change: OpportunityChanged) -> tuple[strategy_pb2.OpportunityState, OpportunityChanged] | None:
        """The state to tell and what to tell of it, or None where the reader need not know."""
        known = self._open.pop(change.id, None)
        if change.state != "closed" and change.opportunity.net_per_contract >= self._least:
            self._open[change.id] = change
            state = strategy_pb2.OPPORTUNITY_STATE_OPENED if known is None else strategy_pb2.OPPORTUNITY_STATE_UPDATED
        elif known is None:
            return None
        else:
            state = strategy_pb2.OPPORTUNITY_STATE_CLOSED
            if change.state != "closed":  # for others: this reader's last figures are those it could still use
                change = msgspec.structs.replace(known, at_ms=change.at_ms, duration_ms=change.duration_ms, reason=BELOW_MIN_EDGE)
        self.sequence += 1
        return state, change
