"""The server as peers see it: the official client and raw HTTP/2, over real sockets. Numbers are rows of docs/grpc.md."""

import gzip
import urllib.parse
from contextlib import suppress

import grpc
import h2.errors
import h2.events
import pytest
import trio
from purerpc import NotFoundError

from arbiter.errors import ConfigError, LimitExceeded, NotFound, Unauthenticated
from arbiter.rpc import frames
from arbiter.rpc.listener import open_listener, port_of
from arbiter.rpc.messages import framed
from arbiter.rpc.server import Drops
from arbiter.rpc.server_limits import ServerLimits
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")
BODY = HELLO.SerializeToString()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Quiet:
    """A streaming handler that says one thing and then waits; counts who is in it."""

    def __init__(self):
        self.inside = self.left = 0

    async def __call__(self, message, request):
        self.inside += 1
        try:
            yield AuthResponse(user_id="first")
            await trio.sleep_forever()
        finally:
            self.inside -= 1
            self.left += 1


def nothing_is_kept(server) -> bool:
    return server.calls == 0


# -- what works --


async def test_an_official_client_gets_the_answer_of_a_unary_call(served, official):
    assert (await official.call(UNARY, HELLO)).user_id == "hello"


async def test_a_large_message_goes_both_ways(served, official):
    large = "x" * 3_000_000
    assert (await official.call(UNARY, AuthRequest(api_key=large))).user_id == large


async def test_an_official_client_gets_a_whole_stream_in_order(served, official):
    async def count(message, request):
        for number in range(500):
            yield AuthResponse(user_id=str(number))

    served.stream = count
    with trio.fail_after(10):
        replies = await trio.to_thread.run_sync(lambda: [reply.user_id for reply in official.stream(STREAM, HELLO)])
    assert replies == [str(number) for number in range(500)]


async def test_an_empty_stream_ends_with_ok(served, official):
    async def nothing(message, request):
        for _ in ():
            yield

    served.stream = nothing
    with trio.fail_after(10):
        assert await trio.to_thread.run_sync(list, official.stream(STREAM, HELLO)) == []


