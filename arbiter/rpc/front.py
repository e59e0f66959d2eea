"""The front as an actor: the gRPC server on listeners that outlive the actor's restarts."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Never

import trio

from arbiter.domain.ids import new_id
from arbiter.rpc.admin_service import AdminService
from arbiter.rpc.audit import Audit
from arbiter.rpc.core import Core
from arbiter.rpc.gate import OPERATOR_SERVICES, STOPPING_METHODS, STOPS, Gate
from arbiter.rpc.health_service import HealthService
from arbiter.rpc.market_service import MarketService
from arbiter.rpc.proxies import Proxies
from arbiter.rpc.reflection_service import reflection_of
from arbiter.rpc.request import Request
from arbiter.rpc.server import Server
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.sign_in import SignIn
from arbiter.rpc.strategy_service import StrategyService
from arbiter.rpc.tls import ServerTls
from arbiter.rpc.tokens import Keys, TokenAuthority
from arbiter.rpc.trading_service import TradingService
from arbiter.rpc.user_service import UserService
from arbiter.runtime import Actor, Environment

GRACE_SECONDS = 1.0
"""For calls that run when the program stops."""


@dataclass(frozen=True)
class Access:
    """How the front is reached beside its plain listener, and how much of it it bears."""

    tls: ServerTls | None = None
    """For the listener; None: in clear."""
    local: trio.SocketListener | None = None
    """A socket file, in clear, for this machine's own commands."""
    limits: ServerLimits | None = None
    """None: those that a server has by itself."""
    proxies: Proxies | None = None
    """Whose word counts about who they forward a call for; None: nobody's."""


class Front:
    """Everything of the front that outlives its actor: tokens, limits, the listeners."""

    def __init__(self, core: Core, keys: Keys, listener: trio.SocketListener, access: Access, *, reflection: bool) -> None:
        environment = core.environment
        self.tokens = TokenAuthority(keys, environment)
        self.gate = Gate(core, self.tokens)
        self.audit = audit = Audit(core.auditor, environment)
        self.gate.refused = audit.refused
        self.services = [
            UserService(core, self.gate, SignIn(core, self.tokens, keys, self.gate.failures, audit), audit).service,
            TradingService(core, self.gate).service,
            StrategyService(core, self.gate).service,
            MarketService(core, self.gate).service,
            audit.every_call(AdminService(core, keys).service, stops={method for _, method in STOPS}),
        ]
        self.health = HealthService([each.name for each in self.services], core.states, environment.monotonic)
        self.services.append(self.health.service)
        if reflection:
            self.services += reflection_of(self.services)
        self.server = Server(
            self.services,
            self._admit,
            correlation_ids(environment),
            admit_again=self.gate.admit_again,
            charge=self.gate.charge,
            never_refused=STOPPING_METHODS,
            always_asked=OPERATOR_SERVICES,
            limits=access.limits,
            tls=access.tls,
            proxies=access.proxies,
        )
        self.gate.overloaded = lambda: self.server.overloaded
        self._listeners = (listener,) if access.local is None else (listener, access.local)

    def _admit(self, call: Request) -> object:
        return self.gate.admit(call.service_name, call.method_name, call.custom_metadata, call.peer)

    def actor(self) -> "RpcFront":
        """A new incarnation."""
        return RpcFront(self.server, self._listeners, self.audit)


def correlation_ids(environment: Environment) -> Callable[[], str]:
    """Ids of calls whose client sent none: when the program started, by chance, and a number."""
    start = new_id(environment.unix_ms(), environment.random).replace("-", "")
    prefix, numbers = f"{start[:12]}-{start[-8:]}", count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


class RpcFront(Actor[Never]):
    """Serves until it is stopped. It takes no messages."""

    def __init__(self, server: Server, listeners: tuple[trio.SocketListener, ...], audit: Audit) -> None:
        self._server = server
        self._listeners = listeners
        self._audit = audit

    async def started(self) -> None:
        self.context.start_task(self._server.serve, *self._listeners)
        self.context.start_task(self._audit.count_for_ever)

    async def stopped(self) -> None:
        await self._server.stop(GRACE_SECONDS)
        self._audit.tell_counted()
