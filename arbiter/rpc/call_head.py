"""What a call's header block asks for, read once for all calls that send the same block. Pure.

Source: the gRPC protocol over HTTP/2, "Requests". A block can be wrong in two ways: as HTTP (`malformed`, a reset; `refused`,
a plain HTTP status) or as gRPC (`failure`, a gRPC status); each concerns its call alone.
"""

import base64
import binascii
import math
import re
from collections.abc import Mapping
from typing import Any

from purerpc import Cardinality, Service
from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc.header_blocks import Headers
from arbiter.rpc.messages import ENCODINGS, IDENTITY
from arbiter.rpc.proxies import FORWARDED, FORWARDED_FOR, forwarded_for
from arbiter.rpc.status import METADATA_TOO_LONG, own_status

Metadata = tuple[tuple[str, str | bytes], ...]

LONGEST_METADATA = 16 * 1024
"""Of one call, names and values."""
LONGEST_TIMEOUT = 10.0 * 365 * 86_400
"""A client's deadline further away than this is none."""
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_NOT_METADATA = frozenset({b"te", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"grpc-message-type"})
_OF_A_CONNECTION = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
"""A header's name (RFC 9110, 5.6.2), in HTTP/2 in lower case."""
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})


class Method:
    """One method of a service, and its shape."""

    __slots__ = ("call", "many_replies", "many_requests", "request_type")

    def __init__(self, call: Any, cardinality: Cardinality, request_type: Any) -> None:
        self.call = call
        self.request_type = request_type
        self.many_requests = cardinality in (Cardinality.STREAM_UNARY, Cardinality.STREAM_STREAM)
        self.many_replies = cardinality in (Cardinality.UNARY_STREAM, Cardinality.STREAM_STREAM)


Methods = Mapping[tuple[str, str], Method]


def methods_of(services: Mapping[str, Service]) -> Methods:
    """All methods by service and name, from purerpc's services."""
    return {
        (service.name, name): Method(bound.method_fn, bound.signature.cardinality, bound.signature.request_type)
        for service in services.values()
        for name, bound in service.methods.items()
    }


class CallHead:
    """A header block of a request."""

    __slots__ = (
        *("authority", "barred", "barred_until", "encoding", "failure", "forwarded", "malformed", "metadata", "method", "name", "refused"),
        *("service", "timeout"),
    )

    def __init__(self) -> None:
        self.service = ""
        self.name = ""
        self.method: Method | None = None
        self.authority = ""
        self.metadata: Metadata = ()
        self.timeout = math.inf
        """In seconds."""
        self.encoding = IDENTITY
        self.forwarded: str | None = None
        """For which address a proxy says that it made the call; None where it came through none."""
        self.malformed = ""
        """Why it is no HTTP request; empty where it is one."""
        self.refused = 0
        """The HTTP status for what is no gRPC call; 0 where it is one."""
        self.failure: Status | None = None
        """What the call ends with, where it cannot be made as it is asked for."""
        self.barred_until = -math.inf
        """Until then, on trio's clock, each call with this block is one too many, and is answered with `barred`: see over_limit.py."""
        self.barred = b""

    @property
    def path(self) -> str:
        return f"{self.service}/{self.name}"


def read_head(headers: Headers, methods: Methods) -> CallHead:
    """What the block asks for. Raises nothing: what is wrong stands in the result."""
    head = CallHead()
    pseudo: dict[bytes, bytes] = {}
    fields: Headers = []
    for name, value in headers:
        if name.startswith(b":"):
            if fields or name in pseudo or name not in _PSEUDO:
                head.malformed = "its pseudo headers"
                return head
            pseudo[name] = value
        elif not _NAME.fullmatch(name) or name in _OF_A_CONNECTION:
            head.malformed = "a header name that is not allowed"
            return head
        else:
            fields.append((name, value))
    if not fields and not pseudo:
        return head  # the end of a request
    if not pseudo.get(b":path") or b":method" not in pseudo or b":scheme" not in pseudo:
        head.malformed = "its pseudo headers"
        return head
    if pseudo[b":method"] != b"POST":
        head.refused = 405
        return head
    _read_fields(head, fields)
    head.authority = pseudo.get(b":authority", b"").decode("ascii", "backslashreplace")
    _read_path(head, pseudo[b":path"], methods)
    return head


def _read_fields(head: CallHead, fields: Headers) -> None:
    metadata: list[tuple[str, str | bytes]] = []
    size = 0
    is_grpc = False
    for name, value in fields:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip()
            is_grpc = kind == b"application/grpc" or kind.startswith(b"application/grpc+")
        elif name == b"grpc-timeout":
            seconds = _seconds(value)
            if seconds is None or head.timeout != math.inf:
                _fail(head, StatusCode.INVALID_ARGUMENT, "grpc-timeout must stand there once: 1 to 8 digits and one of H, M, S, m, u, n")
            else:
                head.timeout = seconds
        elif name == b"grpc-encoding":
            head.encoding = value
            if value not in ENCODINGS:
                _fail(head, StatusCode.UNIMPLEMENTED, f"compression {_shown(value)} is not offered; send identity or gzip")
        elif name in FORWARDED:
            head.forwarded = forwarded_for(value) if name == FORWARDED_FOR else head.forwarded or ""
        if name in _NOT_METADATA:
            continue
        size += len(name) + len(value)
        try:
            metadata.extend(_field(name, value))
        except ValueError:
            _fail(head, StatusCode.INVALID_ARGUMENT, f"metadata {_shown(name)} has a value that is not allowed")
    if size > LONGEST_METADATA:
        head.failure = own_status(StatusCode.RESOURCE_EXHAUSTED, f"more than {LONGEST_METADATA:,} bytes of metadata", METADATA_TOO_LONG)
        metadata = []
    if not is_grpc:
        head.refused = 415
    head.metadata = tuple(metadata)


def _read_path(head: CallHead, path: bytes, methods: Methods) -> None:
    empty, _, rest = path.decode("ascii", "backslashreplace").partition("/")
    service, slash, name = rest.partition("/")
    if empty or not service or not slash or not name or "/" in name or len(path) > 500:
        _fail(head, StatusCode.UNIMPLEMENTED, "the path is not /service/method")
        return
    head.service, head.name = service, name
    head.method = methods.get((service, name))


def _fail(head: CallHead, code: StatusCode, text: str) -> None:
    if head.failure is None:
        head.failure = own_status(code, text, "NOT_OFFERED" if code is StatusCode.UNIMPLEMENTED else "BAD_HEADERS")


def _seconds(value: bytes) -> float | None:
    """A grpc-timeout in seconds; None where it is none."""
    digits, unit = value[:-1], value[-1:].decode("ascii", "replace")
    if not digits.isdigit() or len(digits) > 8 or unit not in _UNITS:
        return None
    seconds = int(digits) * _UNITS[unit]
    return seconds if seconds < LONGEST_TIMEOUT else math.inf


def _field(name: bytes, value: bytes) -> list[tuple[str, str | bytes]]:
    """A field of metadata; a binary one may hold several values. Raises ValueError where a value is not allowed."""
    text = name.decode("ascii")
    if not name.endswith(b"-bin"):
        if not all(0x20 <= byte <= 0x7E for byte in value):
            raise ValueError("not printable ASCII")
        return [(text, value.decode("ascii"))]
    try:
        return [(text, base64.b64decode(each + b"=" * (-len(each) % 4), validate=True)) for each in value.split(b",")]
    except binascii.Error as error:
        raise ValueError("no base64") from error


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("ascii", "backslashreplace"))
