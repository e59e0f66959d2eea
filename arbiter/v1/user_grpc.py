import purerpc
import arbiter.v1.user_pb2 as arbiter_dot_v1_dot_user__pb2


class UserServiceServicer(purerpc.Servicer):
    async def Authenticate(self, input_message):
        raise NotImplementedError()

    async def RefreshToken(self, input_message):
        raise NotImplementedError()

    async def RevokeTokens(self, input_message):
        raise NotImplementedError()

    async def RotateApiKey(self, input_message):
        raise NotImplementedError()

    async def EnrolTotp(self, input_message):
        raise NotImplementedError()

    async def ConfirmTotp(self, input_message):
        raise NotImplementedError()

    async def DisableTotp(self, input_message):
        raise NotImplementedError()

    async def GetTotpStatus(self, input_message):
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
            "RefreshToken",
            self.RefreshToken,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RefreshTokenRequest,
                arbiter_dot_v1_dot_user__pb2.RefreshTokenResponse,
            )
        )
        service_obj.add_method(
            "RevokeTokens",
            self.RevokeTokens,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RevokeTokensRequest,
                arbiter_dot_v1_dot_user__pb2.RevokeTokensResponse,
            )
        )
        service_obj.add_method(
            "RotateApiKey",
            self.RotateApiKey,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RotateApiKeyRequest,
                arbiter_dot_v1_dot_user__pb2.RotateApiKeyResponse,
            )
        )
        service_obj.add_method(
            "EnrolTotp",
            self.EnrolTotp,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.EnrolTotpRequest,
                arbiter_dot_v1_dot_user__pb2.EnrolTotpResponse,
            )
        )
        service_obj.add_method(
            "ConfirmTotp",
            self.ConfirmTotp,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.ConfirmTotpRequest,
                arbiter_dot_v1_dot_user__pb2.ConfirmTotpResponse,
            )
        )
        service_obj.add_method(
            "DisableTotp",
            self.DisableTotp,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.DisableTotpRequest,
                arbiter_dot_v1_dot_user__pb2.DisableTotpResponse,
            )
        )
        service_obj.add_method(
            "GetTotpStatus",
            self.GetTotpStatus,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.TotpStatusRequest,
                arbiter_dot_v1_dot_user__pb2.TotpStatusResponse,
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
        self.RefreshToken = self._client.get_method_stub(
            "RefreshToken",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RefreshTokenRequest,
                arbiter_dot_v1_dot_user__pb2.RefreshTokenResponse,
            )
        )
        self.RevokeTokens = self._client.get_method_stub(
            "RevokeTokens",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RevokeTokensRequest,
                arbiter_dot_v1_dot_user__pb2.RevokeTokensResponse,
            )
        )
        self.RotateApiKey = self._client.get_method_stub(
            "RotateApiKey",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.RotateApiKeyRequest,
                arbiter_dot_v1_dot_user__pb2.RotateApiKeyResponse,
            )
        )
        self.EnrolTotp = self._client.get_method_stub(
            "EnrolTotp",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.EnrolTotpRequest,
                arbiter_dot_v1_dot_user__pb2.EnrolTotpResponse,
            )
        )
        self.ConfirmTotp = self._client.get_method_stub(
            "ConfirmTotp",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.ConfirmTotpRequest,
                arbiter_dot_v1_dot_user__pb2.ConfirmTotpResponse,
            )
        )
        self.DisableTotp = self._client.get_method_stub(
            "DisableTotp",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.DisableTotpRequest,
                arbiter_dot_v1_dot_user__pb2.DisableTotpResponse,
            )
        )
        self.GetTotpStatus = self._client.get_method_stub(
            "GetTotpStatus",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_user__pb2.TotpStatusRequest,
                arbiter_dot_v1_dot_user__pb2.TotpStatusResponse,
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