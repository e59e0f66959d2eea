"""Our errors as gRPC statuses, and back. The reason code travels in the trailer `arbiter-reason`."""

from purerpc.grpclib.status import Status, StatusCode

from arbiter.errors import (
    ActorStopped,
    ArbiterError,
    AskTimeout,
    Conflict,
    InvalidInput,
    LimitExceeded,
    NotAllowed,
    NotFound,
    NotRunning,
    OrderUncertain,
    RefusedByRisk,
    StoreError,
    Unauthenticated,
    VenueRejected,
    VenueUnavailable,
)

REASON_TRAILER = "arbiter-reason"
RETRY_TRAILER = "retry-after-ms"

_CODES: dict[type[ArbiterError], StatusCode] = {
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    NotAllowed: StatusCode.PERMISSION_DENIED,
    LimitExceeded: StatusCode.RESOURCE_EXHAUSTED,
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    Conflict: StatusCode.ALREADY_EXISTS,
    RefusedByRisk: StatusCode.FAILED_PRECONDITION,
    VenueRejected: StatusCode.FAILED_PRECONDITION,
    VenueUnavailable: StatusCode.UNAVAILABLE,
    OrderUncertain: StatusCode.UNKNOWN,
    ActorStopped: StatusCode.UNAVAILABLE,
    NotRunning: StatusCode.UNAVAILABLE,
    AskTimeout: StatusCode.UNAVAILABLE,
    StoreError: StatusCode.UNAVAILABLE,
}


def status_of(error: ArbiterError) -> tuple[Status, tuple[tuple[str, str], ...]] | None:
    """The status and the trailers that a client gets for one of our errors; None for one that is not meant for clients."""
    code = _CODES.get(type(error))
    if code is None:
        return None
    reason = error.code if isinstance(error, RefusedByRisk) else error.reason
    trailers = [(REASON_TRAILER, reason)]
    if isinstance(error, LimitExceeded):
        trailers.append((RETRY_TRAILER, str(max(1, error.retry_after_ms))))
    return Status(code, str(error)), tuple(trailers)
