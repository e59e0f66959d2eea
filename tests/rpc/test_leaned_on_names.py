"""What our front leans on inside of purerpc, hpack and trio, by name. An upgrade that moves one of these must fail here first."""

import inspect
import socket
from importlib.metadata import version

import purerpc
import trio
from hpack import Decoder
from hpack.table import HeaderTable
from purerpc import Cardinality, RPCSignature, Service
from purerpc.grpclib.status import Status, StatusCode

from arbiter.v1.market_grpc import MarketServiceServicer


def test_the_versions_are_those_that_were_read():
    assert version("purerpc") == "0.8.0", "read its Service, RPCSignature, Status and RpcFailedError again beside rpc/call_head.py"
    assert version("hpack") == "3.0.0", "read its Decoder and HeaderTable again beside rpc/header_blocks.py"
    assert version("trio").startswith("0.35."), "read its sockets again beside rpc/pipe.py"


def test_a_generated_servicer_yields_its_methods_with_their_shapes():
    methods = MarketServiceServicer().service.methods
    bound = methods["GetBook"]
    assert bound.signature.cardinality is Cardinality.UNARY_UNARY
    assert (bound.signature.request_type.__name__, bound.signature.response_type.__name__) == ("GetBookRequest", "Book")


def test_a_handler_of_two_arguments_is_called_with_the_request_by_name():
    async def handler(message, request):
        raise NotImplementedError

    service = Service("s")
    service.add_method("M", handler, RPCSignature(Cardinality.UNARY_UNARY, int, int))
    assert service.methods["M"].method_fn is handler


def test_a_status_has_its_number_and_its_text():
    status = Status(StatusCode.NOT_FOUND, "no")
    assert (status.int_value, status.status_code, status.status_message) == (5, StatusCode.NOT_FOUND, "no")
    assert purerpc.RpcFailedError(status).status is status


def test_hpack_asks_its_table_for_every_change():
    """rpc/header_blocks.py forgets what it decoded as soon as the table changes, and hears of it by these two."""
    source = inspect.getsource(Decoder)
    assert "self.header_table.add(name, value)" in source
    assert "self.header_table.maxsize = value" in source
    assert isinstance(HeaderTable.maxsize, property)
    assert HeaderTable()._maxsize == HeaderTable().maxsize


async def test_trios_socket_holds_the_systems_socket():
    with trio.socket.socket() as made:
        assert isinstance(made._sock, socket.socket)
        assert made._sock.getblocking() is False
