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


def settle(places, address, limits=LIMITS):
    """A place of one that has greeted."""
    place = places.take(address, limits)
    return place if place and places.greet(place, limits) else None


async def test_where_an_address_is_full_its_oldest_stranger_makes_room():
    places = Places()
    first, second, third = (settle(places, "1.1.1.1") for _ in range(3))
    other = settle(places, "2.2.2.2")
    assert settle(places, "1.1.1.1")
    assert [put_out(each) for each in (first, second, third, other)] == [True, False, False, False]
    places.give_back(first)  # its task ends later
    assert len(places) == 4


async def test_where_the_server_is_full_the_address_with_the_most_strangers_makes_room():
    places = Places()
    lone = settle(places, "9.9.9.9")
    many = [settle(places, "1.1.1.1") for _ in range(3)]
    two = settle(places, "2.2.2.2")
    assert settle(places, "3.3.3.3")
    assert [put_out(each) for each in (lone, *many, two)] == [False, True, False, False, False]


@pytest.mark.parametrize("addresses", [["1.1.1.1"] * 3, ["1.1.1.1", "1.1.1.1", "2.2.2.2", "2.2.2.2", "3.3.3.3"]])
async def test_who_is_known_is_never_put_out(addresses):
    places = Places()
    known = [settle(places, each) for each in addresses]
    for each in known:
        places.know(each)
    assert settle(places, addresses[-1]) is None
    assert not any(map(put_out, known))
    places.give_back(known[-1])
    assert settle(places, addresses[-1])


async def test_the_socket_file_has_a_cap_of_its_own_in_which_its_oldest_stranger_does_not_make_room():
    places = Places()
    network = [settle(places, f"1.1.1.{number}") for number in range(5)]
    local = [settle(places, LOCAL) for _ in range(2)]
    assert all(local)
    assert settle(places, LOCAL) is None
    assert settle(places, "2.2.2.2")
    assert [put_out(each) for each in (*local, *network)] == [False, False, True, False, False, False, False]


async def test_nothing_is_kept_of_who_has_left():
    places = Places()
    taken = [settle(places, f"1.1.1.{number}") for number in range(4)]
    places.know(taken[0])
    for each in taken:
        places.give_back(each)
    assert (len(places), places._held, places._strangers._of, places._guests._of) == (0, {}, {}, {})


async def test_an_address_that_has_more_pushes_out_no_newcomer_of_another():
    places = Places()
    for _ in range(3):
        places.know(settle(places, "1.1.1.1"))
    newcomer = settle(places, "9.9.9.9")
    places.know(settle(places, "2.2.2.2"))
    limits = ServerLimits(connections=5, connections_from_one_address=100)
    assert settle(places, "1.1.1.1", limits) is None
    assert not put_out(newcomer)
    assert settle(places, "3.3.3.3", limits)  # which has no more than that one
    assert put_out(newcomer)


async def test_of_addresses_with_as_many_strangers_the_one_with_more_connections_makes_room():
    places = Places()
    newcomer = settle(places, "9.9.9.9")
    places.know(settle(places, "1.1.1.1"))
    rich = settle(places, "1.1.1.1")
    places.know(settle(places, "2.2.2.2"))
    places.know(settle(places, "2.2.2.2"))
    assert settle(places, "3.3.3.3")
    assert (put_out(newcomer), put_out(rich)) == (False, True)


async def test_unfinished_handshakes_take_no_place_from_anybody_and_make_room_for_each_other():
    limits = ServerLimits(connections=3, connections_from_one_address=3, handshakes=4, handshakes_from_one_address=3)
    places = Places()
    stranger = settle(places, "5.5.5.5", limits)
    flood = [places.take("1.1.1.1", limits) for _ in range(10)]
    assert [put_out(each) for each in flood] == [True] * 7 + [False] * 3
    others = [places.take(f"2.2.2.{number}", limits) for number in range(2)]  # the second finds all of them taken
    assert [put_out(each) for each in flood[7:]] == [True, False, False]
    assert not any(map(put_out, [stranger, *others]))
    assert all(places.greet(each, limits) for each in others)
    assert not put_out(stranger)
    assert len(places) == 5


async def test_a_handshake_that_is_not_finished_by_the_one_who_was_put_out_gives_no_place():
    limits = ServerLimits(handshakes_from_one_address=1)
    places = Places()
    first, second = (places.take("1.1.1.1", limits) for _ in range(2))
    assert put_out(first)
    assert not places.greet(first, limits)
    places.give_back(first)
    assert places.greet(second, limits)
    assert len(places) == 1


async def test_who_finds_no_room_after_its_handshake_leaves_nothing_behind():
    places = Places()
    waiting = places.take("7.7.7.7", LIMITS)
    for number in range(5):
        places.know(settle(places, f"1.1.1.{number}"))
    assert not places.greet(waiting, LIMITS)
    places.give_back(waiting)
    assert (len(places), len(places._guests)) == (5, 0)


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


async def test_connections_that_never_greet_put_out_no_stranger_who_has(served, make_official, connect_raw, eventually):
    served.server.limits = ServerLimits(connections=2, connections_from_one_address=2, handshakes=3, handshakes_from_one_address=3)
    async with AsyncExitStack() as stack:
        raw = await stack.enter_async_context(connect_raw(served.port))
        await raw.send()
        await eventually(lambda: any(not each.place.guest for each in served.server._connections))
        for _ in range(20):
            await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", served.port))
        await eventually(lambda: served.server.connections == 4)
        number = raw.begin("/" + UNARY)
        raw.message(number, HELLO.SerializeToString())
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "0"
        assert (await make_official(served.address).call(UNARY, HELLO)).user_id == "hello"
