"""grpc.health.v1.Health: whether the front can do its work, asked once or watched. Needs no token.

A service is SERVING while the actors that it cannot do without run. A venue that is away takes no service down: what
stands on the other one, and every stop and cancel, still works.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import trio
from purerpc import Cardinality, RPCSignature, Service, Servicer

from arbiter.errors import NotFound
from arbiter.rpc.foreign_protos import HEALTH, message_class
from arbiter.rpc.request import Request
from arbiter.rpc.shares import Shares

LOOK_SECONDS = 0.25
"""How often the actors are looked at while somebody wants to know, however many do."""
MOST_WATCHERS = 100
"""At once, from everybody over the network together: watching needs no token. Those who prove who they are have as many besides."""
MOST_OF_ONE = 20
"""Of them, from one address. This machine itself has as many besides."""
MOST_OF_NETWORK = 40
"""Of them, from one network."""
SERVICE = f"{HEALTH}.Health"

CheckRequest = message_class(f"{HEALTH}.HealthCheckRequest")
Response = message_class(f"{HEALTH}.HealthCheckResponse")
ListRequest = message_class(f"{HEALTH}.HealthListRequest")
ListResponse = message_class(f"{HEALTH}.HealthListResponse")

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
"""Of HealthCheckResponse.ServingStatus."""

FRONT = "root/front/rpc"
ACCOUNTS = ("root/core/journal", "root/core/brake", "root/core/inputs/accounts")
"""Without these nobody can be let in, and nothing can be recorded."""
TRADING = (*ACCOUNTS, "root/core/trading/")
"""A name that ends in a slash stands for every actor below it that is always there."""
NEEDS: Mapping[str, tuple[str, ...]] = {
    "": TRADING,
    "arbiter.v1.UserService": ACCOUNTS,
    "arbiter.v1.TradingService": TRADING,
    "arbiter.v1.StrategyService": (*ACCOUNTS, "root/core/strategies/arb_scanner"),
    "arbiter.v1.MarketService": ACCOUNTS,
    "arbiter.v1.AdminService": ACCOUNTS,
}
"""The actors that each service cannot do without; the empty name is the server as a whole."""


class HealthService(Servicer):  # type: ignore[misc]  # purerpc has no types
    """See grpc/health/v1/health.proto. `states` gives path and state of every actor that is always there."""

    def __init__(self, services: Iterable[str], states: Callable[[], Iterable[tuple[str, str]]], monotonic: Callable[[], float]) -> None:
        self._names = ("", *services)
        self._states = states
        self._monotonic = monotonic
        self._seen: dict[str, int] = {}
        self._seen_at = float("-inf")
        self._shares = Shares("calls watch the health", most=MOST_WATCHERS, of_one_address=MOST_OF_ONE, of_one_network=MOST_OF_NETWORK)

    async def Check(self, message: Any, request: Request) -> Any:
        status = self._look().get(message.service)
        if status is None:
            raise NotFound(f"no service {message.service[:100]!r}")
        return Response(status=status)

    async def List(self, message: Any, request: Request) -> Any:
        return ListResponse(statuses={name: Response(status=status) for name, status in self._look().items()})

    async def Watch(self, message: Any, request: Request) -> AsyncIterator[Any]:
        """The status at once, then each other one. A service that there is not is told as SERVICE_UNKNOWN."""
        told, share = None, self._shares.take(request)
        try:
            while True:
                self._shares.require(share)
                status = self._look().get(message.service, SERVICE_UNKNOWN)
                if status != told:
                    told = status
                    yield Response(status=status)
                await trio.sleep(LOOK_SECONDS)
        finally:
            self._shares.give_back(request, share)

    @property
    def watchers(self) -> int:
        return len(self._shares)

    def _look(self) -> Mapping[str, int]:
        """The status of every service; not older than `LOOK_SECONDS`."""
        now = self._monotonic()
        if now - self._seen_at >= LOOK_SECONDS:
            self._seen, self._seen_at = statuses(self._names, dict(self._states())), now
        return self._seen

    @property
    def service(self) -> Service:
        service = Service(SERVICE)
        service.add_method("Check", self.Check, RPCSignature(Cardinality.UNARY_UNARY, CheckRequest, Response))
        service.add_method("List", self.List, RPCSignature(Cardinality.UNARY_UNARY, ListRequest, ListResponse))
        service.add_method("Watch", self.Watch, RPCSignature(Cardinality.UNARY_STREAM, CheckRequest, Response))
        return service


def statuses(services: Iterable[str], actors: Mapping[str, str]) -> dict[str, int]:
    """The status of each service, from the state of each actor by its path. A service that nothing is known of needs the accounts."""
    if actors.get(FRONT) in ("stopping", "stopped"):
        return dict.fromkeys(services, NOT_SERVING)
    return {name: SERVING if _runs(NEEDS.get(name, ACCOUNTS), actors) else NOT_SERVING for name in services}


def _runs(needed: Iterable[str], actors: Mapping[str, str]) -> bool:
    for each in needed:
        found = [state for path, state in actors.items() if path == each or (each.endswith("/") and path.startswith(each))]
        if not found or any(state != "running" for state in found):
            return False
    return True
