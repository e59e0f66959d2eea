"""A block of an answer, as a client reads it. Pure.

Source: the gRPC protocol over HTTP/2, "Responses", and its list of what HTTP statuses and resets stand for.
"""

import base64
import binascii
from urllib.parse import unquote

from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.call_head import Metadata
from arbiter.rpc.frames import Code
from arbiter.rpc.header_blocks import Headers
from arbiter.rpc.messages import IDENTITY

_HTTP = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}
_RESETS = {
    Code.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    Code.CANCEL: StatusCode.CANCELLED,
    Code.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    Code.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}
_NOT_METADATA = frozenset({b"content-type", b"grpc-status", b"grpc-message", b"grpc-encoding", b"grpc-accept-encoding", b"date", b"server"})


class AnswerHead:
    """The head of an answer, or its trailers."""

    __slots__ = ("encoding", "interim", "metadata", "status")

    def __init__(self, status: Status | None, metadata: Metadata, encoding: bytes, *, interim: bool = False) -> None:
        self.status = status
        """None: this block names none."""
        self.metadata = metadata
        self.encoding = encoding
        self.interim = interim
        """A word on the way (HTTP's 1xx, which a proxy may add); the answer is still to come."""


def read_answer(headers: Headers) -> AnswerHead:
    """What a block says. Raises nothing."""
    known: dict[bytes, bytes] = {}
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name.startswith(b":") or name in _NOT_METADATA:
            known[name] = value
            continue
        text = name.decode("ascii", "backslashreplace")
        if not name.endswith(b"-bin"):
            metadata.append((text, value.decode("ascii", "backslashreplace")))
            continue
        try:
            metadata.extend((text, base64.b64decode(each + b"=" * (-len(each) % 4), validate=True)) for each in value.split(b","))
        except binascii.Error:
            continue  # nobody can read it
    interim = known.get(b":status", b"").startswith(b"1")
    return AnswerHead(None if interim else _status(known), tuple(metadata), known.get(b"grpc-encoding", IDENTITY), interim=interim)


def _status(known: dict[bytes, bytes]) -> Status | None:
    code = known.get(b"grpc-status")
    if code is not None:
        message = unquote(known.get(b"grpc-message", b"").decode("ascii", "replace"), errors="replace")
        number = int(code) if code.isdigit() and len(code) < 9 else StatusCode.UNKNOWN.value
        return Status(StatusCode(number) if number <= StatusCode.UNAUTHENTICATED.value else StatusCode.UNKNOWN, message)
    http = known.get(b":status", b"200")
    if http == b"200":
        return None
    number = int(http) if http.isdigit() and len(http) < 9 else 0
    return Status(_HTTP.get(number, StatusCode.UNKNOWN), f"the server answered with HTTP status {number}")


def status_of_reset(code: int) -> Status:
    """What a reset of the call stands for."""
    known = _RESETS.get(Code(code), StatusCode.INTERNAL) if code in Code._value2member_map_ else StatusCode.INTERNAL
    return Status(known, "the server ended the call")
