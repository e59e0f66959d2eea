import purerpc
import arbiter.v1.trading_pb2 as arbiter_dot_v1_dot_trading__pb2
import arbiter.v1.market_pb2 as arbiter_dot_v1_dot_market__pb2


class TradingServiceServicer(purerpc.Servicer):
    async def GetPositions(self, input_message):
        raise NotImplementedError()

    async def PlaceOrder(self, input_message):
        raise NotImplementedError()

    async def CancelOrder(self, input_message):
        raise NotImplementedError()

    async def StreamPositions(self, input_message):
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
            "StreamPositions",
            self.StreamPositions,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_trading__pb2.PositionsRequest,
                arbiter_dot_v1_dot_trading__pb2.PositionUpdate,
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
        self.StreamPositions = self._client.get_method_stub(
            "StreamPositions",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_trading__pb2.PositionsRequest,
                arbiter_dot_v1_dot_trading__pb2.PositionUpdate,
            )
        )