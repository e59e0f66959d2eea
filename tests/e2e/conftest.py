"""The real program in a process of its own, and the official gRPC client to talk to it."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from arbiter.v1 import strategy_pb2, trading_pb2, user_pb2

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
CALL_SECONDS = 20


class Program:
    """`arbiter run` on a data folder of its own and a free port. Made by the fixture `start`, which also ends it."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.data = folder / "var"
        self.errors = folder / "stderr.txt"
        command = [sys.executable, "-m", "arbiter", "run", "--data", str(self.data), "--grpc-port", "0", "--chat-port", "0", *flags]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("ARBITER_", "GRPC_", "TELEGRAM_"))}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, env={**environ, "PYTHONPATH": str(ROOT)}
            )
        self.greeting = self._read_greeting()

    def _read_greeting(self) -> str:
        """What it prints once it is ready; the last line says how to stop."""
        assert self.process.stdout is not None
        text, deadline = b"", time.monotonic() + START_SECONDS
        while b"Ctrl-C" not in text:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65_536) if ready else b""
            if not chunk:
                self.kill()
                pytest.fail(f"the program did not start: {text.decode()!r} {self.errors.read_text()!r}")
            text += chunk
        return text.decode()

    @property
    def address(self) -> str:
        return str(json.loads((self.data / "running.json").read_text())["grpc"])

    @property
    def api_key(self) -> str:
        return (self.data / "sandbox_api_key").read_text().strip()

    @property
    def token(self) -> str:
        """The access token that the greeting shows."""
        found = re.search(r"^\s*token\s+(\S+)$", self.greeting, re.MULTILINE)
        assert found is not None, self.greeting
        return found[1]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Signal it; its exit status, and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(timeout=15)
        return status, time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=15)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Official:
    """The official client, with a token."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self.metadata: tuple[tuple[str, str], ...] = ()

    def authenticate(self, api_key: str) -> str:
        reply = self.unary("UserService/Authenticate", user_pb2.AuthRequest(api_key=api_key), user_pb2.AuthResponse)
        self.use(reply.access_token)
        return str(reply.user_id)

    def use(self, token: str) -> None:
        self.metadata = (("authorization", f"Bearer {token}"),)

    def unary(self, method: str, request: Any, reply: Any) -> Any:
        call = self.channel.unary_unary(
            f"/arbiter.v1.{method}", request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString
        )
        return call(request, metadata=self.metadata, timeout=CALL_SECONDS)

    def stream(self, method: str, request: Any, reply: Any, seconds: float = 60) -> Any:
        call = self.channel.unary_stream(
            f"/arbiter.v1.{method}", request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString
        )
        return call(request, metadata=self.metadata, timeout=seconds)

    def opportunities(self) -> Any:
        return self.stream("StrategyService/GetArbOpportunities", strategy_pb2.ArbRequest(), strategy_pb2.ArbOpportunity)

    def positions(self) -> Any:
        return self.stream("TradingService/StreamPositions", trading_pb2.PositionsRequest(), trading_pb2.PositionUpdate)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs on one data folder, one after the other; whatever still runs at the end is killed."""
    started: list[Program] = []

    def start_one(*flags: str) -> Program:
        started.append(Program(tmp_path, *flags))
        return started[-1]

    yield start_one
    for program in started:
        program.kill()


@pytest.fixture
def connect() -> Iterator[Callable[[str], Official]]:
    """Official clients; closed at the end."""
    made: list[Official] = []

    def connect_one(address: str) -> Official:
        made.append(Official(address))
        return made[-1]

    yield connect_one
    for client in made:
        client.channel.close()


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """The path of a recorded file; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = ROOT.parent / "shared" / "recordings" / name
        if not path.exists():
            pytest.skip(f"no recorded data here: {name} is not beside the repository")
        return path

    return find
