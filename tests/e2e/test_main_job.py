"""The main job as a user meets it: the real program, its sandbox venues, and the official gRPC client."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from arbiter.sandbox.convert import convert_worldcup
from arbiter.v1 import market_pb2, strategy_pb2, trading_pb2, user_pb2
from tests.e2e.conftest import ROOT, Official, Program

OPENED, CLOSED = strategy_pb2.OPPORTUNITY_STATE_OPENED, strategy_pb2.OPPORTUNITY_STATE_CLOSED
MICRO = 1_000_000


def see_a_whole_life(client: Official) -> tuple[Any, Any]:
    """An opportunity's opening and its end, as they come; whatever had opened before counts for nothing."""
    opened: dict[str, Any] = {}
    stream = client.opportunities()
    for change in stream:
        if change.state == OPENED and change.at_unix_ms == change.opened_unix_ms:
            opened[change.opportunity_id] = change
        elif change.state == CLOSED and change.opportunity_id in opened:
            stream.cancel()
            return opened[change.opportunity_id], change
    pytest.fail("the stream ended")


def place(client: Official, leg: Any, size: int) -> Any:
    """Buy this much of a leg at its planned limit, at once."""
    request = trading_pb2.OrderRequest(
        idempotency_key=str(uuid.uuid4()),
        outcome=leg.outcome,
        side=market_pb2.SIDE_BUY,
        price_micros=leg.limit_price_micros,
        size_micros=size,
        time_in_force=market_pb2.TIME_IN_FORCE_IOC,
    )
    return client.unary("TradingService/PlaceOrder", request, trading_pb2.OrderResponse).order


def buy_into_an_opening(client: Official) -> Any:
    """The first order into a fresh opening that fills; an opening may close before the order arrives, so the next serves too."""
    stream = client.opportunities()
    for change in stream:
        if change.state == CLOSED:
            continue
        leg = next(leg for leg in change.legs if leg.outcome.venue == "kalshi")  # which has no smallest order to speak of
        order = place(client, leg, min(leg.size_micros, 10 * MICRO))
        if order.filled_micros:
            stream.cancel()
            return order
    pytest.fail("the stream ended")


def see_it_in(updates: Any, order: Any) -> Any:
    """The position update that holds the order's fill."""
    for update in updates:
        for position in update.positions:
            if position.outcome == order.outcome and position.size_micros == order.filled_micros:
                assert not update.snapshot
                return position
    pytest.fail("the stream ended")


def do_the_main_job(program: Program, client: Official) -> Any:
    """Sign in, see an opportunity live and end, buy, see the position move. Returns the order."""
    assert client.authenticate(program.api_key) == "sandbox"
    opened, closed = see_a_whole_life(client)
    assert opened.net_micros > 0
    assert opened.gross_micros == opened.size_micros - sum(leg.cost_micros for leg in opened.legs)
    assert opened.net_micros == opened.gross_micros - sum(leg.fee_micros for leg in opened.legs)
    assert {leg.outcome.venue for leg in opened.legs} == {"polymarket", "kalshi"}
    assert closed.duration_ms == pytest.approx(
        closed.at_unix_ms - opened.at_unix_ms, abs=250
    )  # two clocks, read one after the other on a busy machine
    assert closed.reason
    updates = client.positions()
    first = next(updates)
    assert first.snapshot
    assert not first.positions
    order = buy_into_an_opening(client)
    position = see_it_in(updates, order)
    updates.cancel()
    assert 0 < position.cost_micros <= order.price_micros * order.filled_micros // MICRO + 1
    return order


def test_a_user_signs_in_sees_an_opportunity_buys_and_sees_the_position(
    start: Callable[..., Program], connect: Callable[[str], Official]
) -> None:
    program = start()
    do_the_main_job(program, connect(program.address))
    status, seconds = program.stop()
    assert (status, seconds < 3) == (0, True)
    assert "Traceback" not in program.errors.read_text()


def test_the_main_job_works_on_a_recording(
    start: Callable[..., Program], connect: Callable[[str], Official], recorded: Callable[[str], Path], tmp_path: Path
) -> None:
    recording = tmp_path / "mexico-england.jsonl"
    convert_worldcup(recorded("worldcup/cross_venue_mexico_england_main.jsonl.gz"), recording)
    program = start("--recording", str(recording), "--recording-speed", "60")
    do_the_main_job(program, connect(program.address))
    assert program.stop()[0] == 0


