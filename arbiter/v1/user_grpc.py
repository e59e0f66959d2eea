import purerpc
import arbiter.v1.user_pb2 as arbiter_dot_v1_dot_user__pb2


class UserServiceServicer(purerpc.Servicer):
    async def Authenticate(self, input_message):
        raise NotImplementedError()

    async def GetProfile(self, input_message):
        raise NotImplementedError()

    async def UpdateSettings(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "arbiter.v1.UserService"
        )
        service_obj.add_method(
            "Authenticate",
            self.Authenticate,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.AuthRequest,
                arbiter_dot_v1_dot_user__pb2.AuthResponse,
            )
        )
        service_obj.add_method(
            "GetProfile",
            self.GetProfile,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.ProfileRequest,
                arbiter_dot_v1_dot_user__pb2.ProfileResponse,
            )
        )
        service_obj.add_method(
            "UpdateSettings",
            self.UpdateSettings,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.SettingsRequest,
                arbiter_dot_v1_dot_user__pb2.SettingsResponse,
            )
        )
        return service_obj


class UserServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "arbiter.v1.UserService",
            channel
        )
        self.Authenticate = self._client.get_method_stub(
            "Authenticate",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.AuthRequest,
                arbiter_dot_v1_dot_user__pb2.AuthResponse,
            )
        )
        self.GetProfile = self._client.get_method_stub(
            "GetProfile",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.ProfileRequest,
                arbiter_dot_v1_dot_user__pb2.ProfileResponse,
            )
        )
        self.UpdateSettings = self._client.get_method_stub(
            "UpdateSettings",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.SettingsRequest,
                arbiter_dot_v1_dot_user__pb2.SettingsResponse,
            )
        )