"""The header blocks of answers, as bytes. Pure.

Source: the gRPC protocol over HTTP/2, "Responses": a head, messages, trailers; or trailers alone where there is no message.
"""

import base64
from functools import lru_cache
from urllib.parse import quote

from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.call_head import Metadata
from arbiter.rpc.header_blocks import STATUS_200, literal
from arbiter.rpc.status import Told

CORRELATION_METADATA = "x-correlation-id"
"""What a call was caused by: sent by a client that knows it, told by the server in each call's trailers."""

HEAD = STATUS_200 + literal(b"content-type", b"application/grpc") + literal(b"grpc-accept-encoding", b"identity,gzip")
"""What comes before the first message."""
LONGEST_TEXT = 2000
_OK = literal(b"grpc-status", b"0")
_SAFE = "".join(chr(byte) for byte in range(0x20, 0x7F) if chr(byte) != "%")
_CORRELATION = b"\x00" + bytes((len(CORRELATION_METADATA),)) + CORRELATION_METADATA.encode()


def fields(metadata: Metadata) -> bytes:
    """Metadata as literals."""
    return b"".join(
        literal(name.encode("ascii"), base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode("ascii"))
        for name, value in metadata
    )


def trailers(status: Status | None, correlation_id: str, metadata: Metadata = ()) -> bytes:
    """The end of a call; None is OK."""
    if isinstance(status, Told):
        metadata = (*status.trailers, *metadata)
    block = _OK + fields(metadata) if status is None else _failure(status.int_value, status.status_message, metadata)
    return correlated(block, correlation_id)


def refusal(status: Status, metadata: Metadata) -> bytes:
    """A whole answer without a message, but for the call's own id: see `correlated`."""
    return HEAD + _failure(status.int_value, status.status_message, metadata)


def correlated(block: bytes, correlation_id: str) -> bytes:
    """A block of trailers, finished."""
    return block + _CORRELATION + bytes((len(correlation_id),)) + correlation_id.encode("ascii")


@lru_cache(maxsize=256)
def _failure(code: int, text: str, metadata: Metadata) -> bytes:
    """Remembered: who is refused asks often."""
    block = literal(b"grpc-status", str(code).encode())
    if text:
        block += literal(b"grpc-message", quote(text[:LONGEST_TEXT], safe=_SAFE).encode("ascii"))
    return block + fields(metadata)


def http_refusal(http_status: int) -> bytes:
    """The answer to what is no gRPC call. The gRPC protocol has clients take 415 and 405 for UNKNOWN."""
    text = {405: "gRPC is called by POST", 415: "the content type is not application/grpc"}[http_status]
    return (
        literal(b":status", str(http_status).encode())
        + literal(b"content-type", b"text/plain")
        + literal(b"grpc-status", str(StatusCode.INTERNAL.value).encode())
        + literal(b"grpc-message", quote(text, safe=_SAFE).encode())
    )
