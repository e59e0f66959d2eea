"""h2load, nghttp2's load generator: how it is run, and what of its words is believed.

It takes any answer for a success. So each run is held against what the server counted itself, and against the bytes of DATA that came:
an answer with an error has none.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PATIENCE_SECONDS = 120.0
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_TOOK = re.compile(r"finished in ([\d.]+)(us|ms|s),")
_DONE = re.compile(r"requests: \d+ total, \d+ started, (\d+) done")
_DATA = re.compile(r"\((\d+)\) data")


class Ran(NamedTuple):
    """Seconds from the first connection to the last answer, the answers of any kind, and the bytes of DATA in them."""

    seconds: float
    done: int
    data_bytes: int


def require() -> None:
    """Ends the program with one line where h2load is not installed."""
    if shutil.which("h2load") is None:
        sys.exit("rpc: this bench needs h2load; install it (on Debian: apt-get install nghttp2-client) and run it again")


def command(port: int, path: str, token: str, body: Path, arguments: Sequence[object]) -> list[str]:
    """POSTs of the message in `body`. Its windows are 2^30 bytes wide by default."""
    headers = {"content-type": "application/grpc", "te": "trailers", "authorization": f"Bearer {token}"}
    told = [f"-H{name}: {value}" for name, value in headers.items()]
    return ["h2load", *map(str, arguments), "-d", str(body), *told, f"http://127.0.0.1:{port}{path}"]


def run(port: int, path: str, token: str, body: Path, *, requests: int, connections: int, streams: int) -> Ran:
    """So many requests over all connections, with so many under way on each."""
    arguments = ("-n", requests, "-c", connections, "-m", streams)
    line = command(port, path, token, body, arguments)
    return read(subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True).stdout)


def read(output: str) -> Ran:
    """What it printed. Raises RuntimeError for what cannot be read."""
    took, done, data = _TOOK.search(output), _DONE.search(output), _DATA.search(output)
    if took is None or done is None or data is None:
        raise RuntimeError(f"h2load said something else than expected:\n{output}")
    return Ran(float(took[1]) * _SECONDS[took[2]], int(done[1]), int(data[1]))
