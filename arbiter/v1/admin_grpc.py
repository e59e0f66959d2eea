import purerpc
import arbiter.v1.admin_pb2 as arbiter_dot_v1_dot_admin__pb2
import arbiter.v1.trading_pb2 as arbiter_dot_v1_dot_trading__pb2


class AdminServiceServicer(purerpc.Servicer):
    async def ListActors(self, input_message):
        raise NotImplementedError()

    async def CreateUser(self, input_message):
        raise NotImplementedError()

    async def SetTier(self, input_message):
        raise NotImplementedError()

    async def ListUsers(self, input_message):
        raise NotImplementedError()

    async def SuspendUser(self, input_message):
        raise NotImplementedError()

    async def ForgetAuthenticator(self, input_message):
        raise NotImplementedError()

    async def HaltAll(self, input_message):
        raise NotImplementedError()

    async def ResumeAll(self, input_message):
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
        service_obj.add_method(
            "CreateUser",
            self.CreateUser,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.CreateUserRequest,
                arbiter_dot_v1_dot_admin__pb2.CreateUserResponse,
            )
        )
        service_obj.add_method(
            "SetTier",
            self.SetTier,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.SetTierRequest,
                arbiter_dot_v1_dot_admin__pb2.SetTierResponse,
            )
        )
        service_obj.add_method(
            "ListUsers",
            self.ListUsers,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ListUsersRequest,
                arbiter_dot_v1_dot_admin__pb2.ListUsersResponse,
            )
        )
        service_obj.add_method(
            "SuspendUser",
            self.SuspendUser,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.SuspendUserRequest,
                arbiter_dot_v1_dot_admin__pb2.SuspendUserResponse,
            )
        )
        service_obj.add_method(
            "ForgetAuthenticator",
            self.ForgetAuthenticator,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ForgetAuthenticatorRequest,
                arbiter_dot_v1_dot_admin__pb2.ForgetAuthenticatorResponse,
            )
        )
        service_obj.add_method(
            "HaltAll",
            self.HaltAll,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.HaltAllRequest,
                arbiter_dot_v1_dot_admin__pb2.HaltAllResponse,
            )
        )
        service_obj.add_method(
            "ResumeAll",
            self.ResumeAll,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ResumeAllRequest,
                arbiter_dot_v1_dot_admin__pb2.ResumeAllResponse,
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
        self.CreateUser = self._client.get_method_stub(
            "CreateUser",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.CreateUserRequest,
                arbiter_dot_v1_dot_admin__pb2.CreateUserResponse,
            )
        )
        self.SetTier = self._client.get_method_stub(
            "SetTier",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.SetTierRequest,
                arbiter_dot_v1_dot_admin__pb2.SetTierResponse,
            )
        )
        self.ListUsers = self._client.get_method_stub(
            "ListUsers",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ListUsersRequest,
                arbiter_dot_v1_dot_admin__pb2.ListUsersResponse,
            )
        )
        self.SuspendUser = self._client.get_method_stub(
            "SuspendUser",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.SuspendUserRequest,
                arbiter_dot_v1_dot_admin__pb2.SuspendUserResponse,
            )
        )
        self.ForgetAuthenticator = self._client.get_method_stub(
            "ForgetAuthenticator",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ForgetAuthenticatorRequest,
                arbiter_dot_v1_dot_admin__pb2.ForgetAuthenticatorResponse,
            )
        )
        self.HaltAll = self._client.get_method_stub(
            "HaltAll",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.HaltAllRequest,
                arbiter_dot_v1_dot_admin__pb2.HaltAllResponse,
            )
        )
        self.ResumeAll = self._client.get_method_stub(
            "ResumeAll",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_admin__pb2.ResumeAllRequest,
                arbiter_dot_v1_dot_admin__pb2.ResumeAllResponse,
            )
        )