import purerpc
import arbiter.v1.admin_pb2 as arbiter_dot_v1_dot_admin__pb2


class AdminServiceServicer(purerpc.Servicer):
    async def ListActors(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "arbiter.v1.AdminService"
        )
        service_obj.add_method(
            "ListActors",
            self.ListActors,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ListActorsRequest,
                arbiter_dot_v1_dot_admin__pb2.ListActorsResponse,
            )
        )
        return service_obj


class AdminServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "arbiter.v1.AdminService",
            channel
        )
        self.ListActors = self._client.get_method_stub(
            "ListActors",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ListActorsRequest,
                arbiter_dot_v1_dot_admin__pb2.ListActorsResponse,
            )
        )