"""The server's side of one connection, without I/O: a message that cannot be read ends its call, and no other with it."""

from collections.abc import Iterable
from urllib.parse import quote

import h2.events
from purerpc.grpclib.buffers import MessageReadBuffer
from purerpc.grpclib.events import Event, RequestEnded
from purerpc.grpclib.exceptions import MessageTooLargeError, UnsupportedMessageEncodingError
from purerpc.grpclib.headers import b64encode, sanitize_headers
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.details import DETAILS_TRAILER
from arbiter.rpc.wire import Connection

STREAMS_PER_CONNECTION = 1_000
"""Told to the peer: so many calls it may have under way."""


class ProtocolBroken(Exception):
    """What a peer sent cannot be understood, and nothing that follows can be."""


class Unreadable(RequestEnded):  # type: ignore[misc]  # purerpc has no types
    """A message of this call cannot be read, so for its handler the request ends here, and so."""

    def __init__(self, stream_id: int, status: Status) -> None:
        super().__init__(stream_id)
        self.status = status


class _Compressed(Status):  # type: ignore[misc]  # purerpc has no types
    """The status of a request that is compressed; the answer says how it may be sent."""


class _PlainBuffer(MessageReadBuffer):  # type: ignore[misc]  # purerpc has no types
    """Decompresses nothing: purerpc would, without a limit to what comes out."""

    def decompress(self, data: bytes) -> bytes:
        raise UnsupportedMessageEncodingError(self._message_encoding or "an encoding that it does not name")


class ServerConnection(Connection):
    """One HTTP/2 connection of a client. `receive_data` raises ProtocolBroken and nothing else."""

    MAX_CONCURRENT_STREAMS = STREAMS_PER_CONNECTION

    def receive_data(self, data: bytes) -> list[Event]:
        try:
            return list(super().receive_data(data))
        except Exception as error:  # noqa: BLE001 odd bytes, headers or metadata make h2 and purerpc raise anything
            raise ProtocolBroken(repr(error)) from None

    def _request_received(self, event: h2.events.RequestReceived) -> list[Event]:
        (request,) = super()._request_received(event)
        self.message_read_buffers[request.stream_id] = _PlainBuffer(request.message_encoding, self.config.max_message_length)
        return [request]

    def _data_received(self, event: h2.events.DataReceived) -> list[Event]:
        try:
            return super()._data_received(event)
        except UnsupportedMessageEncodingError as error:
            status: Status = _Compressed(StatusCode.UNIMPLEMENTED, f"the request is compressed with {error}; send it as it is (identity)")
        except MessageTooLargeError:
            most = self.config.max_message_length
            status = Status(StatusCode.RESOURCE_EXHAUSTED, f"a message of the request is longer than {most:,} bytes")
        self.forget(event.stream_id)
        return [Unreadable(event.stream_id, status)]

    def respond_status(
        self, stream_id: int, status: Status, content_type_suffix: str = "", custom_metadata: Iterable[tuple[str, str | bytes]] = ()
    ) -> None:
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        if isinstance(status, _Compressed):
            self.h2_connection.send_headers(stream_id, [*headers, ("grpc-accept-encoding", "identity")])
            headers = []
        self.h2_connection.send_headers(stream_id, [*headers, *_ending(status, custom_metadata)], end_stream=True)

    def end_response(self, stream_id: int, status: Status, custom_metadata: Iterable[tuple[str, str | bytes]] = ()) -> None:
        self.h2_connection.send_headers(stream_id, _ending(status, custom_metadata), end_stream=True)


def _ending(status: Status, metadata: Iterable[tuple[str, str | bytes]]) -> list[tuple[str, str]]:
    """A call's trailers, with the details of an error, which purerpc would refuse for their name."""
    headers = [("grpc-status", str(status.int_value))]
    if status.status_message:
        headers.append(("grpc-message", quote(status.status_message, safe="")))
    headers += [(name, b64encode(value)) for name, value in metadata if name == DETAILS_TRAILER]
    return headers + list(sanitize_headers((name, value) for name, value in metadata if name != DETAILS_TRAILER))
