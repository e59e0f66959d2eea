"""A server with services made of functions."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from purerpc import Service
from purerpc.rpc import Cardinality, RPCSignature

from arbiter.rpc.request import Request
from arbiter.rpc.server import Server
from arbiter.rpc.server_limits import ServerLimits
from arbiter.rpc.tls import ServerTls
from arbiter.v1 import user_pb2

CORRELATION = "018f0000-0000-7000-8000-000000000000"

Handler = Callable[[Any, Any], Any]


class Served:
    """A running server; `handlers` may be set at any time. Messages are AuthRequest (in) and AuthResponse (out)."""

    def __init__(self, limits: ServerLimits | None = None, tls: ServerTls | None = None) -> None:
        self.admit: Callable[[str, str, Any], object] = lambda *_: "somebody"
        self.unary: Handler = _answer
        self.stream: Handler = _one
        # looked up at each call, so that a test may set it
        self.server = Server([self._service()], self._admit, lambda: CORRELATION, limits=limits, tls=tls)
        self.port = 0

    def _admit(self, call: Request) -> object:
        return self.admit(call.service_name, call.method_name, call.custom_metadata)

    def _service(self) -> Service:
        async def unary(message: Any, request: Any) -> Any:
            return await self.unary(message, request)

        async def stream(message: Any, request: Any) -> AsyncIterator[Any]:
            async with aclosing(self.stream(message, request)) as replies:
                async for reply in replies:
                    yield reply

        def signature(cardinality: Cardinality) -> RPCSignature:
            return RPCSignature(cardinality, user_pb2.AuthRequest, user_pb2.AuthResponse)

        service = Service("test.Service")
        service.add_method("Unary", unary, signature(Cardinality.UNARY_UNARY))
        service.add_method("Stream", stream, signature(Cardinality.UNARY_STREAM))
        return service

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


async def _answer(message: Any, request: Any) -> Any:
    return user_pb2.AuthResponse(user_id=message.api_key)


async def _one(message: Any, request: Any) -> AsyncIterator[Any]:
    yield user_pb2.AuthResponse(user_id=message.api_key)
