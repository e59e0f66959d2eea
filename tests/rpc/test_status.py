"""Our errors as statuses, and statuses as the client's errors."""

import inspect

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
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
from arbiter.rpc.details import Details, read, write
from arbiter.rpc.dial import connect
from arbiter.rpc.status import LONGEST_MESSAGE_BYTES, status_of
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

UNARY, STREAM = "test.Service/Unary", "test.Service/Stream"
HELLO = AuthRequest(api_key="hello")

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
    (errors.Overloaded(), StatusCode.UNAVAILABLE, UnavailableError, "OVERLOADED"),
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


# -- the details --


def met(error):
    """The client's error for one of the server's."""
    status, trailers = status_of(error)
    return error_of(status, dict(trailers))


def unpacked(rich):
    """The details of a google.rpc.Status by their type's name."""
    kinds = {
        kind.DESCRIPTOR.full_name: kind for kind in (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo, error_details_pb2.BadRequest)
    }
    found = {}
    for each in rich.details:
        found[each.TypeName().rpartition(".")[2]] = message = kinds[each.TypeName()]()
        assert each.Unpack(message)
    return found


@pytest.mark.parametrize(("error", "code", "kind", "reason"), CASES, ids=[type(case[0]).__name__ for case in CASES])
async def test_the_official_client_finds_reason_and_domain_of_every_error_in_its_details(served, official, error, code, kind, reason):
    async def fail(message, request):
        raise error

    served.unary = fail
    refusal = await official.refusal(UNARY, HELLO)
    rich = rpc_status.from_call(refusal)  # refuses details whose code or message are not the status's own
    assert (rich.code, rich.message) == (code.value, str(error))
    info = unpacked(rich)["ErrorInfo"]
    assert (info.reason, info.domain) == (reason, "arbiter.v1")
    assert dict(refusal.trailing_metadata())["arbiter-reason"] == reason


async def test_the_details_of_a_stream_that_failed_after_a_message_reach_the_official_client(served, official):
    async def fail(message, request):
        yield AuthResponse(user_id="first")
        raise errors.LimitExceeded("slow", 1_500)

    served.stream = fail
    call = official.stream(STREAM, HELLO)
    await official.first(call)
    with pytest.raises(grpc.RpcError) as caught:
        await official.first(call)
    assert unpacked(rpc_status.from_call(caught.value))["RetryInfo"].retry_delay.ToMilliseconds() == 1_500


