"""The examples that need nothing of Arbiter's but `proto/` or the server itself, run on the real program as their texts say."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Program

EXAMPLES = ROOT / "examples"
ENVIRON = {"PATH": os.environ["PATH"]}


def run(*command: str, cwd: Path, **how: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, env=ENVIRON, timeout=60, **how)


def test_the_example_for_plain_grpcio_buys_and_shows_the_position(start: Callable[..., Program], tmp_path: Path) -> None:
    program = start()
    done = run(sys.executable, str(EXAMPLES / "plain_grpcio.py"), "--data", str(program.data), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^order [0-9a-f-]{36}: ORDER_STATE_\w+, [\d.]+ filled$", done.stdout, re.MULTILINE), done.stdout


def test_the_example_for_plain_grpcio_says_in_one_line_what_is_wrong(start: Callable[..., Program], tmp_path: Path) -> None:
    command = (sys.executable, str(EXAMPLES / "plain_grpcio.py"), "--data")
    cure = "start it with ./just run, or name its folder with --data"
    nobody = run(*command, str(tmp_path / "var"), cwd=tmp_path)
    assert (nobody.returncode, nobody.stderr) == (1, f"no Arbiter is running on the data folder {tmp_path / 'var'}; {cure}\n")
    program = start()
    key_file = program.data / "sandbox_api_key"
    key_file.write_text("arb_0_0")
    refused = run(*command, str(program.data), cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(r".+ \(UNAUTHENTICATED\)\n", refused.stderr), refused.stderr
    program.kill()
    gone = run(*command, str(program.data), "--server", "127.0.0.1:1", cwd=tmp_path)
    assert (gone.returncode, gone.stderr) == (1, f"no Arbiter answers; {cure}\n")


@pytest.mark.skipif(shutil.which("grpcurl") is None, reason="grpcurl is not installed here")
def test_the_lines_for_grpcurl_work_as_they_stand(start: Callable[..., Program], tmp_path: Path) -> None:
    program = start()
    done = run(str(EXAMPLES / "grpcurl.sh"), str(program.data), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for part in ("arbiter.v1.TradingService\n", "rpc PlaceOrder (", '"status": "SERVING"', '"userId": "sandbox"', '"snapshot": true'):
        assert part in done.stdout, done.stdout
    assert "DeadlineExceeded" in done.stderr
