"""Our errors as gRPC statuses: the code says how to react, the trailers and their details what it was.

The reason code travels twice: in the trailer `arbiter-reason`, for clients that read text alone, and in the ErrorInfo of
`grpc-status-details-bin`. So does the time to wait: in `retry-after-ms` and in RetryInfo.
"""

from functools import lru_cache

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
    Overloaded,
    RefusedByRisk,
    StoreError,
    Unauthenticated,
    VenueRejected,
    VenueUnavailable,
)
from arbiter.rpc.details import DETAILS_TRAILER, Details, write

REASON_TRAILER = "arbiter-reason"
RETRY_TRAILER = "retry-after-ms"
LONGEST_MESSAGE_BYTES = 1_000
"""It is sent twice, once with up to three bytes for each: with that the trailers stay under the 8 KiB that clients take."""
RESTART_MS = 500
"""A part that is not running is back by then, as a rule."""
OUTAGE_MS = 1_000
"""A venue that names no time itself, a store that takes nothing."""

MESSAGE_TOO_LONG = "MESSAGE_TOO_LONG"
METADATA_TOO_LONG = "METADATA_TOO_LONG"
ANSWERS_UNREAD = "ANSWERS_UNREAD"
"""What was asked for was done, and its answer dropped."""

Trailers = tuple[tuple[str, str | bytes], ...]

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
    Overloaded: StatusCode.UNAVAILABLE,
    AskTimeout: StatusCode.UNAVAILABLE,
    StoreError: StatusCode.UNAVAILABLE,
}

_FIELDS = {
    "PRICE_OFF_GRID": "price_micros",
    **dict.fromkeys(("SIZE_OFF_GRID", "BELOW_MIN_SIZE", "BELOW_MIN_NOTIONAL", "NOTIONAL_OFF_GRID"), "size_micros"),
}
"""What the risk gate refuses because of one field of the order: another value of it can pass."""


class Told(Status):  # type: ignore[misc]  # purerpc has no types
    """A status of the engine itself, which no error of ours stands for, with its trailers: whoever sends it sends them."""

    def __init__(self, code: StatusCode, text: str, details: Details) -> None:
        super().__init__(code, text)
        self.trailers = _trailers(code, text, details)


@lru_cache(maxsize=512)
def own_status(code: StatusCode, text: str, reason: str, retry_after_ms: int | None = None) -> Told:
    """A status with its reason; with a time to wait only where nothing was begun and waiting helps."""
    return Told(code, _short(text), Details(reason, retry_after_ms=retry_after_ms))


def status_of(error: ArbiterError) -> tuple[Status, Trailers] | None:
    """The status and the trailers that a client gets for one of our errors; None for one that is not meant for clients.

    The value of a trailer whose name ends in `-bin` is bytes; whoever sends it encodes them.
    """
    if type(error) is LimitExceeded:
        return _limit(error.what, error.retry_after_ms)
    return _status_of(error)


@lru_cache(maxsize=512)
def _limit(what: str, retry_after_ms: int) -> tuple[Status, Trailers] | None:
    """Remembered: who is refused asks often, and a refusal should cost less than what it refuses."""
    return _status_of(LimitExceeded(what, retry_after_ms))


def _status_of(error: ArbiterError) -> tuple[Status, Trailers] | None:
    code = _CODES.get(type(error))
    if code is None:
        return None
    text = _short(str(error))
    details = _details(error)
    return Status(code, text), _trailers(code, text, details)


def _trailers(code: StatusCode, text: str, details: Details) -> Trailers:
    trailers: list[tuple[str, str | bytes]] = [(REASON_TRAILER, details.reason)]
    if details.retry_after_ms is not None:
        trailers.append((RETRY_TRAILER, str(details.retry_after_ms)))
    trailers.append((DETAILS_TRAILER, write(code.value, text, details)))
    return tuple(trailers)


def _details(error: ArbiterError) -> Details:
    match error:
        case LimitExceeded():
            return Details(error.reason, retry_after_ms=max(1, error.retry_after_ms))
        case InvalidInput():
            return Details(error.reason, violations=((_short(error.field), _short(error.problem)),))
        case RefusedByRisk():
            field = _FIELDS.get(error.code)
            return Details(error.code, {"class": error.reason}, violations=((field, _short(error.detail)),) if field else ())
        case VenueUnavailable():
            wait = OUTAGE_MS if error.retry_after_ms is None else max(1, error.retry_after_ms)
            return Details(error.reason, {"venue": error.venue}, wait)
        case VenueRejected():
            return Details(error.reason, {"venue": error.venue} | ({"code": _short(error.code)} if error.code else {}))
        case OrderUncertain():
            return Details(error.reason, {"order_id": error.order_id})
        case NotRunning():
            return Details(error.reason, {"part": error.actor}, RESTART_MS)
        case ActorStopped() | AskTimeout():
            # no RetryInfo: it may have been done, and what repeats by itself on RetryInfo must not do it twice
            return Details(error.reason, {"part": error.actor})
        case StoreError() | Overloaded():
            return Details(error.reason, retry_after_ms=OUTAGE_MS)
        case _:
            return Details(error.reason)


def _short(text: str) -> str:
    """Text that a header and protobuf can carry, and a person reads in one line: valid UTF-8, and not too long."""
    return shown(text[:LONGEST_MESSAGE_BYTES]).encode(errors="replace")[:LONGEST_MESSAGE_BYTES].decode(errors="ignore")


def shown(text: str) -> str:
    """The text in one line, without what cannot be seen or moves its neighbours about: it may be a stranger's."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)
