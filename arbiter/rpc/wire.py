"""What server and client share of purerpc's connection, with two holes closed and its headers sent plain.

A reset reaches the call instead of being dropped, and the flow-control window of bytes that nobody will read is given
back, so that calls which ended early never stall the connection.
"""

from collections import defaultdict
from contextlib import suppress

import h2.events
import h2.exceptions
from hpack import Encoder
from purerpc.grpc_socket import GRPCStream
from purerpc.grpclib.connection import GRPCConnection
from purerpc.grpclib.events import Event, ResponseEnded
from purerpc.grpclib.headers import b64decode

from arbiter.rpc.details import DETAILS_TRAILER

CORRELATION_METADATA = "x-correlation-id"
"""What a call was caused by: sent by a client that knows it, told by the server in each call's trailers."""


class StreamReset(Event):  # type: ignore[misc]  # purerpc has no types
    """The peer ended this call at once."""

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class _PlainEncoder(Encoder):  # type: ignore[misc]  # hpack has no types
    """Huffman coding in Python costs more than the bytes it saves: with a token among the headers it is most of a call's encoding."""

    def encode(self, headers: object, huffman: bool = False) -> bytes:
        return bytes(super().encode(headers, huffman=huffman))


class Connection(GRPCConnection):  # type: ignore[misc]  # purerpc has no types
    """One HTTP/2 connection, without I/O."""

    def __init__(self, config: object) -> None:
        super().__init__(config=config)
        self.h2_connection.encoder = _PlainEncoder()
        self._owed: defaultdict[int, int] = defaultdict(int)
        """Window bytes received and not given back, by stream."""

    def acknowledge_received_data(self, stream_id: int, flow_controlled_length: int) -> None:
        self._owed[stream_id] -= flow_controlled_length
        super().acknowledge_received_data(stream_id, flow_controlled_length)

    def forget(self, stream_id: int) -> None:
        """The call is over: keep nothing of it, and give back what of its window is still taken."""
        self.message_read_buffers.pop(stream_id, None)
        owed = self._owed.pop(stream_id, 0)
        if owed > 0:
            with suppress(h2.exceptions.H2Error):  # the connection may be closing
                super().acknowledge_received_data(stream_id, owed)

    def _data_received(self, event: h2.events.DataReceived) -> list[Event]:
        self._owed[event.stream_id] += event.flow_controlled_length
        if event.stream_id in self.message_read_buffers:
            return list(super()._data_received(event))
        self.forget(event.stream_id)  # the rest of a call that was answered early
        return []

    def _response_received(self, event: h2.events.ResponseReceived) -> list[Event]:
        return _with_details(super()._response_received(event), event.headers)

    def _trailers_received(self, event: h2.events.TrailersReceived) -> list[Event]:
        return _with_details(super()._trailers_received(event), event.headers)

    def _stream_reset(self, event: h2.events.StreamReset) -> list[Event]:
        self.message_read_buffers.pop(event.stream_id, None)
        return [StreamReset(event.stream_id)]


def _with_details(events: list[Event], headers: list[tuple[str, str]]) -> list[Event]:
    """The events with an error's details among the trailers; purerpc drops every name that begins with `grpc-`."""
    found = tuple((DETAILS_TRAILER, b64decode(value)) for name, value in headers if name == DETAILS_TRAILER)
    for event in events:
        if isinstance(event, ResponseEnded):
            event.custom_metadata = (*event.custom_metadata, *found)
    return events


def close_events(stream: GRPCStream) -> None:
    """Nobody waits on this call any more: close both ends of its queue, which purerpc leaves open."""
    for end in stream._incoming_events:
        end.close()
