"""What a client of Arbiter can meet, classed by how to react. `reason` is the server's stable code."""

from collections.abc import Mapping

from purerpc.grpclib.status import Status, StatusCode


class ArbiterClientError(Exception):
    """Root of the client's errors: `reason` for programs, `str()` for people."""

    def __init__(self, message: str, reason: str = "ERROR") -> None:
        super().__init__(message)
        self.reason = reason


class NotConnected(ArbiterClientError):
    """There is no connection, or it was lost; whether a call under way took effect is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "NOT_CONNECTED")


class AuthenticationError(ArbiterClientError):
    """The token or key is missing, wrong or expired: authenticate again."""


class NotPermittedError(ArbiterClientError):
    """The account may not do this; another tier or role may."""


class RateLimitError(ArbiterClientError):
    """Too much at once: come back after `retry_after_ms`."""

    def __init__(self, message: str, reason: str, retry_after_ms: int) -> None:
        super().__init__(message, reason)
        self.retry_after_ms = retry_after_ms


class InvalidRequestError(ArbiterClientError):
    """The request is wrong as it is; the message names the field."""


class NotFoundError(ArbiterClientError):
    """What the request names does not exist."""


class RefusedError(ArbiterClientError):
    """Understood and refused, by the risk gate or because it contradicts what is recorded; `reason` names the rule."""


class UnavailableError(ArbiterClientError):
    """The server cannot answer now: try again."""


class UncertainError(ArbiterClientError):
    """The outcome is unknown: ask again with the same idempotency key, never with a new one."""


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


def error_of(status: Status, trailers: Mapping[str, str | bytes]) -> ArbiterClientError:
    """The error that a failed status stands for."""
    reason = str(trailers.get("arbiter-reason", status.status_code.name))
    message = status.status_message or reason
    if status.status_code is StatusCode.RESOURCE_EXHAUSTED:
        after = str(trailers.get("retry-after-ms", ""))
        return RateLimitError(message, reason, int(after) if after.isdigit() else 1000)
    return _KINDS.get(status.status_code, ArbiterClientError)(message, reason)
