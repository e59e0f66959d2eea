import purerpc
import arbiter.v1.user_pb2 as arbiter_dot_v1_dot_user__pb2


class UserServiceServicer(purerpc.Servicer):
    async def Authenticate(self, input_message):
        raise NotImplementedError()

    async def GetProfile(self, input_message):
        raise NotImplementedError()

    async def UpdateSettings(self, input_message):
        raise NotImplementedError()

    async def CreateLinkCode(self, input_message):
        raise NotImplementedError()

    async def RedeemLinkCode(self, input_message):
        raise NotImplementedError()

    async def Unlink(self, input_message):
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
        service_obj.add_method(
            "CreateLinkCode",
            self.CreateLinkCode,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.CreateLinkCodeRequest,
                arbiter_dot_v1_dot_user__pb2.CreateLinkCodeResponse,
            )
        )
        service_obj.add_method(
            "RedeemLinkCode",
            self.RedeemLinkCode,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RedeemLinkCodeRequest,
                arbiter_dot_v1_dot_user__pb2.RedeemLinkCodeResponse,
            )
        )
        service_obj.add_method(
            "Unlink",
            self.Unlink,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.UnlinkRequest,
                arbiter_dot_v1_dot_user__pb2.UnlinkResponse,
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
        self.CreateLinkCode = self._client.get_method_stub(
            "CreateLinkCode",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.CreateLinkCodeRequest,
                arbiter_dot_v1_dot_user__pb2.CreateLinkCodeResponse,
            )
        )
        self.RedeemLinkCode = self._client.get_method_stub(
            "RedeemLinkCode",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RedeemLinkCodeRequest,
                arbiter_dot_v1_dot_user__pb2.RedeemLinkCodeResponse,
            )
        )
        self.Unlink = self._client.get_method_stub(
            "Unlink",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.UnlinkRequest,
                arbiter_dot_v1_dot_user__pb2.UnlinkResponse,
            )
        )