@pytest.mark.parametrize(
    ("error", "ms"),
    [
        (errors.LimitExceeded("slow", 1), 1),
        (errors.LimitExceeded("slow", 61_001), 61_001),
        (errors.VenueUnavailable("kalshi", "away", 7_000), 7_000),
        (errors.VenueUnavailable("kalshi", "away"), 1_000),
        (errors.NotRunning("desk"), 500),
        (errors.Overloaded(), 1000),
        (errors.StoreError("disk full"), 1_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_be_repeated_says_when_in_the_details_and_in_the_plain_trailer(error, ms):
    trailers = dict(status_of(error)[1])
    assert trailers["retry-after-ms"] == str(ms)
    rich = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert unpacked(rich)["RetryInfo"].retry_delay.ToMilliseconds() == ms
    assert met(error).retry_after_ms == ms


@pytest.mark.parametrize("error", [errors.ActorStopped("desk"), errors.AskTimeout("desk", 5)], ids=["stopped", "timeout"])
def test_what_may_have_been_done_invites_no_repetition(error):
    trailers = dict(status_of(error)[1])
    assert "retry-after-ms" not in trailers
    assert "RetryInfo" not in unpacked(status_pb2.Status.FromString(trailers["grpc-status-details-bin"]))
    assert met(error).retry_after_ms is None


def test_a_wrong_field_is_named_in_the_details_and_on_the_clients_error():
    error = errors.InvalidInput("outcome.venue", "must not be empty")
    rich = status_pb2.Status.FromString(dict(status_of(error)[1])["grpc-status-details-bin"])
    (violation,) = unpacked(rich)["BadRequest"].field_violations
    assert (violation.field, violation.description) == ("outcome.venue", "must not be empty")
    assert met(error).field == "outcome.venue"


@pytest.mark.parametrize(
    ("error", "metadata"),
    [
        (errors.OrderUncertain("o1"), {"order_id": "o1"}),
        (errors.VenueRejected("kalshi", "closed", "market_closed"), {"venue": "kalshi", "code": "market_closed"}),
        (errors.VenueUnavailable("kalshi", "away"), {"venue": "kalshi"}),
        (errors.RefusedByRisk("STALE_BOOK", "the book is stale"), {"class": "REFUSED_BY_RISK"}),
        (errors.NotRunning("desk"), {"part": "desk"}),
        (errors.NotFound("no such"), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_error_is_about_reaches_the_client_as_metadata(error, metadata):
    assert met(error).metadata == metadata


@pytest.mark.parametrize(
    ("code", "field"),
    [
        ("PRICE_OFF_GRID", "price_micros"),
        ("SIZE_OFF_GRID", "size_micros"),
        ("BELOW_MIN_SIZE", "size_micros"),
        ("BELOW_MIN_NOTIONAL", "size_micros"),
        ("NOTIONAL_OFF_GRID", "size_micros"),
        ("STALE_BOOK", ""),
    ],
)
def test_a_rule_that_one_field_of_the_order_breaks_names_it(code, field):
    refused = met(errors.RefusedByRisk(code, "as it is"))
    assert (type(refused), refused.reason, refused.field) == (RefusedError, code, field)


async def test_an_error_of_the_client_tells_the_calls_correlation_id(served, logged):
    async def fail(message, request):
        raise errors.InvalidInput("size_micros", "is odd")

    served.unary = fail
    async with connect("127.0.0.1", served.port) as channel:
        with pytest.raises(InvalidRequestError) as caught:
            await channel.unary(UNARY, HELLO, AuthResponse, (("x-correlation-id", "mine-1"),), 5)
    assert (caught.value.correlation_id, caught.value.field) == ("mine-1", "size_micros")


def test_a_server_without_details_is_understood_by_its_plain_trailers():
    error = error_of(Status(StatusCode.UNAVAILABLE, "later"), {"arbiter-reason": "STORE", "retry-after-ms": "40"})
    assert (type(error), error.reason, error.retry_after_ms, error.metadata) == (UnavailableError, "STORE", 40, {})


@pytest.mark.parametrize("junk", [b"", b"\xff\xff\xff", b"\x1a\x02\x0a\x00", "text"])
def test_details_that_cannot_be_read_are_none(junk):
    assert read({"grpc-status-details-bin": junk}) == Details()


def test_a_detail_that_is_broken_inside_a_whole_status_is_none():
    rich = status_pb2.Status(details=[Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")])
    assert read({"grpc-status-details-bin": rich.SerializeToString()}) == Details()


def test_a_reason_of_another_domain_is_not_taken_for_one_of_ours():
    info = Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="RATE_LIMITED", domain="proxy.example"))
    value = status_pb2.Status(details=[info]).SerializeToString()
    error = error_of(Status(StatusCode.UNAVAILABLE, "x"), {"grpc-status-details-bin": value, "arbiter-reason": "STORE"})
    assert error.reason == "STORE"


def test_a_wait_is_rounded_up_to_the_millisecond():
    retry = Any()
    retry.Pack(error_details_pb2.RetryInfo(retry_delay={"nanos": 1}))
    assert read({"grpc-status-details-bin": status_pb2.Status(details=[retry]).SerializeToString()}).retry_after_ms == 1


def test_details_read_back_as_they_were_written():
    details = Details("REASON", {"venue": "kalshi"}, 1_234, (("a", "b"), ("c", "d")))
    assert read({"grpc-status-details-bin": write(8, "text", details)}) == details


@pytest.mark.parametrize("text", ["x" * 100_000, "☺" * 100_000, "half a pair \ud83d"])
async def test_a_very_long_or_broken_text_still_reaches_the_official_client_as_an_error(served, official, text):
    async def fail(message, request):
        raise errors.VenueRejected("kalshi", text, text)

    served.unary = fail
    refusal = await official.refusal(UNARY, HELLO)
    assert refusal.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.details().startswith("kalshi refused: ")
    assert len(refusal.details().encode()) <= LONGEST_MESSAGE_BYTES
    assert unpacked(rpc_status.from_call(refusal))["ErrorInfo"].reason == "VENUE_REJECTED"


async def test_what_a_stranger_wrote_is_told_in_one_line_that_shows_all_of_it(served, official):
    async def fail(message, request):
        raise errors.NotFound("no order a\nOK \u202eb\x1b[2J\0")

    served.unary = fail
    assert (await official.refusal(UNARY, HELLO)).details() == "no order a OK ?b?[2J?"
