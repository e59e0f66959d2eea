"""Our errors as statuses, and statuses as the client's errors."""

import inspect

import pytest
from purerpc.grpclib.status import Status, StatusCode

from arbiter import errors
from arbiter.rpc.client_errors import (
    ArbiterClientError,
    AuthenticationError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    RateLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
    error_of,
)
from arbiter.rpc.status import status_of

CASES = [
    (errors.Unauthenticated("who?"), StatusCode.UNAUTHENTICATED, AuthenticationError, "UNAUTHENTICATED"),
    (errors.NotAllowed("no"), StatusCode.PERMISSION_DENIED, NotPermittedError, "NOT_ALLOWED"),
    (errors.LimitExceeded("too much", 250), StatusCode.RESOURCE_EXHAUSTED, RateLimitError, "LIMIT_EXCEEDED"),
    (errors.InvalidInput("size", "is odd"), StatusCode.INVALID_ARGUMENT, InvalidRequestError, "INVALID_INPUT"),
    (errors.NotFound("no such"), StatusCode.NOT_FOUND, NotFoundError, "NOT_FOUND"),
    (errors.Conflict("other body"), StatusCode.ALREADY_EXISTS, RefusedError, "CONFLICT"),
    (errors.RefusedByRisk("STALE_BOOK", "the book is stale"), StatusCode.FAILED_PRECONDITION, RefusedError, "STALE_BOOK"),
    (errors.VenueRejected("kalshi", "closed"), StatusCode.FAILED_PRECONDITION, RefusedError, "VENUE_REJECTED"),
    (errors.VenueUnavailable("kalshi", "away"), StatusCode.UNAVAILABLE, UnavailableError, "VENUE_UNAVAILABLE"),
    (errors.OrderUncertain("o1"), StatusCode.UNKNOWN, UncertainError, "ORDER_UNCERTAIN"),
    (errors.ActorStopped("desk"), StatusCode.UNAVAILABLE, UnavailableError, "ACTOR_STOPPED"),
    (errors.NotRunning("sessions"), StatusCode.UNAVAILABLE, UnavailableError, "NOT_RUNNING"),
    (errors.AskTimeout("desk", 5), StatusCode.UNAVAILABLE, UnavailableError, "ASK_TIMEOUT"),
    (errors.StoreError("disk full"), StatusCode.UNAVAILABLE, UnavailableError, "STORE"),
]


@pytest.mark.parametrize(("error", "code", "kind", "reason"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_an_error_keeps_its_meaning_its_reason_and_its_text_on_the_way_to_the_client(error, code, kind, reason):
    status, trailers = status_of(error)
    assert status.status_code is code
    met = error_of(status, dict(trailers))
    assert type(met) is kind
    assert (met.reason, str(met)) == (reason, str(error))


def test_every_error_of_ours_is_told_but_those_that_are_not_for_clients():
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ArbiterError)}
    assert kinds - {type(case[0]) for case in CASES} == {errors.ArbiterError, errors.ConfigError}


@pytest.mark.parametrize("error", [errors.ConfigError("the file /home/me is odd"), errors.ArbiterError("raw")])
def test_an_error_that_is_not_for_clients_has_no_status(error):
    assert status_of(error) is None


def test_a_limit_carries_its_wait_and_never_less_than_a_millisecond():
    _, trailers = status_of(errors.LimitExceeded("too much", 0))
    assert dict(trailers)["retry-after-ms"] == "1"
    status, trailers = status_of(errors.LimitExceeded("too much", 250))
    assert error_of(status, dict(trailers)).retry_after_ms == 250


@pytest.mark.parametrize("after", ["", "soon", "-5"])
def test_a_limit_without_a_readable_wait_means_a_second(after):
    met = error_of(Status(StatusCode.RESOURCE_EXHAUSTED, ""), {"retry-after-ms": after} if after else {})
    assert met.retry_after_ms == 1000


@pytest.mark.parametrize("code", [StatusCode.INTERNAL, StatusCode.UNIMPLEMENTED, StatusCode.CANCELLED])
def test_any_other_status_is_the_root_error_named_by_its_code(code):
    met = error_of(Status(code, ""), {})
    assert type(met) is ArbiterClientError
    assert (met.reason, str(met)) == (code.name, code.name)
