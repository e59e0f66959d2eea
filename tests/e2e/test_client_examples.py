"""The examples for Arbiter's own clients, run on the real program as their texts say."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Program

EXAMPLES = ROOT / "examples"
SECONDS = 60


def command(name: str, program: Program) -> list[str]:
    return [sys.executable, str(EXAMPLES / name), program.address, str(program.data / "sandbox_api_key")]


def test_the_script_without_trio_shows_wallet_book_and_positions(start: Callable[..., Program]) -> None:
    done = subprocess.run(
        command("plain_script.py", start()), check=False, capture_output=True, text=True, timeout=SECONDS, env={"PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *books, positions, change = done.stdout.splitlines()
    assert first.startswith("cash: $")
    assert books
    assert positions.startswith("positions: ")
    assert change


def test_opportunities_are_followed_over_a_restart_of_the_program(start: Callable[..., Program]) -> None:
    program = start()
    port = program.address.rpartition(":")[2]
    whole = command("follow_opportunities.py", program)
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}) as process:
        try:
            assert process.stdout is not None
            deadline = time.monotonic() + SECONDS
            while not (line := process.stdout.readline()).startswith("opened"):
                assert line
                assert time.monotonic() < deadline
            program.stop()
            again = start("--grpc-port", port)
            assert again.address == program.address
            seen = []
            while not any("opened" in line for line in seen) or not any("closed" in line for line in seen):
                seen.append(process.stdout.readline())
                assert seen[-1]
                assert time.monotonic() < deadline
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["plain_script.py", "follow_opportunities.py"])
def test_where_nothing_runs_each_says_how_to_start_it(name: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("arb_0_0")
    whole = [sys.executable, str(EXAMPLES / name), "127.0.0.1:1", str(key)]
    done = subprocess.run(whole, check=False, capture_output=True, text=True, timeout=SECONDS, env={"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no Arbiter answers at 127.0.0.1:1; start it with ./just run\n")
