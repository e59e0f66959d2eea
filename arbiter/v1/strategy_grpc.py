import purerpc
import arbiter.v1.strategy_pb2 as arbiter_dot_v1_dot_strategy__pb2
import arbiter.v1.market_pb2 as arbiter_dot_v1_dot_market__pb2


class StrategyServiceServicer(purerpc.Servicer):
    async def ListStrategies(self, input_message):
        raise NotImplementedError()

    async def EnableStrategy(self, input_message):
        raise NotImplementedError()

    async def DisableStrategy(self, input_message):
        raise NotImplementedError()

    async def GetArbOpportunities(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "arbiter.v1.StrategyService"
        )
        service_obj.add_method(
            "ListStrategies",
            self.ListStrategies,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_strategy__pb2.ListRequest,
                arbiter_dot_v1_dot_strategy__pb2.StrategiesResponse,
            )
        )
        service_obj.add_method(
            "EnableStrategy",
            self.EnableStrategy,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_strategy__pb2.StrategyRequest,
                arbiter_dot_v1_dot_strategy__pb2.StrategyResponse,
            )
        )
        service_obj.add_method(
            "DisableStrategy",
            self.DisableStrategy,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_strategy__pb2.StrategyRequest,
                arbiter_dot_v1_dot_strategy__pb2.StrategyResponse,
            )
        )
        service_obj.add_method(
            "GetArbOpportunities",
            self.GetArbOpportunities,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_strategy__pb2.ArbRequest,
                arbiter_dot_v1_dot_strategy__pb2.ArbOpportunity,
            )
        )
        return service_obj


class StrategyServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "arbiter.v1.StrategyService",
            channel
        )
        self.ListStrategies = self._client.get_method_stub(
            "ListStrategies",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_strategy__pb2.ListRequest,
                arbiter_dot_v1_dot_strategy__pb2.StrategiesResponse,
            )
        )
        self.EnableStrategy = self._client.get_method_stub(
            "EnableStrategy",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_strategy__pb2.StrategyRequest,
                arbiter_dot_v1_dot_strategy__pb2.StrategyResponse,
            )
        )
        self.DisableStrategy = self._client.get_method_stub(
            "DisableStrategy",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_strategy__pb2.StrategyRequest,
                arbiter_dot_v1_dot_strategy__pb2.StrategyResponse,
            )
        )
        self.GetArbOpportunities = self._client.get_method_stub(
            "GetArbOpportunities",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_strategy__pb2.ArbRequest,
                arbiter_dot_v1_dot_strategy__pb2.ArbOpportunity,
            )
        )