"""AdminService: what operators see. The gate lets nobody else in."""

from purerpc.grpclib.events import RequestReceived

from arbiter.rpc.core import Core
from arbiter.v1 import admin_pb2
from arbiter.v1.admin_grpc import AdminServiceServicer


class AdminService(AdminServiceServicer):  # type: ignore[misc]  # generated, without types
    """See `proto/arbiter/v1/admin.proto`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListActors(self, message: admin_pb2.ListActorsRequest, request: RequestReceived) -> admin_pb2.ListActorsResponse:
        return admin_pb2.ListActorsResponse(
            actors=[
                admin_pb2.Actor(
                    name=status.name,
                    state=status.state,
                    restarts=status.restarts,
                    last_error=status.last_error,
                    mailbox_depth=status.mailbox_depth,
                    handled=status.handled,
                    busy_us=round(status.busy_s * 1_000_000),
                    longest_us=round(status.longest_s * 1_000_000),
                )
                for status in self._core.statuses()
            ]
        )
