"""The example where it cannot do its work: one line and status 1. Where it can, tests/e2e runs it."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 30
CURE = "start it with ./just run, or name its folder with --data"


def refused(*arguments: str) -> str:
    """The one line that the example ends with."""
    whole = [sys.executable, str(ROOT / "examples" / "place_order.py"), *arguments]
    ran = subprocess.run(whole, check=False, capture_output=True, text=True, timeout=SECONDS, env={"PYTHONPATH": str(ROOT)})
    assert (ran.returncode, ran.stdout) == (1, ""), ran.stderr
    (line,) = ran.stderr.splitlines()
    return line


@pytest.fixture
def gone():
    """An address where nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.fixture
def data(tmp_path, gone):
    """The data folder of a program that was killed."""
    (tmp_path / "running.json").write_text(json.dumps({"grpc": gone}))
    (tmp_path / "sandbox_api_key").write_text("arb_0_0\n")
    return tmp_path


@pytest.mark.parametrize("flags", [(), ("--server", "127.0.0.1:1")])
def test_where_nothing_runs_the_example_says_how_to_start_it(tmp_path, flags):
    assert refused("--data", str(tmp_path), *flags) == f"no Arbiter is running on the data folder {tmp_path}; {CURE}"


def test_where_the_program_was_killed_the_example_says_how_to_start_it(data, gone):
    assert refused("--data", str(data)) == f"no Arbiter answers at {gone}; {CURE}"


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", '{"grpc":'])
def test_where_the_file_that_names_the_server_is_damaged_the_example_says_so(data, text):
    (data / "running.json").write_text(text)
    assert refused("--data", str(data)).startswith(f"what lies in the data folder {data} cannot be read: ")


def test_an_address_that_is_none_is_told_as_such(data):
    assert refused("--data", str(data), "--server", "nowhere") == "'nowhere' is not host:port"


def test_a_server_that_is_no_arbiter_ends_in_one_line(data):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(SECONDS)
        whole = [sys.executable, str(ROOT / "examples" / "place_order.py"), "--data", str(data), "--server"]
        with subprocess.Popen(
            [*whole, f"127.0.0.1:{other.getsockname()[1]}"], stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
        ) as process:
            peer, _ = other.accept()
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            peer.close()
            _, err = process.communicate(timeout=SECONDS)
    lost = "the connection to Arbiter was lost before it began: does the server want TLS, or has it no room?"
    assert (process.returncode, err) == (1, f"{lost}; {CURE}\n")
