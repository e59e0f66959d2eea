"""The real program in a process of its own, and the official gRPC client to talk to it."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
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

    def __init__(self, folder: Path, *flags: str, command: tuple[str, ...] = (sys.executable, "-m", "arbiter")) -> None:
        self.data = folder / "var"
        self.errors = folder / "stderr.txt"
        whole = [*command, "run", "--data", str(self.data), "--grpc-port", "0", "--chat-port", "0", *flags]
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("ARBITER_", "GRPC_", "TELEGRAM_"))}
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                whole, cwd=folder, stdout=subprocess.PIPE, stderr=errors, env={**environ, "PYTHONPATH": str(ROOT)}
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
    def chat(self) -> str:
        return str(json.loads((self.data / "running.json").read_text())["chat"])

    @property
    def link_code(self) -> str:
        """The one-time code that the greeting shows."""
        found = re.search(r"\?start=(\w+)", self.greeting)
        assert found is not None, self.greeting
        return found[1]

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


class Person:
    """Somebody in the chat: says things, presses buttons, and waits for what the bot answers."""

    def __init__(self, chat: str, name: str = "You") -> None:
        self._chat = chat
        self._name = name
        self._revision = 0
        self.messages: dict[int, dict[str, Any]] = {}
        self.notices: list[str] = []

    def say(self, text: str) -> None:
        self._act("send", text=text)

    def press(self, label: str) -> None:
        """The newest button of this label."""
        for message in sorted(self.messages.values(), key=lambda each: each["message_id"], reverse=True):
            for row in message.get("reply_markup", {}).get("inline_keyboard", []):
                for button in row:
                    if label in button["text"]:
                        self._act("press", message_id=message["message_id"], data=button["callback_data"])
                        return
        pytest.fail(f"no button {label!r} in {list(self.messages.values())}")

    def wait_for(self, *parts: str, seconds: float = 20) -> str:
        """The text of the newest message of the bot that holds all the parts, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while True:
            for message in sorted(self.messages.values(), key=lambda each: each["message_id"], reverse=True):
                text = message.get("text", "")
                if message["from"]["is_bot"] and all(part in text for part in parts):
                    return str(text)
            if time.monotonic() > deadline:
                pytest.fail(f"no message with {parts!r} in {[each.get('text') for each in self.messages.values()]}")
            self._read(wait=1)

    def ask(self, text: str, *parts: str) -> str:
        """Say something and wait for an answer that came after it."""
        self._read(wait=0)
        self.messages.clear()
        self.say(text)
        return self.wait_for(*parts)

    def _read(self, wait: int) -> None:
        address = f"{self._chat}/chat/updates?as={self._name}&after={self._revision}&wait={wait}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            news = json.load(answer)
        self._revision = news["revision"]
        for message in news["messages"]:
            self.messages[message["message_id"]] = message
        for gone in news["gone"]:
            self.messages.pop(gone, None)
        self.notices += [notice.get("text", "") for notice in news["notices"]]

    def _act(self, what: str, **fields: Any) -> None:
        body = json.dumps({"by": self._name, **fields}).encode()
        headers = {"content-type": "application/json", "origin": self._chat}
        request = urllib.request.Request(f"{self._chat}/chat/{what}", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["ok"]


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

    def start_one(*flags: str, **how: Any) -> Program:
        started.append(Program(tmp_path, *flags, **how))
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
