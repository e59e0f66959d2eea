"""What our front leans on inside of purerpc and h2, by name. An upgrade that moves one of these must fail here first."""

import inspect
from importlib.metadata import version

import anyio
import h2.connection
import h2.events
import h2.exceptions
import purerpc.grpc_proto
import purerpc.grpc_socket
import pytest
from purerpc.grpclib import buffers, connection, events
from purerpc.grpclib.config import GRPCConfiguration

LOOK = "purerpc changed here: read {} again beside arbiter/rpc/server.py, channel.py and wire.py before you change this list"

METHODS = [
    (purerpc.grpc_socket.SocketWrapper, "_writer_thread", ["self"]),
    (purerpc.grpc_socket.SocketWrapper, "flush", ["self"]),
    (purerpc.grpc_socket.SocketWrapper, "recv", ["self", "buffer_size"]),
    (purerpc.grpc_socket.GRPCSocket, "_reader_thread", ["self"]),
    (purerpc.grpc_socket.GRPCSocket, "_allocate_stream", ["self", "stream_id"]),
    (purerpc.grpc_socket.GRPCStream, "_set_flow_control_update", ["self"]),
    (purerpc.grpc_socket.GRPCStream, "_close_remote", ["self"]),
    (purerpc.grpc_socket.GRPCStream, "_close_local", ["self"]),
    (purerpc.grpc_socket.GRPCStream, "close", ["self", "status", "content_type_suffix", "custom_metadata"]),
    (purerpc.grpc_proto.GRPCProtoStream, "expect_message_type", ["self", "message_type"]),
    (purerpc.grpc_proto.GRPCProtoStream, "receive_event", ["self"]),
    (connection.GRPCConnection, "_stream_reset", ["self", "event"]),
    (connection.GRPCConnection, "_data_received", ["self", "event"]),
    (connection.GRPCConnection, "_request_received", ["self", "event"]),
    (connection.GRPCConnection, "respond_status", ["self", "stream_id", "status", "content_type_suffix", "custom_metadata"]),
    (connection.GRPCConnection, "end_response", ["self", "stream_id", "status", "custom_metadata"]),
    (buffers.MessageReadBuffer, "__init__", ["self", "message_encoding", "max_message_length"]),
    (buffers.MessageReadBuffer, "decompress", ["self", "data"]),
    (connection.GRPCConnection, "acknowledge_received_data", ["self", "stream_id", "flow_controlled_length"]),
    (connection.GRPCConnection, "reset_stream", ["self", "stream_id", "error_code"]),
    (connection.GRPCConnection, "receive_data", ["self", "data"]),
]


@pytest.mark.parametrize(("owner", "name", "parameters"), METHODS, ids=[f"{owner.__name__}.{name}" for owner, name, _ in METHODS])
def test_purerpc_has_the_private_method_that_we_call_or_replace(owner, name, parameters):
    method = getattr(owner, name, None)
    assert method is not None, LOOK.format(f"{owner.__module__}.{owner.__name__} (no {name} any more)")
    assert list(inspect.signature(method).parameters) == parameters, LOOK.format(f"{owner.__module__}.{owner.__name__}.{name}")


def make_connection():
    return connection.GRPCConnection(config=GRPCConfiguration(client_side=False))


def test_a_connection_keeps_its_parts_where_we_look_for_them():
    made = make_connection()
    for name, kind in (("h2_connection", h2.connection.H2Connection), ("message_read_buffers", dict), ("MAX_CONCURRENT_STREAMS", int)):
        assert isinstance(getattr(made, name, None), kind), LOOK.format(f"purerpc.grpclib.connection.GRPCConnection ({name})")


def test_a_stream_keeps_its_queue_and_its_events_where_we_look_for_them():
    stream = purerpc.grpc_proto.GRPCProtoStream(make_connection(), 1, None, None)
    sending, receiving = getattr(stream, "_incoming_events", (None, None))
    text = LOOK.format("purerpc.grpc_socket.GRPCStream.__init__")
    assert isinstance(sending, anyio.streams.memory.MemoryObjectSendStream), text
    assert isinstance(receiving, anyio.streams.memory.MemoryObjectReceiveStream), text
    assert (stream.start_stream_event, stream.end_stream_event, stream.stream_id) == (None, None, 1), text
    sending.close()
    receiving.close()


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (purerpc.grpc_socket.GRPCSocket.__init__, ["_grpc_connection", "_socket", "_receive_buffer_size", "_streams"]),
        (purerpc.grpc_socket.SocketWrapper.__init__, ["_stream", "_flush_event", "_running"]),
    ],
)
def test_a_socket_keeps_its_parts_where_we_look_for_them(where, names):
    """They need a real socket to be made, so that their source is read."""
    for name in names:
        assert f"self.{name} =" in inspect.getsource(where), LOOK.format(f"{where.__qualname__} (no {name} any more)")


def test_the_socket_still_starts_its_reader_and_writer_as_we_replace_them():
    source = inspect.getsource(purerpc.grpc_socket)
    for call in ("start_soon(self._writer_thread)", "start_soon(self._reader_thread)"):
        assert call in source, LOOK.format("purerpc.grpc_socket")


def test_purerpc_still_drops_resets_and_fails_on_late_data():
    """What wire.py repairs. When this fails, purerpc has learnt it: remove the repair."""
    assert make_connection()._stream_reset(h2.events.StreamReset()) == []
    late = h2.events.DataReceived()
    late.stream_id, late.data, late.flow_controlled_length = 1, b"x", 1
    with pytest.raises((KeyError, h2.exceptions.H2Error)):
        make_connection()._data_received(late)


def test_the_events_carry_what_we_read():
    assert {"stream_id", "delta"} <= vars(events.WindowUpdated(1, 2)).keys()
    request = events.RequestReceived(1, "http", "s", "m", "application/grpc")
    assert {"service_name", "method_name", "timeout", "custom_metadata"} <= vars(request).keys(), LOOK.format("purerpc.grpclib.events")
    ended = events.ResponseEnded(1, None)
    assert {"status", "custom_metadata"} <= vars(ended).keys(), LOOK.format("purerpc.grpclib.events")


def test_the_versions_are_those_that_were_read():
    assert version("purerpc") == "0.8.0", LOOK.format("the whole of purerpc")
    assert version("h2").startswith("3."), LOOK.format("h2.connection and h2.stream")
