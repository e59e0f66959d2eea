"""Who a call is counted for that came through a proxy, and what its connection proves."""

import grpc
import pytest
import trio
from purerpc import Cardinality, RPCSignature, Service

from arbiter.errors import ConfigError
from arbiter.rpc.proxies import Proxies, forwarded_for, read_proxies
from arbiter.rpc.server import Server
from arbiter.v1 import user_pb2
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse
from tests.rpc.memory_server import connected, looked_after
from tests.rpc.whole_program import CREDENTIAL

UNARY = "test.Service/Unary"


@pytest.mark.parametrize(
    ("peer", "known"),
    [
        ("10.0.0.7", True),
        ("10.1.255.1", True),
        ("fd00::5", True),
        ("::ffff:10.0.0.7", True),
        ("10.0.0.8", False),
        ("127.0.0.1", False),
        ("local", False),
        ("", False),
    ],
)
def test_proxies_are_known_by_their_address(peer, known):
    assert read_proxies("10.0.0.7, 10.1.0.0/16,fd00::/8,").knows(peer) is known
    assert not read_proxies("").knows(peer)


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "1.2.3.4 5.6.7.8"])
def test_what_is_no_address_is_a_config_error_that_names_it(text):
    with pytest.raises(ConfigError, match="grpc_proxies: ") as caught:
        read_proxies(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        (b"1.1.1.1, 2.2.2.2,  203.0.113.9 ", "203.0.113.9"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, unknown", ""),
        (b"203.0.113.9,", ""),
        (b"\xff", ""),
        (b"", ""),
    ],
)
def test_only_the_address_counts_that_the_last_proxy_put_there(value, address):
    assert forwarded_for(value) == address


async def seen(peer, *extra, verified=False):
    """Address and proof of one call, as its handler sees them."""
    found = []

    async def unary(message, request):
        found.append((request.peer, request.verified_peer))
        return AuthResponse()

    service = Service("test.Service")
    service.add_method("Unary", unary, RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse))
    admitted = []
    server = Server([service], lambda call: admitted.append(call.peer) or "somebody", lambda: "id", proxies=read_proxies("10.0.0.7"))
    async with looked_after(server), connected(server, peer) as client:
        client.connection._verified_peer = verified
        client.greet()
        client.call(1, UNARY, AuthRequest(), extra=extra)
        await trio.sleep(0.1)
    assert admitted == [found[0][0]]  # the gate counts for the same
    return found[0]


async def test_behind_a_proxy_of_ours_a_call_is_of_whom_it_names_last(autojump_clock):
    assert await seen("10.0.0.7", (b"x-forwarded-for", b"6.6.6.6, 203.0.113.9")) == ("203.0.113.9", False)
    assert await seen("10.0.0.7", (b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"203.0.113.9")) == ("203.0.113.9", False)
    assert await seen("10.0.0.7", (b"x-forwarded-for", b"nonsense")) == ("10.0.0.7", False)
    assert await seen("10.0.0.7", (b"forwarded", b"for=203.0.113.9")) == ("10.0.0.7", False)


async def test_nobody_else_can_say_who_they_are(autojump_clock):
    assert await seen("10.0.0.8", (b"x-forwarded-for", b"203.0.113.9")) == ("10.0.0.8", False)


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"forwarded"])
async def test_what_was_forwarded_proves_nothing_about_who_made_it(autojump_clock, name):
    assert await seen("127.0.0.1", verified=True) == ("127.0.0.1", True)
    assert await seen("127.0.0.1", (name, b"127.0.0.1"), verified=True) == ("127.0.0.1", False)


def test_by_itself_a_server_knows_no_proxy():
    assert not Server([], lambda _: None, lambda: "id").proxies.knows("127.0.0.1")
    assert not Proxies().knows("127.0.0.1")


async def test_the_bots_credential_is_not_looked_at_through_a_proxy_of_this_machine(program, make_official):
    official = make_official(program.address)
    request = user_pb2.AuthRequest(bot=user_pb2.BotLogin(credential=CREDENTIAL, telegram_id=1))
    refused = await official.refusal("arbiter.v1.UserService/Authenticate", request)
    assert refused.code() is grpc.StatusCode.NOT_FOUND  # nobody is linked: it was looked at
    metadata = (("x-forwarded-for", "203.0.113.9"),)
    refused = await official.refusal("arbiter.v1.UserService/Authenticate", request, metadata=metadata)
    assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