@pytest.mark.parametrize("path", ["test.Service/Nothing", "test.Nobody/Unary"])
async def test_an_unknown_method_or_service_is_unimplemented(served, official, path):
    assert (await official.refusal(path, HELLO)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_metadata_reaches_the_handler_text_and_binary(served, official):
    seen = {}

    async def look(message, request):
        seen.update(request.custom_metadata)
        return AuthResponse()

    served.unary = look
    await official.call(UNARY, HELLO, metadata=(("x-text", "abc"), ("x-data-bin", b"\x00\xff\x01")))
    assert seen["x-text"] == "abc"
    assert seen["x-data-bin"] == b"\x00\xff\x01"


async def test_a_status_message_may_hold_any_text(served, official):
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"

    async def refuse(message, request):
        raise NotFoundError(text)

    served.unary = refuse
    assert (await official.refusal(UNARY, HELLO)).details() == text


# -- 1: a cancelled call --


async def test_the_handler_of_a_cancelled_call_is_cancelled_at_once_and_forgotten(served, official, eventually):
    quiet = served.stream = Quiet()
    call = official.stream(STREAM, HELLO)
    await official.first(call)
    assert quiet.inside == served.server.calls == 1
    call.cancel()
    await eventually(lambda: nothing_is_kept(served.server))
    assert (quiet.inside, quiet.left) == (0, 1)
    assert (await official.call(UNARY, HELLO)).user_id == "hello"


async def test_fifty_cancelled_quiet_streams_leave_no_handler(served, official, eventually):
    quiet = served.stream = Quiet()
    calls = [official.stream(STREAM, HELLO) for _ in range(50)]
    await eventually(lambda: quiet.inside == 50)
    for call in calls:
        call.cancel()
    await eventually(lambda: nothing_is_kept(served.server))
    assert (quiet.inside, quiet.left) == (0, 50)


async def test_a_reset_stream_leaves_nothing_in_the_connection(served, connect_raw, eventually):
    quiet = served.stream = Quiet()
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{STREAM}")
        raw.message(number, BODY)
        await raw.send()
        await eventually(lambda: quiet.inside == 1)
        raw.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        await raw.send()
        await eventually(lambda: quiet.left == 1 and nothing_is_kept(served.server))
        (connection,) = served.server._connections
        assert (connection.wire.streams, connection.running, served.server.held) == ({}, 0, 0)


async def test_a_handler_that_writes_to_a_stream_that_was_just_reset_is_no_failure(served, connect_raw, eventually, logged):
    """The reset is read while the handler is about to write: the write fails before the cancellation arrives."""
    go = trio.Event()

    async def busy(message, request):
        yield AuthResponse(user_id="first")
        with trio.CancelScope(shield=True):
            await go.wait()
        yield AuthResponse(user_id="second")

    served.stream = busy
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{STREAM}")
        raw.message(number, BODY)
        await raw.send()
        await raw.read_until(lambda event: isinstance(event, h2.events.DataReceived))
        raw.h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        raw.h2.ping(b"12345678")
        await raw.send()
        await raw.read_until(lambda event: type(event).__name__.startswith("Ping") and "Ack" in type(event).__name__)
        go.set()
        await eventually(lambda: nothing_is_kept(served.server))
    assert logged == []


# -- 2: a closed connection --


async def test_a_closed_connection_ends_its_handlers(served, make_official, eventually):
    quiet = served.stream = Quiet()
    client = make_official(served.address)
    calls = [client.stream(STREAM, HELLO) for _ in range(20)]
    await eventually(lambda: quiet.inside == 20)
    client.channel.close()
    await eventually(lambda: served.server.connections == 0)
    assert (quiet.inside, quiet.left, served.server.calls) == (0, 20, 0)
    del calls


async def test_a_connection_that_breaks_without_a_word_ends_its_handlers(served, connect_raw, eventually):
    quiet = served.stream = Quiet()
    async with connect_raw(served.port) as raw:
        raw.message(raw.begin(f"/{STREAM}"), BODY)
        await raw.send()
        await eventually(lambda: quiet.inside == 1)
    await eventually(lambda: served.server.connections == 0)
    assert quiet.left == 1


async def test_a_peer_that_reads_nothing_fills_no_memory_and_is_let_go_when_it_says_goodbye(served, connect_raw, eventually):
    made = 0

    async def flood(message, request):
        nonlocal made
        while True:
            made += 1
            yield AuthResponse(user_id="x" * 60_000)

    served.stream = flood
    async with connect_raw(served.port) as raw:
        raw.h2.update_settings({4: 2**30})  # a window that nothing fills
        raw.h2.increment_flow_control_window(2**30)
        raw.message(raw.begin(f"/{STREAM}"), BODY)
        await raw.send()
        await eventually(lambda: made > 4)
        await trio.testing.wait_all_tasks_blocked(0.05)
        (connection,) = served.server._connections
        (call,) = connection.wire.streams.values()
        assert call.pending, "it waits for its reader"
        assert len(connection.wire.out) + call.waiting < 2**20, "whatever the window allows"
        raw.stream.socket.shutdown(1)
        await eventually(lambda: served.server.connections == 0)


# -- 3: deadlines --


async def test_the_deadline_is_enforced_on_the_server(served, connect_raw, eventually):
    quiet = served.stream = Quiet()
    async with connect_raw(served.port) as raw:  # a client that does not watch its own deadline
        number = raw.begin(f"/{STREAM}", extra=(("grpc-timeout", "80m"),))
        raw.message(number, BODY)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "4"
    assert (quiet.inside, quiet.left) == (0, 1)


async def test_a_deadline_before_any_message_is_deadline_exceeded_too(served, official):
    async def slow(message, request):
        await trio.sleep_forever()

    served.unary = slow
    assert (await official.refusal(UNARY, HELLO, timeout=0.1)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("far", ["99999999H", "10S"])
async def test_a_far_deadline_changes_nothing(served, connect_raw, far):
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{UNARY}", extra=(("grpc-timeout", far),))
        raw.message(number, BODY)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "0"


# -- 4 and 5: unexpected errors, cancellation --


@pytest.mark.parametrize("raising", [ValueError("secret 42"), ConfigError("secret 42"), ExceptionGroup("secret", [KeyError("secret 42")])])
async def test_an_unexpected_error_is_internal_with_a_correlation_id_and_nothing_of_ours(served, official, logged, raising):
    async def fail(message, request):
        raise raising

    served.unary = fail
    error = await official.refusal(UNARY, HELLO)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error; quote 018f0000-0000-7000-8000-000000000000 when you report it"
    (line,) = logged
    assert (line["event"], line["correlation_id"], line["method"]) == ("call failed", "018f0000-0000-7000-8000-000000000000", UNARY)
    assert line["exc_info"] is raising


@pytest.mark.parametrize("raising", [NotFound("no such thing"), NotFoundError("no such thing")])
async def test_an_error_out_of_a_handlers_nursery_keeps_its_meaning(served, official, raising):
    async def fail(message, request):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise raising

    served.unary = fail
    error = await official.refusal(UNARY, HELLO)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")


async def test_an_error_in_mid_stream_comes_after_what_was_sent(served, official):
    async def fail(message, request):
        yield AuthResponse(user_id="first")
        raise NotFound("it is gone")

    served.stream = fail
    call = official.stream(STREAM, HELLO)
    assert (await official.first(call)).user_id == "first"
    with pytest.raises(grpc.RpcError):
        await official.first(call)
    assert call.code() is grpc.StatusCode.NOT_FOUND


async def test_cancellation_passes_through_a_handler(official, served, eventually):
    seen = []

    async def wait(message, request):
        seen.append("entered")
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("cancelled")
            raise
        yield

    served.stream = wait
    call = official.stream(STREAM, HELLO)
    await eventually(lambda: seen == ["entered"])
    call.cancel()
    await eventually(lambda: nothing_is_kept(served.server))
    assert seen == ["entered", "cancelled"]


async def test_an_interrupt_in_a_handler_ends_the_server():
    from purerpc import Service
    from purerpc.rpc import Cardinality, RPCSignature

    from arbiter.rpc.client import NotConnected
    from arbiter.rpc.dial import connect
    from arbiter.rpc.server import Server

    async def interrupted(message, request):
        raise KeyboardInterrupt

    service = Service("test.Service")
    service.add_method("Unary", interrupted, RPCSignature(Cardinality.UNARY_UNARY, AuthRequest, AuthResponse))
    server = Server([service], lambda *_: "somebody", lambda: "id")

    async def call(port):
        async with connect("127.0.0.1", port) as channel:
            with pytest.raises(NotConnected):
                await channel.unary(UNARY, HELLO, AuthResponse, (), 5)

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        with trio.fail_after(10):
            async with await open_listener("localhost", 0) as listener, trio.open_nursery() as nursery:
                nursery.start_soon(server.serve, listener)
                nursery.start_soon(call, port_of(listener))


# -- 6: where it listens --


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_another_host_than_loopback_is_refused_without_tls(host):
    with pytest.raises(ConfigError, match="there is no TLS; set grpc_tls_cert and grpc_tls_key, or use localhost"):
        await open_listener(host, 0)


async def test_it_listens_on_loopback_alone():
    async with await open_listener("localhost", 0) as listener:
        assert listener.socket.getsockname()[0] == "127.0.0.1"


async def test_a_port_that_is_taken_is_refused_with_the_way_out(served):
    with pytest.raises(ConfigError, match=rf"port {served.port} for gRPC cannot be used .*; choose another with --grpc-port"):
        await open_listener("localhost", served.port)


# -- 10 and 12: trailers --


async def test_a_limit_tells_when_to_come_back_in_trailers(served, official):
    async def refuse(message, request):
        raise LimitExceeded("too much", 1234)

    served.unary = refuse
    error = await official.refusal(UNARY, HELLO)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(error.trailing_metadata())
    assert (trailers["arbiter-reason"], trailers["retry-after-ms"]) == ("LIMIT_EXCEEDED", "1234")


@pytest.mark.parametrize("path", [UNARY, STREAM])
async def test_a_call_that_fails_before_any_message_is_answered_with_trailers_alone(served, connect_raw, path):
    async def refuse(message, request):
        raise NotFound("nothing here")

    async def refuse_stream(message, request):
        raise NotFound("nothing here")
        yield

    served.unary, served.stream = refuse, refuse_stream
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{path}")
        raw.message(number, BODY)
        await raw.send()
        await raw.ended(number)
        (block,) = raw.header_blocks(number)
    assert (block[":status"], block["grpc-status"], block["arbiter-reason"]) == ("200", "5", "NOT_FOUND")


async def test_a_refused_caller_does_not_learn_what_exists(served, official):
    def nobody(service, method, metadata):
        raise Unauthenticated("who are you?")

    served.admit = nobody
    for path in (UNARY, "test.Service/Nothing", "test.Nobody/Unary"):
        assert (await official.refusal(path, HELLO)).code() is grpc.StatusCode.UNAUTHENTICATED


# -- peers that misbehave --


async def test_a_request_whose_body_comes_after_its_refusal_harms_no_other_call(served, connect_raw, logged):
    def no_bodies(service, method, metadata):
        if dict(metadata).get("x-refuse"):
            raise Unauthenticated("no")
        return "somebody"

    served.admit = no_bodies
    async with connect_raw(served.port) as raw:
        for _ in range(3):
            number = raw.begin(f"/{UNARY}", extra=(("x-refuse", "1"),))
            await raw.send()
            await raw.ended(number)
            assert raw.header_blocks(number)[-1]["grpc-status"] == "16"
            await raw.stream.send_all(frames.frame(frames.DATA, frames.END_STREAM, number, framed(BODY)))  # it was under way
        number = raw.begin(f"/{UNARY}")
        raw.message(number, BODY)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "0"
    assert logged == []


async def test_refused_calls_give_their_window_back(served, connect_raw):
    """Bytes of a call that nobody reads are not held against the connection for ever."""

    def nobody(service, method, metadata):
        raise Unauthenticated("no")

    served.admit = nobody
    async with connect_raw(served.port) as raw:
        await raw.read_until(lambda event: isinstance(event, h2.events.WindowUpdated))
        whole = raw.h2.outbound_flow_control_window
        for _ in range(whole // 10_000 + 10):
            number = raw.begin(f"/{UNARY}")
            raw.message(number, b"x" * 10_000)
            await raw.send()
            await raw.ended(number)
        assert raw.h2.outbound_flow_control_window > 0
        assert served.server.held == 0


ODD = {
    "two deadlines": (("grpc-timeout", "1S"), ("grpc-timeout", "1S")),
    "a deadline beyond any clock": (("grpc-timeout", "99999999999999999H"),),
    "a deadline that is no number": (("grpc-timeout", "soonS"),),
    "an unknown unit": (("grpc-timeout", "1x"),),
    "binary metadata that is not base64": (("x-bin", "a"),),
}


@pytest.mark.parametrize("extra", ODD.values(), ids=ODD.keys())
async def test_odd_headers_end_their_own_call_and_touch_no_other(served, connect_raw, extra):
    async with connect_raw(served.port) as raw:
        for more, status in ((extra, "3"), ((), "0")):
            number = raw.begin(f"/{UNARY}", extra=more)
            raw.message(number, BODY)
            await raw.send()
            await raw.ended(number)
            assert raw.header_blocks(number)[-1]["grpc-status"] == status


async def test_a_request_in_an_unknown_compression_ends_alone_and_is_told_how_to_send_it(served, connect_raw, logged):
    """Also where the rest of it comes later, and where it does not even say how it is compressed."""
    quiet = served.stream = Quiet()
    async with connect_raw(served.port) as raw:
        other = raw.begin(f"/{STREAM}")
        raw.message(other, BODY)
        await raw.send()
        await raw.read_until(lambda event: isinstance(event, h2.events.DataReceived))
        for encoding, status in (("deflate", "12"), ("snappy", "12"), ("nonsense", "12"), ("", "13"), ("identity", "13")):
            number = raw.begin(f"/{UNARY}", extra=(("grpc-encoding", encoding),) if encoding else ())
            raw.message(number, gzip.compress(BODY), compressed=True, end=False)
            raw.message(number, BODY)
            await raw.send()
            await raw.ended(number)
            answer = {name: value for block in raw.header_blocks(number) for name, value in block.items()}
            assert (answer["grpc-status"], answer["grpc-accept-encoding"]) == (status, "identity,gzip")
        assert (quiet.inside, served.server.connections, logged) == (1, 1, [])


@pytest.mark.parametrize(
    ("packed", "status"),
    [
        pytest.param(gzip.compress(BODY), "0", id="whole"),
        pytest.param(gzip.compress(BODY)[:-3], "13", id="cut short"),
        pytest.param(b"nonsense", "13", id="none"),
        pytest.param(gzip.compress(bytes(5 * 2**20)), "8", id="a bomb"),
    ],
)
async def test_gzip_is_taken_within_the_limit_of_a_message(served, connect_raw, packed, status):
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{UNARY}", extra=(("grpc-encoding", "gzip"),))
        raw.message(number, packed, compressed=True)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == status
        number = raw.begin(f"/{UNARY}", extra=(("grpc-encoding", "gzip"),))
        raw.message(number, BODY)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "0", "it named an encoding and did not use it"


async def test_an_official_client_may_compress(served, official):
    large = AuthRequest(api_key="x" * 100_000)
    assert (await official.call(UNARY, large, compression=grpc.Compression.Gzip)).user_id == large.api_key
    error = await official.refusal(UNARY, large, compression=grpc.Compression.Deflate)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "send identity or gzip" in error.details()


async def test_a_message_that_is_too_long_ends_its_call_alone(served, connect_raw, logged):
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{UNARY}")
        raw.h2.send_data(number, b"\0" + (2**31).to_bytes(4, "big") + BODY)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "8"
        number = raw.begin(f"/{UNARY}")
        raw.message(number, BODY)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "0"
    assert logged == []


@pytest.mark.parametrize("path", [UNARY, STREAM])
@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"\x0a\x02\xff\xfe"])
async def test_bytes_that_are_no_message_are_an_invalid_argument_and_leave_no_trace(served, connect_raw, logged, path, body):
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{path}")
        raw.message(number, body)
        await raw.send()
        await raw.ended(number)
        (block,) = raw.header_blocks(number)
    assert (block["grpc-status"], block["arbiter-reason"]) == ("3", "INVALID_INPUT")
    assert urllib.parse.unquote(block["grpc-message"]) == "request: its bytes are no arbiter.v1.AuthRequest"
    assert logged == []


JUNK = {
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "zeros": b"\0" * 100,
    "settings for a stream": PREFACE + b"\0\0\0\x04\0\0\0\0\x01",
    "headers that cannot be unpacked": PREFACE + b"\0\0\x05\x01\x05\0\0\0\x01\xff\xff\xff\xff\xff",
}


async def test_junk_is_told_in_one_line_without_a_traceback_however_much_comes(served, logged, eventually):
    for junk in [*JUNK.values()] * 5:
        with trio.fail_after(10):
            async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
                await stream.send_all(junk)
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some():
                        pass
    await eventually(lambda: served.server.connections == 0)
    (line,) = logged
    assert (line["event"], line["log_level"], line["dropped_so_far"]) == ("connection dropped: the peer broke the protocol", "warning", 1)
    assert "exc_info" not in line


async def test_dropped_connections_are_counted_and_told_of_once_a_minute(logged, autojump_clock):
    drops = Drops()
    for _ in range(3):
        drops.note("junk")
    await trio.sleep(59)
    drops.note("other")
    await trio.sleep(1)
    drops.note("other")
    assert [(line["dropped_so_far"], line["problem"]) for line in logged] == [(1, "junk"), (5, "other")]


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x00" * 100, b"\xff" * 100])
async def test_a_peer_that_does_not_speak_http2_is_hung_up_on(served, official, garbage):
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(garbage)
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
    assert (await official.call(UNARY, HELLO)).user_id == "hello"


async def test_a_request_without_a_message_is_answered_as_such(served, connect_raw):
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{UNARY}")
        raw.h2.send_data(number, b"", end_stream=True)
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "13"


async def test_a_slow_reader_gets_everything_and_delays_nobody(served, connect_raw, official, eventually):
    async def large(message, request):
        for _ in range(4):
            yield AuthResponse(user_id="x" * 50_000)

    served.stream = large
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{STREAM}")
        raw.message(number, BODY)
        await raw.send()
        await eventually(lambda: served.server.calls == 1)
        assert (await official.call(UNARY, HELLO)).user_id == "hello"
        received = 0
        while received < 4 * 50_000:
            event = await raw.read_until(lambda event: isinstance(event, h2.events.DataReceived))
            raw.events.remove(event)
            received += len(event.data)
            raw.h2.acknowledge_received_data(event.flow_controlled_length, number)
            await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["grpc-status"] == "0"


@pytest.mark.parametrize(
    "limits", [ServerLimits(connections=1), ServerLimits(connections_from_one_address=1)], ids=["of all", "of one address"]
)
async def test_more_connections_than_the_cap_are_closed_at_once(served, official, limits):
    served.server.limits = limits
    served.admit = lambda *_: "somebody"
    await official.call(UNARY, HELLO)
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            assert await stream.receive_some() == b""
