"""How long the real program takes from its start to the first opportunity that a client receives."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from arbiter.rpc.client import ArbiterClient

DEADLINE_SECONDS = 60.0


async def first_opportunity_seconds() -> float:
    """Starts `arbiter run` with an empty data folder, waits for an opportunity over gRPC, stops it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "arbiter", "run", "--grpc-port", "0", "--chat-port", "0", "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: ASYNC220 nothing else runs yet
            try:
                with trio.fail_after(DEADLINE_SECONDS):
                    await _see_one(Path(folder))
                return time.monotonic() - began
            finally:
                os.kill(process.pid, signal.SIGTERM)


async def _see_one(folder: Path) -> None:
    running, key = folder / "running.json", folder / "sandbox_api_key"
    while not running.exists():  # noqa: ASYNC110 another process writes it
        await trio.sleep(0.01)
    async with ArbiterClient.open(json.loads(running.read_text())["grpc"]) as client:
        await client.authenticate(key.read_text().strip())
        async with client.stream_opportunities() as changes:
            async for change in changes:
                if change.state != "closed":
                    return
