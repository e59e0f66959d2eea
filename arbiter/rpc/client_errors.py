"""What a client of Arbiter can meet, classed by how to react. `reason` is the server's stable code."""

from collections.abc import Mapping

from purerpc.grpclib.status import Status, StatusCode

from arbiter.rpc import details
from arbiter.rpc.answer_blocks import CORRELATION_METADATA
from arbiter.rpc.status import ANSWERS_UNREAD, MESSAGE_TOO_LONG, METADATA_TOO_LONG, REASON_TRAILER, RETRY_TRAILER


class ArbiterClientError(Exception):
    """Root of the client's errors: `reason` for programs, `str()` for people.

    `begun` is False where the server certainly did not begin with the call, so that nothing was done. `correlation_id` finds the
    server's log lines of the call; empty where the server did not answer. `metadata` is what else the server told of the reason:
    `order_id`, `venue`, `code` (the venue's own), `part` or `class`.
    """

    def __init__(self, message: str, reason: str = "ERROR") -> None:
        super().__init__(message)
        self.reason = reason
        self.begun = True
        self.correlation_id = ""
        self.metadata: Mapping[str, str] = {}


class NotConnected(ArbiterClientError):
    """There is no connection, or it was lost: with `begun`, whether the call took effect is unknown; else make it again later."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "NOT_CONNECTED")


class AuthenticationError(ArbiterClientError):
    """The token or key is missing, wrong or expired, or the sign-in was ended: authenticate again. Nothing was done."""


class NotPermittedError(ArbiterClientError):
    """The account may not do this; another tier or role may, or it needs a code (`reason` TOTP_NEEDED): see `with_code`."""


class RateLimitError(ArbiterClientError):
    """Too much at once: come back after `retry_after_ms`."""

    def __init__(self, message: str, reason: str, retry_after_ms: int) -> None:
        super().__init__(message, reason)
        self.retry_after_ms = retry_after_ms


class InvalidRequestError(ArbiterClientError):
    """The request is wrong as it is. `field` is what must change (a dotted path), empty where the server named none."""

    field = ""


class NotFoundError(ArbiterClientError):
    """What the request names does not exist."""


class RefusedError(ArbiterClientError):
    """Understood and refused, by the risk gate or because it contradicts what is recorded; `reason` names the rule.

    `field` is what of the order breaks it, where that is one field of it: `price_micros` off the market's grid.
    """

    field = ""


class UnavailableError(ArbiterClientError):
    """The server cannot answer now: try again, after `retry_after_ms` where it is not None.

    None: part of the work may have been done, so repeat with care, an order with the same idempotency key only.
    """

    retry_after_ms: int | None = None


class UncertainError(ArbiterClientError):
    """The outcome is unknown: ask again with the same idempotency key, never with a new one; or look at what there is now."""


class NewerServerError(ArbiterClientError):
    """The call was made, and its answer holds a value that this client does not know, since the server is newer: update the client."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(
            f"the server told a {what} ({number}) that this client does not know: it is newer; update the client", "NEWER_SERVER"
        )


def not_connected(message: str) -> NotConnected:
    """Where the call was not even sent."""
    error = NotConnected(message)
    error.begun = False
    return error


_KINDS: dict[StatusCode, type[ArbiterClientError]] = {
    StatusCode.UNAUTHENTICATED: AuthenticationError,
    StatusCode.PERMISSION_DENIED: NotPermittedError,
    StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    StatusCode.NOT_FOUND: NotFoundError,
    StatusCode.FAILED_PRECONDITION: RefusedError,
    StatusCode.ALREADY_EXISTS: RefusedError,
    StatusCode.UNAVAILABLE: UnavailableError,
    StatusCode.UNKNOWN: UncertainError,
    StatusCode.DEADLINE_EXCEEDED: UncertainError,
}

_EXHAUSTED: dict[str, type[ArbiterClientError]] = {
    MESSAGE_TOO_LONG: InvalidRequestError,
    METADATA_TOO_LONG: InvalidRequestError,
    ANSWERS_UNREAD: UncertainError,
}
"""What RESOURCE_EXHAUSTED stands for where waiting does not help."""


def error_of(status: Status, trailers: Mapping[str, str | bytes]) -> ArbiterClientError:
    """The error that a failed status stands for. Trailers as received; the value of a `-bin` one is bytes."""
    told = details.read(trailers)
    reason = told.reason or str(trailers.get(REASON_TRAILER, status.status_code.name))
    message = status.status_message or reason
    error: ArbiterClientError
    if status.status_code is StatusCode.RESOURCE_EXHAUSTED:
        wait = _wait(told, trailers)
        kind = _EXHAUSTED.get(reason)
        error = kind(message, reason) if kind else RateLimitError(message, reason, 1000 if wait is None else wait)
    else:
        error = _KINDS.get(status.status_code, ArbiterClientError)(message, reason)
    if isinstance(error, UnavailableError):
        error.retry_after_ms = _wait(told, trailers)
        error.begun = error.retry_after_ms is None
    elif isinstance(error, InvalidRequestError | RefusedError) and told.violations:
        error.field = told.violations[0][0]
    error.correlation_id = str(trailers.get(CORRELATION_METADATA, ""))
    error.metadata = told.metadata
    return error


def _wait(told: details.Details, trailers: Mapping[str, str | bytes]) -> int | None:
    """The server's wish in ms, from the details or else from the plain trailer."""
    if told.retry_after_ms is not None:
        return told.retry_after_ms
    after = str(trailers.get(RETRY_TRAILER, ""))
    return int(after) if after.isdecimal() and len(after) < 12 else None
