"""google.rpc details of an error: what `grpc-status-details-bin` holds, written for any client, read by ours.

Not here: which error has which status and details (status.py), which the client raises (client_errors.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status as RichStatus

DETAILS_TRAILER: Final = "grpc-status-details-bin"
"""A serialised google.rpc.Status. The official clients read it by this name."""
DOMAIN: Final = "arbiter.v1"
"""The reason codes are this API's own: a client that talks to several services tells them apart by it."""


@dataclass(frozen=True)
class Details:
    """What an error tells programs. `violations` are (field, problem); `retry_after_ms` is None where nothing is promised."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_ms: int | None = None
    violations: tuple[tuple[str, str], ...] = ()


def write(code: int, message: str, details: Details) -> bytes:
    """The trailer's value. `code` and `message` must be those of the status: official clients refuse it where they differ."""
    status = RichStatus(code=code, message=message)
    _add(status, ErrorInfo(reason=details.reason, domain=DOMAIN, metadata=details.metadata))
    if details.retry_after_ms is not None:
        seconds, ms = divmod(details.retry_after_ms, 1000)
        _add(status, RetryInfo(retry_delay=Duration(seconds=seconds, nanos=ms * 1_000_000)))
    if details.violations:
        violations = [BadRequest.FieldViolation(field=name, description=problem) for name, problem in details.violations]
        _add(status, BadRequest(field_violations=violations))
    value: bytes = status.SerializeToString()
    return value


def read(trailers: Mapping[str, str | bytes]) -> Details:
    """What the trailers' details say; empty where there are none, or none that can be read."""
    value = trailers.get(DETAILS_TRAILER)
    info, retry, bad = ErrorInfo(), RetryInfo(), BadRequest()
    if isinstance(value, bytes):
        try:
            for each in RichStatus.FromString(value).details:
                for kind in (info, retry, bad):
                    each.Unpack(kind)  # does nothing for another type
        except DecodeError:
            return Details()
    return Details(
        info.reason if info.domain == DOMAIN else "",
        dict(info.metadata) if info.domain == DOMAIN else {},
        _milliseconds(retry.retry_delay) if retry.HasField("retry_delay") else None,
        tuple((each.field, each.description) for each in bad.field_violations),
    )


def _add(status: RichStatus, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _milliseconds(delay: Duration) -> int:
    """Rounded up, never negative: who waits so long is not early."""
    return max(0, delay.seconds * 1000 - -delay.nanos // 1_000_000)
