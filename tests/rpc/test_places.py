"""Connections that are silent hold nobody up: who gets a place, who makes room for it, and who never has to."""

from contextlib import AsyncExitStack

import pytest
import trio

from arbiter.rpc.listener import LOCAL, open_listener, open_local_listener, port_of
from arbiter.rpc.places import Places
from arbiter.rpc.server_limits import ServerLimits
from arbiter.v1.user_pb2 import AuthRequest

UNARY = "test.Service/Unary"
HELLO = AuthRequest(api_key="hello")
LIMITS = ServerLimits(connections=5, connections_from_one_address=3, local_connections=2)


def put_out(place):
    return place.scope.cancel_called


async def test_where_an_address_is_full_its_oldest_stranger_makes_room():
    places = Places()
    first, second, third = (places.take("1.1.1.1", LIMITS) for _ in range(3))
    other = places.take("2.2.2.2", LIMITS)
    assert places.take("1.1.1.1", LIMITS)
    assert [put_out(each) for each in (first, second, third, other)] == [True, False, False, False]
    places.give_back(first)  # its task ends later
    assert len(places) == 4


async def test_where_the_server_is_full_the_address_with_the_most_strangers_makes_room():
    places = Places()
    lone = places.take("9.9.9.9", LIMITS)
    many = [places.take("1.1.1.1", LIMITS) for _ in range(3)]
    two = places.take("2.2.2.2", LIMITS)
    assert places.take("3.3.3.3", LIMITS)
    assert [put_out(each) for each in (lone, *many, two)] == [False, True, False, False, False]


@pytest.mark.parametrize("addresses", [["1.1.1.1"] * 3, ["1.1.1.1", "1.1.1.1", "2.2.2.2", "2.2.2.2", "3.3.3.3"]])
async def test_who_is_known_is_never_put_out(addresses):
    places = Places()
    known = [places.take(each, LIMITS) for each in addresses]
    for each in known:
        places.know(each)
    assert places.take(addresses[-1], LIMITS) is None
    assert not any(map(put_out, known))
    places.give_back(known[-1])
    assert places.take(addresses[-1], LIMITS)


async def test_the_socket_file_has_a_cap_of_its_own_in_which_its_oldest_stranger_does_not_make_room():
    places = Places()
    network = [places.take(f"1.1.1.{number}", LIMITS) for number in range(5)]
    local = [places.take(LOCAL, LIMITS) for _ in range(2)]
    assert all(local)
    assert places.take(LOCAL, LIMITS) is None
    assert places.take("2.2.2.2", LIMITS)
    assert [put_out(each) for each in (*local, *network)] == [False, False, True, False, False, False, False]


async def test_nothing_is_kept_of_who_has_left():
    places = Places()
    taken = [places.take(f"1.1.1.{number}", LIMITS) for number in range(4)]
    places.know(taken[0])
    for each in taken:
        places.give_back(each)
    assert (len(places), places._held, places._strangers) == (0, {}, {})


async def test_silent_connections_hold_up_neither_the_network_nor_the_socket_file(served, make_official, tmp_path, eventually):
    served.server.limits = LIMITS
    served.admit = lambda *_: "somebody"
    path = tmp_path / "grpc.sock"
    async with await open_listener("localhost", 0) as tcp, open_local_listener(path) as local, trio.open_nursery() as nursery:
        nursery.start_soon(served.server.serve, tcp, local)
        async with AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port_of(tcp)))
            assert (await make_official(f"unix:{path}").call(UNARY, HELLO)).user_id == "hello"
            client = make_official(f"127.0.0.1:{port_of(tcp)}")
            assert (await client.call(UNARY, HELLO)).user_id == "hello"
            for _ in range(8):
                await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port_of(tcp)))
            assert (await client.call(UNARY, HELLO)).user_id == "hello"
            assert sum(connection.place.known for connection in served.server._connections) == 2
        nursery.cancel_scope.cancel()
