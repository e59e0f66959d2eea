"""IPv6's loopback: the official client, ours, and an address that counts as its own."""

import socket

import pytest
import trio

from arbiter.rpc.dial import connect
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.server_limits import ServerLimits
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

UNARY = "test.Service/Unary"
HELLO = AuthRequest(api_key="hello")


def _has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


async def test_both_clients_call_a_server_on_ipv6(served, make_official):
    served.admit = lambda *_: "somebody"
    async with await open_listener("::1", 0) as listener, trio.open_nursery() as nursery:
        port = port_of(listener)
        nursery.start_soon(served.server.serve, listener)
        assert (await make_official(f"[::1]:{port}").call(UNARY, HELLO)).user_id == "hello"
        with trio.fail_after(10):
            async with connect("::1", port) as channel:
                assert (await channel.unary(UNARY, HELLO, AuthResponse, (), 5)).user_id == "hello"
                served.server.limits = ServerLimits(connections_from_one_address=2)
                async with await trio.open_tcp_stream("::1", port) as third:
                    assert await third.receive_some() == b""
        nursery.cancel_scope.cancel()