def test_what_was_acknowledged_is_there_after_a_kill(start: Callable[..., Program], connect: Callable[[str], Official]) -> None:
    program = start()
    order = do_the_main_job(program, connect(program.address))
    key = program.api_key
    program.kill()
    again = start()
    client = connect(again.address)
    assert again.api_key == key
    client.authenticate(key)
    held = client.unary("TradingService/GetPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionsResponse).positions
    assert [(p.outcome, p.size_micros) for p in held] == [(order.outcome, order.filled_micros)]


def test_the_token_of_the_greeting_works_as_it_is_printed_and_no_other_does(
    start: Callable[..., Program], connect: Callable[[str], Official]
) -> None:
    program = start()
    client = connect(program.address)
    with pytest.raises(grpc.RpcError) as refused:
        client.unary("UserService/GetProfile", user_pb2.ProfileRequest(), user_pb2.ProfileResponse)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    client.use(program.token)
    assert client.unary("UserService/GetProfile", user_pb2.ProfileRequest(), user_pb2.ProfileResponse).user_id == "sandbox"


def test_arbitrage_is_switched_durably(start: Callable[..., Program], connect: Callable[[str], Official]) -> None:
    def enabled(client: Official) -> list[tuple[str, bool]]:
        reply = client.unary("StrategyService/ListStrategies", strategy_pb2.ListRequest(), strategy_pb2.StrategiesResponse)
        return [(strategy.name, strategy.enabled) for strategy in reply.strategies]

    program = start()
    client = connect(program.address)
    client.use(program.token)
    assert enabled(client) == [("arbitrage", False)]
    client.unary("StrategyService/EnableStrategy", strategy_pb2.StrategyRequest(name="arbitrage"), strategy_pb2.StrategyResponse)
    program.kill()
    again = start()
    client = connect(again.address)
    client.use(again.token)
    assert enabled(client) == [("arbitrage", True)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_within_3_seconds_also_while_streams_are_open(
    start: Callable[..., Program], connect: Callable[[str], Official], number: int
) -> None:
    program = start()
    client = connect(program.address)
    client.use(program.token)
    updates = client.positions()
    assert next(updates).snapshot
    status, seconds = program.stop(number)
    assert (status, seconds < 3) == (0, True)
    assert not any(word in program.errors.read_text() for word in ("warning", "error", "Traceback"))
    with pytest.raises(grpc.RpcError):
        next(updates)
    assert not (program.data / "running.json").exists()


@pytest.mark.skipif(not (ROOT / ".venv" / "stamp-dev").exists(), reason="./just has made no environment here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("background", [False, True])
def test_the_one_command_of_a_newcomer_ends_with_status_0_too_also_when_a_script_started_it_in_the_background(
    start: Callable[..., Program], number: int, background: bool
) -> None:
    command = (str(ROOT / "just"),)
    if background:  # what a shell's `&` does: the program begins with SIGINT ignored
        command = (
            sys.executable,
            "-c",
            "import os, signal, sys; signal.signal(2, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])",
            *command,
        )
    program = start(command=command)
    status, seconds = program.stop(number)
    assert (status, seconds < 3) == (0, True)
    assert not any(word in program.errors.read_text() for word in ("warning", "error", "Traceback"))


def test_top_shows_the_tree_of_a_running_program_to_its_operator_and_the_key_for_it_is_made_once(
    start: Callable[..., Program], connect: Callable[[str], Official], tmp_path: Path
) -> None:
    program = start()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    key_file = program.data / "operator_api_key"
    whole = [sys.executable, "-m", "arbiter", "top", "--once", "--data", str(program.data)]
    how: dict[str, Any] = {"cwd": tmp_path, "capture_output": True, "text": True, "env": environ, "timeout": 40}
    shown = subprocess.run(whole, check=False, **how)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [line.split() for line in shown.stdout.splitlines()]
    for name in ("journal", "accounts", "polymarket_feed", "kalshi_desk", "arb_scanner", "rpc", "bot"):
        (line,) = [line for line in lines if line[:1] == [name]]
        assert line[1:3] == ["running", "0"]
        assert "?" not in line
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert key_file.stat().st_mode & 0o777 == 0o600
    key = key_file.read_text()
    key_file.write_text(program.api_key)  # a trader's key opens nothing here
    refused = subprocess.run(whole, check=False, **how)
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", "arbiter: this needs the role operator\n")
    key_file.write_text(key)
    program.stop()
    assert connect(start().address).authenticate(key.strip()) == "operator"
    assert key_file.read_text() == key


def test_watch_and_the_example_do_their_work_on_a_running_program(start: Callable[..., Program], tmp_path: Path) -> None:
    """As the greeting prints them, in a shell of its own."""
    program = start()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    look, call = (re.search(rf"^  {word} +(.+)$", program.greeting, re.MULTILINE) for word in ("Look", "Call"))
    assert look is not None
    assert call is not None
    how: dict[str, Any] = {"shell": True, "cwd": tmp_path, "capture_output": True, "text": True, "env": environ}
    watching = subprocess.run(f"{look[1]} --seconds 3", check=False, **how, timeout=40)
    assert (watching.returncode, watching.stderr) == (0, "")
    assert "Opportunities" in watching.stdout
    bought = subprocess.run(call[1], check=False, **how, timeout=60)
    assert (bought.returncode, bought.stderr) == (0, "")
    assert "order " in bought.stdout
