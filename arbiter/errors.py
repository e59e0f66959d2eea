"""Every error that Arbiter raises on purpose, classed by how the caller must react.

Errors hold fields; the text a person reads is made from them. Foreign errors (sockets, JSON, SQLite, gRPC)
are translated into these once, at the edge where they appear.
"""

import math


class ArbiterError(Exception):
    """Root of the tree. `reason` is a stable upper-case code for programs, `str()` one line for people."""

    reason = "ERROR"


class ConfigError(ArbiterError):
    """Stop: the settings or the machine are unfit. `cause` says what is wrong, `cure` what to do."""

    reason = "CONFIG"

    def __init__(self, cause: str, cure: str = "") -> None:
        super().__init__(f"{cause}; {cure}" if cure else cause)
        self.cause = cause
        self.cure = cure


class VenueUnavailable(ArbiterError):
    """Retry later: the venue did not answer, or answered that it cannot now.

    `retry_after_ms` is its own wish, `code` its own name for the reason, if it has one.
    """

    reason = "VENUE_UNAVAILABLE"

    def __init__(self, venue: str, problem: str, retry_after_ms: int | None = None, code: str = "") -> None:
        super().__init__(f"{venue} is unavailable: {problem}")
        self.venue = venue
        self.problem = problem
        self.retry_after_ms = retry_after_ms
        self.code = code


class VenueRejected(ArbiterError):
    """Never retry: the venue understood the request and refused it. `status` is HTTP's, 0 where it did not come so."""

    reason = "VENUE_REJECTED"

    def __init__(self, venue: str, problem: str, code: str = "", status: int = 0) -> None:
        super().__init__(f"{venue} refused: {problem}" + (f" ({code})" if code else ""))
        self.venue = venue
        self.problem = problem
        self.code = code
        self.status = status


class OrderUncertain(ArbiterError):
    """Reconcile first: the order may or may not have reached the venue."""

    reason = "ORDER_UNCERTAIN"

    def __init__(self, order_id: str) -> None:
        super().__init__(f"the outcome of order {order_id} is not known yet; it will be reconciled with the venue")
        self.order_id = order_id


class ActorStopped(ArbiterError):
    """The actor died or stopped before it answered: the outcome is unknown."""

    reason = "ACTOR_STOPPED"

    def __init__(self, actor: str) -> None:
        super().__init__(f"{actor} stopped before it answered; whether the request took effect is unknown")
        self.actor = actor


class NotRunning(ActorStopped):
    """The actor is not there just now, so nothing was sent to it: try again. Who need not know that reacts as to ActorStopped."""

    reason = "NOT_RUNNING"

    def __init__(self, actor: str, problem: str = "is not running just now") -> None:
        ArbiterError.__init__(self, f"{actor} {problem}; nothing was sent to it: try again in a moment")
        self.actor = actor


class AskTimeout(ArbiterError):
    """The answer did not come before the deadline: the outcome is unknown."""

    reason = "ASK_TIMEOUT"

    def __init__(self, actor: str, seconds: float) -> None:
        super().__init__(f"{actor} did not answer within {seconds:g} s; whether the request took effect is unknown")
        self.actor = actor
        self.seconds = seconds


class StoreError(ArbiterError):
    """The store could not read or write; nothing of the failed write is kept."""

    reason = "STORE"


class RefusedByRisk(ArbiterError):
    """The risk gate refused an order. `code` names the rule, `detail` gives the numbers."""

    reason = "REFUSED_BY_RISK"

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"refused: {detail}")
        self.code = code
        self.detail = detail


class NotAllowed(ArbiterError):
    """The caller may not do this (role, tier, ownership, no code of an authenticator, which `reason` tells apart)."""

    reason = "NOT_ALLOWED"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        if reason:
            self.reason = reason


class Unauthenticated(ArbiterError):
    """The caller did not prove who they are. The text never says which part failed."""

    reason = "UNAUTHENTICATED"


class LimitExceeded(ArbiterError):
    """Over a rate or count limit; `retry_after_ms` says when to come back."""

    reason = "LIMIT_EXCEEDED"

    def __init__(self, what: str, retry_after_ms: int) -> None:
        tenths = math.ceil(max(retry_after_ms, 1) / 100)  # rounded up: who comes back then is not early
        super().__init__(f"{what}; try again in {tenths / 10:.1f} s")
        self.what = what
        self.retry_after_ms = retry_after_ms


class Overloaded(ArbiterError):
    """The program has more to do than it can: nothing was begun, try again in a moment."""

    reason = "OVERLOADED"

    def __init__(self, what: str = "Arbiter has more to do than it can") -> None:
        super().__init__(f"{what}; nothing was begun: try again in a moment")


class InvalidInput(ArbiterError):
    """A field of a request is wrong; never retry unchanged."""

    reason = "INVALID_INPUT"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFound(ArbiterError):
    """What the request names does not exist, or is not the caller's."""

    reason = "NOT_FOUND"


class Conflict(ArbiterError):
    """The request contradicts what is already recorded (an idempotency key reused with another body)."""

    reason = "CONFLICT"
