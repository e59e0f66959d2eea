"""The rpc bench's clients believe only an answer with grpc-status 0: its raw HTTP/2 client, and what it reads of h2load."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hpack import Decoder

from arbiter.errors import LimitExceeded
from arbiter.v1 import user_pb2
from bench import h2load
from bench.rpc_raw import CallFailed, RawConnection, header_block, message

SECONDS = 10
UNARY = "/test.Service/Unary"
BODY = message(user_pb2.AuthRequest(api_key="1").SerializeToString())
REPLY_BYTES = len(message(user_pb2.AuthResponse(user_id="1").SerializeToString()))


async def calls(port: int, times: int, length: int = REPLY_BYTES) -> list[int]:
    """So many calls by the raw client, in a thread."""

    def call() -> list[int]:
        connection = RawConnection(port)
        try:
            return [connection.call(header_block(UNARY, "test", "t" * 620), BODY, length) for _ in range(times)]
        finally:
            connection.close()

    with trio.fail_after(SECONDS):
        return await trio.to_thread.run_sync(call)


def refuse(*_: Any) -> None:
    raise LimitExceeded("too many", 1)


async def test_a_header_block_is_read_back_as_it_was_meant() -> None:
    told = dict(Decoder().decode(header_block(UNARY, "test", "t" * 620)))
    assert told[":path"] == UNARY
    assert told["authorization"] == "Bearer " + "t" * 620


async def test_the_raw_client_times_calls_that_end_with_status_0(served: Any) -> None:
    took = await calls(served.port, 3)
    assert len(took) == 3
    assert all(0 < ns < SECONDS * 10**9 for ns in took)


async def test_the_raw_client_takes_no_refusal_for_an_answer(served: Any) -> None:
    served.admit = refuse
    with pytest.raises(CallFailed, match="grpc-status 8"):
        await calls(served.port, 1)


async def test_the_raw_client_takes_no_other_message_for_the_one_that_was_due(served: Any) -> None:
    with pytest.raises(CallFailed, match=f"{REPLY_BYTES} bytes of {REPLY_BYTES + 1}"):
        await calls(served.port, 1, REPLY_BYTES + 1)


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
async def test_of_what_h2load_reports_the_bytes_of_data_tell_refusals_from_answers(served: Any, tmp_path: Path) -> None:
    body = tmp_path / "message"
    body.write_bytes(BODY)
    run = partial(h2load.run, served.port, UNARY, "t", body, requests=20, connections=2, streams=5)
    with trio.fail_after(SECONDS):
        answered = await trio.to_thread.run_sync(run)
        served.admit = refuse
        refused = await trio.to_thread.run_sync(run)
    assert (answered.done, answered.data_bytes) == (20, 20 * REPLY_BYTES)
    assert (refused.done, refused.data_bytes) == (20, 0)


def test_h2load_that_says_something_else_is_not_believed() -> None:
    with pytest.raises(RuntimeError, match="something else"):
        h2load.read("finished in 1.5s, 10 req/s")
