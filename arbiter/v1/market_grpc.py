import purerpc
import arbiter.v1.market_pb2 as arbiter_dot_v1_dot_market__pb2


class MarketServiceServicer(purerpc.Servicer):
    async def SearchMarkets(self, input_message):
        raise NotImplementedError()

    async def GetMarket(self, input_message):
        raise NotImplementedError()

    async def GetBook(self, input_message):
        raise NotImplementedError()

    async def StreamBook(self, input_message):
        raise NotImplementedError()

    async def StreamTrades(self, input_message):
        raise NotImplementedError()

    async def ListEvents(self, input_message):
        raise NotImplementedError()

    async def GetEvent(self, input_message):
        raise NotImplementedError()

    async def ListFeeds(self, input_message):
        raise NotImplementedError()

    async def ListPairs(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "arbiter.v1.MarketService"
        )
        service_obj.add_method(
            "SearchMarkets",
            self.SearchMarkets,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.SearchMarketsRequest,
                arbiter_dot_v1_dot_market__pb2.SearchMarketsResponse,
            )
        )
        service_obj.add_method(
            "GetMarket",
            self.GetMarket,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.GetMarketRequest,
                arbiter_dot_v1_dot_market__pb2.Market,
            )
        )
        service_obj.add_method(
            "GetBook",
            self.GetBook,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.GetBookRequest,
                arbiter_dot_v1_dot_market__pb2.Book,
            )
        )
        service_obj.add_method(
            "StreamBook",
            self.StreamBook,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_market__pb2.StreamBookRequest,
                arbiter_dot_v1_dot_market__pb2.BookUpdate,
            )
        )
        service_obj.add_method(
            "StreamTrades",
            self.StreamTrades,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_market__pb2.StreamTradesRequest,
                arbiter_dot_v1_dot_market__pb2.TradeUpdate,
            )
        )
        service_obj.add_method(
            "ListEvents",
            self.ListEvents,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.ListEventsRequest,
                arbiter_dot_v1_dot_market__pb2.ListEventsResponse,
            )
        )
        service_obj.add_method(
            "GetEvent",
            self.GetEvent,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.GetEventRequest,
                arbiter_dot_v1_dot_market__pb2.Event,
            )
        )
        service_obj.add_method(
            "ListFeeds",
            self.ListFeeds,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.ListFeedsRequest,
                arbiter_dot_v1_dot_market__pb2.ListFeedsResponse,
            )
        )
        service_obj.add_method(
            "ListPairs",
            self.ListPairs,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.ListPairsRequest,
                arbiter_dot_v1_dot_market__pb2.ListPairsResponse,
            )
        )
        return service_obj


class MarketServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "arbiter.v1.MarketService",
            channel
        )
        self.SearchMarkets = self._client.get_method_stub(
            "SearchMarkets",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.SearchMarketsRequest,
                arbiter_dot_v1_dot_market__pb2.SearchMarketsResponse,
            )
        )
        self.GetMarket = self._client.get_method_stub(
            "GetMarket",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.GetMarketRequest,
                arbiter_dot_v1_dot_market__pb2.Market,
            )
        )
        self.GetBook = self._client.get_method_stub(
            "GetBook",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.GetBookRequest,
                arbiter_dot_v1_dot_market__pb2.Book,
            )
        )
        self.StreamBook = self._client.get_method_stub(
            "StreamBook",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_market__pb2.StreamBookRequest,
                arbiter_dot_v1_dot_market__pb2.BookUpdate,
            )
        )
        self.StreamTrades = self._client.get_method_stub(
            "StreamTrades",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                arbiter_dot_v1_dot_market__pb2.StreamTradesRequest,
                arbiter_dot_v1_dot_market__pb2.TradeUpdate,
            )
        )
        self.ListEvents = self._client.get_method_stub(
            "ListEvents",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.ListEventsRequest,
                arbiter_dot_v1_dot_market__pb2.ListEventsResponse,
            )
        )
        self.GetEvent = self._client.get_method_stub(
            "GetEvent",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.GetEventRequest,
                arbiter_dot_v1_dot_market__pb2.Event,
            )
        )
        self.ListFeeds = self._client.get_method_stub(
            "ListFeeds",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.ListFeedsRequest,
                arbiter_dot_v1_dot_market__pb2.ListFeedsResponse,
            )
        )
        self.ListPairs = self._client.get_method_stub(
            "ListPairs",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                arbiter_dot_v1_dot_market__pb2.ListPairsRequest,
                arbiter_dot_v1_dot_market__pb2.ListPairsResponse,
            )
        )