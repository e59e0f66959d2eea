"""AdminService: what operators see and do. The gate lets nobody else in, and the front audits each call."""

import re
from enum import Enum
from typing import TypeVar

import structlog
import trio

from arbiter.actors.accounts import GetAccount, ListAccounts, PutNewAccount, SetSuspended, SetTier
from arbiter.actors.brake import CountHalted, GetStanding, Resume
from arbiter.actors.paper_desk import EndStopped
from arbiter.actors.second_factors import Forget
from arbiter.domain.account import Account, Role, Tier
from arbiter.domain.ids import UserId, VenueId, new_id
from arbiter.domain.trading_state import SYSTEM
from arbiter.errors import ArbiterError, InvalidInput, NotAllowed
from arbiter.rpc import codec
from arbiter.rpc.core import ASK_SECONDS, STOP_SECONDS, Core
from arbiter.rpc.request import Request
from arbiter.rpc.stops import Stops
from arbiter.rpc.tokens import Keys, make_api_key
from arbiter.rpc.totp_calls import require_totp_if_enrolled
from arbiter.runtime import ActorStatus
from arbiter.v1 import admin_pb2
from arbiter.v1.admin_grpc import AdminServiceServicer

LONGEST_NAME = 100
MOST_NAMED = 1_000
"""So many uncertain orders are named in an answer."""
_USER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

V = TypeVar("V", bound=Enum)

_log = structlog.get_logger(component="admin")


