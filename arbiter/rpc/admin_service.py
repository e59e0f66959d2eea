"""AdminService: what operators see. The gate lets nobody else in."""

from arbiter.rpc.core import Core
from arbiter.rpc.request import Request
from arbiter.runtime import ActorStatus
from arbiter.v1 import admin_pb2
from arbiter.v1.admin_grpc import AdminServiceServicer


class AdminService(AdminServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/admin.proto`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListActors(self, message: admin_pb2.ListActorsRequest, request: Request) -> admin_pb2.ListActorsResponse:
        return admin_pb2.ListActorsResponse(actors=[_actor_out(status) for status in self._core.statuses()])


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
    )


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
