import purerpc
import arbiter.v1.trading_pb2 as arbiter_dot_v1_dot_trading__pb2
import arbiter.v1.market_pb2 as arbiter_dot_v1_dot_market__pb2
import arbiter.v1.strategy_pb2 as arbiter_dot_v1_dot_strategy__pb2
import arbiter.v1.user_pb2 as arbiter_dot_v1_dot_user__pb2


class TradingServiceServicer(purerpc.Servicer):
    async def GetPositions(self, input_message):
        raise NotImplementedError()

    async def PlaceOrder(self, input_message):
        raise NotImplementedError()

    async def CancelOrder(self, input_message):
        raise NotImplementedError()

    async def GetOrder(self, input_message):
        raise NotImplementedError()

    async def ListOrders(self, input_message):
        raise NotImplementedError()

    async def StreamOrders(self, input_message):
        raise NotImplementedError()

    async def StreamPositions(self, input_message):
        raise NotImplementedError()

    async def GetWallet(self, input_message):
        raise NotImplementedError()

    async def EmergencyStop(self, input_message):
        raise NotImplementedError()

    async def ResumeTrading(self, input_message):
        raise NotImplementedError()

    async def GetTradingState(self, input_message):
        raise NotImplementedError()

    async def GetOverview(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "arbiter.v1.TradingService"
        )
        service_obj.add_method(
            "GetPositions",
            self.GetPositions,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.PositionsRequest,
                arbiter_dot_v1_dot_trading__pb2.PositionsResponse,
            )
        )
        service_obj.add_method(
            "PlaceOrder",
            self.PlaceOrder,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.OrderRequest,
                arbiter_dot_v1_dot_trading__pb2.OrderResponse,
            )
        )
        service_obj.add_method(
            "CancelOrder",
            self.CancelOrder,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.CancelRequest,
                arbiter_dot_v1_dot_trading__pb2.CancelResponse,
            )
        )
        service_obj.add_method(
            "GetOrder",
            self.GetOrder,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.GetOrderRequest,
                arbiter_dot_v1_dot_trading__pb2.OrderResponse,
            )
        )
        service_obj.add_method(
            "ListOrders",
            self.ListOrders,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.ListOrdersRequest,
                arbiter_dot_v1_dot_trading__pb2.ListOrdersResponse,
            )
        )
        service_obj.add_method(
            "StreamOrders",
            self.StreamOrders,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_trading__pb2.StreamOrdersRequest,
                arbiter_dot_v1_dot_trading__pb2.OrderUpdate,
            )
        )
        service_obj.add_method(
            "StreamPositions",
            self.StreamPositions,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_trading__pb2.PositionsRequest,
                arbiter_dot_v1_dot_trading__pb2.PositionUpdate,
            )
        )
        service_obj.add_method(
            "GetWallet",
            self.GetWallet,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.WalletRequest,
                arbiter_dot_v1_dot_trading__pb2.WalletResponse,
            )
        )
        service_obj.add_method(
            "EmergencyStop",
            self.EmergencyStop,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.EmergencyStopRequest,
                arbiter_dot_v1_dot_trading__pb2.EmergencyStopResponse,
            )
        )
        service_obj.add_method(
            "ResumeTrading",
            self.ResumeTrading,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.ResumeTradingRequest,
                arbiter_dot_v1_dot_trading__pb2.ResumeTradingResponse,
            )
        )
        service_obj.add_method(
            "GetTradingState",
            self.GetTradingState,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.TradingStateRequest,
                arbiter_dot_v1_dot_trading__pb2.TradingStateResponse,
            )
        )
        service_obj.add_method(
            "GetOverview",
            self.GetOverview,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.OverviewRequest,
                arbiter_dot_v1_dot_trading__pb2.OverviewResponse,
            )
        )
        return service_obj


class TradingServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "arbiter.v1.TradingService",
            channel
        )
        self.GetPositions = self._client.get_method_stub(
            "GetPositions",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.PositionsRequest,
                arbiter_dot_v1_dot_trading__pb2.PositionsResponse,
            )
        )
        self.PlaceOrder = self._client.get_method_stub(
            "PlaceOrder",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.OrderRequest,
                arbiter_dot_v1_dot_trading__pb2.OrderResponse,
            )
        )
        self.CancelOrder = self._client.get_method_stub(
            "CancelOrder",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.CancelRequest,
                arbiter_dot_v1_dot_trading__pb2.CancelResponse,
            )
        )
        self.GetOrder = self._client.get_method_stub(
            "GetOrder",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.GetOrderRequest,
                arbiter_dot_v1_dot_trading__pb2.OrderResponse,
            )
        )
        self.ListOrders = self._client.get_method_stub(
            "ListOrders",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.ListOrdersRequest,
                arbiter_dot_v1_dot_trading__pb2.ListOrdersResponse,
            )
        )
        self.StreamOrders = self._client.get_method_stub(
            "StreamOrders",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_trading__pb2.StreamOrdersRequest,
                arbiter_dot_v1_dot_trading__pb2.OrderUpdate,
            )
        )
        self.StreamPositions = self._client.get_method_stub(
            "StreamPositions",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_trading__pb2.PositionsRequest,
                arbiter_dot_v1_dot_trading__pb2.PositionUpdate,
            )
        )
        self.GetWallet = self._client.get_method_stub(
            "GetWallet",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.WalletRequest,
                arbiter_dot_v1_dot_trading__pb2.WalletResponse,
            )
        )
        self.EmergencyStop = self._client.get_method_stub(
            "EmergencyStop",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.EmergencyStopRequest,
                arbiter_dot_v1_dot_trading__pb2.EmergencyStopResponse,
            )
        )
        self.ResumeTrading = self._client.get_method_stub(
            "ResumeTrading",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.ResumeTradingRequest,
                arbiter_dot_v1_dot_trading__pb2.ResumeTradingResponse,
            )
        )
        self.GetTradingState = self._client.get_method_stub(
            "GetTradingState",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.TradingStateRequest,
                arbiter_dot_v1_dot_trading__pb2.TradingStateResponse,
            )
        )
        self.GetOverview = self._client.get_method_stub(
            "GetOverview",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_trading__pb2.OverviewRequest,
                arbiter_dot_v1_dot_trading__pb2.OverviewResponse,
            )
        )