class AdminService(AdminServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/admin.proto`."""

    def __init__(self, core: Core, keys: Keys) -> None:
        self._core = core
        self._keys = keys
        self._stops = Stops(core.brake, self._end_everybodys)

    async def ListActors(self, message: admin_pb2.ListActorsRequest, request: Request) -> admin_pb2.ListActorsResponse:
        _require_operator(request)
        return admin_pb2.ListActorsResponse(actors=[_actor_out(status) for status in self._core.statuses()])

    # -- users --

    async def CreateUser(self, message: admin_pb2.CreateUserRequest, request: Request) -> admin_pb2.CreateUserResponse:
        _require_active_operator(request)
        environment = self._core.environment
        user = UserId(_user_id_in(message.user_id) or new_id(environment.unix_ms(), environment.random))
        message.user_id = user  # whom the audit names, also where this fails
        name = codec.line_in("name", message.name, LONGEST_NAME)
        tier = _one_of("tier", Tier, message.tier or Tier.FREE.value)
        role = _one_of("role", Role, message.role or Role.TRADER.value)
        api_key, stored = make_api_key(self._keys.pepper)
        account = await self._core.accounts.ask(PutNewAccount(Account(user, name, tier, role, api_key=stored)), timeout=ASK_SECONDS)
        return admin_pb2.CreateUserResponse(user=await self._user_out(account), api_key=api_key)

    async def SetTier(self, message: admin_pb2.SetTierRequest, request: Request) -> admin_pb2.SetTierResponse:
        _require_active_operator(request)
        wanted = SetTier(UserId(codec.text_in("user_id", message.user_id)), _one_of("tier", Tier, message.tier))
        account = await self._core.accounts.ask(wanted, timeout=ASK_SECONDS)
        return admin_pb2.SetTierResponse(user=await self._user_out(account))

    async def ListUsers(self, message: admin_pb2.ListUsersRequest, request: Request) -> admin_pb2.ListUsersResponse:
        _require_operator(request)
        size = codec.page_size_in(message.page_size)
        wanted = ListAccounts(size, codec.page_after_in(message.page_token))
        found = await self._core.accounts.ask(wanted, timeout=ASK_SECONDS)
        return admin_pb2.ListUsersResponse(
            users=[await self._user_out(account) for account in found], next_page_token=found[-1].user if len(found) == size else ""
        )

    async def SuspendUser(self, message: admin_pb2.SuspendUserRequest, request: Request) -> admin_pb2.SuspendUserResponse:
        _require_active_operator(request)
        user = UserId(codec.text_in("user_id", message.user_id))
        if message.suspended and user == request.caller.user:
            raise InvalidInput("user_id", "is your own: another operator must do that")
        account = await self._core.accounts.ask(SetSuspended(user, message.suspended), timeout=ASK_SECONDS)
        return admin_pb2.SuspendUserResponse(user=await self._user_out(account))

    async def ForgetAuthenticator(
        self, message: admin_pb2.ForgetAuthenticatorRequest, request: Request
    ) -> admin_pb2.ForgetAuthenticatorResponse:
        _require_active_operator(request)
        user = UserId(codec.text_in("user_id", message.user_id))
        if user == request.caller.user:
            raise InvalidInput("user_id", "is your own: disable it with a code, or another operator must do that")
        await self._core.accounts.ask(GetAccount(user), timeout=ASK_SECONDS)
        await require_totp_if_enrolled(self._core, request)
        had_one = await self._core.second_factors.ask(Forget(user), timeout=ASK_SECONDS)
        _log.warning("an authenticator was forgotten", user=user, by=request.caller.user, had_one=had_one)
        return admin_pb2.ForgetAuthenticatorResponse(had_one=had_one)

    async def _user_out(self, account: Account) -> admin_pb2.User:
        standing = await self._core.brake.ask(GetStanding(account.user), timeout=ASK_SECONDS)
        return codec.user_out(account, standing.own)

    # -- stopping everybody --

    async def HaltAll(self, message: admin_pb2.HaltAllRequest, request: Request) -> admin_pb2.HaltAllResponse:
        """The latch first, which nothing below can undo; a desk that does not answer is named, and holds up no other."""
        _require_operator(request)
        halted = await self._stops.halt(SYSTEM, codec.short_text_in(message.reason))
        request.changed = halted.changed
        _log.warning("trading is stopped for everybody", by=request.caller.user, durable=halted.durable)
        report = admin_pb2.HaltAllResponse(state=codec.trading_state_out(halted.status.state), durable=halted.durable)
        report.MergeFrom(await self._stops.finish(halted))
        return report

    async def _end_everybodys(self, _everybody: UserId) -> admin_pb2.HaltAllResponse:
        """What follows the latch, as the part of a report."""
        report = admin_pb2.HaltAllResponse()
        async with trio.open_nursery() as nursery:
            for venue in self._core.desks:
                nursery.start_soon(self._end_orders, venue, report)
        return report

    async def _end_orders(self, venue: VenueId, report: admin_pb2.HaltAllResponse) -> None:
        try:
            ended = await self._core.desks[venue].ask(EndStopped(), timeout=STOP_SECONDS)
        except ArbiterError as error:
            _log.error("stopped, but the open orders' cancels are not confirmed", venue=venue, problem=str(error))
            report.unconfirmed_venues.append(venue)
        else:
            report.cancelled_orders += ended.cancelled
            report.uncertain_orders += len(ended.uncertain)
            report.uncertain_order_ids.extend(ended.uncertain[: MOST_NAMED - len(report.uncertain_order_ids)])

    async def ResumeAll(self, message: admin_pb2.ResumeAllRequest, request: Request) -> admin_pb2.ResumeAllResponse:
        _require_active_operator(request)
        if not message.confirm:
            raise InvalidInput("confirm", "must be true: trading goes on for everybody after this")
        status = await self._core.brake.ask(Resume(SYSTEM), timeout=ASK_SECONDS)
        _log.warning("trading goes on for everybody who did not stop it", by=request.caller.user)
        still = await self._core.brake.ask(CountHalted(), timeout=ASK_SECONDS)
        return admin_pb2.ResumeAllResponse(state=codec.trading_state_out(status.state), still_halted=still)


def _require_operator(request: Request) -> None:
    """The gate has looked already; what is here must not hang on one table."""
    if request.caller is None or request.caller.role is not Role.OPERATOR:
        raise NotAllowed("this needs the role operator")


def _require_active_operator(request: Request) -> None:
    _require_operator(request)
    if request.caller.suspended:
        raise NotAllowed("the account is suspended")


def _user_id_in(value: str) -> str:
    """The id that an operator chose for a new account, or nothing."""
    if value and not _USER_ID.fullmatch(value):
        raise InvalidInput("user_id", "may have 1 to 64 letters, digits and ._-")
    return value


def _one_of(field: str, kind: type[V], value: str) -> V:
    try:
        return kind(value)
    except ValueError:
        raise InvalidInput(field, f"must be {' or '.join(each.value for each in kind)}") from None


def _actor_out(status: ActorStatus) -> admin_pb2.Actor:
    return admin_pb2.Actor(
        name=status.name,
        state=status.state,
        restarts=status.restarts,
        last_error=status.last_error,
        mailbox_depth=status.mailbox_depth,
        handled=status.handled,
        busy_us=_microseconds(status.busy_s),
        longest_us=_microseconds(status.longest_s),
        conflated=status.conflated,
        p99_us=_microseconds(status.p99_s),
        histogram=status.histogram,
        kind=status.kind,
        lost=status.lost,
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
