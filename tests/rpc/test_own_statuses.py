"""The engine's own statuses say for programs what they are, and name a time to wait only where waiting helps."""

import math

import grpc
import pytest
import trio
from grpc_status import rpc_status

from arbiter.rpc.call_runner import TOO_LATE, UNREAD
from arbiter.rpc.client_errors import InvalidRequestError, RateLimitError, UncertainError, error_of
from arbiter.rpc.details import Details, read
from arbiter.rpc.housekeeping import SLOW
from arbiter.rpc.incoming import TOO_MUCH
from arbiter.rpc.messages import LONGEST_MESSAGE
from arbiter.rpc.server import STOPPING
from arbiter.v1.user_pb2 import AuthRequest, AuthResponse

UNARY = "test.Service/Unary"
HELLO = AuthRequest(api_key="hello")


def plain(error):
    return {name: value for name, value in error.trailing_metadata() if not name.endswith("-bin")}


def details(error):
    return read(dict(error.trailing_metadata()))


@pytest.mark.parametrize(
    ("path", "message", "metadata", "code", "reason"),
    [
        ("test.Service/No", HELLO, (), grpc.StatusCode.UNIMPLEMENTED, "NOT_OFFERED"),
        (UNARY, AuthRequest(api_key="x" * (LONGEST_MESSAGE + 1)), (), grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LONG"),
        (UNARY, HELLO, (("x-long", "x" * 17_000),), grpc.StatusCode.RESOURCE_EXHAUSTED, "METADATA_TOO_LONG"),
    ],
    ids=["no method", "message", "metadata"],
)
async def test_what_never_goes_through_says_so_and_names_no_time(served, official, path, message, metadata, code, reason):
    served.admit = lambda *_: "somebody"
    error = await official.refusal(path, message, metadata=metadata)
    assert (error.code(), plain(error).get("arbiter-reason"), "retry-after-ms" in plain(error)) == (code, reason, False)
    assert details(error) == Details(reason)
    assert rpc_status.from_call(error).message == error.details()


async def test_a_failed_handler_and_bad_headers_have_reasons(served, official, connect_raw):
    async def fail(message, request):
        raise RuntimeError

    served.unary = fail
    assert details(await official.refusal(UNARY, HELLO)) == Details("INTERNAL")
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{UNARY}", extra=(("grpc-timeout", "soon"),))
        await raw.send()
        await raw.ended(number)
        assert raw.header_blocks(number)[-1]["arbiter-reason"] == "BAD_HEADERS"


async def test_a_deadline_that_passes_has_a_reason(served, connect_raw):
    async def wait(message, request):
        await trio.sleep(math.inf)
        return AuthResponse()

    served.unary = wait
    async with connect_raw(served.port) as raw:
        number = raw.begin(f"/{UNARY}", extra=(("grpc-timeout", "20m"),))
        raw.message(number, HELLO.SerializeToString())
        await raw.send()
        await raw.ended(number)
        end = raw.header_blocks(number)[-1]
        assert (end["grpc-status"], end["arbiter-reason"]) == ("4", "DEADLINE_EXCEEDED")


@pytest.mark.parametrize(
    ("status", "reason", "wait"),
    [
        (TOO_LATE, "DEADLINE_EXCEEDED", None),
        (UNREAD, "ANSWERS_UNREAD", None),
        (SLOW, "SLOW_READER", None),
        (STOPPING, "STOPPING", None),  # what was cut off may have been done
        (TOO_MUCH, "TOO_MUCH_UNFINISHED", 1_000),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_was_or_may_have_been_begun_names_no_time(status, reason, wait):
    assert read(dict(status.trailers)) == Details(reason, retry_after_ms=wait)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("MESSAGE_TOO_LONG", InvalidRequestError),
        ("METADATA_TOO_LONG", InvalidRequestError),
        ("ANSWERS_UNREAD", UncertainError),
        ("TOO_MUCH_UNFINISHED", RateLimitError),
    ],
)
def test_our_client_does_not_take_what_waiting_does_not_help_for_a_rate(reason, kind):
    assert type(error_of(UNREAD, {"arbiter-reason": reason})) is kind
